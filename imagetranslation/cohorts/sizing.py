"""How many processes share a cohort on this machine, with how many threads each, and whether it pays to start them.

On CPU independent volumes go fastest with a process for each core and one thread each: threads wait for one another in
every layer, processes never. Fewer processes with more threads are taken where memory or the number of cases allows no
more. On GPUs there is one process for each. Starting processes costs seconds, so a short trial on the first case says
first whether the work is long enough for that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, ImageTranslationError
from ..headers import free_memory, inspect
from ..jobs import Job, read_input
from .cases import size_and_time

if TYPE_CHECKING:
    from ..models import ModelPackage

# A Python process with torch and ITK loaded, and what a network in float32 needs beyond its weights.
_PROCESS_BYTES = 700 << 20
_COPIES_OF_WEIGHTS = 3
# What a voxel of a volume under way costs, as `jobs` reckons, and as much again for the one read ahead.
_BYTES_PER_VOXEL = 48
_SHARE_OF_MEMORY = 0.8
# Work that one process does in less than this is left to it. Starting two worker processes and loading the model in
# them took 4 to 10 s where this was measured (two cores, others using them), and a second core must make up for that.
WORTH_PROCESSES_SECONDS = 40.0
_TRIAL_SECONDS = 1.5
_LARGEST_LOOKED_AT = 20


@dataclass(frozen=True)
class Team:
    """processes: how many translate at once. threads: CPU threads of each. devices: of each, "" to leave it open."""

    processes: int
    threads: int
    devices: tuple[str, ...] = ()


def team(
    inputs: list[Path], package: ModelPackage, device: str, workers: int | None, threads: int | None, gpus: int
) -> Team:
    """The processes for `inputs` on this machine.

    device: as in the job ("auto", "cpu", "cuda", "cuda:1", "mps"). workers, threads: as a person asked for, None to
    choose. gpus: how many CUDA devices there are.
    """
    cores = cpu_count()
    if gpus and device in ("auto", "cuda"):
        number = min(workers or gpus, len(inputs))
        return Team(number, threads or max(1, cores // number), tuple(f"cuda:{n % gpus}" for n in range(number)))
    if device.startswith(("cuda", "mps")):
        number = min(workers or 1, len(inputs))
        return Team(number, threads or max(1, cores // number))
    room = int(free_memory() * _SHARE_OF_MEMORY // bytes_per_process(inputs, package))
    number = workers or max(1, min(cores // (threads or 1), room))
    number = min(number, len(inputs))
    return Team(number, threads or max(1, cores // number))


def cpu_count() -> int:
    """Cores this process may use: by affinity and, in a container, by its quota."""
    try:
        from dask.system import CPU_COUNT

        return int(CPU_COUNT)
    except ImportError:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bytes_per_process(inputs: list[Path], package: ModelPackage) -> int:
    """Memory a process needs for the largest of the inputs (judged by the files' sizes and what their headers say)."""
    weights = 4 * int(package.metadata["weights"]["parameters"])
    sized = sorted(((_bytes(path), path) for path in inputs), reverse=True)[:_LARGEST_LOOKED_AT]
    largest = max((_voxels(path, size) for size, path in sized), default=0)
    return _PROCESS_BYTES + _COPIES_OF_WEIGHTS * weights + _BYTES_PER_VOXEL * largest


def seconds_for_all(jobs: list[Job], runner: Any, stopped: Callable[[], bool]) -> float | None:
    """How long one process with this predictor would take for all jobs; None where the first ones cannot be read.

    The first readable job is translated without writing anything, for at most a second and a half, and the rest
    reckoned from the windows done and the sizes of the files.
    """
    from ..inference import translate

    for job in jobs[:3]:
        seen = _Pace(stopped)
        try:
            volume = read_input(job)
            seen.begin()
            translate(
                volume, runner.package, predictor=runner, progress=seen.progress, cancelled=seen.is_enough,
                allow_synthetic=job.allow_synthetic,
            )  # fmt: skip
        except Cancelled:
            pass
        except (ImageTranslationError, MemoryError):
            continue
        return seen.seconds() * sum(_bytes(Path(j.input)) for j in jobs) / max(1, _bytes(Path(job.input)))
    return None


class _Pace:
    """Watches one translation until its pace is known."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        self._began = self._last = time.monotonic()
        self._share = 0.0

    def begin(self) -> None:
        self._began = self._last = time.monotonic()

    def progress(self, done: int, total: int) -> None:
        self._share, self._last = done / max(1, total), time.monotonic()

    def is_enough(self) -> bool:
        return self._stopped() or (self._share > 0 and time.monotonic() - self._began > _TRIAL_SECONDS)

    def seconds(self) -> float:
        return (self._last - self._began) / self._share if self._share else 0.0


def _bytes(path: Path) -> int:
    try:
        return size_and_time(path)[0]
    except ImageTranslationError:
        return 0


def _voxels(path: Path, size: int) -> int:
    """Voxels of an input; of DICOM, whose headers are spread over many files, from two bytes each."""
    try:
        header = inspect(path)
    except (ImageTranslationError, OSError):
        return size // 2
    count = 1
    for length in header.sizes[:3]:
        count *= length
    return count
