"""One cohort run a folder: a lock file that names its holder, on local disks and on network shares alike.

The file is made with O_EXCL, the one lock that every file system has. Its holder touches it twice a minute. It is
taken over when its holder is a process of this machine that is gone, or when nobody has touched it for five minutes
(a process killed on another machine).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import uuid
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import InputError, RunFailed
from ..files import as_sentence, temporary_beside, this_machine

LOCK = "cohort.lock"
_TOUCHED_EVERY = 30.0
_ABANDONED_AFTER = 300.0


class CohortLock:
    """Context in which this process alone writes to `folder`. Entering raises InputError where another one does.

    token: what stands in the file, so that a process elsewhere can tell that it sees the same folder. lost: whether
    somebody else took the lock over meanwhile (this machine slept); the holder must then stop.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self.token = uuid.uuid4().hex
        self.lost = False
        self._ended = threading.Event()

    def __enter__(self) -> CohortLock:
        for _ in range(3):
            if self._taken():
                threading.Thread(target=self._keep, name="cohort lock", daemon=True).start()
                return self
            self._clear_abandoned()
        raise InputError(f"Other runs are fighting for {self.path.parent}; wait for them or choose another folder.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._is_ours():
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _taken(self) -> bool:
        with as_sentence(self.path):
            try:
                descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                return False
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                    stream.write(json.dumps({"token": self.token, **_this_process()}))
            except OSError:
                self.path.unlink()
                raise
        return True

    def _clear_abandoned(self) -> None:
        """Take away a lock whose holder is gone; InputError that names the holder otherwise."""
        holder = read_lock(self.path)
        if not _is_gone(holder) and (self._age() or 0.0) < _ABANDONED_AFTER:
            raise InputError(_refusal(self.path, holder))
        aside = temporary_beside(self.path)
        with as_sentence(self.path):
            try:
                os.replace(self.path, aside)
            except FileNotFoundError:
                return
        if read_lock(aside) != holder:
            # Between reading and renaming another run cleared the old lock and made its own: give that one back.
            with contextlib.suppress(OSError):
                os.link(aside, self.path)
        with contextlib.suppress(OSError):
            aside.unlink()

    def _age(self) -> float | None:
        """Seconds since the lock was touched, by the clock of the disk it lies on; None where it is gone."""
        probe = temporary_beside(self.path)
        try:
            probe.touch()
            return probe.stat().st_mtime - self.path.stat().st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunFailed(
                f"{self.path.parent} cannot be written: {error.strerror}. Choose another one with -o."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()

    def _keep(self) -> None:
        while not self._ended.wait(_TOUCHED_EVERY):
            if not self._is_ours():
                self.lost = True
                return
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def _is_ours(self) -> bool:
        return read_lock(self.path).get("token") == self.token


def read_lock(path: Path) -> dict[str, Any]:
    """What stands in a lock file; empty where there is none or it makes no sense."""
    try:
        found = json.loads(path.read_text(encoding="utf-8", errors="replace")[:4096])
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _this_process() -> dict[str, Any]:
    import psutil

    return {
        "host": platform.node(),
        "machine": this_machine(),
        "process": os.getpid(),
        "started": psutil.Process().create_time(),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine and is no longer there (its number may be another's by now)."""
    import psutil

    number, started = holder.get("process"), holder.get("started")
    if holder.get("machine") != this_machine() or not isinstance(number, int) or not isinstance(started, (int, float)):
        return False
    try:
        process = psutil.Process(number)
        return abs(process.create_time() - started) > 2 or process.status() == psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, OverflowError, ValueError):
        return True
    except psutil.AccessDenied:
        return False


def _refusal(path: Path, holder: dict[str, Any]) -> str:
    if not isinstance(holder.get("host"), str):
        return f"Another run seems to have just begun in {path.parent}. If there is none, delete {path}."
    since = str(holder.get("since", "an unknown time"))[:40]
    return (
        f"Another run works in {path.parent} since {since}: process {holder.get('process')} on {holder['host'][:80]}. "
        f"Wait for it or choose another folder; if it is surely over, delete {path}."
    )
