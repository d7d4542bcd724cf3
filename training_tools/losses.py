"""The terms that objectives share: differences inside a weight map, a structural one, the adversarial ones."""

from __future__ import annotations

import torch
from torch.nn import functional

WINDOW_RADIUS, WINDOW_SIGMA = 5, 1.5  # Wang et al. 2004
C1, C2 = 0.01**2, 0.03**2


def weighted_l1(made: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of (n, 1, *spatial) images in [-1, 1], weighted; 0 when the weight is 0 everywhere."""
    return ((made - wanted).abs() * weight).sum() / weight.sum().clamp(min=1.0)


def weighted_mse(made: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of (n, 1, *spatial) images in [-1, 1], weighted; 0 when the weight is 0 everywhere."""
    return ((made - wanted).square() * weight).sum() / weight.sum().clamp(min=1.0)


def emphasised(weight: torch.Tensor, lesion: torch.Tensor | None, more: float) -> torch.Tensor:
    """The weight, (1 + `more`) times as large inside lesions (n, 1, *spatial, in [0, 1]) where any are known."""
    return weight if lesion is None or not more else weight * (1.0 + more * lesion)


def structural(made: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """1 - SSIM averaged over the weight: Gaussian window, data range 1 after mapping to [0, 1], 2-D or 3-D as given."""
    first, second = (made + 1) / 2 * weight, (wanted + 1) / 2 * weight
    # One blur of five images costs less than five.
    stacked = torch.cat([first, second, first * first, second * second, first * second], dim=1)
    mean_a, mean_b, square_a, square_b, product = _blur(stacked).split(1, dim=1)
    variance_a, variance_b = square_a - mean_a**2, square_b - mean_b**2
    covariance = product - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    map_ = luminance * (2 * covariance + C2) / (variance_a + variance_b + C2)
    return 1 - (map_ * weight).sum() / weight.sum().clamp(min=1.0)


def adversarial(logits: torch.Tensor, real: bool, gan: str = "bce") -> torch.Tensor:
    """Patch logits against all-real or all-made: cross-entropy ("bce") or squared distance to 1 or 0 ("lsgan")."""
    goal = torch.full_like(logits, float(real))
    if gan == "lsgan":
        return functional.mse_loss(logits, goal)
    return functional.binary_cross_entropy_with_logits(logits, goal)


def _blur(images: torch.Tensor) -> torch.Tensor:
    """Each channel of (n, channels, *spatial) with the Gaussian window, one axis after another, edges reflected.

    An axis shorter than the window is blurred with a shorter one.
    """
    channels, dims = images.shape[1], images.dim() - 2
    convolve = functional.conv2d if dims == 2 else functional.conv3d
    for axis in range(dims):
        radius = min(WINDOW_RADIUS, images.shape[2 + axis] - 1)
        offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
        weights = torch.exp(-0.5 * (offsets / WINDOW_SIGMA) ** 2)
        shape = [1] * dims
        shape[axis] = -1
        kernel = (weights / weights.sum()).reshape(1, 1, *shape).expand(channels, 1, *shape)
        around = [0, 0] * dims
        around[2 * (dims - 1 - axis) : 2 * (dims - axis)] = [radius, radius]
        images = convolve(functional.pad(images, around, mode="reflect"), kernel, groups=channels)
    return images
