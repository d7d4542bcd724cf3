"""Clocks: how long a trial was read, less idle time, and which day it is for the washout.

Times of reading come from the monotonic clock, which nobody can set; dates from the system's, which is compared with
the last date in the journal.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Optional

# A clock may be corrected by so much without being called set back.
TOLERANCE_S = 300.0


class Clock:
    """The computer's clocks; tests give others. utc(): aware datetime. monotonic(): seconds from any zero."""

    def __init__(
        self,
        utc: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.timezone.utc),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.utc = utc
        self.monotonic = monotonic


class Stopwatch:
    """Reading time of one trial. Between two signs of activity at most `idle_after_s` seconds count as reading; the
    rest of a longer gap is idle. Paused time is neither."""

    def __init__(self, clock: Clock, idle_after_s: float, reading_s: float = 0.0, idle_s: float = 0.0) -> None:
        self._clock = clock
        self._limit = idle_after_s
        self.reading_s = reading_s
        self.idle_s = idle_s
        self._last: Optional[float] = clock.monotonic()

    @property
    def paused(self) -> bool:
        """Whether time does not count."""
        return self._last is None

    def activity(self) -> None:
        """The reader moved, typed or leafed."""
        if self._last is not None:
            now = self._clock.monotonic()
            gap = max(0.0, now - self._last)
            self.reading_s += min(gap, self._limit)
            self.idle_s += max(0.0, gap - self._limit)
            self._last = now

    def idle(self) -> bool:
        """Whether nothing was done for so long that time does not count any more."""
        return self._last is not None and self._clock.monotonic() - self._last > self._limit

    def pause(self) -> None:
        """Stop; what was read until now counts."""
        self.activity()
        self._last = None

    def resume(self) -> None:
        """Go on."""
        if self._last is None:
            self._last = self._clock.monotonic()


def iso(moment: datetime.datetime) -> str:
    """UTC with microseconds, ending in Z."""
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: object) -> Optional[datetime.datetime]:
    """The UTC time in a journal entry; None where it is none."""
    try:
        return datetime.datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return None
