"""How fast 3-D SSIM is, side by side with MONAI's and TorchMetrics', each library's own definition and equal to it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from .results import NotMeasured, Row

ROUNDS = 5
SHAPE = (128, 160, 160)
RANGE = 255.0
SLACK = 1e-5


def measure() -> list[Row]:
    """Rows ssim3d (against MONAI's SSIMMetric) and ssim3d_torchmetrics, seconds."""
    try:
        import torch
        from monai.metrics import SSIMMetric
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError as error:
        raise NotMeasured(f"{error.name} is not installed.") from error
    from imagetranslation import similarity

    first, second = _images()
    tensors = [torch.from_numpy(image)[None, None] for image in (first, second)]
    metric = SSIMMetric(3, data_range=RANGE)
    runs: dict[str, Callable[[], float]] = {
        "ours, valid": lambda: similarity.ssim(first, second, data_range=RANGE, edges="valid"),
        "MONAI": lambda: float(metric(*tensors)),
        "ours, reflect": lambda: similarity.ssim(first, second, data_range=RANGE, edges="reflect"),
        "TorchMetrics": lambda: float(structural_similarity_index_measure(*tensors, data_range=RANGE)),
    }
    seconds, values = _interleaved(runs)
    return [
        _row("ssim3d", "ours, valid", "MONAI", seconds, values),
        _row("ssim3d_torchmetrics", "ours, reflect", "TorchMetrics", seconds, values),
    ]


def _row(name: str, ours: str, theirs: str, seconds: dict[str, float], values: dict[str, float]) -> Row:
    apart = abs(values[ours] - values[theirs])
    note = (
        f"{' x '.join(map(str, SHAPE))}, Gaussian window of 11 voxels, CPU; both in float32; theirs is {theirs}, ours "
        f"separable; values differ by {apart:.1e} ({'within' if apart <= SLACK else 'NOT within'} {SLACK:g}); medians "
        f"of {ROUNDS} interleaved runs; {seconds[theirs] / seconds[ours]:.1f} times faster"
    )
    return Row(name, round(seconds[ours], 4), round(seconds[theirs], 4), "ratio <= 1/12", "s", note)


def _images() -> tuple[np.ndarray, np.ndarray]:
    """A made smooth texture and a noisy copy, float32 within 0 to 255."""
    random = np.random.default_rng(0)
    coarse = random.uniform(0, RANGE, tuple(n // 8 + 1 for n in SHAPE))
    for axis, size in enumerate(SHAPE):
        coarse = np.repeat(coarse, 8, axis=axis)[tuple(slice(0, size if a == axis else None) for a in range(3))]
    noisy = np.clip(coarse + random.normal(0, 12, SHAPE), 0, RANGE)
    return coarse.astype(np.float32), noisy.astype(np.float32)


def _interleaved(runs: dict[str, Callable[[], float]]) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds and the value of each, taken in turn; a first turn only warms up."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    values: dict[str, float] = {}
    for number in range(ROUNDS + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            values[name] = run()
            if number:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}, values
