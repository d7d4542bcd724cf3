"""Image similarity: every measure with a stated data range, window and mask.

All take two arrays of one shape (k, j, i) or (j, i) and give one float per volume, never per slice. `data_range` is
the span of the intensities (255 for an image in [0, 255]) and has no default: a score without it means nothing.
Comparing several methods, intervals and tests are left to the evaluation tools.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .differences import mae, mse, psnr, psnr_clipped
from .gradients import gradient_correlation, gradient_mae
from .information import nmi
from .structural import masked_ssim, ms_ssim, ssim, ssim_map, synthrad_ssim

__all__ = [
    "METRICS", "compare", "gradient_correlation", "gradient_mae", "mae", "masked_ssim", "ms_ssim", "mse", "nmi",
    "psnr", "psnr_clipped", "ssim", "ssim_map", "synthrad_ssim",
]  # fmt: skip

METRICS: dict[str, Callable[..., float]] = {"mae": mae, "mse": mse, "psnr": psnr, "ssim": ssim}


def compare(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None, data_range: float) -> dict[str, float]:
    """The measures of every score table for one pair: mae, mse, psnr, ssim (gaussian), ssim_uniform7."""
    scores = {name: metric(a, b, data_range=data_range, mask=mask) for name, metric in METRICS.items()}
    scores["ssim_uniform7"] = ssim(a, b, data_range=data_range, mask=mask, window="uniform-7")
    return scores
