"""Downloading a model in a process of its own, so that the application stays alive. No widget."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import Cancelled, RunFailed
from .events import Event, EventParser
from .signal import Signal

if TYPE_CHECKING:
    from ..downloads import Download
    from .protocols import WorkerProcess


class ModelDownload:
    """One download at a time. progressed(bytes done, in all); then finished(item) or failed(error)."""

    def __init__(self, new_process: Callable[[], WorkerProcess]) -> None:
        self.progressed, self.finished, self.failed = Signal(), Signal(), Signal()
        self._new_process = new_process
        self._process: WorkerProcess | None = None
        self._item: Download | None = None
        self._parser = EventParser()
        self._message = ""

    @property
    def busy(self) -> bool:
        """Whether a download is under way."""
        return self._process is not None

    def start(self, item: Download) -> None:
        """Begin, or go on where an earlier attempt stopped."""
        self._item, self._parser, self._message = item, EventParser(), ""
        self._process = self._new_process()
        self._process.output.connect(self._on_output)
        self._process.ended.connect(self._on_ended)
        self._process.start(["-m", "imagetranslation.downloads", item.url, item.sha256, str(item.target)])

    def cancel(self) -> None:
        """Stop; what has come is kept for the next time."""
        process, self._process = self._process, None
        if process is not None:
            process.output.disconnect()
            process.ended.disconnect()
            process.stop()
            self.failed(Cancelled("The download was stopped; it goes on where it stopped when you start it again."))

    def close(self) -> None:
        """Stop and wait, for when the panel closes."""
        process = self._process
        self.cancel()
        if process is not None:
            process.wait()

    def _on_output(self, data: bytes) -> None:
        for event in self._parser.feed(data):
            if isinstance(event, Event) and event.kind == "progress":
                self.progressed(int(event.fields["done"]), int(event.fields["total"]))
            elif isinstance(event, Event) and event.kind == "error":
                self._message = str(event.fields.get("message", ""))

    def _on_ended(self, code: int, crashed: bool) -> None:
        self._process = None
        if code == 0 and not crashed:
            self.finished(self._item)
        else:
            self.failed(RunFailed(self._message or f"The download ended with code {code}."))
