"""Where the synthetic image of a case comes from: a file, a folder of a run, a package, or the packages of folds.

A network is never asked for an image of a patient it was trained on: with folds each case is translated by the network
that was tested on it, and a package leaves out, by name, the cases it has seen. Finished images, and packages that do
not say whom they have seen, are read with a note that this is taken on trust.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetranslation.batch import REPORT
from imagetranslation.errors import InputError
from imagetranslation.formats import suffix_of
from imagetranslation.volume import Volume, read_volume

from .. import leaks
from .cases import Case, Cohort

Maker = Callable[[Case], Volume]
ON_TRUST = "that no patient read here was among those it was trained on is taken on trust."
OF_IMAGES = f"Whether the model of the synthetic images has seen these patients is not known: {ON_TRUST}"


@dataclass(frozen=True)
class Synthetics:
    """makers: case to what reads or makes its image. notes: sentences about cases that have none. about: for JSON."""

    makers: Mapping[str, Maker]
    notes: tuple[str, ...]
    about: Mapping[str, Any]


def find(cohort: Cohort, folder: Path | None) -> Synthetics:
    """The images of a cohort; folder: None where the table of cases names them. InputError where there are none."""
    if folder is None:
        made = {case.name: _reader(case.synthetic) for case in cohort.cases if case.synthetic is not None}
        found = Synthetics(made, (OF_IMAGES,), {"kind": "files of the table"})
    elif (folder / "model.json").is_file():
        found = _package(cohort, folder)
    elif folds := sorted(folder.glob("fold-*/package/model.json")):
        found = _folds(cohort, folder, [path.parent for path in folds])
    elif folder.is_dir():
        found = _images(cohort, folder)
    else:
        raise InputError(f"{folder} is no folder; name one with synthetic images, a model package, or a run's folds.")
    if not found.makers:
        raise InputError(f"No case has a synthetic image{'' if folder is None else f' in {folder}'}.")
    lacking = [case.name for case in cohort.cases if case.name not in found.makers]
    note = f"{len(lacking)} of {len(cohort.cases)} cases have no synthetic image and are not read: " + ", ".join(
        lacking
    )
    return Synthetics(found.makers, (*found.notes, *([note] if lacking else [])), found.about)


def model_of(volume: Volume) -> tuple[str, str]:
    """(id, version) of the model that made an image; empty where it does not say."""
    record = volume.provenance
    return ("", "") if record is None else (record.model, record.version)


def weights_of(volume: Volume) -> str:
    """SHA-256 of the weights that made an image; empty where it does not say. Ids and versions outlive a retraining."""
    return "" if volume.provenance is None else volume.provenance.weights_sha256


def made_by(about: Mapping[str, Any], images: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """For JSON: what is known of where the images come from, and every weights' SHA-256 that they bear themselves."""
    return {**about, "weights_of_images": sorted({str(row["weights_sha256"]) for row in images} - {""})}


def _reader(path: Path) -> Maker:
    return lambda _: read_volume(path)


def _images(cohort: Cohort, folder: Path) -> Synthetics:
    """Images named after their case (CASE.nrrd, CASE_synthetic-nm.nrrd), or listed with their input by a run."""
    names = {case.name for case in cohort.cases}
    inputs = _inputs(folder)
    makers: dict[str, Maker] = {}
    strangers = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or not suffix_of(path) or path.name.startswith("."):
            continue
        stem = path.name[: len(path.name) - len(suffix_of(path))]
        named = re.fullmatch(r"(.+)_synthetic-[a-z]+", stem)
        case = inputs.get(path.name) or (named[1] if named and stem not in names else stem)
        if case not in names:
            strangers.append(path.name)
        elif case in makers:
            raise InputError(f"{folder} holds several images of {case}; leave one.")
        else:
            makers[case] = _reader(path)
    note = f"{len(strangers)} images of {folder.name} belong to no case: " + ", ".join(strangers)
    notes = (OF_IMAGES, *([note] if strangers else []))
    return Synthetics(makers, notes, {"kind": "images", "folder": str(folder)})


def _inputs(folder: Path) -> dict[str, str]:
    """File name of an image to the stem of its input, by the table of a translation run."""
    try:
        with (folder / REPORT).open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{folder / REPORT} cannot be read as a table.") from error
    named = {}
    for row in rows:
        made, given = Path(row.get("output") or ""), Path(row.get("input") or "")
        if made.name and given.name:
            named[made.name] = given.name[: len(given.name) - len(suffix_of(given))]
    return named


def _package(cohort: Cohort, folder: Path) -> Synthetics:
    maker, about, seen = _translator(folder)
    shared = sorted({case.patient for case in cohort.cases if case.name in seen})
    makers = {case.name: maker for case in cohort.cases if case.patient not in shared}
    note = f"{folder.name} was trained on {len(shared)} of the patients, who are not read: {', '.join(shared)}."
    notes = [note] if shared else _trusted(folder.name, seen)
    return Synthetics(makers, tuple(notes), {"kind": "package", **about})


def _trusted(name: str, seen: set[str]) -> list[str]:
    """What is not known of a package that names none of the cases: a sentence."""
    if not seen:
        return [f"{name} does not say which cases it was trained on: {ON_TRUST}"]
    return [f"None of the {len(seen)} cases that {name} names as trained on bears the name of a case here: {ON_TRUST}"]


def _folds(cohort: Cohort, folder: Path, packages: Sequence[Path]) -> Synthetics:
    """Of a benchmark's network or a cross-validation: the cases each fold tested, by its own network."""
    names = {case.name for case in cohort.cases}
    patients = {case.name: case.patient for case in cohort.cases}
    makers: dict[str, Maker] = {}
    about, notes = [], []
    for package in packages:
        maker, told, seen = _translator(package)
        tested = _tested(package.parent)
        if unknown := sorted(set(tested) - names):
            raise InputError(f"{package.parent} tested {unknown[0]}, which is not among the cases; name the same data.")
        known = {patients[case] for case in seen & names}
        notes += [] if known else _trusted(package.parent.name, seen)
        for case in tested:
            if patients[case] in known:
                raise InputError(f"{package.parent} was trained on the patient of {case}, which it tested.")
            if case in makers:
                raise InputError(f"{folder} tested {case} in two folds.")
            makers[case] = maker
        about.append({"fold": package.parent.name, **told})
    if len({(each["model"], each["version"]) for each in about}) > 1:
        raise InputError(f"The folds of {folder} were made with different models or versions; run them again.")
    return Synthetics(makers, tuple(notes), {"kind": "folds", "folder": str(folder), "folds": about})


def _tested(fold: Path) -> list[str]:
    for path, read in (
        (fold / "cell.json", lambda record: record["tested"]),
        (fold.with_name(f"{fold.name}.json"), lambda record: [row["case"] for row in record]),
    ):
        if path.is_file():
            try:
                return [str(case) for case in read(json.loads(path.read_text(encoding="utf-8")))]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path} is damaged; run the fold again.") from error
    raise InputError(f"{fold} is not finished: it says nowhere which cases it tested.")


def _translator(folder: Path) -> tuple[Maker, dict[str, Any], set[str]]:
    """What translates a case, what is known of the model, and the cases that shaped its weights."""
    from imagetranslation.inference import translate
    from imagetranslation.models import load_package

    package = load_package(folder)
    about = {"model": package.metadata["id"], "version": package.metadata["version"],
             "weights_sha256": package.weights_sha256}  # fmt: skip
    seen = leaks.seen_by(package.metadata, str(folder))
    return lambda case: translate(read_volume(case.source), package), about, seen
