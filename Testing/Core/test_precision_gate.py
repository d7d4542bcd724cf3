"""The precision gate: what it measures, what it lets through, and what a person is told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation import networks
from imagetranslation.engines import gate, make_predictor, probes
from imagetranslation.engines.gate import DEFAULT, FLOAT32, Outcome
from imagetranslation.errors import InputError, ModelRefused
from imagetranslation.models import ModelPackage, load_package, write_package
from imagetranslation.predictors import TorchPredictor
from Testing.packages import an_ultrasound, make_package, metadata


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path / "home"))


@pytest.fixture
def steady(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "steady")


@pytest.fixture
def brittle(tmp_path: Path) -> ModelPackage:
    """A network whose last step turns the smallest rounding into black or white."""
    import torch

    made = metadata()
    torch.manual_seed(0)
    network = networks.build(made["network"]["name"], **made["network"]["arguments"])
    state = network.state_dict()
    state["head.weight"], state["head.bias"] = 5000 * state["head.weight"], 0 * state["head.bias"]
    return write_package(tmp_path / "brittle", made, state, "# brittle")


@pytest.fixture
def some_probes() -> probes.Probes:
    lesions = np.zeros((2, 32, 32), np.uint8)
    lesions[:, 4:8, 4:8], lesions[:, 20:24, 20:24] = 1, 2
    return probes.Probes(np.zeros((2, 1, 32, 32), np.float32), lesions, "stored in the package")


def an_image() -> np.ndarray:
    waves = np.sin(np.arange(32) / 3)
    return np.repeat(0.8 * np.outer(waves, waves)[None, None], 2, axis=0).astype(np.float32)


def failures(made: np.ndarray, some_probes: probes.Probes, allowed: dict[str, float] = DEFAULT) -> set[str]:
    return set(gate.compare(an_image(), made, some_probes, allowed).failed)


def test_the_same_image_passes(some_probes: probes.Probes) -> None:
    outcome = gate.compare(an_image(), an_image(), some_probes, DEFAULT)
    assert outcome.passed
    assert (outcome.error_maximum, outcome.error_percentile_99_9, outcome.lesion_mean) == (0, 0, 0)
    assert outcome.ssim == pytest.approx(1)


def test_errors_are_fractions_of_the_output_range(some_probes: probes.Probes) -> None:
    made = an_image()
    made[1, 0, 0, 0] += 0.05
    outcome = gate.compare(an_image(), made, some_probes, DEFAULT)
    assert outcome.error_maximum == pytest.approx(0.025)
    assert outcome.passed


def test_one_voxel_beyond_three_percent_fails(some_probes: probes.Probes) -> None:
    made = an_image()
    made[0, 0, 0, 0] += 0.07
    assert failures(made, some_probes) == {"error_maximum"}


def test_many_voxels_beyond_one_percent_fail(some_probes: probes.Probes) -> None:
    made = an_image()
    made[:, :, 28:30, 28:30] += 0.03  # 8 voxels of 2048, in no lesion
    assert "error_percentile_99_9" in failures(made, some_probes)
    made = an_image()
    made[:, :, 28, 28] += 0.015  # 2 voxels, below one percent of the range
    assert failures(made, some_probes) == set()


def test_a_lesion_whose_mean_moves_by_half_a_percent_fails(some_probes: probes.Probes) -> None:
    made = an_image()
    made[1, :, 20:24, 20:24] += 0.011
    assert failures(made, some_probes) == {"lesion_mean"}
    made = an_image()
    made[1, :, 20:24, 20:24] += 0.009
    assert failures(made, some_probes) == set()


def test_a_lost_texture_fails_by_its_similarity() -> None:
    reference = np.full((1, 1, 32, 32), 0.1, np.float32)
    reference[..., ::2] = 0.118
    flat = np.full_like(reference, 0.109)
    blank = probes.Probes(reference, np.zeros((1, 32, 32), np.uint8), "generated phantoms")
    assert gate.compare(reference, flat, blank, {**DEFAULT, "ssim": 0.9999}).failed == ("ssim",)


def test_what_is_not_a_number_fails_everything(some_probes: probes.Probes) -> None:
    made = an_image()
    made[0, 0, 5, 5] = np.nan
    outcome = gate.compare(an_image(), made, some_probes, DEFAULT)
    assert set(outcome.failed) == set(DEFAULT)
    assert (outcome.error_maximum, outcome.ssim) == (1, 0), "plain JSON has no word for what is not a number"


def test_what_lies_beyond_the_output_range_is_clipped_as_a_result_is(some_probes: probes.Probes) -> None:
    outcome = gate.compare(3 + an_image(), 5 + an_image(), some_probes, DEFAULT)
    assert outcome.passed


def test_float32_is_held_to_rounding(some_probes: probes.Probes) -> None:
    assert failures(an_image() + np.float32(2e-4), some_probes, FLOAT32) >= {"error_maximum"}
    assert failures(an_image() + np.float32(1e-5), some_probes, FLOAT32) == set()


def test_the_outcome_survives_json(some_probes: probes.Probes) -> None:
    outcome = gate.compare(an_image(), an_image() + np.float32(0.1), some_probes, DEFAULT)
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome
    assert "the largest error is 5.00% of the output range (3.00% allowed)" in outcome.reason()


def test_bfloat16_passes_on_a_steady_network_and_says_what_it_changed(steady: ModelPackage) -> None:
    predictor = make_predictor(steady, device="cpu", engine="torch", precision="bfloat16")
    assert predictor.precision == "bfloat16"
    (note,) = predictor.notes
    assert note.startswith("Computed in bfloat16: on 4 generated phantoms the largest difference from float32 was 0.")
    windows = probes.probes_of(steady).windows
    difference = np.abs(predictor.predict(windows) - TorchPredictor(steady, "cpu").predict(windows)).max()
    assert 0 < difference <= 2 * DEFAULT["error_maximum"]


def test_bfloat16_fails_on_a_brittle_network_which_runs_in_float32(brittle: ModelPackage) -> None:
    predictor = make_predictor(brittle, device="cpu", engine="torch", precision="bfloat16")
    assert (predictor.engine, predictor.precision) == ("torch", "float32")
    (note,) = predictor.notes
    assert note.startswith("bfloat16 on torch was not used, because ")
    assert "of the output range" in note
    windows = probes.probes_of(brittle).windows
    np.testing.assert_allclose(predictor.predict(windows), TorchPredictor(brittle, "cpu").predict(windows), atol=2e-2)


def test_a_package_states_its_own_tolerance(tmp_path: Path) -> None:
    strict = {"error_maximum": 1e-7}
    package = make_package(tmp_path / "strict", made=metadata(inference={"precision_tolerance": strict}))
    predictor = make_predictor(package, device="cpu", engine="torch", precision="bfloat16")
    assert predictor.precision == "float32"
    assert "the largest error is" in predictor.notes[0]


@pytest.mark.parametrize("stated", [{"error_maximum": -1}, {"error_maximum": 2}, {"speed": 1}, {"ssim": "high"}])
def test_a_tolerance_that_makes_no_sense_is_refused(stated: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="not a valid model package"):
        make_package(tmp_path / "odd", made=metadata(inference={"precision_tolerance": stated}))


@pytest.mark.parametrize("patch", [[16, 16], [19, 40], [5, 12, 9], [256, 256], [64, 128, 128], [1, 1]])
def test_generated_probes_are_alike_everywhere_and_hold_lesions(patch: list[int], tmp_path: Path) -> None:
    made = metadata(patch_size=patch, spatial_dims=len(patch))
    package = ModelPackage(tmp_path, made)
    first, second = probes.probes_of(package), probes.probes_of(package)
    np.testing.assert_array_equal(first.windows, second.windows)
    assert first.windows.shape[1:] == (1, *patch)
    assert first.windows.dtype == np.float32
    assert np.abs(first.windows).max() <= 1
    assert first.lesions.shape == (len(first.windows), *patch)
    if min(patch) >= 16:
        assert first.windows.std() > 0.2
        assert first.windows.min() == -1
        assert set(np.unique(first.lesions)) == {0, 1, 2, 3}
    assert first.windows.size <= max(4 * 256 * 256, np.prod(patch))


@pytest.fixture
def with_probes(steady: ModelPackage) -> ModelPackage:
    from training_tools.probes import add_probes

    return add_probes(steady, [an_ultrasound(), an_ultrasound(seed=4)], "CC0, made for a test")


def test_probes_of_scans_travel_with_the_package(with_probes: ModelPackage, tmp_path: Path) -> None:
    found = probes.probes_of(load_package(with_probes.path))
    assert (found.origin, found.windows.shape) == ("windows stored in the package", (4, 1, 16, 16))
    assert found.windows.min() >= -1
    assert found.windows.std() > 0.3
    assert found.lesions.any(axis=(1, 2)).all(), "without drawn lesions, lesion-sized regions stand in"
    predictor = make_predictor(with_probes, device="cpu", engine="torch", precision="bfloat16")
    assert "on 4 windows stored in the package" in predictor.notes[0]


def test_probes_that_were_changed_are_refused(with_probes: ModelPackage) -> None:
    file = with_probes.path / "probes.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelRefused, match=r"probe inputs of tiny are not those that its model\.json names"):
        probes.probes_of(load_package(with_probes.path))


@pytest.mark.parametrize("harm", ["no tensors", "another shape", "not numbers", "no such tensor"])
def test_probes_that_do_not_fit_are_refused(harm: str, steady: ModelPackage) -> None:
    from safetensors.numpy import save

    data = {
        "no tensors": b"hello",
        "another shape": save({"windows": np.zeros((2, 1, 8, 8), np.float32)}),
        "not numbers": save({"windows": np.full((1, 1, 16, 16), np.nan, np.float32)}),
        "no such tensor": save({"other": np.zeros((1, 1, 16, 16), np.float32)}),
    }[harm]
    (steady.path / "probes.safetensors").write_bytes(data)
    stored = {"file": "probes.safetensors", "sha256": hashlib.sha256(data).hexdigest(), "licence": "CC0"}
    inference = {**steady.metadata["inference"], "probes": stored}
    with pytest.raises(ModelRefused, match="do not fit it"):
        probes.probes_of(ModelPackage(steady.path, {**steady.metadata, "inference": inference}))


def test_probes_without_a_licence_are_refused(steady: ModelPackage) -> None:
    from training_tools.probes import add_probes

    with pytest.raises(InputError, match="under which licence"):
        add_probes(steady, [an_ultrasound()], " ")
