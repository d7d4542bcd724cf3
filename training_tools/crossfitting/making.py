"""One translator of a cross-fit: trained, packaged, and run on the patients whose images it makes.

A translator's folder holds `run` (the training, which goes on where it was stopped), `package`, and `translator.json`,
written last, with the hash of what it was made from and of every image. Which translators there are is `plan`'s, what
is made of all of them `gathering`'s.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetranslation import __version__
from imagetranslation.cohorts.lock import CohortLock
from imagetranslation.engines import make_predictor
from imagetranslation.errors import InputError
from imagetranslation.files import make_folder, sha256_of, write_text
from imagetranslation.inference import translate
from imagetranslation.jobs import default_name
from imagetranslation.models import ModelPackage
from imagetranslation.volume import read_volume, write_volume

from ..config import Config
from ..dataset import LazyCases, case_files, load_cases
from ..export import describe, write
from ..train import shaped_by, train
from .plan import Plan, Translator

TRANSLATORS, IMAGES, RECORD = "translators", "images", "translator.json"
MOST_IN_MEMORY = 64  # cases; more are read anew for each number that describes the training set


@dataclass(frozen=True)
class Place:
    """Where a cross-fit lies, and what it is made from. cases: of each patient."""

    plan: Plan
    config: Config
    data: Path
    output: Path
    cases: dict[str, list[str]]

    def folder(self, translator: Translator) -> Path:
        """Of a translator."""
        return self.output / TRANSLATORS / translator.name

    def names(self, patients: Sequence[str]) -> list[str]:
        """Cases of these patients."""
        return sorted(case for who in patients for case in self.cases[who])

    def image(self, fold: str, case: str) -> Path:
        """Where the synthetic image of a case lies."""
        source = case_files(self.data, case)["source"]
        return self.output / IMAGES / fold / default_name(source, self.config.target.modality)


def record_of(place: Place, translator: Translator) -> dict[str, Any] | None:
    """What a finished translator wrote, or None where it is not done or an image of it is not as it was written.

    InputError where the folder holds a translator of other data or another configuration.
    """
    try:
        record = dict(json.loads((place.folder(translator) / RECORD).read_text(encoding="utf-8")))
        made_from, files = record["made_from"], dict(record["files"])
        weights = record["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if made_from != place.plan.made_from(place.cases, translator):
        raise InputError(
            f"{place.folder(translator)} was made from other data, patients or settings than this cross-fit; choose "
            "an empty folder, or remove it."
        )
    try:
        whole = all(sha256_of(place.output / name) == hashed for name, hashed in files.items())
        whole = whole and sha256_of(place.folder(translator) / "package" / "weights.safetensors") == weights
    except OSError:
        return None
    return record if whole else None


def make(place: Place, translator: Translator, told: Callable[[str], None] = lambda sentence: None) -> dict[str, Any]:
    """Train and run one translator unless it is done; returns its record.

    Raises what training raises: Cancelled after a checkpoint, RunFailed where a loss is no number.
    """
    if (record := record_of(place, translator)) is not None:
        return record
    folder = make_folder(place.folder(translator))
    with CohortLock(folder, "translator.lock"):
        began = time.monotonic()
        (folder / RECORD).unlink(missing_ok=True)
        learnt = place.names(translator.trained_on)
        weights = train(place.config, place.data, folder / "run", learnt)
        trained = time.monotonic()
        package = _package(place, folder, learnt, weights)
        files = _images(place, translator, package, told)
        record = {
            "name": translator.name, "fold": translator.fold, "weights_sha256": package.weights_sha256,
            "made_from": place.plan.made_from(place.cases, translator), "files": files, "cases": learnt,
            "config_sha256": place.config.digest(), "id": place.config.id, "version": place.config.version,
            "software": __version__, "seconds_of_training": round(trained - began, 1),
            "seconds_of_translating": round(time.monotonic() - trained, 1),
        }  # fmt: skip
        write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")
    return record


def _package(place: Place, folder: Path, learnt: list[str], weights: Path) -> ModelPackage:
    shutil.rmtree(folder / "package", ignore_errors=True)
    few = len(learnt) <= MOST_IN_MEMORY
    cases: Any = load_cases(place.data, place.config, learnt) if few else LazyCases(place.data, place.config, learnt)
    metadata = describe(place.config, cases, shaped=shaped_by(folder / "run"))
    return write(folder / "package", metadata, place.config, weights, {})


def _images(place: Place, translator: Translator, package: ModelPackage, told: Callable[[str], None]) -> dict[str, str]:
    """Path (from the cross-fit's folder) to hash of every image; those that are there already are kept."""
    predictor = make_predictor(package, engine="torch", precision="float32")
    names = place.names(translator.makes)
    files = {}
    for number, case in enumerate(names):
        path = place.image(translator.fold, case)
        if not _is_there(path, package, place.plan.created):
            made = translate(
                read_volume(case_files(place.data, case)["source"]), package, predictor=predictor,
                created=place.plan.created,
            )  # fmt: skip
            make_folder(path.parent)
            write_volume(made, path)
        files[path.relative_to(place.output).as_posix()] = sha256_of(path)
        told(f"{translator.name}: image {number + 1} of {len(names)}.")
    return files


def _is_there(path: Path, package: ModelPackage, created: str) -> bool:
    """Whether a run that was stopped has made this image; one that is damaged is made again."""
    if not path.exists():
        return False
    try:
        record = read_volume(path).provenance
    except InputError:
        return False
    return record is not None and (record.weights_sha256, record.created) == (package.weights_sha256, created)
