"""Labels and features of patients, joined strictly: nothing unknown, nothing missing, nobody dropped in silence.

Labels: CSV with the columns patient and label. Features: one CSV an arm with the column patient (several rows of one
patient, such as lesions, are averaged) and one column a feature; `wide` makes one from `radiomics preservation`'s
long table.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagetranslation.errors import InputError

LEAST_OF_A_CLASS = 5  # patients; fewer cannot be spread over folds in any useful way: our choice


@dataclass(frozen=True)
class Cohort:
    """arms: name to (patients, features), float64. labels: (patients,) of 0 and 1; positive: the label that is 1.

    names: feature names of each arm. excluded: sentences about patients who are not in it.
    """

    patients: tuple[str, ...]
    labels: np.ndarray
    positive: str
    arms: Mapping[str, np.ndarray]
    names: Mapping[str, tuple[str, ...]]
    excluded: tuple[str, ...] = ()


def read_labels(path: Path, positive: str = "") -> tuple[dict[str, int], str]:
    """Patient to 0 or 1, and the label that counts as 1 (the last in order of the alphabet, or `positive`).

    Raises InputError for another number of classes than two, a patient with two labels, and an empty label.
    """
    found: dict[str, str] = {}
    for number, row in enumerate(_rows(path, ("patient", "label")), start=2):
        patient, label = row["patient"].strip(), row["label"].strip()
        if not patient or not label:
            raise InputError(f"{path.name}, line {number}: patient or label is missing.")
        if found.setdefault(patient, label) != label:
            raise InputError(f"{path.name}: {patient} has two labels, {found[patient]} and {label}.")
    classes = sorted(set(found.values()))
    if len(classes) != 2:
        raise InputError(
            f"{path.name} has {len(classes)} kinds of labels ({', '.join(classes[:5])}); two are needed to tell apart."
        )
    chosen = positive or classes[-1]
    if chosen not in classes:
        raise InputError(f"{path.name} has no label {chosen!r}; there are {' and '.join(classes)}.")
    return {patient: int(label == chosen) for patient, label in found.items()}, chosen


def read_features(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Patient to the mean of its rows (features,), and the features' names. InputError names the first odd cell."""
    rows = _rows(path, ("patient",))
    names = tuple(key for key in rows[0] if key and key != "patient")
    if not names:
        raise InputError(f"{path.name} has no column of features beside patient.")
    gathered: dict[str, list[list[float]]] = {}
    for number, row in enumerate(rows, start=2):
        values = []
        for name in names:
            try:
                values.append(float(row[name]))
            except (TypeError, ValueError) as error:
                raise InputError(f"{path.name}, line {number}: {name} is {row[name]!r}, which is no number.") from error
        gathered.setdefault(row["patient"].strip(), []).append(values)
    return {patient: np.mean(values, axis=0) for patient, values in gathered.items()}, names


def join(
    labels: Mapping[str, int], positive: str, arms: Mapping[str, tuple[Mapping[str, np.ndarray], tuple[str, ...]]]
) -> Cohort:
    """Patients who have a label and features in every arm.

    Features that are undefined (NaN) for anyone are left out of an arm, and said so. InputError for a patient of a
    table without a label, and for classes that become too small.
    """
    if unknown := sorted({patient for table, _ in arms.values() for patient in table} - set(labels)):
        raise InputError(f"{len(unknown)} patients with features have no label, among them {unknown[0]}.")
    kept = sorted(set(labels).intersection(*(set(table) for table, _ in arms.values())))
    left = sorted(set(labels) - set(kept))
    excluded = [f"{patient} lacks features in {_where(patient, arms)}" for patient in left]
    truth = np.array([labels[patient] for patient in kept], dtype=int)
    for label, count in ((1, int(truth.sum())), (0, int((1 - truth).sum()))):
        if count < LEAST_OF_A_CLASS:
            kind = positive if label else f"not {positive}"
            raise InputError(
                f"Only {count} patients are {kind} and have all features; at least {LEAST_OF_A_CLASS} are needed."
            )
    tables, names = {}, {}
    for arm, (table, features) in arms.items():
        values = np.array([table[patient] for patient in kept], dtype=np.float64)
        usable = np.isfinite(values).all(axis=0)
        if not usable.any():
            raise InputError(f"Every feature of {arm} is undefined for some patient; there is nothing to learn from.")
        if (count := int((~usable).sum())) > 0:
            excluded.append(f"{count} features of {arm} are undefined for some patient and left out")
        tables[arm] = values[:, usable]
        names[arm] = tuple(name for name, use in zip(features, usable) if use)
    return Cohort(tuple(kept), truth, positive, tables, names, tuple(excluded))


def wide(path: Path, relation: str, side: str) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """One side of a relation of a long table (`radiomics preservation`'s features.csv) as `read_features` gives it."""
    from imagetranslation.radiomics.preservation.longtable import read_long_table

    cases = read_long_table(path).side(relation, side)
    if not cases:
        raise InputError(f"{path.name} has no values of the relation {relation}, side {side}.")
    names = tuple(dict.fromkeys(feature for values in cases.values() for feature in values))
    gathered: dict[str, list[list[float]]] = {}
    for (patient, _), values in cases.items():
        gathered.setdefault(patient, []).append([values.get(name, math.nan) for name in names])
    return {patient: np.mean(rows, axis=0) for patient, rows in gathered.items()}, names


def _where(patient: str, arms: Mapping[str, tuple[Mapping[str, np.ndarray], tuple[str, ...]]]) -> str:
    return " and ".join(arm for arm, (table, _) in arms.items() if patient not in table)


def _rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table: {error}.") from error
    if not rows:
        raise InputError(f"{path.name} holds no row.")
    if missing := [name for name in needed if name not in rows[0]]:
        raise InputError(f"{path.name} has no column {missing[0]}; its columns are {', '.join(map(str, rows[0]))}.")
    if any(None in row or None in row.values() for row in rows):
        raise InputError(f"{path.name}: a row has another number of cells than the header.")
    return rows
