"""How many simulated prostates a minute one core makes: ultrasound and MR of 128 x 128 x 64 voxels, labels and truth.

In a process of its own with one thread, without writing files.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from .results import Row

CASES = 6
ROOT = Path(__file__).resolve().parent.parent.parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def prostate() -> list[Row]:
    """Row phantom_prostate, cases a minute."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [sys.executable, "-m", "Testing.Benchmarks.simulators"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise RuntimeError(ran.stderr.strip()[-500:])
    seconds = json.loads(ran.stdout.splitlines()[-1])
    note = (
        f"simulated prostates (ultrasound and T2 MR of 128 x 128 x 64 voxels each, six label maps, truth; counted "
        f"once a case), one core, one thread, median of {CASES} seeds, slowest {max(seconds):.1f} s"
    )
    return [Row("phantom_prostate", round(60 / statistics.median(seconds), 1), None, ">= 5", "cases/min", note)]


def _measure() -> list[float]:
    from training_tools.phantoms.prostate import simulate_case

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    simulate_case(0)  # imports
    taken = []
    for seed in range(1, CASES + 1):
        began = time.perf_counter()
        simulate_case(seed)
        taken.append(time.perf_counter() - began)
    return taken


if __name__ == "__main__":
    print(json.dumps(_measure()))
