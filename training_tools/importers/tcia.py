"""Prostate-MRI-US-Biopsy of The Cancer Imaging Archive (doi 10.7937/TCIA.2020.A61IOC1A), as it is downloaded.

Below one folder: the DICOM tree of the NBIA Data Retriever with its metadata.csv, the STL surfaces
(`<patient>-ProstateSurface-seriesUID-<UID>.STL` and `<patient>-Target<n>-seriesUID-<UID>.STL`, both of the MR and of
the ultrasound, in LPS millimetres of their series) and the two spreadsheets (targets, biopsy cores) as .xlsx or .csv.
A case is one ultrasound volume with the T2 series that its biopsy was planned on: a series is used when the collection
has its prostate surface, and which belong together stands in the spreadsheets. What the cores say is `biopsies`'.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from imagetranslation.dicomio import list_series
from imagetranslation.dicomio.opening import is_dicom, open_dataset, text_of
from imagetranslation.errors import InputError

from ..pairs import Listing, PairFiles
from .biopsies import Sheets, facts_of, read_sheets

_SURFACE = re.compile(r"(?P<patient>.+)-(?P<what>ProstateSurface|Target\d+)-seriesUID-(?P<uid>[0-9.]+)", re.IGNORECASE)


@dataclass
class Series:
    """One DICOM series of a patient and its surfaces; targets by their number."""

    patient: str
    modality: str
    folder: Path
    prostate: Path | None = None
    targets: dict[int, Path] = field(default_factory=dict)


def list_tcia(root: Path) -> Listing:
    """One case for each ultrasound volume; source: ultrasound, target: MR, labels: prostates, lesions: targets.

    Targets are those drawn on the MR, where there are any, else their copies on the ultrasound. Raises InputError
    where the folder holds no series or no surface; patients that cannot be used are left out by name.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder.")
    series = _series(root)
    if not series:
        raise InputError(f"{root} holds no DICOM series; give the folder with metadata.csv of the NBIA Data Retriever.")
    if not _attach_surfaces(root, series):
        raise InputError(f"{root} holds no surface (*-ProstateSurface-seriesUID-*.STL) of any of its series.")
    sheets = read_sheets(root)
    pairs: list[PairFiles] = []
    left_out: dict[str, str] = {}
    patients = defaultdict(list)
    for uid, one in series.items():
        patients[one.patient].append(uid)
    for patient, uids in sorted(patients.items()):
        sweeps = sorted(uid for uid in uids if series[uid].modality == "US")
        for number, sweep in enumerate(sweeps, 1):
            case = patient if len(sweeps) == 1 else f"{patient}-{number}"
            scan, reason = _partner(sweep, uids, series, sheets)
            if scan is None:
                left_out[case] = reason
                continue
            try:
                pairs.append(_pair(case, sweep, scan, series, sheets))
            except InputError as error:  # a damaged surface or file of this patient
                left_out[case] = str(error)
        if not sweeps:
            left_out[patient] = "it has no ultrasound series."
    if not pairs:
        reason = next(iter(left_out.values()))
        raise InputError(f"None of the {len(left_out)} patients below {root} can be used; the first one: {reason}")
    return Listing(pairs, left_out)


def _partner(sweep: str, uids: list[str], series: dict[str, Series], sheets: Sheets) -> tuple[str | None, str]:
    """The MR series of an ultrasound one, or why there is none."""
    if series[sweep].prostate is None:
        return None, "its ultrasound has no prostate surface."
    scans = [uid for uid in uids if series[uid].modality == "MR" and series[uid].prostate is not None]
    named = sorted(sheets.partners.get(sweep, set()))
    if len(named) > 1:
        return None, f"the spreadsheets name {len(named)} MR series for its ultrasound."
    if named:
        return (named[0], "") if named[0] in scans else (None, f"its MR series ...{named[0][-10:]} is not complete.")
    if len(scans) == 1:
        return scans[0], ""
    what = f"{len(scans)} MR series, and no spreadsheet says which one" if scans else "no MR series with a surface"
    return None, f"it has {what}."


def _pair(case: str, sweep: str, scan: str, series: dict[str, Series], sheets: Sheets) -> PairFiles:
    own, other = series[sweep], series[scan]
    on, targets = ("target", other.targets) if other.targets else ("source", own.targets)
    numbers = sorted(targets)
    facts = {"site": "UCLA", **_scanner(other.folder), **facts_of(sheets, own.patient, sweep, scan, other.targets)}
    if numbers:
        facts["targets"] = " ".join(map(str, numbers))
    return PairFiles(
        case, own.folder, other.folder, own.prostate, other.prostate, tuple(targets[n] for n in numbers), on,
        own.patient, facts,
    )  # fmt: skip


def _scanner(folder: Path) -> dict[str, str]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and is_dicom(path):
            header = open_dataset(path, pixels=False, tags=["Manufacturer", "ManufacturerModelName"])
            name = " ".join(t for t in (text_of(header, "Manufacturer"), text_of(header, "ManufacturerModelName")) if t)
            return {"scanner": name} if name else {}
    return {}


def _series(root: Path) -> dict[str, Series]:
    """By UID: from the retriever's tables where they are, else from the headers of all files."""
    from .tables import read_table

    found: dict[str, Series] = {}
    for table in sorted(root.rglob("metadata.csv")):
        for row in read_table(table):
            if not {"Series UID", "Subject ID", "Modality", "File Location"} <= set(row):
                raise InputError(f"{table} is no table of the NBIA Data Retriever: it has no column Series UID, ...")
            place = PureWindowsPath(row["File Location"]).as_posix()
            folder = table.parent / place
            # Only what lies below the folder is taken: the table comes from outside.
            inside = os.path.realpath(folder).startswith(os.path.realpath(root) + os.sep)
            if inside and folder.is_dir() and row["Modality"] in ("US", "MR"):
                found[row["Series UID"]] = Series(row["Subject ID"], row["Modality"], folder)
    return found or _from_headers(root)


def _from_headers(root: Path) -> dict[str, Series]:
    found = {}
    for info in list_series(root):
        folder = info.files[0].parent
        if info.modality in ("US", "MR") and len({file.parent for file in info.files}) == 1:
            header = open_dataset(info.files[0], pixels=False, tags=["PatientID"])
            found[info.uid] = Series(text_of(header, "PatientID"), info.modality, folder)
    return found


def _attach_surfaces(root: Path, series: dict[str, Series]) -> int:
    """Give each series its surfaces; returns how many prostates there were."""
    count = 0
    for path in sorted(root.rglob("*")):
        name = _SURFACE.fullmatch(path.stem) if path.suffix.lower() == ".stl" else None
        if name is None or (one := series.get(name["uid"])) is None:
            continue
        if name["what"].lower() == "prostatesurface":
            one.prostate, count = path, count + 1
        else:
            one.targets[int(name["what"][len("Target") :])] = path
    return count
