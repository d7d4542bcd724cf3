"""From joined features to the tables of a report: statistics, what is preserved, twins, the headline or its refusal."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import InputError
from . import definitions as d
from .clusters import clusters
from .longtable import Exclusion, Joined, LongTable, derive_floor, join
from .statistics import Found, describe

# So many features do not agree to the last digit in two images by chance.
LEAST_SHARED = 10


@dataclass(frozen=True)
class Table:
    """One relation analysed. rank, agreement: status of each feature, agreement None where it is refused."""

    joined: Joined
    found: Found
    rank: tuple[str, ...]
    agreement: tuple[str, ...] | None
    cluster: np.ndarray
    headline: str
    notes: tuple[str, ...]

    @property
    def relation(self) -> d.Relation:
        """Which question it answers."""
        return self.joined.relation

    @property
    def patients(self) -> int:
        """How many there are."""
        return len(set(self.joined.patients.tolist()))

    def counted(self, thresholds: d.Thresholds) -> bool:
        """Whether there are patients enough to count what is preserved."""
        return self.patients >= thresholds.patients

    def column(self, name: str) -> np.ndarray:
        """(features,) of one statistic, NaN where it was not made."""
        return self.found.columns.get(name, np.full(len(self.joined.features), np.nan))

    def counts(self, statuses: tuple[str, ...]) -> dict[str, int]:
        """How many features have each status."""
        counted = Counter(statuses)
        return {status: counted.get(status, 0) for status in d.STATUSES}


@dataclass(frozen=True)
class Report:
    """All of it. tables: in the order of `RELATIONS`. features: key to describing words. settings: for the record."""

    tables: tuple[Table, ...]
    features: dict[str, tuple[str, ...]]
    excluded: tuple[Exclusion, ...]
    thresholds: d.Thresholds
    facts: dict[str, Any]
    notes: tuple[str, ...]

    def table(self, key: str) -> Table | None:
        """The table of a relation, if there is one."""
        return next((table for table in self.tables if table.relation.key == key), None)

    def family(self, feature: str) -> str:
        """The IBSI family of a feature, "" where it is not known."""
        return self.features[feature][2]


def analyse(table: LongTable, thresholds: d.Thresholds, facts: dict[str, Any], notes: tuple[str, ...] = ()) -> Report:
    """Every relation of a long table. facts: engine, settings, perturbation, files, as they go into the JSON.

    Raises InputError where nothing has a partner.
    """
    floor = d.RELATIONS[d.SOURCE_REFERENCE]
    if derive_floor(table, (d.SOURCE_SYNTHETIC, "a"), (d.SYNTHETIC_TARGET, "b"), floor):
        notes = (*notes, "The floor was made from the sources and targets of the other two relations.")
    tables, excluded = [], list(table.excluded)
    for relation in table.relations():
        joined, more = join(table, relation)
        excluded += more
        if joined.cases:
            tables.append(_table(joined, thresholds, facts.get("missing", ())))
    if not tables:
        first = excluded[0]
        raise InputError(
            f"No region has both of its images, so nothing can be compared; the first, of patient {first.patient}: "
            f"{first.reason}"
        )
    return Report(tuple(tables), table.features, tuple(excluded), thresholds, facts, notes)


def _table(joined: Joined, thresholds: d.Thresholds, missing: Any) -> Table:
    relation = joined.relation
    found = describe(joined.reference, joined.other, joined.patients, thresholds, relation.agreement)
    rank = rank_statuses(found, thresholds)
    agreement = agreement_statuses(found, thresholds) if relation.agreement else None
    number = clusters(joined.reference, thresholds.twins)
    patients = len(set(joined.patients.tolist()))
    if patients >= thresholds.patients:
        found, few = _with_few_named(found, thresholds)
        rank = tuple(d.UNDEFINED if less else status for status, less in zip(rank, few))
        agreement = agreement and tuple(d.UNDEFINED if less else status for status, less in zip(agreement, few))
    notes = [f"Intervals: {found.intervals}."]
    if constant := sum(bool(reason) for reason in found.reasons):
        notes.append(f"{constant} features are undefined here; the column reason says why.")
    notes += [
        f"WARNING: {', '.join(names)} have the same reference values to the last digit: is one image there under "
        "several names? Then there are fewer patients than counted."
        for names in _same_values(joined)
    ]
    return Table(joined, found, rank, agreement, number,
                 _headline(rank, agreement, number, patients, thresholds, missing, relation), tuple(notes))  # fmt: skip


def _same_values(joined: Joined) -> list[list[str]]:
    """Patients who share every value of the reference: one image under several names."""
    rows: dict[bytes, dict[str, None]] = {}
    for patient, values in zip(joined.patients.tolist(), joined.reference):
        if np.isfinite(values).sum() >= LEAST_SHARED:
            rows.setdefault(values.tobytes(), {})[patient] = None
    return [list(names) for names in rows.values() if len(names) > 1]


def _with_few_named(found: Found, thresholds: d.Thresholds) -> tuple[Found, list[bool]]:
    """Which features have values of too few patients to be counted where the table as a whole has enough, and why."""
    counts = found.columns["patients"]
    few = [bool(count < thresholds.patients) for count in counts]
    reasons = [reason or (f"values of {count:.0f} patients; {thresholds.patients} are needed" if less else "")
               for reason, count, less in zip(found.reasons, counts, few)]  # fmt: skip
    return replace(found, reasons=reasons), few


def rank_statuses(found: Found, thresholds: d.Thresholds) -> tuple[str, ...]:
    """The status in rank of each feature."""
    made = []
    for rho, q in zip(found.columns.get("rho", ()), found.columns["q"]):
        if not math.isfinite(rho):
            made.append(d.UNDEFINED)
        elif rho >= thresholds.rho and q < thresholds.q:
            made.append(d.PRESERVED)
        else:
            made.append(d.DEGRADED if rho >= thresholds.rho_degraded and q < thresholds.q else d.LOST)
    return tuple(made) or (d.UNDEFINED,) * len(found.reasons)


def agreement_statuses(found: Found, thresholds: d.Thresholds) -> tuple[str, ...]:
    """The status in agreement of each feature; without an interval it cannot be preserved."""
    made = []
    for value, low in zip(found.columns.get("icc_a_1", ()), found.columns.get("icc_a_1_low", ())):
        if not math.isfinite(value):
            made.append(d.UNDEFINED)
        elif low >= thresholds.icc:
            made.append(d.PRESERVED)
        else:
            made.append(d.DEGRADED if value >= thresholds.icc_degraded else d.LOST)
    return tuple(made) or (d.UNDEFINED,) * len(found.reasons)


def kept_clusters(statuses: tuple[str, ...], cluster: np.ndarray) -> tuple[int, int]:
    """Clusters of which more than half of the features are preserved, and clusters in all."""
    numbers = sorted(set(cluster.tolist()) - {0})
    kept = np.array([status == d.PRESERVED for status in statuses])
    return sum(bool(kept[cluster == number].mean() > 0.5) for number in numbers), len(numbers)


def by_family(report: Report, table: Table) -> list[tuple[str, int, int, int | None]]:
    """Family, features in all, preserved in rank, preserved in agreement (None where refused)."""
    families = list(dict.fromkeys(report.family(key) for key in table.joined.features))
    rows = []
    for family in families:
        inside = [place for place, key in enumerate(table.joined.features) if report.family(key) == family]
        agreed = None
        if table.agreement is not None:
            agreed = sum(table.agreement[place] == d.PRESERVED for place in inside)
        rows.append((family, len(inside), sum(table.rank[place] == d.PRESERVED for place in inside), agreed))
    return rows


def _headline(
    rank: tuple[str, ...], agreement: tuple[str, ...] | None, cluster: np.ndarray, patients: int,
    thresholds: d.Thresholds, missing: Any, relation: d.Relation,
) -> str:  # fmt: skip
    if patients < thresholds.patients:
        return (
            f"No headline: {patients} patients are fewer than the {thresholds.patients} it needs. The table below "
            "gives each feature with its interval; how many pass a threshold would mostly be chance."
        )
    gap = f" ({len(missing)} more of the set are not made by this engine)" if missing else ""
    said = f"{rank.count(d.PRESERVED)} of {len(rank)} features{gap} preserved in rank"
    if agreement is not None:
        said += f", {agreement.count(d.PRESERVED)} of {len(rank)} in agreement"
    kept, every = kept_clusters(rank, cluster)
    said += f"; counting twins once, {kept} of {every} clusters in rank"
    if agreement is not None:
        kept, every = kept_clusters(agreement, cluster)
        said += f" and {kept} of {every} in agreement"
    what = "" if relation.kind == "result" else f" ({relation.kind})"
    return f"{said}; {patients} patients{what}."
