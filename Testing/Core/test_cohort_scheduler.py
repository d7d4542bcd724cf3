"""A cohort on the workers of a Dask scheduler that somebody else started: what they must have, and what they make."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagetranslation import __version__
from imagetranslation.cohorts import Watcher, crew, remote, run_cohort
from imagetranslation.cohorts.crew import Terms
from imagetranslation.cohorts.lock import CohortLock
from imagetranslation.cohorts.manifest import MANIFEST, identity, software
from imagetranslation.errors import Cancelled, InputError
from imagetranslation.jobs import Job
from imagetranslation.models import load_package
from Testing.Core.cohort_runs import a_model, made, run, some_scans

pytest.importorskip("distributed", reason="a scheduler needs Dask: pip install '.[cohort]'")

# Two workers with one thread each, as dask-jobqueue starts them, until standard input closes.
CLUSTER = """
import logging, sys
from distributed import LocalCluster
if __name__ == "__main__":
    quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=int(sys.argv[1]), threads_per_worker=1, host="127.0.0.1", dashboard_address=None,
                      silence_logs=logging.CRITICAL, memory_limit=0, scheduler_kwargs=quiet) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


def a_cluster(folder: Path, workers: int, **environment: str) -> Iterator[str]:
    """The address of a scheduler in another process, with its own working directory."""
    script = folder / "cluster.py"
    script.write_text(CLUSTER)
    process = subprocess.Popen(
        [sys.executable, str(script), str(workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder), **environment},
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.communicate("", timeout=60)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from a_cluster(tmp_path_factory.mktemp("cluster"), 2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return a_model(tmp_path_factory.mktemp("models") / "tiny")


def test_the_workers_of_a_scheduler_make_the_same_bytes_as_this_process(
    scheduler: str, tiny: str, tmp_path: Path
) -> None:
    some_scans(tmp_path / "scans", 5)
    code, printed, err = run("scans", "-o", "out", "-m", tiny, "--scheduler", scheduler, "--json", folder=tmp_path)
    assert (code, err) == (0, "")
    rows = json.loads(printed)["cases"]
    assert [row["output"] for row in rows] == [f"out/us{n}_synthetic-mr.nrrd" for n in range(5)]
    assert {row["worker"] for row in rows} <= {f"{platform.node()} 1", f"{platform.node()} 2"}
    (tmp_path / "alone").mkdir()
    shutil.copy(tmp_path / "out" / MANIFEST, tmp_path / "alone")
    run_cohort(sorted((tmp_path / "scans").iterdir()), Job("", "", tiny), tmp_path / "alone", workers=1)
    assert made(tmp_path / "alone") == made(tmp_path / "out")


def test_a_cancelled_cohort_leaves_the_workers_for_the_next_one(scheduler: str, tiny: str, tmp_path: Path) -> None:
    scans, out = sorted(some_scans(tmp_path / "scans", 6, (60, 64, 64)).iterdir()), tmp_path / "out"

    class Finished(Watcher):
        rows: list[dict[str, Any]] = []

        def finished(self, worker: str, row: dict[str, Any]) -> None:
            self.rows.append(row)

    ended = Finished()
    with pytest.raises(Cancelled, match="of 6 are done and kept"):
        run_cohort(
            scans, Job("", "", tiny), out, watcher=ended, cancelled=lambda: bool(ended.rows), scheduler=scheduler
        )
    rows = run_cohort(scans, Job("", "", tiny), out, scheduler=scheduler)
    assert [row["status"] for row in rows] == ["done"] * 6
    assert any(row.get("before") for row in rows)


def test_workers_of_another_version_are_refused(tiny: str, tmp_path: Path) -> None:
    package = Path(remote.__file__).parents[1]
    shutil.copytree(package, tmp_path / "other" / "imagetranslation", ignore=shutil.ignore_patterns("__pycache__"))
    start = tmp_path / "other" / "imagetranslation" / "__init__.py"
    start.write_text(re.sub(r'__version__ = "[^"]*"', '__version__ = "0.0.1"', start.read_text()))
    clusters = a_cluster(tmp_path, 1, PYTHONPATH=str(tmp_path / "other"))
    scans = sorted(some_scans(tmp_path / "scans", 2).iterdir())
    with pytest.raises(InputError, match=rf"has imagetranslation 0\.0\.1, and this is {re.escape(__version__)}"):
        run_cohort(scans, Job("", "", tiny), tmp_path / "out", scheduler=next(clusters))
    assert next(clusters, None) is None
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "translations.csv"]


def test_where_no_scheduler_answers_one_sentence_says_so(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_PATIENCE_SECONDS", 0.5)
    scans = sorted(some_scans(tmp_path / "scans", 1).iterdir())
    for address in ("tcp://127.0.0.1:9", "nonsense://x", "127.0.0.1"):
        with pytest.raises(InputError, match=f"No Dask scheduler answers at {address}"):
            run_cohort(scans, Job("", "", tiny), tmp_path / "out", scheduler=address)


# ---- what a worker must reach and have


@pytest.fixture
def terms(tiny: str, tmp_path: Path) -> Iterator[Terms]:
    scan = next(some_scans(tmp_path / "scans", 1).iterdir())
    (tmp_path / "out").mkdir()
    with CohortLock(tmp_path / "out") as lock:
        yield Terms(tmp_path / "out", lock.token, scan, tiny, identity(load_package(tiny)), "cpu")


def fault(terms: Terms, **answered: Any) -> str:
    """What keeps out a worker that meets these terms here, if its answer were changed so."""
    answer = remote.probe(str(terms.folder), terms.token, str(terms.first_input), terms.model, False)
    return crew._fault("tcp://node7:1", {**answer, **answered}, terms)


def test_a_worker_that_reaches_everything_is_taken(terms: Terms) -> None:
    assert fault(terms) == ""
    assert fault(replace(terms, software=software())) == ""
    assert [path.name for path in terms.folder.iterdir()] == ["cohort.lock"], "the probe leaves nothing behind"


def test_a_folder_that_only_has_the_same_name_is_recognised(terms: Terms, tmp_path: Path) -> None:
    assert "not the same folder" in fault(replace(terms, token="another"))
    assert "cannot write into" in fault(replace(terms, folder=tmp_path / "nowhere"))


def test_scans_that_a_worker_does_not_see_are_named(terms: Terms, tmp_path: Path) -> None:
    found = fault(replace(terms, first_input=tmp_path / "nowhere" / "us.nrrd"))
    assert "cannot read" in found
    assert "nowhere" in found


def test_another_model_or_another_library_on_a_worker_is_named(terms: Terms, tmp_path: Path) -> None:
    assert "another model" in fault(replace(terms, model=str(tmp_path / "none")))
    assert "another model" in fault(terms, model={**terms.identity, "weights_sha256": "0"})
    assert "torch" in fault(replace(terms, software={**software(), "torch": "1.0"}))
    assert "cannot be asked" in crew._fault("tcp://node7:1", ValueError("odd"), terms)
    assert "has no imagetranslation" in crew._fault("tcp://node7:1", ModuleNotFoundError("imagetranslation"), terms)
