"""How long a translation will still take, judged from what is done. No widget."""

from __future__ import annotations

import time
from collections.abc import Callable


class RemainingTime:
    """Feed it progress; it says the time left, counted from the first window that was done.

    Loading torch and the weights takes seconds before the first window and says nothing about those to come.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[int, float] | None = None

    def seconds(self, done: int, total: int) -> float | None:
        """Seconds left after `done` of `total`, or None while it can't be told."""
        if total <= 0 or done <= 0:
            return None
        if self._first is None or done < self._first[0]:
            self._first = (done, self._clock())
        steps, elapsed = done - self._first[0], self._clock() - self._first[1]
        return None if steps <= 0 else elapsed / steps * (total - done)


def words(seconds: float | None) -> str:
    """ "about 40 s left", "about 3 min left", or nothing."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s left"
    return f"about {round(seconds / 60)} min left"
