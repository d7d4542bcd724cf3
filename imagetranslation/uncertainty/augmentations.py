"""Test-time augmentations: which changes of a scan must not change its anatomy, and how each is undone.

A package lists what it allows under `uncertainty.augmentations`; nothing else is ever applied. All of it happens on
the model's grid, after normalisation, where training applied the same kinds of change (Wang et al. 2019, Aleatoric
uncertainty estimation with test-time augmentation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..grid import UNKNOWN
from ..inference import ScaledImage

if TYPE_CHECKING:
    from ..grid import Place
    from ..models import ModelPackage

# What a package that says nothing allows: our choice, small beside any anatomy.
SHIFT_VOXELS = (1, 1, 1)
GAIN = 0.05
GAMMA = 0.1
LEFT_RIGHT = "left-right"


@dataclass(frozen=True)
class Allowed:
    """shift: greatest shift in voxels of the model's grid along (slice, row, column). gain, gamma: half-widths of the

    uniform distributions of their logarithms. flip: the model axis (0, 1, 2) that runs left-right and may be
    mirrored, or None.
    """

    shift: tuple[int, int, int] = SHIFT_VOXELS
    gain: float = GAIN
    gamma: float = GAMMA
    flip: int | None = None

    @property
    def none(self) -> bool:
        """Whether nothing is allowed."""
        return not (any(self.shift) or self.gain or self.gamma or self.flip is not None)


@dataclass(frozen=True)
class Variant:
    """One drawn change. shift: voxels along (slice, row, column). gain, gamma: of the brightness in [0, 1].

    flip: the model axis that is mirrored, or None.
    """

    shift: tuple[int, int, int] = (0, 0, 0)
    gain: float = 1.0
    gamma: float = 1.0
    flip: int | None = None

    def sources(self, axis: int, size: int, places: np.ndarray) -> np.ndarray:
        """Which voxels of the unchanged image stand at `places` along an axis; beyond the edge the edge."""
        found = np.clip(places - self.shift[axis], 0, size - 1)
        return size - 1 - found if self.flip == axis else found

    def origins(self, axis: int, size: int) -> np.ndarray:
        """Where in the changed frame each voxel of the unchanged one has gone; the edge for what fell off."""
        places = np.arange(size)
        return np.clip((size - 1 - places if self.flip == axis else places) + self.shift[axis], 0, size - 1)

    def brightness(self, image: np.ndarray) -> np.ndarray:
        """Gain and gamma on float32 in [-1, 1], in place; black stays black."""
        image += np.float32(1)
        image *= np.float32(0.5)
        np.maximum(image, 0, out=image)  # resampling may leave a last digit below black
        if self.gamma != 1:
            np.power(image, np.float32(self.gamma), out=image)
        image *= np.float32(2 * self.gain)
        image -= np.float32(1)
        return np.clip(image, -1, 1, out=image)


@dataclass(frozen=True)
class AugmentedImage(ScaledImage):
    """A volume as the network sees it, changed by `variant`, window by window."""

    variant: Variant = Variant()

    def read(self, window: Place) -> np.ndarray:
        """Normalised and changed float32 voxels of a window."""
        wanted = [self._sources(axis, part) for axis, part in enumerate(window)]
        block = super().read(tuple(slice(int(places.min()), int(places.max()) + 1) for places in wanted))
        for axis, places in enumerate(wanted):
            block = np.take(block, places - places.min(), axis)
        return self.variant.brightness(block)

    def touches(self, window: Place) -> bool:
        """Whether the window has any influence inside the field of view, wherever it was moved from."""
        wanted = [self._sources(axis, part) for axis, part in enumerate(window)]
        return super().touches(tuple(slice(int(places.min()), int(places.max()) + 1) for places in wanted))

    def undo(self, target: np.ndarray) -> None:
        """Move an answer (slice, row, column) back, in place; intensities are the network's and stay."""
        _slices_back(target, self.variant.shift[0], self.variant.flip == 0)
        rows, columns = (self.variant.origins(axis, target.shape[axis]) for axis in (1, 2))
        for plane in target:
            plane[...] = plane[np.ix_(rows, columns)]

    def _sources(self, axis: int, part: slice) -> np.ndarray:
        return self.variant.sources(axis, self.shape[axis], np.arange(part.start, part.stop))


def allowed_by(package: ModelPackage) -> Allowed:
    """What the package lists, or small shifts, gain and gamma where it lists nothing.

    A two-dimensional network does not see slices beside its own, so shifting along them is left out. The left-right
    mirror needs the orientation the network expects to be known, whatever the package lists.
    """
    listed = package.metadata.get("uncertainty", {}).get("augmentations")
    inputs = package.inputs
    if listed is None:
        shift, gain, gamma, flip = SHIFT_VOXELS, GAIN, GAMMA, None
    else:
        shift = tuple(listed.get("shift_voxels", (0, 0, 0)))
        gain, gamma = float(listed.get("gain", 0)), float(listed.get("gamma", 0))
        flip = _left_right_axis(inputs["orientation"], inputs["slice_axis"]) if listed.get("flip") else None
    across = int(shift[0]) if inputs["spatial_dims"] == 3 else 0
    return Allowed((across, int(shift[1]), int(shift[2])), gain, gamma, flip)


def draw(allowed: Allowed, count: int, seed: int) -> list[Variant]:
    """`count` variants; the same seed gives the same ones, and a longer list begins with the shorter one."""
    chance = np.random.default_rng(seed)
    return [_one(allowed, chance) for _ in range(count)]


def _one(allowed: Allowed, chance: np.random.Generator) -> Variant:
    across, down, along = (int(chance.integers(-most, most + 1)) for most in allowed.shift)
    gain, gamma = (float(np.exp(chance.uniform(-width, width))) for width in (allowed.gain, allowed.gamma))
    mirrored = bool(chance.random() < 0.5)
    return Variant((across, down, along), gain, gamma, allowed.flip if mirrored else None)


def _left_right_axis(orientation: str, slice_axis: str) -> int | None:
    """Model axis (slice, row, column) along which left-right runs; None where the orientation is unknown."""
    if orientation == UNKNOWN:
        return None
    axis = {"k": 0, "j": 1, "i": 2}
    # Orientation letters stand for axes i, j, k; the slice axis comes first in the model's array, the rest in order.
    across = 2 - next(n for n, letter in enumerate(orientation) if letter in "LR")
    order = [axis[slice_axis], *(n for n in range(3) if n != axis[slice_axis])]
    return order.index(across)


def _slices_back(target: np.ndarray, steps: int, mirrored: bool) -> None:
    """target[n] = target[n + steps], the nearest at the edge, then mirrored; with one slice held beside it."""
    last = len(target) - 1
    # What is read must not have been written yet.
    for place in range(last + 1) if steps > 0 else range(last, -1, -1) if steps else ():
        target[place] = target[min(max(place + steps, 0), last)]
    for low in range(len(target) // 2 if mirrored else 0):
        kept = target[low].copy()
        target[low] = target[last - low]
        target[last - low] = kept
