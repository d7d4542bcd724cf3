"""Planar bone scans as DICOM: which blood-pool image belongs to which delayed one.

Two folders, one a phase; or one folder with both, told apart by the words of the series or, where those say nothing, by
the time of acquisition. Images pair by patient, day, region and view; an image whose partner is not certain is left out
by name. Counts are left as they are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from imagetranslation.dicomio import is_dicom
from imagetranslation.dicomio.opening import damage_means, number_of, open_dataset, quiet_pydicom, text_of
from imagetranslation.dicomio.views import is_planar_nm, view_names
from imagetranslation.errors import InputError

from ..pairs import Listing, PairFiles

POOL, DELAYED = "blood pool", "delayed"
# Words of series descriptions, our choice; "pool" alone and "late" alone are how many cameras shorten them.
WORDS = {
    POOL: re.compile(r"blood[ _-]?pool|\bpool\b|soft[ _-]?tissue|\bearly\b|2nd phase|phase 2", re.IGNORECASE),
    DELAYED: re.compile(
        r"delay(ed)?|\blate\b|skeletal|\bbone phase\b|3rd phase|phase 3|\b[34] ?h(ours?)?\b", re.IGNORECASE
    ),
}
VIEWS = {
    "anterior": re.compile(r"antero-?posterior|\banterior\b|\bant\b|\bap\b", re.IGNORECASE),
    "posterior": re.compile(r"postero-?anterior|\bposterior\b|\bpost?\b|\bpa\b", re.IGNORECASE),
}
LEAST_APART = timedelta(hours=1)  # of blood pool (minutes after injection) and delayed image (hours after it)


@dataclass(frozen=True)
class Planar:
    """One planar view. region: what the description says besides phase and view. frame: in a file of several views."""

    patient: str
    day: str
    region: str
    view: str
    phase: str
    time: datetime | None
    path: Path
    frame: int | None
    facts: tuple[tuple[str, str], ...]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What two images must share to be a pair."""
        return self.patient, self.day, self.region, self.view


def list_planar(folders: Sequence[Path]) -> Listing:
    """One case a view; source: blood pool, target: delayed. folders: [blood pool, delayed], or one with both.

    Raises InputError where a folder is missing or holds no planar image, or no pair is found.
    """
    if len(folders) not in (1, 2):
        raise InputError("Give one folder with both phases, or two: blood pool, then delayed.")
    views: list[Planar] = []
    for folder, phase in zip(folders, (POOL, DELAYED) if len(folders) == 2 else ("",)):
        views += _views(folder, phase)
    groups: dict[tuple[str, ...], list[Planar]] = defaultdict(list)
    for view in views:
        groups[view.key].append(view)
    days = defaultdict(set)
    for view in views:
        days[view.patient].add(view.day)
    pairs, left_out = [], {}
    for key, found in sorted(groups.items()):
        named = (key[0], key[1] if len(days[key[0]]) > 1 else "", *key[2:])
        case = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(part for part in named if part)).strip("-._") or "case"
        pool, delayed, reason = _phases(found)
        if pool is None or delayed is None:
            left_out[case] = reason
        else:
            pairs.append(_pair(case, pool, delayed))
    if not pairs:
        reason = f" The first: {next(iter(left_out.values()))}" if left_out else ""
        raise InputError(f"No blood pool image has a delayed image of the same patient, day, region and view.{reason}")
    return Listing(pairs, left_out)


def _phases(found: Sequence[Planar]) -> tuple[Planar | None, Planar | None, str]:
    """The blood pool and the delayed one of a view's images, or a sentence on why that is not certain."""
    by_phase = {phase: [view for view in found if view.phase == phase] for phase in (POOL, DELAYED, "")}
    if not by_phase[POOL] and not by_phase[DELAYED]:
        timed = sorted((view for view in found if view.time), key=lambda view: view.time or datetime.min)
        if len(found) == 2 and len(timed) == 2 and timed[1].time - timed[0].time >= LEAST_APART:  # type: ignore[operator]
            return timed[0], timed[1], ""
        names = ", ".join(view.path.name for view in found[:3])
        return (
            None,
            None,
            f"neither words nor times tell which of {names} is the blood pool and which the delayed image.",
        )
    for phase in (POOL, DELAYED):
        if len(by_phase[phase]) != 1:
            names = ", ".join(view.path.name for view in found[:3])
            return None, None, f"it has {len(by_phase[phase])} {phase} images ({names})."
    pool, delayed = by_phase[POOL][0], by_phase[DELAYED][0]
    if by_phase[""]:
        return None, None, f"{by_phase[''][0].path.name} says neither blood pool nor delayed."
    if pool.time and delayed.time and pool.time >= delayed.time:
        return (
            None,
            None,
            f"{pool.path.name} says blood pool and was taken after {delayed.path.name}, the delayed image.",
        )
    return pool, delayed, ""


def _pair(case: str, pool: Planar, delayed: Planar) -> PairFiles:
    facts = {**dict(delayed.facts), "view": pool.view, "region": pool.region}
    if pool.time and delayed.time:
        facts["minutes_between"] = str(round((delayed.time - pool.time).total_seconds() / 60))
    return PairFiles(
        case, pool.path, delayed.path, patient=pool.patient, facts={k: v for k, v in facts.items() if v},
        source_view=pool.frame, target_view=delayed.frame,
    )  # fmt: skip


def _views(folder: Path, phase: str) -> list[Planar]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    found = []
    for path in sorted(folder.rglob("*")):
        if not (path.is_file() and is_dicom(path)):
            continue
        sentence = f"{path} is a damaged DICOM file; copy it again, or take it away."
        with damage_means(sentence), quiet_pydicom():
            header = open_dataset(path, pixels=False)
            if is_planar_nm(header) and "Rows" not in header:
                raise InputError(sentence)
            if is_planar_nm(header):
                found += _of_file(header, path, phase)
    if not found:
        raise InputError(f"{folder} holds no planar nuclear medicine image (DICOM of modality NM).")
    return found


def _of_file(header: Any, path: Path, phase: str) -> list[Planar]:
    patient = text_of(header, "PatientID")
    if not patient:
        raise InputError(f"{path} names no patient (PatientID), so it is not certain whose image it is.")
    words = " ".join(text_of(header, name) for name in ("SeriesDescription", "ProtocolName", "ImageComments"))
    said = [name for name, pattern in WORDS.items() if pattern.search(text_of(header, "SeriesDescription"))]
    said = said or [name for name, pattern in WORDS.items() if pattern.search(words)]
    count = number_of(header, "NumberOfFrames", 1)
    names = view_names(header, count)
    facts = tuple(
        (fact, text)
        for fact, text in (
            ("scanner", " ".join(text_of(header, tag) for tag in ("Manufacturer", "ManufacturerModelName")).strip()),
            ("site", text_of(header, "InstitutionName")),
        )
        if text
    )
    return [
        Planar(
            patient=patient,
            day=text_of(header, "StudyDate"),
            region=_region(header),
            view=_view(name, text_of(header, "SeriesDescription")),
            phase=phase or (said[0] if len(said) == 1 else ""),
            time=_time(header),
            path=path,
            frame=number if count > 1 else None,
            facts=facts,
        )
        for number, name in enumerate(names)
    ]


def _view(name: str, description: str) -> str:
    """Anterior or posterior where the view's code or the description says so, else what the code says."""
    for text in (name, description):
        said = [view for view, pattern in VIEWS.items() if pattern.search(text)]
        if len(said) == 1:
            return said[0]
    return name


def _region(header: Any) -> str:
    """The description without the words of phase and view; whole body and spot views never share one."""
    text = text_of(header, "SeriesDescription").lower()
    for pattern in (*WORDS.values(), *VIEWS.values()):
        text = pattern.sub(" ", text)
    whole = "whole body" if "WHOLE BODY" in [str(v).upper() for v in header.get("ImageType") or []] else ""
    parts = [whole, text_of(header, "BodyPartExamined").lower(), text]
    return " ".join(dict.fromkeys(re.sub(r"[^a-z0-9]+", " ", " ".join(parts)).split()))


def _time(header: Any) -> datetime | None:
    for day, clock in (
        ("AcquisitionDate", "AcquisitionTime"),
        ("SeriesDate", "SeriesTime"),
        ("ContentDate", "ContentTime"),
    ):
        text = (text_of(header, day) or text_of(header, "StudyDate"))[:8] + text_of(header, clock)[:6]
        if len(text) == 14 and text.isdecimal():
            try:
                return datetime.strptime(text, "%Y%m%d%H%M%S")
            except ValueError:
                continue
    return None
