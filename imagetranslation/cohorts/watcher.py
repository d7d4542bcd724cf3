"""What a running cohort tells whoever watches it. How that looks is left to the command line or a window."""

from __future__ import annotations

from typing import Any


class Watcher:
    """Told about a cohort while it runs; this one is silent. Calls may come from several threads."""

    def note(self, sentence: str) -> None:
        """Something the person should know before the results."""

    def started(self, cases: int, done: int) -> None:
        """How many cases there are and how many of them were found done."""

    def begun(self, worker: str, name: str) -> None:
        """A worker takes up the input called `name`."""

    def windows(self, worker: str, done: int, total: int) -> None:
        """Windows done and in all of the case a worker has in hand."""

    def finished(self, worker: str, row: dict[str, Any]) -> None:
        """A case has ended, well or not; row: as in the table (`batch.COLUMNS`)."""
