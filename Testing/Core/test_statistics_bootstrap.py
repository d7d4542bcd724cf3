"""The resampling engine: reproducible, clustered by patient, honest about readers, and refusing where it must."""

from __future__ import annotations

import time

import numpy as np
import pytest

from imagetranslation.readerstudy.statistics.agreement import agreement
from imagetranslation.readerstudy.statistics.bootstrap import (
    Resampling,
    Sample,
    bootstrap,
    draw,
    linearised,
    standard_error,
)
from imagetranslation.readerstudy.statistics.chance import fleiss_kappa, percent_agreement
from imagetranslation.readerstudy.statistics.ratings import make_ratings


def mean_of(values: np.ndarray):
    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        return cases @ values / cases.sum(axis=1)

    return statistic


def raters(cases: int, count: int, noise: float = 0.7, seed: int = 0) -> np.ndarray:
    """Simulated ratings 1-5 of raters who see the same truth with noise."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(3, 1, cases)
    return np.clip(np.rint(truth[:, None] + generator.normal(0, noise, (cases, count))), 1, 5)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(0).normal(size=40)
    sample = Sample(np.arange(40), 1)
    first, again, other = (bootstrap(mean_of(values), sample, Resampling(seed=seed)) for seed in (5, 5, 6))
    assert first == again
    assert first.low != other.low
    assert "seed 5" in first.method


def test_the_interval_of_a_mean_is_scipys_bca_interval() -> None:
    from scipy.stats import bootstrap as scipys

    values = np.random.default_rng(3).exponential(size=60)
    ours = bootstrap(mean_of(values), Sample(np.arange(60), 1), Resampling(draws=20_000))
    theirs = scipys((values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1))
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.05 * width)


def test_the_interval_of_a_biased_statistic_is_scipys_bca_interval() -> None:
    """The plug-in variance of few skewed values: its bootstrap is biased downwards, which BCa must undo."""
    from scipy.stats import bootstrap as scipys

    values = np.random.default_rng(2).exponential(size=12)

    def variance(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        number = cases.sum(axis=1)
        return cases @ values**2 / number - (cases @ values / number) ** 2

    ours = bootstrap(variance, Sample(np.arange(12), 1), Resampling(draws=20_000))
    generator = np.random.default_rng(1)
    theirs = scipys((values,), np.var, n_resamples=20_000, method="BCa", rng=generator).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.02 * (theirs.high - theirs.low))
    assert ours.high == pytest.approx(theirs.high, abs=0.02 * (theirs.high - theirs.low))


def test_the_linearised_error_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(3).normal(size=30)
    error = standard_error(mean_of(values), Sample(np.arange(30), 1))
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(30), rel=1e-6)


def test_copying_every_case_of_a_patient_does_not_shrink_the_interval() -> None:
    """Ten looks at each patient are still so many patients; resampling cases would pretend otherwise."""
    table = raters(20, 4)
    once = make_ratings(table)
    copied = make_ratings(np.repeat(table, 10, axis=0), patients=[str(case // 10) for case in range(200)])
    alone = make_ratings(np.repeat(table, 10, axis=0))
    errors = [standard_error(fleiss_kappa(ratings), ratings.sample) for ratings in (once, copied, alone)]
    assert errors[1] == pytest.approx(errors[0], rel=1e-6)
    assert errors[2] < 0.5 * errors[0]
    widths = []
    for ratings in (once, copied, alone):
        interval = bootstrap(fleiss_kappa(ratings), ratings.sample, Resampling(draws=500))
        widths.append((interval.high or 0) - (interval.low or 0))
    assert widths[1] == pytest.approx(widths[0], rel=1e-6)
    assert widths[2] < 0.5 * widths[0]


def test_resampling_readers_does_not_push_agreement_up() -> None:
    ratings = make_ratings(raters(60, 5))
    statistic = percent_agreement(ratings)
    drawn = draw(statistic, ratings.sample, Resampling(draws=2000, readers="random"))
    observed = statistic(*ratings.sample.ones())[0]
    assert np.nanmean(drawn) == pytest.approx(observed, abs=0.01)


def test_readers_who_differ_widen_the_interval_when_readers_are_resampled() -> None:
    table = raters(80, 6, noise=0.3)
    table[:, 0] = np.random.default_rng(9).integers(1, 6, 80)  # one who guesses
    ratings = make_ratings(table)
    fixed, random = (
        bootstrap(fleiss_kappa(ratings), ratings.sample, Resampling(draws=500, readers=readers), width=5)
        for readers in ("fixed", "random")
    )
    assert random.high - random.low > 1.5 * (fixed.high - fixed.low)


@pytest.mark.parametrize("patients", [1, 4])
def test_too_few_patients_are_refused(patients: int) -> None:
    interval = bootstrap(mean_of(np.arange(12.0)), Sample(np.arange(12) % patients, 1), Resampling(draws=200))
    assert interval.low is None
    assert f"{patients} patients are too few" in (interval.refused or "")
    assert linearised(mean_of(np.arange(12.0)), Sample(np.arange(12) % patients, 1), 0.95, 5.5).refused


def test_few_patients_come_with_a_warning() -> None:
    interval = bootstrap(mean_of(np.arange(7.0)), Sample(np.arange(7), 1), Resampling(draws=200))
    assert any("only 7 patients" in note for note in interval.notes)


def test_a_statistic_that_is_mostly_undefined_is_refused() -> None:
    def statistic(cases: np.ndarray, readers: np.ndarray) -> np.ndarray:
        return np.where(cases[:, 0] > 0, cases @ np.arange(10.0), np.nan)

    interval = bootstrap(statistic, Sample(np.arange(10), 1), Resampling(draws=500))
    assert "undefined" in (interval.refused or "")


def test_data_without_variation_are_refused() -> None:
    interval = bootstrap(mean_of(np.ones(20)), Sample(np.arange(20), 1), Resampling(draws=200))
    assert "same value" in (interval.refused or "")


def test_nonsense_settings_are_errors() -> None:
    for wrong in ({"draws": 5}, {"level": 1.0}, {"readers": "some"}):
        with pytest.raises(ValueError, match="must be"):
            Resampling(**wrong)


def coverage(repetitions: int) -> float:
    """Share of simulated studies (30 patients, 5 raters) whose interval holds the kappa of very many patients."""
    large = make_ratings(raters(20_000, 5, seed=99), categories=range(1, 6))
    truth = fleiss_kappa(large)(*large.sample.ones())[0]
    hits = 0
    for seed in range(repetitions):
        ratings = make_ratings(raters(30, 5, seed=seed + 1000), categories=range(1, 6))
        interval = bootstrap(fleiss_kappa(ratings), ratings.sample, Resampling(draws=400))
        hits += interval.low <= truth <= interval.high
    return hits / repetitions


def test_bootstrap_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    assert 0.85 <= coverage(100) <= 1.0


@pytest.mark.soak
def test_bootstrap_intervals_hold_the_truth_as_often_as_they_say_in_a_thousand_studies() -> None:
    assert 0.90 <= coverage(1000) <= 0.98


def test_a_thousand_draws_of_every_coefficient_take_about_a_second() -> None:
    """200 cases, 10 raters: measured 1.0 s in all; the bound leaves room for a busy machine."""
    ratings = make_ratings(raters(200, 10))
    agreement(make_ratings(raters(20, 3)), Resampling(draws=100))  # scipy's import is not what is measured
    start = time.process_time()
    agreement(ratings, Resampling(draws=1000, readers="random"))
    assert time.process_time() - start < 10
