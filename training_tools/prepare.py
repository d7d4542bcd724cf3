"""From folders of unaligned pairs to training cases on one grid, with a report on how well they were aligned.

For each pair the target (MR) is registered to the source (ultrasound) and resampled to the source's grid; the source
is not touched. Output folder: `source/`, `target/`, `valid/` and, with labels, `source_label/` and `target_label/`
(one NRRD a case), `cases.json` (files, settings, versions), `report.csv`, `report.json` and the sheet `report.png`.
The same input gives the same bytes. Intensities are left as they are: `imagetranslation.intensity` normalises later.

Run: python -m training_tools.prepare --source us --target mr --source-labels us_labels --target-labels mr_labels -o DIR
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.fieldofview import field_of_view
from imagetranslation.files import as_sentence, atomic_path, make_folder, sha256_of, write_text
from imagetranslation.volume import Volume, check_usable, read_volume, write_volume

from . import registration
from .console import run
from .pairs import PairFiles, list_pairs, read_label
from .sheet import write_sheet

FIELDS = ("case", "method", "dice_before", "dice_after", "shift_mm", "least_jacobian", "valid_fraction")


@dataclass(frozen=True)
class Quality:
    """One row of the report; Dice is None without labels. dice_before: on the headers' geometry, nothing moved.

    shift_mm: displacement of the source grid's centre. least_jacobian: smallest local volume ratio.
    valid_fraction: share of the source's field of view that the target's voxels cover.
    """

    case: str
    method: str
    dice_before: float | None
    dice_after: float | None
    shift_mm: float
    least_jacobian: float
    valid_fraction: float


@dataclass(frozen=True)
class Prepared:
    """One case on the source's grid. valid: uint8, where the source was recorded and the target has voxels."""

    source: Volume
    target: Volume
    valid: Volume
    source_label: Volume | None
    target_label: Volume | None
    quality: Quality


def prepare(
    pairs: list[PairFiles],
    output: Path,
    *,
    method: str = "scale",
    source_modality: str = "US",
    target_modality: str = "MR",
) -> list[Quality]:
    """Register and write every pair; returns the report's rows. Raises InputError at the first unusable pair."""
    make_folder(output)
    # Earlier pairs' list goes first: after a failure it would name files of two runs.
    with as_sentence(output / "cases.json"):
        (output / "cases.json").unlink(missing_ok=True)
    rows, files = [], []
    for pair in pairs:
        case = prepare_pair(pair, method=method, source_modality=source_modality, target_modality=target_modality)
        files.append(_write_case(case, pair, output))
        rows.append(case.quality)
    settings = {
        "registration": method,
        "source_modality": source_modality,
        "target_modality": target_modality,
        "software": {
            "imagetranslation": __version__,
            "SimpleITK": sitk.Version.VersionString(),
            "numpy": np.__version__,
        },
    }
    _write_json(output / "cases.json", {"settings": settings, "cases": files})
    _write_report(rows, settings, output)
    write_sheet(output, [row.case for row in rows])
    return rows


def prepare_pair(pair: PairFiles, *, method: str, source_modality: str, target_modality: str) -> Prepared:
    """Read, register and resample one pair; see `Prepared`."""
    source = read_volume(pair.source)
    target = read_volume(pair.target)
    for volume in (source, target):
        check_usable(volume)
    fixed, moving = _float_image(source), _float_image(target)
    fan = field_of_view(Volume(source.array, modality=source_modality, field_of_view=source.field_of_view))
    seen = source.with_array(fan.astype(np.uint8))
    labels = None
    if pair.source_label and pair.target_label:
        own, other = read_label(pair.source_label, source), read_label(pair.target_label, target)
        labels = registration.to_sitk(own), registration.to_sitk(other)
        found = registration.register_labels(*labels, method=method)
    else:
        found = registration.register_images(fixed, moving, registration.to_sitk(seen))
    valid = fan & _covered(moving, fixed, found.transform)
    if not valid.any():
        raise InputError(
            f"{pair.case}: after registration {pair.target.name} does not overlap the field of view of its source."
        )
    quality = Quality(
        case=pair.case,
        method=found.method,
        dice_before=_dice(labels, None),
        dice_after=_dice(labels, found.transform),
        shift_mm=_shift(fixed, found.transform),
        least_jacobian=round(found.least_jacobian, 4),
        valid_fraction=round(float(valid.sum() / fan.sum()), 4),
    )

    def on_grid(image: sitk.Image, name: str, **changes: Any) -> Volume:
        return source.with_array(sitk.GetArrayFromImage(image), name=name, field_of_view=None, **changes)

    return Prepared(
        source=source.with_array(source.array, modality=source_modality),
        target=on_grid(
            registration.resample(moving, fixed, found.transform), pair.target.name, modality=target_modality
        ),
        valid=source.with_array(valid.astype(np.uint8), name="valid", field_of_view=None),
        source_label=on_grid(labels[0], "source label") if labels else None,
        target_label=on_grid(registration.resample(labels[1], labels[0], found.transform, labels=True), "target label")
        if labels
        else None,
        quality=quality,
    )


def _float_image(volume: Volume) -> sitk.Image:
    return sitk.Cast(registration.to_sitk(volume), sitk.sitkFloat32)


def _covered(moving: sitk.Image, fixed: sitk.Image, transform: sitk.Transform) -> np.ndarray:
    """Where the target's grid has recorded voxels: inside its extent and outside its constant padding.

    Padding is whole slices, rows or columns of one value at the ends of an axis (case after case of the public pairs
    carries black end slices), which the registered image must not teach.
    """
    array = sitk.GetArrayViewFromImage(moving)
    kept = np.ones(array.shape, dtype=np.uint8)
    for axis in range(3):
        flat = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
        constant = np.ptp(flat, axis=1) == 0
        first, last = int(np.argmin(constant)), len(constant) - int(np.argmin(constant[::-1]))
        ends = np.moveaxis(kept, axis, 0)
        ends[:first], ends[last:] = 0, 0
    image = sitk.GetImageFromArray(kept)
    image.CopyInformation(moving)
    return sitk.GetArrayFromImage(registration.resample(image, fixed, transform, labels=True)) > 0


def _dice(labels: tuple[sitk.Image, sitk.Image] | None, transform: sitk.Transform | None) -> float | None:
    if labels is None:
        return None
    moved = registration.resample(labels[1], labels[0], transform or sitk.Transform(3, sitk.sitkIdentity), labels=True)
    return round(registration.dice(sitk.GetArrayViewFromImage(labels[0]), sitk.GetArrayViewFromImage(moved)), 4)


def _shift(image: sitk.Image, transform: sitk.Transform) -> float:
    centre = np.asarray(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    return round(float(np.linalg.norm(np.asarray(transform.TransformPoint(centre.tolist())) - centre)), 3)


def _write_case(case: Prepared, pair: PairFiles, output: Path) -> dict[str, Any]:
    record: dict[str, Any] = {"case": pair.case}
    for part in ("source", "target", "valid", "source_label", "target_label"):
        volume = getattr(case, part)
        if volume is not None:
            path = make_folder(output / part) / f"{pair.case}.nrrd"
            write_volume(volume, path)
            record[part] = str(path.relative_to(output))
    record["from"] = {"source": sha256_of(pair.source), "target": sha256_of(pair.target)}
    return record


def _write_report(rows: list[Quality], settings: dict[str, Any], output: Path) -> None:
    with atomic_path(output / "report.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    _write_json(
        output / "report.json", {"settings": settings, "cases": [asdict(row) for row in rows], **_summary(rows)}
    )


def _summary(rows: list[Quality]) -> dict[str, Any]:
    """Mean Dice before and after over the cases with labels."""
    labelled = [row for row in rows if row.dice_after is not None]
    if not labelled:
        return {"labelled": 0}
    before = float(np.mean([row.dice_before for row in labelled]))
    after = float(np.mean([row.dice_after for row in labelled]))
    return {"labelled": len(labelled), "mean_dice_before": round(before, 4), "mean_dice_after": round(after, 4)}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.prepare", description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of source volumes (ultrasound)")
    parser.add_argument("--target", type=Path, required=True, help="folder of target volumes (MR), same file names")
    parser.add_argument("--source-labels", type=Path, help="folder of gland labels on the sources")
    parser.add_argument("--target-labels", type=Path, help="folder of gland labels on the targets")
    parser.add_argument("--method", choices=registration.METHODS, default="scale", help="with labels (default: scale)")
    parser.add_argument("--source-modality", default="US")
    parser.add_argument("--target-modality", default="MR")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    options = parser.parse_args(arguments)
    pairs = list_pairs(options.source, options.target, options.source_labels, options.target_labels)
    rows = prepare(
        pairs,
        options.output,
        method=options.method,
        source_modality=options.source_modality,
        target_modality=options.target_modality,
    )
    print(json.dumps({"cases": len(rows), **_summary(rows), "report": str(options.output / "report.json")}))
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
