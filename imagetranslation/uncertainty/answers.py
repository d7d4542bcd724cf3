"""The further answers whose spread is the uncertainty: each is a function that runs one pass.

An answer is float32 (k, j, i) on the volume's own grid, in output units, background outside the field of view: what
`inference.translate` would have given, had it been asked in this way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from .. import inference
from ..errors import InputError, ModelRefused
from ..models import load_package
from .augmentations import AugmentedImage, Variant, allowed_by, draw
from .predictors import DropoutPredictor, MemberPredictor

if TYPE_CHECKING:
    from ..models import ModelPackage
    from ..predictors import Predictor
    from ..volume import Volume

Progress = Callable[[int, int], None]
Answer = Callable[["Progress | None"], np.ndarray]


class Frame:
    """One volume as one package sees it, for all its passes; made when the first one asks."""

    def __init__(self, volume: Volume, package: ModelPackage, cancelled: Callable[[], bool] | None) -> None:
        self._volume, self._package, self._cancelled = volume, package, cancelled

    @cached_property
    def image(self) -> inference.ScaledImage:
        """The volume as the network sees it."""
        return inference.as_network_sees(self._volume, self._package)

    def answer(self, predictor: Predictor, progress: Progress | None, variant: Variant | None = None) -> np.ndarray:
        """One pass of `predictor` over the image, changed by `variant` and moved back."""
        image = self.image
        if variant is not None:
            image = AugmentedImage(image.model_grid, image.array, image.scaling, image.seen, variant)
        return inference.answer(image, self._package, predictor, progress, self._cancelled)[0]


def augmented(frame: Frame, package: ModelPackage, predictor: Predictor, count: int, seed: int) -> list[Answer]:
    """Answers to `count` changed copies of the scan; ModelRefused where the package allows no change at all."""
    allowed = allowed_by(package)
    if allowed.none:
        raise ModelRefused(
            f"{package.id} allows no change of a scan that would leave its anatomy alone, so there is no test-time "
            "augmentation; take an ensemble."
        )
    return [partial(_augmented, frame, predictor, variant) for variant in draw(allowed, count, seed)]


def members(frame: Frame, package: ModelPackage, device: str) -> list[Answer]:
    """The answers of the members inside one network; ModelRefused where it has only one."""
    predictor = MemberPredictor(package, device)
    return [partial(_member, frame, predictor, number) for number in range(predictor.members)]


def dropped(frame: Frame, package: ModelPackage, device: str, count: int, seed: int) -> list[Answer]:
    """Answers with dropout at work; ModelRefused where the network has none."""
    predictor = DropoutPredictor(package, device)
    return [partial(_dropped, frame, predictor, seed, number) for number in range(count)]


def others(
    volume: Volume,
    package: ModelPackage,
    names: tuple[str, ...],
    device: str,
    cancelled: Callable[[], bool] | None,
    allow_synthetic: bool,
) -> list[Answer]:
    """The answers of further packages; InputError where one cannot stand beside `package`.

    Their grids may differ, since answers are compared on the volume's. One network is in memory at a time.
    """
    found = [load_package(name) for name in names]
    seen = {package.weights_sha256}
    for other in found:
        _require_kin(package, other)
        if other.weights_sha256 in seen:
            raise InputError(f"{other.id} {other.version} stands twice in the ensemble; name each model once.")
        seen.add(other.weights_sha256)
    return [partial(_other, volume, other, device, cancelled, allow_synthetic) for other in found]


def _augmented(frame: Frame, predictor: Predictor, variant: Variant, progress: Progress | None) -> np.ndarray:
    return frame.answer(predictor, progress, variant)


def _member(frame: Frame, predictor: MemberPredictor, number: int, progress: Progress | None) -> np.ndarray:
    predictor.choose(number)
    return frame.answer(predictor, progress)


def _dropped(
    frame: Frame, predictor: DropoutPredictor, seed: int, sample: int, progress: Progress | None
) -> np.ndarray:
    predictor.choose(seed, sample)
    return frame.answer(predictor, progress)


def _other(
    volume: Volume,
    package: ModelPackage,
    device: str,
    cancelled: Callable[[], bool] | None,
    allow_synthetic: bool,
    progress: Progress | None,
) -> np.ndarray:
    return inference.translate(
        volume, package, device=device, progress=progress, cancelled=cancelled, allow_synthetic=allow_synthetic
    ).array


def _require_kin(package: ModelPackage, other: ModelPackage) -> None:
    """InputError unless the answers of both mean the same."""
    facts = (
        ("task", package.metadata["task"], other.metadata["task"]),
        ("input modality", package.inputs["modality"], other.inputs["modality"]),
        ("output modality", package.outputs["modality"], other.outputs["modality"]),
        ("output range", list(package.outputs["value_range"]), list(other.outputs["value_range"])),
        ("background", package.outputs["background"], other.outputs["background"]),
    )
    for what, own, theirs in facts:
        if own != theirs:
            raise InputError(
                f"{other.id} cannot stand in an ensemble with {package.id}: its {what} is {theirs}, not {own}."
            )
