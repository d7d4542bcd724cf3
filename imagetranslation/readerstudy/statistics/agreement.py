"""Every agreement coefficient of one table of ratings, each with its intervals or the reason why it cannot be had.

The formulas are in `chance`, `icc` and `concordance`, the resampling in `bootstrap`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from . import chance, icc
from .bootstrap import Resampling, Statistic, bootstrap, linearised, value_of
from .concordance import chi_square, kendall_w
from .estimates import Estimate, Interval, Undefined, refusal
from .ratings import Ratings

CONSTANT = "every rating is the same category, so there is no variation that agreement could be measured against"
NO_PAIRS = "no case was rated by two raters"
MOST_CATEGORIES = 1000
MIN_REPEATS = 10
NEEDS_NUMBERS = "the categories are names; this coefficient needs numbers"
NEEDS_ORDER = "the order of the categories is not known; declare the scale (--categories)"
THESE_READERS = "it holds for these readers only; for readers in general see the bootstrap over readers"


@dataclass(frozen=True)
class _Row:
    """One coefficient: how it is named, what it needs of the scale, and what makes its statistic."""

    key: str
    label: str
    source: str
    make: Callable[[Ratings], Statistic]
    needs: str = "names"  # names, order or numbers


FLEISS = "Fleiss, Psychol Bull 1971, 76:378-382"
COHEN = "Cohen, Educ Psychol Meas 1960, 20:37-46; weighted: Psychol Bull 1968, 70:213-220"
LIGHT = "; mean over pairs: Light, Psychol Bull 1971, 76:365-377"
GWET = "Gwet, Br J Math Stat Psychol 2008, 61:29-48; Handbook of Inter-Rater Reliability, 4th ed. 2014"
KRIPPENDORFF = "Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011"
SHROUT = "Shrout and Fleiss, Psychol Bull 1979, 86:420-428; McGraw and Wong, Psychol Methods 1996, 1:30-46"
KENDALL = "Kendall and Babington Smith, Ann Math Stat 1939, 10:275-287; ties: Siegel and Castellan 1988"


def agreement(
    ratings: Ratings, settings: Resampling | None = None, only: Collection[str] | None = None
) -> list[Estimate]:
    """All coefficients, in a fixed order: percent agreement, Cohen, Fleiss, Krippendorff, Gwet, ICC, Kendall.

    only: keys of those wanted, all by default. What cannot be had is refused by a sentence: one rater, constant
    ratings, too few cases, a scale of names.
    """
    chosen = settings or Resampling()

    def wanted(key: str) -> bool:
        return only is None or key in only

    rows = [row for row in _category_rows(len(ratings.raters)) if wanted(row.key)]
    found = [_category_row(row, ratings, chosen) for row in rows]
    complete = ratings.complete()
    found += [_icc_row(form, ratings, complete, chosen) for form in icc.FORMS if wanted(form)]
    return [*found, *([_kendall_row(ratings, complete, chosen)] if wanted("kendall_w") else [])]


def pairwise(ratings: Ratings, weighting: str = chance.QUADRATIC) -> list[Estimate]:
    """Cohen's kappa of every pair of raters, without intervals; refused where a pair has no variation."""
    kappas = chance.pairwise_kappas(ratings, weighting)(np.ones((1, len(ratings.cases))))[0]
    found = []
    for (first, second), kappa in zip(combinations(range(len(ratings.raters)), 2), kappas):
        both = int((ratings.rated[:, first] & ratings.rated[:, second]).sum())
        label = f"{ratings.raters[first]} - {ratings.raters[second]}"
        reason = None if np.isfinite(kappa) else (NO_PAIRS if both == 0 else CONSTANT)
        value = float(kappa) if reason is None else None
        n = {"cases": both, "raters": 2}
        found.append(Estimate(f"cohen_{weighting}", label, value, n, f"Cohen's kappa, {weighting}", COHEN, (), reason))
    return found


def intra_reader(
    ratings: Ratings, settings: Resampling | None = None, only: Collection[str] | None = None
) -> list[Estimate]:
    """Agreement of one reader with themselves: a table of two columns, the first reading and the hidden repeat.

    only: as for `agreement`. All coefficients are refused below MIN_REPEATS cases that were read twice.
    """
    if len(ratings.raters) != 2:
        raise ValueError(f"a first reading and its repeat are two columns; got {len(ratings.raters)}")
    pairs = ratings.complete()
    found = agreement(pairs, settings, only)
    count = len(pairs.cases)
    if count >= MIN_REPEATS:
        return found
    why = f"{count} cases were read twice; intra-reader agreement needs at least {MIN_REPEATS}"
    return [refusal(one.key, one.label, one.n, one.method, one.source, why) for one in found]


def _category_rows(raters: int) -> list[_Row]:
    mean = "" if raters == 2 else ", mean over pairs of raters"
    cohen = COHEN if raters == 2 else COHEN + LIGHT
    rows = [_Row("percent_agreement", "Percent agreement", f"{GWET}, ch. 4", chance.percent_agreement)]
    for weighting in (chance.IDENTITY, chance.LINEAR, chance.QUADRATIC):
        label = f"Cohen's kappa, {weighting}{mean}"
        make = partial(chance.cohen_kappa, weighting=weighting)
        rows.append(_Row(f"cohen_{weighting}", label, cohen, make, _needs(weighting)))
    rows.append(_Row("fleiss", "Fleiss' kappa", FLEISS, chance.fleiss_kappa))
    for metric in chance.METRICS:
        needs = {"nominal": "names", "ordinal": "order"}.get(metric, "numbers")
        make = partial(chance.krippendorff_alpha, metric=metric)
        label = f"Krippendorff's alpha, {metric}"
        rows.append(_Row(f"krippendorff_{metric}", label, KRIPPENDORFF, make, needs))
    rows.append(_Row("gwet_ac1", "Gwet's AC1", GWET, chance.gwet_ac))
    for weighting in (chance.LINEAR, chance.QUADRATIC):
        make = partial(chance.gwet_ac, weighting=weighting)
        rows.append(_Row(f"gwet_ac2_{weighting}", f"Gwet's AC2, {weighting}", GWET, make, _needs(weighting)))
    return rows


def _needs(weighting: str) -> str:
    return "names" if weighting == chance.IDENTITY else "order"


def _category_row(row: _Row, ratings: Ratings, settings: Resampling) -> Estimate:
    method = f"{_scale_words(ratings)}, missing ratings used pairwise"
    n = {**ratings.n, "categories": len(ratings.labels)}
    try:
        _check_raters(ratings)
        _check_scale(row, ratings)
        if ratings.rated.sum(axis=1).max() < 2:
            raise Undefined(NO_PAIRS)
        # Cases that nobody rated say nothing; without them no resample can consist of nothing.
        used = ratings.rows(np.asarray(ratings.rated.any(axis=1)))
        statistic = row.make(used)
        value = value_of(statistic, used.sample, _why_undefined(row.key, used))
    except Undefined as reason:
        return refusal(row.key, row.label, n, method, row.source, str(reason))
    if settings.readers == "random":
        analytic = Interval("linearised standard error", settings.level, refused=THESE_READERS)
    else:
        floor = 0.0 if row.key == "percent_agreement" else float("-inf")
        analytic = linearised(statistic, used.sample, settings.level, value, floor=floor)
    width = len(ratings.labels)
    resampled = bootstrap(statistic, used.sample, settings, width=width, value=value)
    return Estimate(row.key, row.label, value, n, method, row.source, (analytic, resampled))


def _scale_words(ratings: Ratings) -> str:
    kind = "declared" if ratings.declared else "as seen"
    return f"scale {kind}: {', '.join(ratings.labels[:12])}{', ...' if len(ratings.labels) > 12 else ''}"


def _check_raters(ratings: Ratings) -> None:
    if len(ratings.raters) < 2:
        raise Undefined("there is one rater only; agreement needs two")


def _check_scale(row: _Row, ratings: Ratings) -> None:
    if len(ratings.labels) > MOST_CATEGORIES:
        raise Undefined(f"there are {len(ratings.labels)} categories; beyond {MOST_CATEGORIES} use the ICC")
    if row.needs == "numbers" and ratings.scores is None:
        raise Undefined(NEEDS_NUMBERS)
    if row.needs != "names" and not ratings.ordered:
        raise Undefined(NEEDS_ORDER)
    if row.key == "krippendorff_ratio" and ratings.scores is not None and ratings.scores.min() < 0:
        raise Undefined("a ratio scale has no negative values")
    if row.key.startswith("gwet") and len(ratings.labels) < 2:
        raise Undefined("only one category was seen and no scale declared; declare the scale (--categories)")


def _why_undefined(key: str, ratings: Ratings) -> str:
    if not key.startswith("cohen") or len(ratings.raters) == 2:
        return CONSTANT
    kappas = chance.pairwise_kappas(ratings)(np.ones((1, len(ratings.cases))))[0]
    for (first, second), kappa in zip(combinations(range(len(ratings.raters)), 2), kappas):
        if np.isfinite(kappa):
            continue
        shared = (ratings.rated[:, first] & ratings.rated[:, second]).any()
        what = "gave one and the same category throughout" if shared else "rated no case in common"
        return f"raters {ratings.raters[first]} and {ratings.raters[second]} {what}, so their kappa is undefined"
    return CONSTANT


def _complete_values(ratings: Ratings, complete: Ratings) -> np.ndarray:
    _check_raters(ratings)
    if len(complete.cases) < 2:
        raise Undefined(f"{len(complete.cases)} cases were rated by every rater; at least 2 are needed")
    values = ratings.positions()[complete.codes]
    if np.ptp(values) == 0:
        raise Undefined(CONSTANT)
    return np.asarray(values)


def _left_out(ratings: Ratings, complete: Ratings) -> str:
    missing = len(ratings.cases) - len(complete.cases)
    return "no case left out" if missing == 0 else f"{missing} cases with a missing rating left out"


def _icc_row(form: str, ratings: Ratings, complete: Ratings, settings: Resampling) -> Estimate:
    label, method = icc.FORMS[form], f"two-way ANOVA, {_left_out(ratings, complete)}"
    n = complete.n
    try:
        if ratings.scores is None:
            raise Undefined(NEEDS_NUMBERS)
        values = _complete_values(ratings, complete)
        statistic = icc.icc_statistic(form, values)
        value = value_of(statistic, complete.sample, "there is no variation between the ratings")
    except Undefined as reason:
        return refusal(form, label, n, method, SHROUT, str(reason))
    why = None
    if settings.readers == "random" and form.startswith("icc_c"):
        why = THESE_READERS
    elif complete.sample.size < len(complete.cases):
        why = "several cases come from one patient; the F distribution needs independent cases"
    analytic = Interval(icc.F_INTERVAL, settings.level, refused=why)
    if why is None:
        analytic = icc.f_interval(form, values, settings.level)
    resampled = bootstrap(statistic, complete.sample, settings, value=value, width=len(complete.raters))
    return Estimate(form, label, value, n, method, SHROUT, (analytic, resampled))


def _kendall_row(ratings: Ratings, complete: Ratings, settings: Resampling) -> Estimate:
    key, label = "kendall_w", "Kendall's W"
    method = f"midranks, corrected for ties, {_left_out(ratings, complete)}"
    n = complete.n
    try:
        if not ratings.ordered:
            raise Undefined(NEEDS_ORDER)
        values = _complete_values(ratings, complete)
        statistic = kendall_w(values)
        value = value_of(statistic, complete.sample, "every rater gave all cases one rank")
    except Undefined as reason:
        return refusal(key, label, n, method, KENDALL, str(reason))
    if settings.readers == "random":
        why = "W depends on the number of raters, so readers cannot be resampled"
        resampled = Interval("bootstrap over patients and readers", settings.level, refused=why)
    else:
        resampled = bootstrap(statistic, complete.sample, settings, value=value)
    none = Interval("analytic", settings.level, refused="no analytic interval for W is in use")
    chi2, degrees, p = chi_square(value, len(complete.cases), len(complete.raters))
    extra = {"chi_square": chi2, "df": degrees, "p": p}
    return Estimate(key, label, value, n, method, KENDALL, (none, resampled), extra=extra)
