"""One cohort run a folder: a lock (`imagetranslation.locks`) that its holder touches twice a minute.

It is taken over when its holder is a process of this machine that is gone, or when nobody has touched it for five
minutes (a process killed on another machine).
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

from ..errors import InputError
from ..files import as_sentence
from ..locks import Holder, LockFile, read_holder

LOCK = "cohort.lock"
_TOUCHED_EVERY = 30.0
_ABANDONED_AFTER = 300.0


class CohortLock:
    """Context in which this process alone writes to `folder`. Entering raises InputError where another one does, and
    RunFailed where nothing can be written there.

    name: of the lock's file. token: what stands in the file, so that a process elsewhere can tell that it sees the same
    folder. lost: whether somebody else took the lock over meanwhile (this machine slept); the holder must then stop.
    """

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        self._file = LockFile(folder / name)
        self.path = self._file.path
        self.token = self._file.holder.nonce
        self.lost = False
        self._ended = threading.Event()

    def __enter__(self) -> CohortLock:
        for _ in range(3):
            with as_sentence(self.path):
                if self._file.take():
                    threading.Thread(target=self._keep, name="cohort lock", daemon=True).start()
                    return self
                holder = read_holder(self.path)
                if not (holder is not None and holder.gone()) and (self._file.age() or 0.0) < _ABANDONED_AFTER:
                    raise InputError(_refusal(self.path, holder))
                self._file.set_aside(holder)
        raise InputError(f"Other runs are fighting for {self.path.parent}; wait for them or choose another folder.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._file.release()

    def _keep(self) -> None:
        while not self._ended.wait(_TOUCHED_EVERY):
            if not self._file.is_ours():
                self.lost = True
                return
            self._file.touch()


def _refusal(path: Path, holder: Holder | None) -> str:
    if holder is None:
        return f"Another run seems to have just begun in {path.parent}. If there is none, delete {path}."
    return (
        f"Another run works in {path.parent} since {holder.since}: process {holder.pid} on {holder.host}. "
        f"Wait for it or choose another folder; if it is surely over, delete {path}."
    )
