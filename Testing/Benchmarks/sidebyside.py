"""Runs taken in turn, so that what else happens on a machine meets them alike. Prints and keeps nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any


def interleaved(
    runs: Mapping[str, Callable[[], Any]], rounds: int, warm: int = 1
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds of each of `rounds` runs of each, after `warm` turns that do not count; and what the last ones made."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    made: dict[str, Any] = {}
    for number in range(warm + rounds):
        for name, run in runs.items():
            made.pop(name, None)
            began = time.perf_counter()
            made[name] = run()
            if number >= warm:
                times[name].append(time.perf_counter() - began)
    return times, made
