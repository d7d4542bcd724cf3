"""The images of a reading, fetched ahead in small steps so that the application never waits for a file. No widget.

Python threads stand still while Qt's event loop runs in the application, so the steps are taken by a ticker.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Optional

from ..errors import ImageTranslationError
from ..readerstudy.readingset import SOURCE, ReadingSet, Trial, image_in_steps
from .protocols import Ticker
from .signal import Signal

if TYPE_CHECKING:
    from ..volume import Volume

# What is read in one step: 10 ms on a share with 25 MB/s, of no weight on a local disk.
STEP_BYTES = 256 * 1024
_MOST_TRIALS = 3


class Shelf:
    """Fetches trials one after the other. arrived: emitted with a trial whose images (or fault) are there."""

    def __init__(self, reading: ReadingSet, ticker: Ticker) -> None:
        self.arrived = Signal()
        self._reading, self._ticker = reading, ticker
        self._there: dict[str, dict[str, Volume]] = {}
        self._faults: dict[str, ImageTranslationError] = {}
        self._wanted: list[Trial] = []
        self._work: Optional[Generator[None, None, None]] = None

    def want(self, *trials: Optional[Trial]) -> None:
        """Fetch these, the first one first; what was wanted before and is not there yet is dropped."""
        given = [trial for trial in trials if trial is not None]
        for trial in given:
            self._faults.pop(trial.token, None)
        self._wanted = [trial for trial in given if trial.token not in self._there]
        keep = [trial.token for trial in given]
        spare = [token for token in self._there if token not in keep]
        for token in spare[: max(0, len(self._there) - _MOST_TRIALS)]:
            del self._there[token]
        self._stop()
        if self._wanted:
            self._ticker.start(self.step)

    def ready(self, trial: Trial) -> bool:
        """Whether `images` answers at once."""
        return trial.token in self._there or trial.token in self._faults

    def images(self, trial: Trial) -> dict[str, Volume]:
        """A fetched trial's images by slot, the source first; raises what fetching it raised."""
        if trial.token in self._faults:
            raise self._faults[trial.token]
        return self._there[trial.token]

    def step(self) -> None:
        """One small step of fetching."""
        if self._work is None:
            if not self._wanted:
                self._stop()
                return
            self._work = self._fetch(self._wanted[0])
        try:
            next(self._work)
        except StopIteration:
            self._work = None
            self.arrived(self._wanted.pop(0))

    def close(self) -> None:
        """Stop, and let go of all images."""
        self._wanted = []
        self._stop()
        self._there, self._faults = {}, {}

    def _stop(self) -> None:
        self._work = None
        self._ticker.stop()

    def _fetch(self, trial: Trial) -> Generator[None, None, None]:
        made: dict[str, Volume] = {}
        try:
            for slot in sorted(trial.images, key=lambda slot: (slot != SOURCE, slot)):
                made[slot] = yield from image_in_steps(self._reading, trial, slot, STEP_BYTES)
                yield
        except ImageTranslationError as error:
            self._faults[trial.token] = error
            return
        self._there[trial.token] = made
