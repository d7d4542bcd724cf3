"""A reader's journal file, `answers/<reader>.jsonl`: it only grows, and an entry is on the disk before it counts.

Reading tolerates an end that a crash cut off and reports it; a chain that does not hold is reported and never mended.
What stands in an entry is `session`'s matter, who may write is `locks`'.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError, RunFailed
from .chain import DIGEST, Finding, History, link_fault, linked, to_line
from .locks import FileLock
from .soundness import parse_json

SUFFIX, HEAD_SUFFIX = ".jsonl", ".head"
# An empty hidden file `.<reader>.known` tells that there was a journal, where somebody deleted it and its note.
_KNOWN_SUFFIX = ".known"
_LARGEST = 512 << 20
# An entry of this kind follows what a crash cut off: how many bytes, their digest, and how many entries are missing.
RECOVERED = "recovered"


def read_journal(folder: Path, reader: str, first: str) -> History:
    """The sound entries of a reader's journal and what was found; an absent file is an empty history.

    first: `chain.first_digest`. Raises InputError where the file cannot be read at all.
    """
    path = folder / (reader + SUFFIX)
    try:
        if not path.exists():
            return _without_journal(_with_head(folder, History(reader)), _known(folder, reader).exists())
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is larger than {_LARGEST >> 20} MiB; that is no journal.")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    return _with_head(folder, parsed(content, reader, first, path.name))


def parsed(content: bytes, reader: str, first: str, name: str) -> History:
    """The history in the bytes of a journal file; `name` is for sentences.

    A damaged end is tolerated. Damage further up is tolerated only where a later entry accounts for it, byte for byte;
    anything else is a broken chain, and nothing behind it counts.
    """
    entries: list[Mapping[str, Any]] = []
    findings: list[Finding] = []
    lines = content.split(b"\n")
    previous, number = first, 0
    while number < len(lines) - (not lines[-1]):
        entry = _entry(lines[number])
        fault = "cannot be read" if entry is None else link_fault(entry, len(entries) + 1, previous)
        if not fault and entry is not None:
            if entry.get("kind") == RECOVERED:
                findings.append(Finding("torn", f"{name}, line {number + 1}: {_recovered_text(entry)}"))
            entries.append(entry)
            previous, number = str(entry[DIGEST]), number + 1
            continue
        end = sum(len(line) + 1 for line in lines[:number])
        later = next((n for n in range(number + 1, len(lines)) if _entry(lines[n]) is not None), None)
        cut_off = entry is None or number == len(lines) - 1
        if later is None and cut_off:
            torn = content[end:]
            text = (
                f"{name}: its last {len(torn)} bytes were cut off or damaged, as by a crash; what is before is whole."
            )
            return History(reader, tuple(entries), (*findings, Finding("torn", text)), end, torn)
        if later is None or not _accounts(_entry(lines[later]), b"\n".join(lines[number:later])):
            findings.append(Finding("broken", f"{name}, line {number + 1} {fault}."))
            return History(reader, tuple(entries), tuple(findings), end)
        number = later
    return History(reader, tuple(entries), tuple(findings), len(content))


class JournalWriter:
    """The one writer of a reader's journal. `history` is what was there when it was opened.

    Opening takes the lock and, where a crash had cut off the end, says so in the journal with the first entry written.
    """

    def __init__(self, folder: Path, reader: str, first: str, lock: FileLock) -> None:
        self.history = read_journal(folder, reader, first)
        self.warnings: tuple[str, ...] = tuple(f.text for f in self.history.findings if f.code != "broken")
        if self.history.broken:
            raise InputError(
                f"The journal of {reader} is damaged: {self.history.broken} Nothing was changed and nothing more is "
                "written into it; tell the coordinator, who looks with `imagetranslation study verify`."
            )
        self._path = folder / (reader + SUFFIX)
        self._lock = lock
        entries = self.history.entries
        self._count = len(entries)
        self._previous = str(entries[-1][DIGEST]) if entries else first
        self._size = self.history.end + len(self.history.torn)
        self._mended = not (self.history.torn or any(f.code == "short" for f in self.history.findings))
        # A whole last entry of which a crash took the line's end only.
        self._open_line = bool(self._size) and not self.history.torn and not self._ends_in_newline()

    def append(self, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Write entries and return them as written, once they are on the disk; all of them or an error.

        Raises RunFailed in one sentence where the disk is full or cannot be written, or where somebody else wrote to
        the journal: the caller keeps the answer and may try again.
        """
        self._lock.require()
        made: list[dict[str, Any]] = []
        if not self._mended:
            entries = [self._recovery(entries[0].get("utc", "")), *entries]
        previous = self._previous
        for number, entry in enumerate(entries, self._count + 1):
            made.append(linked(entry, number, previous))
            previous = str(made[-1][DIGEST])
        torn = self.history.torn if not self._mended else b""
        before = b"\n" if self._open_line or (torn and not torn.endswith(b"\n")) else b""
        written = self._write(before + b"".join(to_line(entry) for entry in made))
        self._count, self._previous, self._size = self._count + len(made), previous, self._size + written
        self._mended, self._open_line = True, False
        self._note_head()
        return made if len(made) == len(entries) else made[1:]

    def touch(self) -> None:
        """Say that this writer is still there; RunFailed where another took over."""
        self._lock.require()
        self._lock.touch()

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def _recovery(self, utc: object) -> dict[str, Any]:
        torn = self.history.torn.removesuffix(b"\n")
        return {
            "kind": RECOVERED,
            "utc": utc,
            "torn_bytes": len(torn),
            "torn_sha256": hashlib.sha256(torn).hexdigest(),
            "missing": self.history.missing or (0 if self.history.torn else "all"),
        }

    def _ends_in_newline(self) -> bool:
        with open(self._path, "rb") as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) == b"\n"

    def _write(self, content: bytes) -> int:
        """Append and flush to the disk; on failure the file gets its old length back, or the error says otherwise."""
        try:
            new = not self._path.exists()
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        except OSError as error:
            raise RunFailed(disk_sentence(error, self._path)) from error
        try:
            if os.lseek(descriptor, 0, os.SEEK_END) != self._size:
                raise RunFailed(
                    f"{self._path.name} was written to by another program since it was opened; nothing more is written "
                    "from here. Close this window and open the reading again."
                )
            _write_all(descriptor, content)
            os.fsync(descriptor)
        except OSError as error:
            # What was not acknowledged goes away again, so that a second try does not follow half a line.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, self._size)
                os.fsync(descriptor)
            raise RunFailed(disk_sentence(error, self._path)) from error
        finally:
            os.close(descriptor)
        if new:
            sync_folder(self._path.parent)
        return len(content)

    def _note_head(self) -> None:
        """Beside the journal: how many entries it has and the last digest, so that a lost end is noticed.

        The answers are safe already, so a failure here is a warning and not an error.
        """
        try:
            with open(self._path.with_suffix(HEAD_SUFFIX), "w", encoding="ascii") as stream:
                stream.write(f"{self._count:10d} {self._previous}\n")
            _known(self._path.parent, self.history.reader).touch()
        except OSError as error:
            text = f"{self._path.with_suffix(HEAD_SUFFIX).name} could not be written: {error.strerror}."
            if text not in self.warnings:
                self.warnings = (*self.warnings, text)


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of files to the disk (not possible on Windows, nor needed there)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network shares cannot
            raise RunFailed(disk_sentence(error, folder)) from error
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _entry(line: bytes) -> Optional[dict[str, Any]]:
    try:
        made = parse_json(line, "")
    except InputError:
        return None
    return made if isinstance(made, dict) else None


def _accounts(entry: Optional[Mapping[str, Any]], skipped: bytes) -> bool:
    """Whether an entry says that exactly these bytes before it were damaged."""
    digest = hashlib.sha256(skipped).hexdigest()
    return (
        entry is not None
        and entry.get("kind") == RECOVERED
        and entry.get("torn_bytes") == len(skipped)
        and entry.get("torn_sha256") == digest
    )


def _recovered_text(entry: Mapping[str, Any]) -> str:
    parts = []
    if entry.get("torn_bytes"):
        parts.append(f"{entry['torn_bytes']} bytes before it were cut off by a crash")
    if entry.get("missing"):
        parts.append(f"{entry['missing']} entries before it were lost")
    return " and ".join(parts) + " and reading went on." if parts else "reading went on after a crash."


def _with_head(folder: Path, history: History) -> History:
    """The history, with a finding where the note beside the journal knows of more entries than are there."""
    path = folder / (history.reader + HEAD_SUFFIX)
    try:
        text = path.read_text(encoding="ascii") if path.exists() else ""
    except (OSError, UnicodeDecodeError):
        text = ""
    note = re.fullmatch(r" *([0-9]{1,10}) ([0-9a-f]{64})\n", text)
    if note is None or history.broken:
        return history
    known, have = int(note[1]), len(history.entries)
    digests = [str(entry[DIGEST]) for entry in history.entries]
    if known > have:
        # A later journal that says "recovered" has accounted for it.
        lost = f"{history.reader}{SUFFIX}: {known - have} acknowledged entries at its end are missing."
        found = (*history.findings, Finding("short", lost))
        return History(history.reader, history.entries, found, history.end, history.torn, known - have)
    if known and digests[known - 1] != note[2]:
        text = f"{history.reader}{SUFFIX}: entry {known} is not the one that was acknowledged."
        return History(history.reader, history.entries, (*history.findings, Finding("broken", text)), history.end)
    return history


def _known(folder: Path, reader: str) -> Path:
    return folder / f".{reader}{_KNOWN_SUFFIX}"


def _without_journal(history: History, known: bool) -> History:
    """The empty history, with a finding where there was a journal once."""
    if not (history.missing or known):
        return history
    lost = f", and with it {history.missing} acknowledged entries" if history.missing else ""
    name = history.reader
    text = f"{name}{SUFFIX} is missing{lost}, although {name} has read here; put it back from a copy."
    return History(history.reader, findings=(Finding("short", text),), missing=history.missing)


def disk_sentence(error: OSError, path: Path) -> str:
    """Why an answer could not be written to `path`, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"The disk is full: the answer is not saved yet. Free some space for {path.parent} and try again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"The answer is not saved: {path.parent} cannot be written. Tell the coordinator, or try again."
    return f"The answer is not saved: {path} cannot be written ({error.strerror or error}). Try again."
