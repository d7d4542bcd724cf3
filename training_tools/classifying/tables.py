"""Labels and features of patients, joined strictly: nothing unknown, nothing missing, nobody dropped in silence.

Labels: CSV with the columns patient and label. Features: one CSV an arm with the column patient (several rows of one
patient, such as lesions, are averaged) and one column a feature; the column image_sha256, where there is one, says
which file a row was taken from. `wide` makes such a table from `radiomics preservation`'s long table. An arm may hold
images instead (`images`): an array (1, *grid) a patient in the place of features. What would tell the answer (a column
of labels among the features) is refused.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imagetranslation.errors import InputError

LEAST_OF_A_CLASS = 5  # patients; fewer cannot be spread over folds in any useful way: our choice
HASH = "image_sha256"
# Columns that merged spreadsheets hold beside features; learnt from, they could tell the answer.
NO_FEATURES = ("label", "case", "lesion", "fold", "arm", "group", "image", "split")
LARGEST = float(np.finfo(np.float32).max)  # what a forest can hold; a feature beyond it is as good as undefined
Table = tuple[Mapping[str, np.ndarray], tuple[str, ...]]


@dataclass(frozen=True)
class Cohort:
    """arms: name to (patients, features) or (patients, 1, *grid). labels: (patients,) of 0 and 1.

    positive: the label that is 1. names: feature names of each arm. excluded: sentences about who or what is not in
    it. odd: sentences about features that look as if they were made from the label.
    """

    patients: tuple[str, ...]
    labels: np.ndarray
    positive: str
    arms: Mapping[str, np.ndarray]
    names: Mapping[str, tuple[str, ...]]
    excluded: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


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
    """Patient to the mean of its rows (features,), and the features' names.

    InputError names the first odd cell, and a column that is no feature (`NO_FEATURES`).
    """
    rows = _rows(path, ("patient",))
    names = tuple(key for key in rows[0] if key and key not in ("patient", HASH))
    if strange := [name for name in names if name.strip().casefold() in NO_FEATURES]:
        raise InputError(
            f"{path.name} has the column {strange[0]}, which is no feature and could tell the answer; remove it."
        )
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


def read_hashes(path: Path) -> dict[str, set[str]]:
    """Patient to the hashes of the files that the rows were taken from; empty where the table does not say."""
    rows = _rows(path, ("patient",))
    found: dict[str, set[str]] = {}
    for row in rows if HASH in rows[0] else ():
        found.setdefault(row["patient"].strip(), set()).add(row[HASH].strip())
    return found


def read_patients(path: Path) -> tuple[str, ...]:
    """Patients of the test set, sorted: a CSV with the column patient, or the test part of `training_tools.splits`."""
    if path.suffix.lower() != ".json":
        found = {row["patient"].strip() for row in _rows(path, ("patient",))}
    else:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found = {str(record["cases"][case]["patient"]) for case in record["parts"]["test"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no split with a test part (training_tools.splits without --folds).") from error
    if not found or "" in found:
        raise InputError(f"{path.name} names no test patients, or one without a name.")
    return tuple(sorted(found))


def join(labels: Mapping[str, int], positive: str, arms: Mapping[str, Table]) -> Cohort:
    """Patients who have a label and features in every arm.

    Features that are undefined (NaN, or beyond `LARGEST`) for anyone are left out of an arm, and said so. InputError
    for a patient of a table without a label, for classes that become too small, and for a feature that is the label.
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
    for patient in kept:
        _require_one_shape(patient, arms, kept[0])
    tables, names, odd = {}, {}, []
    for arm, (table, features) in arms.items():
        values = np.array([table[patient] for patient in kept])
        there = defined(values)
        usable = there.all(axis=tuple(axis for axis in range(values.ndim) if axis != 1))
        if not usable.any():
            raise InputError(f"Every feature of {arm} is undefined for some patient; there is nothing to learn from.")
        if (count := int((~usable).sum())) > 0:
            excluded.append(
                f"{count} features of {arm} are undefined for some patient and left out, among them "
                + _undefined(there, values, features, kept)
            )
        tables[arm] = values[:, usable]
        names[arm] = tuple(name for name, use in zip(features, usable) if use)
        if values.ndim == 2:
            odd += _too_good(arm, tables[arm], names[arm], truth)
    return Cohort(tuple(kept), truth, positive, tables, names, tuple(excluded), tuple(odd))


def defined(values: np.ndarray) -> np.ndarray:
    """Where values are numbers that every model can hold: bool, the same shape."""
    return np.abs(values) <= LARGEST


def _undefined(there: np.ndarray, values: np.ndarray, features: Sequence[str], patients: Sequence[str]) -> str:
    """The first undefined cell, in words."""
    row, column = (int(place) for place in np.argwhere(~there)[0][:2])
    said = f"{features[column]} of {patients[row]}"
    return said if values.ndim > 2 or np.isnan(values[row, column]) else f"{said} ({values[row, column]:g})"


def _too_good(arm: str, values: np.ndarray, names: Sequence[str], truth: np.ndarray) -> list[str]:
    """Sentences about features that tell the labels apart perfectly; InputError for one that is the label itself."""
    ones, zeros = values[truth == 1], values[truth == 0]
    apart = np.array((ones.min(axis=0) > zeros.max(axis=0)) | (ones.max(axis=0) < zeros.min(axis=0)))
    constant = np.array((np.ptp(ones, axis=0) == 0) & (np.ptp(zeros, axis=0) == 0))
    if found := [name for name, same in zip(names, apart & constant) if same]:
        raise InputError(
            f"The feature {found[0]} of {arm} has one value for each label: it is the label under another name. Remove "
            "it from the table."
        )
    return [
        f"The feature {name} of {arm} tells the labels apart without a single error; make sure that it was not made "
        "from the label, or after the diagnosis."
        for name, perfect in zip(names, apart) if perfect
    ]  # fmt: skip


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


def subset(cohort: Cohort, patients: Sequence[str]) -> Cohort:
    """The cohort of these patients alone, in this order."""
    places = [cohort.patients.index(patient) for patient in patients]
    arms = {arm: values[places] for arm, values in cohort.arms.items()}
    return replace(cohort, patients=tuple(patients), labels=cohort.labels[places], arms=arms)


def _require_one_shape(patient: str, arms: Mapping[str, Table], first: str) -> None:
    for arm, (table, _) in arms.items():
        if np.shape(table[patient]) != np.shape(table[first]):
            raise InputError(
                f"The {arm} of {patient} has other dimensions than that of {first}; give images that are all volumes, "
                "or all single slices."
            )


def _where(patient: str, arms: Mapping[str, Table]) -> str:
    return " and ".join(arm for arm, (table, _) in arms.items() if patient not in table)


def require_columns(path: Path, header: Sequence[str], needed: Sequence[str]) -> None:
    """InputError unless a table has these columns, and none twice."""
    if missing := [name for name in needed if name not in header]:
        if len(header) == 1 and ";" in header[0]:
            raise InputError(f"{path.name} is separated by semicolons; save it again separated by commas.")
        raise InputError(f"{path.name} has no column {missing[0]}; its columns are {', '.join(header)}.")
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise InputError(f"{path.name} has several columns {twice[0]}; which of them counts is not clear. Leave one.")


def _rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            read = csv.DictReader(stream)
            header, rows = list(read.fieldnames or ()), list(read)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table: {error}.") from error
    if not rows:
        raise InputError(f"{path.name} holds no row.")
    require_columns(path, header, needed)
    if any(None in row or None in row.values() for row in rows):
        raise InputError(f"{path.name}: a row has another number of cells than the header.")
    return rows
