"""How much work a model is: whether choosing an engine can pay at all, and what a choice is made for."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

from ..predictors import explained
from . import records

if TYPE_CHECKING:
    from ..models import ModelPackage

# The volume an engine is chosen for: a large scan, (slice, row, column).
NOMINAL_SHAPE = (128, 256, 256)
# Multiply-adds for that volume below which plain torch is taken untried: about a second on a laptop's processor, and
# starting another engine takes as long.
SMALL = 50e9
# Voxels of a usual batch; a GPU is filled by more.
_BATCH_VOXELS = {"cpu": 1 << 19, "cuda": 1 << 22}


def usual_batch(package: ModelPackage, device: str) -> int:
    """How many windows go through the network at once: 1 to 8, by the size of the patch."""
    voxels = math.prod(package.inputs["patch_size"])
    return int(max(1, min(8, _BATCH_VOXELS.get(device.partition(":")[0], 1 << 19) // voxels)))


def nominal_windows(package: ModelPackage) -> int:
    """Windows of the nominal volume; where every scan is resampled to the patch ("fit"), one, or one a slice."""
    patch = [int(n) for n in package.inputs["patch_size"]]
    flat = len(patch) == 2
    if package.inputs["resampling"]["mode"] == "fit":
        return NOMINAL_SHAPE[0] if flat else 1
    overlap = float(package.metadata["inference"]["overlap"])
    sizes = zip(NOMINAL_SHAPE[-len(patch) :], patch)
    windows = math.prod(max(1, math.ceil(size / max(1.0, want * (1 - overlap)))) for size, want in sizes)
    return windows * (NOMINAL_SHAPE[0] if flat else 1)


def multiply_adds(package: ModelPackage) -> float:
    """Multiply-adds of one window (convolutions and matrix products).

    Counted once and kept: counting loads parts of torch that take longer than a small translation.
    """
    window = [package.inputs["num_channels"], *package.inputs["patch_size"]]
    described = json.dumps([package.metadata["network"], window], sort_keys=True)
    name = f"work-{hashlib.sha256(described.encode()).hexdigest()[:24]}"
    kept = records.read(name).get("multiply_adds")
    if isinstance(kept, (int, float)) and not isinstance(kept, bool) and kept >= 0:
        return float(kept)
    found = _counted(package)
    records.write(name, {"multiply_adds": found, "model": package.id})
    return found


def _counted(package: ModelPackage) -> float:
    """Multiply-adds of one window, counted by torch on shapes alone; ModelRefused where the network cannot run."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from .. import networks

    spec = package.metadata["network"]
    with torch.device("meta"), torch.inference_mode():
        network = networks.build(spec["name"], **spec["arguments"]).eval()
        windows = torch.zeros(1, int(package.inputs["num_channels"]), *package.inputs["patch_size"])
        try:
            with FlopCounterMode(display=False) as counter:
                network(windows)
        except Exception as error:
            raise explained(error, package, "cpu", tuple(windows.shape)) from error
    return counter.get_total_flops() / 2


def is_small(package: ModelPackage) -> bool:
    """Whether the nominal volume takes fewer than `SMALL` multiply-adds, so that no engine needs to be tried."""
    windows = nominal_windows(package)
    # No convolution uses a weight more than once a voxel; counting takes a second, which most small models are spared.
    most = int(package.metadata["weights"]["parameters"]) * math.prod(package.inputs["patch_size"])
    return windows * most < SMALL or windows * multiply_adds(package) < SMALL


def has_varying_windows(package: ModelPackage) -> bool:
    """Whether the package allows windows of other sizes than its patch, which an engine of fixed shapes cannot run."""
    settings = package.metadata["inference"]
    flat = len(package.inputs["patch_size"]) == 2
    return bool(settings.get("size_multiple") and settings.get("whole_slice" if flat else "whole_volume"))
