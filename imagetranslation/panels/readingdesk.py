"""A reader's session as the panel uses it: what happens at each button, and what is said where it cannot be. No widget.

The reading itself is `readerstudy.session`'s. Kept here is what the store refused, so that it stays on the screen and
is tried again, and the images of this case and the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Optional

from ..errors import ImageTranslationError, InputError, RunFailed
from ..readerstudy.locks import TakenOver
from ..readerstudy.readingset import Trial
from ..readerstudy.session import Session, open_session
from .protocols import Ticker
from .readingshelf import Shelf
from .signal import Signal

if TYPE_CHECKING:
    from ..volume import Volume

# How often the lock's date is renewed while nothing else is written.
TOUCH_S = 60.0
View = Callable[[], Mapping[str, Any]]


class Desk:
    """One open session. view: gives the state of the views for the journal.

    arrived: emitted with no argument when the images of the case on the screen are there. lost: emitted with a
    sentence when another window has taken over and nothing more can be saved here.
    """

    def __init__(self, folder: str, reader: str, ticker: Ticker, view: View, take_over: bool = False) -> None:
        """Open the reading; InputError or RunFailed in one sentence where that cannot be."""
        self.session: Session = open_session(folder, reader, take_over=take_over)
        self.arrived, self.lost = Signal(), Signal()
        self._view = view
        self._unsaved: dict[str, Any] = {}
        self._closed = False
        self._touched = time.monotonic()
        self.shelf = Shelf(self.session.reading, ticker)
        self.shelf.arrived.connect(self._onArrived)

    @property
    def trial(self) -> Optional[Trial]:
        """The case on the screen."""
        return self.session.trial

    @property
    def answers(self) -> dict[str, Any]:
        """What the screen shows: the answers that are kept, and over them those that could not be."""
        return {**self.session.answers, **self._unsaved}

    @property
    def unsaved(self) -> tuple[str, ...]:
        """Keys of answers that are on the screen only."""
        return tuple(self._unsaved)

    def fetch(self) -> None:
        """Begin fetching this case and the next."""
        self.shelf.want(self.session.trial, self.session.upcoming)

    def images(self) -> Optional[dict[str, Volume]]:
        """The images of the case on the screen by slot; None while they are still fetched. InputError: they cannot be
        shown."""
        trial = self.session.trial
        return self.shelf.images(trial) if trial is not None and self.shelf.ready(trial) else None

    def answer(self, key: str, value: Any) -> None:
        """Keep an answer; where that fails, it is on the screen only, is tried again at Next, and the reason raised."""
        try:
            self.session.answer(key, value, self._view())
        except (InputError, RunFailed) as error:
            self._unsaved[key] = value
            self._notice_loss(error)
            raise
        self._unsaved.pop(key, None)

    def save(self) -> None:
        """Keep what was not kept yet and note the button; raises the reason where it cannot be."""
        self.retry()
        self._guarded(self.session.save)

    def next(self) -> None:
        """Hand the case in and go on; raises the sentence on what is missing or not saved, and the case stays."""
        self.retry()
        self._guarded(self.session.next)
        self._moved()

    def skip(self) -> None:
        """Go on from a case whose images cannot be shown; it stays open for another time."""
        self.retry()
        self._guarded(self.session.skip)
        self._moved()

    def back(self) -> None:
        """The case before."""
        self.retry()
        self._guarded(self.session.back)
        self._moved()

    def pause(self) -> None:
        """Stop the clock; what is typed is kept first."""
        self.retry()
        self._guarded(self.session.pause)

    def resume(self) -> None:
        """Go on."""
        self._guarded(self.session.resume)

    def activity(self) -> None:
        """The reader did something."""
        self.session.activity()

    def idle(self) -> bool:
        """Whether the clock stands because nothing happens."""
        return bool(self.session.idle())

    def touch(self) -> None:
        """Now and then: say that this window is still there."""
        if time.monotonic() - self._touched >= TOUCH_S:
            self._touched = time.monotonic()
            try:
                self.session.touch()
            except RunFailed as error:
                self._notice_loss(error)

    def close(self) -> str:
        """End the session and give the lock back; a sentence where something could not be kept, else ""."""
        if self._closed:
            return ""
        self._closed = True
        said = ""
        try:
            self.retry()
        except ImageTranslationError as error:
            said = str(error)
        self.shelf.close()
        try:
            self.session.close()
        except ImageTranslationError as error:
            said = said or str(error)
        return said

    def retry(self) -> None:
        """Keep what could not be kept before; raises the reason where it still cannot be."""
        for key, value in list(self._unsaved.items()):
            if any(item.key == key for item in self.session.form):
                self.answer(key, value)
            else:
                del self._unsaved[key]

    def _guarded(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except RunFailed as error:
            self._notice_loss(error)
            raise

    def _notice_loss(self, error: ImageTranslationError) -> None:
        if isinstance(error, TakenOver):
            self.lost(str(error))

    def _moved(self) -> None:
        self._unsaved = {}
        self.fetch()

    def _onArrived(self, trial: Trial) -> None:
        if self.session.trial is not None and trial.token == self.session.trial.token:
            self.arrived()
