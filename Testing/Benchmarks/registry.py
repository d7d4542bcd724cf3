"""Which benchmarks there are. A new one is a file with a `measure` function and one line here."""

from __future__ import annotations

from collections.abc import Callable

from . import gui_block, overhead, ssim3d, translate2d
from .results import Row

BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "overhead": overhead.measure,
    "gui_block": gui_block.measure,
    "ssim3d": ssim3d.measure,
    "translate2d": translate2d.measure,
}
