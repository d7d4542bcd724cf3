"""Agreement coefficients reproduce published values, agree with their definitions, and refuse what has no answer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.statistics import chance, icc
from imagetranslation.readerstudy.statistics.agreement import agreement, intra_reader, pairwise
from imagetranslation.readerstudy.statistics.bootstrap import Resampling, standard_error, value_of
from imagetranslation.readerstudy.statistics.estimates import Estimate
from imagetranslation.readerstudy.statistics.ratings import Ratings, make_ratings
from Testing.Core import published_ratings as published

FEW_DRAWS = Resampling(draws=200)


def values(cells, **scale) -> dict[str, Estimate]:
    return {estimate.key: estimate for estimate in agreement(make_ratings(cells, **scale), FEW_DRAWS)}


def value(statistic, ratings: Ratings) -> float:
    return value_of(statistic, ratings.sample, "undefined")


def test_krippendorffs_example_with_missing_values_gives_his_alphas() -> None:
    found = values(published.KRIPPENDORFF)
    for metric, alpha in {"nominal": 0.7434, "ordinal": 0.8154, "interval": 0.8491, "ratio": 0.7974}.items():
        assert found[f"krippendorff_{metric}"].value == pytest.approx(alpha, abs=5e-5)


def test_gwets_raw_example_gives_his_coefficients() -> None:
    """irrCAC's README (Gwet), data cac.raw4raters, which are Krippendorff's."""
    found = values(published.KRIPPENDORFF)
    assert found["percent_agreement"].value == pytest.approx(0.8181818, abs=5e-8)
    assert found["gwet_ac1"].value == pytest.approx(0.77544, abs=5e-6)
    assert found["fleiss"].value == pytest.approx(0.76117, abs=5e-6)


def test_gwets_distribution_example_gives_his_coefficients_standard_errors_and_intervals() -> None:
    """irrCAC's README, data distrib.6raters."""
    ratings = make_ratings(published.from_counts(published.PSYCHIATRY))
    found = {estimate.key: estimate for estimate in agreement(ratings, FEW_DRAWS)}
    assert found["gwet_ac1"].value == pytest.approx(0.4448007, abs=5e-8)
    assert found["fleiss"].value == pytest.approx(0.4139265, abs=5e-8)
    assert found["krippendorff_nominal"].value == pytest.approx(0.4204384, abs=5e-8)
    assert standard_error(chance.gwet_ac(ratings), ratings.sample) == pytest.approx(0.08418757, abs=5e-9)
    assert standard_error(chance.fleiss_kappa(ratings), ratings.sample) == pytest.approx(0.08119291, abs=5e-9)
    analytic = found["gwet_ac1"].intervals[0]
    assert (analytic.low, analytic.high) == pytest.approx((0.264, 0.625), abs=5e-4)


def test_gwets_two_abstractors_give_his_coefficients() -> None:
    """irrCAC's README, cont3x3abstractors; its standard errors for tables divide by n, ours by n - 1."""
    ratings = make_ratings(published.from_contingency(published.ABSTRACTORS))
    expected = {
        "kappa": (chance.cohen_kappa(ratings), 0.7964094, 0.05891072),
        "pi": (chance.fleiss_kappa(ratings), 0.7962397, 0.05905473),
        "ac1": (chance.gwet_ac(ratings), 0.8493305, 0.04321747),
        "percent": (chance.percent_agreement(ratings), 0.89, 0.03128898),
    }
    for statistic, coefficient, error in expected.values():
        assert value(statistic, ratings) == pytest.approx(coefficient, abs=5e-8)
        assert standard_error(statistic, ratings.sample) == pytest.approx(error * np.sqrt(100 / 99), abs=2e-8)
    assert value(chance.krippendorff_alpha(ratings, "nominal"), ratings) == pytest.approx(0.7972585, abs=5e-8)


def test_fleiss_example_gives_its_kappa() -> None:
    assert values(published.from_counts(published.FLEISS_EXAMPLE))["fleiss"].value == pytest.approx(0.2099, abs=5e-5)


def test_sas_example_gives_its_kappas_on_the_declared_scale() -> None:
    """The first category is unused by one rater; weights run over the whole scale."""
    found = values(published.from_contingency(published.SAS_TABLE), categories=[1, 2, 3])
    assert found["cohen_unweighted"].value == pytest.approx(0.4842, abs=5e-5)
    assert found["cohen_linear"].value == pytest.approx(0.4701, abs=5e-5)


def test_the_anxiety_ratings_give_the_values_of_irr() -> None:
    """kappa2, icc(twoway, agreement) and kendall(correct=TRUE) in the manual of R's irr."""
    two = values(published.ANXIETY[:, :2].tolist())
    assert two["cohen_unweighted"].value == pytest.approx(0.119, abs=5e-4)
    assert two["cohen_quadratic"].value == pytest.approx(0.297, abs=5e-4)
    found = values(published.ANXIETY.tolist())
    assert found["icc_a_1"].value == pytest.approx(0.198, abs=5e-4)
    analytic = found["icc_a_1"].intervals[0]
    assert (analytic.low, analytic.high) == pytest.approx((-0.039, 0.494), abs=5e-4)
    w = found["kendall_w"]
    assert (w.value, w.extra["chi_square"], w.extra["df"]) == (
        pytest.approx(0.54, abs=5e-3),
        pytest.approx(30.8, abs=0.05),
        19,
    )
    assert w.extra["p"] == pytest.approx(0.0429, abs=5e-5)


@pytest.mark.parametrize(
    ("form", "coefficient", "low", "high"),
    [
        ("icc_1_1", 0.1657, -0.133, 0.723),
        ("icc_a_1", 0.2898, 0.019, 0.761),
        ("icc_c_1", 0.7148, 0.342, 0.946),
        ("icc_1_k", 0.4428, -0.884, 0.912),
        ("icc_a_k", 0.6201, 0.071, 0.927),
        ("icc_c_k", 0.9093, 0.676, 0.986),
    ],
)
def test_shrout_and_fleiss_table_gives_their_correlations_with_intervals(form, coefficient, low, high) -> None:
    """Coefficients as in FACTS; intervals by McGraw and Wong as R's psych prints them."""
    found = values(published.SHROUT_FLEISS)[form]
    assert found.value == pytest.approx(coefficient, abs=5e-5)
    assert (found.intervals[0].low, found.intervals[0].high) == pytest.approx((low, high), abs=5e-4)


def test_kendalls_w_is_friedmans_chi_square_over_its_largest_value() -> None:
    from scipy.stats import friedmanchisquare

    found = values(published.SHROUT_FLEISS)["kendall_w"]
    chi2 = friedmanchisquare(*np.array(published.SHROUT_FLEISS, dtype=float))
    assert found.value == pytest.approx(chi2.statistic / (4 * 5), abs=1e-12)
    assert found.extra["p"] == pytest.approx(chi2.pvalue, abs=1e-12)


def test_cohens_standard_error_is_that_of_fleiss_cohen_and_everitt() -> None:
    """statsmodels holds the 1969 formula, with n where the linearised error has n - 1."""
    from statsmodels.stats.inter_rater import cohens_kappa

    ratings = make_ratings(published.from_contingency(published.ABSTRACTORS))
    table = np.array(published.ABSTRACTORS)
    for weighting, weights in (("unweighted", None), ("linear", "linear"), ("quadratic", "quadratic")):
        theirs = cohens_kappa(table, wt=weights)
        statistic = chance.cohen_kappa(ratings, weighting)
        assert value(statistic, ratings) == pytest.approx(theirs.kappa, abs=1e-12)
        error = standard_error(statistic, ratings.sample) * np.sqrt(99 / 100)
        assert error == pytest.approx(theirs.std_kappa, rel=1e-6)


def alpha_by_definition(table: np.ndarray, metric: str) -> float:
    """Krippendorff's coincidences and differences, written out one pair of values at a time."""
    units = [[value for value in row if not np.isnan(value)] for row in table]
    units = [unit for unit in units if len(unit) > 1]
    pooled = [value for unit in units for value in unit]

    def difference(c: float, k: float) -> float:
        if metric == "nominal":
            return float(c != k)
        if metric == "ordinal":
            low, high = min(c, k), max(c, k)
            between = sum(low <= value <= high for value in pooled)
            return (between - (pooled.count(c) + pooled.count(k)) / 2) ** 2 if c != k else 0.0
        return (c - k) ** 2 if metric == "interval" else ((c - k) / (c + k)) ** 2

    observed = sum(
        sum(difference(a, b) for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units
    )
    expected = sum(difference(a, b) for a, b in itertools.permutations(pooled, 2))
    return 1 - (len(pooled) - 1) * observed / expected


rating_tables = st.integers(2, 5).flatmap(
    lambda raters: st.lists(
        st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0, np.nan]), min_size=raters, max_size=raters),
        min_size=3,
        max_size=8,
    )
)


@settings(max_examples=60, deadline=None)
@given(rating_tables, st.sampled_from(chance.METRICS))
def test_alpha_is_its_definition_for_any_table(cells: list[list[float]], metric: str) -> None:
    table = np.array(cells)
    pairable = table[np.isfinite(table).sum(axis=1) > 1]
    if len(pairable) == 0 or len(np.unique(pairable[np.isfinite(pairable)])) < 2:
        return
    ratings = make_ratings(cells)
    found = value(chance.krippendorff_alpha(ratings, metric), ratings)
    assert found == pytest.approx(alpha_by_definition(table, metric), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(rating_tables)
def test_weighted_ac_is_its_definition_for_any_table(cells: list[list[float]]) -> None:
    scale = [1.0, 2.0, 3.0, 4.0, 5.0]
    table = np.array(cells)
    if not (np.isfinite(table).sum(axis=1) > 1).any():
        return
    agreeing = []
    shares = np.zeros((0, 5))
    for row in table:
        given_ = row[np.isfinite(row)]
        if len(given_):
            shares = np.vstack([shares, [(given_ == category).mean() for category in scale]])
        if len(given_) > 1:
            agreeing.append(np.mean([1 - ((a - b) / 4) ** 2 for a, b in itertools.permutations(given_, 2)]))
    share = shares.mean(axis=0)
    weights = sum(1 - ((a - b) / 4) ** 2 for a in scale for b in scale)
    expected = weights / 20 * np.sum(share * (1 - share))
    ratings = make_ratings(cells, categories=scale)
    found = value(chance.gwet_ac(ratings, chance.QUADRATIC), ratings)
    assert found == pytest.approx((np.mean(agreeing) - expected) / (1 - expected), abs=1e-9)


def test_mean_squares_are_those_of_the_analysis_of_variance() -> None:
    table = np.array(published.SHROUT_FLEISS, dtype=float)
    n, k = table.shape
    found = icc.mean_squares(table, np.ones((1, n)), np.ones((1, k)))
    rows = k * table.mean(axis=1).var(ddof=1)
    columns = n * table.mean(axis=0).var(ddof=1)
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    assert found.rows[0] == pytest.approx(rows)
    assert found.columns[0] == pytest.approx(columns)
    assert found.error[0] == pytest.approx((rest**2).sum() / ((n - 1) * (k - 1)))
    assert found.within[0] == pytest.approx(table.var(axis=1, ddof=1).mean())


def test_a_case_of_weight_two_counts_as_two_cases() -> None:
    """What the bootstrap does with weights must be what repeating the rows does."""
    table = np.array(published.ANXIETY)
    weights = np.ones((1, 20))
    weights[0, [2, 7]] = (2, 0)
    rows = np.repeat(np.arange(20), weights[0].astype(int))
    one, two = make_ratings(table, categories=range(1, 7)), make_ratings(table[rows], categories=range(1, 7))
    readers = np.ones((1, 3))
    statistics = [chance.fleiss_kappa, chance.gwet_ac, chance.cohen_kappa, chance.percent_agreement]
    statistics += [lambda r, m=m: chance.krippendorff_alpha(r, m) for m in chance.METRICS]
    for make in statistics:
        assert make(one)(weights, readers)[0] == pytest.approx(make(two)(np.ones((1, 20)), readers)[0], abs=1e-12)
    for form in icc.FORMS:
        weighted = icc.icc_statistic(form, table.astype(float))(weights, readers)[0]
        repeated = icc.icc_statistic(form, table[rows].astype(float))(np.ones((1, 20)), readers)[0]
        assert weighted == pytest.approx(repeated, abs=1e-12)


def test_two_copies_of_a_reader_do_not_agree_with_each_other() -> None:
    """A draw that holds reader 1 twice and reader 2 once is the pair 1-2, for every coefficient."""
    table = published.ANXIETY[:, :2]
    ratings = make_ratings(table)
    cases, copied = np.ones((1, 20)), np.array([[2.0, 1.0]])
    for make in (chance.percent_agreement, chance.cohen_kappa):
        statistic = make(ratings)
        assert statistic(cases, copied)[0] == pytest.approx(statistic(cases, np.ones((1, 2)))[0], abs=1e-12)
    with np.errstate(invalid="ignore"):
        squares = icc.mean_squares(table.astype(float), cases, np.array([[2.0, 0.0]]))
    assert not np.isfinite(icc.coefficient("icc_c_1", squares)).any()


def test_constant_ratings_are_refused_with_the_reason() -> None:
    found = values([[3, 3, 3]] * 12)
    for key in ("fleiss", "cohen_unweighted", "krippendorff_ordinal", "icc_a_1", "kendall_w", "gwet_ac1"):
        assert found[key].value is None
        assert found[key].refused
    assert found["percent_agreement"].value == 1.0
    assert "do not vary" in (found["percent_agreement"].intervals[1].refused or "")


def test_ac1_stands_on_a_declared_scale_though_all_ratings_are_one() -> None:
    assert values([[3, 3]] * 12, categories=[1, 2, 3, 4, 5])["gwet_ac1"].value == 1.0


def test_one_rater_is_refused_everywhere() -> None:
    assert all("one rater" in (found.refused or "") for found in values([[1], [2], [3]]).values())


def test_raters_who_share_no_case_are_named() -> None:
    found = values([[1, None, 1], [2, None, 2], [None, 3, 3], [None, 4, 4]])
    assert "raters 1 and 2 rated no case in common" in (found["cohen_unweighted"].refused or "")
    assert "0 cases were rated by every rater" in (found["icc_a_1"].refused or "")


def test_names_without_an_order_have_nominal_coefficients_only() -> None:
    found = values([["mild", "none"], ["none", "none"], ["severe", "severe"], ["mild", "mild"], ["none", "mild"]])
    assert found["fleiss"].value is not None
    for key in ("cohen_linear", "krippendorff_ordinal", "kendall_w"):
        assert "order" in (found[key].refused or "")
    assert "numbers" in (found["krippendorff_interval"].refused or "")


def test_names_in_a_declared_order_are_weighted_like_ranks() -> None:
    names = {1: "none", 2: "mild", 3: "severe"}
    numbers = published.from_contingency(published.SAS_TABLE)
    words = [[names[a], names[b]] for a, b in numbers]
    named, numbered = values(words, categories=["none", "mild", "severe"]), values(numbers, categories=[1, 2, 3])
    for key in ("cohen_quadratic", "krippendorff_ordinal", "gwet_ac2_linear", "kendall_w"):
        assert named[key].value == pytest.approx(numbered[key].value)
    assert "numbers" in (named["icc_a_1"].refused or "")


def test_a_ratio_scale_refuses_negative_numbers() -> None:
    assert "negative" in (values([[-1, 2], [2, 3], [1, 1]])["krippendorff_ratio"].refused or "")


def test_several_cases_of_one_patient_refuse_the_f_interval_and_keep_the_bootstrap() -> None:
    ratings = make_ratings(published.ANXIETY, patients=[str(case // 2) for case in range(20)])
    found = {estimate.key: estimate for estimate in agreement(ratings, FEW_DRAWS)}["icc_a_1"]
    assert "independent" in (found.intervals[0].refused or "")
    assert found.intervals[1].low is not None
    assert found.n["patients"] == 10


def test_with_two_readers_nothing_is_said_about_readers_in_general() -> None:
    ratings = make_ratings(published.ANXIETY[:, :2])
    found = agreement(ratings, Resampling(draws=200, readers="random"))
    reasons = [estimate.intervals[1].refused for estimate in found]
    assert all(reasons)
    assert "at least 3" in (reasons[0] or "")


def test_a_value_outside_the_declared_scale_is_named() -> None:
    with pytest.raises(InputError, match="Case 2, rater 1: '7' is not one of"):
        make_ratings([[1, 2], [7, 2]], categories=[1, 2, 3])


def test_pairs_of_raters_are_listed_with_their_kappa() -> None:
    found = pairwise(make_ratings(published.ANXIETY))
    assert [one.label for one in found] == ["1 - 2", "1 - 3", "2 - 3"]
    assert found[0].value == pytest.approx(0.297, abs=5e-4)
    assert all(one.n["cases"] == 20 for one in found)


def test_a_reader_with_fewer_than_ten_repeats_has_no_agreement_with_himself() -> None:
    table = np.where(np.arange(24).reshape(12, 2) < 6, np.nan, np.repeat(published.ANXIETY[:12, :1], 2, axis=1))
    nine = make_ratings(table)
    assert all("9 cases were read twice" in (found.refused or "") for found in intra_reader(nine, FEW_DRAWS))
    enough = make_ratings(published.ANXIETY[:12, :2])
    assert next(f for f in intra_reader(enough, FEW_DRAWS) if f.key == "cohen_quadratic").value is not None


def test_the_interval_of_percent_agreement_begins_at_zero() -> None:
    """Shrout and Fleiss' judges hardly ever give the same number."""
    cells = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    analytic = values(cells)["percent_agreement"].intervals[0]
    assert analytic.low == 0.0
    assert analytic.high == pytest.approx(0.0992, abs=5e-5)
