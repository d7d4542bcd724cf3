"""One desk a reader: the session, the one window that may use it, and the thread in which it works.

Sessions know nothing of each other. A desk whose window falls silent gives its session, and with it the store's lock,
back. HTTP is `app`'s matter.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Optional, TypeVar

from ...errors import ImageTranslationError, InputError, RunFailed
from ...readerstudy.locks import TakenOver
from ...readerstudy.readingset import ReadingSet, Trial
from ...readerstudy.session import Session
from ...readerstudy.store import Store
from .access import same
from .telling import session_state, study_facts

logger = logging.getLogger(__name__)
T = TypeVar("T")

LOST = "This reading was opened in another window, where it goes on. Nothing you answered before is lost."
CLOSED = "The reading was closed here because this window had not been heard of for a while."


class WindowLost(ImageTranslationError):
    """Another window has the reader."""

    code = "window"


class WindowClosed(ImageTranslationError):
    """No window has the reader; the page opens it again by itself."""

    code = "closed"


class Occupied(ImageTranslationError):
    """Another window has the reader, and may be there still; a person may take over."""

    code = "occupied"


class OtherCase(ImageTranslationError):
    """The request is about a case that is not on the screen any more."""

    code = "case"


@dataclass(frozen=True)
class Patience:
    """Seconds. silence_s: a window that said nothing for so long is gone; browsers let hidden pages speak once a
    minute. touch_s: how often the store hears that a window is still there. look_s: how often desks are looked at."""

    silence_s: float = 180.0
    touch_s: float = 60.0
    look_s: float = 5.0


class Desk:
    """One reader's. Everything that touches the session runs in the desk's own thread, one thing after another."""

    def __init__(self, reading: ReadingSet, reader: str, store: Store, patience: Patience) -> None:
        self.reader = reader
        self._reading, self._store, self._patience = reading, store, patience
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"reader-{reader}")
        self._session: Optional[Session] = None
        self._window, self._where, self._since = "", "", ""
        self._heard = self._touched = 0.0
        self._addresses: dict[str, tuple[str, Trial]] = {}

    @property
    def taken(self) -> bool:
        """Whether a window reads here now."""
        return self._session is not None

    async def run(self, work: Callable[[], T]) -> T:
        """Do something in the desk's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def open(self, where: str, previous: str, take_over: bool) -> dict[str, Any]:
        """Give the desk to a new window; returns its id and all the page needs.

        where: what a second window is told about this one. previous: the window id that the same tab had before it was
        loaded again. Raises Occupied, or InputError where the reader cannot read now (the washout is not over, ...).
        """
        if self._session is not None and self._session.trial is None:
            self._end()  # the next session may be open by now
        if self._session is not None:
            gone = time.monotonic() - self._heard > self._patience.silence_s
            if not (take_over or gone or (previous and previous == self._window)):
                raise Occupied(
                    f"{self.reader} is already open in another window ({self._where}, since {self._since} UTC). Close "
                    "it, or go on here; that window then shows nothing more."
                )
        else:
            self._session = self._opened(take_over)
        self._window = secrets.token_urlsafe(24)
        self._where, self._since = where, time.strftime("%H:%M", time.gmtime())
        self._heard = self._touched = time.monotonic()
        return {"window": self._window, "study": study_facts(self._reading, self.reader), "state": self._state()}

    def act(self, window: str, what: Callable[[Session], Any], trial: str = "") -> dict[str, Any]:
        """Do something with the session on behalf of a window; returns what is then on the screen.

        trial: token of the case that the page shows; where another is on, nothing is done and OtherCase raised.
        """
        session = self._mine(window)
        if trial and (session.trial is None or session.trial.token != trial):
            raise OtherCase("That case is not on the screen any more.")
        try:
            what(session)
        except TakenOver:
            self._end()
            raise WindowLost(LOST) from None
        return self._state()

    def state(self, window: str) -> dict[str, Any]:
        """What is on the screen."""
        self._mine(window)
        return self._state()

    def trial_at(self, window: str, address: str) -> Trial:
        """The trial whose images have that address in this session; InputError where none has."""
        self._mine(window)
        known = next((trial for own, trial in self._addresses.values() if same(own, address)), None)
        if known is None:
            raise InputError("There are no such images.")
        return known

    def leave(self, window: str) -> None:
        """The window was closed or loaded again."""
        if self._session is not None and same(window, self._window):
            self._end()

    def look(self) -> None:
        """Give the session back where its window is gone; otherwise tell the store that it is there."""
        now = time.monotonic()
        if self._session is None:
            return
        if now - self._heard > self._patience.silence_s:
            self._end()
        elif now - self._touched > self._patience.touch_s:
            self._touched = now
            try:
                self._session.touch()
            except TakenOver:
                self._end()
            except RunFailed as error:
                logger.warning("%s", error)  # the next answer says it to the reader

    def close(self) -> None:
        """Give the session back."""
        if self._session is not None:
            self._end()

    def shut(self) -> None:
        """End the desk's thread."""
        self._thread.shutdown()

    def _opened(self, take_over: bool) -> Session:
        try:
            return Session(self._reading, self.reader, self._store, take_over=take_over)
        except InputError as error:
            if not take_over and self._store.holder(self.reader) is not None:
                raise Occupied(str(error)) from None
            raise

    def _mine(self, window: str) -> Session:
        if self._session is None:
            raise WindowClosed(CLOSED)
        if not same(window, self._window):
            raise WindowLost(LOST)
        self._heard = time.monotonic()
        return self._session

    def _end(self) -> None:
        session, self._session, self._window = self._session, None, ""
        self._addresses.clear()
        try:
            if session is not None:
                session.close()
        except ImageTranslationError as error:  # every answer was kept when it was given
            logger.warning("%s: %s", self.reader, error)

    def _state(self) -> dict[str, Any]:
        assert self._session is not None
        return session_state(self._session, self._address)

    def _address(self, trial: Trial) -> str:
        """Where the page finds a trial's images: random, and good for this session only."""
        return self._addresses.setdefault(trial.token, (secrets.token_urlsafe(24), trial))[0]


class Desks:
    """The desks of all readers of a study."""

    def __init__(
        self, reading: ReadingSet, readers: Mapping[str, str], store: Store, patience: Optional[Patience] = None
    ) -> None:
        self._patience = patience or Patience()
        self._desks = {reader: Desk(reading, reader, store, self._patience) for reader in readers}

    def of(self, reader: str) -> Desk:
        """A reader's desk."""
        return self._desks[reader]

    async def watch(self) -> None:
        """Look at all desks from time to time, until cancelled."""
        while True:
            await asyncio.sleep(self._patience.look_s)
            await asyncio.gather(*(desk.run(desk.look) for desk in self._desks.values() if desk.taken))

    async def close(self) -> None:
        """Give all sessions back."""
        await asyncio.gather(*(desk.run(desk.close) for desk in self._desks.values()))
        for desk in self._desks.values():
            desk.shut()
