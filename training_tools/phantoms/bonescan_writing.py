"""Folders of simulated bone scans: pairs ready to train on, regions, tables of the truth, a contact sheet.

The folder is laid out as `training_tools.prepare` leaves one, because simulated pairs are registered from the start:
`source/` (blood pool), `target/` (delayed), `valid/` and `cases.json`; `source/` and `target/` are also the two folders
it takes. Beside them `lesion/` and `hyperaemia/` (labelmaps: number of the lesion in the two phases), `disease.csv`,
`lesions.csv`, `settings.json`, `sheet.png`, and with DICOM `dicom/`. A case is one view; its record in `records/` is
written last, so that a second run does only what is missing. The physics is in `bonescan`.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.files import atomic_path, make_folder, write_text
from imagetranslation.volume import Volume, write_volume

from .bonescan import REGIONS, VIEWS, Imaged, Pair, Settings, canvas_of, simulate
from .bonescan_anatomy import Body
from .bonescan_dicom import COMMENT, write_planar
from .bonescan_disease import INCREASED, plan
from .bonescan_scene import Patient
from .bonescan_sheet import write_sheet

# Where a patient of each group is imaged when the region is left open: where its sites are.
AUTO: dict[str, tuple[str, ...]] = {
    "inflammatory arthritis": ("hands", "feet", "knees"),
    "osteomyelitis": ("feet", "legs", "knees"),
    "CRPS": ("hands", "feet"),
    "cellulitis": ("legs", "feet", "hands"),
    "recent bone injury": ("legs", "feet", "hands"),
    "none": ("hands", "feet", "knees", "legs"),
}
DISEASE_FIELDS = (
    "case", "patient", "group", "region", "view", "seed", "rho", "lesions", "pool_counts", "delayed_counts",
    "pool_minutes", "delayed_minutes", "spacing_mm", "height_mm", "girth", "bone_percent", "urine_percent",
    "blood_percent",
)  # fmt: skip
LESION_FIELDS = (
    "case", "patient", "group", "lesion", "cause", "site", "place", "side", "row", "column", "size_mm",
    "hyperaemia_ratio", "delayed_ratio", "hyperaemia_ratio_imaged", "delayed_ratio_imaged", "hyperaemic", "increased",
)  # fmt: skip
_PARTS = ("source", "target", "valid", "lesion", "hyperaemia")


@dataclass(frozen=True)
class Order:
    """What to write. cases: patients. region: one of REGIONS or "auto". views: of each patient; () for both views of
    the whole body and the anterior one elsewhere. groups: taken in turn.
    """

    cases: int
    seed: int = 0
    region: str = "auto"
    views: tuple[str, ...] = ()
    groups: tuple[str, ...] = tuple(AUTO)
    dicom: bool = False
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if not 1 <= self.cases <= 99999 or self.seed < 0:
            raise InputError(f"Ask for 1 to 99999 cases and a seed of at least 0; got {self.cases} and {self.seed}.")
        if self.region not in (*REGIONS, "auto"):
            raise InputError(f"There is no region {self.region!r}; there are auto, {', '.join(REGIONS)}.")
        unknown = [g for g in self.groups if g not in AUTO] + [v for v in self.views if v not in VIEWS]
        if unknown or not self.groups or len(set(self.views)) != len(self.views):
            raise InputError(
                f"Unknown or repeated: {', '.join(unknown) or 'groups and views'}; groups are {', '.join(AUTO)}, "
                f"views {', '.join(VIEWS)}."
            )


def write_cases(
    order: Order, output: Path, progress: Callable[[int, int], None] | None = None, workers: int = 1
) -> list[dict[str, Any]]:
    """Write the cases of an order, or those still missing; returns the rows of `disease.csv`.

    progress: called with (patients done, patients). workers: processes. Raises InputError where the folder holds other
    settings, RunFailed where it cannot be written.
    """
    _check_sites(order)
    make_folder(output)
    _claim(order, output)
    order = replace(order, cases=max(order.cases, _recorded(output)))
    records: list[dict[str, Any]] = []
    for done, made in enumerate(_patients(order, output, workers), 1):
        records += made
        if progress:
            progress(done, order.cases)
    _tables(order, records, output)
    write_sheet(output, [record["disease"]["case"] for record in records], COMMENT)
    return [record["disease"] for record in records]


def _check_sites(order: Order) -> None:
    """InputError before anything is written where a group has no site in the region."""
    if order.region != "auto":
        anatomy, canvas = REGIONS[order.region].build(Body()), canvas_of(order.region, Body())
        for group in order.groups:
            plan(group, order.settings.relations, anatomy, canvas, np.random.default_rng(0), 0.0)


def _recorded(output: Path) -> int:
    """How many patients an earlier run got to: the tables keep them all."""
    numbers = [re.fullmatch(r"bone(\d{5})-.+", path.stem) for path in (output / "records").glob("*.json")]
    return max((int(found[1]) + 1 for found in numbers if found), default=0)


def _patients(order: Order, output: Path, workers: int) -> Iterator[list[dict[str, Any]]]:
    """Each patient's records in order; in processes where there are several, which changes no byte."""
    numbers = range(order.cases)
    if workers <= 1 or order.cases == 1:
        yield from (_patient(order, number, output) for number in numbers)
        return
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches the whole group; the parent alone answers it.
    quiet = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(
        min(workers, order.cases), mp_context=context, initializer=signal.signal, initargs=quiet
    ) as pool:
        try:
            yield from pool.map(_patient, repeat(order), numbers, repeat(output), chunksize=4)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _patient(order: Order, number: int, output: Path) -> list[dict[str, Any]]:
    """The records of one patient's views: read where they are complete, made otherwise."""
    group = order.groups[number % len(order.groups)]
    seeds = np.random.SeedSequence([order.seed, number]).spawn(2)
    regions = AUTO[group] if order.region == "auto" else (order.region,)
    region = str(np.random.default_rng(seeds[0]).choice(regions))
    views = order.views or (VIEWS if region == "whole_body" else VIEWS[:1])
    patient = f"bone{number:05d}"
    names = [f"{patient}-{region.replace('_', '')}-{view}" for view in views]
    found = [_complete(output, name, order.dicom) for name in names]
    if all(record is not None for record in found):
        return [record for record in found if record is not None]
    invented, pairs = simulate(seeds[1], group, region, views, order.settings)
    return [_write(order, invented, pair, patient, name, output) for pair, name in zip(pairs, names)]


def _complete(output: Path, name: str, dicom: bool) -> dict[str, Any] | None:
    """The record of a case whose files are all there."""
    path = output / "records" / f"{name}.json"
    files = [output / part / f"{name}.nrrd" for part in _PARTS]
    files += [output / "dicom" / name / f"{phase}.dcm" for phase in ("pool", "delayed")] if dicom else []
    if not path.is_file() or not all(file.is_file() for file in files):
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return None


def _write(order: Order, invented: Patient, pair: Pair, patient: str, name: str, output: Path) -> dict[str, Any]:
    labels = (
        _labels([imaged.lesion_roi for imaged in pair.lesions], pair.delayed.shape),
        _labels([imaged.hyperaemia_roi & imaged.lesion.hyperaemic for imaged in pair.lesions], pair.delayed.shape),
    )
    images = (pair.pool, pair.delayed, np.ones(pair.pool.shape, np.uint8), *labels)
    for part, image in zip(_PARTS, images):
        modality = "NM" if part in ("source", "target") else ""
        volume = Volume(
            image[None], (pair.spacing, pair.spacing, 1.0), name=f"{name} {part}", modality=modality, notes=(COMMENT,)
        )
        write_volume(volume, make_folder(output / part) / f"{name}.nrrd")
    if order.dicom:
        folder = make_folder(output / "dicom" / name)
        for phase, file, counts, minutes in (
            ("blood pool", "pool", pair.pool, order.settings.pool_minutes),
            ("delayed", "delayed", pair.delayed, order.settings.delayed_minutes),
        ):
            write_planar(
                counts, folder / f"{file}.dcm", case=name, patient=patient, phase=phase, view=pair.view,
                spacing=pair.spacing, whole_body=pair.region == "whole_body", minutes=minutes,
            )  # fmt: skip
    record = {
        "disease": _disease_row(order, invented, pair, patient, name),
        "lesions": [_lesion_row(invented, pair, n, imaged, patient, name) for n, imaged in enumerate(pair.lesions, 1)],
    }
    write_text(make_folder(output / "records") / f"{name}.json", json.dumps(record, indent=1) + "\n")
    return record


def _labels(regions: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    for number, region in enumerate(regions, 1):
        labels[region] = number
    return labels


def _disease_row(order: Order, invented: Patient, pair: Pair, patient: str, name: str) -> dict[str, Any]:
    relation = order.settings.relations.get(invented.group)
    return {
        "case": name,
        "patient": patient,
        "group": invented.group,
        "region": pair.region,
        "view": pair.view,
        "seed": order.seed,
        "rho": "" if relation is None else relation.rho,
        "lesions": sum(imaged.lesion.group == invented.group for imaged in pair.lesions),
        "pool_counts": int(pair.pool.sum()),
        "delayed_counts": int(pair.delayed.sum()),
        "pool_minutes": order.settings.pool_minutes,
        "delayed_minutes": order.settings.delayed_minutes,
        "spacing_mm": pair.spacing,
        "height_mm": round(invented.body.height, 1),
        "girth": round(invented.body.girth, 3),
        "bone_percent": round(100 * invented.late.bone, 2),
        "urine_percent": round(100 * invented.late.urine, 2),
        "blood_percent": round(100 * invented.late.blood, 2),
    }


def _lesion_row(invented: Patient, pair: Pair, number: int, imaged: Imaged, patient: str, name: str) -> dict[str, Any]:
    lesion = imaged.lesion
    region = imaged.lesion_roi if imaged.lesion_roi.any() else imaged.hyperaemia_roi
    row, column = (float(v.mean()) for v in np.nonzero(region)) if region.any() else (float("nan"), float("nan"))
    return {
        "case": name,
        "patient": patient,
        "group": invented.group,
        "lesion": number,
        "cause": lesion.group,
        "site": lesion.site.word,
        "place": lesion.site.place,
        "side": lesion.site.side,
        "row": round(row, 2),
        "column": round(column, 2),
        "size_mm": round(lesion.size_mm, 2),
        "hyperaemia_ratio": round(lesion.hyperaemia_ratio, 4),
        "delayed_ratio": round(lesion.delayed_ratio, 4),
        "hyperaemia_ratio_imaged": round(imaged.hyperaemia_imaged, 4),
        "delayed_ratio_imaged": round(imaged.delayed_imaged, 4),
        "hyperaemic": int(lesion.hyperaemic),
        "increased": int(lesion.increased),
    }


def _claim(order: Order, output: Path) -> None:
    """Write the settings, or see that those there are the same; the number of cases may grow."""
    wanted = json.loads(json.dumps(_settings(order)))
    path = output / "settings.json"
    if path.is_file():
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is damaged; remove the folder or choose another one with -o.") from error
        if there != wanted:
            raise InputError(
                f"{output} holds cases of other settings or another version; choose another folder with -o."
            )
    elif any(output.iterdir()):
        raise InputError(f"{output} holds other files; choose an empty folder with -o.")
    else:
        write_text(path, json.dumps(wanted, indent=1) + "\n")


def _settings(order: Order) -> dict[str, Any]:
    return {
        "simulator": "three-phase bone scan",
        "note": COMMENT,
        "version": __version__,
        "seed": order.seed,
        "region": order.region,
        "views": list(order.views),
        "groups": list(order.groups),
        "increased_from": INCREASED,
        **asdict(order.settings),
    }


def _tables(order: Order, records: list[dict[str, Any]], output: Path) -> None:
    diseases = [record["disease"] for record in records]
    _csv(output / "disease.csv", DISEASE_FIELDS, diseases)
    _csv(output / "lesions.csv", LESION_FIELDS, [row for record in records for row in record["lesions"]])
    listed = [
        {
            "case": row["case"],
            "patient": row["patient"],
            "facts": {fact: row[fact] for fact in ("group", "region", "view")},
            **{part: f"{part}/{row['case']}.nrrd" for part in _PARTS[:3]},
        }
        for row in diseases
    ]
    settings = {**_settings(order), "source_modality": "NM", "target_modality": "NM", "registration": "none needed"}
    write_text(output / "cases.json", json.dumps({"settings": settings, "cases": listed}, indent=1) + "\n")


def _csv(path: Path, fields: Sequence[str], rows: list[dict[str, Any]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fields)
        writer.writeheader()
        writer.writerows(rows)
