"""Paired tests: exact with ties, honest about the smallest p they could give, and corrected as a family."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetranslation.readerstudy.statistics.comparisons import (
    TestResult,
    family,
    friedman,
    holm,
    nadeau_bengio,
    per_patient,
    wilcoxon,
)
from imagetranslation.readerstudy.statistics.estimates import Undefined

# Hollander and Wolfe, Nonparametric Statistical Methods, 1973, pp. 29-33: Hamilton depression scale of 9 patients.
DEPRESSION = (
    [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30],
    [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29],
)


def made_up(p: float | None, smallest: float) -> TestResult:
    return TestResult("t", "W", 1.0, p, smallest, {"pairs": 9}, "m", "s")


def test_the_depression_scores_give_the_published_p() -> None:
    """R's ?wilcox.test: V = 40, one-sided p = 0.01953, so two-sided 0.03906."""
    found = wilcoxon(*(np.array(values) for values in DEPRESSION))
    assert found.value == 40
    assert found.p == pytest.approx(0.0390625, abs=1e-12)
    assert found.smallest_p == 2 / 2**9


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9).filter(any))
def test_wilcoxons_p_counts_all_sign_patterns_with_ties_and_zeros(gaps: list[int]) -> None:
    from scipy.stats import rankdata

    used = np.array([gap for gap in gaps if gap != 0])
    ranks = rankdata(np.abs(used))
    observed = ranks[used > 0].sum()
    sums = np.array([ranks[np.array(signs)].sum() for signs in itertools.product([True, False], repeat=len(used))])
    expected = min(1.0, 2 * min((sums <= observed + 1e-9).mean(), (sums >= observed - 1e-9).mean()))
    found = wilcoxon(np.array(gaps, dtype=float), np.zeros(len(gaps)))
    assert found.p == pytest.approx(expected, abs=1e-12)
    assert found.smallest_p == pytest.approx(2 * (sums >= sums.max() - 1e-9).mean(), abs=1e-12)
    assert found.n == {"pairs": len(gaps), "nonzero": len(used), "left_out": 0}


def test_averages_that_differ_by_rounding_only_are_ties() -> None:
    first = np.array([0.1 + 0.2, 0.3, 1.0, 2.0])
    found = wilcoxon(first, np.array([0.3, 0.1 + 0.2, 0.0, 0.0]))
    assert found.n["nonzero"] == 2


def test_many_pairs_agree_with_scipys_normal_approximation() -> None:
    from scipy.stats import wilcoxon as scipys

    generator = np.random.default_rng(0)
    first = generator.integers(1, 6, 600).astype(float)
    second = generator.integers(1, 6, 600).astype(float)
    assert wilcoxon(first, second).p == pytest.approx(scipys(first, second, correction=False).pvalue, abs=2e-3)
    few = wilcoxon(first[:300], second[:300])
    assert "exact" in few.method
    assert few.p == pytest.approx(scipys(first[:300], second[:300], correction=True).pvalue, abs=2e-3)


def test_pairs_without_a_partner_are_left_out_and_equal_pairs_refused() -> None:
    found = wilcoxon(np.array([1.0, np.nan, 3.0, 4.0]), np.array([0.0, 1.0, 1.0, 1.0]))
    assert found.n["left_out"] == 1
    with pytest.raises(Undefined, match="none of the 2 pairs differ"):
        wilcoxon(np.array([1.0, 2.0]), np.array([1.0, 2.0]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(1, 4), min_size=3, max_size=3), min_size=2, max_size=4))
def test_friedmans_p_counts_all_orders_within_patients(table: list[list[int]]) -> None:
    from scipy.stats import rankdata

    values = np.array(table, dtype=float)
    if all(len(set(row)) == 1 for row in table):
        with pytest.raises(Undefined, match="same answer"):
            friedman(values)
        return
    ranks = rankdata(values, axis=1)

    def spread(rows: tuple) -> float:
        return float(np.sum((np.sum(rows, axis=0) - 2 * len(table)) ** 2))

    orders = [list(itertools.permutations(row)) for row in ranks]
    every = np.array([spread(rows) for rows in itertools.product(*orders)])
    found = friedman(values)
    assert found.p == pytest.approx((every >= spread(tuple(ranks)) - 1e-9).mean(), abs=1e-9)
    assert found.smallest_p == pytest.approx((every >= every.max() - 1e-9).mean(), abs=1e-9)


def test_friedmans_statistic_is_scipys_and_large_tables_use_chi_square() -> None:
    from scipy.stats import friedmanchisquare

    values = np.random.default_rng(2).integers(1, 6, (60, 7)).astype(float)
    found, theirs = friedman(values), friedmanchisquare(*values.T)
    assert (found.value, found.p) == pytest.approx((theirs.statistic, theirs.pvalue), abs=1e-10)
    assert "chi-square" in found.method
    assert 0 < found.smallest_p < 1e-20


def test_friedman_needs_three_arms() -> None:
    with pytest.raises(Undefined, match="three arms"):
        friedman(np.ones((5, 2)))


def test_holm_steps_down() -> None:
    """Worked by hand: sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, never falling."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]), abs=1e-12)


def test_a_test_that_could_not_reach_alpha_is_refused() -> None:
    """Four pairs: at best p = 2/16, whatever the answers."""
    hopeless = wilcoxon(np.array([1.0, 2.0, 3.0, 4.0]), np.zeros(4))
    (found,) = family([hopeless])
    assert found.p is None
    assert "0.125" in (found.refused or "")
    assert found.smallest_p == 0.125


def test_what_could_reach_alpha_alone_may_not_reach_it_in_a_family() -> None:
    """Six pairs reach 2/64 = 0.031 alone; in a family of three the best case is 0.094."""
    six = wilcoxon(np.arange(1.0, 7.0), np.zeros(6))
    assert family([six])[0].holm_p == pytest.approx(0.03125)
    assert all("0.0938" in (found.refused or "") for found in family([six] * 3))


def test_a_refused_test_still_counts_in_the_correction_of_the_others() -> None:
    good, hopeless = made_up(0.01, 1e-6), made_up(0.125, 0.125)
    first, second = family([good, hopeless])
    assert first.holm_p == pytest.approx(0.02)
    assert second.refused


def test_several_images_of_a_patient_are_averaged_before_the_test() -> None:
    values = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]])
    means = per_patient(values, np.array(["a", "a", "b"]))
    assert means.tolist() == [[2.0, 2.0], [5.0, 6.0]]
    assert np.isnan(per_patient(np.array([np.nan]), np.array(["a"])))[0]


def test_nadeau_and_bengios_t_is_that_of_scikit_learns_example() -> None:
    """scikit-learn's "Statistical comparison of models using grid search": t = 0.750, p = 0.227 (rbf > linear)."""
    from sklearn.datasets import make_moons
    from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
    from sklearn.svm import SVC

    x, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    rbf, linear = (
        cross_val_score(SVC(kernel=kernel, random_state=0), x, y, scoring="roc_auc", cv=folds)
        for kernel in ("rbf", "linear")
    )
    found = nadeau_bengio(rbf - linear, train=90, test=10)
    assert (found.t, found.p_greater, found.df) == pytest.approx((0.7503, 0.2274, 99), abs=5e-5)
    assert found.p == pytest.approx(2 * found.p_greater)


@pytest.mark.parametrize(
    "gaps",
    [
        np.full(10, 0.1),
        np.array([0.5 - 1 / 6, 2 / 3 - 1 / 3]),
        np.array([11 / 15, 12 / 15, 11 / 15]) - np.array([10 / 15, 11 / 15, 10 / 15]),
    ],
)
def test_folds_that_are_equal_up_to_rounding_have_no_corrected_t(gaps: np.ndarray) -> None:
    with pytest.raises(Undefined, match="folds"):
        nadeau_bengio(gaps, train=90, test=10)
