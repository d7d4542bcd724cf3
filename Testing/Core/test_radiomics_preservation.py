"""The statistics of radiomics preservation: published values, independent implementations, planted truth."""

from __future__ import annotations

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.radiomics.preservation import resampling, statistics
from imagetranslation.radiomics.preservation.clusters import clusters
from imagetranslation.radiomics.preservation.cohort import agreement_statuses, kept_clusters, rank_statuses
from imagetranslation.radiomics.preservation.definitions import Thresholds
from imagetranslation.readerstudy.statistics.icc import f_interval, icc_statistic

FEW = Thresholds(draws=200)
# Shrout and Fleiss, Psychol Bull 1979: six targets, four judges.
SHROUT = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)


def simulated(cases: int, features: int, rho: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Simulated normal values whose two sides correlate by rho; their ICC(A,1) and (C,1) are rho as well."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(cases, features))
    return x, rho * x + np.sqrt(1 - rho**2) * generator.normal(size=x.shape)


def test_spearman_and_its_p_are_those_of_scipy_with_and_without_ties():
    from scipy.stats import spearmanr

    for decimals in (6, 0):
        x, y = (values.round(decimals) for values in simulated(30, 20, 0.6))
        found = statistics.describe(x, y, np.arange(30), FEW).columns
        expected = [spearmanr(x[:, n], y[:, n]) for n in range(20)]
        assert found["rho"] == pytest.approx([each.statistic for each in expected], abs=1e-12)
        assert found["p"] == pytest.approx([each.pvalue for each in expected], rel=1e-9)


def test_a_bootstrap_draw_is_the_correlation_of_the_rows_repeated():
    from scipy.stats import spearmanr

    x, y = (values.round(1) for values in simulated(25, 4, 0.7))
    weights = resampling.draws(np.arange(25) // 2, 15, seed=3)
    drawn = resampling.rank_correlation(x, y, weights)
    for row, weight in zip(drawn, weights):
        again = np.repeat(np.arange(25), weight.astype(int))
        assert row == pytest.approx([spearmanr(x[again, n], y[again, n]).statistic for n in range(4)], abs=1e-12)


@pytest.mark.parametrize("pair", [(0, 1), (0, 3), (1, 2)])
@pytest.mark.parametrize("form", ["icc_a_1", "icc_c_1"])
def test_icc_of_two_of_shrout_and_fleiss_judges_is_that_of_the_reader_studies(pair, form):
    values = SHROUT[:, pair]
    found = statistics.describe(values[:, :1], values[:, 1:], np.arange(6), FEW).columns
    expected = icc_statistic(form, values)(np.ones((1, 6)), np.ones((1, 2)))[0]
    ends = f_interval(form, values, 0.95)
    assert found[form][0] == pytest.approx(expected, abs=1e-12)
    assert (found[f"{form}_low"][0], found[f"{form}_high"][0]) == pytest.approx((ends.low, ends.high), abs=1e-9)


def test_icc_and_its_interval_are_those_of_pingouin():
    pingouin = pytest.importorskip("pingouin", reason="pingouin (GPL) is a development-time oracle only")
    import pandas as pd

    x, y = simulated(20, 3, 0.8, seed=5)
    found = statistics.describe(x, y + 0.4, np.arange(20), FEW).columns
    for feature in range(3):
        table = pd.DataFrame({"case": [*range(20)] * 2, "image": ["a"] * 20 + ["b"] * 20,
                              "value": [*x[:, feature], *(y[:, feature] + 0.4)]})  # fmt: skip
        told = pingouin.intraclass_corr(table, targets="case", raters="image", ratings="value")
        for row, name in ((1, "icc_a_1"), (2, "icc_c_1")):
            column = next(name for name in told.columns if name.startswith("CI95"))
            assert found[name][feature] == pytest.approx(told["ICC"].iloc[row], abs=1e-9)
            ends = (found[f"{name}_low"][feature], found[f"{name}_high"][feature])
            assert ends == pytest.approx(tuple(told[column].iloc[row]), abs=0.006)


def test_concordance_and_limits_of_agreement_follow_their_definitions():
    x, y = simulated(15, 1, 0.7)
    a, b = x[:, 0], 2 * y[:, 0] + 1
    found = {name: values[0] for name, values in statistics.describe(x, b[:, None], np.arange(15), FEW).columns.items()}
    covariance = np.mean((a - a.mean()) * (b - b.mean()))
    assert found["ccc"] == pytest.approx(2 * covariance / (a.var() + b.var() + (a.mean() - b.mean()) ** 2))
    spread = (b - a).std(ddof=1)
    assert found["bias"] == pytest.approx((b - a).mean())
    assert (found["limit_low"], found["limit_high"]) == pytest.approx(
        ((b - a).mean() - 1.96 * spread, (b - a).mean() + 1.96 * spread)
    )
    half = 2.1447866879169273 * spread / np.sqrt(15)  # t with 14 degrees of freedom
    assert (found["bias_low"], found["bias_high"]) == pytest.approx(((b - a).mean() - half, (b - a).mean() + half))
    ends = (found["limit_low"] - found["limit_low_low"], found["limit_low_high"] - found["limit_low"])
    assert ends == pytest.approx((np.sqrt(3) * half, np.sqrt(3) * half))
    assert found["out_of_range"] == np.count_nonzero((b < a.min()) | (b > a.max())) > 0


def test_rank_ignores_monotone_changes_and_agreement_only_those_of_both_sides():
    x, y = simulated(20, 5, 0.7)
    before = statistics.describe(x, y, np.arange(20), FEW).columns
    bent = statistics.describe(x, np.exp(y), np.arange(20), FEW).columns
    assert np.array_equal(bent["rho"], before["rho"])
    assert np.array_equal(bent["rho_boot_low"], before["rho_boot_low"])
    assert (np.abs(bent["icc_a_1"] - before["icc_a_1"]) > 0.01).all()
    both = statistics.describe(1e9 * x - 4e9, 1e9 * y - 4e9, np.arange(20), FEW).columns
    for name in ("icc_a_1", "icc_c_1", "ccc", "ccc_low", "icc_a_1_low"):
        assert both[name] == pytest.approx(before[name], abs=1e-6)


def test_the_order_of_rows_and_the_names_of_patients_change_nothing_that_is_no_draw():
    x, y = simulated(20, 3, 0.7)
    order = np.random.default_rng(2).permutation(20)
    first = statistics.describe(x, y, np.arange(20), FEW).columns
    second = statistics.describe(x[order], y[order], np.array([f"p{n}" for n in range(20)]), FEW).columns
    for name in ("rho", "p", "q", "icc_a_1", "icc_a_1_low", "ccc", "bias", "rho_low"):
        assert second[name] == pytest.approx(first[name], abs=1e-9)


def test_a_planted_correlation_lies_inside_the_intervals_as_often_as_they_say():
    """Simulated cohort: 300 features, 40 patients; ICC(A,1) planted at 0.8."""
    x, y = simulated(40, 300, 0.8, seed=11)
    found = statistics.describe(x, y, np.arange(40), FEW).columns
    rho = 6 / np.pi * np.arcsin(0.8 / 2)  # Spearman's rho of a binormal pair
    for name, truth in (("icc_a_1", 0.8), ("icc_c_1", 0.8), ("ccc", 0.8), ("rho", rho), ("rho_boot", rho)):
        inside = (found[f"{name}_low"] <= truth) & (truth <= found[f"{name}_high"])
        assert 0.9 <= inside.mean() <= 0.99, name


def test_regions_of_one_patient_are_resampled_together():
    """Simulated: 12 patients with five copies of one region each know no more than 12 regions."""
    x, y = simulated(12, 40, 0.6, seed=3)
    alone = statistics.describe(x, y, np.arange(12), FEW).columns
    copied = statistics.describe(np.repeat(x, 5, 0), np.repeat(y, 5, 0), np.repeat(np.arange(12), 5), FEW)
    assert "bootstrap over patients" in copied.intervals
    wide = alone["rho_boot_high"] - alone["rho_boot_low"]
    assert np.median((copied.columns["rho_high"] - copied.columns["rho_low"]) / wide) == pytest.approx(1, abs=0.05)
    strict = statistics.describe(np.repeat(x, 5, 0), np.repeat(y, 5, 0), np.arange(60), FEW).columns
    assert np.median((strict["rho_high"] - strict["rho_low"]) / wide) < 0.6
    assert np.median(copied.columns["p"] / strict["p"]) > 10


def test_missing_and_constant_values_are_counted_and_said():
    x, y = simulated(10, 4, 0.9)
    x[3, 1] = np.nan
    y[:, 2] = 7.0
    x[2:, 3] = np.nan
    found = statistics.describe(x, y, np.arange(10), FEW)
    assert found.columns["n"].tolist() == [10, 9, 10, 2]
    assert np.isfinite(found.columns["rho"]).tolist() == [True, True, False, False]
    assert found.reasons == ["", "", "constant in the other images", "2 pairs of values; at least 3 are needed"]
    assert rank_statuses(found, FEW)[2:] == ("undefined", "undefined")
    alone = statistics.describe(np.delete(x[:, 1:2], 3, 0), np.delete(y[:, 1:2], 3, 0), np.arange(9), FEW).columns
    assert found.columns["icc_a_1"][1] == pytest.approx(alone["icc_a_1"][0])


def test_the_same_image_twice_is_perfect_and_certain():
    x, _ = simulated(25, 6, 0.5)
    found = statistics.describe(x, x.copy(), np.arange(25), FEW)
    for name in ("rho", "icc_a_1", "icc_a_1_low", "icc_c_1", "ccc", "rho_boot_low"):
        assert found.columns[name] == pytest.approx(np.ones(6)), name
    assert set(rank_statuses(found, FEW)) == set(agreement_statuses(found, FEW)) == {"preserved"}


def test_few_patients_have_no_bootstrap_and_no_p_below_what_their_orders_allow():
    x, _ = simulated(4, 2, 0.5)
    found = statistics.describe(x, x + 0.01, np.arange(4), FEW).columns
    assert "rho_boot_low" not in found
    assert (found["p"] >= 2 / 24).all()
    assert np.isfinite(found["icc_a_1_low"]).all()


def test_q_is_benjamini_and_hochbergs_over_what_has_a_p():
    q = statistics.benjamini_hochberg(np.array([0.01, np.nan, 0.02, 0.03, 0.5]))
    assert q[[0, 2, 3, 4]] == pytest.approx([0.04, 0.04, 0.04, 0.5])
    assert np.isnan(q[1])


def test_agreement_is_not_computed_where_it_is_refused():
    x, y = simulated(12, 2, 0.9)
    found = statistics.describe(x, y, np.arange(12), FEW, agreement=False).columns
    assert {"rho", "rho_low", "q"} <= set(found)
    assert not {name for name in found if name.startswith(("icc", "ccc", "bias", "limit"))}


def test_shifted_values_keep_their_rank_and_lose_agreement():
    x, y = simulated(40, 10, 0.98, seed=4)
    found = statistics.describe(x, y + 5, np.arange(40), FEW)
    assert set(rank_statuses(found, FEW)) == {"preserved"}
    assert set(agreement_statuses(found, FEW)) == {"lost"}


def test_twins_count_once():
    x, _ = simulated(30, 3, 0.5)
    values = np.column_stack([x[:, 0], np.exp(x[:, 0]), x[:, 1], -x[:, 0], np.full(30, 2.0)])
    number = clusters(values, 0.95)
    assert number.tolist() == [1, 1, 2, 1, 0]
    assert kept_clusters(("preserved", "preserved", "lost", "lost", "undefined"), number) == (1, 2)
    assert kept_clusters(("preserved", "lost", "lost", "lost", "undefined"), number) == (0, 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"rho": 1.5}, "threshold rho is 1.5"), ({"draws": 5}, "5 bootstrap draws"), ({"icc": 0.3}, "must not lie above"),
     ({"level": 1.0}, "level of the intervals")],
)  # fmt: skip
def test_thresholds_out_of_range_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        Thresholds(**wrong)
