"""The calibration command: every patient judged by the model that never saw it, and what reaches package and card."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.models import load_package, verify
from imagetranslation.uncertainty import METHODS, translate_with_uncertainty
from imagetranslation.volume import Volume, write_volume
from training_tools import calibration, crossval, reliability
from training_tools.config import Config
from training_tools.dataset import load_cases
from training_tools.export import export, read_calibration
from training_tools.pairs import list_pairs
from training_tools.prepare import prepare
from training_tools.train import train

SHAPE = (10, 20, 18)
CASES, HELD_OUT = 12, ("case10", "case11")


@pytest.fixture(scope="module")
def simulated_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated: twelve prepared pairs of a bright target that the dark source shows."""
    folder = tmp_path_factory.mktemp("simulated")
    grid = np.stack(np.mgrid[tuple(slice(0, n) for n in SHAPE)], axis=-1)
    for number in range(CASES):
        random = np.random.default_rng(number)
        gland = (((grid - random.uniform(4, 6, 3) * [1, 2, 1.8]) / [3, 6, 5]) ** 2).sum(axis=-1) < 1
        fan = np.abs(grid[..., 1] - 9.5) < 2 + 0.5 * grid[..., 2]
        images = {
            "us": np.where(fan, np.where(gland, 60, 160) + random.uniform(0, 40, SHAPE), 0),
            "mr": np.where(gland, 200, 80) + random.uniform(0, 20, SHAPE),
            "us_labels": gland,
            "mr_labels": gland,
        }
        for name, array in images.items():
            (folder / name).mkdir(exist_ok=True)
            write_volume(Volume(array.astype(np.float32)), folder / name / f"case{number:02d}.nrrd")
    prepare(list_pairs(*(folder / n for n in ("us", "mr", "us_labels", "mr_labels"))), folder / "prepared")
    return folder / "prepared"


@pytest.fixture(scope="module")
def a_config() -> Config:
    return Config(
        id="tiny",
        title="Tiny",
        task="us2mri",
        network={
            "name": "pix2pix-small",
            "arguments": {"spatial_dims": 3, "base": 4, "levels": 3, "dropout": 0.3, "points": 4, "members": 2},
        },
        objective={"name": "regression", "l1": 1},
        source={"spatial_dims": 3, "patch_size": [10, 16, 16]},
        sampling={"samples": "positioned-slices"},
        steps=2,
        batch_size=4,
        seed=3,
        held_out=HELD_OUT,
        folds=2,
        uncertainty={"samples": 3, "augmentations": {"shift_voxels": [1, 1, 1]}},
    )


@pytest.fixture(scope="module")
def finished(simulated_data: Path, a_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-validation, a training run and the calibration made from them by its command."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "config.json").write_text(a_config.model_dump_json())
    common = ["--config", str(folder / "config.json"), "--data", str(simulated_data)]
    assert crossval.main([*common, "--alike", "1", "-o", str(folder / "cv")]) == 0
    train(a_config, simulated_data, folder / "run")
    command = [str(folder / "cv"), *common, "--run", str(folder / "run"), "--methods", *METHODS]
    assert calibration.main([*command, "-o", str(folder / "calibration")]) == 0
    return folder


def test_every_patient_is_judged_once_by_each_method_and_the_held_out_ones_by_the_package_too(finished: Path) -> None:
    with (finished / "calibration" / "calibration.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [f"case{number:02d}" for number in range(CASES)]
    for method in METHODS:
        assert [r["case"] for r in rows if (r["method"], r["model"]) == (method, "cross-validation")] == names
        assert [r["case"] for r in rows if (r["method"], r["model"]) == (method, "this package")] == list(HELD_OUT)
    records = read_calibration(finished / "calibration" / "calibration.json")
    assert {record["n_patients"] for record in records.values()} == {CASES}
    assert {method: record["samples"] for method, record in records.items()} == {"tta": 3, "ensemble": 2, "dropout": 3}
    assert all("places" in record["scale"] for record in records.values())


def test_what_the_command_says_of_a_patient_follows_from_the_residuals(
    finished: Path, simulated_data: Path, a_config: Config
) -> None:
    patients, samples = calibration.cross_validated(finished / "cv", a_config, simulated_data, "tta")
    assert samples == 3
    deviations = reliability.left_out(patients, (0.0, 255.0), by_place=True)
    shares = [np.mean(np.abs(p.error) <= 1.2815515655 * sd) for p, sd in zip(patients, deviations)]
    record = read_calibration(finished / "calibration" / "calibration.json")["tta"]
    assert record["coverage80"]["mean"] == pytest.approx(np.mean(shares), abs=1e-4)


def test_a_model_may_not_judge_a_patient_it_was_trained_on(
    finished: Path, simulated_data: Path, a_config: Config
) -> None:
    package = load_package(finished / "cv" / "fold-0" / "package")
    seen = package.metadata["training"]["cases"][0]
    case = load_cases(simulated_data, a_config, [seen])[0]
    with pytest.raises(InputError, match=f"was trained on {seen}"):
        calibration.residuals(package, case, "tta", 3)


def test_the_exported_package_is_calibrated_and_its_card_shows_the_tables(
    finished: Path, simulated_data: Path, tmp_path: Path
) -> None:
    records = read_calibration(finished / "calibration" / "calibration.json")
    package = export(finished / "run", simulated_data, tmp_path / "package", calibration=records)
    assert verify(package)
    case = load_cases(simulated_data, Config.model_validate(package.metadata["training"]["config"]), ["case10"])[0]
    made = translate_with_uncertainty(case.source, package, device="cpu")
    assert made.calibrated
    assert (made.method, made.samples, made.patients) == ("tta", 3, CASES)
    card = package.card()
    assert records["tta"]["held_out"]["coverage80"]["n"] == len(HELD_OUT)
    for words in (
        "this package on the held-out cases",
        "## Uncertainty",
        f"3 answers, n = {CASES} (what `auto` takes)",
        "AUSE",
        "| 80 % (±1.28 SD) |",
    ):
        assert words in card
    assert "## Scans unlike the training scans" in card
    assert len(package.metadata["training"]["distribution"]["distances"]) == CASES - len(HELD_OUT)


def test_a_cross_validation_of_another_configuration_is_refused(
    finished: Path, simulated_data: Path, a_config: Config
) -> None:
    other = a_config.model_copy(update={"seed": 4})
    with pytest.raises(InputError, match="another configuration"):
        calibration.cross_validated(finished / "cv", other, simulated_data, "tta")
    with pytest.raises(InputError, match="no finished fold"):
        calibration.cross_validated(finished / "nowhere", a_config, simulated_data, "tta")


def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path) -> None:
    for text in ("", "[]", json.dumps({"calibration": 3}), json.dumps({"x": 1})):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(InputError, match=r"is not a calibration\.json"):
            read_calibration(tmp_path / "c.json")
