"""The parts of a lesion reading alone: the other side, uptake ratio, detector, curve, agreement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from imagetranslation.readerstudy.statistics.bootstrap import Resampling
from training_tools.lesionreading import scores
from training_tools.lesionreading.detector import marks
from training_tools.lesionreading.froc import RATES, Scored, froc
from training_tools.lesionreading.otherside import other_side
from training_tools.lesionreading.rules import BACKGROUND, CONTRALATERAL, Rule
from training_tools.lesionreading.uptake import ratio, reference_of, smoothed

from .lesion_views import COLUMNS, NORMAL, RAISED, ROWS, SPACING, blob, picture, region

MM = (SPACING, SPACING)
FEW = Resampling(draws=200)


def uptake(image: np.ndarray, sites: list[tuple[int, int]], rule: Rule | None = None) -> tuple[float, str]:
    """Ratio of the first site's region, all sites being lesions, and what it was compared with."""
    chosen = rule or Rule()
    labels = region(sites)
    found = reference_of(labels == 1, labels > 0, image, other_side(image, MM), MM, chosen)
    assert found is not None
    return ratio(image, smoothed(image, MM, chosen.smooth_mm), labels == 1, found, chosen), found.words


def test_a_lesion_is_so_many_times_as_bright_as_the_other_side() -> None:
    labels = region([(0, 0)]) == 1
    image = picture({(0, 0): RAISED})
    wanted = image[labels].mean() / picture({})[labels].mean()

    assert uptake(image, [(0, 0)]) == (pytest.approx(wanted), CONTRALATERAL)


def test_the_gain_of_an_image_does_not_change_a_ratio() -> None:
    image = picture({(1, 1): RAISED})

    assert uptake(1000 * image, [(1, 1)])[0] == pytest.approx(uptake(image, [(1, 1)])[0])


def test_lesions_on_both_sides_are_compared_with_what_surrounds_them() -> None:
    image = picture({(0, 0): RAISED, (0, 1): RAISED})

    value, words = uptake(image, [(0, 0), (0, 1)])

    assert words == BACKGROUND
    assert value > Rule().increased
    # A wider search must not walk off the other side's lesion and take the bone beside it for its counterpart.
    assert uptake(image, [(0, 0), (0, 1)], Rule(mirror_mm=20))[1] == BACKGROUND


def test_a_limb_that_lies_lower_still_finds_its_counterpart() -> None:
    image = picture({})
    lower = np.where(np.arange(64) < 32, image, np.roll(image, 4, axis=0))

    sides = other_side(lower, MM)

    assert sides is not None
    for column, opposite, moved in ((COLUMNS[0], COLUMNS[1], 4), (COLUMNS[1], COLUMNS[0], -4)):
        row, across = sides.of(np.array(ROWS[1]), np.array(column))
        assert np.hypot(row - ROWS[1] - moved, across - opposite) * SPACING <= Rule().mirror_mm / 2


def test_a_limb_that_lies_turned_still_finds_its_counterpart() -> None:
    image = picture({(1, 0): RAISED})
    right = np.where(np.arange(64) < 32, 0, image)
    turned = ndimage.rotate(right[:, 32:], 9, reshape=False, order=1)
    image = np.concatenate([image[:, :32], turned], axis=1)
    peak = np.unravel_index(np.where(np.arange(64) < 32, 0, image)[4:24].argmax(), (20, 64))

    sides = other_side(image, MM)

    assert sides is not None
    assert {pose.angle for pose in sides.poses} <= {9.0, 6.0, -6.0, -9.0}
    row, column = sides.of(np.array(ROWS[0]), np.array(COLUMNS[0]))
    assert np.hypot(row - (peak[0] + 4), column - peak[1]) * SPACING <= Rule().mirror_mm
    assert uptake(image, [(1, 0)])[0] == pytest.approx(uptake(picture({(1, 0): RAISED}), [(1, 0)])[0], rel=0.1)


def test_an_image_of_one_limb_or_of_nothing_has_no_other_side() -> None:
    one = np.where(np.arange(64) < 32, picture({}), 0.0)

    assert other_side(one, MM) is None
    assert other_side(np.full((64, 64), 5.0), MM) is None


def test_a_lesion_opposite_to_air_is_compared_with_what_surrounds_it() -> None:
    image = picture({(2, 0): RAISED})
    image[45:60, 32:] *= 0.001

    assert uptake(image, [(2, 0)])[1] == BACKGROUND


def test_the_detector_marks_what_stands_out_and_nothing_else() -> None:
    image = smoothed(picture({(2, 0): RAISED}), MM, Rule().smooth_mm)

    found = [mark for mark in marks(image, other_side(image, MM), MM, Rule()) if mark.score >= Rule().mark_from]

    assert [(mark.row, mark.column) for mark in found] == [(ROWS[2], COLUMNS[0])]
    assert found[0].score == pytest.approx(image[ROWS[2], COLUMNS[0]] / image[ROWS[2], COLUMNS[1]])


def test_a_constant_or_empty_image_has_no_marks() -> None:
    assert marks(np.full((64, 64), 5.0), None, MM, Rule()) == []
    assert marks(np.zeros((64, 64)), None, MM, Rule()) == []


def test_a_curve_is_that_of_counting_by_hand() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    scored = Scored(np.array([5.0, 4, 2, 0]), ["a", "b", "c", "d"], np.array([4.5, 3, 1]), ["a", "e", "e"], names)

    made = froc(scored, FEW)

    wanted = [(0, 0), (0, 0.25), (1 / 6, 0.25), (1 / 6, 0.5), (2 / 6, 0.5), (2 / 6, 0.75), (3 / 6, 0.75)]
    assert [point[:2] for point in made.points] == [pytest.approx(pair) for pair in wanted]
    assert [share for _, share, _ in made.at] == [0.25, 0.5, 0.75, 0.75, 0.75, 0.75, 0.75]
    assert made.mean[0] == pytest.approx(np.mean([0.25, 0.5, *[0.75] * 5]))
    assert len(made.at) == len(RATES)


def test_a_lesion_and_a_false_mark_of_one_score_pass_the_same_threshold() -> None:
    names = ["a", "b", "c", "d", "e"]
    made = froc(Scored(np.array([2.0]), ["a"], np.array([2.0]), ["b"], names), FEW)

    assert made.points[1][:2] == (0.2, 1.0)
    assert made.at[0][1] == 0.0  # a fifth of a false mark an image is more than an eighth


def test_a_rate_that_is_met_exactly_counts() -> None:
    names = [f"p{n}" for n in range(8)]

    assert froc(Scored(np.array([1.0]), ["p0"], np.array([2.0]), ["p1"], names), FEW).at[0][:2] == (0.125, 1.0)


def test_many_scores_cost_no_sensitivity_at_the_asked_rates() -> None:
    random = np.random.default_rng(0)
    names = [f"p{number}" for number in range(300)]
    scored = Scored(random.random(300) + 0.5, names, random.random(3000), names * 10, names)
    found = [share for _, share, _ in froc(scored, FEW).at]

    falling = np.sort(scored.false)[::-1]
    # A threshold just above the first false mark too many finds as much as can be had.
    expected = [float((scored.lesions > falling[int(rate * 300)]).mean()) for rate in RATES]
    assert found == pytest.approx(expected)


def test_the_curve_resamples_patients_with_all_that_is_theirs() -> None:
    names = [f"p{n}" for n in range(10)]
    owners = [name for name in names for _ in range(4)]
    together = Scored(np.repeat([2.0, 0.0] * 5, 4), owners, np.zeros(0), [], names)
    apart = replace(together, lesions=np.tile([2.0, 0.0], 20))

    width = [interval.high - interval.low for interval in (froc(s, FEW).at[0][2] for s in (together,))]

    assert width[0] > 0.4
    # Every patient has two of four: no resample differs.
    assert froc(apart, FEW).at[0][2].refused is not None


def test_limits_of_agreement_hold_the_variance_between_and_within_patients() -> None:
    # Two a patient; differences: within variance 0.5 (all pairs 1 apart), means 0.5, 2.5, 4.5 with variance 4.
    real = np.ones(6)
    synthetic = real + np.array([0, 1, 2, 3, 4, 5])
    told = scores.agreement(list(synthetic), list(real), ["a", "a", "b", "b", "c", "c"], FEW)

    # MSB = 8, MSW = 0.5, so between = (8 - 0.5) / 2 = 3.75 and the total variance 4.25.
    assert told["bias"]["value"] == pytest.approx(2.5)
    assert told["sd"] == pytest.approx(4.25**0.5)
    assert told["limits"] == pytest.approx([2.5 - 1.96 * 4.25**0.5, 2.5 + 1.96 * 4.25**0.5])


def test_one_value_a_patient_gives_the_usual_limits() -> None:
    gap = np.array([0.1, -0.3, 0.4, 0.2])
    told = scores.agreement(list(2 + gap), [2.0] * 4, list("abcd"), FEW)

    assert told["sd"] == pytest.approx(gap.std(ddof=1))


def test_a_band_holds_its_lower_edge() -> None:
    assert [scores.band(value, (10, 20), "mm") for value in (9.9, 10, 19.9, 20)] == [
        "below 10 mm", "10 to 20 mm", "10 to 20 mm", "20 mm or more",
    ]  # fmt: skip


def test_a_made_joint_is_what_the_tests_take_it_for() -> None:
    assert blob((0, 0), NORMAL)[ROWS[0], COLUMNS[0]] == NORMAL
    assert region([(0, 0)])[ROWS[0], COLUMNS[0]] == 1
