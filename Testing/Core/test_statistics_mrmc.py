"""Obuchowski-Rockette's analysis reproduces published output, keeps its type-I error, and refuses what it cannot do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagetranslation.readerstudy.statistics import roc
from imagetranslation.readerstudy.statistics.estimates import Undefined
from imagetranslation.readerstudy.statistics.mrmc import (
    Components,
    analyse,
    components,
    dbm_components,
    error_covariances,
    from_areas,
)
from imagetranslation.readerstudy.statistics.mrmctable import read_study
from imagetranslation.readerstudy.statistics.power import power
from Testing.Core.roe_metz import roe_metz

# Van Dyke et al. 1993, 2 tests, 5 readers, 45 cases with and 69 without the condition: the areas and, below, the output
# of OR-DBM MRMC 2.51 (University of Iowa), trapezoidal areas, jackknife, analyses 1 to 3.
VAN_DYKE = np.array([
    [0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066],
    [0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169],
])  # fmt: skip
JACKKNIFE = {"error": 0.0008022883, "cov1": 0.0003466137, "cov2": 0.0003440748, "cov3": 0.0002390284}
OF_TEST = [{"error": 0.00101410, "cov2": 0.00048396}, {"error": 0.00059047, "cov2": 0.00020419}]
OF_READER = [
    (0.00069890, 0.00037347, 0.02551, 0.2693, -0.07818, 0.02182),
    (0.00110605, 0.00076016, 0.02630, 0.0768, -0.09809, 0.00501),
    (0.00084234, 0.00035532, 0.03121, 0.5668, -0.07904, 0.04330),
    (0.00015058, 0.00000108, 0.01729, 0.1290, -0.06014, 0.00764),
    (0.00121357, 0.00024304, 0.04406, 0.0230, -0.18651, -0.01381),
]
# MRMCaov (Smith and Hillis, SPIE 11316, 2020), user guide: error, Cov1, Cov2, Cov3, F, df2, p, low, high.
OTHER_COVARIANCES = {
    "delong": (0.0007921325, 0.0003420090, 0.0003395265, 0.0002358497, 4.484854, 15.06611, 0.05123303,
               -0.0878671960, 0.0002665519),
    "unbiased": (0.0007883925, 0.0003416706, 0.0003390650, 0.0002356148, 4.489614, 15.03418, 0.0511618,
                 -0.0878519409, 0.0002512968),
}  # fmt: skip


def structured(error: float, cov1: float, cov2: float, cov3: float, tests: int = 2, readers: int = 5) -> np.ndarray:
    """The covariance matrix, test-major, with these four values."""
    same_test, same_reader = np.eye(tests)[:, None, :, None], np.eye(readers)[None, :, None, :]
    blocks = cov3 + (cov2 - cov3) * same_test + (cov1 - cov3) * same_reader
    blocks = blocks + (error - cov1 - cov2 + cov3) * same_test * same_reader
    return blocks.reshape(tests * readers, tests * readers)


@pytest.fixture(scope="module")
def van_dyke():
    """The three designs from the published areas and covariances."""
    matrix = structured(**JACKKNIFE)
    for test, own in enumerate(OF_TEST):
        matrix[test * 5 : test * 5 + 5, test * 5 : test * 5 + 5] = structured(own["error"], 0, own["cov2"], 0, 1)
    return {design.key: design for design in from_areas(VAN_DYKE, matrix, ("1", "2"))}


def test_random_readers_and_cases_give_the_published_test_and_intervals(van_dyke) -> None:
    found = van_dyke["RRRC"]
    assert (round(found.value, 2), found.df1, round(found.df2, 2), round(found.p, 4)) == (4.46, 1, 15.26, 0.0517)
    gap = found.differences[0]
    assert round(gap.estimate, 5) == -0.04380
    assert (round(gap.standard_error, 5), round(gap.low, 5), round(gap.high, 5)) == (0.02075, -0.08796, 0.00036)
    assert round(gap.p, 4) == 0.0517
    ends = [(mean.standard_error, mean.df, mean.low, mean.high) for mean in found.means]
    assert ends[0] == pytest.approx((0.03317360, 12.74, 0.82522360, 0.96885048), abs=5e-3)
    assert ends[1] == pytest.approx((0.02156637, 12.71, 0.89413783, 0.98753689), abs=5e-3)
    for (error, _, low, high), published in zip(
        ends, [(0.03317360, 0.82522360, 0.96885048), (0.02156637, 0.89413783, 0.98753689)]
    ):
        assert (error, low, high) == pytest.approx(published, abs=2e-6)


def test_fixed_readers_give_the_published_test_and_intervals(van_dyke) -> None:
    found = van_dyke["FRRC"]
    assert found.value == pytest.approx(5.47595, abs=5e-5)  # the covariances above have 8 digits
    assert (found.df1, round(found.p, 4)) == (1, 0.0193)
    gap = found.differences[0]
    assert (round(gap.standard_error, 5), round(gap.low, 5), round(gap.high, 5)) == (0.01872, -0.08049, -0.00711)
    assert (found.means[0].low, found.means[0].high) == pytest.approx((0.84943008, 0.94464399), abs=2e-6)
    assert (found.means[1].low, found.means[1].high) == pytest.approx((0.90795637, 0.97371835), abs=2e-6)


def test_fixed_cases_give_the_published_test_and_intervals(van_dyke) -> None:
    found = van_dyke["RRFC"]
    assert (round(found.value, 2), found.df1, found.df2, round(found.p, 4)) == (8.70, 1, 4, 0.0420)
    gap = found.differences[0]
    assert (round(gap.standard_error, 5), round(gap.low, 5), round(gap.high, 5)) == (0.01485, -0.08502, -0.00258)
    assert (found.means[0].low, found.means[0].high) == pytest.approx((0.82809808, 0.96597599), abs=1e-7)
    assert (found.means[1].low, found.means[1].high) == pytest.approx((0.89598936, 0.98568536), abs=1e-7)


@pytest.mark.parametrize("reader", range(5))
def test_single_readers_give_the_published_differences(reader: int) -> None:
    variance, cov1, error, p, low, high = OF_READER[reader]
    matrix = np.array([[variance, cov1], [cov1, variance]])
    gap = roc.difference(VAN_DYKE[:, reader], matrix, 0.95)
    assert (gap.standard_error, gap.low, gap.high) == pytest.approx((error, low, high), abs=6e-6)
    assert gap.p == pytest.approx(p, abs=6e-5)


def test_the_components_are_the_published_ones_in_both_parametrisations() -> None:
    found = components(VAN_DYKE, structured(**JACKKNIFE))
    assert found.reader == pytest.approx(0.00153500, abs=5e-9)
    assert found.test_reader == pytest.approx(0.00020040, abs=5e-9)
    published = {"reader": 0.00153500, "case": 0.02724923, "test_reader": 0.00020040, "test_case": 0.01197530,
                 "reader_case": 0.01226473, "error": 0.03997160}  # fmt: skip
    assert dbm_components(found, 114) == pytest.approx(published, abs=2e-8)


@pytest.mark.parametrize("method", OTHER_COVARIANCES)
def test_other_covariances_give_the_published_test(method: str) -> None:
    error, cov1, cov2, cov3, value, df, p, low, high = OTHER_COVARIANCES[method]
    found = from_areas(VAN_DYKE, structured(error, cov1, cov2, cov3), ("1", "2"))[0]
    assert (found.value, found.df2, found.p) == pytest.approx((value, df, p), rel=1e-5)
    assert (found.differences[0].low, found.differences[0].high) == pytest.approx((low, high), abs=1e-7)


@pytest.mark.parametrize(
    ("design", "cases", "reached"),
    [("RRRC", 165, 0.80541995), ("FRRC", 131, 0.80091813), ("RRFC", 53, 0.80496663)],
)
def test_power_is_that_of_the_published_sample_sizes(design: str, cases: int, reached: float) -> None:
    """RJafroc's check of Hillis et al. 2011 on the Van Dyke data: 10 readers, difference 0.043800322."""
    pilot = Components(reader=0.001535, test_reader=0.00020040252, error=0.00080228827, cov1=0.00034661371,
                       cov2=0.00034407483, cov3=0.00023902837)  # fmt: skip
    found = power(pilot, 114, -0.043800322, 10, cases, design)
    assert found.power == pytest.approx(reached, abs=2e-7)


def test_power_grows_with_readers_and_cases_and_is_alpha_without_a_difference() -> None:
    pilot = components(VAN_DYKE, structured(**JACKKNIFE))
    for design in ("RRRC", "FRRC", "RRFC"):
        assert power(pilot, 114, 0.0, 8, 200, design).power == pytest.approx(0.05)
        assert power(pilot, 114, 1e-6, 8, 200, design).power == pytest.approx(0.05, abs=1e-5)
        assert power(pilot, 114, 0.4, 30, 2000, design).power == pytest.approx(1.0)
    assert power(pilot, 114, 0.05, 8, 200).power > power(pilot, 114, 0.05, 5, 200).power
    assert power(pilot, 114, 0.05, 8, 200).power > power(pilot, 114, 0.05, 8, 100).power
    with pytest.raises(Undefined, match="one reader"):
        power(pilot, 114, 0.05, 1, 100)


@pytest.mark.parametrize("covariance", roc.COVARIANCES)
def test_the_van_dyke_ratings_themselves_give_the_published_output(data_dir: Path, covariance: str) -> None:
    path = data_dir / "mrmc" / "vandyke.csv"
    if not path.is_file():
        pytest.skip(f"the Van Dyke ratings are not at {path}")
    study = read_study(path)
    found = analyse(study.ratings, study.truth, study.tests, study.readers, covariance)
    assert found.auc == pytest.approx(VAN_DYKE, abs=5e-9)
    told = found.components
    assert told is not None
    if covariance == "jackknife":
        assert [told.error, told.cov1, told.cov2, told.cov3] == pytest.approx(list(JACKKNIFE.values()), abs=5e-11)
        assert (found.designs[0].value, found.designs[0].df2) == pytest.approx((4.456319, 15.25967), abs=5e-6)
    else:
        expected = OTHER_COVARIANCES[covariance]
        assert [told.error, told.cov1, told.cov2, told.cov3] == pytest.approx(expected[:4], abs=5e-11)
        assert (found.designs[0].value, found.designs[0].df2) == pytest.approx(expected[4:6], abs=5e-6)


@pytest.fixture(scope="module")
def tied_study() -> tuple[np.ndarray, np.ndarray]:
    """Four readings of 22 cases on a five-step scale, so with many ties."""
    ratings, truth = roe_metz(np.random.default_rng(4), readers=2, positives=9, negatives=13)
    return np.clip(np.rint(ratings + 2), 1, 5).reshape(4, -1), truth


def test_areas_are_those_of_scikit_learn(tied_study) -> None:
    from sklearn.metrics import roc_auc_score

    ratings, truth = tied_study
    expected = [roc_auc_score(truth, row) for row in ratings]
    assert roc.areas(ratings, truth).auc == pytest.approx(expected, abs=1e-12)


def kernels(ratings: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(readings, cases with, cases without): 1, 0.5 or 0 for right, tied and wrong order."""
    return (np.sign(ratings[:, truth, None] - ratings[:, None, ~truth]) + 1) / 2


def test_the_jackknife_leaves_out_one_case_at_a_time(tied_study) -> None:
    ratings, truth = tied_study
    cases = len(truth)
    kept = [np.arange(cases) != case for case in range(cases)]
    left_out = np.array([kernels(ratings[:, rows], truth[rows]).mean(axis=(1, 2)) for rows in kept])
    expected = (cases - 1) ** 2 / cases * np.cov(left_out.T)
    assert roc.covariance(ratings, truth, "jackknife") == pytest.approx(expected, abs=1e-14)


def test_delongs_covariance_is_that_of_the_placements(tied_study) -> None:
    ratings, truth = tied_study
    kernel = kernels(ratings, truth)
    expected = np.cov(kernel.mean(axis=2)) / truth.sum() + np.cov(kernel.mean(axis=1)) / (~truth).sum()
    assert roc.covariance(ratings, truth, "delong") == pytest.approx(expected, abs=1e-14)


def test_the_unbiased_covariance_subtracts_products_that_share_no_case(tied_study) -> None:
    ratings, truth = tied_study
    kernel = kernels(ratings, truth)
    m, n, o = kernel.shape
    expected = np.empty((m, m))
    for a in range(m):
        for b in range(m):
            apart = [
                kernel[a, i, j] * kernel[b][np.arange(n) != i][:, np.arange(o) != j].mean()
                for i in range(n)
                for j in range(o)
            ]
            expected[a, b] = kernel[a].mean() * kernel[b].mean() - np.mean(apart)
    assert roc.covariance(ratings, truth, "unbiased") == pytest.approx(expected, abs=1e-14)


def test_the_unbiased_covariance_is_unbiased() -> None:
    """Its mean over simulated studies is the variance of the areas between them; the jackknife's is larger."""
    generator = np.random.default_rng(8)
    aucs, unbiased = [], []
    for _ in range(1500):
        truth = np.arange(12) < 6
        ratings = generator.normal(size=(1, 12)) + 0.8 * truth
        aucs.append(roc.areas(ratings, truth).auc[0])
        unbiased.append(roc.covariance(ratings, truth, "unbiased")[0, 0])
    assert np.mean(unbiased) == pytest.approx(np.var(aucs), rel=0.08)


def test_delongs_test_is_the_analysis_of_one_reader(tied_study) -> None:
    ratings, truth = tied_study
    one = analyse(ratings[[0, 2]][:, None], truth, ("a", "b"), ("r",), "delong")
    alone = roc.delong_test(ratings[[0, 2]], truth)
    assert one.of_readers[0][1].p == pytest.approx(alone.p)
    fixed = next(design for design in one.designs if design.key == "FRRC")
    assert (fixed.differences[0].low, fixed.differences[0].high) == pytest.approx((alone.low, alone.high))
    assert fixed.p == pytest.approx(alone.p)


def test_error_covariances_average_the_right_cells() -> None:
    matrix = structured(4.0, 3.0, 2.0, 1.0, tests=3, readers=4)
    assert error_covariances(matrix, 3, 4) == (4.0, 3.0, 2.0, 1.0)


@pytest.mark.parametrize("readers", [("r",), ("r", "s")])
def test_one_or_two_readers_are_refused_where_readers_are_random(tied_study, readers: tuple[str, ...]) -> None:
    ratings, truth = tied_study
    study = analyse(ratings.reshape(2, 2, -1)[:, : len(readers)], truth, ("a", "b"), readers)
    found = {d.key: d for d in study.designs}
    for key in ("RRRC", "RRFC"):
        assert f"{len(readers)} reader" in (found[key].refused or "")
        assert "at least 3" in (found[key].refused or "")
        assert found[key].differences == found[key].means == ()
    assert found["FRRC"].refused is None
    assert len(study.of_readers) == len(readers)
    assert study.components is None  # the next study has random readers


def test_the_interval_of_an_area_ends_at_one(tied_study) -> None:
    _, truth = tied_study
    sharp = np.where(truth, 3.0, 1.0) + np.array([0, 0, 1] * len(truth))[: len(truth)]
    study = analyse(
        np.stack([sharp, sharp + truth, sharp - (truth & (sharp == 3)) * 2.5])[None], truth, ("a",), tuple("rst")
    )
    means = [mean for design in study.designs for mean in design.means]
    assert means
    assert max(mean.high for mean in means) == 1.0
    assert min(mean.low for mean in means) >= 0.0


def test_one_test_has_intervals_and_no_comparison(tied_study) -> None:
    ratings, truth = tied_study
    found = analyse(ratings[None, :3], truth, ("a",), ("r", "s", "t"))
    assert all("one test" in (design.refused or "") and len(design.means) == 1 for design in found.designs)
    assert found.components is None


def test_perfect_readers_are_refused_rather_than_infinitely_sure() -> None:
    truth = np.arange(20) < 10
    ratings = np.broadcast_to(truth.astype(float), (2, 3, 20))
    found = analyse(ratings, truth, ("a", "b"), ("r", "s", "t"))
    assert all(design.refused for design in found.designs)
    assert all(isinstance(gap, str) for _, gap in found.of_readers)


def test_one_case_of_a_kind_is_not_enough() -> None:
    with pytest.raises(Undefined, match="in 1 of 5 cases"):
        roc.areas(np.zeros((1, 5)), np.array([True, False, False, False, False]))


def rejections(studies: int, structure: str = "HL", gain: float = 0.0) -> float:
    rejected = 0
    for seed in range(studies):
        ratings, truth = roe_metz(np.random.default_rng([7, seed]), structure, gain=gain)
        found = analyse(ratings, truth, ("1", "2"), tuple("abcde")).designs[0]
        rejected += found.p is not None and found.p < 0.05
    return rejected / studies


def test_the_type_i_error_is_kept_in_a_few_null_studies() -> None:
    assert rejections(60) <= 0.15


def test_a_real_difference_is_found() -> None:
    assert rejections(10, "LL", gain=1.0) >= 0.8


@pytest.mark.soak
@pytest.mark.parametrize("structure", ["HL", "LL", "HH", "LH"])
def test_the_type_i_error_lies_between_two_and_eight_percent_in_200_null_studies(structure: str) -> None:
    assert 0.02 <= rejections(200, structure) <= 0.08
