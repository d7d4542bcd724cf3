"""From one number a patient, method and measure to a table: means, intervals, paired tests, ranks, groups.

Patients are the unit: several cases of one are averaged first. Methods are compared on the patients that all of them
have; a method that lacks one is named, never averaged over fewer in silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.statistics.bootstrap import Resampling, Sample, bootstrap
from imagetranslation.readerstudy.statistics.comparisons import TestResult, family, per_patient, wilcoxon
from imagetranslation.readerstudy.statistics.estimates import Interval, Undefined

from .measures import MEASURES

ALPHA = 0.05
# Case to measure to value.
Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Summary:
    """One method in one measure. rank: 1 is best, by the mean; group: letters, methods sharing one are not told apart.

    rank and group are empty for floors and ceilings, which do not compete.
    """

    method: str
    mean: float
    sd: float | None
    interval: Interval
    n: int
    rank: int | None = None
    group: str = ""


@dataclass(frozen=True)
class Table:
    """One measure: summaries in the order of the methods given, tests between every two that compete (Holm)."""

    measure: str
    summaries: tuple[Summary, ...]
    tests: tuple[TestResult, ...]
    notes: tuple[str, ...] = field(default=())


def compare(
    scores: Mapping[str, Scores],
    patients: Mapping[str, str],
    *,
    competing: Sequence[str] | None = None,
    resampling: Resampling | None = None,
) -> list[Table]:
    """A table for each measure that every method has of at least one common patient.

    scores: method to its cases. patients: case to patient. competing: the methods that are ranked and tested (all by
    default); the others, floors and ceilings, are shown beside them. InputError where no patient is common to all.
    """
    methods = list(scores)
    chosen = methods if competing is None else [method for method in methods if method in set(competing)]
    common = sorted(set.intersection(*(set(cases) for cases in scores.values()))) if methods else []
    if not common:
        raise InputError("No case was scored for all methods, so they cannot be compared.")
    lacking = {method: len(set().union(*scores.values()) - set(cases)) for method, cases in scores.items()}
    said = "{} lacks {} cases that others have; they are left out for all."
    notes = tuple(said.format(method, count) for method, count in lacking.items() if count)
    tables = []
    for measure in MEASURES:
        table = _table(measure, scores, common, patients, chosen, resampling or Resampling())
        if table is not None:
            tables.append(Table(measure, *table, notes))
    return tables


def _table(
    measure: str,
    scores: Mapping[str, Scores],
    common: Sequence[str],
    patients: Mapping[str, str],
    competing: Sequence[str],
    resampling: Resampling,
) -> tuple[tuple[Summary, ...], tuple[TestResult, ...]] | None:
    # A perfect image has no PSNR: a method that never has a value does not take it from the others.
    having = [method for method in scores if any(measure in scores[method][case] for case in common)]
    competing = [method for method in competing if method in having]
    values = np.array([[scores[m][case].get(measure, math.nan) for m in having] for case in common])
    if not having:
        return None
    kept = np.isfinite(values).all(axis=1)
    if not kept.any():
        return None
    by_patient = per_patient(values[kept], np.array([patients[case] for case, k in zip(common, kept) if k]))
    columns = dict(zip(having, by_patient.T))
    summaries = [summarise(method, column, resampling) for method, column in columns.items()]
    tests = _tests({method: columns[method] for method in competing})
    sign = 1 if MEASURES[measure].better == "higher" else -1
    order = sorted(competing, key=lambda method: -sign * float(columns[method].mean()))
    pairs = map(frozenset, combinations(competing, 2))  # in the order of the tests, whose labels may hold anything
    groups = letters(order, {pair for pair, t in zip(pairs, tests) if t.holm_p is not None and t.holm_p <= ALPHA})
    finished = tuple(
        Summary(s.method, s.mean, s.sd, s.interval, s.n, order.index(s.method) + 1, groups[s.method])
        if s.method in groups else s
        for s in summaries
    )  # fmt: skip
    return finished, tuple(tests)


def summarise(method: str, values: np.ndarray, resampling: Resampling) -> Summary:
    """Mean, standard deviation and bootstrap interval of one number a patient."""

    def mean(cases: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.asarray((cases @ values) / cases.sum(axis=1))

    sample = Sample(np.arange(len(values)), 1)
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return Summary(method, float(values.mean()), sd, bootstrap(mean, sample, resampling), len(values))


def _tests(columns: Mapping[str, np.ndarray]) -> list[TestResult]:
    """Wilcoxon's signed-rank test between every two methods, with Holm's p; refused where no data could pass it."""
    results = []
    for first, second in combinations(columns, 2):
        label = f"{first} - {second}"
        try:
            results.append(wilcoxon(columns[first], columns[second], label))
        except Undefined as reason:
            n = {"pairs": len(columns[first])}
            results.append(TestResult(label, "W+", None, None, 1.0, n, "Wilcoxon signed rank", "", refused=str(reason)))
    return family(results, ALPHA)


def letters(order: Sequence[str], different: set[frozenset[str]]) -> dict[str, str]:
    """Letters for methods in order of rank: two that share a letter do not differ significantly.

    The insert-and-absorb display of Piepho (J Comput Graph Stat 2004, 13:456-466).
    """
    columns = [set(order)]
    for pair in sorted(different, key=sorted):
        first, second = sorted(pair)
        split = []
        for column in columns:
            split += [column - {first}, column - {second}] if pair <= column else [column]
        columns = []
        for number, column in enumerate(split):
            absorbed = any(column < other or (column == other and n < number) for n, other in enumerate(split))
            if not absorbed:
                columns.append(column)
    columns.sort(key=lambda column: [order.index(method) for method in order if method in column])
    return {method: "".join(_letter(n) for n, column in enumerate(columns) if method in column) for method in order}


def _letter(number: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[number] if number < 26 else f"({number + 1})"


def as_rows(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Tidy rows: one for each measure and method."""
    rows = []
    for table in tables:
        about = MEASURES[table.measure]
        for s in table.summaries:
            rows.append(
                {
                    "measure": about.name, "unit": about.unit, "better": about.better, "method": s.method, "n": s.n,
                    "mean": s.mean, "sd": s.sd, "low": s.interval.low, "high": s.interval.high, "rank": s.rank,
                    "group": s.group,
                }
            )  # fmt: skip
    return rows
