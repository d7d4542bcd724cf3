"""A cohort's progress on stderr: the whole with its remaining time, and a line for each worker."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..cohorts import Watcher


class CohortBars(Watcher):
    """Draws what a cohort tells. The whole moves with the windows of the cases under way, so that its remaining time is
    known before the first case ends."""

    def __init__(self, progress: Any, quiet: bool) -> None:
        self._progress, self._quiet = progress, quiet
        self._whole: Any = None
        self._tasks: dict[str, Any] = {}
        self._shares: dict[str, float] = {}
        self._ended = self._failed = self._cases = 0
        self._lock = threading.Lock()

    def note(self, sentence: str) -> None:
        """Printed above the bars."""
        if not self._quiet:
            print(sentence, file=sys.stderr)

    def started(self, cases: int, done: int) -> None:
        """The bar of the whole."""
        self._cases, self._ended = cases, done
        self._whole = self._progress.add_task(self._title(), total=cases, completed=done)

    def begun(self, worker: str, name: str) -> None:
        """A line for the worker, or its next case in it."""
        with self._lock:
            if worker not in self._tasks:
                self._tasks[worker] = self._progress.add_task("", total=None)
            self._progress.reset(self._tasks[worker], description=f"  {worker}: {name}", total=None)
            self._shares[worker] = 0.0

    def windows(self, worker: str, done: int, total: int) -> None:
        """The worker's line and the whole move."""
        with self._lock:
            if worker in self._tasks:
                self._progress.update(self._tasks[worker], completed=done, total=total)
                self._shares[worker] = done / max(1, total)
                self._move()

    def finished(self, worker: str, row: dict[str, Any]) -> None:
        """One case more."""
        with self._lock:
            self._ended += 1
            self._failed += row["status"] != "done"
            self._shares[worker] = 0.0
            self._move()

    def _move(self) -> None:
        under_way = sum(self._shares.values())
        self._progress.update(
            self._whole, completed=min(self._cases, self._ended + under_way), description=self._title()
        )

    def _title(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._ended} of {self._cases} cases{failed}"


@contextmanager
def cohort_bars(as_json: bool) -> Iterator[CohortBars]:
    """Bars on stderr, hidden for machines and where stderr is no terminal."""
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    terminal = RichConsole(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    hidden = as_json or not terminal.is_terminal
    with Progress(*columns, console=terminal, transient=True, disable=hidden, speed_estimate_period=120) as progress:
        yield CohortBars(progress, as_json)
