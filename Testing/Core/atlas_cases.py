"""Tested cases with planted errors, maps and lesions, as files that an atlas is made from."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.deviationmaps import map_path
from imagetranslation.inference import voxels_sha256
from imagetranslation.provenance import Provenance
from imagetranslation.volume import Volume, write_volume
from training_tools.config import Config
from training_tools.dataset import Case, load_case
from training_tools.evaluating import writing

from .training_runs import tiny_config

WEIGHTS = "ab" * 32
SHAPE = (4, 24, 20)
QUANTITY = {"name": "standard deviation", "unit": "grey values", "calibrated": True, "patients": 12, "method": "tta"}
# Case, random numbers of it -> error (signed) and deviation, float32 (k, j, i), grey values.
Planted = Callable[[Case, np.random.Generator], "tuple[np.ndarray, np.ndarray]"]


def proportional(case: Case, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Errors of either sign, as large as the map says give or take a tenth."""
    deviation = random.uniform(1, 10, case.reference.shape)
    error = deviation * random.uniform(0.9, 1.1, deviation.shape) * random.choice((-1, 1), deviation.shape)
    return error.astype(np.float32), deviation.astype(np.float32)


def shuffled(case: Case, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Errors and deviations of the same sizes, that know nothing of each other."""
    return proportional(case, random)[0], proportional(case, random)[1]


def prepared(folder: Path, cases: int, shape: tuple[int, int, int] = SHAPE, simulated: bool = False) -> Path:
    """Prepared pairs of noise in the middle of the range, so that no planted error is cut off."""
    for part in ("source", "target", "valid"):
        (folder / part).mkdir(parents=True)
    for number in range(cases):
        random = np.random.default_rng(number)
        images = {part: random.uniform(80, 170, shape).astype(np.float32) for part in ("source", "target")}
        for part, array in {**images, "valid": np.ones(shape, np.uint8)}.items():
            write_volume(Volume(array, modality="NM"), folder / part / f"case{number}.nrrd")
    settings = {"simulated": "made up"} if simulated else {}
    record = {"settings": settings, "cases": [{"case": f"case{n}", "patient": f"P{n}"} for n in range(cases)]}
    (folder / "cases.json").write_text(json.dumps(record))
    return folder


def a_config() -> Config:
    """Targets keep their grey values within 0 to 255."""
    linear = {"name": "percentile", "lower": 0, "upper": 100}
    flat = {"modality": "NM", "field_of_view": "whole", "normalisation": linear}
    return tiny_config("regression", source=flat, target={"modality": "NM", "normalisation": linear}, held_out=())


def evaluated(
    folder: Path, data: Path, planted: Planted = proportional, sizes: dict[str, float] | None = None, cases: int = 8
) -> Path:
    """An evaluation of images with planted errors: `folder`/images with maps, and `folder`/evaluation.

    sizes: by which errors and deviations of a case are multiplied.
    """
    config, scores = a_config(), {}
    (folder / "images").mkdir(parents=True)
    for number in range(cases):
        case = load_case(data, config, f"case{number}")
        error, deviation = planted(case, np.random.default_rng([5, number]))
        size = (sizes or {}).get(case.name, 1.0)
        # Towards the middle of the range, where there is room for it.
        image = case.reference + np.where(case.reference > 127, -1, 1) * np.abs(error * size)
        write_image(folder / "images", case, image, deviation * size)
        scores[case.name] = {"mae": float(np.abs(image - case.reference).mean()), "ssim": 1 - 0.01 * size}
    output = folder / "evaluation"
    output.mkdir()
    writing.write_scores(
        {"planted": scores}, {name: name.replace("case", "P") for name in scores}, output / "scores.csv"
    )
    settings = {
        "config": config.model_dump(mode="json", exclude={"card"}), "tested": list(scores),
        "methods": {"planted": str(folder / "images")}, "weights": {"planted": WEIGHTS},
    }  # fmt: skip
    (output / "evaluation.json").write_text(json.dumps({"settings": settings}))
    return output


def write_image(folder: Path, case: Case, image: np.ndarray, deviation: np.ndarray, weights: str = WEIGHTS) -> None:
    """A synthetic image and its uncertainty map, as `imagetranslation translate --uncertainty` leaves them."""
    record = Provenance(
        "planted",
        "1.0.0",
        weights,
        "us2mri",
        "NM",
        case.name,
        voxels_sha256(case.source),
        "2026-01-01T00:00:00Z",
        "test",
    )
    path = folder / f"{case.name}.nrrd"
    write_volume(case.source.with_array(image.astype(np.float32), name=case.name, provenance=record), path)
    told = Provenance.from_dict({**record.to_dict(), "quantity": QUANTITY})
    write_volume(case.source.with_array(deviation.astype(np.float32), name="map", provenance=told), map_path(path))


def lesion_tables(folder: Path, cases: list[str], weights: str = "", **record: Any) -> Path:
    """What `training_tools.lesions` writes: in every case one lesion found and one missed, and one invented mark.

    weights: that the images which were read bear.
    """
    folder.mkdir()
    rows = [
        {"case": case, "patient": case.replace("case", "P"), "group": "G", "lesion": number, "outcome": outcome,
         "slice": 1, "row": 6, "column": 8, "refused": ""}
        for case in cases for number, outcome in enumerate(("found", "missed"), 1)
    ]  # fmt: skip
    marks = [{"case": case, "patient": "P", "slice": 2, "row": 15, "column": 10, "score": 2.5, "invented": 1}
             for case in cases]  # fmt: skip
    images = [{"case": case, "patient": "P", "false_positives": 1, "weights_sha256": weights} for case in cases]
    for name, content in (("lesions", rows), ("marks", marks), ("images", images)):
        with (folder / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(content[0]))
            writer.writeheader()
            writer.writerows(content)
    (folder / "lesions.json").write_text(json.dumps({"task": "us2mri", **record}))
    return folder
