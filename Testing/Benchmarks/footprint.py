"""How much memory a run takes: children that run one thing each, watched by themselves. Compares nothing.

What counts is the memory that belongs to the process (RssAnon on Linux): pages of a mapped file are the system's cache,
which gives them up when memory is short. Run as a program it does one run and prints its figures as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .results import NotMeasured

INTERVAL_S = 0.002
ROOT = Path(__file__).resolve().parent.parent.parent


def in_child(run: str, **settings: Any) -> dict[str, Any]:
    """Figures of one run of RUNS in a process of its own: peak_mib beyond what was there before, seconds, and more."""
    if not Path("/proc/self/status").exists():
        raise NotMeasured("only Linux says how much memory of a process is its own.")
    command = [sys.executable, "-m", "Testing.Benchmarks.footprint", run, json.dumps(settings)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise NotMeasured(f"the run {run} ended with {ran.stderr.strip().splitlines()[-1:]}.")
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def own_mib() -> float:
    """Memory of this process that is no file's, MiB."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise NotMeasured("this system does not say how much memory of a process is its own.")


def watched(run: Callable[[], Any]) -> dict[str, float]:
    """Seconds, and the most memory beyond what was there before, MiB."""
    before, most, ended = own_mib(), [0.0], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            most[0] = max(most[0], own_mib())
            time.sleep(INTERVAL_S)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    try:
        kept = run()
        seconds = time.perf_counter() - began
    finally:
        ended.set()
        watcher.join()
    del kept
    return {"seconds": seconds, "peak_mib": max(most[0], own_mib()) - before}


def _ours(path: str, package: str, keep_patch: bool) -> dict[str, float]:
    """From the file to the synthetic volume, as a job does it; the network has run once before."""
    import numpy as np

    from imagetranslation.engines import make_predictor
    from imagetranslation.inference import translate
    from imagetranslation.models import load_package
    from imagetranslation.volume import read_volume

    from . import unet3d

    loaded = load_package(package)
    loaded = unet3d.keeping_patch(loaded) if keep_patch else loaded
    predictor = make_predictor(loaded, device="cpu")
    predictor.predict(np.zeros((1, 1, *unet3d.PATCH), np.float32))
    figures = watched(lambda: translate(read_volume(path, mapped=True), loaded, predictor=predictor))
    return {**figures, "precision": predictor.precision, "engine": predictor.engine}


def _monai(path: str, package: str) -> dict[str, float]:
    """From the file to MONAI's result; the network has run once before."""
    import numpy as np

    from imagetranslation.models import load_package
    from imagetranslation.volume import read_volume

    from . import translate3d, unet3d

    loaded = load_package(package)
    translate3d.monai_inferer(loaded, np.zeros(unet3d.PATCH, np.float32))()
    return watched(lambda: translate3d.monai_inferer(loaded, read_volume(path).array)())


def _growing(shape: list[int], package: str) -> dict[str, float]:
    """A made volume of this shape, in memory, to its synthetic one."""
    import numpy as np

    from imagetranslation.inference import translate
    from imagetranslation.models import load_package
    from imagetranslation.predictors import TorchPredictor
    from imagetranslation.volume import Volume

    loaded = load_package(package)
    predictor = TorchPredictor(loaded, "cpu")

    def made(sizes: list[int]) -> Volume:
        return Volume(np.random.default_rng(0).random(sizes, dtype=np.float32), name="made", modality="US")

    translate(made([32, *shape[1:]]), loaded, predictor=predictor)
    return watched(lambda: translate(made(shape), loaded, predictor=predictor))


RUNS: dict[str, Callable[..., dict[str, Any]]] = {"ours": _ours, "monai": _monai, "growing": _growing}

if __name__ == "__main__":
    print("\n" + json.dumps(RUNS[sys.argv[1]](**json.loads(sys.argv[2]))))
