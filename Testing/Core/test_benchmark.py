"""The comparison of all networks: what is run, budgets, failures, restarts, what is refused, and its page."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.locks import LockFile
from imagetranslation.volume import read_volume, write_volume
from training_tools import benchmark, dataset, evaluate
from training_tools.benchmarking import cells, costs, entries, sharing
from training_tools.benchmarking.cells import Plan, read_plan
from training_tools.benchmarking.gathering import gather
from training_tools.dataset import load_cases
from training_tools.training.fitting import require_fit

from .benchmark_runs import (
    BROKEN,
    FEW_STEPS,
    NETWORKS,
    PERCEPTUAL,
    PIX2PIX,
    REGRESSION,
    arguments,
    here,
    run_benchmark,
    table,
    tiny_networks,
)
from .training_runs import prepared_pairs, tiny_config

LONGEST_WAIT_S = 120


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(autouse=True)
def tiny(networks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "CONFIGS", networks)
    monkeypatch.setattr(benchmark, "run_apart", here)
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("pairs"), cases=6)


@pytest.fixture(scope="module")
def finished(data: Path, networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark that ran to its end."""
    return run_benchmark(data, networks, tmp_path_factory.mktemp("benchmark") / "out")


@pytest.fixture
def a_copy(finished: Path, tmp_path: Path) -> Path:
    """Of the finished one, to change."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.fixture
def begun(data: Path, tmp_path: Path) -> Plan:
    """A benchmark of which nothing has been run."""
    output = tmp_path / "begun"
    assert benchmark.main(arguments(data, output, "--cells")) == 0
    return read_plan(output)


def states(output: Path) -> dict[str, str]:
    return {row.name: row.state for row in gather(read_plan(output)).rows}


class TestPlan:
    def test_every_network_is_run_on_every_fold_and_fold_by_fold(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        benchmark.main(arguments(data, tmp_path / "out", "--cells"))
        order = [PIX2PIX, BROKEN, PERCEPTUAL, REGRESSION]
        wanted = [f"{n}: {name}, fold {n // 4}" for n, name in enumerate([*order, *order])]
        assert capsys.readouterr().out.splitlines() == wanted

    def test_the_encoders_of_a_fold_saw_no_tested_case(self, finished: Path) -> None:
        split = read_plan(finished).split()
        for fold in (0, 1):
            for name in (f"fold-{fold}", f"scoring-fold-{fold}"):
                about = json.loads((finished / "encoders" / name / "encoder.json").read_text())
                assert about["cases"]
                assert not set(about["cases"]) & set(split.folds[fold])

    def test_what_it_will_take_is_said_beforehand(
        self, begun: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(benchmark, "run_apart", lambda output, number: None)
        benchmark.main(arguments(begun.data, begun.output, "--watts", "100"))
        hours = 8 * (FEW_STEPS + benchmark.OVERHEAD_SECONDS) / 3600
        told = capsys.readouterr().err.splitlines()[0]
        assert told.startswith("8 of 8 cells are to be run")
        assert f"about {hours:.1f} hours" in told
        assert f"{hours * 0.1:.2f} kWh at 100 W" in told

    def test_shipped_presets_fit_every_network_of_both_tasks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        for task in entries.TASKS:
            for name in ("quick", "standard", "full"):
                chosen = entries.preset(task, name)
                made = [entries.configured(path, chosen) for path in entries.entries(task).values() if path]
                assert {config.task for config in made} == {task}
                for config in made:
                    require_fit(config)
        planar = {name for name, path in entries.entries("pool2delayed").items() if path is None}
        assert {name for name in entries.STUDY if name.startswith("3D")} <= planar


class TestFinished:
    def test_a_network_that_fails_is_named_and_the_others_go_on(self, finished: Path) -> None:
        found = states(finished)
        assert [name for name, state in found.items() if state == "done"] == [PIX2PIX, PERCEPTUAL, REGRESSION]
        assert found[BROKEN].startswith("failed: The network 'unet' cannot translate patches of 1 channel of 7 x 15")

    def test_every_case_is_tested_once_by_every_network_and_reference(self, finished: Path) -> None:
        gathered = gather(read_plan(finished))
        assert set(gathered.references) > {"identity", "mean image", "real target"}
        assert len(gathered.scores) == 3 + len(gathered.references)
        assert all(set(cases) == {f"case{n}" for n in range(6)} for cases in gathered.scores.values())

    def test_the_leaderboard_has_a_row_for_every_network_and_numbers_where_it_was_run(self, finished: Path) -> None:
        rows = {row["network"]: row for row in table(finished / "leaderboard.csv")}
        assert list(rows) == [*entries.STUDY, *entries.BEYOND]
        summary = {r["method"]: r for r in table(finished / "summary.csv") if r["measure"] == "ssim"}
        for name in NETWORKS:
            assert rows[name]["ssim"] == summary[name]["mean"]
            assert int(rows[name]["parameters"]) > 0
        assert (rows[BROKEN]["ssim"], rows["2D-CUT"]["ssim"]) == ("", "")
        assert sorted(summary[name]["rank"] for name in NETWORKS) == ["1", "2", "3"]
        # Six patients can tell no two of three networks apart after Holm's correction: they share a letter.
        assert {summary[name]["group"] for name in NETWORKS} == {"a"}

    def test_the_page_needs_nothing_else_and_shows_every_row(self, finished: Path) -> None:
        text = (finished / "index.html").read_text(encoding="utf-8")
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)|<script|<link|@import|url\(", text)
        assert all(address.startswith("data:image/png;base64,") for address in re.findall(r"src='([^']*)'", text))
        assert text.count("data:image/png") == cells.PICTURED * (2 + len(NETWORKS))
        for name in entries.entries("us2mri"):
            assert f"<td class='w'>{name}" in text
        assert "cannot translate patches" in text
        assert text.count(entries.PLANAR) == len(entries.entries("us2mri")) - 4
        for words in ("identity", "mean image", "real target", "Holm", "95%", "is for diagnosis", "Machine:"):
            assert words in text

    def test_folds_are_trained_apart_from_what_they_test(self, finished: Path) -> None:
        split = read_plan(finished).split()
        for fold in (0, 1):
            place = finished / PIX2PIX / f"fold-{fold}"
            learnt = json.loads((place / "package" / "model.json").read_text())["training"]["cases"]
            tested = json.loads((place / "cell.json").read_text())["tested"]
            assert tested == sorted(split.folds[fold])
            assert not set(learnt) & set(tested)

    def test_the_page_says_by_which_clock_the_budgets_were_measured(self, a_copy: Path) -> None:
        def said() -> str:
            benchmark.write_page(read_plan(a_copy))
            return (a_copy / "index.html").read_text(encoding="utf-8")

        assert f"fit into {FEW_STEPS:g} seconds x 1 threads = {FEW_STEPS:g} processor seconds a fold" in said()
        assert float(table(a_copy / "leaderboard.csv")[0]["training_processor_seconds"]) > 0
        path = a_copy / PIX2PIX / "fold-0" / "cell.json"
        cell = json.loads(path.read_text())
        path.write_text(json.dumps({**cell, "clock": costs.WALL}))
        assert f"some cells instead into {FEW_STEPS:g} seconds on the clock" in said()
        for path in a_copy.glob("*/fold-*/cell.json"):
            path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "clock"}))
        assert f"fit into {FEW_STEPS:g} seconds on the clock" in said()

    def test_the_cells_of_a_fold_share_floors_and_what_is_said_of_their_scans(
        self, a_copy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = read_plan(a_copy)
        assert len(list((a_copy / sharing.FOLDER).glob("floors-*.npz"))) == plan.preset.folds
        split = plan.split()
        config, (seen, tested) = plan.config(REGRESSION, 0), evaluate.sides(split, 0)
        (case,) = load_cases(plan.data, config, tested[:1])

        def made() -> tuple[dict[str, Any], list[Any]]:
            images = sharing.floors(plan, split, config, seen).images(case)
            return sharing.scans(plan, split, config, seen), [image.tobytes() for image in images.values()]

        wanted = made()
        package = json.loads((a_copy / REGRESSION / "fold-0" / "package" / "model.json").read_text())
        assert wanted[0]["ranges"] == package["training"]["ranges"]
        for path in (a_copy / sharing.FOLDER).iterdir():
            path.write_bytes(path.read_bytes()[:-40])
        assert made() == wanted
        read: list[str] = []
        monkeypatch.setattr(dataset, "load_case", lambda *_: read.append("a case"))
        assert made() == wanted
        assert not read


class TestBudget:
    def test_a_step_on_a_processor_costs_its_work_shared_out_over_the_threads(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Clocks:
            worked = on_the_wall = 0.0

            def process_time(self) -> float:
                self.worked += 8
                return self.worked

            def perf_counter(self) -> float:
                self.on_the_wall += 100
                return self.on_the_wall

        monkeypatch.setattr(costs, "time", Clocks())
        config = tiny_config("regression", held_out=(), steps=50, threads=4)
        assert costs.seconds_a_step(config, data, ["case0", "case1"]) == (2.0, costs.PROCESSOR)

    def test_waiting_is_no_work(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        taken = costs._take

        def waiting(*arguments: Any) -> None:
            time.sleep(0.5)
            taken(*arguments)

        monkeypatch.setattr(costs, "_take", waiting)
        config = tiny_config("regression", held_out=(), steps=50)
        assert costs.seconds_a_step(config, data, ["case0", "case1"], tried=1)[0] < 0.25


class TestStartedAgain:
    def test_what_is_done_is_kept_and_what_failed_is_tried_again(self, a_copy: Path, data: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in a_copy.glob("*/fold-*/cell.json")}
        assert benchmark.remaining(read_plan(a_copy)) == [1, 5]
        assert benchmark.main(arguments(data, a_copy)) == 0
        assert {path: path.stat().st_mtime_ns for path in a_copy.glob("*/fold-*/cell.json")} == before

    def test_a_stopped_cell_keeps_its_budget_and_its_training(
        self, a_copy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def measured_again(*_: Any) -> float:
            raise AssertionError("the budget was measured a second time")

        monkeypatch.setattr(costs, "seconds_a_step", measured_again)
        plan, folder = read_plan(a_copy), a_copy / PIX2PIX / "fold-0"
        old = json.loads((folder / "cell.json").read_text())
        (folder / "cell.json").unlink()
        shutil.rmtree(folder / "package")
        benchmark.run_one(plan, 0)
        new = json.loads((folder / "cell.json").read_text())
        same = ("steps", "training_seconds", "weights_sha256", "frechet")
        assert {key: new[key] for key in same} == {key: old[key] for key in same}

    def test_another_title_and_a_setting_that_has_been_added_since_change_nothing(
        self, a_copy: Path, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        changed = Path(shutil.copytree(networks, tmp_path / "changed"))
        entry = changed / "us2mri" / f"{PIX2PIX}.json"
        entry.write_text(json.dumps({**json.loads(entry.read_text()), "title": "Reworded"}))
        monkeypatch.setattr(entries, "CONFIGS", changed)
        for path in (a_copy / PIX2PIX).glob("*/run/config.json"):
            record = json.loads(path.read_text())
            del record["config"]["sampling"]["region"]
            path.write_text(json.dumps(record))
        assert states(a_copy)[PIX2PIX] == "done"

    def test_a_network_run_with_other_settings_is_not_compared(
        self, a_copy: Path, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        changed = Path(shutil.copytree(networks, tmp_path / "changed"))
        presets = json.loads((changed / "us2mri" / "presets.json").read_text())
        presets["tiny"]["changes"] = {PIX2PIX: {"optimiser.rate": 0.5}}
        (changed / "us2mri" / "presets.json").write_text(json.dumps(presets))
        monkeypatch.setattr(entries, "CONFIGS", changed)
        (a_copy / PERCEPTUAL / "fold-1" / "run" / "config.json").write_text('{"config": {"id": "of another time"}}')
        found = states(a_copy)
        for name in (PIX2PIX, PERCEPTUAL):
            assert found[name].startswith("not compared: its settings have changed")
        assert found[REGRESSION] == "done"

    def test_a_network_that_lacks_a_fold_is_named_and_not_compared(self, a_copy: Path) -> None:
        (a_copy / PERCEPTUAL / "fold-1" / "cell.json").unlink()
        gathered = benchmark.write_page(read_plan(a_copy))
        assert {row.name: row.state for row in gathered.rows}[PERCEPTUAL] == "not compared: 1 of 2 folds are run"
        assert PERCEPTUAL not in gathered.scores

    def test_another_benchmark_in_the_folder_is_refused(self, a_copy: Path, data: Path) -> None:
        with pytest.raises(InputError, match="its seed is 1, not 2"):
            benchmark.main(arguments(data, a_copy, "--seed", "2"))
        with pytest.raises(InputError, match=r"its seconds is 0\.05, not 3\.0"):
            benchmark.main(arguments(data, a_copy, "--seconds", "3"))

    def test_changed_data_are_refused(self, a_copy: Path, data: Path, tmp_path: Path) -> None:
        own = Path(shutil.copytree(data, tmp_path / "data"))
        plan = json.loads((a_copy / "plan.json").read_text())
        (a_copy / "plan.json").write_text(json.dumps({**plan, "data": str(own)}))
        path = own / "target" / "case2.nrrd"
        volume = read_volume(path)
        write_volume(volume.with_array(volume.array + 1), path)
        with pytest.raises(InputError, match=r"1 cases have changed .* case2"):
            benchmark.main(arguments(own, a_copy))


class TestCells:
    def test_before_anything_was_run_the_page_says_so(self, begun: Plan) -> None:
        gathered = benchmark.write_page(begun)
        assert {row.state for row in gathered.rows} == {"not run", entries.PLANAR}
        assert "not run" in (begun.output / "index.html").read_text(encoding="utf-8")

    def test_a_job_of_an_array_runs_the_cell_of_its_number(self, begun: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
        assert benchmark.main(["-o", str(begun.output)]) == 0
        done = [path.parent for path in begun.output.glob("*/fold-*/cell.json")]
        assert done == [begun.output / REGRESSION / "fold-1"]
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "8")
        with pytest.raises(InputError, match="no cell 8"):
            benchmark.main(["-o", str(begun.output)])

    def test_a_dask_cluster_runs_the_cells(self, begun: Plan) -> None:
        distributed = pytest.importorskip("dask.distributed")
        options = {"processes": False, "dashboard_address": None, "n_workers": 1}
        with distributed.LocalCluster(threads_per_worker=1, **options) as cluster:
            scheduler = cluster.scheduler_address
            assert benchmark.main(arguments(begun.data, begun.output, "--only", PIX2PIX, "--scheduler", scheduler)) == 0
            assert states(begun.output)[PIX2PIX] == "done"
        with distributed.LocalCluster(threads_per_worker=2, **options) as cluster, pytest.raises(InputError, match="1"):
            benchmark.run_on_cluster(begun, [0], cluster.scheduler_address)

    def test_an_unknown_network_and_an_empty_folder_are_refused(self, begun: Plan, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="2D-Pix2Pox is no network"):
            benchmark.main(arguments(begun.data, begun.output, "--only", "2D-Pix2Pox"))
        with pytest.raises(InputError, match="holds no benchmark"):
            benchmark.main(["--page", "-o", str(tmp_path)])

    def test_a_cell_that_another_process_runs_is_left_to_it(self, begun: Plan) -> None:
        folder = begun.folder(PIX2PIX, 0)
        folder.mkdir(parents=True)
        lock = LockFile(folder / "cell.lock")
        assert lock.take()
        with pytest.raises(InputError, match="Another run works in"):
            benchmark.run_one(begun, 0)
        assert not (folder / "error.txt").exists()

    def test_a_fault_of_any_kind_is_left_in_the_cells_folder(
        self, begun: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: Any) -> None:
            raise RunFailed("The disk is full.")

        monkeypatch.setattr(cells, "train", full)
        here(begun.output, 0)
        assert cells.state_of(begun, PIX2PIX, 0) == ("failed", {"error": "The disk is full."})
        monkeypatch.setattr(cells, "train", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            benchmark.run_one(begun, 0)
        assert cells.state_of(begun, PIX2PIX, 0) == ("failed", {"error": "division by zero"})


@pytest.fixture
def command(networks: Path, tmp_path: Path) -> list[str]:
    """The command as a program of its own, whose cells are programs of their own, with the tiny networks."""
    program = tmp_path / "python"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n"
        "from training_tools import benchmark\nfrom training_tools.benchmarking import entries\n"
        "from training_tools.console import run\n"
        f"entries.CONFIGS, sys.executable = Path({str(networks)!r}), __file__\n"
        "raise SystemExit(run(lambda: benchmark.main(sys.argv[3:])))\n"
    )
    program.chmod(0o755)
    return [str(program), "-m", "training_tools.benchmark"]


def until(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST_WAIT_S
    while not seen():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_terminated_it_leaves_a_checkpoint_and_goes_on_from_it(
    begun: Plan, command: list[str], repository: Path
) -> None:
    folder = begun.folder(REGRESSION, 0)
    folder.mkdir(parents=True)
    steps = 80
    (folder / "budget.json").write_text(json.dumps({"steps": steps, "seconds_a_step": 0.0}))
    latest = folder / "run" / "checkpoint" / "latest.json"
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    given = [*command, *arguments(begun.data, begun.output, "--only", REGRESSION)]
    with subprocess.Popen(given, env=environment, stderr=subprocess.PIPE, text=True) as process:
        until(latest.exists)
        (cell,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=LONGEST_WAIT_S)
    assert process.returncode == 4
    assert told.splitlines()[-1] == "error: Stopped; what is done is kept. Start the same command to go on."
    assert not cell.is_running()
    assert 0 < json.loads(latest.read_text())["step"] < steps
    assert not (folder / "error.txt").exists()
    assert not (folder / "cell.lock").exists()
    benchmark.run_one(begun, 3)
    assert [int(float(row["step"])) for row in table(folder / "run" / "log.csv")] == list(range(1, steps + 1))
    assert json.loads((folder / "cell.json").read_text())["steps"] == steps
