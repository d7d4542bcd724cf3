"""Random changes to a batch of training samples, drawn from a given generator so that a run can be repeated.

Geometry is changed in source, target, weight and region (lesion or organ) alike; gamma and gain in the source only, as
the scanner's settings would; mixup blends the same place of two patients. In two and in three dimensions.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from .training.settings import Augmentation

_ELASTIC_POINTS = 5
_AXES = {2: ("rows", "columns"), 3: ("slices", "rows", "columns")}


def augment(batch: torch.Tensor, settings: Augmentation, generator: torch.Generator, sources: int = 1) -> torch.Tensor:
    """(n, sources + 2 or 3, *spatial): source channels and target in [-1, 1], weight and region in [0, 1].

    The same shapes and ranges come back.
    """
    moved = batch
    if settings.rotation or settings.shift or settings.scale or settings.elastic or settings.mirror:
        # Shifted before interpolation, so that what comes in from outside the image is background: -1 and weight 0.
        offset = torch.zeros(batch.shape[1])
        offset[: sources + 1] = 1.0
        offset = offset.reshape(1, -1, *[1] * (batch.dim() - 2))
        grid = _grid(batch, settings, generator)
        moved = functional.grid_sample(batch + offset, grid, padding_mode="zeros", align_corners=False) - offset
    source = _intensities(moved[:, :sources], settings, generator)
    # Interpolated weights along the rim mix in the background: only voxels fully inside count.
    weight = (moved[:, sources + 1 : sources + 2] > 0.99).to(batch)
    target, lesion = moved[:, sources : sources + 1].clamp(-1, 1), moved[:, sources + 2 :].clamp(0, 1)
    return torch.cat([source, target, weight, lesion], dim=1)


def mix(
    first: torch.Tensor, second: torch.Tensor, share: float, generator: torch.Generator, sources: int = 1
) -> torch.Tensor:
    """Blend two batches with one uniform weight a sample, in `share` of the samples (Zhang et al. 2018, mixup).

    A blend counts where both weights do, and is in the region where one of them is.
    """
    shape = (len(first), *[1] * (first.dim() - 1))
    blend = torch.rand(shape, generator=generator)
    chosen = torch.rand(shape, generator=generator) < share
    blend = torch.where(chosen, blend, torch.ones_like(blend))
    images, weights = slice(0, sources + 1), slice(sources + 1, sources + 2)
    lesions = torch.maximum(first[:, sources + 2 :], second[:, sources + 2 :])
    return torch.cat(
        [
            blend * first[:, images] + (1 - blend) * second[:, images],
            torch.where(chosen, first[:, weights] * second[:, weights], first[:, weights]),
            torch.where(chosen, lesions, first[:, sources + 2 :]),
        ],
        dim=1,
    )


def _grid(batch: torch.Tensor, settings: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Where each voxel is taken from, (n, *spatial, dims), in grid_sample's coordinates: they span 2 over the image."""
    count, dims = len(batch), batch.dim() - 2

    def draw(width: float, *shape: int) -> torch.Tensor:
        return (torch.rand(count, *shape, generator=generator) * 2 - 1) * width

    scales = torch.exp(draw(settings.scale, dims))
    if settings.mirror:
        # Coordinates run (column, row, slice), the other way round than array axes.
        axis = dims - 1 - _AXES[dims].index(settings.mirror)
        flips = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
        scales[:, axis] *= flips
    angles = draw(math.radians(settings.rotation), 1 if dims == 2 else 3)
    matrix = torch.zeros(count, dims, dims + 1)
    matrix[:, :, :dims] = _rotations(angles, dims) * _stretch(batch) * scales[:, None, :]
    matrix[:, :, dims] = draw(2 * settings.shift, dims)
    grid = functional.affine_grid(matrix, list(batch.shape), align_corners=False)
    if settings.elastic:
        points = draw(2 * settings.elastic, dims, *[_ELASTIC_POINTS] * dims)
        mode = "bicubic" if dims == 2 else "trilinear"
        bend = functional.interpolate(points, batch.shape[2:], mode=mode, align_corners=True)
        grid = grid + bend.movedim(1, -1)
    return grid.to(batch)


def _stretch(batch: torch.Tensor) -> torch.Tensor:
    """(dims, dims): what makes a rotation of voxels one of grid_sample's coordinates, which span 2 on every axis."""
    sizes = torch.tensor(batch.shape[:1:-1], dtype=torch.float32)  # column, row, slice
    return sizes[None, :] / sizes[:, None]


def _rotations(angles: torch.Tensor, dims: int) -> torch.Tensor:
    """(n, dims, dims): one rotation in the plane, or one about each of the three axes, the last one first."""
    made = torch.eye(dims).repeat(len(angles), 1, 1)
    planes = [(0, 1)] if dims == 2 else [(0, 1), (0, 2), (1, 2)]
    for number, (a, b) in enumerate(planes):
        turn = torch.eye(dims).repeat(len(angles), 1, 1)
        cosine, sine = torch.cos(angles[:, number]), torch.sin(angles[:, number])
        turn[:, a, a], turn[:, a, b], turn[:, b, a], turn[:, b, b] = cosine, -sine, sine, cosine
        made = turn @ made
    return made


def _intensities(source: torch.Tensor, settings: Augmentation, generator: torch.Generator) -> torch.Tensor:
    if not settings.gamma and not settings.gain:
        return source.clamp(-1, 1)
    shape = (len(source), *[1] * (source.dim() - 1))
    power = torch.exp((torch.rand(shape, generator=generator) * 2 - 1) * settings.gamma)
    gain = torch.exp((torch.rand(shape, generator=generator) * 2 - 1) * settings.gain)
    brightness = ((source + 1) / 2).clamp(0, 1) ** power.to(source) * gain.to(source)
    return brightness.clamp(0, 1) * 2 - 1
