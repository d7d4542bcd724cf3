"""Windows on which engines and precisions are compared with plain float32, with lesion-sized regions in them.

A package may bring some of its own (`probes.safetensors`: "windows" (n, channels, *patch), normalised as the network's
input; "lesions" (n, *patch) of small whole numbers, 0 for none). Otherwise phantoms are made: an ellipsoid of texture
and speckle on black, with three lesion-like balls, the same ones on every machine. They resemble no anatomy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelRefused

if TYPE_CHECKING:
    from ..models import ModelPackage

MOST = 4
# Windows of more voxels than this together would make a trial last too long.
_MOST_VOXELS = 1 << 19
_LESIONS = ((-0.35, 0.6), (0.3, -0.6), (0.05, 0.45))  # place along the diagonal, contrast
_SEED = 20240


@dataclass(frozen=True)
class Probes:
    """windows: float32 (n, channels, *patch) about in [-1, 1]. lesions: uint8 (n, *patch), 1, 2, ... inside each
    region. origin: "windows stored in the package" or "generated phantoms"."""

    windows: np.ndarray
    lesions: np.ndarray
    origin: str


def probes_of(package: ModelPackage) -> Probes:
    """The package's own probes, or generated ones; ModelRefused for stored ones that are damaged."""
    data = package.probes()
    return _generated(package) if data is None else _stored(package, data)


def _stored(package: ModelPackage, data: bytes) -> Probes:
    from safetensors.numpy import load

    shape = (int(package.inputs["num_channels"]), *package.inputs["patch_size"])
    fault = f"The probe inputs of {package.id} do not fit it: "
    try:
        tensors: dict[str, Any] = load(data)
        windows = np.asarray(tensors["windows"], np.float32)
    except Exception as error:  # a hostile file may raise anything; all of it is one refusal
        raise ModelRefused(f"{fault}{type(error).__name__}.") from error
    if windows.ndim != 1 + len(shape) or windows.shape[1:] != shape or not 1 <= len(windows) <= 64:
        raise ModelRefused(f"{fault}they have the shape {windows.shape}.")
    if not np.isfinite(windows).all():
        raise ModelRefused(f"{fault}they hold values that are not numbers.")
    lesions = np.array(tensors.get("lesions", np.zeros(0)), np.uint8)
    if lesions.shape != (len(windows), *shape[1:]):
        lesions = np.zeros((len(windows), *shape[1:]), np.uint8)
    for mask in lesions:
        if not mask.any():  # lesion-sized regions all the same: a mean over few voxels is what precision may shift
            mask[...] = _balls(shape[1:])[0]
    return Probes(windows[:MOST], lesions[:MOST], "windows stored in the package")


def _generated(package: ModelPackage) -> Probes:
    patch = tuple(int(n) for n in package.inputs["patch_size"])
    channels = int(package.inputs["num_channels"])
    count = max(1, min(MOST, _MOST_VOXELS // (math.prod(patch) * channels)))
    windows = np.stack([_phantom(patch, channels, _SEED + number) for number in range(count)])
    lesions = np.repeat(_balls(patch)[0][np.newaxis], count, axis=0)
    return Probes(windows, lesions, "generated phantoms")


def _phantom(patch: tuple[int, ...], channels: int, seed: int) -> np.ndarray:
    """float32 (channels, *patch) in [-1, 1]; channels differ as neighbouring slices do."""
    random = np.random.default_rng(seed)
    axes = _axes(patch)
    waves = [(random.normal(0, 1, len(patch)), random.uniform(2, 14), random.uniform(0, 2 * np.pi)) for _ in range(12)]
    bodies = random.uniform(0.75, 0.95, len(patch))
    body = sum((axis / size) ** 2 for axis, size in zip(axes, bodies)) < 1
    mask, contrast = _balls(patch)
    made = []
    for channel in range(channels):
        texture = np.zeros(patch)
        for direction, frequency, phase in waves:
            along = sum(part * axis for part, axis in zip(direction, axes))
            texture = texture + np.cos(frequency * along + phase + 0.2 * channel)
        speckle = random.rayleigh(0.8, patch)
        bright = (0.5 + 0.08 * texture + np.where(mask > 0, 0.4 * contrast, 0)) * (0.6 + 0.4 * speckle)
        made.append(np.where(body, np.clip(2 * bright - 1, -1, 1), -1))
    return np.stack(made).astype(np.float32)


def _balls(patch: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Lesion numbers (uint8) and contrasts (-1 to 1) of a window; each ball is about an eighth of the window across."""
    axes = [np.arange(n) for n in patch]
    axes = list(np.meshgrid(*axes, indexing="ij"))
    mask, contrast = np.zeros(patch, np.uint8), np.zeros(patch)
    for number, (place, strength) in enumerate(_LESIONS, 1):
        signs = [1 if (number + axis) % 2 else -1 for axis in range(len(patch))]
        centres = [(n - 1) / 2 * (1 + sign * place) for n, sign in zip(patch, signs)]
        radii = [max(1.5, n / 16) for n in patch]
        inside = sum(((axis - centre) / radius) ** 2 for axis, centre, radius in zip(axes, centres, radii)) <= 1
        mask[inside], contrast[inside] = number, strength
    return mask, contrast


def _axes(patch: tuple[int, ...]) -> list[np.ndarray]:
    """Coordinates of a window's voxels, -1 to 1 along each axis."""
    return list(np.meshgrid(*[(np.arange(n) + 0.5) * 2 / n - 1 for n in patch], indexing="ij"))
