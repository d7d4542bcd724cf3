"""The record of finished cases: one line of JSON each, appended and flushed to the disk before the next is begun.

Lines are never changed. A line that a killed process left half-written is skipped, and so is one that makes no sense:
its case is then simply not known to be done.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..files import as_sentence, write_text

JOURNAL = "cohort.jsonl"


@dataclass(frozen=True)
class Entry:
    """A finished case.

    input: absolute path. input_bytes, input_mtime_ns, input_sha256: see `cases.Fingerprint`. output: path relative to
    the cohort's folder, with slashes. files: relative path and hex SHA-256 of every file that was written. row: its
    line of the table.
    """

    input: str
    input_bytes: int
    input_mtime_ns: int
    input_sha256: str
    output: str
    files: dict[str, str]
    row: dict[str, Any] = field(default_factory=dict)


class Journal:
    """The record in `folder`. entries: the last one for each output."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.entries = {entry.output: entry for entry in _read(self.path)}

    def clear(self) -> None:
        """Begin anew. RunFailed where the disk refuses."""
        if self.path.exists():
            write_text(self.path, "")
        self.entries = {}

    def append(self, entry: Entry) -> None:
        """Add a case; it is on the disk when this returns. RunFailed where it cannot be."""
        line = json.dumps(asdict(entry)).encode("ascii") + b"\n"
        with as_sentence(self.path), open(self.path, "ab+") as stream:
            if stream.tell() > 0:
                stream.seek(-1, os.SEEK_END)
                line = line if stream.read(1) == b"\n" else b"\n" + line
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
        self.entries[entry.output] = entry


def _read(path: Path) -> list[Entry]:
    if not path.exists():
        return []
    with as_sentence(path):
        lines = path.read_bytes().splitlines()
    return [entry for line in lines if (entry := _entry(line)) is not None]


def _entry(line: bytes) -> Entry | None:
    try:
        entry = Entry(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (entry.input, entry.input_sha256, entry.output)
    numbers = (entry.input_bytes, entry.input_mtime_ns)
    sound = (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int) for number in numbers)
        and isinstance(entry.row, dict)
        and isinstance(entry.files, dict)
        and entry.output in entry.files
        and all(_stays_inside(name) and isinstance(digest, str) for name, digest in entry.files.items())
    )
    return entry if sound else None


def _stays_inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and not path.drive and ".." not in path.parts and "\0" not in name
