"""One window for one reader: a lock (`imagetranslation.locks`) that names who holds it, and is taken over by a person.

Every write checks that the lock is still one's own, so that two writers cannot both believe in it. It does not lapse by
time: a window may stand open for hours without an answer.
"""

from __future__ import annotations

import time
from pathlib import Path

from ..errors import InputError, RunFailed
from ..locks import Holder, LockFile, holder_from, read_holder

SUFFIX = ".lock"
# A file that names nobody is one that is just being made, for so long.
_YOUNG_S = 5.0


class TakenOver(RunFailed):
    """Another window has the reader now; trying again does not help."""


def refusal(reader: str, holder: Holder) -> str:
    """The sentence for a second window."""
    return (
        f"{reader} is already open on {holder.text()}; close that window first. If that computer has crashed, open "
        "the reading again and take over."
    )


class FileLock:
    """The lock of one reader in a folder of journals, held from construction to `release`.

    take_over: take it even from a holder who may still be there (a person said that the other computer has crashed);
    that window then refuses to write. Raises InputError naming the holder, or RunFailed where nothing can be written.
    """

    def __init__(self, folder: Path, reader: str, take_over: bool = False) -> None:
        self._file = LockFile(folder / (reader + SUFFIX))
        self._reader = reader
        try:
            if self._taken(take_over):
                return
        except OSError as error:
            raise RunFailed(
                f"Answers cannot be saved in {folder}: {error.strerror or error}. The reading is not opened."
            ) from error
        raise InputError(f"{reader} is being opened elsewhere at this moment; try again.")

    @property
    def holder(self) -> Holder:
        """Who holds this lock."""
        return self._file.holder

    def require(self) -> None:
        """RunFailed unless the lock is still this one's."""
        path = self._file.path
        try:
            other = holder_from(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            other = None
        except OSError as error:
            if isinstance(error, FileNotFoundError) and path.parent.is_dir():
                other = None
            else:
                raise RunFailed(
                    f"The answer is not saved: {path.parent} cannot be reached ({error.strerror}). Try again."
                ) from error
        if other is None or other.nonce != self.holder.nonce:
            by = f" by {other.text()}" if other is not None else ""
            raise TakenOver(
                f"The reading of {self._reader} was taken over{by}; nothing more is saved from this window. Close it."
            )

    def touch(self) -> None:
        """Renew the lock file's date."""
        self._file.touch()

    def release(self) -> None:
        """Remove the lock file if it is still this one's."""
        self._file.release()

    def _taken(self, take_over: bool) -> bool:
        for _ in range(3):
            if self._file.take():
                return True
            other = read_holder(self._file.path)
            if other is not None and not take_over and not other.gone():
                raise InputError(refusal(self._reader, other))
            if other is None and not take_over and (self._file.age() or 0.0) < _YOUNG_S:
                time.sleep(0.2)
                continue
            self._file.set_aside(other)
        return False
