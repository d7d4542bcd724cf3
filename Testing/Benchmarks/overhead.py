"""What the `translate` command takes beside the network: from the command line to the file on the disk.

Theirs is the forward passes alone: the same batches of the same windows through the same predictor, in a process where
all is loaded. What the command needs before it can begin is measured on a tiny scan and listed apart.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import unet3d
from .memory import written
from .results import Row
from .sidebyside import interleaved
from .translate3d import plan_of, words

ROUNDS = 5
# A network that takes more than five seconds for it, and one window of the network's least size.
LARGE, TINY = (256, 448, 448), (8, 8, 8)
ROOT = Path(__file__).resolve().parent.parent.parent


def measure() -> list[Row]:
    """Rows overhead (start-up apart) and overhead_start."""
    return compare(unet3d.package(), LARGE, ROUNDS)


def compare(package: Any, shape: tuple[int, int, int], rounds: int) -> list[Row]:
    """The two rows for a simulated float32 scan of `shape`, uncompressed NRRD in and NIfTI out."""
    from imagetranslation.jobs import Job, make_runner

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scan, tiny = written(folder / "scan.nrrd", shape), written(folder / "tiny.nrrd", TINY)
        runner = make_runner(Job(str(scan), "", str(package.path)))
        times, made = interleaved(
            {
                "start": lambda: _command(tiny, folder / "small.nii", package),
                "command": lambda: _command(scan, folder / "large.nii", package),
                "forward": _passes(runner, package, shape),
            },
            rounds,
        )
    start = statistics.median(times["start"])
    # A start and a run taken in one turn met the same machine.
    ours = statistics.median(whole - begin for whole, begin in zip(times["command"], times["start"]))
    theirs = statistics.median(times["forward"])
    parts = ", ".join(f"{part} {made['command'][f'seconds_to_{part}']:.2f}" for part in ("load", "translate", "write"))
    plan = plan_of(np.broadcast_to(np.float32(0), shape), package, runner)
    what = (
        f"{' x '.join(map(str, shape))} float32, uncompressed NRRD to uncompressed NIfTI (a .nii.gz or compressed NRRD "
        "takes deflate's time on top), warm file cache, 3D U-Net trained on simulated data in "
        f"{words(plan)}, engine {runner.engine}, {runner.precision}, "
        f"medians of {rounds} interleaved runs"
    )
    return [
        Row("overhead", round(ours, 3), round(theirs, 3), "ratio <= 1.15", "s",
            f"the command without its start-up against the forward passes alone; the command's own parts, loading the "
            f"model counted with the scan: {parts} s; {what}"),
        Row("overhead_start", round(start, 3), None, "<= 3", "s",
            f"the command on a scan of {' x '.join(map(str, TINY))} voxels: Python, torch, model, one pass, ending; "
            f"medians of {rounds} interleaved runs"),
    ]  # fmt: skip


def _command(scan: Path, output: Path, package: Any) -> dict[str, Any]:
    output.unlink(missing_ok=True)
    words = ["translate", str(scan), "-o", str(output), "--model", str(package.path), "--json"]
    command = [sys.executable, "-m", "imagetranslation", *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"the command ended with {ran.stdout or ran.stderr}")
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def _passes(predictor: Any, package: Any, shape: tuple[int, int, int]) -> Callable[[], float]:
    """The batches of our plan through the predictor, all of them made before."""
    from imagetranslation.predictors import stream

    plan = plan_of(np.broadcast_to(np.float32(0), shape), package, predictor)
    window = np.random.default_rng(0).uniform(-1, 1, (1, 1, *plan.patch)).astype(np.float32)

    def run() -> float:
        began = time.perf_counter()
        for _ in stream(predictor, (window for _ in range(len(plan)))):
            pass
        return time.perf_counter() - began

    return run
