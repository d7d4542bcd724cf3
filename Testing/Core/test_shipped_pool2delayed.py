"""The shipped blood-pool-to-delayed package: what it says of itself, and that its scores can be had again.

The scans it was trained and tested on are simulated, and made anew here from their seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.inference import translate
from imagetranslation.models import ModelPackage, load_package, verify
from imagetranslation.tasks import load_task
from imagetranslation.volume import Volume
from training_tools import evaluation
from training_tools.config import Config, read_config
from training_tools.dataset import Case, load_cases
from training_tools.phantoms.bonescan_writing import Order, write_cases

ID = "pool2delayed-2d-pix2pix"
SEED, PATIENTS = 2000, 170
REGIONS = {"hands", "feet", "knees", "legs"}
# The first patients, among them tested ones of all four regions; they are made in a second.
FIRST = 15
SCORES = ("mae", "psnr", "ssim")
FLOORS = {"identity": evaluation.IDENTITY, "identity, best line": evaluation.LINE, "mean image": evaluation.MEAN}


@pytest.fixture(scope="module")
def shipped(repository: Path) -> ModelPackage:
    return load_package(repository / "Resources" / "Models" / ID)


@pytest.fixture(scope="module")
def config(repository: Path) -> Config:
    return read_config(repository / "training_tools" / "configs" / "pool2delayed_pix2pix.json")


@pytest.fixture(scope="module")
def evaluated(shipped: ModelPackage) -> dict[str, Any]:
    return dict(shipped.metadata["scores"]["evaluation"])


@pytest.fixture(scope="module")
def first_scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated patients again, as far as they are tested quickly."""
    folder = tmp_path_factory.mktemp("simulated")
    write_cases(Order(FIRST, SEED), folder)
    return folder


@pytest.fixture(scope="module")
def first_tested(first_scans: Path, config: Config, evaluated: dict[str, Any]) -> Sequence[Case]:
    again = sorted(path.stem for path in (first_scans / "source").iterdir())
    return load_cases(first_scans, config, [case for case in again if case in evaluated["tested"]])


def test_the_package_is_whole_small_and_the_one_its_module_starts_with(shipped: ModelPackage, repository: Path) -> None:
    assert verify(shipped)["parameters"] <= 3_000_000
    assert (shipped.path / "weights.safetensors").stat().st_size <= 6_000_000
    task = load_task(repository / "PoolToDelayed" / "task.json")
    assert (task.default_model, task.id) == (shipped.id, shipped.metadata["task"])


def test_title_card_data_and_limits_all_say_that_its_patients_are_simulated(shipped: ModelPackage) -> None:
    told = shipped.metadata
    for text in (told["title"], told["training"]["data"], told["limits"][0], shipped.card().splitlines()[0]):
        assert "simulated" in text.lower()
    for words in ("Not for clinical use", "nothing at all is shown about real patients", "64 x 64", "not calibrated"):
        assert words.lower() in shipped.card().lower()
    assert told["licence"] == "Apache-2.0"


def test_no_tested_patient_shaped_the_weights(shipped: ModelPackage, evaluated: dict[str, Any]) -> None:
    training = shipped.metadata["training"]
    learnt, tested = set(training["cases"]), set(evaluated["tested"])
    assert (len(learnt), len(tested), len(learnt | tested)) == (113, 57, PATIENTS)
    assert "encoder" not in training, "an encoder in the loss has seen scans of its own"
    assert len(training["distribution"]["distances"]) == len(learnt)


def test_it_was_made_by_the_committed_configuration_which_keeps_its_tested_cases_out(
    shipped: ModelPackage, config: Config, evaluated: dict[str, Any]
) -> None:
    told, known = dict(shipped.metadata["training"]["config"]), config.published()
    assert sorted(known.pop("held_out")) == sorted(evaluated["tested"])
    assert told.pop("held_out") == []
    assert told == known
    assert shipped.inputs == config.inputs()


def test_the_means_follow_from_the_patients_and_lie_between_floors_and_ceiling(
    shipped: ModelPackage, evaluated: dict[str, Any]
) -> None:
    for measure in SCORES:
        numbers = evaluated["measures"][measure]["methods"]
        mean = np.mean([row[measure] for row in evaluated["cases"]])
        assert mean == pytest.approx(numbers["model"]["mean"])
        assert f"{numbers['model']['mean']:.4g}" in shipped.card()
        sign = -1 if evaluated["measures"][measure]["better"] == "lower" else 1
        for floor in FLOORS:
            assert sign * mean > sign * numbers[floor]["mean"]
        assert sign * mean < sign * numbers["real target, noise added"]["mean"]


def test_the_scores_of_tested_patients_of_every_region_can_be_had_again_from_their_seed(
    shipped: ModelPackage, config: Config, evaluated: dict[str, Any], first_tested: Sequence[Case]
) -> None:
    stored = {row["case"]: row for row in evaluated["cases"]}
    assert {case.name.split("-")[1] for case in first_tested} == REGIONS
    for case in first_tested:
        scores = evaluation.score(translate(case.source, shipped, device="cpu").array, case, config)
        for measure in SCORES:
            assert scores[measure] == pytest.approx(stored[case.name][measure], rel=1e-3)


def test_its_own_kind_of_scan_is_not_warned_of_and_the_same_scan_in_inverted_grey_is(
    shipped: ModelPackage, first_tested: Sequence[Case]
) -> None:
    for case in first_tested:
        assert not warnings(case.source, shipped)
        inverted = case.source.with_array(case.source.array.max() - case.source.array)
        assert "does not look like those the model was trained on" in warnings(inverted, shipped)


def test_a_real_whole_body_scan_is_warned_of(shipped: ModelPackage, data_dir: Path) -> None:
    from imagetranslation.volume import read_volume

    scan = read_volume(data_dir / "bone_scan" / "nm_whole_body.dcm")
    assert "does not look like those the model was trained on" in warnings(scan, shipped)


@pytest.mark.soak
def test_the_whole_evaluation_can_be_had_again(
    shipped: ModelPackage, config: Config, evaluated: dict[str, Any], tmp_path: Path
) -> None:
    write_cases(Order(PATIENTS, SEED), tmp_path)
    floors = evaluation.Floors(load_cases(tmp_path, config, shipped.metadata["training"]["cases"]), config)
    rows = []
    for case in load_cases(tmp_path, config, evaluated["tested"]):
        images = {"model": translate(case.source, shipped, device="cpu").array, **floors.images(case)}
        rows.append({method: evaluation.score(image, case, config) for method, image in images.items()})
    for measure in SCORES:
        numbers = evaluated["measures"][measure]["methods"]
        for stored, method in {"model": "model", **FLOORS}.items():
            mean = np.mean([row[method][measure] for row in rows])
            assert mean == pytest.approx(numbers[stored]["mean"], rel=1e-3), (measure, method)


def warnings(scan: Volume, package: ModelPackage) -> str:
    return " ".join(note for note in translate(scan, package, device="cpu").notes if "WARNING" in note)
