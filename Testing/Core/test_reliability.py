"""Calibration of a spread: a planted scale is found again, coverage is what it says, few patients calibrate nothing.

All residuals here are simulated, and labelled so; none is a patient's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import InputError, ModelRefused
from imagetranslation.grid import ModelGrid, Reorientation
from imagetranslation.models import ModelPackage, check_metadata
from imagetranslation.uncertainty import Settings, calibration, translate_with_uncertainty
from Testing.packages import an_ultrasound, make_package, metadata
from training_tools import reliability
from training_tools.reliability import Residuals

RANGE = (0.0, 255.0)
SHAPE = (8, 24, 16)
FRAME = ModelGrid(Reorientation((0, 1, 2), (False, False, False)), SHAPE, SHAPE, (1.0, 1.0, 1.0))


def simulated(count: int, seed: int = 0, *, scale: float = 4.0, by_place: bool = False) -> list[Residuals]:
    """Simulated patients whose errors are normal with `scale` times the raw spread, twice that in the lower slices."""
    chance = np.random.default_rng(seed)
    mask = np.ones(SHAPE, bool)
    mask[:, :3] = False
    found = []
    for number in range(count):
        spread = chance.gamma(4, 0.5, SHAPE).astype(np.float32)
        place = np.where(np.arange(SHAPE[0]) < SHAPE[0] // 2, 2.0, 1.0)[:, None, None] if by_place else 1.0
        error = chance.normal(0, scale * spread * place).astype(np.float32)
        found.append(Residuals(f"simulated{number}", spread[mask], error[mask], mask, FRAME))
    return found


def a_record(count: int, **planted: Any) -> dict[str, Any]:
    by_place = bool(planted.get("by_place"))
    return reliability.evaluate(simulated(count, **planted), 8, RANGE, "simulated residuals", by_place)


def test_a_planted_scale_is_found_again() -> None:
    knots = reliability.scale(simulated(12, scale=4.0), by_place=False)
    inner = slice(1, -2)  # the ends are bins with tails
    np.testing.assert_allclose(np.divide(knots["calibrated"], knots["raw"])[inner], 4.0, rtol=0.05)


@pytest.mark.parametrize("by_place", [False, True])
def test_the_bands_hold_what_they_promise_on_patients_left_out(by_place: bool) -> None:
    record = a_record(12, by_place=by_place)
    for band, nominal in (("80", 0.80), ("95", 0.95)):
        seen = record[f"coverage{band}"]
        assert seen["nominal"] == nominal
        assert seen["n"] == 12
        assert seen["low"] <= seen["mean"] <= seen["high"]
        assert abs(seen["mean"] - nominal) < 0.02
    for row in record["bins"]:
        assert row["predicted"] == pytest.approx(row["observed"], rel=0.12)


def test_a_place_with_larger_errors_is_given_larger_deviations() -> None:
    patients = simulated(12, by_place=True)
    plain, placed = (reliability.evaluate(patients, 8, RANGE, "simulated", by) for by in (False, True))
    factor = np.reshape(placed["scale"]["places"]["factor"], (reliability.POINTS,) * 3)
    np.testing.assert_allclose(factor[:2].mean() / factor[-2:].mean(), 2, rtol=0.1)
    assert placed["rank_correlation"]["low"] > plain["rank_correlation"]["high"]
    assert placed["sparsification"]["gain"]["mean"] > plain["sparsification"]["gain"]["mean"]


def test_a_patient_never_judges_itself() -> None:
    """One patient with tenfold errors is not covered by what the others taught, and would be by its own scale."""
    patients = simulated(11)
    odd = patients[3]
    patients[3] = Residuals("odd", odd.spread, 10 * odd.error, odd.mask, odd.frame)
    deviations = reliability.left_out(patients, RANGE, by_place=False)
    inside = np.mean(np.abs(patients[3].error) <= 1.96 * deviations[3])
    assert inside < 0.3
    own = reliability.apply(reliability.scale(patients[3:4], False), patients[3], RANGE)
    assert np.mean(np.abs(patients[3].error) <= 1.96 * own) > 0.9


def test_a_spread_that_knows_nothing_becomes_the_same_error_everywhere() -> None:
    chance = np.random.default_rng(4)
    patients = [
        Residuals(p.case, p.spread, chance.normal(0, 30, p.error.shape).astype(np.float32), p.mask, p.frame)
        for p in simulated(12)
    ]
    record = reliability.evaluate(patients, 8, RANGE, "simulated", by_place=False)
    np.testing.assert_allclose(record["scale"]["calibrated"], 30, rtol=0.03)
    gain = record["sparsification"]["gain"]
    assert gain["low"] <= 0.005
    assert gain["high"] >= -0.005
    assert record["sparsification"]["ause"]["mean"] == pytest.approx(
        record["sparsification"]["gain_of_oracle"], abs=0.01
    )


def test_fewer_than_ten_patients_calibrate_nothing() -> None:
    assert "scale" in a_record(10)
    record = a_record(9)
    assert record["n_patients"] == 9
    assert "scale" not in record
    assert "coverage80" not in record
    with pytest.raises(InputError, match="at least two"):
        a_record(1)


def test_isotonic_regression_pools_what_falls() -> None:
    made = reliability._never_falling(np.array([1.0, 3.0, 2.0, 4.0]), np.array([1.0, 1.0, 3.0, 1.0]))
    np.testing.assert_allclose(made, [1, 2.25, 2.25, 4])


def test_sparsification_of_a_perfect_order_is_the_oracles() -> None:
    patients = simulated(3)
    errors = [patient.error for patient in patients]
    perfect = reliability.sparsification([np.abs(error) for error in errors], errors, errors)
    assert perfect["model"] == perfect["oracle"]
    assert perfect["ause"]["mean"] == 0
    assert perfect["model"][0] == 1
    assert perfect["model"][-1] < 0.1


def test_a_spread_of_nothing_is_refused() -> None:
    still = [Residuals(p.case, 0 * p.spread, p.error, p.mask, p.frame) for p in simulated(10)]
    with pytest.raises(InputError, match="do not differ"):
        reliability.evaluate(still, 8, RANGE, "simulated", by_place=False)


def calibrated_package(folder: Any, record: dict[str, Any], **image: Any) -> ModelPackage:
    made = metadata(**image)
    made["uncertainty"] = {"calibration": {"tta": record}}
    return make_package(folder, made=made)


def test_a_package_rescales_by_its_calibration_and_says_by_how_many_patients(tmp_path: Any) -> None:
    source, record = an_ultrasound(), a_record(12)
    plain = translate_with_uncertainty(
        source, make_package(tmp_path / "raw"), settings=Settings(samples=8), device="cpu"
    )
    package = calibrated_package(tmp_path / "m", record)
    made = translate_with_uncertainty(source, package, device="cpu")
    assert made.calibrated
    assert made.patients == 12
    assert made.deviation.provenance.quantity["patients"] == 12
    knots, raw = record["scale"], plain.deviation.array
    within = (raw > 0) & (raw <= knots["raw"][-1])
    np.testing.assert_allclose(
        made.deviation.array[within], np.interp(raw[within], knots["raw"], knots["calibrated"]), rtol=1e-4
    )
    assert made.deviation.array.max() <= 127.5
    assert np.array_equal(made.deviation.array[source.array == 0], raw[source.array == 0])
    assert np.array_equal(made.synthetic.array, plain.synthetic.array)
    assert "12 patients" in made.notes[0]


@pytest.mark.parametrize(
    ("count", "samples", "why"), [(9, 8, "9 patients, fewer than 10"), (12, 5, "8 samples, not 5")]
)
def test_where_the_calibration_does_not_hold_the_map_is_an_uncalibrated_spread(
    tmp_path: Any, count: int, samples: int, why: str
) -> None:
    package = calibrated_package(tmp_path / "m", a_record(count))
    made = translate_with_uncertainty(an_ultrasound(), package, settings=Settings(samples=samples), device="cpu")
    assert not made.calibrated
    assert made.patients is None
    assert why in made.notes[0]
    assert "uncalibrated spread" in made.notes[0]


def test_a_scale_from_too_few_patients_is_not_applied_even_if_a_package_has_one(tmp_path: Any) -> None:
    package = calibrated_package(tmp_path / "m", {**a_record(12), "n_patients": 4})
    assert not translate_with_uncertainty(an_ultrasound(), package, device="cpu").calibrated


def test_factors_by_place_lie_where_inference_puts_them(tmp_path: Any) -> None:
    record = a_record(12)
    factor = np.ones((4, 4, 4))
    factor[:2] = 3  # the first slices of the network's frame
    record["scale"] = {
        "raw": [1.0, 100.0], "calibrated": [10.0, 10.0], "places": {"points": 4, "factor": factor.ravel().tolist()}
    }  # fmt: skip
    package = calibrated_package(tmp_path / "m", record, spatial_dims=3, patch_size=[8, 16, 16], slice_axis="i")
    package.metadata["network"]["arguments"]["spatial_dims"] = 3
    grid = ModelGrid(Reorientation((2, 0, 1), (True, False, False)), (20, 9, 11), (8, 16, 16), (2.5, 9 / 16, 11 / 16))
    deviation = np.ones((9, 11, 20), np.float32)
    found = calibration.stored(package, "tta", 8)
    assert not isinstance(found, str)
    found.apply(deviation, grid)
    np.testing.assert_allclose(deviation[:, :, -6:], 30, rtol=1e-6)
    np.testing.assert_allclose(deviation[:, :, :6], 10, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"raw": [2.0, 1.0], "calibrated": [1.0, 2.0]}, "must map rising spreads"),
        ({"raw": [1.0, 2.0], "calibrated": [2.0, 1.0]}, "must map rising spreads"),
        ({"raw": [1.0, 2.0], "calibrated": [1.0]}, "must map rising spreads"),
        ({"raw": [0.0], "calibrated": [1.0]}, "ends at no spread"),
        ({"raw": [1.0, "x"], "calibrated": [1.0, 2.0]}, "uncertainty"),
        ({"raw": [1.0], "calibrated": [1.0], "places": {"points": 2, "factor": [1.0] * 9}}, "9 places for a grid of 2"),
        ({"raw": [1.0], "calibrated": [1.0], "places": {"points": 2, "factor": [1.0] * 8}}, "does not see every scan"),
    ],
)
def test_a_broken_calibration_refuses_the_package(change: dict[str, Any], sentence: str) -> None:
    made = metadata()
    made.update(
        format_version=1,
        weights={"file": "weights.safetensors", "sha256": "0" * 64, "dtype": "float16", "parameters": 1},
    )
    made["uncertainty"] = {"calibration": {"tta": {**a_record(10), "scale": change}}}
    with pytest.raises(ModelRefused, match=sentence):
        check_metadata(made, "package")
