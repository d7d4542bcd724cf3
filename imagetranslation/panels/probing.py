"""Asking the worker's Python what it has, without freezing the application; the answer is kept for the session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from .events import Event, EventParser
from .signal import Signal

if TYPE_CHECKING:
    from .protocols import WorkerProcess


class Probe:
    """Runs `probe`; answered(report) follows, at once when the session knows it already. One process for all."""

    _known: ClassVar[dict[str, Any] | None] = None

    def __init__(self, new_process: Callable[[], WorkerProcess]) -> None:
        self.answered = Signal()
        self._new_process = new_process
        self._process: WorkerProcess | None = None
        self._parser = EventParser()
        self._said = b""

    def ask(self, again: bool = False) -> None:
        """Emit `answered`, now or when the process has spoken. again: forget what is known."""
        if again:
            Probe._known = None
        if Probe._known is not None:
            self.answered(Probe._known)
        elif self._process is None:
            self._parser, self._said = EventParser(), b""
            self._process = self._new_process()
            self._process.output.connect(self._on_output)
            self._process.errors.connect(self._on_errors)
            self._process.ended.connect(self._on_ended)
            self._process.start(["-m", "imagetranslation.panels.probe"])

    def close(self) -> None:
        """End the process, if one is under way."""
        process, self._process = self._process, None
        if process is not None:
            process.ended.disconnect()
            process.stop()
            process.wait()

    def _on_output(self, data: bytes) -> None:
        for item in self._parser.feed(data):
            if isinstance(item, Event) and item.kind == "probe":
                Probe._known = item.fields

    def _on_errors(self, data: bytes) -> None:
        self._said += data

    def _on_ended(self, code: int, crashed: bool) -> None:
        self._process = None
        trouble = self._said.decode("utf-8", errors="replace").strip() or f"it ended with code {code}"
        nothing = {
            "python": "",
            "versions": {},
            "devices": [],
            "trouble": f"The worker's Python does not run: {trouble}",
        }
        self.answered(Probe._known if Probe._known is not None else nothing)
