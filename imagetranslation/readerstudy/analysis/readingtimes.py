"""How long readers took: seconds for each trial that was handed in, idle time and pauses taken off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .blocks import Block, Figure, Table, Text, number
from .distributions import ALL
from .figures import Box, boxes
from .plan import Work


def blocks(work: Work) -> list[Block]:
    """Box plots by reader and arm, and a table with the hidden repeats and idle time."""
    trials = _trials(work)
    if not trials:
        return [Text("No trial was handed in.", "note")]
    arms = list(dict.fromkeys(one["shown"] for one in trials))
    order = [arm.id for arm in work.study.arms]
    arms.sort(key=lambda arm: (order.index(arm) if arm in order else len(order), arm))
    made = []
    for group in (ALL, *work.answers.readers):
        for colour, arm in enumerate(arms):
            own = [t["reading_s"] for t in trials if t["shown"] == arm and group in (ALL, t["reader"])]
            made.append(Box(group, work.arm(arm), np.array(own, dtype=float), colour))
    limit = work.study.idle_after_s
    caption = (
        f"Reading time of each case in seconds. A silence counts as reading for {limit:g} s at most; pauses do not "
        "count. Boxes: median and quartiles; whiskers: most distant value within 1.5 quartile distances; dots beyond."
    )
    figure = Figure("reading_time", boxes("Reading time", made, "Seconds a case"), caption)
    rows = [
        _row(work, group, [t for t in trials if group in (ALL, t["reader"])]) for group in (ALL, *work.answers.readers)
    ]
    columns = ["Reader", "Cases", "Median (quartiles), s", "First third, s", "Last third, s", "Reading in all, min",
               "Idle in all, min"]  # fmt: skip
    note = (
        "First readings without training and hidden repeats. First and last third: medians in the reader's own order."
    )
    return [figure, Table("Reading time", columns, rows, note, ["Reader"])]


def _trials(work: Work) -> list[dict[str, Any]]:
    seen: dict[tuple[str, str], dict[str, Any]] = {}
    for row in work.answers.scored:
        seen.setdefault((row["reader"], row["token"]), _trial(row))
    return list(seen.values())


def _trial(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = sorted(part.split("=", 1)[1] for part in str(row["arms"]).split(";") if "=" in part)
    return {
        "reader": row["reader"],
        "number": row["trial"],
        "shown": " with ".join(shown),
        "reading_s": float(row["reading_s"]),
        "idle_s": float(row["idle_s"]),
    }


def _row(work: Work, group: str, trials: Sequence[Mapping[str, Any]]) -> list[str]:
    reading = np.array([t["reading_s"] for t in trials])
    idle = sum(t["idle_s"] for t in trials)
    thirds: list[list[float]] = [[], []]
    for reader in dict.fromkeys(t["reader"] for t in trials):
        own = [t["reading_s"] for t in sorted(trials, key=lambda t: t["number"]) if t["reader"] == reader]
        size = max(1, len(own) // 3)
        thirds[0] += own[:size]
        thirds[1] += own[-size:]
    low, middle, high = np.quantile(reading, [0.25, 0.5, 0.75])
    work.records.add(
        "reading_time", reader="" if group == ALL else group, cases=len(trials), median_s=float(middle),
        q1_s=float(low), q3_s=float(high), first_third_median_s=float(np.median(thirds[0])),
        last_third_median_s=float(np.median(thirds[1])), total_s=float(reading.sum()), idle_s=float(idle),
    )  # fmt: skip
    return [
        group,
        str(len(trials)),
        f"{number(float(middle), 1)} ({number(float(low), 1)}\u2013{number(float(high), 1)})",
        number(float(np.median(thirds[0])), 1),
        number(float(np.median(thirds[1])), 1),
        number(float(reading.sum()) / 60, 1),
        number(idle / 60, 1),
    ]
