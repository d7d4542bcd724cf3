"""Steps that ask what synthetic images are worth: classification, lesions, sweep, failure atlas, prepared reader study.

Each is a call of the command of that name on the cross-fitted images; the formulas and pages are theirs.
"""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path

from imagetranslation.errors import InputError
from imagetranslation.files import atomic_path, make_folder

from .. import classify, lesions
from ..classifying import crossfit
from ..config import Config
from ..crossfitting.gathering import RECORD, TABLE
from ..dataset import manifest, patients
from ..evaluating.writing import write_rows
from . import data, possible, translating
from .sizes import Sizes, column
from .tables import read_csv

OUTCOME = "reading"  # folder of a step whose command wants an empty one
FEATURES = "features.csv"


def classification(cases: Path, translators: Path, sizes: Sizes, workers: int, positive: str, output: Path) -> str:
    """Arms by classifiers, on features and on the images themselves. positive: the label that is looked for, or "".

    InputError where a synthetic image comes from a translator that saw its patient: a leak stops the study.
    """
    found = possible.classifiable(cases, sizes, positive)
    if found.reason:
        return " ".join([found.reason, *found.left])
    require_no_leak(translators, found.labels)
    table = data.write_labels(found.labels, make_folder(output) / "labels.csv")
    images = _images_of(found.labels, translators / TABLE, output)
    arguments = ["--labels", str(table), "--images", str(images), "--cross-fit", str(translators / RECORD)]
    arguments += ["--models", *found.models, "--folds", str(sizes.folds), "--seed", str(sizes.seed)]
    arguments += ["--workers", str(workers), "--positive", found.positive]
    return _done(classify.main, [*arguments, "-o", str(output / OUTCOME)])


def _images_of(patients: Container[str], table: Path, output: Path) -> Path:
    """The table of images, or one of these patients' images alone where it holds others."""
    rows = read_csv(table)
    kept = [row for row in rows if row["patient"] in patients]
    if len(kept) == len(rows):
        return table

    def seen_from(folder: Path, path: str) -> str:
        return Path(os.path.relpath((table.parent / path).resolve(), folder.resolve())).as_posix() if path else ""

    for row in kept:
        row.update({key: seen_from(output, row[key]) for key in ("image", "region")})
    write_rows(kept, output / TABLE)
    return output / TABLE


def require_no_leak(translators: Path, patients: Iterable[str]) -> None:
    """InputError where an image is not by a translator that never saw its patient, or is not the file it was."""
    record = crossfit.read(translators / RECORD)
    crossfit.verify(record, translators)
    record.check(patients)
    for fold, tested in record.folds.items():
        if fold in record.images and fold not in (crossfit.ALL, crossfit.TEST):
            record.check_fold(fold, tested)


def read_lesions(task: str, cases: Path, images: Path, output: Path) -> str:
    """The automatic reading of lesions in all images."""
    if task not in lesions.TASKS:
        return f"lesions of {task} cannot be read by this version."
    if task == "us2mri" and not any((cases / "lesion").glob("*.nrrd")):
        return "the data mark no lesion; prepare them with lesion labels."
    make_folder(output)
    shutil.rmtree(output / OUTCOME, ignore_errors=True)
    arguments = [task, "--data", str(cases), "--synthetic", str(images), "-o", str(output / OUTCOME)]
    simulated = cases.parent / "simulated"
    if task == "us2mri" and (simulated / "us_zones").is_dir():  # the simulator's own truth about zones and grades
        arguments += ["--zones", str(simulated / "us_zones"), "--lesions", str(simulated / "lesions.csv")]
    return _done(lesions.main, arguments)


def sweep(config: Config, sizes: Sizes, workers: int, output: Path) -> str:
    """For every rho patients, translators and a reading of their own; what is done is kept."""
    for number, rho in enumerate(sizes.rhos):
        place = output / column(rho)
        if (place / OUTCOME / "lesions.json").is_file():
            continue
        print(f"  rho {rho:g}: {number + 1} of {len(sizes.rhos)}", file=sys.stderr, flush=True)
        cases = data.bone_scans(sizes.for_sweep(), workers, make_folder(place), rho)
        translating.translate(
            config, cases, place, scheme=crossfit.SIMPLE, folds=2, seconds=sizes.translator_seconds, seed=sizes.seed,
            alike=1.0,
        )  # fmt: skip
        require_no_leak(place / "crossfit", set(patients(cases).values()))
        if reason := read_lesions("pool2delayed", cases, place / "crossfit" / "images" / crossfit.ALL, place):
            return f"at rho {rho:g}: {reason}"
    return ""


def atlas(
    task: str, config: Config, cases: Path, places: Mapping[str, Path], reading: Path | None, output: Path
) -> str:
    """The failure atlas over all translators; reading: of lesions, where there is one."""
    from .. import atlas as command
    from ..atlases import lesions as read_lesions
    from ..atlases.making import make

    translated = translating.read(places["translators"], cases)
    evaluated = translating.evaluated(translated, config, cases, places["evaluation"], task)
    weights = [part.weights for part in evaluated.parts]
    found = None if reading is None else read_lesions.read(reading, task, [*evaluated.scores], weights)
    shutil.rmtree(output / OUTCOME, ignore_errors=True)
    made = make(evaluated, reading=found, samples=4, told=lambda sentence: print(sentence))
    command.write(made, make_folder(output) / OUTCOME)
    return ""


def study(task: str, cases: Path, images: Mapping[str, Path], sizes: Sizes, output: Path) -> str:
    """A reader study that can be handed to readers: real and synthetic images of some patients."""
    from imagetranslation.readerstudy.building import build
    from imagetranslation.readerstudy.creation import create, load_template, new_document, read_cases
    from imagetranslation.readerstudy.definition import FILE

    table = make_folder(output) / "cases.csv"
    chosen = spread(cases, sizes.read)
    with atomic_path(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["case", "patient", "source", "real", "synthetic"])
        for record in chosen:
            files = [str((cases / record[part]).resolve()) for part in ("source", "target")]
            who = record.get("patient") or record["case"]
            writer.writerow([record["case"], who, *files, str(images[record["case"]].resolve())])
    folder = output / "study"
    if not (folder / FILE).exists():
        document = new_document(
            load_template(task), read_cases(table), sizes.readers, id_=f"{task}-reproduction", seed=sizes.seed
        )
        create(document, folder)
    build(folder)
    return ""


def spread(cases: Path, count: int) -> list[dict[str, str]]:
    """At most one case of a patient, `count` of them, evenly over the cohort in order of names."""
    owners = patients(cases)
    first: dict[str, dict[str, str]] = {}
    for record in sorted(manifest(cases)["cases"], key=lambda one: str(one["case"])):
        first.setdefault(owners[record["case"]], record)
    known = list(first.values())
    step = max(1.0, len(known) / count)
    return [known[int(n * step)] for n in range(min(count, len(known)))]


def _done(command: Callable[[list[str]], int], arguments: list[str]) -> str:
    """Run a command; what it refuses is the reason why the step is left out, for the report to say."""
    try:
        code = command(arguments)
    except InputError as error:
        return str(error)
    return "" if code == 0 else f"it ended with code {code}; its log says why."
