"""Writing files so that a reader never meets half of one, and naming them by their content.

A file is written under a temporary name in its own folder, flushed to the disk, and renamed; a failure leaves the old
file as it was and no leftover. What a killed process could not take away is taken away by the next successful write to
the same folder.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from .errors import InputError, RunFailed

# Names of temporary files: random, machine, process, what it is, and the end of the final name.
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}-(?P<machine>[0-9a-f]{8})-(?P<process>[0-9]{1,10})\.(partial|previous)\..+")
# A leftover whose process may still run on another machine is removed when nothing touched it for so many seconds.
_ABANDONED_AFTER = 24 * 3600.0


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path with the suffixes of `path`; on leaving without error it becomes `path`.

    Raises RunFailed with one sentence when the folder is missing, not writable or the disk is full.
    """
    target = Path(path)
    temporary = temporary_beside(target)
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        remove_leftovers(target.parent)
    except OSError as error:
        raise RunFailed(_sentence(error, target)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def as_sentence(path: str | Path) -> Iterator[None]:
    """For a file that grows and cannot be renamed into place: an OSError becomes RunFailed with one sentence."""
    try:
        yield
    except OSError as error:
        raise RunFailed(_sentence(error, Path(path))) from error


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new empty folder beside `path`; on leaving without error it becomes `path`, which may not exist before
    unless it is an empty folder.

    Raises RunFailed with one sentence when the parent is missing, not writable or the disk is full.
    """
    target = Path(path)
    temporary = temporary_beside(target)
    try:
        temporary.mkdir()
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        with contextlib.suppress(FileNotFoundError):
            target.rmdir()
        os.replace(temporary, target)
        remove_leftovers(target.parent)
    except OSError as error:
        raise RunFailed(_sentence(error, target)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def temporary_beside(target: Path, kind: str = "partial") -> Path:
    """A new hidden name in the folder of `target`, with its suffixes, that tells whose it is; kind: or "previous"."""
    name = os.fsencode(target.name)[-120:].decode("utf-8", "ignore")
    return target.with_name(f".{uuid.uuid4().hex[:8]}-{this_machine()}-{os.getpid()}.{kind}.{name}")


def remove_leftovers(folder: Path) -> None:
    """Take away the temporary files and folders of ours in `folder` that a killed process left behind.

    Only names made by `temporary_beside`, whose process on this machine is gone or that are a day old. What cannot be
    removed stays: the write that has just succeeded does not fail by it.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if (name := _TEMPORARY.fullmatch(entry.name)) is None or entry.is_symlink():
                continue
            gone = name["machine"] == this_machine() and not _running(int(name["process"]))
            with contextlib.suppress(OSError):
                if gone or time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED_AFTER:
                    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else Path(entry.path).unlink()


@functools.cache
def this_machine() -> str:
    """Eight letters for this machine, or this container: a process number means nothing in another."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


def _running(process: int) -> bool:
    try:
        import psutil
    except ImportError:  # inside Slicer; where there is no /proc either, it cannot be known
        return not Path("/proc/self").exists() or Path(f"/proc/{process}").exists()
    try:
        return bool(psutil.pid_exists(process))
    except OverflowError:  # no process has such a number
        return False


def printable_name(path: str | Path) -> str:
    """The path for a sentence, bytes that are no UTF-8 escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def require_text_name(path: str | Path) -> None:
    """InputError where a path is not UTF-8 (an old archive, another system): ITK ends the process on such names."""
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(
            f"{printable_name(path)} has bytes in its name that are not UTF-8; rename the file or folder."
        ) from None
    if "\0" in os.fspath(path):
        raise InputError("A path holds a zero byte; that is no file name.")


def write_text(path: str | Path, text: str) -> Path:
    """Write UTF-8 text atomically and return the path; what UTF-8 cannot hold (odd file names) is escaped."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    return Path(path)


def make_folder(path: str | Path) -> Path:
    """Create a folder and its parents; RunFailed with one sentence where that is impossible."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFailed(_sentence(error, folder)) from error
    return folder


def sha256_of(path: str | Path, chunk: int = 1 << 20) -> str:
    """Hex SHA-256 of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(chunk):
            digest.update(block)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())


def _sentence(error: OSError, target: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"The disk is full: {target} could not be written; nothing was left behind. Free some space and try again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{target} cannot be written: no permission for {target.parent}. Choose another folder with -o."
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
        blocked = next((p for p in reversed(target.parents) if not p.is_dir()), target)
        return f"{target} cannot be written: {blocked} is not a folder. Choose another one with -o."
    return f"{target} cannot be written: {error.strerror or error}."
