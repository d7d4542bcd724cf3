"""Small JSON records in the person's data folder: what was exported, measured and chosen on this machine.

A record that cannot be read or written costs time, never a run: it is made anew, or done without.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from ..errors import RunFailed
from ..files import make_folder, write_text
from ..resources import user_folder

LARGEST = 1 << 20


def folder() -> Path:
    """Where the records lie; it may not exist yet."""
    return user_folder() / "engines"


def read(name: str) -> dict[str, Any]:
    """The record of that name, empty where there is none or it is no JSON object."""
    path = folder() / f"{name}.json"
    try:
        if path.stat().st_size > LARGEST:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write(name: str, record: dict[str, Any]) -> None:
    """Keep a record; where the folder cannot be written it is not kept."""
    with contextlib.suppress(RunFailed):
        path = make_folder(folder()) / f"{name}.json"
        write_text(path, json.dumps(record, indent=1, sort_keys=True) + "\n")
