"""Features of many regions in one long table, and the strict join of the two sides of a relation on patient and region.

A row is one value: patient, roi, relation, side ("a" or "b"), feature, value. The report writes such a table, so that
a cohort can be analysed again without extracting; a table made elsewhere needs only these columns.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...readerstudy.statistics.csvtables import MISSING
from .definitions import RELATIONS, Relation

REQUIRED = ("patient", "roi", "relation", "side", "feature", "value")
DESCRIBING = ("name", "ibsi", "family", "aggregation", "unit")
ORIGIN = ("engine", "engine_version", "settings_sha256", "roi_sha256", "roi_voxels")
COLUMNS = (*REQUIRED, *DESCRIBING, *ORIGIN)
MOST_BYTES = 1 << 30
Case = tuple[str, str]


@dataclass(frozen=True)
class Exclusion:
    """What was not used, and why. feature: "" where it concerns the whole region; side: "" where it concerns both."""

    relation: str
    patient: str
    roi: str
    side: str
    feature: str
    reason: str


@dataclass
class LongTable:
    """features: key to `DESCRIBING`. values: (relation, side) to (patient, roi) to feature to value, NaN if undefined.

    origin: (relation, side, patient, roi) to `ORIGIN`. excluded: in the order in which it was met. made_by: feature to
    engine and hash of settings, the same in every row, "" where a file does not say.
    """

    features: dict[str, tuple[str, ...]] = field(default_factory=dict)
    values: dict[tuple[str, str], dict[Case, dict[str, float]]] = field(default_factory=dict)
    origin: dict[tuple[str, str, str, str], tuple[str, ...]] = field(default_factory=dict)
    excluded: list[Exclusion] = field(default_factory=list)
    made_by: dict[str, tuple[str, str]] = field(default_factory=dict)

    def relations(self) -> list[Relation]:
        """Those that hold anything, in the order of `RELATIONS`."""
        named = {relation for relation, _ in self.values}
        return [relation for key, relation in RELATIONS.items() if key in named]

    def side(self, relation: str, side: str) -> dict[Case, dict[str, float]]:
        """Regions of one side, empty where there are none."""
        return self.values.get((relation, side), {})

    def put(self, relation: str, side: str, case: Case, values: dict[str, float], origin: tuple[str, ...]) -> None:
        """All values of one image under one region."""
        self.values.setdefault((relation, side), {})[case] = values
        self.origin[(relation, side, *case)] = origin


@dataclass(frozen=True)
class Joined:
    """One relation. reference, other: (rows, features), NaN where undefined. cases: (patient, roi) of each row."""

    relation: Relation
    features: tuple[str, ...]
    cases: tuple[Case, ...]
    reference: np.ndarray
    other: np.ndarray

    @property
    def patients(self) -> np.ndarray:
        """(rows,) names."""
        return np.array([patient for patient, _ in self.cases], dtype=str)


def join(table: LongTable, relation: Relation) -> tuple[Joined, list[Exclusion]]:
    """Both sides of a relation on patient and region, sorted; and what has no partner or no value."""
    first, second = (table.side(relation.key, side) for side in (relation.reference, relation.other))
    told = {(e.patient, e.roi) for e in table.excluded if e.relation == relation.key}
    lonely = [
        Exclusion(relation.key, patient, roi, there, "", f"there is no side {missing} of this patient and region")
        for mine, theirs, there, missing in (
            (first, second, relation.reference, relation.other), (second, first, relation.other, relation.reference),
        )
        for patient, roi in sorted(set(mine) - set(theirs)) if (patient, roi) not in told
    ]  # fmt: skip
    cases = sorted(set(first) & set(second))
    features = tuple(key for key in table.features if any(key in side[c] for side in (first, second) for c in cases))
    reference, other = (
        np.array([[side[case].get(key, math.nan) for key in features] for case in cases]).reshape(
            len(cases), len(features)
        )
        for side in (first, second)
    )
    for values, side in ((reference, relation.reference), (other, relation.other)):
        for row, column in zip(*np.nonzero(~np.isfinite(values))):
            reason = "the feature is not defined for this region"
            patient, roi = cases[row]
            lonely.append(Exclusion(relation.key, patient, roi, side, features[column], reason))
    return Joined(relation, features, tuple(cases), reference, other), lonely


def to_csv(table: LongTable) -> str:
    """The table as CSV with `COLUMNS`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for (relation, side), cases in table.values.items():
        for (patient, roi), values in cases.items():
            origin = table.origin.get((relation, side, patient, roi), ("",) * len(ORIGIN))
            for key, value in values.items():
                shown = repr(float(value)) if math.isfinite(value) else ""
                writer.writerow([patient, roi, relation, side, key, shown, *table.features[key], *origin])
    return text.getvalue()


def read_long_table(path: str | Path) -> LongTable:
    """A long table from a CSV file; InputError with one sentence that names the row otherwise."""
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is larger than 1 GiB; split it by relation.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save the table as CSV in UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if absent := [name for name in REQUIRED if name not in (reader.fieldnames or ())]:
            raise InputError(f"{path.name} lacks the column {absent[0]}; a feature table has {', '.join(REQUIRED)}.")
        table = LongTable()
        for row in reader:
            _take(table, {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)},
                  f"{path.name}, row {reader.line_num}")  # fmt: skip
    except csv.Error as error:
        raise InputError(f"{path.name}, row {reader.line_num}: this is no CSV table ({error}).") from error
    if not table.values:
        raise InputError(f"{path.name} holds no values.")
    return table


def _take(table: LongTable, row: dict[str, str], where: str) -> None:
    for name in ("patient", "roi", "feature"):
        if not row[name]:
            raise InputError(f"{where}: the {name} is empty; rows are joined on patient and roi, so both are needed.")
    if row["relation"] not in RELATIONS:
        raise InputError(f"{where}: the relation is {row['relation']!r}; one of {', '.join(RELATIONS)} was expected.")
    if row["side"] not in ("a", "b"):
        raise InputError(f"{where}: the side is {row['side']!r}; a or b was expected.")
    try:
        value = math.nan if row["value"].lower() in MISSING else float(row["value"])
    except ValueError:
        raise InputError(f"{where}: the value {row['value'][:40]!r} is not a number.") from None
    key, case = row["feature"], (row["patient"], row["roi"])
    values = table.values.setdefault((row["relation"], row["side"]), {}).setdefault(case, {})
    if key in values:
        raise InputError(f"{where}: {key} of patient {case[0]}, region {case[1]} stands there twice.")
    values[key] = value
    how, before = (row.get("engine", ""), row.get("settings_sha256", "")), table.made_by.get(key, ("", ""))
    if any(one and other and one != other for one, other in zip(how, before)):
        raise InputError(
            f"{where}: {key} was made by another engine or with other settings than in the rows before; values made "
            "differently are not compared. Keep them in separate tables."
        )
    table.made_by[key] = (before[0] or how[0], before[1] or how[1])
    table.features.setdefault(key, tuple(row.get(name, "") or (key if name == "name" else "") for name in DESCRIBING))
    table.origin[(row["relation"], row["side"], *case)] = tuple(row.get(name, "") for name in ORIGIN)


def derive_floor(table: LongTable, source: tuple[str, str], target: tuple[str, str], relation: Relation) -> bool:
    """Make the floor out of the sources and targets of two other relations, where it was not given.

    Only regions that are the same in both (by hash, where it is known). Returns whether anything was made.
    """
    if relation.key in {key for key, _ in table.values}:
        return False
    made = False
    for case, values in table.values.get(source, {}).items():
        partner = table.values.get(target, {}).get(case)
        origins = table.origin[(*source, *case)], table.origin.get((*target, *case), ("",) * len(ORIGIN))
        same = origins[0][ORIGIN.index("roi_sha256")] == origins[1][ORIGIN.index("roi_sha256")]
        if partner is None or not same:
            continue
        table.put(relation.key, relation.other, case, values, origins[0])
        table.put(relation.key, relation.reference, case, partner, origins[1])
        made = True
    return made
