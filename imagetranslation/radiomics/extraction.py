"""One image and its regions to features: preparation, engine, cache; and the files that keep the result."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError
from ..files import write_text
from ..volume import Volume
from .cache import Cache, image_hash
from .engine import Cancel, Engine, Progress, RoiResult
from .preprocess import prepare
from .roi import Roi
from .settings import Settings

COLUMNS = (
    "image", "roi", "label", "feature", "ibsi", "family", "aggregation", "image_type", "engine_name", "value", "unit",
    "engine", "engine_version", "feature_set", "roi_sha256", "roi_voxels", "roi_volume_mm3", "roi_first_voxel",
    "roi_box_voxels", "settings_sha256", "image_sha256",
)  # fmt: skip


def extract(
    image: Volume,
    rois: Sequence[Roi],
    settings: Settings,
    engine: Engine,
    *,
    tissue: Volume | None = None,
    shape: bool = True,
    workers: int = 1,
    scheduler: str = "",
    cache: Cache | None = None,
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
) -> list[RoiResult]:
    """Features of `image` under each region, in their order.

    tissue: labelmap for normalisation and bias field, the same for all images of a comparison. shape: with morphology;
    False for the second and third image under one region. workers: processes. scheduler: address of a Dask scheduler
    to work on instead. A region that cannot be used gives a
    result whose `refused` says why. Raises InputError for what concerns the image, Cancelled.
    """
    prepared = prepare(image, settings, tissue, rois)
    results: list[RoiResult | None] = [None] * len(rois)
    keys = [""] * len(rois)
    if cache is not None:
        content = image_hash(prepared)
        keys = [cache.key(content, roi, settings, engine, shape) for roi in rois]
        results = [cache.get(key, roi) for key, roi in zip(keys, rois)]
    open_ = [number for number, result in enumerate(results) if result is None]
    if open_:
        made = engine.extract(
            prepared, [rois[number] for number in open_], settings, shape=shape, workers=workers,
            scheduler=scheduler, progress=progress, cancelled=cancelled,
        )  # fmt: skip
        for number, result in zip(open_, made):
            results[number] = result
            if cache is not None:
                cache.put(keys[number], result)
    return [result.with_warnings(*prepared.notes) for result in results if result is not None]


def extract_one(image: Volume, roi: Roi, settings: Settings, engine: Engine, **options: Any) -> RoiResult:
    """`extract` for one region; InputError with its sentence where the region cannot be used."""
    (result,) = extract(image, [roi], settings, engine, **options)
    if result.refused:
        raise InputError(result.refused)
    return result


def rows(results: Sequence[RoiResult], image: Volume, image_sha256: str = "") -> list[dict[str, Any]]:
    """One row a feature and region, with `COLUMNS`; a value that is not defined is empty."""
    content = image_sha256 or image_hash(image)
    return [
        {
            "image": image.name, "roi": result.roi["name"], "label": result.roi["label"], "feature": feature.name,
            "ibsi": feature.ibsi, "family": feature.family, "aggregation": feature.aggregation,
            "image_type": feature.image_type, "engine_name": feature.engine_name,
            "value": repr(feature.value) if math.isfinite(feature.value) else "", "unit": feature.unit,
            "engine": result.engine, "engine_version": result.engine_version, "feature_set": result.feature_set,
            "roi_sha256": result.roi["sha256"], "roi_voxels": result.roi["voxels"],
            "roi_volume_mm3": repr(result.roi["volume_mm3"]), "roi_first_voxel": _by(result.roi["first_voxel"]),
            "roi_box_voxels": _by(result.roi["box_voxels"]), "settings_sha256": result.settings["sha256"],
            "image_sha256": content,
        }
        for result in results for feature in result.features
    ]  # fmt: skip


def report(results: Sequence[RoiResult], image: Volume) -> dict[str, Any]:
    """Everything in one mapping for JSON. With one region its features and values stand at the top as well."""
    whole = {
        "imagetranslation": __version__,
        "image": {
            "name": image.name, "path": str(image.attributes.get("path", "")), "modality": image.modality,
            "sha256": image_hash(image), "synthetic": image.synthetic, "size": list(image.array.shape[::-1]),
            "spacing_mm": list(image.spacing), "notes": list(image.notes),
        },
        "rois": [result.to_dict() for result in results],
    }  # fmt: skip
    if len(results) == 1:
        only: dict[str, Any] = results[0].to_dict()
        return {**whole, **only}
    shared = ("engine", "engine_version", "feature_set", "settings", "isolation")
    first = results[0].to_dict()
    return {**whole, **{key: first[key] for key in shared}}


def check_table(path: str | Path, *inputs: str | Path | None) -> Path:
    """The path of a table to write; InputError with one sentence where it is not one.

    inputs: files that are read, none of which the table or the JSON beside it may replace.
    """
    target = Path(path)
    if target.suffix.lower() != ".csv":
        raise InputError(f"The table is written as .csv, not as {target.name}; give a name ending in .csv.")
    if target.is_dir():
        raise InputError(f"{target} is a folder; give the name of a .csv file.")
    written = {target.resolve(), target.with_suffix(".json").resolve()}
    if taken := [name for name in inputs if name is not None and Path(name).resolve() in written]:
        raise InputError(f"The table and the JSON beside it would replace {taken[0]}; give another name with -o.")
    return target


def write_results(results: Sequence[RoiResult], image: Volume, path: str | Path) -> Path:
    """A tidy CSV of all features, and a JSON of the same name beside it with all settings; returns the CSV's path."""
    target = check_table(path)
    whole = report(results, image)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows(results, image, whole["image"]["sha256"]))
    write_text(target, text.getvalue())
    write_text(target.with_suffix(".json"), json.dumps(whole, indent=1) + "\n")
    return target


def _by(values: Sequence[int]) -> str:
    return " ".join(str(value) for value in values)
