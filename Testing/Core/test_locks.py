"""Lock files, which readers' windows and cohort runs share: one holder, told apart from a crashed one, on any disk."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from imagetranslation import locks
from imagetranslation.cohorts.lock import LOCK, CohortLock
from imagetranslation.errors import InputError
from imagetranslation.locks import LockFile, holder_from, read_holder, this_holder
from imagetranslation.readerstudy.locks import FileLock


def test_of_many_who_take_it_at_once_one_gets_it_and_gives_it_back(tmp_path: Path) -> None:
    files = [LockFile(tmp_path / "x.lock") for _ in range(12)]
    together = threading.Barrier(len(files))
    taken: list[LockFile] = []

    def take(file: LockFile) -> None:
        together.wait()
        if file.take():
            taken.append(file)

    threads = [threading.Thread(target=take, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    assert read_holder(tmp_path / "x.lock") == taken[0].holder
    for file in files:
        file.release()
        assert not (file is taken[0] and file.path.exists())
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_waits_to_be_reaped_holds_nothing_any_more() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    holder = replace(this_holder(), pid=process.pid, began=locks.process_began(process.pid))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert holder.gone()
    process.wait()
    assert holder.gone()


def test_where_the_start_of_a_process_cannot_be_asked_its_holder_is_not_taken_for_gone(monkeypatch) -> None:
    holder = replace(this_holder(), began=12345.0)
    assert holder.gone()
    monkeypatch.setattr(locks, "process_began", lambda pid: 0.0)
    assert not holder.gone()


def test_a_lock_that_was_replaced_meanwhile_is_put_back(tmp_path: Path) -> None:
    """Two who found the same stale lock: the slower one must not take away what the faster one has just made."""
    path = tmp_path / "x.lock"
    stale, faster, slower = this_holder(), LockFile(path), LockFile(path)
    assert faster.take()
    for told in (stale, None):
        slower.set_aside(told)
        assert faster.is_ours()
        assert not slower.take()
    slower.set_aside(faster.holder)
    assert slower.take()
    assert not faster.is_ours()


def test_age_goes_by_the_clock_of_the_disk(tmp_path: Path, monkeypatch) -> None:
    file = LockFile(tmp_path / "x.lock")
    assert file.age() is None
    file.take()
    assert abs(file.age() or 0) < 60
    then = file.path.stat().st_mtime - 500
    os.utime(file.path, (then, then))
    monkeypatch.setattr("time.time", lambda: 0.0)  # this machine's clock is wrong
    assert 400 < (file.age() or 0) < 600
    file.touch()
    assert abs(file.age() or 0) < 60


@pytest.mark.parametrize("write", ["write", "fsync"])
def test_on_a_full_disk_no_half_lock_is_left(tmp_path: Path, monkeypatch, write: str) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(locks.os, write, full)
    with pytest.raises(OSError, match="No space"):
        LockFile(tmp_path / "x.lock").take()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"nonce": 1}', "\0" * 9000, '{"pid": "x"}'])
def test_what_is_no_lock_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.lock").write_text(text)
    assert read_holder(tmp_path / "x.lock") is holder_from(text) is None


def test_readers_and_cohorts_keep_their_locks_on_a_share_without_links_and_locks(tmp_path: Path, monkeypatch) -> None:
    """Such a share has neither hard links nor fcntl; O_EXCL it has."""

    def none(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(locks.os, "link", none)
    monkeypatch.setattr("fcntl.lockf", none)
    monkeypatch.setattr("fcntl.flock", none)
    gone = asdict(replace(this_holder(), pid=2**22 + 1))
    for name in ("R1.lock", LOCK):
        (tmp_path / name).write_text(json.dumps(gone))
    reader = FileLock(tmp_path, "R1")
    with CohortLock(tmp_path) as cohort:
        assert read_holder(cohort.path) is not None
        with pytest.raises(InputError, match="already open"):
            FileLock(tmp_path, "R1")
        with pytest.raises(InputError, match="Another run"), CohortLock(tmp_path):
            pass
    reader.release()
    assert list(tmp_path.iterdir()) == []
