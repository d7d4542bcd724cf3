"""The synthetic image of a tested case, with what the model says of its own doubt about it.

From the package: translated here with its uncertainty and its place among the training scans. From files: images of
`imagetranslation translate --uncertainty` with their maps beside them. Either way the image must have the error that
the evaluation found, so that an atlas cannot show another model's failures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imagetranslation.deviationmaps import map_of, map_path
from imagetranslation.errors import InputError
from imagetranslation.formats import suffix_of
from imagetranslation.volume import Volume, read_volume

from ..config import Config
from ..dataset import Case
from .evaluations import Part

if TYPE_CHECKING:
    from imagetranslation.models import ModelPackage

NONE = "none"
# How far the mean absolute error may lie from the evaluation's, as a share of it: processors differ in last digits.
TOLERANCE = 0.01
LEAST_SIGNAL = 0.05  # of an image's normalised range, above which a voxel counts as tissue: our choice


@dataclass(frozen=True)
class Shown:
    """One case. image, deviation: float32 (k, j, i) in output units; deviation None where there is no map.

    likeness: `outofdistribution.Score.to_dict`, or None. reasons: why a map or a score is missing, in words.
    """

    image: np.ndarray
    deviation: np.ndarray | None = None
    calibrated: bool = False
    likeness: dict[str, Any] | None = None
    reasons: tuple[str, ...] = ()


Source = Callable[[Case], Shown]


def source(
    part: Part, *, uncertainty: str = "auto", samples: int = 0, maps: Path | None = None, device: str = "auto"
) -> Source:
    """Where the images of a part come from.

    maps: a folder of translated images with their maps, instead of translating here. uncertainty, samples: see
    `imagetranslation.uncertainty.Settings`; "none" for images without maps. InputError where the package is not the
    one that was evaluated.
    """
    package = _package(part)
    if maps is not None:
        return _from_files(maps, package, part)
    if package is None:
        return _from_files(part.place, None, part)
    return _from_package(package, uncertainty, samples, device)


def require_same_error(image: np.ndarray, case: Case, config: Config, scored: float | None) -> None:
    """InputError unless an image has the mean absolute error that the evaluation found for its case."""
    if scored is None:
        return
    found = float(np.abs(errors(image, case, config)).mean(dtype=np.float64))
    lower, upper = config.target.value_range
    if abs(found - scored) > max(TOLERANCE * scored, 1e-4 * (upper - lower)):
        raise InputError(
            f"{case.name}: its mean absolute error is {found:.4g} and the evaluation says {scored:.4g}: images, model "
            "or data are not those that were evaluated; run training_tools.evaluate again."
        )


def errors(image: np.ndarray, case: Case, config: Config, inside: np.ndarray | None = None) -> np.ndarray:
    """float32 (n,) synthetic minus real, the image clipped to the output's range. inside: bool, by default the mask."""
    where = case.valid if inside is None else inside
    clipped = np.clip(image[where], *config.target.value_range)
    return (clipped - case.reference[where]).astype(np.float32)


def tissue(case: Case) -> np.ndarray:
    """Bool (k, j, i): the mask where source or real image stand out from nothing by `LEAST_SIGNAL` of their range.

    In empty background errors and doubts are both nought; with it any map would seem to know where errors lie.
    """
    floor = 2 * LEAST_SIGNAL - 1
    found = case.valid & ((case.normalised > floor) | (case.wanted > floor))
    return found if found.any() else case.valid


def _package(part: Part) -> ModelPackage | None:
    from imagetranslation.models import load_package

    if not (part.place / "model.json").is_file():
        return None
    package = load_package(part.place)
    if part.weights and package.weights_sha256 != part.weights:
        raise InputError(
            f"{part.place} is another version of the model than the one that was evaluated (its weights differ); "
            "evaluate it again, or name the evaluated one."
        )
    return package


def _from_package(package: ModelPackage, uncertainty: str, samples: int, device: str) -> Source:
    from imagetranslation.inference import translate
    from imagetranslation.predictors import TorchPredictor, choose_device
    from imagetranslation.uncertainty import Settings, translate_with_uncertainty

    runner = TorchPredictor(package, choose_device(device))
    settings = None if uncertainty == NONE else Settings(uncertainty, samples)
    lacking = ("the model describes no training scans",) if "distribution" not in package.metadata["training"] else ()

    def made(case: Case) -> Shown:
        if settings is None:
            image = translate(case.source, package, predictor=runner)
            likeness = image.attributes.get("distribution")
            return Shown(image.array, None, False, likeness, ("no uncertainty was asked for", *lacking))
        found = translate_with_uncertainty(case.source, package, settings=settings, predictor=runner)
        likeness = found.synthetic.attributes.get("distribution")
        return Shown(found.synthetic.array, found.deviation.array, found.calibrated, likeness, lacking)

    return made


def _from_files(folder: Path, package: ModelPackage | None, part: Part) -> Source:
    """Images that lie in a folder, each named as its case or as `imagetranslation translate` names its output."""

    def found(case: Case) -> Shown:
        path = _file(folder, case.name)
        image = read_volume(path)
        if not image.same_grid(case.source):
            raise InputError(f"{path} is not on the grid of the source of {case.name}.")
        _require_evaluated(path, image, case, part)
        likeness, why = _likeness(case, package)
        if not map_path(path).is_file():
            missing = f"{map_path(path).name} is missing (imagetranslation translate --uncertainty writes it)"
            return Shown(image.array.astype(np.float32), None, False, likeness, (missing, *why))
        told = map_of(read_volume(map_path(path)), image)
        quantity = {} if told.provenance is None else told.provenance.quantity or {}
        calibrated = quantity.get("calibrated") is True
        return Shown(image.array.astype(np.float32), told.array.astype(np.float32), calibrated, likeness, why)

    return found


def _file(folder: Path, case: str) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of images.")
    named = [path for path in sorted(folder.iterdir()) if suffix_of(path)]
    found = [
        path for path in named
        if (path.name.split(".")[0] == case or path.name.startswith(f"{case}_synthetic"))
        and not path.name.split(".")[0].endswith("_uncertainty")
    ]  # fmt: skip
    if len(found) != 1:
        raise InputError(f"{folder} holds {len(found)} images of {case}; one is needed.")
    return found[0]


def _require_evaluated(path: Path, image: Volume, case: Case, part: Part) -> None:
    """InputError where a file's record says that another model, or another scan, made it."""
    from imagetranslation.inference import voxels_sha256

    record = image.provenance
    if record is None:
        return
    if part.weights and record.weights_sha256 and record.weights_sha256 != part.weights:
        raise InputError(
            f"{path} was made by another version of the model ({record.model} {record.version}) than the one that was "
            "evaluated; translate again, or evaluate that one."
        )
    if record.source_sha256 and record.source_sha256 != voxels_sha256(case.source):
        raise InputError(f"{path} was made from another scan than the source of {case.name}; translate again.")


def _likeness(case: Case, package: ModelPackage | None) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    from imagetranslation import outofdistribution
    from imagetranslation.inference import as_network_sees

    if package is None:
        return None, ("images without their model have no place among its training scans",)
    score = outofdistribution.score(as_network_sees(case.source, package), package)
    return (None, ("the model describes no training scans",)) if score is None else (score.to_dict(), ())
