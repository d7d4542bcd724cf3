"""How many simulated bone scans a second one core makes: blood pool and delayed image of one view, with lesions.

In a process of its own with one thread, without writing files. Spot views carry the goal; the whole body is told beside
it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from .results import Row

SPOTS = {
    "hands": "inflammatory arthritis",
    "feet": "osteomyelitis",
    "knees": "inflammatory arthritis",
    "legs": "cellulitis",
}
PATIENTS, WHOLE_BODIES = 15, 4
ROOT = Path(__file__).resolve().parent.parent.parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def measure() -> list[Row]:
    """Rows phantom_bonescan and phantom_bonescan_body, pairs a second."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [sys.executable, "-m", "Testing.Benchmarks.bonescans"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise RuntimeError(ran.stderr.strip()[-500:])
    spots, body = json.loads(ran.stdout.splitlines()[-1])
    one = "seconds of one core, one thread, nothing written; a pair is the blood pool and the delayed image of one view"
    listed = ", ".join(f"{region} {rate:.0f}" for region, rate in spots.items())
    slowest = min(spots.values())
    return [
        Row("phantom_bonescan", round(slowest, 1), None, ">= 20", "pairs/s", f"slowest spot view of {listed}; {one}"),
        Row("phantom_bonescan_body", round(body, 1), None, "none", "pairs/s", f"whole body, both views of each; {one}"),
    ]


def _measure() -> tuple[dict[str, float], float]:
    from training_tools.phantoms.bonescan import VIEWS, simulate

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    simulate(0, "none", "hands")  # imports
    spots = {}
    for region, group in SPOTS.items():
        began = time.process_time()
        for seed in range(PATIENTS):
            simulate(seed, group, region)
        spots[region] = PATIENTS / (time.process_time() - began)
    began = time.process_time()
    for seed in range(WHOLE_BODIES):
        simulate(seed, "osteomyelitis", "whole_body", VIEWS)
    return spots, len(VIEWS) * WHOLE_BODIES / (time.process_time() - began)


if __name__ == "__main__":
    print(json.dumps(_measure()))
