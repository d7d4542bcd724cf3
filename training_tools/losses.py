"""The terms of the pix2pix objective (Isola et al. 2017) and a structural one, each inside a weight map."""

from __future__ import annotations

import torch
from torch.nn import functional

WINDOW_RADIUS, WINDOW_SIGMA = 5, 1.5  # Wang et al. 2004
C1, C2 = 0.01**2, 0.03**2


def weighted_l1(made: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of (n, 1, H, W) images in [-1, 1] where `weight` is 1; 0 when it is 1 nowhere."""
    return ((made - wanted).abs() * weight).sum() / weight.sum().clamp(min=1.0)


def structural(made: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """1 - SSIM (Gaussian window, two-dimensional, data range 1 after mapping to [0, 1]) averaged where weight is 1."""
    first, second = (made + 1) / 2 * weight, (wanted + 1) / 2 * weight
    mean_a, mean_b = _blur(first), _blur(second)
    variance_a, variance_b = _blur(first * first) - mean_a**2, _blur(second * second) - mean_b**2
    covariance = _blur(first * second) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    map_ = luminance * (2 * covariance + C2) / (variance_a + variance_b + C2)
    return 1 - (map_ * weight).sum() / weight.sum().clamp(min=1.0)


def adversarial(logits: torch.Tensor, real: bool) -> torch.Tensor:
    """Binary cross-entropy of patch logits against all-real or all-made."""
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def _blur(image: torch.Tensor) -> torch.Tensor:
    offsets = torch.arange(-WINDOW_RADIUS, WINDOW_RADIUS + 1, dtype=image.dtype, device=image.device)
    weights = torch.exp(-0.5 * (offsets / WINDOW_SIGMA) ** 2)
    weights = weights / weights.sum()
    padded = functional.pad(image, (WINDOW_RADIUS,) * 4, mode="reflect")
    return functional.conv2d(functional.conv2d(padded, weights.reshape(1, 1, -1, 1)), weights.reshape(1, 1, 1, -1))
