"""The simulated bone scan's kinetics and camera against known answers, and its image against a real scan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.volume import read_volume
from training_tools.phantoms import bonescan
from training_tools.phantoms.bonescan_anatomy import Body
from training_tools.phantoms.bonescan_camera import IDEAL, Camera, count, see
from training_tools.phantoms.bonescan_kinetics import (
    LABEL_BLOOD,
    LABEL_URINE,
    SPREAD,
    Rates,
    content,
    decay,
    individual,
)
from training_tools.phantoms.bonescan_shapes import Ball, Canvas, Plate, Tube

# The patient nearest to the real scan on a coarse grid of girth and rate constants; see Resources/Docs/simulators.md.
LIKE_THE_REAL = (
    Body(girth=1.2, retained=0.05),
    replace(Rates(), to_urine=0.5 * Rates().to_urine, to_bone=0.5 * Rates().to_bone),
)


def test_half_of_the_tracer_is_left_after_a_half_life_and_71_percent_after_three_hours() -> None:
    assert decay(6.0067 * 60) == pytest.approx(0.5, rel=1e-12)
    assert decay(180) == pytest.approx(np.exp(-np.log(2) * 3 / 6.0067), rel=1e-12)
    assert decay(10) / decay(180) == pytest.approx(2 ** (170 / 360.402), rel=1e-6)


@pytest.mark.parametrize("minutes", [0.0, 1.0, 10.0, 180.0, 1440.0])
def test_no_tracer_is_lost_or_made(minutes: float) -> None:
    for seed in range(5):
        state = content(individual(np.random.default_rng(seed)), minutes)
        values = np.array([state.blood, state.fluid, state.bone, state.urine])
        assert values.sum() == pytest.approx(1.0, abs=1e-12)
        assert (values >= 0).all()


def test_blood_and_fluid_follow_the_two_exponentials_of_two_compartments() -> None:
    rates = Rates(to_fluid=0.2, from_fluid=0.05, to_urine=0.04, to_bone=0.0, from_bone=0.0)
    outflow, trace = rates.to_fluid + rates.to_urine, rates.to_fluid + rates.to_urine + rates.from_fluid
    root = np.sqrt(trace**2 - 4 * rates.to_urine * rates.from_fluid)
    fast, slow = 0.5 * (trace + root), 0.5 * (trace - root)
    for minutes in (1.0, 7.0, 60.0, 300.0):
        share = (outflow - slow) / (fast - slow)
        expected = share * np.exp(-fast * minutes) + (1 - share) * np.exp(-slow * minutes)
        assert content(rates, minutes).blood == pytest.approx(expected, rel=1e-9)


def test_bone_fills_from_fluid_as_small_steps_in_time_say() -> None:
    rates, state = Rates(), np.array([1.0, 0.0, 0.0, 0.0])
    for _ in range(18000):
        state = state + 0.01 * rates.matrix() @ state
    solved = content(rates, 180.0)
    assert np.allclose(state, [solved.blood, solved.fluid, solved.bone, solved.urine], atol=2e-4)


def test_the_average_constants_give_the_blood_and_urine_of_the_products_information() -> None:
    for minutes, blood in LABEL_BLOOD:
        assert content(Rates(), minutes).blood == pytest.approx(blood, abs=0.02)
    for minutes, urine in LABEL_URINE:
        assert content(Rates(), minutes).urine == pytest.approx(urine, abs=0.04)


def test_the_average_constants_are_the_least_squares_fit_they_are_said_to_be() -> None:
    from scipy.optimize import least_squares

    def misfit(logs: np.ndarray) -> list[float]:
        from_fluid, to_urine, to_bone = np.exp(logs)
        rates = Rates(from_fluid=from_fluid, to_urine=to_urine, to_bone=to_bone)
        blood = [np.log(content(rates, t).blood / v) / 0.15 for t, v in LABEL_BLOOD]
        return blood + [(content(rates, t).urine - v) / 0.03 for t, v in LABEL_URINE]

    fitted = np.exp(least_squares(misfit, np.log([0.03, 0.05, 0.005])).x)
    assert fitted == pytest.approx([Rates().from_fluid, Rates().to_urine, Rates().to_bone], rel=0.01)


def test_patients_differ_by_the_spread_that_is_stated() -> None:
    bone = np.array([individual(np.random.default_rng(n)).to_bone for n in range(1500)])
    assert bone.std() / bone.mean() == pytest.approx(SPREAD["to_bone"], rel=0.1)


@pytest.mark.parametrize("values", [{"to_bone": -0.1}, {"to_urine": float("nan")}, {"to_fluid": 100.0}])
def test_rate_constants_that_cannot_be_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match="rate constant"):
        Rates(**values)
    with pytest.raises(InputError, match="min after injection"):
        content(Rates(), -1.0)


def test_the_collimator_has_the_typical_resolution_of_its_kind_and_worsens_linearly_far_away() -> None:
    camera = Camera()
    assert camera.fwhm(100.0) == pytest.approx(7.4, abs=0.1)
    assert camera.fwhm(0.0) < camera.fwhm(50.0) < camera.fwhm(200.0)
    steps = np.diff([camera.fwhm(d) for d in (2000.0, 3000.0, 4000.0)])
    assert steps[0] == pytest.approx(steps[1], rel=1e-3)


@pytest.mark.parametrize("distance", [10.0, 100.0, 250.0])
def test_a_point_is_seen_as_wide_as_the_formula_says(distance: float) -> None:
    camera, spacing = replace(Camera(), scatter_slope=0.0), 0.5
    layers = np.zeros((1, 256, 256), np.float32)
    layers[0, 128, 128] = 1.0
    image = see(camera, layers, np.array([distance]), None, spacing)
    assert image.sum() == pytest.approx(1.0, rel=1e-3)
    for line in (image[128], image[:, 128]):
        above = np.flatnonzero(line >= line.max() / 2)
        left, right = above[0], above[-1]
        half = line.max() / 2
        width = right - left
        width += (line[left] - half) / (line[left] - line[left - 1]) + (line[right] - half) / (
            line[right] - line[right + 1]
        )
        assert width * spacing == pytest.approx(camera.fwhm(distance), rel=0.01)


def test_scatter_adds_its_share_and_falls_off_exponentially() -> None:
    camera, spacing = Camera(), 2.0
    layers = np.zeros((1, 512, 512), np.float32)
    layers[0, :, 256] = 1.0
    depths = np.full_like(layers, 100.0)
    with_scatter = see(camera, layers, np.array([50.0]), depths, spacing)
    without = see(camera, layers, np.array([50.0]), None, spacing)
    assert with_scatter.sum() / without.sum() == pytest.approx(1 + 100 * camera.scatter_slope, rel=1e-3)
    tail = (with_scatter - without)[0]
    fall = np.log(tail[256 + 20] / tail[256 + 60]) / (40 * spacing)
    assert fall == pytest.approx(1 / camera.scatter_range, rel=0.03)


def test_tissue_in_front_dims_a_source_exponentially_and_the_same_from_behind() -> None:
    canvas = Canvas(128, 128, 2.0, -127.0, -127.0)
    body = Body()
    patient = bonescan.patient_of(body, Rates(), "hands")
    camera = replace(IDEAL, attenuation=0.015)
    seen = {}
    for depth in (-60.0, 0.0, 60.0):
        anatomy = type(patient.anatomy)()
        anatomy.outline.append(Ball((0.0, 0.0, 0.0), (110.0, 100.0, 110.0)))
        with_source = type(patient.anatomy)(outline=list(anatomy.outline))
        with_source.add("bladder", Ball((0.0, depth, 0.0), (3.0, 3.0, 3.0)))
        for view in ("anterior", "posterior"):
            scenes = [
                bonescan.project(replace(patient, anatomy=a), canvas, view, camera, 10.0)
                for a in (with_source, anatomy)
            ]
            seen[view, depth] = float((scenes[0].layers[1].sum(0) - scenes[1].layers[1].sum(0)).sum())
    assert seen["anterior", -60.0] / seen["anterior", 60.0] == pytest.approx(np.exp(0.015 * 120), rel=0.01)
    assert seen["posterior", 60.0] / seen["posterior", -60.0] == pytest.approx(np.exp(0.015 * 120), rel=0.01)
    assert seen["anterior", 0.0] == pytest.approx(seen["posterior", 0.0], rel=0.01)


@pytest.mark.parametrize(
    "shape",
    [
        Ball((3.0, 0.0, -2.0), (20.0, 12.0, 30.0), turn=0.5),
        Ball((0.0, 0.0, 0.0), (25.0, 20.0, 30.0), hollow=0.8),
        Plate(((-30.0, -20.0), (25.0, -25.0), (30.0, 30.0), (-10.0, 20.0)), 0.0, 8.0),
    ],
)
def test_the_thickness_of_a_shape_adds_up_to_its_volume(shape: Ball | Plate) -> None:
    canvas = Canvas(200, 200, 0.5, -50.0, -50.0)
    found = shape.thickness(canvas)
    assert found is not None
    assert float(found[1].sum()) * canvas.spacing**2 == pytest.approx(shape.volume, rel=0.02)


def test_a_tube_is_its_cone_with_round_ends() -> None:
    tube = Tube((0.0, 0.0, -30.0), (0.0, 0.0, 30.0), 10.0, 10.0)
    found = tube.thickness(Canvas(200, 200, 0.5, -50.0, -50.0))
    assert found is not None
    assert float(found[1].sum()) * 0.25 == pytest.approx(tube.volume + 4 / 3 * np.pi * 1000, rel=0.02)


def test_the_noise_of_the_counts_is_poissons() -> None:
    random = np.random.default_rng(1)
    for mean in (0.3, 20.0, 200.0):
        counts = count(np.full((200, 200), mean, np.float32), random).astype(float)
        assert counts.mean() == pytest.approx(mean, rel=0.03)
        assert counts.var() / counts.mean() == pytest.approx(1.0, abs=0.04)
    with pytest.raises(InputError, match="fewer counts"):
        count(np.full((2, 2), 1e6), random)


@pytest.mark.parametrize("values", [{"attenuation": 1.0}, {"hole": -1.0}, {"length": 0.5}, {"background": 2.0}])
def test_a_camera_that_cannot_be_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError):
        replace(Camera(), **values)


def test_the_delayed_image_is_like_a_real_one_in_counts_profile_and_noise(data_dir: Path) -> None:
    real = read_volume(data_dir / "bone_scan" / "nm_whole_body.dcm").array[0].astype(float)
    patient = bonescan.patient_of(*LIKE_THE_REAL, "whole_body")
    pair = bonescan.acquire(patient, "anterior", bonescan.Settings(), np.random.default_rng(0))
    made = pair.delayed.astype(float)
    assert made.sum() / real.sum() == pytest.approx(1.0, abs=0.05)
    ours, theirs = profile(made), profile(real)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    assert 0.5 * np.abs(ours - theirs).sum() < 0.10
    for percentile in (25, 50, 75, 90, 99):
        ratio = np.percentile(made[made > 2], percentile) / np.percentile(real[real > 2], percentile)
        assert 0.75 < ratio < 1.25, percentile
    assert dispersion(real) == pytest.approx(1.0, abs=0.03)
    assert dispersion(made) == pytest.approx(1.0, abs=0.03)


def profile(image: np.ndarray) -> np.ndarray:
    """Share of the counts in each hundredth of the body's length, from crown to toes."""
    rows = image.sum(axis=1)
    there = np.flatnonzero(rows > 0.02 * rows.max())
    body = rows[there[0] : there[-1] + 1]
    total = np.concatenate([[0.0], np.cumsum(body)])
    return np.diff(np.interp(np.linspace(0, len(body), 101), np.arange(len(total)), total)) / body.sum()


def dispersion(image: np.ndarray) -> float:
    """Variance over mean of counts, from the diagonal differences of 2 x 2 pixels, where a smooth image cancels."""
    a, b, c, d = image[::2, ::2], image[::2, 1::2], image[1::2, ::2], image[1::2, 1::2]
    mean = (a + b + c + d) / 4
    there = (mean > 5) & (mean < 60)
    return float((((a - b - c + d) / 2)[there] ** 2).mean() / mean[there].mean())
