"""A tiny study for tests: tiny networks, tiny prepared pairs, PyRadiomics in place of the slower MIRP."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from training_tools import benchmark, leaks, reproduce
from training_tools.benchmarking import entries
from training_tools.reproducing import preserving
from training_tools.reproducing.choices import Choices
from training_tools.reproducing.sizes import sizes_for

from .benchmark_runs import here, tiny_networks
from .training_runs import prepared_pairs


def tiny(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a study take tiny networks, in this process."""
    from imagetranslation.radiomics.engine import make_engine

    if not folder.exists():
        tiny_networks(folder)
    patch.setattr(entries, "CONFIGS", folder)
    patch.setattr(benchmark, "run_apart", here)
    patch.setattr(leaks, "NEAR_DUPLICATE", 1.0)  # ellipsoids are more alike than patients
    patch.setattr(preserving, "best_engine", lambda wanted: make_engine("pyradiomics"))
    patch.delenv("SLURM_ARRAY_TASK_ID", raising=False)


def pairs(folder: Path, cases: int, labels: bool) -> Path:
    """Prepared pairs with a lesion each, and with labels, by turns, where they are wanted."""
    prepared = prepared_pairs(folder, cases)
    path = prepared / "cases.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    for number, case in enumerate(about["cases"] if labels else ()):
        case["facts"] = {"label": str(number % 2)}
    path.write_text(json.dumps(about), encoding="utf-8")
    return prepared


def visits(folder: Path) -> Path:
    """Prepared pairs as a collection of patients has them: ten with a label, one of them with a second visit; p10
    without a label; p11 with another one at each visit."""
    prepared = pairs(folder, 14, labels=True)
    path = prepared / "cases.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    facts = {"case10": ("p10", None), "case11": ("p11", "0"), "case12": ("p11", "1"), "case13": ("case0", None)}
    for case in about["cases"]:
        if case["case"] in facts:
            case["patient"], label = facts[case["case"]]
            case["facts"] = {} if label is None else {"label": label}
    path.write_text(json.dumps(about), encoding="utf-8")
    return prepared


def choices(prepared: Path, output: Path) -> Choices:
    """A study of prepared pairs in seconds."""
    sizes = replace(
        sizes_for("us2mri", True), preset="tiny", translator_seconds=0.05, folds=2, draws=100, readers=2, read=2,
        only=("2D-Pix2Pix",),
        classifiers=("resnet10",),
    )  # fmt: skip
    return Choices("us2mri", str(prepared), output, True, sizes, 1)


def main(prepared: str, output: str, networks: str) -> None:
    """A tiny study in a process of its own, to be killed."""
    with pytest.MonkeyPatch.context() as patch:
        tiny(patch, Path(networks))
        reproduce.reproduce(choices(Path(prepared), Path(output)))


if __name__ == "__main__":
    main(*sys.argv[1:])
