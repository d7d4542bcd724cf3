"""The data of a study: found in the folder that was named, or simulated; prepared; named with their hashes.

What `training_tools.prepare` reads is recognised by what lies in the folder; anything else is told to it by options of
its own. Which patients exist, and where they come from, is written to `data.json` beside the prepared cases.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError
from imagetranslation.files import atomic_path, make_folder, write_text

from .. import prepare
from ..commands import progress
from ..dataset import all_simulated, manifest, patients, simulated_in_part
from .sizes import Sizes
from .stamps import files_of

PHANTOM = "phantom"
LABEL = "label"  # the fact that says to which class a patient belongs
ABOUT = "data.json"
# What a step may read in a folder of prepared cases; of the images, those named after a case in any of its folders.
TABLES, IMAGES = ("cases.json", "*.csv"), "*/*.nrrd"


def arguments_for(folder: Path, task: str, more: Sequence[str] = ()) -> list[str] | None:
    """The command line of `training_tools.prepare` for a folder; None where it holds prepared cases already.

    more: options of `prepare` that were given; where they name the pairs, nothing is guessed. InputError where it is
    not clear what the folder holds.
    """
    if any(option in more for option in ("--csv", "--bids", "--tcia", "--nm", "--source")):
        return list(more)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Name a folder of pairs or of prepared cases, or {PHANTOM}.")
    if (folder / "cases.json").is_file():
        if more:
            raise InputError(f"{folder} holds prepared cases already; --prepare has nothing to do there.")
        return None
    if (folder / "pairs.csv").is_file():
        return ["--csv", str(folder / "pairs.csv"), *more]
    if (folder / "dataset_description.json").is_file():
        if "--source-suffix" not in more:
            raise InputError(
                f"{folder} is a BIDS folder: say which images are source and target, as in "
                "--prepare '--source-suffix T1w --target-suffix acq-axial_T2w'."
            )
        return ["--bids", str(folder), *more]
    named = _folders(folder)
    if named:
        return [*named, *more]
    if any(folder.glob("*metadata.csv")):
        return ["--tcia", str(folder), *more]
    if task == "pool2delayed":
        return ["--nm", str(folder), *more]
    raise InputError(
        f"{folder} holds neither prepared cases (cases.json), nor pairs.csv, a BIDS or TCIA tree, nor the folders us "
        "and mr. Say where the pairs are with options of training_tools.prepare, as in --prepare '--csv table.csv'."
    )


def _folders(folder: Path) -> list[str]:
    found: list[str] = []
    for source, target in (("us", "mr"), ("source", "target"), ("blood_pool", "delayed")):
        if (folder / source).is_dir() and (folder / target).is_dir():
            found = ["--source", str(folder / source), "--target", str(folder / target)]
            labels = [folder / f"{source}_labels", folder / f"{target}_labels"]
            if all(place.is_dir() for place in labels):
                found += ["--source-labels", str(labels[0]), "--target-labels", str(labels[1])]
            if (folder / f"{source}_lesions").is_dir():
                found += ["--lesions", str(folder / f"{source}_lesions")]
            if source == "blood_pool":
                found += ["--source-modality", "NM", "--target-modality", "NM"]
            break
    return found


def make(task: str, data: str, more: Sequence[str], sizes: Sizes, workers: int, output: Path) -> str:
    """Prepare the cases of a study into `output` (or name those that are prepared already)."""
    make_folder(output)
    if data == PHANTOM:
        place = prostates(sizes, workers, output) if task == "us2mri" else bone_scans(sizes, workers, output)
        about = {"whence": "simulated patients: no patient", "simulated": True, "patients_asked": sizes.patients}
    else:
        arguments = arguments_for(Path(data), task, more)
        place = Path(data).resolve() if arguments is None else output / "cases"
        if arguments is not None:
            prepare.main([*arguments, "--workers", str(workers), "-o", str(place)])
        about = {"whence": str(Path(data).resolve()), "simulated": all_simulated(place), "command": arguments}
    write_text(output / ABOUT, json.dumps({**about, **describe(place, output)}, indent=1) + "\n")
    return ""


def prostates(sizes: Sizes, workers: int, output: Path) -> Path:
    """Simulated prostates, prepared; the folder of cases."""
    from ..phantoms.prostate_writing import write_cases

    scans = output / "simulated"
    with progress("Simulating") as update:
        seeds = range(sizes.seed, sizes.seed + sizes.patients)
        truth = write_cases(scans, seeds, sizes.prostate(), workers=workers, progress=update)
    rows = [
        {
            "case": case["case"], "source": f"us/{case['case']}.nrrd", "target": f"mr/{case['case']}.nrrd",
            "source_label": f"us_labels/{case['case']}.nrrd", "target_label": f"mr_labels/{case['case']}.nrrd",
            "lesion": f"us_lesions/{case['case']}.nrrd", LABEL: case["label"],
        }
        for case in truth
    ]  # fmt: skip
    with atomic_path(scans / "pairs.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    prepare.main(
        ["--csv", str(scans / "pairs.csv"), "--method", "none", "--workers", str(workers), "-o", str(output / "cases")]
    )
    return output / "cases"


def bone_scans(sizes: Sizes, workers: int, output: Path, rho: float | None = None) -> Path:
    """Simulated bone scans; the folder, laid out as prepared. rho: of every group; None leaves each its own."""
    from ..phantoms.bonescan import Settings
    from ..phantoms.bonescan_disease import GROUPS, with_rho
    from ..phantoms.bonescan_writing import Order, write_cases

    settings = Settings() if rho is None else Settings(relations=with_rho(GROUPS, rho))
    with progress("Simulating") as update:
        order = Order(sizes.patients, sizes.seed, region=sizes.region, settings=settings)
        write_cases(order, output / "cases", update, workers)
    return output / "cases"


def describe(place: Path, output: Path) -> dict[str, Any]:
    """What is known of prepared cases: how many, of whom, one hash over all files (`content`), classes and groups."""
    found, owners = manifest(place), patients(place)
    facts = {record["case"]: record.get("facts", {}) for record in found["cases"]}
    told: dict[str, dict[str, int]] = {}
    for fact in (LABEL, "group"):
        kinds: dict[str, set[str]] = {}
        for case, known in facts.items():
            if fact in known:
                kinds.setdefault(str(known[fact]), set()).add(owners[case])
        told[f"{fact}s"] = {kind: len(whose) for kind, whose in sorted(kinds.items())}
    return {
        "cases_folder": os.path.relpath(place.resolve(), output.resolve()) if output in place.parents else str(place),
        "cases": len(owners), "patients": len(set(owners.values())),
        "sha256_of_all_files": content(place), "simulated_in_part": simulated_in_part(place),
        "settings": found.get("settings", {}), **told,
    }  # fmt: skip


def content(place: Path) -> str:
    """One hash over the bytes of all that a step may read of prepared cases: images, labels, regions and tables."""
    names = {record["case"] for record in manifest(place)["cases"]}
    found = files_of(place, (*TABLES, IMAGES))
    known = {name: sha for name, sha in found.items() if "/" not in name or Path(name).stem in names}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def cases_folder(prepared: Path) -> Path:
    """The folder of cases that `make` prepared or named."""
    return prepared / str(read(prepared)["cases_folder"])


def read(prepared: Path) -> dict[str, Any]:
    """What `make` wrote about the data."""
    try:
        return dict(json.loads((prepared / ABOUT).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{prepared / ABOUT} is missing or damaged; remove {prepared} to prepare again.") from error


def require_unchanged(prepared: Path, data: str) -> None:
    """InputError where cases, prepared by us or by others, are not those that the study was begun with."""
    there = read(prepared)
    now = describe(cases_folder(prepared), prepared)
    if now["sha256_of_all_files"] != there.get("sha256_of_all_files"):
        raise InputError(
            f"The cases in {cases_folder(prepared)} have changed since this study was begun ({data}); put the old ones "
            "back, or choose an empty folder with -o."
        )


def listing(data: str, more: Sequence[str], output: Path) -> str:
    """Hash by which a change of the data is noticed; "" for the phantom.

    Of prepared cases over the bytes of their files, which a copy keeps; of other folders over names, sizes and times of
    all files.

    output: the study's own folder, which may lie in the data's and is left out, as are arrays that training keeps.
    """
    if data == PHANTOM:
        return ""
    if not more and (Path(data) / "cases.json").is_file():
        return content(Path(data).resolve())
    roots = [Path(data), *(Path(word) for word in more if not word.startswith("-") and Path(word).exists())]
    found, own = hashlib.sha256(), output.resolve()
    for root in (root.resolve() for root in roots):
        for path in sorted([root] if root.is_file() else root.rglob("*")):
            name = path.relative_to(root)
            if path.is_file() and "cache" not in name.parts and own not in path.parents:
                known = path.stat()
                found.update(f"{name} {known.st_size} {known.st_mtime_ns}\n".encode())
    return found.hexdigest()


def labels(place: Path) -> dict[str, str]:
    """Patient to label, where the cases name labels; without patients whose cases name different ones."""
    return {patient: next(iter(told)) for patient, told in _told(place).items() if len(told) == 1}


def without_label(place: Path) -> tuple[str, ...]:
    """Sentences that name the patients who cannot be classified; none where no case names a label."""
    told = _told(place)
    if not any(told.values()):
        return ()
    silent = sorted(patient for patient, own in told.items() if not own)
    found = [f"{len(silent)} patients have no label and are not classified: {', '.join(silent)}."] if silent else []
    found += [
        f"{patient} has different labels at different visits ({', '.join(sorted(own))}) and is not classified."
        for patient, own in sorted(told.items()) if len(own) > 1
    ]  # fmt: skip
    return tuple(found)


def _told(place: Path) -> dict[str, set[str]]:
    """Patient to the labels that their cases name; a case that names none says nothing against the others."""
    owners = patients(place)
    found: dict[str, set[str]] = {patient: set() for patient in owners.values()}
    for record in manifest(place)["cases"]:
        if label := str(record.get("facts", {}).get(LABEL, "")).strip():
            found[owners[record["case"]]].add(label)
    return found


def write_labels(known: Mapping[str, str], path: Path) -> Path:
    """A table of labels as `training_tools.classify` reads it."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("patient", "label"), *sorted(known.items())])
    return write_text(path, text.getvalue())


def split_options(text: str) -> list[str]:
    """Options of `prepare` given as one text, as a shell would read them."""
    import shlex

    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(f"--prepare {text}: {error}.") from error
