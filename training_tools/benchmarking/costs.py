"""What a network costs: seconds a step (measured), hence steps for its budget; time and energy of a whole benchmark."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
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

TRIED = 5  # stretches of steps that are timed, after a step that is not
STRETCH_S = 0.05  # as many steps as take this long are timed together: some systems' clocks are coarse
CPU_WATTS = 65.0  # of a desktop processor under load, where nothing better is told: our choice
PROCESSOR, WALL = "processor", "wall"


def clock(device_type: str) -> str:
    """What a step is timed by: `PROCESSOR` on a CPU, `WALL` on anything else, which works beside the processor."""
    return PROCESSOR if device_type == "cpu" else WALL


def seconds_a_step(config: Config, data: Path, cases: Sequence[str], tried: int = TRIED) -> tuple[float, str]:
    """Median cost of a training step, sampling included, on this machine, and the clock it was read from.

    By `PROCESSOR`: the processor time of a step computed on one thread, divided by the threads of the configuration.
    Other programs slow a step down without making it more work: their share is no processor time of this process. On
    several threads it would not do, because threads that wait for one another burn it (four times the work of a small
    network, on two threads of a busy machine). Where threads share the work unevenly, training takes longer than this
    says, for every network the same work. Nothing of the training is kept.
    """
    require_fit(config)
    prints = fingerprints(data, list(cases), config.sampling.region)
    fabric = make_fabric(config.precision)
    stored = open_cases(data, config, prints)
    kind = clock(fabric.device.type)
    now, share = (time.process_time, config.threads) if kind == PROCESSOR else (time.perf_counter, 1)
    with settled(fabric.device, 1 if kind == PROCESSOR else config.threads):
        state = State(config, fabric, stored)
        loop = Loop(state, Sampler(stored, config, Process(0, 1)))
        steps = loop.rows(config.steps)
        first = time.perf_counter()
        _take(steps, loop, 1)
        first = time.perf_counter() - first
        together = max(1, min(int(STRETCH_S / first), (config.steps - 1) // tried))
        times = []
        for _ in range(tried):
            began = now()
            _take(steps, loop, together)
            times.append((now() - began) / together / share)
        steps.close()
    return max(median(times), 1e-6), kind


def _take(steps: Iterator[Any], loop: Loop, count: int) -> None:
    for _ in range(count):
        next(steps)
    loop.finished()  # reads the losses, so that a GPU has finished


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
