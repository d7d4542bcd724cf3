"""Where answers are kept: the `Store` protocol, and the embedded store, a folder of journals.

The PostgreSQL store for hosted studies is `postgres`. A store keeps entries and freezes the manifest at the first one;
what is in an entry is `session`'s matter.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Protocol

from ..errors import InputError, RunFailed
from ..locks import Holder, read_holder
from .chain import History, first_digest
from .journal import SUFFIX, JournalWriter, disk_sentence, read_journal, sync_folder
from .locks import SUFFIX as LOCK_SUFFIX
from .locks import FileLock
from .readingset import ReadingSet

FROZEN = "frozen.json"


class Writer(Protocol):
    """The one place that writes for a reader. history: as it was at opening. warnings: sentences for the reader."""

    history: History
    warnings: tuple[str, ...]

    def append(self, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Keep entries for good, all or none, and return them as kept; RunFailed in one sentence otherwise."""

    def touch(self) -> None:
        """Say that this writer is still there; RunFailed where another took over."""

    def close(self) -> None:
        """Let others open the reader."""


class Store(Protocol):
    """Keeps the answers of one study version (one manifest)."""

    def history(self, reader: str) -> History:
        """What is kept of a reader, without opening it for writing."""

    def open(self, reader: str, take_over: bool = False) -> Writer:
        """Open for writing; InputError naming who has the reader open, where somebody has."""

    def holder(self, reader: str) -> Optional[Holder]:
        """Who has the reader open, or None."""

    def frozen(self) -> str:
        """SHA-256 of the manifest the first answer froze, or ""."""

    def freeze(self) -> None:
        """Bind the answers to the manifest; InputError where they are bound to another one."""

    def close(self) -> None:
        """Give connections back."""


class FolderStore:
    """Journals in `<reading set>/answers`."""

    def __init__(self, reading: ReadingSet) -> None:
        self._reading = reading
        self._folder = reading.answers

    def history(self, reader: str) -> History:
        """See `Store`."""
        return read_journal(self._folder, reader, self._first(reader))

    def open(self, reader: str, take_over: bool = False) -> JournalWriter:
        """See `Store`."""
        new = not self._folder.is_dir()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFailed(f"Answers cannot be saved in {self._folder}: {error.strerror}.") from error
        if new:
            sync_folder(self._folder.parent)
        require_unchanged(self.frozen(), self._reading)
        lock = FileLock(self._folder, reader, take_over)
        try:
            return JournalWriter(self._folder, reader, self._first(reader), lock)
        except BaseException:
            lock.release()
            raise

    def holder(self, reader: str) -> Optional[Holder]:
        """See `Store`."""
        holder = read_holder(self._folder / (reader + LOCK_SUFFIX))
        return None if holder is None or holder.gone() else holder

    def frozen(self) -> str:
        """See `Store`."""
        file = self._folder / FROZEN
        try:
            return str(json.loads(file.read_text(encoding="utf-8"))["manifest_sha256"]) if file.exists() else ""
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{file} is damaged ({type(error).__name__}); put it back from a copy.") from error

    def freeze(self) -> None:
        """See `Store`."""
        if not self.frozen():
            self._write_frozen()
        require_unchanged(self.frozen(), self._reading)

    def close(self) -> None:
        """See `Store`; a folder needs none."""

    def _write_frozen(self) -> None:
        """Make the file whole or not at all, and never over another reader's: written aside, then linked in place."""
        made = {"study": self._reading.study, "version": self._reading.version, "manifest_sha256": self._reading.sha256}
        aside = self._folder / f".{os.getpid()}-{os.urandom(4).hex()}-{FROZEN}"
        try:
            with open(aside, "x", encoding="utf-8") as stream:
                stream.write(json.dumps(made) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            try:
                os.link(aside, self._folder / FROZEN)
            except FileExistsError:
                return
            except OSError:  # a share without hard links
                os.replace(aside, self._folder / FROZEN)
            sync_folder(self._folder)
        except OSError as error:
            raise RunFailed(disk_sentence(error, self._folder / FROZEN)) from error
        finally:
            with contextlib.suppress(OSError):  # a folder that became read-only
                aside.unlink(missing_ok=True)

    def _first(self, reader: str) -> str:
        if reader not in self._reading.readers:
            self._reading.trials(reader)  # says who there is
        return first_digest(self._reading.study, self._reading.sha256, reader)


def require_unchanged(frozen: str, reading: ReadingSet) -> None:
    """InputError where answers were given to another manifest than this one."""
    if frozen and frozen != reading.sha256:
        raise InputError(
            f"The reading set of {reading.study} was changed after the first answer; put {reading.folder} back as it "
            "was, or make a new version with `imagetranslation study revise`."
        )


def journal_readers(folder: Path) -> list[str]:
    """The readers who have a journal in a folder."""
    return sorted(path.name[: -len(SUFFIX)] for path in folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
