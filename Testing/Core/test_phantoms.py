"""The simulated prostate: one case for a seed, its headers, its truth, and what the demo gets of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from imagetranslation.errors import InputError
from imagetranslation.fieldofview import field_of_view
from imagetranslation.volume import Volume, axis_codes, index_to_lps, read_volume
from training_tools import commands
from training_tools.phantoms.prostate import (
    Case,
    Settings,
    SimulatedPair,
    describe,
    simulate,
    simulate_case,
    volumes,
)
from training_tools.phantoms.prostate_anatomy import build, draw_gland
from training_tools.phantoms.prostate_lesions import ZONES, LesionSpec, place, place_drawn
from training_tools.phantoms.prostate_mr import Protocol
from training_tools.phantoms.prostate_shapes import Grid
from training_tools.phantoms.prostate_tissues import CODES

# Small grids that still hold the gland and the probe.
SMALL = Settings(
    us_size=(64, 64, 32),
    us_spacing=(1.5, 1.2, 2.4),
    mr_size=(64, 64, 32),
    mr_spacing=(1.6, 1.6, 3.0),
    step=1.4,
    samples=(32, 90, 110),
    volume_ml=45.0,
)
LEFT = LesionSpec("PZ", 0.8, "high", -0.4, -6.0, centre=(12.0, 9.0, -4.0))
RIGHT = LesionSpec("TZ", 0.6, "low", 0.0, -5.0, centre=(-9.0, -3.0, 5.0))


@pytest.fixture(scope="module")
def a_pair() -> SimulatedPair:
    return simulate(seed=7)


@pytest.fixture(scope="module")
def a_case() -> Case:
    return simulate_case(3, SMALL, [LEFT, RIGHT])


def images(case: Case) -> dict[str, Volume]:
    return {name: value for name, value in vars(case).items() if isinstance(value, Volume)}


def middle_of(label: Volume, value: int) -> np.ndarray:
    """mm LPS of the middle of a label's voxels."""
    k, j, i = (axis.mean() for axis in np.nonzero(label.array == value))
    return (index_to_lps(label) @ np.array([i, j, k, 1]))[:3]


def test_a_seed_gives_one_patient_and_another_seed_another(a_case: Case) -> None:
    again, other = simulate_case(3, SMALL, [LEFT, RIGHT]), simulate_case(4, SMALL, [LEFT, RIGHT])
    for name, volume in images(a_case).items():
        np.testing.assert_array_equal(volume.array, images(again)[name].array)
    assert describe(again) == describe(a_case)
    for name in ("us", "mr", "us_gland"):
        assert (images(a_case)[name].array != images(other)[name].array).any()


def test_other_lesions_leave_the_anatomy_as_it_is(a_case: Case) -> None:
    without = simulate_case(3, SMALL, [])
    np.testing.assert_array_equal(without.us_zones.array, a_case.us_zones.array)
    far = a_case.mr_gland.array == 0
    np.testing.assert_array_equal(without.mr.array[far & (_grown(a_case.mr_gland.array, 4) == 0)],
                                  a_case.mr.array[far & (_grown(a_case.mr_gland.array, 4) == 0)])  # fmt: skip


def test_the_fan_is_black_outside_and_recorded_inside(a_pair: SimulatedPair) -> None:
    seen = field_of_view(a_pair.us)
    assert 0.5 < seen.mean() < 0.95
    assert (a_pair.us.array[~seen] == 0).all()


def test_left_is_left_in_image_truth_and_label(a_case: Case) -> None:
    first, second = describe(a_case)
    assert (first["side"], second["side"]) == ("left", "right")
    for label in (a_case.us_lesions, a_case.mr_lesions):
        for number, row in enumerate((first, second), 1):
            told = [float(str(row[f"{axis}_mm"])) for axis in "xyz"]
            np.testing.assert_allclose(middle_of(label, number), told, atol=1.2)
    # And in the image: the dark lesion of the left side is dark there and not at its mirror place.
    matrix = np.linalg.inv(index_to_lps(a_case.mr))
    here, mirrored = (
        np.rint(matrix @ np.array([side * a_case.lesions[0].centre[0], *a_case.lesions[0].centre[1:], 1]))[:3].astype(
            int
        )
        for side in (1, -1)
    )
    around = [a_case.mr.array[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2].mean() for i, j, k in (here, mirrored)]
    assert around[0] < 0.8 * around[1]


@pytest.mark.parametrize("axes", ["LPS", "RAI", "PRS", "SLA"])
def test_the_headers_are_right_for_any_order_of_the_axes(a_case: Case, axes: str) -> None:
    from dataclasses import replace

    case = simulate_case(3, replace(SMALL, axes=axes), [LEFT, RIGHT])
    assert all(axis_codes(volume) == axes for volume in images(case).values())
    for number, lesion in enumerate(case.lesions, 1):
        np.testing.assert_allclose(middle_of(case.us_lesions, number), lesion.centre, atol=1.2)
    assert case.us.array.sum() == a_case.us.array.sum()


def test_labels_lie_on_the_grid_of_their_image(a_case: Case) -> None:
    for side in ("us", "mr"):
        for part in ("gland", "zones", "lesions"):
            label = images(a_case)[f"{side}_{part}"]
            assert label.same_grid(images(a_case)[side])
            assert label.array.dtype == np.uint8
    gland = a_case.mr_gland.array > 0
    assert set(np.unique(a_case.mr_zones.array[gland])) >= {
        CODES[n] for n in ("peripheral zone", "transition zone", "central zone", "fibromuscular stroma", "urethra")
    }
    assert (a_case.mr_lesions.array > 0).sum() == (gland & (a_case.mr_lesions.array > 0)).sum()


def test_both_grids_show_one_gland_of_the_wanted_volume(a_case: Case) -> None:
    assert volumes(a_case)["gland_ml"] == pytest.approx(45, rel=0.02)
    for label in (a_case.us_gland, a_case.mr_gland):
        assert label.array.sum() * np.prod(label.spacing) / 1000 == pytest.approx(45, rel=0.05)
    np.testing.assert_allclose(middle_of(a_case.us_gland, 1), middle_of(a_case.mr_gland, 1), atol=0.5)


def test_organs_stand_where_they_stand_in_a_man(a_case: Case) -> None:
    places = {
        name: middle_of(a_case.mr_zones, CODES[name])
        for name in ("bladder", "rectal wall", "seminal vesicle", "cortical bone", "peripheral zone", "transition zone")
    }
    gland = middle_of(a_case.mr_gland, 1)
    assert places["bladder"][2] > gland[2] + 15
    assert places["seminal vesicle"][2] > gland[2] + 10
    assert places["rectal wall"][1] > gland[1] + 20
    assert places["peripheral zone"][1] > places["transition zone"][1]
    assert a_case.probe.centre[1] == pytest.approx(places["rectal wall"][1], abs=1.5)


def test_a_large_gland_grows_by_its_transition_zone() -> None:
    grid = Grid.around((0, 0, 0), (48, 44, 44), (2.0, 2.0, 2.0))
    share = []
    for millilitres in (25.0, 95.0):
        found = []
        for seed in range(4):
            random = np.random.default_rng(seed)
            anatomy = build(grid, draw_gland(random, millilitres), random)
            found.append(anatomy.zone_ml(*ZONES["TZ"]) / anatomy.gland_ml)
        share.append(np.mean(found))
    assert share[0] < 0.3 < 0.45 < share[1]


def test_glands_are_as_large_as_those_of_the_cited_cohort_between_20_and_100_ml() -> None:
    random = np.random.default_rng(0)
    drawn = [draw_gland(random).volume_ml for _ in range(2000)]
    assert 20 <= min(drawn) < 22
    assert 95 < max(drawn) <= 100
    # The log-normal of mean 58.7 and SD 34.3 mL has the median 50.7; without its tails below 20 and above 100, 48.6.
    assert np.median(drawn) == pytest.approx(48.6, rel=0.04)


def test_aligned_pairs_share_the_grid_of_the_ultrasound() -> None:
    from dataclasses import replace

    case = simulate_case(3, replace(SMALL, mr_on_us_grid=True, axes="PRS"), [LEFT])
    assert case.mr.same_grid(case.us)
    np.testing.assert_array_equal(case.mr_lesions.array, case.us_lesions.array)


def test_the_demo_gets_the_axes_of_the_public_pairs(a_pair: SimulatedPair) -> None:
    for volume in (a_pair.us, a_pair.mr, a_pair.gland):
        assert axis_codes(volume) == "PRS"
        assert np.linalg.det(np.reshape(volume.direction, (3, 3))) == pytest.approx(1)
    assert a_pair.gland.same_grid(a_pair.us)
    assert a_pair.us.array.dtype == np.uint8


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"axes": "LLS"}, "axes code"),
        ({"probe": "linear"}, "side-fire"),
        ({"volume_ml": 5.0}, "20 to 100"),
        ({"least": 3, "most": 1}, "lesions"),
    ],
    ids=str,
)
def test_settings_that_make_no_patient_are_refused(wrong: dict, word: str) -> None:
    with pytest.raises(InputError, match=word):
        Settings(**wrong)


def test_a_lesion_that_does_not_fit_is_refused() -> None:
    outside = LesionSpec("PZ", 0.5, "low", -0.3, -4.0, centre=(60.0, 0.0, 0.0))
    with pytest.raises(InputError, match="does not fit"):
        simulate_case(3, SMALL, [outside])
    with pytest.raises(InputError, match="PZ or TZ"):
        LesionSpec("XZ", 0.5, "low", -0.3, -4.0)


def test_drawn_lesions_get_smaller_where_a_small_gland_has_no_room_for_them() -> None:
    grid = Grid.around((0, 0, 0), (42, 36, 36), (1.5, 1.5, 1.5))
    anatomy = build(grid, draw_gland(np.random.default_rng(1), 20.0), np.random.default_rng(1))
    many = [LesionSpec("TZ", 4.0, "low", -0.3, -4.0)] * 6
    with pytest.raises(InputError, match="do not fit beside"):
        place(many, anatomy, Protocol(), np.random.default_rng(2))
    placed = place_drawn(many, anatomy, Protocol(), np.random.default_rng(2))
    assert len(placed) == 6
    assert all(0.01 < lesion.volume_ml < 1 for lesion in placed)


def test_the_phantom_command_writes_what_the_simulator_makes(tmp_path: Path, a_pair: SimulatedPair) -> None:
    app = typer.Typer()
    commands.register(app)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["phantom", "-o", str(tmp_path / "new"), "--seed", "7"])
    assert result.exit_code == 0, result.output
    files = json.loads(result.output)["files"]
    written = read_volume(files[0])
    np.testing.assert_array_equal(written.array, a_pair.us.array)
    assert written.same_grid(a_pair.us)
    assert len(files) == 3


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask > 0, iterations=by)
