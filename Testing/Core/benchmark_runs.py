"""Tiny networks and a tiny preset with which the tests run a benchmark."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from imagetranslation.errors import ImageTranslationError
from training_tools import benchmark
from training_tools.benchmarking import entries
from training_tools.benchmarking.cells import read_plan

from .training_runs import tiny_config

PIX2PIX, REGRESSION, PERCEPTUAL, BROKEN = "2D-Pix2Pix", "2D-Regression", "2D-PerceptualPix2Pix", "3D-UNet"
NETWORKS = {PIX2PIX: "pix2pix", REGRESSION: "regression", PERCEPTUAL: "perceptual-pix2pix"}
FEW_STEPS = 0.05  # seconds of training


def tiny_networks(folder: Path, networks: tuple[str, ...] = tuple(NETWORKS)) -> Path:
    """Configurations of networks that can be trained in a second and of one that cannot, and presets, all tiny."""
    place = folder / "us2mri"
    place.mkdir(parents=True)
    for entry in networks:
        objective = NETWORKS[entry]
        text = tiny_config(objective, held_out=(), id=entry.lower()).model_dump_json(exclude={"card"})
        (place / f"{entry}.json").write_text(text)
    impossible = tiny_config("regression", 3, held_out=(), source={"spatial_dims": 3, "patch_size": [7, 15, 15]})
    (place / f"{BROKEN}.json").write_text(impossible.model_dump_json(exclude={"card"}))
    tiny = {"seconds": FEW_STEPS, "folds": 2, "split_folds": 2, "heading": "tiny", "encoder_steps": 2, "changes": {}}
    (place / "presets.json").write_text(json.dumps(dict.fromkeys(("tiny", "quick", "standard", "full"), tiny)))
    return folder


def arguments(data: Path, output: Path, *more: str) -> list[str]:
    """Of the command, for the tiny preset."""
    own = ["--task", "us2mri", "--data", str(data), "--preset", "tiny", "--threads", "1", "--alike", "1"]
    return [*own, "-o", str(output), *more]


def run_benchmark(data: Path, networks: Path, output: Path) -> Path:
    """A benchmark of the tiny networks, run to its end in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries, "CONFIGS", networks)
        patch.setattr(benchmark, "run_apart", here)
        assert benchmark.main(arguments(data, output)) == 0
    return output


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def here(output: Path, number: int) -> None:
    """As `benchmark.run_apart`, in this process: a new one takes seconds to begin."""
    try:
        benchmark.run_one(read_plan(output), number)
    except ImageTranslationError as error:
        print(error, file=sys.stderr)
