"""Multi-reader multi-case comparison of tests by Obuchowski and Rockette's method, fully crossed studies.

The areas and their covariances are in `roc`, the next study's size in `power`, the CSV in `mrmctable`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from .bootstrap import MIN_READERS
from .estimates import UNDEFINED, Undefined
from .roc import areas, covariance, difference, enough

SOURCE = (
    "Obuchowski and Rockette, Commun Stat Simul Comput 1995, 24:285-308; degrees of freedom: Hillis, Stat Med 2007, "
    "26:596-619; intervals: Hillis, Stat Med 2014, 33:330-360"
)
DESIGNS = {
    "RRRC": "random readers, random cases",
    "FRRC": "fixed readers, random cases",
    "RRFC": "random readers, fixed cases",
}


@dataclass(frozen=True)
class Components:
    """Obuchowski-Rockette variance components; `reader` and `test_reader` are ANOVA estimates and can be negative."""

    reader: float
    test_reader: float
    error: float
    cov1: float
    cov2: float
    cov3: float


@dataclass(frozen=True)
class Comparison:
    """A difference of two tests, or the mean area of one (`second` empty)."""

    first: str
    second: str
    estimate: float
    standard_error: float
    df: float | None  # None: normal
    p: float | None  # None for a single test
    low: float
    high: float


@dataclass(frozen=True)
class Design:
    """One analysis: global test and intervals, or the reason why it cannot be had."""

    key: str
    statistic: str = ""  # "F" or "chi-square"
    value: float | None = None
    df1: float | None = None
    df2: float | None = None
    p: float | None = None
    differences: tuple[Comparison, ...] = ()
    means: tuple[Comparison, ...] = ()
    refused: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """A whole study: areas (tests, readers), covariances, components, three designs, differences of each reader."""

    tests: tuple[str, ...]
    readers: tuple[str, ...]
    positives: int
    negatives: int
    method: str
    level: float
    auc: np.ndarray
    standard_errors: np.ndarray
    components: Components | None
    designs: tuple[Design, ...]
    of_readers: tuple[tuple[str, Comparison | str], ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        from dataclasses import asdict

        cells = [
            {"test": test, "reader": reader, "auc": float(self.auc[i, j]), "se": float(self.standard_errors[i, j])}
            for i, test in enumerate(self.tests)
            for j, reader in enumerate(self.readers)
        ]
        own = [
            {"reader": reader, **({"refused": found} if isinstance(found, str) else asdict(found))}
            for reader, found in self.of_readers
        ]
        return {
            "n": {"readers": len(self.readers), "tests": len(self.tests), "cases": self.positives + self.negatives,
                  "positive": self.positives, "negative": self.negatives},
            "covariance": self.method,
            "level": self.level,
            "source": SOURCE,
            "areas": cells,
            "components": None if self.components is None else asdict(self.components),
            "designs": [{**asdict(design), "name": DESIGNS[design.key]} for design in self.designs],
            "readers": own,
        }  # fmt: skip


def analyse(
    ratings: np.ndarray,
    truth: np.ndarray,
    tests: tuple[str, ...],
    readers: tuple[str, ...],
    method: str = "jackknife",
    level: float = 0.95,
) -> Analysis:
    """ratings: (tests, readers, cases) without gaps, higher meaning more suspicious; truth: (cases,) booleans.

    Raises Undefined when there are not two cases of each kind. A design that cannot be had is refused in its place.
    """
    enough(truth)
    t, r, _ = ratings.shape
    flat = ratings.reshape(t * r, -1)
    auc = areas(flat, truth).auc.reshape(t, r)
    matrix = covariance(flat, truth, method)
    errors = np.sqrt(np.maximum(np.diagonal(matrix), 0)).reshape(t, r)
    designs = from_areas(auc, matrix, tests, level)
    own = tuple(_of_reader(auc, matrix, tests, readers, j, level) for j in range(r)) if t > 1 else ()
    positives = int(np.sum(truth))
    told = components(auc, matrix) if t > 1 and r >= MIN_READERS else None
    flattened = tuple(found for one in own for found in one)
    return Analysis(tests, readers, positives, len(truth) - positives, method, level, auc, errors, told, designs,
                    flattened)  # fmt: skip


def from_areas(auc: np.ndarray, matrix: np.ndarray, tests: tuple[str, ...], level: float = 0.95) -> tuple[Design, ...]:
    """The three designs from areas (tests, readers) and their covariances, (tests x readers) squared, test-major."""
    found = []
    for key, make in (("RRRC", _random_both), ("FRRC", _fixed_readers), ("RRFC", _fixed_cases)):
        try:
            found.append(make(auc, matrix, tests, level))
        except Undefined as reason:
            found.append(Design(key, refused=str(reason)))
    return tuple(found)


def error_covariances(matrix: np.ndarray, tests: int, readers: int) -> tuple[float, float, float, float]:
    """Error variance; Cov1: same reader, Cov2: same test, Cov3: neither the same. NaN where there is no such pair."""
    blocks = matrix.reshape(tests, readers, tests, readers)
    same_test = np.eye(tests, dtype=bool)[:, None, :, None]
    same_reader = np.eye(readers, dtype=bool)[None, :, None, :]

    def mean(chosen: np.ndarray) -> float:
        picked = blocks[np.broadcast_to(chosen, blocks.shape)]
        return float(picked.mean()) if picked.size else float("nan")

    return (
        mean(same_test & same_reader),
        mean(~same_test & same_reader),
        mean(same_test & ~same_reader),
        mean(~same_test & ~same_reader),
    )


def components(auc: np.ndarray, matrix: np.ndarray) -> Components:
    """Variance components (Hillis, Stat Med 2014, 33:330-360): reader and test x reader solved from mean squares."""
    t, r = auc.shape
    error, cov1, cov2, cov3 = error_covariances(matrix, t, r)
    _, reader, cross = _mean_squares(auc)
    test_reader = cross - error + cov1 + (cov2 - cov3)
    of_reader = (reader - cross) / t - cov1 + cov3
    return Components(of_reader, test_reader, error, cov1, cov2, cov3)


def dbm_components(found: Components, cases: int) -> dict[str, float]:
    """The same as Dorfman, Berbaum and Metz's pseudovalue components (Hillis et al., Stat Med 2005, 24:1579-1607)."""
    return {
        "reader": found.reader,
        "case": cases * found.cov3,
        "test_reader": found.test_reader,
        "test_case": cases * (found.cov2 - found.cov3),
        "reader_case": cases * (found.cov1 - found.cov3),
        "error": cases * (found.error - found.cov1 - found.cov2 + found.cov3),
    }


def _mean_squares(auc: np.ndarray) -> tuple[float, float, float]:
    """Of tests, readers, and test x reader."""
    t, r = auc.shape
    centre, of_test, of_reader = auc.mean(), auc.mean(axis=1), auc.mean(axis=0)
    test = r * float(np.sum((of_test - centre) ** 2)) / max(t - 1, 1)
    reader = t * float(np.sum((of_reader - centre) ** 2)) / max(r - 1, 1)
    rest = auc - of_test[:, None] - of_reader[None, :] + centre
    return test, reader, float(np.sum(rest**2)) / max((t - 1) * (r - 1), 1)


def _two_tests(auc: np.ndarray) -> None:
    if len(auc) < 2:
        raise Undefined("there is one test only; a comparison needs two")


def _random_readers(auc: np.ndarray) -> None:
    count = auc.shape[1]
    if count < MIN_READERS:
        raise Undefined(
            f"{count} reader{'s' if count != 1 else ''} cannot stand for readers in general; at least {MIN_READERS} "
            "are needed"
        )


def _random_both(auc: np.ndarray, matrix: np.ndarray, tests: tuple[str, ...], level: float) -> Design:
    _random_readers(auc)
    t, r = auc.shape
    singles = tuple(
        _single(tests[i], auc[i], matrix[i * r : (i + 1) * r, i * r : (i + 1) * r], level) for i in range(t)
    )
    if t < 2:
        return Design("RRRC", means=singles, refused="there is one test only; a comparison needs two")
    test, _, cross = _mean_squares(auc)
    _, _, cov2, cov3 = error_covariances(matrix, t, r)
    below = cross + r * max(cov2 - cov3, 0.0)
    if below < UNDEFINED:
        raise Undefined("readers and cases show no variation between the tests")
    df2 = below**2 / (cross**2 / ((t - 1) * (r - 1))) if cross > UNDEFINED else float("inf")
    return _f_design("RRRC", auc, tests, test, below, df2, level, singles)


def _fixed_cases(auc: np.ndarray, matrix: np.ndarray, tests: tuple[str, ...], level: float) -> Design:
    _random_readers(auc)
    t, r = auc.shape
    singles = tuple(_single(tests[i], auc[i], np.zeros((r, r)), level) for i in range(t))
    if t < 2:
        return Design("RRFC", means=singles, refused="there is one test only; a comparison needs two")
    test, _, cross = _mean_squares(auc)
    if cross < UNDEFINED:
        raise Undefined("the difference between the tests is the same for all readers, so it has no variance")
    return _f_design("RRFC", auc, tests, test, cross, (t - 1) * (r - 1), level, singles)


def _f_design(
    key: str,
    auc: np.ndarray,
    tests: tuple[str, ...],
    above: float,
    below: float,
    df2: float,
    level: float,
    singles: tuple[Comparison, ...],
) -> Design:
    from scipy.stats import chi2, f

    t, r = auc.shape
    value, df1 = above / below, t - 1
    endless = np.isinf(df2)
    p = float(chi2.sf(df1 * value, df1)) if endless else float(f.sf(value, df1, df2))
    error = float(np.sqrt(2 * below / r))
    gaps = _differences(auc, tests, error, None if endless else df2, level)
    notes = ("no interaction of tests and readers: the degrees of freedom are infinite",) if endless else ()
    return Design(key, "F", value, df1, None if endless else df2, p, gaps, singles, None, notes)


def _fixed_readers(auc: np.ndarray, matrix: np.ndarray, tests: tuple[str, ...], level: float) -> Design:
    from scipy.stats import chi2

    t, r = auc.shape
    singles = []
    for i in range(t):
        own = matrix[i * r : (i + 1) * r, i * r : (i + 1) * r]
        error, _, cov2, _ = error_covariances(own, 1, r)
        variance = (error + (r - 1) * max(cov2, 0.0)) / r if r > 1 else error
        singles.append(_comparison(tests[i], "", float(auc[i].mean()), max(variance, 0.0) ** 0.5, None, level))
    if t < 2:
        return Design("FRRC", means=tuple(singles), refused="there is one test only; a comparison needs two")
    test, _, _ = _mean_squares(auc)
    error, cov1, cov2, cov3 = error_covariances(matrix, t, r)
    below = error - cov1 + ((r - 1) * max(cov2 - cov3, 0.0) if r > 1 else 0.0)
    if below < UNDEFINED:
        raise Undefined("the difference between the tests does not vary with the cases")
    value, df1 = (t - 1) * test / below, t - 1
    gaps = _differences(auc, tests, (2 * below / r) ** 0.5, None, level)
    return Design("FRRC", "chi-square", value, df1, None, float(chi2.sf(value, df1)), gaps, tuple(singles))


def _single(test: str, auc: np.ndarray, matrix: np.ndarray, level: float) -> Comparison:
    """Mean area of one test, readers random (Hillis 2007: ddf_H,single); a zero matrix fixes the cases."""
    r = len(auc)
    spread = float(auc.var(ddof=1))
    _, _, cov2, _ = error_covariances(matrix, 1, r)
    total = spread + r * max(cov2, 0.0)
    df = total**2 / (spread**2 / (r - 1)) if spread > UNDEFINED else None
    return _comparison(test, "", float(auc.mean()), (total / r) ** 0.5, df, level)


def _differences(
    auc: np.ndarray, tests: tuple[str, ...], error: float, df: float | None, level: float
) -> tuple[Comparison, ...]:
    means = auc.mean(axis=1)
    return tuple(
        _comparison(tests[i], tests[j], float(means[i] - means[j]), error, df, level)
        for i, j in combinations(range(len(tests)), 2)
    )


def _comparison(first: str, second: str, estimate: float, error: float, df: float | None, level: float) -> Comparison:
    from scipy.stats import norm, t

    distribution = norm() if df is None else t(df)
    half = float(distribution.ppf(0.5 + level / 2)) * error
    p = float(2 * distribution.sf(abs(estimate) / error)) if second and error > 0 else None
    least = -1.0 if second else 0.0  # no area lies beyond 0 and 1, no difference of areas beyond -1 and 1
    return Comparison(first, second, estimate, error, df, p, max(least, estimate - half), min(1.0, estimate + half))


def _of_reader(
    auc: np.ndarray, matrix: np.ndarray, tests: tuple[str, ...], readers: tuple[str, ...], j: int, level: float
) -> tuple[tuple[str, Comparison | str], ...]:
    """Differences of the tests for one reader, cases random; with DeLong's covariances this is DeLong's test."""
    r = len(readers)
    found: list[tuple[str, Comparison | str]] = []
    for first, second in combinations(range(len(tests)), 2):
        at = [first * r + j, second * r + j]
        try:
            gap = difference(auc.reshape(-1)[at], matrix[np.ix_(at, at)], level)
        except Undefined as reason:
            found.append((readers[j], str(reason)))
            continue
        found.append((readers[j], Comparison(tests[first], tests[second], gap.difference, gap.standard_error, None,
                                             gap.p, gap.low, gap.high)))  # fmt: skip
    return tuple(found)
