"""Which steps a study has, in which order, what each reads, and by which files it is known; the work is `working`'s."""

from __future__ import annotations

from functools import partial

from ..benchmarking.entries import entries, preset
from . import data, working
from .choices import Choices
from .helping import OUTCOME
from .stamps import Step

# The simulator's own truth, which the reading of lesions is given.
_TRUTH = ("simulated/lesions.csv", "simulated/simulation.json", "simulated/us_zones/*")
INNER = 3  # parts within each outer fold of a nested cross-fit, as `training_tools.crossfit` has it
# For the estimates, by two cores of a server's processor in November 2026; see Resources/Docs/reproduce.md.
_OVERHEAD_OF_A_CELL, _SECONDS_OF_FEATURES, _BYTES_OF_A_VOXEL = 25.0, 2.2, 40.0


def steps(choices: Choices) -> list[Step]:
    """All of the task's, in order; the report is written when they are done."""
    made = [_prepared(choices), _benchmark(choices), *_translations(choices), _preservation(choices)]
    made += [_classification(choices)] if choices.task == "us2mri" else []
    made += [_lesions(choices)]
    made += [_sweep(choices)] if choices.task == "pool2delayed" and choices.simulated else []
    return [*made, _atlas(choices), _study(choices)]


def _prepared(choices: Choices) -> Step:
    s, size = choices.sizes, _voxels(choices)
    return Step(
        "prepared", "data and their preparation", "prepared", (),
        ("data.json", *(f"cases/{pattern}" for pattern in (*data.TABLES, data.IMAGES)), *_TRUTH),
        partial(working.prepare, choices),
        {"sizes": s.record()}, choices.patients * (0.5 + 4e-6 * size), choices.patients * size * 16,
    )  # fmt: skip


def _benchmark(choices: Choices) -> Step:
    s = choices.sizes
    chosen = preset(choices.task, s.preset)
    count = len(s.only) or sum(path is not None for path in entries(choices.task).values())
    cell = (s.seconds or chosen.seconds) + _OVERHEAD_OF_A_CELL
    return Step(
        "benchmark", "all networks compared", "benchmark", ("prepared",),
        ("leaderboard.csv", "summary.csv", "scores.csv", "index.html"), partial(working.benchmark, choices),
        {"preset": s.preset, "seconds": s.seconds, "only": list(s.only), "threads": s.threads, "seed": s.seed},
        count * chosen.folds * cell, count * 6e7 + choices.patients * _voxels(choices) * _BYTES_OF_A_VOXEL,
        "index.html",
    )  # fmt: skip


def _translations(choices: Choices) -> list[Step]:
    s, n = choices.sizes, choices.patients
    translators = s.folds * (1 + INNER) if s.scheme == "nested" else s.folds
    return [
        Step(
            "translators", "cross-fitted translators", "translators", ("prepared",),
            ("crossfit/crossfit.json", "crossfit/images.csv", "crossfit/images/*/*"),
            partial(working.translate, choices), working.cross_fit(choices),
            translators * s.translator_seconds + n * _image_seconds(choices) * translators / s.folds,
            n * _voxels(choices) * 4 * translators / s.folds,
        ),
        Step(
            "evaluation", "scores of the cross-fitted images", "evaluation", ("prepared", "translators"),
            ("evaluation.json", "scores.csv", "summary.csv", "images/*"), partial(working.evaluate, choices),
            seconds=n * 6 * _image_seconds(choices),
        ),
    ]  # fmt: skip


def _preservation(choices: Choices) -> Step:
    s = choices.sizes
    return Step(
        "preservation", "features that survive", "preservation", ("prepared", "evaluation"),
        ("report/features.csv", "report/preservation.json"), partial(working.preserve, choices),
        {"draws": s.draws, "seed": s.seed, "features": s.features},
        4 * choices.patients * _SECONDS_OF_FEATURES / choices.workers, 2e7,
        "report/report.html",
    )  # fmt: skip


def _classification(choices: Choices) -> Step:
    s = choices.sizes
    return Step(
        "classification", "classification", "classification", ("prepared", "translators"),
        (f"{OUTCOME}/classification.json",), partial(working.classify, choices),
        {"classifiers": list(s.classifiers), "folds": s.folds, "positive": choices.positive},
        7 * len(s.classifiers) * s.folds * 2.5, 1e6,
        f"{OUTCOME}/index.html",
    )  # fmt: skip


def _lesions(choices: Choices) -> Step:
    return Step(
        "lesions", "lesions found, missed and invented", "lesions", ("prepared", "evaluation"),
        tuple(f"{OUTCOME}/{name}" for name in ("lesions.csv", "images.csv", "lesions.json")),
        partial(working.lesions, choices), seconds=choices.patients * 0.6, bytes=1e7,
        page=f"{OUTCOME}/lesions.html",
    )  # fmt: skip


def _sweep(choices: Choices) -> Step:
    s = choices.sizes
    return Step(
        "sweep", "the correlation of hyperemia and uptake swept", "sweep", ("prepared",),
        tuple(f"rho-*/{OUTCOME}/{name}" for name in ("lesions.csv", "images.csv", "lesions.json")),
        partial(working.sweep, choices),
        {"rhos": list(s.rhos), "patients": s.sweep_patients, **working.cross_fit(choices)},
        len(s.rhos) * (2 * s.translator_seconds + s.sweep_patients * 2.5),
        len(s.rhos) * s.sweep_patients * _voxels(choices) * 12,
    )  # fmt: skip


def _atlas(choices: Choices) -> Step:
    return Step(
        "atlas", "failure atlas", "atlas", ("prepared", "translators", "evaluation", "lesions"),
        (f"{OUTCOME}/atlas.csv", f"{OUTCOME}/atlas.json"), partial(working.atlas, choices),
        seconds=choices.patients * 6 * _image_seconds(choices), bytes=2e7, page=f"{OUTCOME}/atlas.html",
    )  # fmt: skip


def _study(choices: Choices) -> Step:
    s = choices.sizes
    return Step(
        "study", "reader study, prepared", "study", ("prepared", "evaluation"), ("cases.csv",),
        partial(working.study, choices), {"readers": s.readers, "cases": s.read, "seed": s.seed}, s.read * 1.5,
        s.read * _voxels(choices) * 16, people=("**/answers/**/*",),
    )  # fmt: skip


def _voxels(choices: Choices) -> float:
    i, j, k = choices.sizes.voxels
    return float(i * j * k) or 256.0 * 256.0


def _image_seconds(choices: Choices) -> float:
    return 0.4 + 2e-6 * _voxels(choices)
