"""Rank and agreement of 500 features in 60 cases with 1,000 bootstrap draws, beside pingouin's ICC without any.

Simulated values, on one core with one thread in a process of its own. pingouin (GPL-3) serves as an oracle while
developing and is no requirement; without it nothing is compared.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .results import NotMeasured, Row

FEATURES, CASES, DRAWS, ROUNDS = 500, 60, 1000, 5
# pingouin is timed on so many features and its time multiplied up.
SAMPLED = 20
ROOT = Path(__file__).resolve().parent.parent.parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def measure() -> list[Row]:
    """Row icc."""
    if importlib.util.find_spec("scipy") is None:
        raise NotMeasured("not installed: scipy.")
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [sys.executable, "-m", "Testing.Benchmarks.icc"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise RuntimeError(ran.stderr.strip()[-500:])
    found = json.loads(ran.stdout.splitlines()[-1])
    theirs = found["theirs"]
    beside = (
        "pingouin is not installed, so nothing is compared"
        if theirs is None
        else f"theirs: pingouin's intraclass_corr without bootstrap, {SAMPLED} features multiplied up"
    )
    note = (
        f"{FEATURES} simulated features of {CASES} cases, {DRAWS} draws over patients: Spearman, ICC(A,1), "
        f"ICC(C,1), CCC, bias and "
        f"limits, each with its bootstrap interval; one core, one thread, median of {ROUNDS} runs; {beside}"
    )
    return [Row("icc", round(found["ours"], 3), theirs, "<= 3 s", "s", note)]


def _measure() -> dict[str, Any]:
    import numpy as np

    from imagetranslation.radiomics.preservation.definitions import Thresholds
    from imagetranslation.radiomics.preservation.statistics import describe

    generator = np.random.default_rng(0)
    real = generator.normal(size=(CASES, FEATURES))
    synthetic = 0.8 * real + 0.6 * generator.normal(size=real.shape)
    thresholds, patients = Thresholds(draws=DRAWS), np.arange(CASES)
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        describe(real, synthetic, patients, thresholds)
        times.append(time.perf_counter() - started)
    return {"ours": statistics.median(times[1:]), "theirs": _pingouin(real, synthetic)}


def _pingouin(real: Any, synthetic: Any) -> float | None:
    if importlib.util.find_spec("pingouin") is None:
        return None
    import pandas as pd
    import pingouin

    started = time.perf_counter()
    for feature in range(SAMPLED):
        table = pd.DataFrame(
            {
                "case": [*range(CASES)] * 2, "image": ["real"] * CASES + ["synthetic"] * CASES,
                "value": [*real[:, feature], *synthetic[:, feature]],
            }
        )  # fmt: skip
        pingouin.intraclass_corr(table, targets="case", raters="image", ratings="value")
    return round((time.perf_counter() - started) * FEATURES / SAMPLED, 2)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    print(json.dumps(_measure()))
