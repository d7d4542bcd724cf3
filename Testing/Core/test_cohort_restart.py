"""A cohort that is run again: what is done and verified is kept, everything else is made, byte for byte the same."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagetranslation.cohorts import Watcher, journal, run_cohort, work
from imagetranslation.cohorts.manifest import MANIFEST
from imagetranslation.errors import Cancelled, InputError, ModelRefused, RunFailed
from imagetranslation.jobs import Job
from imagetranslation.volume import read_volume, write_volume
from Testing.Core.cohort_runs import PLAIN, a_model, a_slow_model, made, run, some_scans, start, until
from Testing.packages import an_ultrasound, make_package


class Told(Watcher):
    """Keeps what a cohort tells."""

    def __init__(self) -> None:
        self.taken_up: list[str] = []
        self.notes: list[str] = []
        self.counts = (0, 0)

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def started(self, cases: int, done: int) -> None:
        self.counts = (cases, done)

    def begun(self, worker: str, name: str) -> None:
        self.taken_up.append(name)


Translate = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return a_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return some_scans(tmp_path / "scans")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def translate(tiny: str, scans: Path, out: Path) -> Translate:
    """Run the cohort of `scans` in this process; options as those of Job and of run_cohort."""

    def runs(watcher: Watcher | None = None, cancelled: Any = None, threads: int | None = None, **job: Any) -> list:
        template = Job("", "", **{"model": tiny, **job})
        return run_cohort(sorted(scans.iterdir()), template, out, watcher=watcher, cancelled=cancelled, threads=threads)

    return runs


def test_a_second_run_makes_nothing_anew(translate: Translate, out: Path) -> None:
    first = translate()
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix != ".csv"}
    told = Told()
    second = translate(told)
    assert told.counts == (3, 3)
    assert told.taken_up == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [row["sha256"] for row in second] == [row["sha256"] for row in first]


def test_all_results_bear_the_time_the_cohort_was_begun(translate: Translate, out: Path) -> None:
    translate()
    begun = json.loads((out / MANIFEST).read_text())["created"]
    assert {json.loads(path.read_text())["created"] for path in out.glob("*_synthetic-mr.json")} == {begun}


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no image at all"),
    ],
    ids=["gone", "cut short", "empty", "overwritten"],
)
@pytest.mark.parametrize("name", ["us1_synthetic-mr.nrrd", "us1_synthetic-mr.json"])
def test_a_result_that_came_to_harm_is_made_again(
    translate: Translate, out: Path, name: str, harm: Callable[[Path], Any]
) -> None:
    translate()
    whole = made(out)
    harm(out / name)
    if name.endswith(".json") and (out / name).exists():
        # Text that is not ours beside an image may belong to somebody: the case is refused by name, not overwritten.
        rows = translate()
        assert "belongs to something else" in rows[1]["message"]
        (out / name).unlink()
    told = Told()
    translate(told)
    assert told.taken_up == ["us1.nrrd"]
    assert made(out) == whole


def test_a_scan_put_in_the_place_of_a_result_is_kept(translate: Translate, out: Path) -> None:
    translate()
    own = write_volume(an_ultrasound(seed=9), out / "us1_synthetic-mr.nrrd")
    (out / "us1_synthetic-mr.json").unlink(missing_ok=True)
    before = own.read_bytes()
    rows = translate()
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert "is not a synthetic image" in rows[1]["message"]
    assert own.read_bytes() == before


def test_a_changed_scan_is_translated_again_and_a_touched_one_is_not(
    translate: Translate, scans: Path, out: Path
) -> None:
    first = translate()
    os.utime(scans / "us0.nrrd", (5, 5))
    write_volume(an_ultrasound(seed=50), scans / "us2.nrrd")
    told = Told()
    second = translate(told)
    assert told.taken_up == ["us2.nrrd"]
    assert second[2]["sha256"] != first[2]["sha256"]


def test_more_scans_may_come_and_earlier_results_keep_their_names(translate: Translate, scans: Path, out: Path) -> None:
    translate()
    before = made(out)
    write_volume(an_ultrasound(seed=8), scans / "us0.nii.gz")
    told = Told()
    rows = translate(told)
    assert told.taken_up == ["us0.nii.gz"]
    assert len(rows) == 4
    assert before.items() <= made(out).items()


def test_another_model_or_other_settings_are_refused_in_the_same_folder(
    translate: Translate, out: Path, tmp_path: Path
) -> None:
    translate()
    before = made(out)
    other = str(make_package(tmp_path / "other", seed=1).path)
    for change, named in (({"model": other}, "model tiny"), ({"component": 0}, "component")):
        with pytest.raises(InputError, match=named) as refusal:
            translate(**change)
        assert "--overwrite" in str(refusal.value)
    with pytest.raises(InputError, match="threads"):
        translate(threads=7)
    assert made(out) == before


def test_other_versions_of_what_computes_are_refused(translate: Translate, out: Path) -> None:
    translate()
    manifest = json.loads((out / MANIFEST).read_text())
    manifest["software"]["torch"] = "1.0"
    (out / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"torch 1\.0, now"):
        translate()


def test_overwrite_begins_anew_with_another_model(translate: Translate, out: Path, tmp_path: Path) -> None:
    first = translate()
    other = str(make_package(tmp_path / "other", seed=1).path)
    told = Told()
    rows = translate(told, model=other, overwrite=True)
    assert told.counts == (3, 0)
    assert all(row["sha256"] != earlier["sha256"] for row, earlier in zip(rows, first))
    assert translate(told, model=other) == [{**row, "before": True} for row in rows]


def test_a_case_that_failed_is_tried_again(translate: Translate, scans: Path) -> None:
    whole = (scans / "us1.nrrd").read_bytes()
    (scans / "us1.nrrd").write_bytes(whole[:-50])
    assert [row["status"] for row in translate()] == ["done", "failed", "done"]
    (scans / "us1.nrrd").write_bytes(whole)
    told = Told()
    assert {row["status"] for row in translate(told)} == {"done"}
    assert told.taken_up == ["us1.nrrd"]


def test_a_cancelled_cohort_keeps_what_is_done_and_goes_on(translate: Translate, out: Path) -> None:
    told = Told()
    with pytest.raises(Cancelled, match="1 of 3 are done and kept"):
        translate(told, cancelled=lambda: len(told.taken_up) > 1)
    with (out / "translations.csv").open(newline="") as stream:
        assert [row["status"] for row in csv.DictReader(stream)] == ["done", "cancelled"]
    again = Told()
    translate(again)
    assert again.taken_up == ["us1.nrrd", "us2.nrrd"]


def test_a_refused_model_ends_a_cohort_at_once(translate: Translate, out: Path, tiny: str, tmp_path: Path) -> None:
    damaged = shutil.copytree(tiny, tmp_path / "damaged")
    with (damaged / "weights.safetensors").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ModelRefused, match="SHA-256"):
        translate(model=str(damaged))
    assert list(out.glob("*synthetic*")) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_a_disk_that_fills_up_fails_cases_by_a_sentence_and_keeps_the_table(
    tiny: str, scans: Path, out: Path, tmp_path: Path
) -> None:
    write_volume(an_ultrasound((60, 64, 64)), scans / "large.nrrd")
    command = [sys.executable, "-m", "imagetranslation", "translate", scans, "-o", out, "-m", tiny, "--workers", "1"]
    limited = ["bash", "-c", 'ulimit -f 40; exec "$@"', "bash", *map(str, command)]
    ran = subprocess.run(limited, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 4
    assert "Traceback" not in ran.stderr
    with (out / "translations.csv").open(newline="") as stream:
        rows = {Path(row["input"]).name: row for row in csv.DictReader(stream)}
    assert "The disk is full" in rows.pop("large.nrrd")["message"]
    assert {row["status"] for row in rows.values()} == {"done"}
    code, printed, _ = run(scans, "-o", out, "-m", tiny, "--workers", 1, folder=tmp_path)
    assert code == 0
    assert "3 of them before" in printed


def test_a_full_disk_during_the_record_keeps_the_case_and_a_restart_makes_it_again(
    translate: Translate, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, entry: Any) -> None:
        raise RunFailed("The disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(journal.Journal, "append", full)
        rows = translate()
    assert {row["status"] for row in rows} == {"done"}
    assert all("A restart will do it again" in row["message"] for row in rows)
    before, told = made(out), Told()
    translate(told)
    assert len(told.taken_up) == 3
    assert made(out) == before


def test_the_next_volume_is_read_while_one_is_translated_and_no_more_than_one(
    translate: Translate, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    seen: list[tuple[str, int]] = []
    reading, running = work.read_input, work.run_job

    def noted(job: Job) -> Any:
        read.append(job.input)
        return reading(job)

    def slow(job: Job, *rest: Any) -> Any:
        number = len(seen)
        until(lambda: len(read) >= min(number + 2, 3), 10)
        time.sleep(0.2)
        seen.append((job.input, len(read)))
        return running(job, *rest)

    monkeypatch.setattr(work, "read_input", noted)
    monkeypatch.setattr(work, "run_job", slow)
    translate()
    assert [count for _, count in seen] == [2, 3, 3]


def test_a_scan_that_changes_while_it_is_read_fails_by_name(
    translate: Translate, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = work.read_input

    def growing(job: Job) -> Any:
        if job.input.endswith("us1.nrrd"):
            with open(job.input, "ab") as stream:
                stream.write(b"\0")
        return reading(job)

    monkeypatch.setattr(work, "read_input", growing)
    rows = translate()
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert "changed while it was read" in rows[1]["message"]


# ---- kill -9


def uninterrupted(killed: Path, folder: Path, *arguments: object, where: Path) -> dict[str, str]:
    """What an uninterrupted run with the settings (and the time) of a killed one makes in `folder`."""
    folder.mkdir()
    shutil.copy(killed / MANIFEST, folder)
    code, _, err = run(*arguments, "-o", folder, folder=where)
    assert code == 0, err
    return made(folder)


def kill_at_random(command: list[object], out: Path, where: Path, moments: random.Random, longest: float) -> None:
    """Run the command and kill -9 the process that holds everything together after a random time."""
    process = start(*command, "-o", out, folder=where)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=moments.random() * longest)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_killed_after_the_first_case_and_run_again_it_is_as_if_never_interrupted(tiny: str, tmp_path: Path) -> None:
    scans, out = some_scans(tmp_path / "scans", 5, (40, 64, 64)), tmp_path / "out"
    command = [scans, "-m", tiny, "--workers", 1]
    process = start(*command, "-o", out, folder=tmp_path)
    until(lambda: (out / "cohort.jsonl").exists() and "sha256" in (out / "cohort.jsonl").read_text())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (out / "cohort.lock").exists(), "it was killed too late to test anything"
    code, printed, err = run(*command, "-o", out, folder=tmp_path)
    assert (code, err) == (0, "")
    assert "of them before" in printed
    assert made(out) == uninterrupted(out, tmp_path / "whole", *command, where=tmp_path)
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_many_moments_it_is_as_if_never_interrupted(tmp_path: Path, workers: int) -> None:
    model = a_slow_model(tmp_path / "model")
    scans = some_scans(tmp_path / "scans", 5, (8, 64, 64))
    command = [scans, "-m", model, "--workers", workers, "--threads", 1, *PLAIN]
    moments = random.Random(11 + workers)
    began = time.monotonic()
    assert run(*command, "-o", tmp_path / "first", folder=tmp_path)[0] == 0
    longest = time.monotonic() - began
    for round_ in range(3):
        out = tmp_path / f"out{round_}"
        for _ in range(4):
            kill_at_random(command, out, tmp_path, moments, longest)
        code, _, err = run(*command, "-o", out, folder=tmp_path)
        assert (code, err) == (0, "")
        assert made(out) == uninterrupted(out, tmp_path / f"whole{round_}", *command, where=tmp_path)
        assert all(read_volume(path).synthetic for path in out.glob("*.nrrd"))


# Put on the program's path, this ends it as a crash in a library does, as soon as a thread reads the deadly scan.
DEADLY = """
import builtins, os, signal, sys, threading
opened = builtins.open
def deadly(file, *rest, **more):
    reading = threading.current_thread() is not threading.main_thread()
    if str(file).endswith("deadly.nrrd") and reading:
        os.kill(os.getpid(), signal.SIGSEGV)
    return opened(file, *rest, **more)
builtins.open = deadly
"""


def test_what_was_in_hand_when_the_program_died_is_done_last(translate: Translate, out: Path) -> None:
    out.mkdir()
    records = journal.Journal(out)
    translate()
    (out / "cohort.jsonl").unlink()
    records.begin("us0_synthetic-mr.nrrd")
    told = Told()
    translate(told)
    assert told.taken_up == ["us1.nrrd", "us2.nrrd", "us0.nrrd"]
    assert journal.Journal(out).unended == {}


def test_a_case_that_fails_or_is_cancelled_is_no_suspect(translate: Translate, scans: Path, out: Path) -> None:
    (scans / "us1.nrrd").write_bytes(b"NRRD0004")
    told = Told()
    with pytest.raises(Cancelled):
        translate(told, cancelled=lambda: len(told.taken_up) > 2)
    assert set(journal.Journal(out).unended.values()) == {0}


@pytest.mark.soak
def test_a_case_that_ends_the_program_itself_keeps_no_other_from_being_done(tiny: str, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="only a worker process can die in the program's place")
    scans, out = some_scans(tmp_path / "scans", 4), tmp_path / "out"
    (scans / "us0.nrrd").rename(scans / "deadly.nrrd")
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(DEADLY)
    command = [scans, "-o", out, "-m", tiny]
    codes = [run(*command, folder=tmp_path, PYTHONPATH=str(tmp_path / "first"))[0] for _ in range(3)]
    assert codes == [-signal.SIGSEGV, -signal.SIGSEGV, 4]
    with (out / "translations.csv").open(newline="") as stream:
        rows = {Path(row["input"]).name: row for row in csv.DictReader(stream)}
    assert "died on this case, twice" in rows.pop("deadly.nrrd")["message"]
    assert {row["status"] for row in rows.values()} == {"done"}
    assert len(rows) == 3


def test_uncertainty_maps_are_recorded_and_made_again_alike(translate: Translate, out: Path) -> None:
    translate(uncertainty="auto", samples=3)
    whole = made(out)
    assert "us0_synthetic-mr_uncertainty.nrrd" in whole
    (out / "us0_synthetic-mr_uncertainty.nrrd").unlink()
    told = Told()
    translate(told, uncertainty="auto", samples=3)
    assert told.taken_up == ["us0.nrrd"]
    assert made(out) == whole
