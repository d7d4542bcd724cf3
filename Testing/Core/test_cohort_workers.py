"""Worker processes of this machine: the same bytes as without them, and nothing that dies takes a cohort with it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from imagetranslation.cohorts import Watcher, crew, run_cohort, sizing
from imagetranslation.cohorts import run as running
from imagetranslation.cohorts.manifest import MANIFEST
from imagetranslation.errors import InputError
from imagetranslation.jobs import Job
from imagetranslation.models import load_package
from Testing.Core.cohort_runs import PLAIN, a_model, a_slow_model, made, run, some_scans, start, until, worker_processes

pytest.importorskip("distributed", reason="worker processes need Dask: pip install '.[cohort]'")

# Put on the path of a worker process, this ends it as a crash in a library does, as soon as it opens the deadly scan.
DEADLY = """
import builtins, os, signal, sys
opened = builtins.open
def deadly(file, *rest, **more):
    if str(file).endswith("deadly.nrrd") and "spawn_main" in " ".join(sys.orig_argv):
        os.kill(os.getpid(), signal.SIGSEGV)
    return opened(file, *rest, **more)
builtins.open = deadly
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return a_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> str:
    return a_slow_model(tmp_path_factory.mktemp("models") / "slow")


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "translations.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


class Listeners(Watcher):
    """Notes where this process and its workers listen, while they work."""

    def __init__(self) -> None:
        self.addresses: set[str] = set()
        self.workers: set[str] = set()

    def begun(self, worker: str, name: str) -> None:
        processes = [psutil.Process(), *worker_processes(os.getpid())]
        connections = [c for process in processes for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
        self.addresses |= {connection.laddr.ip for connection in connections}
        self.workers.add(worker)


def test_long_work_goes_to_worker_processes_that_nobody_else_can_reach_and_makes_the_same_bytes(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    scans = sorted(some_scans(tmp_path / "scans", 6, (20, 40, 48)).iterdir())
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    monkeypatch.setattr(sizing, "cpu_count", lambda: 2)
    monkeypatch.setattr(running, "WORTH_PROCESSES_SECONDS", 0.0)
    environment = {name: os.environ.get(name) for name in ("PYTHONWARNINGS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    watcher = Listeners()
    rows = run_cohort(scans, Job("", "", tiny, "cpu"), shared, watcher=watcher, workers=None, threads=1)
    assert watcher.addresses == {"127.0.0.1"}
    assert {row["worker"] for row in rows} == watcher.workers == {"worker 1", "worker 2"}
    assert capfd.readouterr() == ("", "")
    assert {name: os.environ.get(name) for name in environment} == environment
    alone.mkdir()
    shutil.copy(shared / MANIFEST, alone)
    run_cohort(scans, Job("", "", tiny, "cpu"), alone, workers=1)
    assert made(alone) == made(shared)


def test_a_worker_killed_by_the_system_loses_no_case(slow: str, tmp_path: Path) -> None:
    scans, out = some_scans(tmp_path / "scans", 3, (12, 64, 64)), tmp_path / "out"
    command = [scans, "-o", out, "-m", slow, "--workers", 2, "--threads", 1, *PLAIN]
    process = start(*command, folder=tmp_path)
    until(lambda: (out / MANIFEST).exists())
    for worker in worker_processes(process.pid):
        worker.kill()
    printed, err = process.communicate(timeout=200)
    assert (process.returncode, err) == (0, ""), printed
    assert [row["status"] for row in rows_of(out)] == ["done"] * 3
    assert len((out / "cohort.jsonl").read_text().splitlines()) == 3


def test_a_case_that_ends_its_worker_twice_fails_and_its_neighbours_do_not(tiny: str, tmp_path: Path) -> None:
    scans, out = some_scans(tmp_path / "scans", 5), tmp_path / "out"
    (scans / "us1.nrrd").rename(scans / "deadly.nrrd")
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(DEADLY)
    command = [scans, "-o", out, "-m", tiny, "--workers", 2]
    code, _, err = run(*command, folder=tmp_path, PYTHONPATH=str(tmp_path / "first"))
    assert code == 4
    assert err == f"Error: 1 of 5 cases failed; {out}/translations.csv says why.\n"
    rows = {Path(row["input"]).name: row for row in rows_of(out)}
    assert "died on this case, twice" in rows.pop("deadly.nrrd")["message"]
    assert {row["status"] for row in rows.values()} == {"done"}


def test_a_worker_that_is_gone_already_is_not_looked_for_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask gives no process number for it, and psutil takes no number for the process that asks."""
    victims = []
    monkeypatch.setattr(psutil.Process, "kill", lambda process: victims.append(process.pid))
    sleeping = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    nannies = [SimpleNamespace(pid=pid, auto_restart=True) for pid in (None, sleeping.pid)]
    crew._kill(SimpleNamespace(workers=dict(enumerate(nannies))))
    sleeping.kill()
    sleeping.wait()
    assert victims == [sleeping.pid]
    assert not any(nanny.auto_restart for nanny in nannies)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups to interrupt")
@pytest.mark.parametrize("twice", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["once", "twice"])
def test_ctrl_c_keeps_what_is_done_and_leaves_nothing_behind(slow: str, tmp_path: Path, twice: bool) -> None:
    scans, out = some_scans(tmp_path / "scans", 6, (12, 64, 64)), tmp_path / "out"
    command = [scans, "-o", out, "-m", slow, "--workers", 2, "--threads", 1, *PLAIN]
    process = start(*command, folder=tmp_path)
    until(lambda: (out / "cohort.jsonl").exists(), 120)
    workers = worker_processes(process.pid)
    for _ in range(1 + twice):
        os.killpg(process.pid, signal.SIGINT)
    printed, err = process.communicate(timeout=30)
    done = [row for row in rows_of(out) if row["status"] == "done"]
    assert process.returncode == 4
    assert err == f"Error: Cancelled; {len(done)} of 6 are done and kept. The same command goes on from there.\n"
    assert printed == ""
    assert psutil.wait_procs(workers, timeout=5)[1] == [], "orphans"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "scans", "temporary"]
    assert list((tmp_path / "temporary").iterdir()) == []
    names = {path.name for path in out.iterdir()}
    assert names == {MANIFEST, "cohort.jsonl", "translations.csv", *(n for n in names if "_synthetic-mr" in n)}
    assert not [name for name in names if name.startswith(".")]


@pytest.mark.soak
def test_workers_end_with_the_process_that_started_them(slow: str, tmp_path: Path) -> None:
    scans, out = some_scans(tmp_path / "scans", 4, (60, 64, 64)), tmp_path / "out"
    process = start(scans, "-o", out, "-m", slow, "--workers", 2, "--threads", 1, *PLAIN, folder=tmp_path)
    until(lambda: (out / MANIFEST).exists())
    workers = worker_processes(process.pid)
    assert len(workers) == 2
    process.kill()
    process.communicate()
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    assert run(scans, "-o", out, "-m", slow, "--workers", 1, *PLAIN, folder=tmp_path)[0] == 0
    assert list((tmp_path / "temporary").iterdir()) != [], "the next run with workers clears this"
    code, *_ = run(
        some_scans(tmp_path / "two", 2), "-o", tmp_path / "out2", "-m", slow, "--workers", 2, *PLAIN, folder=tmp_path
    )
    assert code == 0
    assert list((tmp_path / "temporary").iterdir()) == []


# ---- without Dask


class Notes(Watcher):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def note(self, sentence: str) -> None:
        self.sentences.append(sentence)


def test_without_dask_one_process_does_all_and_says_so(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "missing", lambda: "dask")
    scans, notes = sorted(some_scans(tmp_path / "scans", 2).iterdir()), Notes()
    rows = run_cohort(scans, Job("", "", tiny, "cpu"), tmp_path / "out", watcher=notes, workers=2)
    assert {row["worker"] for row in rows} == {"this process"}
    assert len(notes.sentences) == 1
    assert "dask is not installed" in notes.sentences[0]
    with pytest.raises(InputError, match=r"imagetranslation\[cohort\]"):
        run_cohort(scans, Job("", "", tiny), tmp_path / "other", scheduler="tcp://127.0.0.1:1")


def test_what_is_missing_is_found() -> None:
    assert crew.missing() == ""


# ---- how many


@pytest.mark.parametrize(
    ("cores", "cases", "free", "asked", "expected"),
    [
        (8, 100, 10**12, {}, (8, 1)),
        (8, 3, 10**12, {}, (3, 2)),
        (8, 100, 3 * 10**9, {}, (3, 2)),
        (8, 100, 10, {}, (1, 8)),
        (8, 100, 10**12, {"threads": 4}, (2, 4)),
        (8, 100, 10**12, {"workers": 2}, (2, 4)),
        (2, 1, 10**12, {"workers": 4}, (1, 2)),
        (8, 100, 10**12, {"device": "mps"}, (1, 8)),
        (8, 100, 10**12, {"device": "cuda:1", "gpus": 2}, (1, 8)),
        (8, 100, 10**12, {"device": "auto", "gpus": 4}, (4, 2)),
    ],
)
def test_processes_are_as_many_as_cores_cases_memory_and_gpus_allow(
    tiny: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    cases: int,
    free: int,
    asked: dict[str, Any],
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr(sizing, "cpu_count", lambda: cores)
    monkeypatch.setattr(sizing, "free_memory", lambda: free)
    settings = {"device": "cpu", "workers": None, "threads": None, "gpus": 0, **asked}
    chosen = sizing.team([tmp_path / "none.nrrd"] * cases, load_package(tiny), **settings)
    assert (chosen.processes, chosen.threads) == expected


def test_each_gpu_has_one_process(tiny: str, tmp_path: Path) -> None:
    chosen = sizing.team([tmp_path] * 9, load_package(tiny), "auto", None, None, 3)
    assert chosen.devices == ("cuda:0", "cuda:1", "cuda:2")


def test_larger_scans_and_models_need_more_memory_each(tiny: str, slow: str, tmp_path: Path) -> None:
    small, large = (next(some_scans(tmp_path / str(n), 1, (n, 64, 64)).iterdir()) for n in (4, 400))
    package = load_package(tiny)
    more = sizing.bytes_per_process([small, large], package) - sizing.bytes_per_process([small], package)
    assert more == sizing._BYTES_PER_VOXEL * 396 * 64 * 64
    assert sizing.bytes_per_process([small], load_package(slow)) > sizing.bytes_per_process([small], package)


def test_the_trial_foresees_the_whole_and_writes_nothing(tiny: str, tmp_path: Path) -> None:
    from imagetranslation.cohorts.work import runner_of

    scans = sorted(some_scans(tmp_path / "scans", 3, (20, 64, 64)).iterdir())
    (tmp_path / "scans" / "broken.nrrd").write_text("NRRD0004\nnonsense")
    jobs = [
        Job(str(path), str(tmp_path / "out" / path.name), tiny) for path in [tmp_path / "scans" / "broken.nrrd", *scans]
    ]
    runner = runner_of(jobs[0], 1)
    one = sizing.seconds_for_all(jobs[1:2], runner, lambda: False)
    foreseen = sizing.seconds_for_all(jobs, runner, lambda: False)
    assert one is not None
    assert foreseen is not None
    assert foreseen > one > 0
    assert not (tmp_path / "out").exists()
    assert sizing.seconds_for_all(jobs[:1], runner, lambda: False) is None


def test_a_trial_of_something_long_is_short(slow: str, tmp_path: Path) -> None:
    import time

    from imagetranslation.cohorts.work import runner_of

    scan = next(some_scans(tmp_path, 1, (600, 64, 64)).iterdir())
    job = Job(str(scan), str(tmp_path / "out.nrrd"), slow, engine="torch", precision="float32")
    runner = runner_of(job, 1)
    began = time.monotonic()
    foreseen = sizing.seconds_for_all([job] * 100, runner, lambda: False)
    assert foreseen is not None
    assert foreseen > 20 * (time.monotonic() - began)


def test_the_manifest_keeps_the_threads_that_the_processes_had(tiny: str, tmp_path: Path) -> None:
    scans = sorted(some_scans(tmp_path / "scans", 2).iterdir())
    run_cohort(scans, Job("", "", tiny, "cpu"), tmp_path / "out", threads=2)
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["threads"] == 2
