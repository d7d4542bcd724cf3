"""A reader's calls of lesions in place of the automatic rule: a plain table, or the answers of a reader study.

Plain: the columns case, lesion, increased (1 or 0), and where needed reader and image (synthetic, or real for the
reader's own truth). A reader study's `answers.csv`, exported with its key, which also says where the shown images lay:
marks of the questions of type place and roi; an image that was answered about and not marked has no lesion.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.volume import index_to_lps

from ..importers.tables import read_table
from .cases import Cohort
from .detector import disc
from .planar import Region, View

SYNTHETIC, REAL = "synthetic", "real"
Place = tuple[int, int]


@dataclass(frozen=True)
class Calls:
    """said: (reader, image, case, label) to a call. points: (reader, image, case) to marks in mm LPS; read though
    nothing was marked: an empty list. readers: in order. with_real: whether readers also read the real image."""

    readers: tuple[str, ...]
    said: Mapping[tuple[str, str, str, int], bool] = field(default_factory=dict)
    points: Mapping[tuple[str, str, str], Sequence[tuple[float, float, float]]] = field(default_factory=dict)
    with_real: bool = False

    @property
    def marked(self) -> bool:
        """Whether readers marked places of their own: their false positives are then their marks."""
        return bool(self.points)

    def read_by(self, reader: str, case: str) -> bool:
        """Whether the reader was shown, and answered about, every image of a case that a false mark is told from."""
        images = (SYNTHETIC, REAL) if self.with_real else (SYNTHETIC,)
        return all((reader, image, case) in self.points for image in images)

    def call(self, reader: str, image: str, view: View, region: Region) -> Optional[bool]:
        """Whether the reader called a region of an image increased; None where that is not known."""
        said = self.said.get((reader, image, view.case.name, region.label))
        if said is not None or (reader, image, view.case.name) not in self.points:
            return said
        near = grown(region.mask, view)
        return any(near[place] for place in self.places(reader, image, view))

    def places(self, reader: str, image: str, view: View) -> list[Place]:
        """The reader's marks as (row, column); InputError for one outside the image."""
        matrix = np.linalg.inv(index_to_lps(view.volume))
        found = []
        for point in self.points.get((reader, image, view.case.name), ()):
            column, row, _ = (matrix @ [*point, 1.0])[:3]
            place = round(float(row)), round(float(column))
            if not (0 <= place[0] < view.real.shape[0] and 0 <= place[1] < view.real.shape[1]):
                raise InputError(f"{view.case.name}: a mark of {reader} lies outside the image.")
            found.append(place)
        return found


def grown(mask: np.ndarray, view: View) -> np.ndarray:
    """A region and what lies within the rule's `match_mm` of it."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask, disc(view.rule.match_mm, view.spacing)))


def read_calls(
    path: Path, cohort: Cohort, synthetic_arm: str = "", real_arm: str = "", key: Optional[Path] = None
) -> Calls:
    """Read either kind of table. synthetic_arm, real_arm, key: of a study. InputError names the row at fault."""
    rows = read_table(path)
    if not rows:
        raise InputError(f"{path} holds no call.")
    if {"question", "type", "value", "arms"} <= set(rows[0]):
        return _of_study(path, rows, cohort, {synthetic_arm: SYNTHETIC, **({real_arm: REAL} if real_arm else {})}, key)
    if {"case", "lesion", "increased"} <= set(rows[0]):
        return _of_table(path, rows, cohort)
    raise InputError(
        f"{path} needs the columns case, lesion and increased, or is the answers.csv of a reader study; it has "
        f"{', '.join(rows[0])}."
    )


def _of_table(path: Path, rows: Sequence[Mapping[str, str]], cohort: Cohort) -> Calls:
    names = {case.name for case in cohort.cases}
    said: dict[tuple[str, str, str, int], bool] = {}
    for number, row in enumerate(rows, 2):
        where = f"Row {number} of {path}"
        image = row.get("image") or SYNTHETIC
        if row["case"] not in names:
            raise InputError(f"{where} names the case {row['case']!r}, which is not among the cases.")
        if image not in (SYNTHETIC, REAL):
            raise InputError(f"{where}: image is synthetic or real, not {image!r}.")
        if row["increased"] not in ("0", "1") or not row["lesion"].isdecimal():
            raise InputError(f"{where}: lesion is a label from 1 on and increased 1 or 0.")
        key = row.get("reader") or "reader", image, row["case"], int(row["lesion"])
        if key in said:
            raise InputError(f"{where} calls lesion {key[3]} of {key[2]} a second time for {key[0]}.")
        said[key] = row["increased"] == "1"
    readers = tuple(dict.fromkeys(key[0] for key in said))
    return Calls(readers, said, with_real=any(key[1] == REAL for key in said))


def _of_study(
    path: Path, rows: Sequence[Mapping[str, str]], cohort: Cohort, wanted: Mapping[str, str], key: Optional[Path]
) -> Calls:
    """wanted: arm to SYNTHETIC or REAL."""
    if not rows[0].get("case") or not rows[0]["arms"]:
        raise InputError(f"{path} is blinded; export the answers with the study's key.")
    arms = sorted({part.partition("=")[2] for row in rows for part in row["arms"].split(";")})
    if not set(wanted) <= set(arms):
        told = ", ".join(arms)
        raise InputError(f"Say with --calls-synthetic (and --calls-real) which arm is which; {path} has {told}.")
    if key is None:
        raise InputError("Name the study's key with --calls-key: readers saw the images moved to the middle of space.")
    centres = _centres(key)
    names = {case.name for case in cohort.cases}
    points: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for number, row in enumerate(rows, 2):
        if row.get("training") == "1" or row.get("repeat_of"):
            continue
        if row["case"] not in names:
            raise InputError(f"Row {number} of {path} names the case {row['case']!r}, which is not among the cases.")
        slots = dict(part.split("=", 1) for part in row["arms"].split(";") if "=" in part)
        for arm in slots.values():
            if arm in wanted:
                points.setdefault((row["reader"], wanted[arm], row["case"]), [])
        if row["type"] in ("place", "roi") and row["value"]:
            for slot, point in _marked(row["value"], f"Row {number} of {path}"):
                if slots.get(slot) in wanted:
                    x, y, z = (a + b for a, b in zip(point, centres[row["case"]]))
                    points[row["reader"], wanted[slots[slot]], row["case"]].append((x, y, z))
    if not points:
        raise InputError(f"{path} holds no answer about the arm {' or '.join(wanted)}; training and repeats aside.")
    return Calls(tuple(dict.fromkeys(key[0] for key in points)), points=points, with_real=REAL in wanted.values())


def _centres(path: Path) -> dict[str, tuple[float, float, float]]:
    """Where the middle of the shown images of each case lay, mm LPS: readers see it at zero."""
    from imagetranslation.readerstudy.key import load_key

    try:
        return {str(facts["case"]): tuple(facts["centre_lps"]) for facts in load_key(path).images.values()}
    except KeyError as error:
        raise InputError(f"{path} is no key that says where the shown images lay.") from error


def _marked(text: str, where: str) -> list[tuple[str, tuple[float, float, float]]]:
    """Slot and point of every mark; the middle of an outline's corners stands for it."""
    try:
        found = []
        for mark in json.loads(text):
            corners = np.array(mark["points"] if "points" in mark else [mark["point"]], dtype=float)
            x, y, z = (float(n) for n in corners.mean(axis=0))
            found.append((str(mark["image"]), (x, y, z)))
        return found
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where} holds no marks: {text[:60]!r}.") from error


def settings(calls: Optional[Calls], path: Optional[Path]) -> dict[str, Any]:
    """For JSON."""
    return {} if calls is None else {"file": str(path), "readers": list(calls.readers), "real_too": calls.with_real}
