"""A prepared case on disk: its files, and the record by which a later run knows that it need not be done again.

The record (`records/<case>.json`) is written last and names the hashes of what went in and of what came out: a case is
done when both still hold. The images are made by `aligning`; many cases are `prepare`'s.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.files import as_sentence, make_folder, sha256_of, write_text
from imagetranslation.volume import write_volume

from .aligning import Prepared, Settings
from .pairs import PairFiles

FORMAT = 2  # counts what changes the images without changing the settings: cases of an earlier one are done again
PARTS = ("source", "target", "valid", "source_label", "target_label", "lesion")


def software() -> dict[str, str]:
    """What the images depend on besides the settings."""
    return {
        "imagetranslation": __version__,
        "SimpleITK": sitk.Version.VersionString(),
        "numpy": np.__version__,
    }


def hashes(pair: PairFiles) -> dict[str, str]:
    """SHA-256 of every input of a case; of a folder that of its files' names and hashes. InputError if unreadable."""
    try:
        return {part: hash_of(path) for part, path in pair.files().items()}
    except OSError as error:
        raise InputError(f"{pair.case}: {error.filename} cannot be read: {error.strerror}.") from error


def digest(pair: PairFiles, settings: Settings, inputs: dict[str, str]) -> str:
    """What a case was, or would be, made from."""
    made_from: dict[str, Any] = {
        "format": FORMAT,
        "inputs": inputs,
        "settings": asdict(settings),
        "views": [pair.source_view, pair.target_view],
        "lesions_on": pair.lesions_on,
        "software": software(),
    }
    if settings.by == "auto" and not (pair.source_label and pair.target_label):
        method = settings.by_images()
        if method not in ("none", "shift"):  # earlier versions shifted such a case, whatever was asked for
            made_from["by_images"] = method
    return hashlib.sha256(json.dumps(made_from, sort_keys=True, default=str).encode()).hexdigest()


def read_record(output: Path, case: str) -> dict[str, Any] | None:
    """The record of an earlier run, or None where there is none, or a damaged one."""
    try:
        record = json.loads((output / "records" / f"{case}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    wanted = ("made_from", "axes", "files", "quality", "case")
    return record if isinstance(record, dict) and all(key in record for key in wanted) else None


def is_done(output: Path, record: dict[str, Any] | None, made_from: str) -> bool:
    """Whether the case of a record was made from the same, and its files are still as they were written."""
    if record is None or record["made_from"] != made_from or not isinstance(record["files"], dict):
        return False
    try:
        return all(sha256_of(output / name) == hashed for name, hashed in record["files"].items())
    except OSError:
        return False


def write_case(
    case: Prepared, pair: PairFiles, output: Path, inputs: dict[str, str], made_from: str, axes: str
) -> dict[str, Any]:
    """Write a case's files, take away what an earlier run wrote for it and this one did not, write its record."""
    before = read_record(output, pair.case)
    written: dict[str, str] = {}
    listed: dict[str, Any] = {"case": pair.case}
    # Without its record a case that is being written counts as not done.
    _remove(output / "records" / f"{pair.case}.json")
    for part in PARTS:
        volume = getattr(case, part)
        if volume is not None:
            path = make_folder(output / part) / f"{pair.case}.nrrd"
            write_volume(volume, path)
            listed[part] = path.relative_to(output).as_posix()
            written[listed[part]] = sha256_of(path)
    for name in {f"{part}/{pair.case}.nrrd" for part in PARTS} & set(before["files"] if before else ()) - set(written):
        _remove(output / name)
    listed["from"] = {"source": inputs["source"], "target": inputs["target"]}
    record = {
        "made_from": made_from,
        "axes": axes,
        "files": written,
        "quality": asdict(case.quality),
        "case": listed,
    }
    write_text(make_folder(output / "records") / f"{pair.case}.json", json.dumps(record, indent=1) + "\n")
    return record


def _remove(path: Path) -> None:
    with as_sentence(path):
        path.unlink(missing_ok=True)


def hash_of(path: Path) -> str:
    """SHA-256 of a file; of a folder, or of a header without its voxels, that of all files and their names."""
    if path.is_file():
        # A header without its voxels (.mhd, .nhdr) stands for the files of its name.
        if path.suffix not in (".mhd", ".nhdr"):
            return sha256_of(path)
        files = [file for file in path.parent.glob(f"{path.stem}.*") if file.is_file()]
    else:
        files = [file for file in path.rglob("*") if file.is_file()]
    found = hashlib.sha256()
    for file in sorted(files):
        found.update(f"{file.relative_to(path if path.is_dir() else path.parent)}\n{sha256_of(file)}\n".encode())
    return found.hexdigest()
