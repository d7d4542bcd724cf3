"""What an atlas is made from: a benchmark, one of its cells, an evaluation; what counts as tissue."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, write_volume
from training_tools.atlases.evaluations import read
from training_tools.atlases.images import tissue
from training_tools.atlases.ranking import rank
from training_tools.dataset import load_case
from training_tools.evaluating import writing

from .atlas_cases import WEIGHTS, a_config, prepared

ERRORS = {"2D-Pix2Pix": 30.0, "2D-Regression": 20.0}


@pytest.fixture
def benchmark(tmp_path) -> Path:
    """A benchmark of two networks on one fold, as far as an atlas reads it."""
    data, folder = prepared(tmp_path / "data", 3), tmp_path / "benchmark"
    folder.mkdir()
    plan = {"task": "us2mri", "data": str(data), "preset": "quick", "seconds": 15, "threads": 1, "seed": 1}
    (folder / "plan.json").write_text(json.dumps(plan))
    config = a_config().model_dump(mode="json", exclude={"card"})
    for name, error in ERRORS.items():
        cell = folder / name / "fold-0"
        (cell / "package").mkdir(parents=True)
        (cell / "package" / "model.json").write_text(json.dumps({"training": {"config": config}}))
        record = {"network": name, "fold": 0, "tested": ["case0", "case1"], "weights_sha256": WEIGHTS}
        (cell / "cell.json").write_text(json.dumps(record))
        scores = {name: {case: {"mae": error, "ssim": error / 100} for case in ("case0", "case1")}}
        scores["identity"] = {case: {"mae": 50.0} for case in ("case0", "case1")}
        writing.write_scores(scores, {"case0": "P0", "case1": "P1"}, cell / "scores.csv")
    return folder


def test_of_a_benchmark_the_best_network_is_looked_at_unless_another_is_named(benchmark, tmp_path):
    found = read(benchmark, "us2mri")
    assert (found.method, found.data) == ("2D-Regression", tmp_path / "data")
    assert [part.tested for part in found.parts] == [("case0", "case1")]
    assert found.parts[0].weights == WEIGHTS
    assert found.references["identity"]["case0"]["mae"] == 50.0
    assert read(benchmark, "us2mri", by="ssim").method == "2D-Pix2Pix"
    assert read(benchmark, "us2mri", method="2D-Pix2Pix").method == "2D-Pix2Pix"
    with pytest.raises(InputError, match="no finished network '3D-UNet'"):
        read(benchmark, "us2mri", method="3D-UNet")


def test_a_cell_tells_its_network_and_finds_the_data_of_its_benchmark(benchmark, tmp_path):
    cell = benchmark / "2D-Pix2Pix" / "fold-0"
    found = read(cell, "us2mri")
    assert (found.method, found.data) == ("2D-Pix2Pix", tmp_path / "data")
    with pytest.raises(InputError, match="cell of 2D-Pix2Pix, not of 2D-Regression"):
        read(cell, "us2mri", method="2D-Regression")


def test_other_data_and_damaged_cells_are_refused(benchmark, tmp_path):
    other = prepared(tmp_path / "other", 1)
    with pytest.raises(InputError, match="does not hold case1"):
        read(benchmark, "us2mri", data=other)
    (benchmark / "2D-Regression" / "fold-0" / "cell.json").write_text("{}")
    with pytest.raises(InputError, match="no finished cell"):
        read(benchmark, "us2mri", method="2D-Regression")
    for name in ERRORS:
        (benchmark / name / "fold-0" / "cell.json").unlink()
    with pytest.raises(InputError, match="No network"):
        read(benchmark, "us2mri")


def test_empty_background_is_no_tissue(tmp_path):
    data = prepared(tmp_path / "data", 1)
    inside = np.zeros((4, 24, 20), bool)
    inside[:, 6:18, 5:15] = True
    random = np.random.default_rng(0)
    for part in ("source", "target"):
        image = np.where(inside, random.uniform(80, 170, inside.shape), 0).astype(np.float32)
        write_volume(Volume(image, modality="NM"), data / part / "case0.nrrd")
    case = load_case(data, a_config(), "case0")
    assert case.valid.all()
    assert (tissue(case) == inside).all()


def test_a_patient_with_several_cases_counts_once_by_their_mean():
    scores = {"a": {"mae": 10.0}, "b": {"mae": 30.0}, "c": {"mae": 25.0}}
    found = rank(scores, {"a": "P", "b": "P", "c": "Q"}, "mae")
    assert found.order == ("Q", "P")
    assert found.values["mae"] == {"P": 20.0, "Q": 25.0}
    assert found.worst_cases(2) == ["c", "b"]
    assert found.worse_than("Q", "mae") == 100.0
    tied = rank(
        {one: {"mae": value} for one, value in zip("abcd", (1.0, 2.0, 2.0, 3.0))}, dict(zip("abcd", "abcd")), "mae"
    )
    assert [tied.worse_than(one, "mae") for one in "abcd"] == [0.0, 50.0, 50.0, 100.0]
    assert rank({"a": {"mae": 1.0}}, {"a": "P"}, "mae").worse_than("P", "mae") is None
