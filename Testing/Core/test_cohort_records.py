"""What a cohort writes down about itself: the frozen settings, the record of finished cases, and the lock."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from imagetranslation import locks
from imagetranslation.cohorts import cases, lock, manifest
from imagetranslation.cohorts.journal import Entry, Journal
from imagetranslation.cohorts.lock import CohortLock
from imagetranslation.errors import InputError, RunFailed
from imagetranslation.jobs import Job

MODEL = {"id": "tiny", "version": "1.0.0", "weights_sha256": "a" * 64, "metadata_sha256": "b" * 64}
FACTS: dict[str, Any] = {
    "model": MODEL, "software": {"imagetranslation": "0.1.0", "torch": "2.0"}, "notes": ["Computed in bfloat16."],
    "device": "cpu", "engine": "torch", "precision": "bfloat16",
}  # fmt: skip
JOB = Job("in", "out")


def an_entry(name: str = "us_synthetic-mr.nrrd", **changes: Any) -> Entry:
    return replace(Entry("/scans/us.nrrd", 12, 34, "c" * 64, name, {name: "d" * 64}, {"status": "done"}), **changes)


# ---- the frozen settings


def test_a_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    made = manifest.settle(JOB, FACTS, 3)
    manifest.write_manifest(tmp_path, made)
    assert manifest.read_manifest(tmp_path) == made
    assert manifest.differences(made, JOB, MODEL, None) == []


@pytest.mark.parametrize(
    ("change", "threads", "named"),
    [
        ({"component": 1}, None, "component not given, now 1"),
        ({"allow_synthetic": True}, None, "allow_synthetic False, now True"),
        ({"mask": "m.nrrd"}, None, "mask"),
        ({"device": "cuda"}, None, "device cpu, now cuda"),
        ({"precision": "float32"}, None, "precision bfloat16, now float32"),
        ({}, 2, "3 threads, now 2"),
    ],
)
def test_what_would_be_made_otherwise_is_named(change: dict[str, Any], threads: int | None, named: str) -> None:
    found = manifest.differences(manifest.settle(JOB, FACTS, 3), replace(JOB, **change), MODEL, threads)
    assert len(found) == 1
    assert named in found[0]


def test_another_file_of_the_model_is_another_model() -> None:
    made = manifest.settle(JOB, FACTS, 3)
    for part in MODEL:
        assert manifest.differences(made, JOB, {**MODEL, part: "other"}, None)


def test_what_auto_became_is_what_a_restart_gets() -> None:
    job = manifest.applied(manifest.settle(JOB, FACTS, 3), JOB)
    assert (job.device, job.engine, job.precision) == ("cpu", "torch", "bfloat16")
    assert job.created is not None
    Job.from_dict(asdict(job))


def test_which_of_several_equal_gpus_did_the_work_makes_no_difference() -> None:
    made = manifest.settle(JOB, {**FACTS, "device": "cuda"}, 1)
    assert manifest.differences(made, replace(JOB, device="cuda:1"), MODEL, None) == []
    assert manifest.applied(made, replace(JOB, device="cuda:1")).device == "cuda:1"


def test_another_version_of_what_computes_is_named() -> None:
    made = manifest.settle(JOB, FACTS, 1)
    assert manifest.software_differences(made, {"imagetranslation": "0.1.0", "torch": "2.1"}) == ["torch 2.0, now 2.1"]


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "{}", '{"format": 2}', "null", "[" * 100_000]
    + [json.dumps({**manifest.settle(JOB, FACTS, 1), **change}) for change in (
        {"threads": 0}, {"threads": 10**9}, {"threads": "1"}, {"created": "yesterday"}, {"created": 5}, {"model": []},
        {"notes": "x"}, {"notes": [1]}, {"device": 1}, {"software": None},
    )],
)  # fmt: skip
def test_a_manifest_that_is_none_is_refused_with_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "cohort.json").write_text(text)
    with pytest.raises(InputError, match="not the record of a cohort"):
        manifest.read_manifest(tmp_path)


# ---- the record of finished cases


def test_a_finished_case_is_found_by_the_next_run(tmp_path: Path) -> None:
    Journal(tmp_path).append(an_entry())
    Journal(tmp_path).append(an_entry("b.nrrd", input="/scans/M\udcfcller.nrrd"))
    found = Journal(tmp_path).entries
    assert found == {e.output: e for e in (an_entry(), an_entry("b.nrrd", input="/scans/M\udcfcller.nrrd"))}


def test_every_cut_of_the_last_line_leaves_the_earlier_ones_and_lets_new_ones_follow(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(an_entry("a.nrrd"))
    whole = journal.path.stat().st_size
    journal.append(an_entry("b.nrrd"))
    content = journal.path.read_bytes()
    for length in range(whole, len(content), 7):
        journal.path.write_bytes(content[:length])
        Journal(tmp_path).append(an_entry("c.nrrd"))
        assert {"a.nrrd", "c.nrrd"} <= set(Journal(tmp_path).entries)


@pytest.mark.parametrize(
    "change",
    [
        {"output": "../out.nrrd", "files": {"../out.nrrd": "d"}},
        {"output": "/etc/passwd", "files": {"/etc/passwd": "d"}},
        {"files": {"other.nrrd": "d"}},
        {"files": ["us_synthetic-mr.nrrd"]},
        {"input_bytes": "12"},
        {"row": 3},
        {"more": 1},
    ],
)
def test_a_line_that_makes_no_sense_counts_for_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "cohort.jsonl").write_text(json.dumps({**asdict(an_entry()), **change}) + "\n")
    assert Journal(tmp_path).entries == {}


# ---- the files themselves


def test_a_copied_scan_is_the_same_and_a_changed_one_is_not(tmp_path: Path) -> None:
    scan, result = tmp_path / "us.nrrd", tmp_path / "mr.nrrd"
    scan.write_bytes(b"voxels")
    result.write_bytes(b"synthetic")
    case = cases.Case(0, scan, result)
    print_ = cases.fingerprint(scan)
    digest = cases.sha256_of(result)
    entry = Entry(str(scan), print_.bytes, print_.mtime_ns, print_.sha256, "mr.nrrd", {"mr.nrrd": digest})
    os.utime(scan, (1, 1))
    assert cases.split([case], tmp_path, {"mr.nrrd": entry})[1] == []
    scan.write_bytes(b"VOXELS")
    assert len(cases.split([case], tmp_path, {"mr.nrrd": entry})[1]) == 1


def test_a_header_counts_with_the_voxels_it_points_to(tmp_path: Path) -> None:
    from imagetranslation.volume import write_volume
    from Testing.packages import an_ultrasound

    scan = write_volume(an_ultrasound(), tmp_path / "us.mhd")
    before = cases.fingerprint(scan)
    data = next(tmp_path.glob("us.*raw"))
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    assert cases.fingerprint(scan).sha256 != before.sha256


# ---- the lock


def a_held_lock(folder: Path, **changes: Any) -> Path:
    """The lock file of another process."""
    path = folder / lock.LOCK
    path.write_text(json.dumps({**asdict(locks.this_holder()), **changes}))
    return path


def test_a_second_run_in_the_same_folder_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with (
        CohortLock(tmp_path) as held,
        pytest.raises(InputError, match=f"process {os.getpid()} on"),
        CohortLock(tmp_path),
    ):
        pass
    assert not held.path.exists()
    with CohortLock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [{"pid": 2**22 + 1}, {"began": 1.0}, {"pid": 10**30}, {"pid": -1}],
    ids=["gone", "number given to another", "no number of a process", "negative"],
)
def test_a_lock_of_a_process_that_is_gone_is_taken_over(tmp_path: Path, changes: dict[str, Any]) -> None:
    a_held_lock(tmp_path, **changes)
    with CohortLock(tmp_path) as held:
        assert locks.read_holder(held.path) == held._file.holder
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_machine_is_respected_until_nobody_touches_it_any_more(tmp_path: Path) -> None:
    path = a_held_lock(tmp_path, machine="elsewhere", host="node7")
    with pytest.raises(InputError, match="node7"), CohortLock(tmp_path):
        pass
    old = time.time() - 1000
    os.utime(path, (old, old))
    with CohortLock(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "half of {", "[]", '{"token": 1, "host": 5}', "\0" * 10000])
def test_a_lock_that_says_nothing_is_respected_for_five_minutes(tmp_path: Path, text: str) -> None:
    (tmp_path / lock.LOCK).write_text(text)
    with pytest.raises(InputError, match="delete"), CohortLock(tmp_path):
        pass
    os.utime(tmp_path / lock.LOCK, (1, 1))
    with CohortLock(tmp_path):
        pass


def test_a_holder_notices_that_its_lock_was_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_TOUCHED_EVERY", 0.02)
    with CohortLock(tmp_path) as held:
        other = a_held_lock(tmp_path)
        end = time.monotonic() + 10
        while not held.lost and time.monotonic() < end:
            time.sleep(0.02)
        assert held.lost
    assert other.exists(), "the other's lock is not this one's to remove"


def test_a_holder_keeps_its_lock_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_TOUCHED_EVERY", 0.02)
    with CohortLock(tmp_path) as held:
        os.utime(held.path, (1, 1))
        end = time.monotonic() + 10
        while held.path.stat().st_mtime < 2 and time.monotonic() < end:
            time.sleep(0.02)
        assert held.path.stat().st_mtime > 2


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: Any) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(locks.os, "open", refusing)
    with pytest.raises(RunFailed, match="no permission"), CohortLock(tmp_path):
        pass


def test_this_process_is_described_by_number_and_start() -> None:
    holder = locks.this_holder()
    assert (holder.pid, holder.began) == (os.getpid(), psutil.Process().create_time())
