"""Ctrl-C and SIGTERM during a run: the step is finished and a checkpoint written; a second one ends it at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import torch
from lightning.fabric import Fabric

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """A context in which the first signal is noted; in a thread that cannot have signals it notes none."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def asked(self) -> bool:
        """Whether any process of the run was asked to stop; all of them get the same answer, so all call it."""
        if self._fabric.world_size == 1:
            return self._asked
        flag = torch.tensor(float(self._asked), device=self._fabric.device)
        torch.distributed.all_reduce(flag)
        return bool(flag > 0)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
