"""How time and memory grow with the volume: 1, 2, 4 and 8 times the voxels, in windows of one size."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .footprint import in_child
from .results import Row

ROUNDS = 5
BASE, TIMES = (128, 192, 256), (1, 2, 4, 8)
PATCH = (16, 64, 64)


def measure_time() -> list[Row]:
    """Row growth_time: the largest deviation from a straight line through nothing, percent."""
    seconds = [[run["seconds"] for run in runs] for runs in _runs(ROUNDS)]
    middle = np.array([statistics.median(runs) for runs in seconds])
    voxels = _voxels()
    slope = float((middle * voxels).sum() / (voxels**2).sum())
    off = 100 * float(np.abs(middle / (slope * voxels) - 1).max())
    each = ", ".join(f"{n}x {s:.2f} s" for n, s in zip(TIMES, middle))
    return [Row("growth_time", round(off, 1), None, "<= 10", "%",
                f"largest deviation of the time from one in proportion to the voxels ({slope * 1e6:.2f} s a million): "
                f"{each}; {_how()}, medians of {ROUNDS} interleaved runs")]  # fmt: skip


def measure_memory() -> list[Row]:
    """Row growth_memory: bytes of memory a further voxel takes."""
    peaks = np.array([statistics.median(run["peak_mib"] for run in runs) for runs in _runs(1)]) * 2**20
    voxels = _voxels()
    slope, constant = np.polyfit(voxels, peaks, 1)
    each = ", ".join(f"{n}x {p / 2**20:.0f} MiB" for n, p in zip(TIMES, peaks))
    return [Row("growth_memory", round(float(slope), 2), 8.0, "ratio <= 1.1: input and output only", "bytes per voxel",
                f"slope of the peak over the voxels, beside {constant / 2**20:.0f} MiB that do not grow; theirs is 4 "
                f"bytes of input and 4 of output; {each}; {_how()}, one run each")]  # fmt: skip


def _runs(rounds: int) -> list[list[dict[str, Any]]]:
    """Figures of the runs of each size, taken in turn."""
    from Testing.packages import make_package, metadata

    network = {"name": "unet", "arguments": {"channels": [8, 16, 32], "units": 1, "bounded": True}}
    inputs = {"resampling": {"mode": "none", "spacing": None}, "field_of_view": "whole", "modality": "US"}
    found: list[list[dict[str, Any]]] = [[] for _ in TIMES]
    with tempfile.TemporaryDirectory() as folder:
        made = metadata(network=network, spatial_dims=3, patch_size=list(PATCH), **inputs)
        package = make_package(Path(folder) / "package", made=made)
        for _ in range(rounds):
            for runs, times in zip(found, TIMES):
                shape = [BASE[0] * times, *BASE[1:]]
                runs.append(in_child("growing", shape=shape, package=str(package.path)))
    return found


def _voxels() -> np.ndarray:
    return np.array([float(np.prod(BASE)) * times for times in TIMES])


def _how() -> str:
    return (
        f"float32 volumes in memory from {' x '.join(map(str, BASE))} up, more slices each time, windows of "
        f"{' x '.join(map(str, PATCH))} with a quarter shared, a small 3D U-Net with random weights in plain torch, "
        "each in a process of its own that has translated a smaller volume before"
    )
