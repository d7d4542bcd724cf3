"""Two more published outputs of OR-DBM MRMC 2.51 (University of Iowa; trapezoidal areas, jackknife): figures only.

The FED study has five tests, so pairs and a global test of four degrees of freedom; Franken's (Invest Radiol 1992,
27:732-737) has Cov2 below Cov3 and a negative variance component, where the analysis must not go below zero. The
ratings are not ours to distribute; areas, error variances and covariances are enough to reproduce all that is tested.
Of the covariance matrix only means enter, so that each block is filled with its published mean.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from imagetranslation.readerstudy.statistics.mrmc import Design, components, dbm_components, from_areas


@dataclass(frozen=True)
class Published:
    """areas: (tests, readers). all_tests: error, Cov1, Cov2, Cov3. of_test: error and Cov2 of each test alone."""

    areas: np.ndarray
    cases: int
    all_tests: tuple[float, float, float, float]
    of_test: tuple[tuple[float, float], ...]

    def designs(self) -> dict[str, Design]:
        tests, readers = self.areas.shape
        error, cov1, cov2, cov3 = self.all_tests
        matrix = np.full((tests, readers, tests, readers), cov3)
        for a, b in itertools.product(range(readers), repeat=2):
            for test, other in itertools.product(range(tests), repeat=2):
                if test == other:
                    own_error, own_cov2 = self.of_test[test]
                    matrix[test, a, other, b] = own_error if a == b else own_cov2
                elif a == b:
                    matrix[test, a, other, b] = cov1
        names = tuple(str(n + 1) for n in range(tests))
        square = matrix.reshape(tests * readers, tests * readers)
        assert components(self.areas, square).error == pytest.approx(error, abs=1.1e-8)
        assert components(self.areas, square).cov2 == pytest.approx(cov2, abs=1.1e-8)
        return {design.key: design for design in from_areas(self.areas, square, names)}


FED = Published(
    np.array([
        [0.90425, 0.79820, 0.81175, 0.86645],
        [0.86425, 0.84470, 0.82050, 0.87160],
        [0.81295, 0.81635, 0.75275, 0.85730],
        [0.90235, 0.83150, 0.78865, 0.87980],
        [0.84140, 0.77300, 0.77115, 0.84800],
    ]),
    200,
    (0.00078912, 0.00029480, 0.00023331, 0.00021213),
    ((0.00071053, 0.00021119), (0.00075106, 0.00026649), (0.00087587, 0.00024646), (0.00072652, 0.00022043),
     (0.00088163, 0.00022200)),
)  # fmt: skip
FRANKEN = Published(
    np.array([[0.85345997, 0.86499322, 0.85730439, 0.81524197], [0.84961556, 0.84350972, 0.84011759, 0.81433740]]),
    100,
    (0.00152578, 0.00079168, 0.00048364, 0.00051251),
    ((0.00152278, 0.00047230), (0.00152877, 0.00049498)),
)
# Design: value, df1, df2, p, then standard error and, of the comparisons 1-2, 1-3, ..., p, low and high.
FED_PAIRS: dict[str, tuple[Any, ...]] = {
    "RRRC": (3.47, 4, 16.80, 0.0305, 0.01654, [
        (0.7616, -0.04002, 0.02982), (0.0477, 0.00040, 0.07025), (0.7475, -0.04033, 0.02951),
        (0.0402, 0.00185, 0.07170), (0.0258, 0.00550, 0.07535), (0.9851, -0.03523, 0.03461),
        (0.0216, 0.00695, 0.07680), (0.0249, -0.07566, -0.00582), (0.9312, -0.03347, 0.03637),
        (0.0208, 0.00727, 0.07711)]),
    "FRRC": (13.60126, 4, None, 0.0087, 0.01670, [
        (0.7601, -0.03783, 0.02763), (0.0344, 0.00259, 0.06806), (0.7459, -0.03815, 0.02732),
        (0.0277, 0.00404, 0.06951), (0.0155, 0.00769, 0.07316), (0.9851, -0.03305, 0.03242),
        (0.0122, 0.00914, 0.07461), (0.0147, -0.07347, -0.00800), (0.9308, -0.03128, 0.03418),
        (0.0115, 0.00945, 0.07492)]),
    "RRFC": (4.10, 4, 12, 0.0253, 0.01520, [
        (0.7431, -0.03822, 0.02802), (0.0385, 0.00220, 0.06845), (0.7280, -0.03854, 0.02771),
        (0.0324, 0.00365, 0.06990), (0.0208, 0.00730, 0.07355), (0.9839, -0.03344, 0.03281),
        (0.0175, 0.00875, 0.07500), (0.0200, -0.07386, -0.00761), (0.9256, -0.03167, 0.03457),
        (0.0168, 0.00906, 0.07531)]),
}  # fmt: skip
# Standard error, df (None: normal), low and high of the mean area of each test, from its data alone.
FED_MEANS: dict[str, list[tuple[Any, ...]]] = {
    "RRRC": [(0.02857824, 5.46, 0.77351391, 0.91681109), (0.01992816, 27.72, 0.80942311, 0.89110189),
             (0.02664789, 7.04, 0.74689261, 0.87278239), (0.02940870, 5.40, 0.77664342, 0.92450658),
             (0.02575835, 6.78, 0.74706747, 0.86970753)],
    "FRRC": [(0.01833087, None, 0.80923466, 0.88109034), (0.01968838, None, 0.81167398, 0.88885102),
             (0.02009512, None, 0.77045178, 0.84922322), (0.01862661, None, 0.81406752, 0.88708248),
             (0.01967001, None, 0.76983500, 0.84694000)],
    "RRFC": [(0.02460752, 3, 0.76685038, 0.92347462), (0.01142981, 3, 0.81388774, 0.88663726),
             (0.02153248, 3, 0.74131154, 0.87836346), (0.02538588, 3, 0.76978581, 0.93136419),
             (0.02101167, 3, 0.74151900, 0.87525600)],
}  # fmt: skip


@pytest.mark.parametrize("key", FED_PAIRS)
def test_five_tests_give_the_published_global_test_and_all_ten_differences(key: str) -> None:
    value, df1, df2, p, error, pairs = FED_PAIRS[key]
    found = FED.designs()[key]
    assert found.value == pytest.approx(value, abs=0.005)
    assert found.df1 == df1
    assert found.p == pytest.approx(p, abs=6e-5)
    if df2 is not None:
        assert found.df2 == pytest.approx(df2, abs=0.006)
    assert len(found.differences) == 10
    for gap, (pair_p, low, high) in zip(found.differences, pairs):
        assert gap.standard_error == pytest.approx(error, abs=6e-6)
        assert (gap.low, gap.high) == pytest.approx((low, high), abs=1.1e-5)
        assert gap.p == pytest.approx(pair_p, abs=1.1e-4)


@pytest.mark.parametrize("key", FED_MEANS)
def test_the_mean_area_of_each_of_five_tests_has_the_published_interval(key: str) -> None:
    means = FED.designs()[key].means
    assert len(means) == 5
    for mean, (error, df, low, high) in zip(means, FED_MEANS[key]):
        assert mean.standard_error == pytest.approx(error, abs=3e-7)
        assert (mean.low, mean.high) == pytest.approx((low, high), abs=2e-6)
        if df is not None:
            assert mean.df == pytest.approx(df, abs=0.006)


def test_the_components_of_five_tests_are_the_published_ones() -> None:
    error, cov1, cov2, cov3 = FED.all_tests
    matrix = np.full((5, 4, 5, 4), cov3)
    for test, a, b in itertools.product(range(5), range(4), range(4)):
        matrix[test, a, test, b] = error if a == b else cov2
    for reader, test, other in itertools.product(range(4), range(5), range(5)):
        if test != other:
            matrix[test, reader, other, reader] = cov1
    found = components(FED.areas, matrix.reshape(20, 20))
    assert (found.reader, found.test_reader) == pytest.approx((0.00128372, -0.00001093), abs=2e-8)
    published = {"reader": 0.00128372, "case": 0.04242558, "test_reader": -0.00001093, "test_case": 0.00423723,
                 "reader_case": 0.01653461, "error": 0.09462642}  # fmt: skip
    assert dbm_components(found, FED.cases) == pytest.approx(published, abs=5e-6)


def test_where_cov2_is_below_cov3_nothing_goes_below_zero() -> None:
    found = FRANKEN.designs()
    both, fixed_readers, fixed_cases = found["RRRC"], found["FRRC"], found["RRFC"]
    for design in (both, fixed_cases):
        assert (round(design.value, 2), design.df1, design.df2) == (4.69, 1, pytest.approx(3))
        assert design.p == pytest.approx(0.1188, abs=6e-5)
        gap = design.differences[0]
        assert (gap.standard_error, gap.low, gap.high) == pytest.approx((0.00501, -0.00509, 0.02680), abs=6e-6)
    assert fixed_readers.value == pytest.approx(0.32101, abs=2e-5)
    assert fixed_readers.p == pytest.approx(0.5710, abs=6e-5)
    gap = fixed_readers.differences[0]
    assert (gap.standard_error, gap.low, gap.high) == pytest.approx((0.01916, -0.02670, 0.04840), abs=6e-6)
    published = [(0.02440215, 70.12, 0.79908282, 0.89641696), (0.02356642, 253.64, 0.79048429, 0.88330585)]
    for mean, (error, df, low, high) in zip(both.means, published):
        assert (mean.standard_error, mean.low, mean.high) == pytest.approx((error, low, high), abs=2e-6)
        assert mean.df == pytest.approx(df, rel=1e-4)
