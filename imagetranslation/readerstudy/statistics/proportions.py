"""Intervals of a proportion of independent trials."""

from __future__ import annotations

from .estimates import Interval, Undefined

WILSON, CLOPPER_PEARSON = "Wilson", "Clopper-Pearson"


def proportion_interval(successes: int, trials: int, level: float = 0.95, method: str = WILSON) -> Interval:
    """Wilson's score interval (J Am Stat Assoc 1927, 22:209-212) or Clopper and Pearson's exact one (Biometrika 1934,
    26:404-413). Trials must be independent: several images of one patient are not. Undefined without trials."""
    from scipy.stats import binomtest

    if trials < 1:
        raise Undefined("there are no trials")
    kind = {WILSON: "wilson", CLOPPER_PEARSON: "exact"}[method]
    found = binomtest(successes, trials).proportion_ci(level, kind)
    return Interval(f"{method} interval", level, float(found.low), float(found.high))
