"""One window for one reader: a lock that names who holds it, and that a crash does not leave shut for ever.

A lock file is made with O_EXCL, which holds on network shares that have no other locks. Every write checks that the
lock is still one's own, so that two writers cannot both believe in it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import InputError, RunFailed
from ..files import this_machine

SUFFIX = ".lock"


class TakenOver(RunFailed):
    """Another window has the reader now; trying again does not help."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock. nonce: of this one opening. machine: digest of the machine (or container). since: ISO UTC.
    began: start of the process in seconds since 1970, 0 where unknown."""

    nonce: str
    host: str
    machine: str
    pid: int
    began: float
    since: str

    def text(self) -> str:
        """For a sentence: host, process and time."""
        return f"{self.host} (process {self.pid}, since {self.since})"

    def gone(self) -> bool:
        """Whether it is certain that the holder has ended: its process on this machine does not run any more."""
        if self.machine != this_machine():
            return False
        return not running(self.pid) or (self.began > 0 and abs(process_began(self.pid) - self.began) > 2)


def this_holder() -> Holder:
    """A new holder for this process."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    pid = os.getpid()
    return Holder(uuid.uuid4().hex, platform.node() or "unknown", this_machine(), pid, process_began(pid), now)


def process_began(pid: int) -> float:
    """When a process of this machine began, seconds since 1970; 0.0 where that cannot be known."""
    try:
        import psutil
    except ImportError:  # inside Slicer
        return 0.0
    try:
        return float(psutil.Process(pid).create_time())
    except (psutil.Error, OverflowError, ValueError):
        return 0.0


def running(pid: int) -> bool:
    """Whether a process of that number runs on this machine; True where that cannot be known."""
    try:
        import psutil
    except ImportError:
        return not Path("/proc/self").exists() or Path(f"/proc/{pid}").exists()
    try:
        return bool(psutil.pid_exists(pid))
    except (OverflowError, ValueError):
        return False


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
        self._path = folder / (reader + SUFFIX)
        self._reader = reader
        self.holder = this_holder()
        for _ in range(3):
            if self._create():
                return
            other = read_holder(self._path)
            if other is not None and not take_over and not other.gone():
                raise InputError(refusal(reader, other))
            if other is None and not take_over and self._young():
                # Another window is just making it.
                time.sleep(0.2)
                continue
            self._set_aside(other)
        raise InputError(f"{reader} is being opened elsewhere at this moment; try again.")

    def require(self) -> None:
        """RunFailed unless the lock is still this one's."""
        try:
            other = holder_from(self._path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            other = None
        except OSError as error:
            if isinstance(error, FileNotFoundError) and self._path.parent.is_dir():
                other = None
            else:
                raise RunFailed(
                    f"The answer is not saved: {self._path.parent} cannot be reached ({error.strerror}). Try again."
                ) from error
        if other is None or other.nonce != self.holder.nonce:
            by = f" by {other.text()}" if other is not None else ""
            raise TakenOver(
                f"The reading of {self._reader} was taken over{by}; nothing more is saved from this window. Close it."
            )

    def touch(self) -> None:
        """Renew the lock file's date."""
        with contextlib.suppress(OSError):
            os.utime(self._path)

    def release(self) -> None:
        """Remove the lock file if it is still this one's."""
        other = read_holder(self._path)
        if other is not None and other.nonce == self.holder.nonce:
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _create(self) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            descriptor = os.open(self._path, flags, 0o644)
        except FileExistsError:
            return False
        except OSError as error:
            raise RunFailed(
                f"Answers cannot be saved in {self._path.parent}: {error.strerror or error}. The reading is not opened."
            ) from error
        try:
            os.write(descriptor, json.dumps(asdict(self.holder)).encode("ascii"))
            os.fsync(descriptor)
        except OSError as error:
            self._path.unlink(missing_ok=True)
            raise RunFailed(
                f"Answers cannot be saved in {self._path.parent}: {error.strerror or error}. The reading is not opened."
            ) from error
        finally:
            os.close(descriptor)
        return True

    def _young(self) -> bool:
        try:
            return time.time() - self._path.stat().st_mtime < 5
        except OSError:
            return True

    def _set_aside(self, stale: Holder | None) -> None:
        """Take a stale lock away; if another process has just replaced it by its own, put that one back."""
        aside = self._path.with_name(f".{self.holder.nonce[:8]}{SUFFIX}")
        try:
            os.replace(self._path, aside)
        except FileNotFoundError:
            return
        taken = read_holder(aside)
        if taken is not None and stale is not None and taken.nonce != stale.nonce:
            with contextlib.suppress(OSError):
                os.link(aside, self._path)
        aside.unlink(missing_ok=True)


def read_holder(path: Path) -> Holder | None:
    """Who is named in a lock file; None where there is none or it cannot be understood."""
    try:
        return holder_from(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def holder_from(text: str) -> Holder | None:
    """The holder in a lock's JSON; None where it is none."""
    try:
        made = json.loads(text)
        return Holder(
            str(made["nonce"]),
            str(made["host"])[:100],
            str(made["machine"]),
            int(made["pid"]),
            float(made["began"]),
            str(made["since"])[:40],
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
