"""The coefficients against pingouin and krippendorff, two GPL packages that nothing shipped may import.

They are no part of the test environment; where a developer has installed them, the comparison runs.
"""

from __future__ import annotations

import numpy as np
import pytest

from imagetranslation.readerstudy.statistics import chance, icc
from imagetranslation.readerstudy.statistics.bootstrap import value_of
from imagetranslation.readerstudy.statistics.comparisons import friedman
from imagetranslation.readerstudy.statistics.ratings import make_ratings
from Testing.Core import published_ratings as published

TYPES = {"ICC(1,1)": "icc_1_1", "ICC(A,1)": "icc_a_1", "ICC(C,1)": "icc_c_1",
         "ICC(1,k)": "icc_1_k", "ICC(A,k)": "icc_a_k", "ICC(C,k)": "icc_c_k"}  # fmt: skip


def random_table(seed: int, missing: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    truth = generator.integers(1, 6, 25)
    table = np.clip(truth[:, None] + generator.integers(-1, 2, (25, 4)), 1, 6).astype(float)
    table[generator.random(table.shape) < missing] = np.nan
    return table


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("metric", chance.METRICS)
def test_alpha_is_that_of_krippendorff(seed: int, metric: str) -> None:
    krippendorff = pytest.importorskip("krippendorff", reason="the oracle krippendorff (GPL) is not installed")
    table = random_table(seed, missing=0.2)
    ratings = make_ratings(table)
    ours = value_of(chance.krippendorff_alpha(ratings, metric), ratings.sample, "")
    assert ours == pytest.approx(krippendorff.alpha(table.T, level_of_measurement=metric), abs=1e-12)


@pytest.mark.parametrize("table", [np.array(published.SHROUT_FLEISS, float), published.ANXIETY.astype(float)])
def test_correlations_and_intervals_are_those_of_pingouin(table: np.ndarray) -> None:
    pingouin = pytest.importorskip("pingouin", reason="the oracle pingouin (GPL) is not installed")
    pandas = pytest.importorskip("pandas")
    long = pandas.DataFrame(table).reset_index().melt("index")
    theirs = pingouin.intraclass_corr(long, "index", "variable", "value").set_index("Type")
    for name, form in TYPES.items():
        n, k = table.shape
        ours = icc.coefficient(form, icc.mean_squares(table, np.ones((1, n)), np.ones((1, k))))[0]
        interval = icc.f_interval(form, table, 0.95)
        assert ours == pytest.approx(theirs.loc[name, "ICC"], abs=1e-10)
        assert (interval.low, interval.high) == pytest.approx(tuple(theirs.loc[name, "CI95"]), abs=6e-3)


def test_friedmans_statistic_and_w_are_those_of_pingouin() -> None:
    pingouin = pytest.importorskip("pingouin", reason="the oracle pingouin (GPL) is not installed")
    pandas = pytest.importorskip("pandas")
    table = random_table(3)
    long = pandas.DataFrame(table).reset_index().melt("index")
    theirs = pingouin.friedman(long, dv="value", within="variable", subject="index").iloc[0]
    ours = friedman(table)
    assert (ours.value, ours.effect["kendall_w"]) == pytest.approx((theirs["Q"], theirs["W"]), abs=1e-9)


def test_nothing_shipped_imports_the_oracles(repository) -> None:
    for folder in ("imagetranslation", "training_tools"):
        for path in (repository / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "import pingouin" not in text
            assert "import krippendorff" not in text
