"""Which benchmarks there are. A new one is a file with a `measure` function and one line here."""

from __future__ import annotations

from collections.abc import Callable

from . import (
    bonescans,
    gpu,
    growth,
    gui_block,
    icc,
    memory,
    overhead,
    radiomics,
    reader_latency,
    simulators,
    ssim3d,
    train_step,
    transfer,
    translate2d,
    translate3d,
)
from .results import Row

BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "overhead": overhead.measure,
    "overhead_transfer": transfer.measure,
    "gui_block": gui_block.measure,
    "ssim3d": ssim3d.measure,
    "translate2d": translate2d.measure,
    "translate2d_fp32": translate2d.measure,
    "translate3d": translate3d.measure,
    "memory": memory.measure,
    "growth_time": growth.measure_time,
    "growth_memory": growth.measure_memory,
    "gpu": gpu.measure,
    "radiomics1": radiomics.one,
    "radiomics16": radiomics.sixteen,
    "reader_latency": reader_latency.measure,
    "phantom_prostate": simulators.prostate,
    "phantom_bonescan": bonescans.measure,
    "icc": icc.measure,
    "train_step": train_step.measure,
}
