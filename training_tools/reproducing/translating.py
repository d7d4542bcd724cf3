"""One synthetic image of every patient, from a translator that never saw that patient, and how good these images are.

The translators are `training_tools.crossfit`'s, of the network that a study ended with; here they are configured,
started, and scored on the patients they did not see. What is made of the images is left to other steps.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.files import make_folder, write_text
from imagetranslation.volume import read_volume

from .. import crossfit as command
from .. import evaluate as evaluating
from ..atlases.evaluations import Evaluated, Part
from ..benchmarking.entries import configured, entries, preset
from ..classifying import crossfit
from ..classifying.images import SYNTHETIC
from ..config import Config, read_config
from ..crossfitting.gathering import RECORD, TABLE
from ..dataset import Case, all_simulated, patients
from ..evaluating.writing import read_scores
from .tables import read_csv

# Of the study with ultrasound: its best network. The second study's had a perceptual loss besides, whose encoder learns
# on target images; in a cross-fit it would have seen tested patients, so its translators go without.
NETWORK = "2D-Pix2Pix"
CONFIG, IMAGES = "config.json", "images"


@dataclass(frozen=True)
class Translated:
    """translators: package to (cases it learnt from, cases whose images it made). image: of every case."""

    translators: Mapping[Path, tuple[tuple[str, ...], tuple[str, ...]]]
    image: Mapping[str, Path]


def configuration(task: str, preset_name: str, seed: int) -> Config:
    """The network under the preset, for a cross-fit."""
    path = entries(task)[NETWORK]
    assert path is not None
    return configured(path, preset(task, preset_name), threads=1, seed=seed)


def translate(
    config: Config, cases: Path, output: Path, *, scheme: str, folds: int, seconds: float, seed: int,
    labels: Path | None = None, alike: float | None = None,
) -> None:  # fmt: skip
    """Train the translators and make the images of all cases; goes on where it was stopped."""
    text = json.dumps(config.model_dump(mode="json", exclude={"card"}), indent=1)
    write_text(make_folder(output) / CONFIG, text + "\n")
    given = ["--config", str(output / CONFIG), "--data", str(cases), "--scheme", scheme, "--folds", str(folds)]
    given += ["--seconds", str(seconds), "--seed", str(seed)]
    given += ["--labels", str(labels), "--everyone"] if labels is not None else []
    given += ["--alike", str(alike)] if alike is not None else []
    code = command.main([*given, "-o", str(output / "crossfit")])
    if code:
        raise InputError(f"The cross-fit in {output} ended with code {code}.")


def read(output: Path, cases: Path) -> Translated:
    """What `translate` made: of a nested cross-fit the images of each outer fold's tested patients, first repeat."""
    place = output / "crossfit"
    record = crossfit.read(place / RECORD)
    owners = patients(cases)
    fold_of = dict.fromkeys(owners.values(), crossfit.ALL)
    for fold, tested in record.folds.items():
        if fold.startswith("0-"):
            fold_of.update(dict.fromkeys(tested, fold))
    image = {
        row["case"]: place / row["image"]
        for row in read_csv(place / TABLE)
        if row["arm"] == SYNTHETIC and row["fold"] == fold_of[row["patient"]]
    }
    found: dict[str, list[str]] = {}
    for case in image:
        who = owners[case]
        found.setdefault(record.images[fold_of[who]][who], []).append(case)
    translators = {
        place / record.about[sha]["package"]: (tuple(record.about[sha]["cases"]), tuple(sorted(made)))
        for sha, made in found.items()
    }
    return Translated(translators, image)


def evaluate(translated: Translated, config: Config, cases: Path, output: Path) -> None:
    """Score every image, with floors and ceilings of its own translator's training set, and gather all images.

    Written: what `training_tools.evaluate` writes, over all patients, and `images/` with a file of each case.
    """
    owners, merged = patients(cases), evaluating.Evaluation()
    for learnt, made in translated.translators.values():
        known = [case for case in learnt if case in owners]
        found = evaluating.evaluate(cases, config, {NETWORK: _method(translated.image)}, known, made, owners)
        merged.patients.update(found.patients)
        for method, scores in found.scores.items():
            merged.scores.setdefault(method, {}).update(scores)
    folder = make_folder(output / IMAGES)
    for path in translated.image.values():
        _link(path, folder / path.name)
    settings = {
        "config": config.model_dump(mode="json", exclude={"card"}), "fold": None, "data": str(cases.resolve()),
        "tested": sorted(merged.patients), "methods": {NETWORK: str(folder)},
        "translators": {str(place): list(made) for place, (_, made) in translated.translators.items()},
    }  # fmt: skip
    evaluating.write(merged, output, settings)


def _method(image: Mapping[str, Path]) -> evaluating.Method:
    def read_image(case: Case) -> np.ndarray:
        volume = read_volume(image[case.name])
        if not volume.same_grid(case.source):
            raise InputError(f"{image[case.name]} is not on the grid of the source of {case.name}.")
        return volume.array.astype(np.float32)

    return read_image


def _link(path: Path, place: Path) -> None:
    """The same file under another name, or a copy where the file system has no links."""
    with contextlib.suppress(FileNotFoundError):
        place.unlink()
    try:
        os.link(path, place)
    except OSError:
        shutil.copyfile(path, place)


def evaluated(translated: Translated, config: Config, cases: Path, evaluation: Path, task: str) -> Evaluated:
    """The evaluation as the failure atlas takes it: every translator with the cases it was tested on."""
    from imagetranslation.models import load_package

    scores, owners = read_scores(evaluation / "scores.csv")
    parts = tuple(
        Part(config, made, package, load_package(package).weights_sha256)
        for package, (_, made) in translated.translators.items()
    )
    references = {name: scores[name] for name in evaluating.REFERENCES if name in scores}
    return Evaluated(NETWORK, task, cases, parts, scores[NETWORK], references, owners, all_simulated(cases))


def config_of(output: Path) -> Config:
    """The configuration that `translate` was given."""
    return read_config(output / CONFIG)
