"""What the panels' logic needs of the outside, a process and a ticker. Tests replace both; `process` has Qt's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .signal import Signal

# Exit codes that no program has: the process could not be started; the application quits.
NOT_STARTED, QUITTING = -1, -2


class WorkerProcess(Protocol):
    """One run of one program. output, errors: emitted with bytes. ended: emitted once with (exit code, crashed)."""

    output: Signal
    errors: Signal
    ended: Signal

    def start(self, arguments: list[str]) -> None:
        """Run Python with these arguments; `ended` with NOT_STARTED or QUITTING follows when that is impossible."""

    def write(self, data: bytes) -> None:
        """Send to its stdin."""

    def stop(self) -> None:
        """End the process and all it started, now; `ended` follows unless it has been emitted."""

    def wait(self) -> None:
        """Block until it is gone, for closing the application."""


class Ticker(Protocol):
    """Calls back as often as the application is idle, until stopped."""

    def start(self, step: Callable[[], None]) -> None:
        """Begin calling `step`."""

    def stop(self) -> None:
        """Stop calling."""
