"""Signal detection and proportions: published values, definitions, patients as the unit, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from imagetranslation.readerstudy.statistics.bootstrap import Resampling
from imagetranslation.readerstudy.statistics.detection import MEASURES, Detections, detection, measure
from imagetranslation.readerstudy.statistics.estimates import Undefined
from imagetranslation.readerstudy.statistics.proportions import CLOPPER_PEARSON, WILSON, proportion_interval

DRAWS = Resampling(draws=300)


def simulated(images: int = 80, readers: int = 3, sensitivity: float = 1.2, seed: int = 0) -> Detections:
    """Simulated answers of readers with d' = sensitivity; each patient has a real and a synthetic image."""
    generator = np.random.default_rng(seed)
    synthetic = np.arange(images) % 2 == 1
    evidence = generator.normal(size=(images, readers)) + sensitivity * (synthetic[:, None] - 0.5)
    said = (evidence > 0).astype(int)
    confidence = np.clip(np.rint(40 * np.abs(evidence)), 0, 100)
    return Detections(synthetic, said, confidence, tuple("ABCDEFG"[:readers]), np.arange(images) // 2)


def one(answers: Detections, key: str, who: str = "reader A"):
    return next(found for found in detection(answers, DRAWS) if found.key == key and found.label.endswith(who))


@pytest.mark.parametrize(
    ("successes", "trials", "method", "low", "high"),
    [
        (81, 263, WILSON, 0.2553, 0.3662),
        (15, 148, WILSON, 0.0624, 0.1605),
        (0, 20, WILSON, 0.0000, 0.1611),
        (1, 29, WILSON, 0.0061, 0.1718),
        (81, 263, CLOPPER_PEARSON, 0.2527, 0.3676),
        (15, 148, CLOPPER_PEARSON, 0.0578, 0.1617),
        (0, 20, CLOPPER_PEARSON, 0.0000, 0.1684),
        (1, 29, CLOPPER_PEARSON, 0.0009, 0.1776),
    ],
)
def test_newcombes_proportions_have_his_intervals(successes, trials, method, low, high) -> None:
    """Newcombe, Stat Med 1998, 17:857-872, Table I."""
    found = proportion_interval(successes, trials, method=method)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_no_trials_have_no_proportion() -> None:
    with pytest.raises(Undefined, match="no trials"):
        proportion_interval(0, 0)


def test_d_prime_and_criterion_are_the_log_linear_ones() -> None:
    """20 of 25 hits and 5 of 25 false alarms: rates (h + 0.5) / 26, (f + 0.5) / 26, whose z is +-0.8004..."""
    from scipy.stats import norm

    synthetic = np.arange(50) < 25
    said = np.zeros(50, dtype=int)
    said[:20] = said[25:30] = 1
    answers = Detections(synthetic, said[:, None], None, ("A",), np.arange(50))
    hit, false = norm.ppf(20.5 / 26), norm.ppf(5.5 / 26)
    assert one(answers, "d_prime").value == pytest.approx(hit - false, abs=1e-12)
    assert one(answers, "criterion").value == pytest.approx(-(hit + false) / 2, abs=1e-12)
    assert one(answers, "accuracy").value == pytest.approx(0.8)


def test_perfect_answers_have_a_finite_d_prime() -> None:
    synthetic = np.arange(40) < 20
    answers = Detections(synthetic, synthetic.astype(int)[:, None], None, ("A",), np.arange(40))
    assert 3 < one(answers, "d_prime").value < 5
    assert one(answers, "accuracy").intervals[0].low == pytest.approx(0.9124, abs=5e-5)  # Wilson, 40 of 40


def test_the_planted_sensitivity_lies_in_the_intervals() -> None:
    answers = simulated(images=400, sensitivity=1.2)
    found = one(answers, "d_prime", "mean of the readers")
    for interval in found.intervals:
        assert interval.low < 1.2 < interval.high
    bias = one(answers, "criterion", "mean of the readers")
    assert bias.intervals[1].low < 0 < bias.intervals[1].high


def test_the_area_is_that_of_signed_confidence() -> None:
    from sklearn.metrics import roc_auc_score

    answers = simulated()
    signed = np.where(answers.said[:, 0] == 1, 1, -1) * answers.confidence[:, 0]
    assert one(answers, "auc").value == pytest.approx(roc_auc_score(answers.synthetic, signed), abs=1e-12)


def test_the_linearised_error_of_the_area_is_delongs() -> None:
    """Up to the factors n/(n-1), which differ by kind of case."""
    from imagetranslation.readerstudy.statistics.bootstrap import standard_error
    from imagetranslation.readerstudy.statistics.roc import covariance

    answers = simulated(images=200, readers=1)
    alone = Detections(answers.synthetic, answers.said, answers.confidence, ("A",), np.arange(200))
    signed = np.where(alone.said[:, 0] == 1, 1, -1) * alone.confidence[:, 0]
    theirs = np.sqrt(covariance(signed[None], alone.synthetic, "delong")[0, 0])
    assert standard_error(measure("auc", alone), alone.sample) == pytest.approx(theirs, rel=0.01)


def test_the_mean_of_the_readers_is_not_pooled() -> None:
    answers = simulated()
    for key in MEASURES:
        alone = [one(answers, key, f"reader {name}").value for name in "ABC"]
        assert one(answers, key, "mean of the readers").value == pytest.approx(np.mean(alone), abs=1e-12)


def test_missing_answers_are_left_out_and_counted() -> None:
    answers = simulated()
    said, confidence = answers.said.copy(), answers.confidence.copy()
    said[:10, 0], confidence[:10, 0] = -1, np.nan
    gaps = Detections(answers.synthetic, said, confidence, answers.readers, answers.patients)
    found = one(gaps, "accuracy")
    assert found.n["answers"] == 70
    assert found.value == pytest.approx(np.mean(said[10:, 0] == answers.synthetic[10:]))


def test_without_confidence_or_with_one_kind_of_image_the_reason_is_given() -> None:
    answers = simulated()
    silent = Detections(answers.synthetic, answers.said, None, answers.readers, answers.patients)
    assert "confidence" in (one(silent, "auc").refused or "")
    only = Detections(np.ones(80, dtype=bool), answers.said, answers.confidence, answers.readers, answers.patients)
    for key in ("d_prime", "correct_rejections", "auc"):
        assert "synthetic and real" in (one(only, key).refused or "")


def test_a_reader_who_answered_nothing_is_refused() -> None:
    answers = simulated()
    said = answers.said.copy()
    said[:, 0] = -1
    empty = Detections(answers.synthetic, said, answers.confidence, answers.readers, answers.patients)
    assert one(empty, "accuracy").refused == "nothing was answered"
    assert one(empty, "accuracy", "mean of the readers").refused


def test_images_of_one_patient_are_not_independent_trials() -> None:
    answers = simulated(readers=1)
    assert "linearised" in one(answers, "accuracy").intervals[0].method
    apart = Detections(answers.synthetic, answers.said, answers.confidence, ("A",), np.arange(80))
    assert one(apart, "accuracy").intervals[0].method.startswith("Wilson")
