"""The record of finished cases: one line of JSON each, appended and flushed to the disk before the next is begun.

Where cases are done in the program's own process, short lines say between which moments a case was in hand: a case that
was when the process died may be what ended it.

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
    """The record in `folder`. entries: the last one for each output. unended: how often a case not done, by its output,
    was in hand when the process died."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.entries: dict[str, Entry] = {}
        self.unended: dict[str, int] = {}
        for line in _lines(self.path):
            if isinstance(mark := _json(line), dict) and set(mark) in ({"begun"}, {"ended"}):
                ((kind, output),) = mark.items()
                self.unended[str(output)] = self.unended.get(str(output), 0) + 1 if kind == "begun" else 0
            elif (entry := _entry(mark)) is not None:
                self.entries[entry.output] = entry
                self.unended.pop(entry.output, None)

    def clear(self) -> None:
        """Begin anew. RunFailed where the disk refuses."""
        if self.path.exists():
            write_text(self.path, "")
        self.entries, self.unended = {}, {}

    def begin(self, output: str) -> None:
        """A case is taken in hand by this process. RunFailed where that cannot be written."""
        self._write({"begun": output})

    def end(self, output: str) -> None:
        """A case taken in hand was not done, but this process lives. RunFailed where that cannot be written."""
        self._write({"ended": output})

    def append(self, entry: Entry) -> None:
        """Add a case; it is on the disk when this returns. RunFailed where it cannot be."""
        self._write(asdict(entry))
        self.entries[entry.output] = entry

    def _write(self, content: dict[str, Any]) -> None:
        line = json.dumps(content).encode("ascii") + b"\n"
        with as_sentence(self.path), open(self.path, "ab+") as stream:
            if stream.tell() > 0:
                stream.seek(-1, os.SEEK_END)
                line = line if stream.read(1) == b"\n" else b"\n" + line
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())


def _lines(path: Path) -> list[bytes]:
    if not path.exists():
        return []
    with as_sentence(path):
        return path.read_bytes().splitlines()


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _entry(content: Any) -> Entry | None:
    try:
        entry = Entry(**content)
    except TypeError:
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
