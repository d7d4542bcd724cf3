"""What the worker process costs over translating in the process itself: starting it, and handing volumes over.

Ours is what a Slicer module does: voxels of a node into a file, a worker, voxels of its result out of a file. Theirs is
`inference.translate` on the same volume in this process, with torch and the model already loaded.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .results import NotMeasured, Row

ROUNDS = 5
MODEL = "us2mri-pix2pix-small"
LARGE = (160, 256, 256)
# Parts of a run of ours, seconds: the whole, writing the input, reading the result, and the worker's own report.
Times = dict[str, float]


def measure() -> list[Row]:
    """Rows overhead (large volume, start-up apart), overhead_start and overhead_transfer."""
    try:
        import slicer  # noqa: F401  the volumes' way into files and back starts at its nodes
    except ImportError as error:
        raise NotMeasured("slicer-core is not installed.") from error
    small, large = _case17(), _made()
    in_process = _translator()
    with tempfile.TemporaryDirectory() as folder:
        by_worker = _by_worker(Path(folder))
        times = _interleaved({
            "inside17": lambda: {"all": in_process(small)}, "worker17": lambda: by_worker(small),
            "inside": lambda: {"all": in_process(large)}, "worker": lambda: by_worker(large),
        })  # fmt: skip
    return _rows(times, small.name)


def _rows(runs: dict[str, list[Times]], small: str) -> list[Row]:
    # On a scan that takes no time to hand over, all that a new process takes beyond a warm one is starting and ending.
    starts = [new["all"] - warm["all"] for new, warm in zip(runs["worker17"], runs["inside17"])]
    ours = statistics.median(run["all"] - start for run, start in zip(runs["worker"], starts))
    inside, start = _median(runs["inside"], "all"), statistics.median(starts)
    transfer = _median(runs["worker"], "send") + _median(runs["worker"], "receive")
    sizes = " x ".join(str(n) for n in LARGE)
    names = ("send", "load", "translate", "write", "receive")
    parts = ", ".join(f"{name} {_median(runs['worker'], name):.2f}" for name in names)
    how = f"medians of {ROUNDS} interleaved runs on the CPU with {MODEL}"
    return [
        Row("overhead", round(ours, 3), round(inside, 3), "ratio <= 1.15", "s",
            f"{sizes} made ultrasound, from node to result without start-up, against in-process inference; {how}; "
            f"parts of ours with start-up: {parts} s; both run the same inference, so a "
            "ratio below 1 shows how far times scatter on this machine"),
        Row("overhead_start", round(start, 3), None, "<= 3", "s",
            f"what a new worker takes on {small} beyond inference in a process that is warm "
            f"({_median(runs['inside17'], 'all'):.2f} s): starting Python, loading torch and the model, torch's first "
            f"run, ending; {how}"),
        Row("overhead_transfer", round(transfer, 3), None, "", "s",
            f"of `overhead`: the application's own part, {sizes} voxels written and read back in small steps; {how}"),
    ]  # fmt: skip


def _median(runs: list[Times], part: str) -> float:
    return statistics.median(run[part] for run in runs)


def _interleaved(runs: dict[str, Callable[[], Times]]) -> dict[str, list[Times]]:
    """The parts of ROUNDS runs of each, taken in turn; a first turn only warms up."""
    found: dict[str, list[Times]] = {name: [] for name in runs}
    for number in range(ROUNDS + 1):
        for name, run in runs.items():
            times = run()
            if number:
                found[name].append(times)
    return found


def _translator() -> Callable[[Any], float]:
    from imagetranslation.inference import translate
    from imagetranslation.models import load_package
    from imagetranslation.predictors import TorchPredictor

    package = load_package(MODEL)
    predictor = TorchPredictor(package, "cpu")

    def run(volume: Any) -> float:
        started = time.monotonic()
        translate(volume, package, predictor=predictor)
        return time.monotonic() - started

    return run


def _by_worker(folder: Path) -> Callable[[Any], Times]:
    from imagetranslation.jobs import Job, save_job
    from imagetranslation.panels import transfer

    def run(volume: Any) -> Times:
        node, result = _node(volume), folder / "result.nii"
        result.unlink(missing_ok=True)
        started = time.monotonic()
        for _ in transfer.send_volume(node, folder / "scan.nrrd"):
            pass
        sent = time.monotonic()
        save_job(Job(str(folder / "scan.nrrd"), str(result), MODEL, "cpu"), folder / "job.json")
        report = _work(folder / "job.json")
        worked = time.monotonic()
        for _ in transfer.receive_volume(result, volume.array.shape):
            pass
        ended = time.monotonic()
        parts = {name: report[f"seconds_to_{name}"] for name in ("load", "translate", "write")}
        return {"all": ended - started, "send": sent - started, "receive": ended - worked, **parts}

    return run


def _work(job: Path) -> dict[str, Any]:
    import json

    root = Path(__file__).resolve().parent.parent.parent
    command = [sys.executable, "-m", "imagetranslation.worker", str(job)]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    last = json.loads(ran.stdout.splitlines()[-1])
    if last["event"] != "result":
        raise RuntimeError(f"the worker ended with {last}")
    return last


def _node(volume: Any) -> Any:
    import slicer
    import slicer.util

    node = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(node, volume.array)
    node.SetSpacing(*volume.spacing)
    node.SetAttribute("ImageTranslation.Modality", "US")
    return node


def _case17() -> Any:
    """The held-out real scan, or a made one of its size where the real scans are absent."""
    import os
    from dataclasses import replace

    from imagetranslation.volume import read_volume
    from Testing.packages import an_ultrasound

    folder = Path(os.environ.get("IMAGETRANSLATION_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    path = folder / "prostate_mr_trus" / "us" / "case17.nii.gz"
    if path.exists():
        return replace(read_volume(path), name="case 17 (41 x 59 x 44)")
    return replace(an_ultrasound((41, 59, 44)), name="a made 41 x 59 x 44 ultrasound")


def _made() -> Any:
    from Testing.packages import an_ultrasound

    return an_ultrasound(LARGE)
