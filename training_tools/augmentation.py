"""Random changes to a batch of training slices, drawn from a given generator so that a run can be repeated.

Geometry is changed in source, target and weight alike; gamma and gain in the source only, as the scanner's settings
would; mixup blends the same slice of two patients.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from .config import Augmentation


def augment(batch: torch.Tensor, settings: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """(n, 3, H, W) source, target in [-1, 1] and weight in [0, 1]; the same shapes and ranges come back."""
    moved = functional.grid_sample(
        batch + _OFFSET.to(batch), _grid(batch, settings, generator), padding_mode="zeros", align_corners=False
    ) - _OFFSET.to(batch)
    source = _intensities(moved[:, :1], settings, generator)
    # Interpolated weights along the rim mix in the background: only voxels fully inside count.
    return torch.cat([source, moved[:, 1:2], (moved[:, 2:] > 0.99).to(batch)], dim=1)


def mix(first: torch.Tensor, second: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Blend two batches with one uniform weight a sample, in `share` of the samples (Zhang et al. 2018, mixup)."""
    count = len(first)
    blend = torch.rand(count, 1, 1, 1, generator=generator)
    chosen = torch.rand(count, 1, 1, 1, generator=generator) < share
    blend = torch.where(chosen, blend, torch.ones_like(blend))
    images = blend * first[:, :2] + (1 - blend) * second[:, :2]
    weight = torch.where(chosen, first[:, 2:] * second[:, 2:], first[:, 2:])
    return torch.cat([images, weight], dim=1)


# Added before interpolation, so that what comes in from outside the image is background: -1, -1 and weight 0.
_OFFSET = torch.tensor([1.0, 1.0, 0.0]).reshape(1, 3, 1, 1)
_ELASTIC_POINTS = 5


def _grid(batch: torch.Tensor, settings: Augmentation, generator: torch.Generator) -> torch.Tensor:
    count = len(batch)

    def draw(width: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * width

    angle = draw(math.radians(settings.rotation))
    wide, high = torch.exp(draw(settings.scale)), torch.exp(draw(settings.scale))
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    column = flip if settings.mirror == "columns" else torch.ones(count)
    row = flip if settings.mirror == "rows" else torch.ones(count)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = torch.cos(angle) * wide * column, -torch.sin(angle) * high * column
    matrix[:, 1, 0], matrix[:, 1, 1] = torch.sin(angle) * wide * row, torch.cos(angle) * high * row
    # grid_sample's coordinates span 2 over the image.
    matrix[:, 0, 2], matrix[:, 1, 2] = draw(2 * settings.shift), draw(2 * settings.shift)
    grid = functional.affine_grid(matrix, list(batch.shape), align_corners=False)
    if settings.elastic:
        points = torch.rand(count, 2, _ELASTIC_POINTS, _ELASTIC_POINTS, generator=generator) * 2 - 1
        bend = functional.interpolate(
            points * (2 * settings.elastic), batch.shape[2:], mode="bicubic", align_corners=True
        )
        grid = grid + bend.permute(0, 2, 3, 1)
    return grid.to(batch)


def _intensities(source: torch.Tensor, settings: Augmentation, generator: torch.Generator) -> torch.Tensor:
    shape = (len(source), 1, 1, 1)
    power = torch.exp((torch.rand(shape, generator=generator) * 2 - 1) * settings.gamma)
    gain = torch.exp((torch.rand(shape, generator=generator) * 2 - 1) * settings.gain)
    brightness = ((source + 1) / 2).clamp(0, 1) ** power.to(source) * gain.to(source)
    return brightness.clamp(0, 1) * 2 - 1
