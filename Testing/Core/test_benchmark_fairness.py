"""What makes a comparison of networks fair, and what its page owns up to: chosen designs, encoders, grids, changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.files import sha256_of
from imagetranslation.volume import read_volume, write_volume
from training_tools import benchmark, dataset
from training_tools.benchmarking import chosenon, entries
from training_tools.benchmarking.cells import read_plan
from training_tools.config import read_config

from .benchmark_runs import BROKEN, NETWORKS, PERCEPTUAL, PIX2PIX, REGRESSION, run_benchmark, table, tiny_networks
from .training_runs import prepared_pairs, tiny_config


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(autouse=True)
def tiny(networks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "CONFIGS", networks)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("pairs"), cases=6)


@pytest.fixture(scope="module")
def finished(data: Path, networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_benchmark(data, networks, tmp_path_factory.mktemp("benchmark") / "out")


@pytest.fixture
def a_copy(finished: Path, tmp_path: Path) -> Path:
    """Of the finished one, to change."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


class TestEncoders:
    def test_no_network_is_scored_with_the_encoder_that_it_is_trained_against(self, finished: Path) -> None:
        plan = read_plan(finished)
        for fold in range(plan.preset.folds):
            used = plan.config(PERCEPTUAL, fold).objective["encoder"]
            folder = finished / PERCEPTUAL / f"fold-{fold}"
            scoring = json.loads((folder / "evaluation" / "evaluation.json").read_text())["settings"]["encoder"]
            first, second = (json.loads((Path(place) / "encoder.json").read_text()) for place in (used, scoring))
            assert first["channels"] != second["channels"]
            assert first["seed"] != second["seed"]
            assert json.loads((folder / "cell.json").read_text())["scoring_encoder_sha256"] == second["sha256"]

    def test_the_page_says_what_scores_and_what_each_encoder_cost(self, a_copy: Path) -> None:
        about = a_copy / "encoders" / "fold-0" / "encoder.json"
        assert json.loads(about.read_text())["processor_seconds"] > 0
        benchmark.write_page(read_plan(a_copy))
        text = (a_copy / "index.html").read_text(encoding="utf-8")
        assert "no network was trained against (12-24-48-48 channels, seed 2, 2 steps, " in text
        assert f"The perceptual loss of {PERCEPTUAL} has another one (16-32-64-64 channels, seed 1, 2 steps, " in text

    def test_a_cell_that_another_encoder_scored_is_not_compared(self, a_copy: Path) -> None:
        path = a_copy / REGRESSION / "fold-1" / "cell.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "scoring_encoder_sha256": "another"}))
        gathered = benchmark.write_page(read_plan(a_copy))
        states = {row.name: row.state for row in gathered.rows}
        assert states[REGRESSION].startswith("not compared: it was scored with another encoder")
        assert states[PIX2PIX] == "done"


class TestFolds:
    def test_a_started_folder_is_not_gone_on_with_under_other_folds(self, a_copy: Path) -> None:
        plan = read_plan(a_copy)
        benchmark.start(plan)
        benchmark.start(plan, alike=1)
        for asked, said in (
            ({"stratify": ["site"]}, "stratify not given, not"),
            ({"alike": 0.9}, "alike 1.0, not 0.9"),
        ):
            with pytest.raises(InputError, match=said):
                benchmark.start(plan, **asked)

    def test_folds_without_a_class_are_told(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
        place = Path(shutil.copytree(data, tmp_path / "data"))
        record = json.loads((place / "cases.json").read_text())
        for case in record["cases"]:
            case["facts"] = {"label": "0"}
        (place / "cases.json").write_text(json.dumps(record))
        plan = benchmark.Plan("us2mri", place, entries.preset("us2mri", "tiny"), tmp_path / "out", 1, 1)
        benchmark.start(plan, ["label"], alike=1)
        assert "warning: every case has the label 0" in capsys.readouterr().err


class TestGridsAndChanges:
    def test_the_page_says_which_grid_each_network_sees(self, finished: Path) -> None:
        text = (finished / "index.html").read_text(encoding="utf-8")
        assert text.count("<td>each slice 16 x 16</td>") == len(NETWORKS)
        rows = {row["network"]: row["grid"] for row in table(finished / "leaderboard.csv")}
        assert (rows[PIX2PIX], rows[BROKEN]) == ("each slice 16 x 16", "")

    @pytest.mark.parametrize(
        ("dims", "source", "said"),
        [
            (3, {"patch_size": [8, 16, 16]}, "volume 8 x 16 x 16"),
            (2, {"patch_size": [16, 16], "context_slices": 1}, "each slice 16 x 16 and 1 on either side"),
            (
                3,
                {"patch_size": [8, 16, 16], "resampling": {"mode": "spacing", "spacing": [1, 1, 2.5]}},
                "windows of 8 x 16 x 16 voxels of 1 x 1 x 2.5 mm",
            ),
            (2, {"patch_size": [16, 16], "resampling": {"mode": "none"}}, "windows of 16 x 16 of the scan's voxels"),
        ],
    )
    def test_a_volume_brought_to_a_grid_is_no_window_of_it(self, dims: int, source: Any, said: str) -> None:
        network = {"name": "unet", "arguments": {"spatial_dims": dims, "in_channels": 3}}
        own = {"network": network} if "context_slices" in source else {}
        config = tiny_config("regression", dims, source={"spatial_dims": dims, **source}, **own)
        assert entries.grid_seen(config) == said

    def test_full_keeps_the_study_s_grid(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.undo()
        full = entries.preset("us2mri", "full")
        for name, path in entries.entries("us2mri").items():
            if path and name not in ("2D-Positioned", "3D-Located"):  # on the grid of the public pairs
                assert entries.configured(path, full).source.patch_size in ((64, 128, 128), (128, 128)), name

    def test_the_page_lists_what_the_preset_changed_from_and_to(
        self, a_copy: Path, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = Path(shutil.copytree(networks, tmp_path / "changed"))
        presets = json.loads((place / "us2mri" / "presets.json").read_text())
        discriminator = {"base": 8, "layers": 1}
        presets["tiny"]["changes"] = {
            "*": {"batch_size": 4}, PIX2PIX: {"optimiser.rate": 0.5, "objective.discriminator": discriminator},
        }  # fmt: skip
        (place / "us2mri" / "presets.json").write_text(json.dumps(presets))
        monkeypatch.setattr(entries, "CONFIGS", place)
        plan = read_plan(a_copy)
        path = entries.entries("us2mri")[PIX2PIX]
        assert path is not None
        found = {key: (old, new) for key, old, new in entries.changed(path, plan.preset)}
        assert found.pop("optimiser.rate") == (0.002, 0.5)  # and not the batch size, which was 4 before
        ((key, (old, new)),) = found.items()
        assert (key, old["base"], new["base"]) == ("objective.discriminator", 4, 8)
        benchmark.write_page(plan)
        text = (a_copy / "index.html").read_text(encoding="utf-8")
        assert "<td class='w'>optimiser.rate</td><td>0.002</td><td>0.5</td>" in text
        assert text.count("The preset tiny changes nothing.") == len(NETWORKS)  # two of them, and the broken one


@pytest.mark.parametrize("task", entries.TASKS)
def test_no_whole_objective_or_optimiser_is_said_to_be_a_paper_s(task: str, repository: Path) -> None:
    """Their options without an origin of their own, such as the warm-up, are ours."""
    for path in (repository / "training_tools" / "configs" / task).glob("[23]*.json"):
        origins = read_config(path).origins
        assert {origins.get(group, "our choice")[:10] for group in ("objective", "optimiser")} == {"our choice"}, path


class TestDesignsChosenOnTestedPatients:
    @pytest.fixture
    def choices(self, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Says on which images the design of the tiny regression was chosen."""
        place = Path(shutil.copytree(networks, tmp_path / "with-choices"))
        monkeypatch.setattr(entries, "CONFIGS", place)

        def write(files: list[str], voxels: list[str]) -> None:
            group = {"networks": {REGRESSION: "tiny"}, "files": files, "voxels": voxels}
            text = json.dumps({"some patients": group})
            (place / "us2mri" / chosenon.NAME).write_text(text)

        return write

    def test_they_are_shown_with_a_note_and_not_ranked(self, a_copy: Path, data: Path, choices: Any) -> None:
        (two, one) = [record["from"]["source"] for record in dataset.manifest(data)["cases"][:2]]
        choices([two, one], [])
        gathered = benchmark.write_page(read_plan(a_copy))
        assert {row.name: row.chosen_on for row in gathered.rows if row.chosen_on} == {REGRESSION: 2}
        summary = {r["method"]: r for r in table(a_copy / "summary.csv") if r["measure"] == "ssim"}
        assert (summary[REGRESSION]["rank"], summary[REGRESSION]["group"]) == ("", "")
        assert sorted(summary[name]["rank"] for name in (PIX2PIX, PERCEPTUAL)) == ["1", "2"]
        assert not [t for found in gathered.tables for t in found.tests if REGRESSION in t.label]
        text = (a_copy / "index.html").read_text(encoding="utf-8")
        assert "design chosen on these patients (2 of those tested): not ranked" in text
        assert {row["network"]: row["chosen_on_tested_cases"] for row in table(a_copy / "leaderboard.csv")}[
            REGRESSION
        ] == "2"

    def test_a_patient_is_known_by_its_voxels_in_another_order_of_axes_and_type(self, data: Path, choices: Any) -> None:
        names = dataset.case_names(data)
        voxels = read_volume(data / "source" / "case1.nrrd").array
        choices([], [chosenon.voxels_hash(voxels.transpose(2, 0, 1)[::-1].astype(np.float64))])
        assert chosenon.chosen_on("us2mri", data, names) == {REGRESSION: 1}
        assert chosenon.chosen_on("us2mri", data, ["case2"]) == {}
        choices([], [chosenon.voxels_hash(voxels + 1)])
        assert chosenon.chosen_on("us2mri", data, names) == {}

    def test_alone_such_a_network_has_numbers_and_no_rank(self, a_copy: Path, data: Path, choices: Any) -> None:
        choices([record["from"]["target"] for record in dataset.manifest(data)["cases"]], [])
        for name in (PIX2PIX, PERCEPTUAL):
            shutil.rmtree(a_copy / name)
        gathered = benchmark.write_page(read_plan(a_copy))
        assert [(s.rank, s.group) for s in gathered.tables[0].summaries if s.method == REGRESSION] == [(None, "")]

    def test_the_shipped_design_is_known_to_be_chosen_on_the_public_pairs(
        self, prostate_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.undo()
        (tmp_path / "source").mkdir()
        (tmp_path / "target").mkdir()
        (tmp_path / "valid").mkdir()
        cases = []
        for number, name in enumerate(("case00", "case17")):
            volume = read_volume(prostate_pairs / "us" / f"{name}.nii.gz")
            for part in ("source", "target", "valid"):
                write_volume(volume, tmp_path / part / f"patient{number}.nrrd")
            cases.append({"case": f"patient{number}", "from": {"source": "saved again"}})
        (tmp_path / "cases.json").write_text(json.dumps({"cases": cases}))
        assert chosenon.chosen_on("us2mri", tmp_path, ["patient0", "patient1"]) == {"2D-Positioned": 2, "3D-Located": 2}
        cases = [{"case": "patient0", "from": {"source": sha256_of(prostate_pairs / "us" / "case03.nii.gz")}}]
        (tmp_path / "cases.json").write_text(json.dumps({"cases": cases}))
        assert chosenon.chosen_on("us2mri", tmp_path, ["patient0"]) == {"2D-Positioned": 1, "3D-Located": 1}
