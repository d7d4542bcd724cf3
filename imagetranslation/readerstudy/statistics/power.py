"""How many readers and cases the next study needs, from the variance components of this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .estimates import Undefined
from .mrmc import Components

SOURCE = "Hillis, Obuchowski and Berbaum, Acad Radiol 2011, 18:129-142, equation 10"
READERS = (3, 5, 7, 10, 15)
CASES = (50, 100, 200, 400)


@dataclass(frozen=True)
class Power:
    """Power of one study: readers, cases, test size alpha, difference of the areas."""

    readers: int
    cases: int
    difference: float
    alpha: float
    power: float
    df: float | None  # None: chi-square
    noncentrality: float


def power(
    found: Components,
    pilot_cases: int,
    difference: float,
    readers: int,
    cases: int,
    design: str = "RRRC",
    alpha: float = 0.05,
) -> Power:
    """Power to find `difference` between two tests with the same share of positive cases as the pilot study.

    Error covariances shrink as pilot_cases / cases; negative differences of covariances and negative test x reader
    variance count as zero. Undefined when nothing varies, or with one reader where readers are random.
    """
    from scipy.stats import chi2, f, ncf, ncx2

    if design != "FRRC" and readers < 2:
        raise Undefined("readers cannot be random with one reader")
    shrink, apart = pilot_cases / cases, max(found.cov2 - found.cov3, 0.0)
    own = max(found.test_reader, 0.0)
    rest = own + shrink * (found.error - found.cov1 - apart)
    below = {
        "RRRC": rest + shrink * readers * apart,
        "FRRC": shrink * (found.error - found.cov1 + (readers - 1) * apart),
        "RRFC": rest,
    }[design]
    if below <= 0 or rest <= 0:
        raise Undefined("the variance components leave no variance for the difference of the tests")
    noncentrality = difference**2 * readers / 2 / below
    if design == "FRRC":
        reached = float(ncx2.sf(chi2.ppf(1 - alpha, 1), 1, noncentrality)) if noncentrality > 0 else alpha
        return Power(readers, cases, difference, alpha, reached, None, noncentrality)
    df = below**2 / (rest**2 / (readers - 1)) if design == "RRRC" else float(readers - 1)
    # scipy's non-central F is wrong at zero non-centrality, where the power is alpha.
    reached = float(ncf.sf(f.ppf(1 - alpha, 1, df), 1, df, noncentrality)) if noncentrality > 0 else alpha
    return Power(readers, cases, difference, alpha, reached, df, noncentrality)


def table(
    found: Components,
    pilot_cases: int,
    difference: float,
    readers: Sequence[int] = READERS,
    cases: Sequence[int] = CASES,
    alpha: float = 0.05,
) -> list[Power]:
    """Power for every number of readers and of cases, both random."""
    return [power(found, pilot_cases, difference, r, c, "RRRC", alpha) for r in readers for c in cases]
