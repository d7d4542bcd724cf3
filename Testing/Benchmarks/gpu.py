"""A 3D U-Net on a GPU: ours against MONAI's SlidingWindowInferer with automatic mixed precision.

Ours goes from the host's memory to the host's memory, as a translation does, and so does theirs.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from . import unet3d
from .results import NotMeasured, Row
from .sidebyside import interleaved
from .translate3d import plan_of, words

ROUNDS = 7


def measure() -> list[Row]:
    """Rows gpu (time against MONAI's) and gpu_forward (share of our time that is the network alone)."""
    import torch

    if not torch.cuda.is_available():
        raise NotMeasured("torch finds no CUDA device on this machine.")
    return compare(unet3d.package(), unet3d.held_out((256, 512, 512)), ROUNDS)


def compare(package: Any, image: np.ndarray, rounds: int) -> list[Row]:
    """The two rows for float32 (slice, row, column) in [-1, 1]."""
    import torch

    from imagetranslation.engines import make_predictor
    from imagetranslation.inference import run_windows

    predictor = make_predictor(package, device="cuda:0")
    forward, windows = _forward_alone(predictor, package, image)
    times, _ = interleaved(
        {
            "monai": _monai_mixed(package, image),
            "ours": lambda: run_windows(image, package, predictor),
            "forward": forward,
        },
        rounds,
        warm=2,
    )
    ours, theirs, alone = (statistics.median(times[name]) for name in ("ours", "monai", "forward"))
    what = (
        f"{torch.cuda.get_device_name(0)}, {' x '.join(map(str, image.shape))} voxels, {windows}, engine "
        f"{predictor.engine}, {predictor.precision}, from the host's memory to the host's, medians of {rounds} "
        "interleaved runs"
    )
    return [
        Row("gpu", round(ours, 3), round(theirs, 3), "ratio <= 0.667", "s",
            f"ours against MONAI's SlidingWindowInferer with autocast float16, windows of "
            f"{' x '.join(map(str, unet3d.PATCH))}, overlap {unet3d.OVERLAP}, four at a time; {what}"),
        Row("gpu_forward", round(100 * alone / ours), None, ">= 85", "%",
            f"the same batches through the predictor alone take {alone:.3f} of {ours:.3f} s; {what}"),
    ]  # fmt: skip


def _monai_mixed(package: Any, image: np.ndarray) -> Callable[[], np.ndarray]:
    import torch

    try:
        from monai.inferers import SlidingWindowInferer
    except ImportError as error:
        raise NotMeasured("monai is not installed.") from error
    network = package.network().to("cuda:0")
    inferer = SlidingWindowInferer(unet3d.PATCH, 4, unet3d.OVERLAP, mode="gaussian")

    def run() -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cuda", torch.float16):
            made = inferer(torch.from_numpy(image[None, None]).to("cuda:0"), network)
            return np.asarray(made[0, 0].float().cpu())

    return run


def _forward_alone(predictor: Any, package: Any, image: np.ndarray) -> tuple[Callable[[], Any], str]:
    """The network on as many batches of our plan, made before; and the plan in words."""
    from imagetranslation import activations
    from imagetranslation.predictors import stream
    from imagetranslation.sliding import GPU_BATCH_VOXELS

    plan = plan_of(image, package, predictor)
    voxels = int(np.prod(plan.patch))
    size = max(1, min(activations.most_voxels(package, predictor), GPU_BATCH_VOXELS) // voxels)
    counts = [min(size, len(plan) - start) for start in range(0, len(plan), size)]
    window = np.zeros((size, 1, *plan.patch), np.float32)
    described = f"{words(plan)}, {size} at once"
    return lambda: [None for _ in stream(predictor, (window[:count] for count in counts))], described
