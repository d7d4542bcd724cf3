"""PyRadiomics' feature classes on one cropped region: the part of an extraction that runs on several cores.

The classes and matrices are PyRadiomics' own. What is saved is what they would repeat: grey levels are discretised once
for all classes.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Optional

import numpy as np

from ..errors import InputError

# Feature class to the features asked for; None or nothing is all that are not deprecated.
Classes = tuple[tuple[str, Optional[tuple[str, ...]]], ...]

# More levels than a 16-bit image can have say that the bin width is in the wrong unit.
MOST_LEVELS = 65536


@dataclass(frozen=True)
class Task:
    """One (filtered) image in one region's box.

    image, mask: (k, j, i). spacing: mm (i, j, k). image_type: its name in results. arguments: PyRadiomics' settings for
    it. minimum_levels: fewer grey levels are refused; 0 for filtered images, whose levels nobody chose.
    """

    image: np.ndarray
    mask: np.ndarray
    spacing: tuple[float, float, float]
    image_type: str
    classes: Classes
    arguments: dict[str, Any] = field(default_factory=dict)
    minimum_levels: int = 0


@dataclass(frozen=True)
class Outcome:
    """values: (class, feature, value) in PyRadiomics' order. refused: a sentence instead. logged: what it warned of."""

    values: tuple[tuple[str, str, float], ...]
    levels: int | None = None
    refused: str = ""
    logged: tuple[str, ...] = ()


def compute(task: Task) -> Outcome:
    """The features of one task. Raises InputError for a feature that PyRadiomics does not know."""
    import radiomics
    import SimpleITK as sitk

    with recorded() as logged, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        image, mask = sitk.GetImageFromArray(task.image), sitk.GetImageFromArray(task.mask.astype(np.uint32))
        for part in (image, mask):
            part.SetSpacing(task.spacing)
        arguments = {**task.arguments, "label": 1}
        grey = [name for name, _ in task.classes if not name.startswith("shape")]
        shared = None
        if grey:
            if refused := _too_many(task, arguments):
                return Outcome((), None, refused, tuple(logged))
            try:
                shared, _ = radiomics.imageoperations.binImage(_wide(task.image, logged), task.mask, **arguments)
            except ValueError:
                return Outcome((), None, _too_close(task), tuple(logged))
            levels = np.unique(shared[task.mask])
            if refused := _too_few(task, levels.size, arguments):
                return Outcome((), levels.size, refused, tuple(logged))
        values = []
        for name, features in task.classes:
            made = _class(name, shared is not None)(image, mask, **arguments, **_levels(name, shared))
            for feature in features or ():
                if feature not in made.featureNames:
                    raise InputError(f"PyRadiomics has no feature {feature!r} in its class {name}.")
                made.enableFeatureByName(feature)
            values += [(name, feature, float(value)) for feature, value in made.execute().items()]
    return Outcome(tuple(values), levels.size if grey else None, "", tuple(dict.fromkeys(logged)))


def _wide(image: np.ndarray, logged: list[str]) -> np.ndarray:
    """The image in integers wide enough for bin edges.

    PyRadiomics adds twice the bin width to the largest intensity in the image's own type. With NumPy 2 that wraps
    round in 8 and 16 bits and leaves one or no grey level; before, it was widened, as here.
    """
    if image.dtype.kind not in "ui" or image.dtype.itemsize > 2:
        return image
    if int(image.max()) > np.iinfo(image.dtype).max * 3 // 4:
        logged.append(f"Grey levels of {image.dtype} intensities were made in 32 bits, where PyRadiomics can overflow.")
    return image.astype(np.int32)


def _levels(name: str, shared: np.ndarray | None) -> dict[str, Any]:
    return {} if shared is None or name.startswith("shape") else {_SHARED: shared}


def _too_many(task: Task, arguments: dict[str, Any]) -> str:
    """The sentence that refuses more grey levels than fit into the memory, or ""."""
    from ..headers import free_memory

    inside = task.image[task.mask].astype(np.float64)
    span = (float(inside.max()) - float(inside.min())) / arguments.get("binWidth", 25)
    levels = arguments.get("binCount") or span + 2
    # One matrix a direction in double precision, and the copies that its features make.
    needed = 3 * 8 * 13 * levels**2 if any(name == "glcm" for name, _ in task.classes) else 0
    if levels <= MOST_LEVELS and needed < free_memory():
        return ""
    return (
        f"The {task.image_type} image has {levels:.0f} grey levels in the region, more than can be worked with here: "
        "choose a larger bin width, or a bin number."
    )


def _too_close(task: Task) -> str:
    inside = task.image[task.mask]
    return (
        f"The intensities of the {task.image_type} image in the region, {inside.min():.9g} to {inside.max():.9g}, are "
        "too close together, beside their size, to be told apart as grey levels: subtract an offset from the image."
    )


def _too_few(task: Task, levels: int, arguments: dict[str, Any]) -> str:
    """The sentence that refuses texture of too few grey levels, or ""."""
    if levels >= task.minimum_levels:
        return ""
    inside = task.image[task.mask]
    low, high = inside.min(), inside.max()
    if low == high:
        # With PyRadiomics' own settings a flat region has defined values, and its baselines hold them.
        return "" if task.minimum_levels <= 2 else f"The image is constant ({low}) in the region: there is no texture."
    count = arguments.get("binCount")
    how = f"{count} bins" if count else f"a bin width of {arguments.get('binWidth', 25)}"
    cure = "The image has too few different ones there." if count else "Choose a bin number, or a smaller bin width."
    return (
        f"With {how}, intensities from {low:.4g} to {high:.4g} in the region make {levels} grey level"
        f"{'s' if levels > 1 else ''}; at least {task.minimum_levels} are needed (the setting minimum_grey_levels). "
        f"{cure}"
    )


_SHARED = "imagetranslation_levels"


@cache
def _class(name: str, shared: bool) -> Any:
    """PyRadiomics' class, which then takes grey levels that were discretised before."""
    import radiomics

    original = radiomics.getFeatureClasses()[name]
    if not shared or name.startswith("shape"):
        return original

    class Prepared(original):  # type: ignore[misc, valid-type]
        def _applyBinning(self, matrix: np.ndarray) -> np.ndarray:  # noqa: N802  PyRadiomics' name
            levels = self.settings[_SHARED].copy()
            self.coefficients["grayLevels"] = np.unique(levels[self.maskArray])
            self.coefficients["Ng"] = int(self.coefficients["grayLevels"][-1])
            return levels

    # Its messages go to PyRadiomics' logger of that class.
    Prepared.__module__ = original.__module__
    return Prepared


# What PyRadiomics says of every image with its defaults.
_OF_COURSE = ("GLCM is symmetrical", "Fixed bin Count enabled")


class _Recorder(logging.Handler):
    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        lines = record.getMessage().strip().splitlines()
        if lines and not lines[0].startswith(_OF_COURSE):
            # A failed feature is logged with its traceback; the last line says what happened.
            self._into.append(f"PyRadiomics: {lines[-1] if lines[0].startswith('FAILED') else lines[0]}"[:300])


@contextlib.contextmanager
def recorded() -> Iterator[list[str]]:
    """What PyRadiomics warns of meanwhile, instead of printing it; its verbosity is put back as it was."""
    import radiomics

    sentences: list[str] = []
    handler, level = _Recorder(sentences), radiomics.handler.level
    radiomics.logger.addHandler(handler)
    radiomics.handler.setLevel(logging.CRITICAL + 1)
    try:
        yield sentences
    finally:
        radiomics.logger.removeHandler(handler)
        radiomics.handler.setLevel(level)
