"""How much memory a volume of 512 x 512 x 256 takes from its file to its result: ours against MONAI's inferer."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from . import unet3d
from .footprint import in_child
from .results import Row

SHAPE = (256, 512, 512)
ROUNDS = 1


def measure() -> list[Row]:
    """Rows memory (windows of the same size) and memory_whole (the plan that the package allows)."""
    return compare(unet3d.package(), SHAPE, ROUNDS)


def compare(package: Any, shape: tuple[int, int, int], rounds: int) -> list[Row]:
    """The two rows for a simulated float32 volume of `shape`, written as uncompressed NRRD."""
    with tempfile.TemporaryDirectory() as folder:
        scan = str(written(Path(folder) / "scan.nrrd", shape))
        place = str(package.path)
        found = {
            name: [in_child(run, path=scan, package=place, **more) for _ in range(rounds)]
            for name, run, more in (
                ("monai", "monai", {}),
                ("patch", "ours", {"keep_patch": True}),
                ("own", "ours", {"keep_patch": False}),
            )
        }
    theirs = statistics.median(run["peak_mib"] for run in found["monai"])

    def row(name: str, which: str, plan: str, goal: str) -> Row:
        ours, runs = statistics.median(run["peak_mib"] for run in found[which]), found[which]
        note = (
            f"memory of the process at its peak beyond what it had with the network loaded and run once, from file to "
            f"result, {' x '.join(map(str, shape))} float32 ({4 * shape[0] * shape[1] * shape[2] / 2**20:.0f} MiB) in "
            f"uncompressed NRRD, which ours maps (pages of a mapped file are not counted) and theirs holds; ours: "
            f"{plan}, engine {runs[0]['engine']}, {runs[0]['precision']}; theirs: MONAI's SlidingWindowInferer, "
            f"{' x '.join(map(str, unet3d.PATCH))}, overlap {unet3d.OVERLAP}, plain float32, one window at a time; "
            f"{rounds} run{'s' if rounds > 1 else ''} each in processes of their own"
        )
        return Row(name, round(ours), round(theirs), goal, "MiB", note)

    return [
        row("memory", "patch", "windows of the same size", "ratio <= 0.5"),
        row("memory_whole", "own", "windows as large as 512 MiB of activations allow, as the package permits", ""),
    ]


def written(path: Path, shape: tuple[int, int, int]) -> Path:
    """A simulated scan, repeated to `shape` (simulating as many voxels would take minutes); its middle comes first."""
    import numpy as np

    part = unet3d.held_out((32, 128, 128))
    part = np.roll(part, [n // 2 for n in part.shape], (0, 1, 2))
    image = np.tile(part, [-(-n // m) for n, m in zip(shape, part.shape)])[tuple(slice(0, n) for n in shape)]
    header = f"NRRD0004\ntype: float\ndimension: 3\nsizes: {shape[2]} {shape[1]} {shape[0]}\nencoding: raw\n"
    with open(path, "wb") as stream:
        stream.write((header + "endian: little\n\n").encode())
        stream.write(np.ascontiguousarray(image, "<f4").data)
    return path
