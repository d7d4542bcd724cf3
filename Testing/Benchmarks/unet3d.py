"""The 3D U-Net of the benchmarks (32-64-128-256, two residual units), trained once on simulated prostates.

Weights matter: rounding and seams hurt a trained network otherwise than a random one. The package is kept in the
person's data folder. Measures nothing; the rows that use it do.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STEPS, TRAINING_CASES, HELD_OUT_CASE, BATCH = 400, 6, 1000, 2
PATCH, OVERLAP = (64, 128, 128), 0.25
ARGUMENTS = {"channels": [32, 64, 128, 256], "units": 2, "norm": "batch", "bounded": True}
# It halves its image three times.
MULTIPLE = 8
# (slice, row, column); of these one crop of CROP goes into each place of a training batch.
TRAINING_SHAPE, CROP = (64, 128, 128), (32, 64, 64)
SHAPE = (128, 256, 256)
# mm (i, j, k): the fan fills SHAPE of such voxels; training also sees larger ones, so that its edge comes into view.
SPACING = (0.29, 0.38, 0.75)


def package(say: Callable[[str], Any] = print, steps: int = STEPS, folder: Path | None = None) -> Any:
    """The package, trained first if it is not there yet. It may run on any multiple of 8 voxels (`keeping_patch`)."""
    from imagetranslation.errors import ModelRefused
    from imagetranslation.models import load_package, verify, write_package
    from imagetranslation.resources import user_folder

    folder = folder or user_folder() / "benchmarks" / f"unet3d-{steps}"
    try:
        found = load_package(folder)
        verify(found)
    except ModelRefused:
        say(f"training {steps} steps on simulated prostates, once, into {folder}")
        write_package(folder, _metadata(steps), _trained(steps, say), "# Trained for a benchmark on simulated data.\n")
        found = load_package(folder)
    return found


def keeping_patch(made: Any) -> Any:
    """The same package, as one whose windows must have the size of its patch (instance statistics would ask for it)."""
    from imagetranslation.models import ModelPackage

    settings = {**made.metadata["inference"], "whole_volume": False}
    return ModelPackage(made.path, {**made.metadata, "inference": settings})


def held_out(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """float32 in [-1, 1]: simulated ultrasound of a prostate that no training saw, of the same extent in any shape."""
    scale = [full / size for full, size in zip(SHAPE[::-1], shape[::-1])]
    return _pair(HELD_OUT_CASE, shape, tuple(s * f for s, f in zip(SPACING, scale)))[0]


def _metadata(steps: int) -> dict[str, Any]:
    from imagetranslation.activations import count_bytes
    from Testing.packages import metadata

    network = {"name": "unet", "arguments": ARGUMENTS}
    made = metadata(
        network=network,
        inference={
            "overlap": OVERLAP,
            "whole_volume": True,
            "size_multiple": MULTIPLE,
            "activation_bytes": round(count_bytes(network, 1, PATCH)),
        },
        spatial_dims=3,
        patch_size=list(PATCH),
        resampling={"mode": "none", "spacing": None},
        field_of_view="whole",
    )
    made["id"], made["title"] = "benchmark-unet3d", "Trained for a benchmark on simulated data; of no use else"
    made["training"].update(data="simulated prostates", licence="none needed: no patient", steps=steps)
    return made


def _trained(steps: int, say: Callable[[str], Any]) -> dict[str, Any]:
    """State after `steps` steps of Adam on the mean absolute error; the seed is fixed."""
    import torch

    from imagetranslation import networks
    from imagetranslation.engines import machine

    torch.manual_seed(0)
    cases = [
        _pair(n, TRAINING_SHAPE, tuple(s * (1.6 if n % 2 else 1.0) for s in SPACING)) for n in range(TRAINING_CASES)
    ]
    network = networks.build("unet", **ARGUMENTS).to(memory_format=torch.channels_last_3d)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    random, began = np.random.default_rng(0), time.monotonic()
    quick = machine.has_bfloat16("cpu")
    for step in range(1, steps + 1):
        source, target = (torch.from_numpy(part) for part in _batch(cases, random))
        with torch.autocast("cpu", torch.bfloat16, enabled=quick):
            made = network(source.contiguous(memory_format=torch.channels_last_3d))
        loss = (made.float() - target).abs().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % 50 == 0 or step == steps:
            say(f"step {step} of {steps}, mean absolute error {loss.item():.4f}, {time.monotonic() - began:.0f} s")
    return network.eval().state_dict()


def _batch(cases: list[tuple[np.ndarray, np.ndarray]], random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """BATCH crops, (BATCH, 1, *CROP) of the ultrasound and of the MR."""
    picked = []
    for _ in range(BATCH):
        case = cases[random.integers(len(cases))]
        corner = [random.integers(0, n - c + 1) for n, c in zip(TRAINING_SHAPE, CROP)]
        where = tuple(slice(a, a + c) for a, c in zip(corner, CROP))
        picked.append([part[where] for part in case])
    source, target = (np.stack([pair[n] for pair in picked])[:, np.newaxis] for n in (0, 1))
    return source, target


def _pair(seed: int, shape: tuple[int, ...], spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """float32 of `shape` twice, in [-1, 1]: simulated ultrasound and T2 MR of one prostate."""
    from . import ellipsoids

    random = np.random.default_rng(seed)
    anatomy = ellipsoids.invent(random)
    size = (shape[2], shape[1], shape[0])
    points = ellipsoids.grid_points(size, (spacing[0], spacing[1], spacing[2]))
    tissue, field = ellipsoids.tissues(anatomy, points), ellipsoids.texture(anatomy, points)
    echo = ellipsoids.ultrasound(tissue, field, points, random)
    signal = ellipsoids.magnetic_resonance(tissue, field, random)
    first, second = (image.astype(np.float32) / 127.5 - 1 for image in (echo, signal))
    return first, second


if __name__ == "__main__":
    # Only the training, for a machine that should have it before it is measured.
    package(lambda line: print(line, flush=True))
    sys.exit(0)
