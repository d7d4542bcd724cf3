"""What a network costs: seconds a step (measured), hence steps for its budget, time and energy of a whole benchmark."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ..config import Config
from ..training.cache import fingerprints, open_cases
from ..training.fitting import require_fit
from ..training.loop import Loop
from ..training.precision import make_fabric, settled
from ..training.sampling import Process, Sampler
from ..training.state import State

TRIED = 3  # steps that are timed, after one that is not
CPU_WATTS = 65.0  # of a desktop processor under load, where nothing better is told: our choice


def seconds_a_step(config: Config, data: Path, cases: Sequence[str], tried: int = TRIED) -> float:
    """Median time of a training step, sampling included, on this machine; nothing is kept."""
    require_fit(config)
    prints = fingerprints(data, list(cases))
    fabric = make_fabric(config.precision)
    stored = open_cases(data, config, prints)
    with settled(fabric.device, config.threads):
        state = State(config, fabric, stored)
        loop = Loop(state, Sampler(stored, config, Process(0, 1)))
        times, steps = [], loop.rows(tried + 1)
        for _ in range(tried + 1):
            began = time.perf_counter()
            next(steps)
            loop.finished()  # reads the losses, so that a GPU has finished
            times.append(time.perf_counter() - began)
        steps.close()
    return median(times[1:])


def steps_for(seconds: float, a_step: float) -> int:
    """As many steps as fit into the budget, at least one."""
    return max(1, int(seconds / a_step))


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return {
        "device": name, "cores": os.cpu_count(), "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(), "torch": torch.__version__,
    }  # fmt: skip


def estimate(seconds_of_cells: Sequence[float], workers: int, watts: float) -> dict[str, float]:
    """Hours until the end, and kilowatt hours, of cells that are still to be run."""
    total = sum(seconds_of_cells)
    return {"hours": total / max(workers, 1) / 3600, "kilowatt_hours": total * watts / 3.6e6}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()
