"""What the two studies published, each number with its source (`published.json`); nothing is rounded or guessed."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("published.json")
UNKNOWN = "not published in what we could read"  # looked for
GAP = "not among the facts that we have"  # not looked for, or not certain


@cache
def published(task: str) -> dict[str, Any]:
    """The published facts of a task: name to value, and SD, "about" and source where there are any."""
    return dict(json.loads(FILE.read_text(encoding="utf-8"))[task])


def words(fact: dict[str, Any], unit: str = "") -> str:
    """A published number as it is shown: "about" where the study says so, with its SD; a dash where there is none."""
    if fact["value"] is None:
        return "not known"
    about = "about " if fact.get("about") else ""
    spread = f" ± {fact['sd']:g}" if "sd" in fact else ""
    value = fact["value"] if isinstance(fact["value"], str) else f"{fact['value']:g}"
    return f"{about}{value}{spread}{unit}"
