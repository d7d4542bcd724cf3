"""One holder at a time: a lock file that names who holds it, on local disks and on network shares alike.

The file is made with O_EXCL, the one lock that every file system has, also a share without any other. A crash does not
leave it shut for ever: a holder that was a process of this machine and is gone can be told. What else frees a lock, and
the words of a refusal, are left to the users: `readerstudy.locks` (one window a reader) and `cohorts.lock` (one run a
folder).
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from .files import temporary_beside, this_machine

_LARGEST = 4096
# Clocks differ by so much between two ways of asking when a process began.
_SAME_START_S = 2.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lock. nonce: of this one taking. machine: digest of the machine (or container). since: ISO UTC.
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
        if not running(self.pid):
            return True
        began = process_began(self.pid)
        return self.began > 0 and began > 0 and abs(began - self.began) > _SAME_START_S


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
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, OverflowError, ValueError):
        return False
    except psutil.Error:
        return True


class LockFile:
    """A lock at `path`, not taken yet. holder: who will hold it. Methods raise OSError where the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.holder = this_holder()

    def take(self) -> bool:
        """Make the file; False where somebody else's is there. It is on the disk, or it is not there at all."""
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(descriptor, json.dumps(asdict(self.holder)).encode("ascii"))
            os.fsync(descriptor)
        except OSError:
            self.path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return True

    def is_ours(self) -> bool:
        """Whether the file is there and still this one's."""
        other = read_holder(self.path)
        return other is not None and other.nonce == self.holder.nonce

    def touch(self) -> None:
        """Renew the file's date, by which others see that somebody is there."""
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def release(self) -> None:
        """Remove the file if it is still this one's."""
        if self.is_ours():
            with contextlib.suppress(OSError):
                self.path.unlink()

    def age(self) -> float | None:
        """Seconds since the lock was touched, by the clock of the disk it lies on; None where it is gone."""
        probe = temporary_beside(self.path)
        try:
            probe.touch()
            return probe.stat().st_mtime - self.path.stat().st_mtime
        except FileNotFoundError:
            return None
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()

    def set_aside(self, stale: Holder | None) -> None:
        """Take away a lock that `read_holder` said to be stale's; if another process has just replaced it by its own,
        that one is put back."""
        aside = temporary_beside(self.path)
        try:
            os.replace(self.path, aside)
        except FileNotFoundError:
            return
        taken = read_holder(aside)
        if taken is not None and (stale is None or taken.nonce != stale.nonce):
            with contextlib.suppress(OSError):
                os.link(aside, self.path)
        with contextlib.suppress(OSError):
            aside.unlink()


def read_holder(path: Path) -> Holder | None:
    """Who is named in a lock file; None where there is none or it cannot be understood."""
    try:
        with open(path, encoding="utf-8") as stream:
            return holder_from(stream.read(_LARGEST))
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
