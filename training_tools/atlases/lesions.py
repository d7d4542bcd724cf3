"""Invented and vanished lesions, from what `training_tools.lesions` wrote: what an atlas counts, lists and draws.

How a lesion is found missed or invented is that command's affair, and its own page says it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError

from ..lesionreading.task import CLEAR, FOUND, INVENTED, MISSED

MOST_DRAWN = 24
RULE = "rule"  # what stands in the column reader where no person read
Row = Mapping[str, str]


@dataclass(frozen=True)
class Failure:
    """A lesion that vanished, or a place that was invented. what: "missed" or "invented". centre: index (k, j, i) on

    the case's grid, or None where the tables do not tell it. told: in words, for the page.
    """

    what: str
    case: str
    patient: str
    group: str
    name: str
    centre: tuple[float, float, float] | None
    told: str


@dataclass(frozen=True)
class LesionReading:
    """failures: missed ones first. groups: outcome counts by group, "all" last. false_positives: of each image.

    elsewhere: read cases that the evaluation does not hold. unread: the evaluation's cases that were not read.
    readers: who called the lesions; counted are the calls of the first. record: `lesions.json`. trusted: what could
    not be held against the evaluation, a sentence or "".
    """

    failures: tuple[Failure, ...]
    groups: Mapping[str, Mapping[str, int]]
    false_positives: Mapping[str, float]
    refused: int
    elsewhere: tuple[str, ...]
    unread: tuple[str, ...]
    readers: tuple[str, ...]
    record: Mapping[str, Any]
    trusted: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "groups": {group: dict(counts) for group, counts in self.groups.items()},
            "false_positives": dict(self.false_positives), "refused": self.refused,
            "failures": [vars(one) for one in self.failures], "read_but_not_evaluated": list(self.elsewhere),
            "evaluated_but_not_read": list(self.unread), "settings": self.record.get("settings"),
        }  # fmt: skip

    def sentences(self) -> list[str]:
        """What the counts say, and what of them is missing."""
        counts = self.groups["all"]
        real = counts[FOUND] + counts[MISSED]
        said = []
        if real:
            said.append(f"{counts[MISSED]} of {real} lesions of the real images are missed in the synthetic ones.")
        else:
            said.append("No lesion stands out in the real images, so none could be missed.")
        if self.false_positives:
            total, images = sum(self.false_positives.values()), len(self.false_positives)
            said.append(f"{total:g} places in {images} synthetic images are invented: {total / images:.2f} an image.")
        if counts[INVENTED]:
            said.append(f"Of the known places, {counts[INVENTED]} stand out in the synthetic image alone.")
        if len(self.readers) > 1:
            said.append(f"The calls are those of {self.readers[0]}, the first of {len(self.readers)} readers.")
        if self.trusted:
            said.append(self.trusted)
        if self.refused:
            said.append(f"Lesions that could not be read: {self.refused}; lesions.csv says why.")
        if self.elsewhere:
            said.append(
                f"Counted, but not in this evaluation and so without a picture: {len(self.elsewhere)} cases "
                f"({', '.join(self.elsewhere[:5])})."
            )
        if self.unread:
            said.append(f"Not read for lesions: {len(self.unread)} cases ({', '.join(self.unread[:5])}).")
        return said


def read(folder: Path, task: str, evaluated: Sequence[str], weights: Sequence[str]) -> LesionReading:
    """Read what `training_tools.lesions` wrote.

    evaluated: cases of the evaluation. weights: SHA-256 of the models that it scored. InputError for a folder that is
    none, of another task, of another model version, or without any case of the evaluation.
    """
    record = _record(folder)
    if record.get("task", task) != task:
        raise InputError(f"{folder} reads the lesions of {record['task']}, not of {task}.")
    lesions = _rows(folder / "lesions.csv", ("case", "patient", "group", "lesion", "outcome"))
    marks = _rows(folder / "marks.csv", ("case", "patient", "score", "invented"))
    images = _rows(folder / "images.csv", ("case", "patient", "false_positives"))
    readers = list(dict.fromkeys(row.get("reader") or "" for row in images))
    lesions, images = ([row for row in rows if (row.get("reader") or "") in readers[:1]] for rows in (lesions, images))
    # Marks are the detector's, or where readers marked places of their own, those of the one whose calls count.
    marks = [row for row in marks if (row.get("reader") or RULE) in (RULE, *readers[:1])]
    seen = {row["case"] for row in (*lesions, *images)}
    if not seen & set(evaluated):
        raise InputError(f"{folder} holds no case of this evaluation; read the lesions of the same cases.")
    of_images = {row.get("weights_sha256") or "" for row in images if row["case"] in set(evaluated)}
    trusted = _require_same_model(folder, {*_weights(record), *of_images}, weights)
    failures = [_of_lesion(row) for row in lesions if row["outcome"] in (MISSED, INVENTED)]
    failures += [_of_mark(row, number) for number, row in enumerate(marks, 1) if _number(row["invented"]) == 1]
    failures.sort(key=lambda one: one.what != MISSED)
    counted = {row["case"]: _number(row["false_positives"]) for row in images if row["false_positives"] != ""}
    return LesionReading(
        tuple(failures), _groups(lesions), counted, sum(row["outcome"] == "" for row in lesions),
        tuple(sorted(seen - set(evaluated))), tuple(sorted(set(evaluated) - seen)), tuple(readers), record, trusted,
    )  # fmt: skip


def drawn(reading: LesionReading | None, evaluated: Sequence[str]) -> dict[str, list[Failure]]:
    """The failures that get a picture, by case: half of them missed and half invented, where there are both."""
    if reading is None:
        return {}
    usable = [one for one in reading.failures if one.centre is not None and one.case in set(evaluated)]
    missed, invented = ([one for one in usable if one.what == kind] for kind in (MISSED, INVENTED))
    most = max(MOST_DRAWN // 2, MOST_DRAWN - len(invented))
    chosen = [*missed[:most], *invented[: MOST_DRAWN - min(len(missed), most)]]
    found: dict[str, list[Failure]] = {}
    for one in chosen:
        found.setdefault(one.case, []).append(one)
    return found


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / "lesions.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} holds no lesion reading (lesions.json); run training_tools.lesions first."
        ) from error
    if not isinstance(record, dict):
        raise InputError(f"{folder / 'lesions.json'} must hold one JSON object.")
    return record


def _require_same_model(folder: Path, read: set[str], evaluated: Sequence[str]) -> str:
    """Where both say which weights made the images, they must be the same; a sentence where it is not known."""
    told, known = read - {""}, set(evaluated) - {""}
    if not told or not known:
        whose = "The lesion reading" if not told else "The evaluation"
        return f"{whose} does not say which weights made its images: that both are of one model is taken on trust."
    if not told <= known:
        raise InputError(
            f"{folder} reads images of another version of the model than the one that was evaluated; read the lesions "
            "of this one's images."
        )
    return "" if "" not in read else "Some images that were read for lesions do not say which weights made them."


def _weights(part: Any) -> Iterator[str]:
    """Every SHA-256 of weights that a record names, wherever it stands."""
    if isinstance(part, dict):
        if isinstance(told := part.get("weights_sha256"), str) and told:
            yield told
        for value in part.values():
            yield from _weights(value)
    elif isinstance(part, list):
        for value in part:
            yield from _weights(value)


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a table, none for an empty file; InputError where it lacks a column."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read; run training_tools.lesions again.") from error
    if rows and (missing := [name for name in columns if rows[0].get(name) is None]):
        raise InputError(f"{path} has no column {missing[0]!r}; run training_tools.lesions again.")
    return rows


def _groups(lesions: Sequence[Row]) -> dict[str, dict[str, int]]:
    groups = sorted({row["group"] for row in lesions})
    kinds = (FOUND, MISSED, INVENTED, CLEAR)

    def counts(kept: Callable[[str], bool]) -> dict[str, int]:
        return {kind: sum(row["outcome"] == kind and kept(row["group"]) for row in lesions) for kind in kinds}

    return {**{group: counts(lambda one, group=group: one == group) for group in groups}, "all": counts(lambda _: True)}  # type: ignore[misc]


def _of_lesion(row: Row) -> Failure:
    size = next((f"{row[name]} mm" for name in ("size_mm", "diameter_mm") if row.get(name)), "")
    told = ", ".join(part for part in (f"lesion {row['lesion']}", row["group"], row.get("site", ""), size) if part)
    return Failure(row["outcome"], row["case"], row["patient"], row["group"], row["lesion"], _centre(row), told)


def _of_mark(row: Row, number: int) -> Failure:
    told = f"a mark where nothing real lies, score {_number(row['score']):.3g}"
    return Failure(INVENTED, row["case"], row["patient"], row.get("group") or "", f"mark {number}", _centre(row), told)


def _centre(row: Row) -> tuple[float, float, float] | None:
    """Index (k, j, i); planar tables have no slice."""
    try:
        return float(row.get("slice") or 0), float(row["row"]), float(row["column"])
    except (KeyError, ValueError):
        return None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no number; run training_tools.lesions again.") from error
