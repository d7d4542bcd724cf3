"""The physics of the simulated prostate against known answers: signal, noise, speckle, attenuation, contrast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training_tools.phantoms import prostate_mr, prostate_ultrasound
from training_tools.phantoms.prostate import Case, Settings, describe, simulate_case
from training_tools.phantoms.prostate_lesions import GradeEffect, LesionSpec, draw_specs
from training_tools.phantoms.prostate_mr import Protocol
from training_tools.phantoms.prostate_probe import Probe
from training_tools.phantoms.prostate_shapes import Grid, Layer, coverage, ellipsoid, paint, segment
from training_tools.phantoms.prostate_tissues import CODES, TISSUES
from training_tools.phantoms.prostate_ultrasound import Scanner

PZ, FAT = TISSUES["peripheral zone"], TISSUES["fat"]
QUIET = Protocol(snr=1e9, shading=0.0)
SILENT = Scanner(noise=300.0, clutter=-300.0)
SIDE = Probe("side-fire", (0.0, 40.0, 0.0), samples=(24, 96, 160), depth=60.0)
END = Probe("end-fire", (0.0, 35.0, -25.0), samples=(32, 96, 160), depth=70.0)


def flat(tissue_value: float, probe: Probe = SIDE) -> np.ndarray:
    return np.full(probe.samples, tissue_value, np.float32)


def uniform(probe: Probe, scanner: Scanner, attenuation: float = 0.0, seed: int = 0) -> np.ndarray:
    """The envelope of uniform scatterers of the peripheral zone's echo."""
    random = np.random.default_rng(seed)
    return prostate_ultrasound.envelope(
        flat(0, probe), flat(attenuation, probe), flat(1, probe), flat(0, probe), probe, scanner, random
    )


# MR


def test_the_signal_is_the_spin_echo_equation() -> None:
    # By hand, TR 4000, TE 80: 0.9 (1 - e^(-4000/1597)) e^(-80/149) and 0.8 (1 - e^(-4000/898)) e^(-80/33).
    protocol = Protocol(tr=4000, te=80)
    assert prostate_mr.signal(PZ, protocol) == pytest.approx(0.48314, abs=1e-4)
    assert prostate_mr.signal(TISSUES["muscle"], protocol) == pytest.approx(0.06999, abs=1e-4)


@pytest.mark.parametrize("contrast", [-0.5, -0.2, 0.3])
def test_the_t2_of_a_lesion_gives_its_contrast(contrast: float) -> None:
    lesion = replace(PZ, t2=prostate_mr.t2_for(contrast, PZ, QUIET))
    assert prostate_mr.signal(lesion, QUIET) / prostate_mr.signal(PZ, QUIET) - 1 == pytest.approx(contrast, abs=1e-9)


def test_noise_is_rician_also_in_air() -> None:
    random = np.random.default_rng(1)
    air = prostate_mr.rician(np.zeros(200_000), 7.0, random)
    assert air.mean() == pytest.approx(7 * np.sqrt(np.pi / 2), rel=0.005)
    assert air.std() == pytest.approx(7 * np.sqrt(2 - np.pi / 2), rel=0.01)
    bright = prostate_mr.rician(np.full(200_000, 300.0), 7.0, random)
    assert bright.mean() == pytest.approx(np.sqrt(300**2 + 7**2), rel=1e-3)
    assert bright.std() == pytest.approx(7, rel=0.01)


def test_a_constant_stays_and_an_edge_blurs_by_the_slice_thickness() -> None:
    fine = Grid.around((0, 0, 0), (40, 40, 80), (0.5, 0.5, 0.5))
    grid = Grid.around((0, 0, 0), (10, 10, 41), (1.0, 1.0, 0.5))
    protocol = Protocol(thickness=3.0)
    np.testing.assert_allclose(prostate_mr.resolve(np.full(fine.shape, 2.5), fine, grid, protocol), 2.5, atol=1e-12)
    line = np.zeros(fine.shape)
    line[40] = 1
    seen = prostate_mr.resolve(line, fine, grid, protocol)[:, 5, 5]
    assert np.interp(0.5 * seen.max(), seen[:21], grid.axis(2)[:21]) == pytest.approx(-1.5 + 0.25, abs=0.1)


def test_a_small_thing_is_resolved_in_plane_and_keeps_its_sum() -> None:
    fine = Grid.around((0, 0, 0), (121, 121, 5), (0.25, 0.25, 0.5))
    grid = Grid.around((0, 0, 0), (121, 121, 5), (0.25, 0.25, 0.5))
    dot = np.zeros(fine.shape)
    dot[:, 60, 60] = 1
    seen = prostate_mr.resolve(dot, fine, grid, Protocol(resolution=1.0, thickness=0.5))[2]
    profile = seen[60] / seen[60].max()
    # The Hamming-weighted kernel is half as high at 0.91 resolutions from its middle (its full width is 1.81).
    assert np.interp(0.5, profile[60:70][::-1], np.arange(9, -1, -1) * 0.25) == pytest.approx(0.905, abs=0.02)
    assert seen.sum() == pytest.approx(1, abs=0.02)


def test_coils_shade_smoothly_and_by_no_more_than_they_may() -> None:
    grid = Grid.around((0, 0, 0), (40, 40, 20), (2.5, 2.5, 4.0))
    factor = prostate_mr.sensitivity(grid, Protocol(shading=0.3), np.random.default_rng(2))
    assert 1.05 < factor.max() <= np.exp(0.3) + 1e-9
    assert factor.min() >= np.exp(-0.3) - 1e-9
    assert np.abs(np.diff(factor, axis=2)).max() < 0.05


# Ultrasound


def test_uniform_tissue_gives_fully_developed_speckle_in_its_own_scale() -> None:
    for probe in (SIDE, END):
        amplitude = uniform(probe, replace(SILENT, compensation=0.0))[:, :, 4:-4]
        assert amplitude.mean() / amplitude.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.03)  # 1.913
        assert np.mean(amplitude**2) == pytest.approx(1, rel=0.03)
        # As strong at every depth, however wide the beam is there.
        assert np.mean(amplitude[..., :30] ** 2) == pytest.approx(np.mean(amplitude[..., -30:] ** 2), rel=0.1)


def test_the_speckle_is_rayleigh_distributed() -> None:
    from scipy.stats import kstest

    amplitude = uniform(SIDE, replace(SILENT, compensation=0.0))[::4, ::8, 6:-6:5].ravel()
    assert kstest(amplitude, "rayleigh", args=(0, np.sqrt(0.5))).statistic < 0.025


def test_the_beam_is_narrowest_at_the_focus_as_the_diffraction_limit_says() -> None:
    scanner = Scanner(frequency=6.16, focus=30.0)  # wavelength 0.25 mm
    widths = prostate_ultrasound.beam_width(np.array([5.0, 30.0, 60.0]), scanner, 3.0)
    assert widths[1] == pytest.approx(0.75, rel=1e-3)
    assert widths[0] > widths[1] < widths[2]
    # Speckle is as wide as the beam: its correlation halves where two Gaussian beams of that width overlap by half.
    probe = Probe("side-fire", (0.0, 40.0, 0.0), samples=(4, 1024, 60), half_angle=np.radians(60), depth=60.0)
    field = prostate_ultrasound.speckle(flat(1.0, probe), probe, scanner, np.random.default_rng(0))
    for depth in (29, 55):
        rows = field[:, :, depth]
        power = np.abs(np.fft.fft(rows, axis=1)) ** 2
        correlation = np.abs(np.fft.ifft(power.mean(axis=0)))
        half = np.interp(-0.5, -correlation[:40] / correlation[0], np.arange(40.0)) * probe.across()[0][depth]
        width = prostate_ultrasound.beam_width(probe.depths[[depth]], scanner, 3.0)[0]
        assert half == pytest.approx(width / np.sqrt(2), rel=0.12)


@pytest.mark.parametrize("slope", [0.3, 0.7])
def test_attenuation_is_recovered_from_the_fall_of_the_echoes(slope: float) -> None:
    scanner = replace(SILENT, compensation=0.0, frequency=5.0)
    amplitude = uniform(SIDE, scanner, attenuation=slope)
    decibels = 10 * np.log10(np.mean(amplitude**2, axis=(0, 1)))[8:-8]
    fall = np.polyfit(SIDE.depths[8:-8] / 10, decibels, 1)[0]
    assert -fall / 2 / 5.0 == pytest.approx(slope, rel=0.03)  # one way, dB/(cm MHz)


def test_the_right_gain_makes_uniform_tissue_as_bright_at_every_depth() -> None:
    amplitude = uniform(SIDE, replace(SILENT, compensation=0.5), attenuation=0.5)
    decibels = 10 * np.log10(np.mean(amplitude**2, axis=(0, 1)))[8:-8]
    assert abs(np.polyfit(SIDE.depths[8:-8] / 10, decibels, 1)[0]) < 0.15


def test_a_perfect_interface_reflects_all_and_leaves_a_shadow() -> None:
    impedance = flat(0.0)
    impedance[..., 80:] = np.log(0.01 / 1.62)
    step = SIDE.depth / (SIDE.samples[2] - 1)
    reflected = prostate_ultrasound.reflection(impedance, step)
    assert np.abs(reflected).max() == pytest.approx((1.62 - 0.01) / (1.62 + 0.01), abs=0.02)
    loss = prostate_ultrasound.two_way_loss(flat(0.0), reflected, step)
    assert (loss[..., :78] == 0).all()
    assert loss[..., 90:].min() > 30
    # Soft tissue against soft tissue takes next to nothing away.
    impedance[..., 80:] = np.log(1.68 / 1.62)
    assert (
        prostate_ultrasound.two_way_loss(flat(0.0), prostate_ultrasound.reflection(impedance, step), step).max() < 0.05
    )


def test_a_stone_is_bright_and_its_shadow_dark() -> None:
    fine = Grid.around((0, 0, 0), (60, 60, 30), (1.0, 1.0, 1.0))
    whole = fine.box((0, 0, 0), 1e3)
    stone = coverage(ellipsoid(fine.mesh(), (0, 10, 0), (2, 2, 2)), 1.0)
    layers = [Layer(PZ, whole, np.ones((1, 1, 1), np.float32)), Layer(TISSUES["calcification"], whole, stone)]
    probe = replace(SIDE, length=20.0)
    maps = prostate_ultrasound.sampled(layers, fine, np.zeros(fine.shape, np.float32), probe)
    amplitude = prostate_ultrasound.envelope(*maps, probe, SILENT, np.random.default_rng(0))
    middle, beside = amplitude[10:14, 46:50], amplitude[10:14, 10:30]
    at, behind = (int((reach - probe.radius) / probe.depths[1]) for reach in (28, 45))  # mm from the probe's middle
    assert 20 * np.log10(middle[..., at - 3 : at + 3].max() / beside[..., at - 3 : at + 3].mean()) > 10
    assert 20 * np.log10(middle[..., behind : behind + 20].mean() / beside[..., behind : behind + 20].mean()) < -12


@pytest.mark.parametrize("probe", [SIDE, END], ids=["side-fire", "end-fire"])
def test_places_and_samples_of_a_probe_are_each_others_inverse(probe: Probe) -> None:
    found = probe.indices(*probe.places())
    for axis, count in enumerate(probe.samples):
        shape = [1, 1, 1]
        shape[axis] = count
        np.testing.assert_allclose(
            found[axis], np.broadcast_to(np.arange(count).reshape(shape), probe.samples), atol=0.02
        )


def test_the_fan_of_the_side_fire_probe_is_the_sector_it_should_be() -> None:
    grid = Grid.around((0, 5, 0), (90, 90, 3), (1.0, 1.0, 2.0))
    shown = prostate_ultrasound.scan_convert(flat(100.0), SIDE, grid) > 0
    x, y, _ = grid.mesh()
    reach, angle = np.hypot(x, y - 40)[0], np.degrees(np.arctan2(np.abs(x), 40 - y))[0]
    sector = (reach >= 10) & (reach <= 70) & (angle <= 66)
    assert (shown[1] == sector).mean() > 0.999
    area = np.radians(132) / 2 * (70**2 - 10**2)  # of the whole sector, some of which the grid cuts off
    assert 0.75 * area < shown[1].sum() <= area


def test_grey_values_follow_the_logarithm_over_the_dynamic_range() -> None:
    scanner = Scanner(dynamic_range=51.0, level=150.0)
    grey = prostate_ultrasound.compress(np.array([1.0, 10.0, 0.1, 1e-9, 1e9], np.float32), SIDE, scanner)
    np.testing.assert_allclose(grey, [150, 250, 50, 0, 255], atol=1e-3)


# Shapes and lesions


def test_a_painted_ellipsoid_and_a_tube_have_their_volume() -> None:
    grid = Grid.around((0, 0, 0), (60, 60, 60), (0.8, 0.8, 0.8))
    ball = coverage(ellipsoid(grid.mesh(), (0.3, -0.2, 0.1), (12, 8, 15)), 0.8)
    assert ball.sum() * grid.voxel_ml == pytest.approx(4 / 3 * np.pi * 12 * 8 * 15 / 1000, rel=0.01)
    tube = coverage(segment(grid.mesh(), (-10, 0, 0), (10, 0, 0), 4.0), 0.8)
    assert tube.sum() * grid.voxel_ml == pytest.approx(np.pi * 16 * (20 + 4 / 3 * 4) / 1000, rel=0.01)


def test_later_layers_cover_earlier_ones_by_their_share() -> None:
    grid = Grid.around((0, 0, 0), (2, 1, 1), (1.0, 1.0, 1.0))
    whole = grid.box((0, 0, 0), 10)
    layers = [
        Layer(FAT, whole, np.ones((1, 1, 1), np.float32)),
        Layer(PZ, whole, np.array([[[0.25, 1.0]]], np.float32)),
    ]
    mixed = paint(layers, grid.shape, lambda tissue: tissue.t2)
    np.testing.assert_allclose(mixed[0, 0], [0.75 * FAT.t2 + 0.25 * PZ.t2, PZ.t2])


SMOOTH = Settings(
    us_size=(96, 96, 40),
    us_spacing=(0.7, 0.7, 1.2),
    mr_size=(64, 64, 40),
    mr_spacing=(1.0, 1.0, 1.2),
    step=1.0,
    samples=(40, 140, 160),
    volume_ml=60.0,
    vary=False,
    protocol=Protocol(snr=1e6, shading=0.0, thickness=1.5),
    scanner=Scanner(noise=200.0, clutter=-200.0, compensation=0.5),
)
WANTED = [
    LesionSpec("PZ", 1.5, "high", -0.40, -8.0, centre=(14.0, 10.0, 0.0)),
    LesionSpec("PZ", 1.0, "low", 0.0, -8.0, centre=(-14.0, 10.0, -6.0)),
    LesionSpec("PZ", 1.0, "low", -0.30, 0.0, centre=(-15.0, 9.0, 8.0)),
]


@pytest.fixture(scope="module")
def a_case() -> Case:
    return simulate_case(5, SMOOTH, WANTED)


def test_lesions_have_their_set_volume_within_a_layer_of_voxels(a_case: Case) -> None:
    for number, (row, wanted) in enumerate(zip(describe(a_case), WANTED), 1):
        assert row["volume_ml"] == pytest.approx(wanted.volume_ml, rel=0.02)
        radius = (wanted.volume_ml * 750 / np.pi) ** (1 / 3)
        for label in (a_case.us_lesions, a_case.mr_lesions):
            found = (label.array == number).sum() * np.prod(label.spacing) / 1000
            layer = 4 * np.pi * radius**2 * max(label.spacing) / 2 / 1000
            assert abs(found - wanted.volume_ml) < layer


def test_the_mr_contrast_measured_is_the_one_set(a_case: Case) -> None:
    for number, wanted in enumerate(WANTED, 1):
        if not wanted.contrast_mr:
            continue
        inside, around = _inside_and_around(a_case, "mr", number)
        measured = a_case.mr.array[inside].mean() / a_case.mr.array[around].mean() - 1
        assert measured == pytest.approx(wanted.contrast_mr, abs=0.06)


def test_the_ultrasound_contrast_measured_is_the_one_set(a_case: Case) -> None:
    scanner = SMOOTH.scanner
    for number, wanted in enumerate(WANTED, 1):
        if not wanted.contrast_us:
            continue
        inside, around = _inside_and_around(a_case, "us", number)
        grey = [a_case.us.array[where].astype(float).mean() for where in (inside, around)]
        assert (grey[0] - grey[1]) * scanner.dynamic_range / 255 == pytest.approx(wanted.contrast_us, abs=1.6)


def test_a_lesion_that_no_modality_sees_changes_no_image() -> None:
    unseen = [replace(WANTED[0], contrast_mr=0.0, contrast_us=0.0)]
    with_it, without = (
        simulate_case(5, replace(SMOOTH, step=1.6, samples=(20, 60, 80)), lesions) for lesions in (unseen, [])
    )
    np.testing.assert_array_equal(with_it.us.array, without.us.array)
    np.testing.assert_array_equal(with_it.mr.array, without.mr.array)
    assert with_it.us_lesions.array.any()
    assert not without.us_lesions.array.any()


def test_grade_tells_of_contrast_as_strongly_as_it_is_told_to() -> None:
    def gap(strength: float) -> float:
        random = np.random.default_rng(3)
        effect = GradeEffect(strength=strength)
        drawn = [spec for _ in range(400) for spec in draw_specs(random, effect, 1, 3)]
        seen = {
            grade: [spec.contrast_mr for spec in drawn if spec.grade == grade and spec.contrast_mr]
            for grade in ("low", "high")
        }
        return float(np.mean(seen["low"]) - np.mean(seen["high"]))

    assert gap(1.0) == pytest.approx(0.20, abs=0.03)
    assert gap(0.0) == pytest.approx(0.0, abs=0.02)


def test_drawn_lesions_are_of_the_number_zone_and_visibility_they_should_be() -> None:
    random = np.random.default_rng(4)
    drawn = [draw_specs(random, GradeEffect(), 1, 3) for _ in range(600)]
    assert {len(specs) for specs in drawn} == {1, 2, 3}
    specs = [spec for group in drawn for spec in group]
    assert np.mean([spec.zone == "PZ" for spec in specs]) == pytest.approx(0.7, abs=0.05)
    assert np.mean([any(s.grade == "high" for s in group) for group in drawn]) == pytest.approx(0.5, abs=0.06)
    both = {(spec.contrast_mr != 0, spec.contrast_us != 0) for spec in specs}
    assert both == {(True, True), (True, False), (False, True), (False, False)}


def _inside_and_around(case: Case, side: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The core of a lesion, and the plain peripheral zone near it at about the same depth."""
    from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt

    lesions, zones = getattr(case, f"{side}_lesions"), getattr(case, f"{side}_zones")
    mm = lesions.spacing[::-1]
    own = lesions.array == number
    inside = distance_transform_edt(own, mm) > 1.6
    plain = binary_erosion(zones.array == CODES["peripheral zone"], iterations=2)
    plain &= ~binary_dilation(lesions.array > 0, iterations=3)
    near = distance_transform_edt(~own, mm) < 12
    return inside, plain & near
