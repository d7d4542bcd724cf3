"""A reader at work: the one logic behind the Slicer panel and the browser page. No widget, no picture.

Every answer is handed to the store before the call returns; what the store refuses raises, and the face keeps the
answer on the screen. Resuming lands on the trial that was on the screen, with the form as it was. Not thread-safe:
one session, one thread at a time.
"""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional

from .. import __version__
from ..errors import InputError
from .questions import Item, answer_for_key, checked, visible
from .readingset import ReadingSet, Trial, load_reading_set, reading_images
from .replay import TrialState, form, is_done, replay, session_end, unanswered
from .store import FolderStore, Store
from .timing import TOLERANCE_S, Clock, Stopwatch, iso

if TYPE_CHECKING:
    from ..volume import Volume

_LARGEST_VIEW = 8000
# Entry of a view state that says that a program gave the answer, not a person.
SIMULATED = "simulated"


@dataclass(frozen=True)
class Progress:
    """number: of the trial on the screen, among `total` of the reader. done: trials handed in. session: 1, 2, ...
    session_number of session_total: the same within the session."""

    number: int
    total: int
    done: int
    session: int
    sessions: int
    session_number: int
    session_total: int


class Session:
    """Opened by `open_session`. `trial` is what is on the screen, None once the session is over (see `ended`).

    warnings: sentences the reader should see (a crash was noticed; entries are missing).
    """

    def __init__(
        self,
        reading: ReadingSet,
        reader: str,
        store: Store,
        *,
        clock: Optional[Clock] = None,
        take_over: bool = False,
        accept_clock: bool = False,
    ) -> None:
        """Open the reader for writing. accept_clock: go on although the clock stands before the last answer.

        Raises InputError in one sentence: unknown reader, open elsewhere, journal damaged, study changed, washout not
        over (with the date), clock set back.
        """
        self.reading, self.reader, self.store = reading, reader, store
        self._clock = clock or Clock()
        self._trials = reading.trials(reader)
        self._skipped: set[str] = set()
        self._writer = store.open(reader, take_over)
        try:
            self.warnings = self._writer.warnings
            self._replay = replay(self._writer.history.entries)
            self._require_clock(accept_clock)
            self.session = self._current_session()
            self._require_washout()
            self.trial = self._where_it_was()
            self._watch = self._stopwatch()
            self._frozen = False
            opened: dict[str, Any] = {"manifest": reading.sha256, "session": self.session, "host": platform.node()}
            entries = [self._entry("open", None, **opened, clock_accepted=accept_clock)]
            self._keep([*entries, *([self._show()] if self.trial else [])])
        except BaseException:
            self._writer.close()
            raise

    # ---- what is on the screen ----

    @property
    def answers(self) -> dict[str, Any]:
        """Item key to answer of the trial on the screen, a copy."""
        return dict(self._state().answers) if self.trial else {}

    @property
    def form(self) -> tuple[Item, ...]:
        """The items shown now, in order; answering one may show or hide others."""
        return visible(form(self.reading, self.trial), self._state().answers) if self.trial else ()

    @property
    def progress(self) -> Progress:
        """Where the reader is."""
        own = [t for t in self._trials if t.session == self.session]
        here = self.trial or own[-1]
        done = sum(is_done(self.reading, t, self._replay) for t in self._trials)
        number = own.index(here) + 1
        return Progress(
            here.number, len(self._trials), done, self.session, self.reading.sessions, number, len(own)
        )  # fmt: skip

    @property
    def ended(self) -> str:
        """A sentence once nothing is left to read in this session, otherwise ""."""
        if self.trial is not None:
            return ""
        left = sum(t.token in self._skipped and not is_done(self.reading, t, self._replay) for t in self._trials)
        if left:
            return (
                f"All else of this session is read; {left} case{'s' * (left > 1)} could not be shown. Tell the "
                "coordinator, and open the reading again once that is mended."
            )
        if self.session == self._trials[-1].session:
            return f"All {len(self._trials)} cases are read. Thank you; you may close this window."
        opens = self._opens(self.session + 1)
        when = f" and opens on {opens:%Y-%m-%d}" if opens else ""
        return (
            f"Session {self.session} of {self.reading.sessions} is done. Session {self.session + 1} comes next{when}."
        )

    @property
    def upcoming(self) -> Optional[Trial]:
        """The trial after the one on the screen in this session, to be fetched ahead; None at its end."""
        if self.trial is None:
            return None
        return next((t for t in self._trials[self.trial.number :] if t.session == self.session), None)

    @property
    def can_go_back(self) -> bool:
        """Whether `back` leads anywhere."""
        return self.reading.allow_back and self._earlier() is not None

    @property
    def paused(self) -> bool:
        """Whether the reading is paused; images should be hidden then."""
        return self._watch.paused

    @property
    def reading_s(self) -> float:
        """Seconds this trial was read, without idle time and pauses."""
        return self._watch.reading_s

    def images(self, trial: Optional[Trial] = None) -> dict[str, Volume]:
        """The images of a trial (by default the one on the screen) by slot, see `readingset.reading_image`."""
        wanted = trial or self.trial
        return {} if wanted is None else reading_images(self.reading, wanted)

    # ---- what the reader does ----

    def activity(self) -> None:
        """Call at every movement, key and scroll: a longer silence than `reading.idle_after_s` counts as idle."""
        self._watch.activity()

    def idle(self) -> bool:
        """Whether reading time stands still because nothing happens."""
        return self._watch.idle()

    def answer(self, key: str, value: Any, view: Optional[Mapping[str, Any]] = None) -> Any:
        """Keep an answer; it is on the disk when this returns its stored form. None takes an answer back.

        view: the state of the views as JSON (slice, window, ...). Answers that the new one hides are taken back in the
        same breath. InputError where it is no answer to that question; RunFailed where it could not be saved.
        """
        trial, state = self._require_trial(), self._state()
        item = next((item for item in self.form if item.key == key), None)
        if item is None:
            raise InputError(f"{key[:60]} is not asked of this case now.")
        new = checked(item, value, tuple(trial.images))
        self._watch.activity()
        if new == state.answers.get(key) and type(new) is type(state.answers.get(key)):
            return new
        if not self._frozen:
            self.store.freeze()
            self._frozen = True
        entries = [self._answer_entry(key, state.answers.get(key), new, view)]
        after = {**state.answers, key: new}
        if new is None:
            del after[key]
        shown = {item.key for item in visible(form(self.reading, trial), after)}
        for hidden in [k for k in after if k not in shown]:
            entries.append({**self._answer_entry(hidden, after[hidden], None, None), "because": f"{key} hides it"})
        self._keep(entries)
        return new

    def press(self, item_key: str, key: str, view: Optional[Mapping[str, Any]] = None) -> Any:
        """Answer an item by a number key; returns None and keeps nothing where the key means nothing to it."""
        item = next((item for item in self.form if item.key == item_key), None)
        value = None if item is None else answer_for_key(item, key)
        return None if value is None else self.answer(item_key, value, view)

    def missing(self) -> str:
        """The sentence on the first required question without an answer, or ""."""
        if self.trial is None:
            return ""
        item = unanswered(self.reading, self.trial, self._state().answers)
        if item is None:
            return ""
        which = f" for image {item.slot}" if "@" in item.key else ""
        return f'"{item.question.text}"{which} is not answered yet.'

    def next(self) -> Optional[Trial]:
        """Hand the trial in and go on; returns the next trial, or None at the end of the session.

        InputError with the sentence of `missing`; RunFailed where it could not be saved: the trial stays.
        """
        trial = self._require_trial()
        if missing := self.missing():
            raise InputError(missing)
        following = next((t for t in self._trials[trial.number :] if t.session == self.session), None)
        return self._onward(following or self._first_open(besides=trial), "complete")

    def skip(self) -> Optional[Trial]:
        """Go on from a trial whose images cannot be shown, without handing it in; returns the next one, or None.

        It counts as not read and is offered again when the reading is next opened. InputError where it can be shown;
        RunFailed where it could not be saved: the trial stays.
        """
        trial = self._require_trial()
        try:
            self.images(trial)
        except InputError as error:
            why = str(error)
        else:
            raise InputError("The images of this case can be shown; it cannot be left out.")
        following = self._onward(self._first_open(besides=trial, after=trial.number), "skip", because=why)
        self._skipped.add(trial.token)
        return following

    def back(self) -> Trial:
        """Go to the case before; InputError where that is not allowed or there is none in this session."""
        if not self.reading.allow_back:
            raise InputError("In this study cases that were handed in are not shown again.")
        earlier = self._earlier()
        if earlier is None:
            raise InputError("This is the first case of the session.")
        self._watch.activity()
        entries = [self._entry("leave", self.trial, **self._times())] if self.trial else []
        self._keep([*entries, self._entry("show", earlier)])
        self._move(earlier)
        return earlier

    def save(self) -> None:
        """Note that the reader pressed save; the answers were saved as they were given."""
        self._watch.activity()
        self._keep([self._entry("save", self.trial, **self._times())])

    def pause(self) -> None:
        """Stop the clock."""
        if not self._watch.paused:
            self._watch.pause()
            self._keep([self._entry("pause", self.trial, **self._times())])

    def resume(self) -> None:
        """Go on after a pause."""
        if self._watch.paused:
            self._keep([self._entry("resume", self.trial)])
            self._watch.resume()

    def touch(self) -> None:
        """Tell the store that this window is still there; RunFailed where another took over."""
        self._writer.touch()

    def close(self) -> None:
        """End the reading; the lock is given back also where the last entry could not be written."""
        try:
            if self.trial is not None:
                self._watch.activity()
                self._keep([self._entry("leave", self.trial, **self._times())])
            self._keep([self._entry("close")])
        finally:
            self._writer.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    # ---- inside ----

    def _state(self) -> TrialState:
        return self._replay.state(self._require_trial(paused=True).token)

    def _require_trial(self, paused: bool = False) -> Trial:
        if self.trial is None:
            raise InputError(self.ended)
        if self._watch_is_paused() and not paused:
            raise InputError("The reading is paused; resume it first.")
        return self.trial

    def _watch_is_paused(self) -> bool:
        return hasattr(self, "_watch") and self._watch.paused

    def _entry(self, kind: str, trial: Optional[Trial] = None, **more: Any) -> dict[str, Any]:
        return {
            "kind": kind,
            "utc": iso(self._clock.utc()),
            "monotonic_s": round(self._clock.monotonic(), 6),
            "token": trial.token if trial else "",
            "app": __version__,
            **more,
        }

    def _answer_entry(self, key: str, old: Any, new: Any, view: Optional[Mapping[str, Any]]) -> dict[str, Any]:
        facts = {"question": key, "old": old, "new": new, "view": _small(view), **self._times()}
        return self._entry("answer", self.trial, **facts)

    def _times(self) -> dict[str, float]:
        return {"reading_s": round(self._watch.reading_s, 3), "idle_s": round(self._watch.idle_s, 3)}

    def _keep(self, entries: list[dict[str, Any]]) -> None:
        for entry in self._writer.append(entries):
            self._replay.take(entry)
        self.warnings = self._writer.warnings

    def _onward(self, following: Optional[Trial], kind: str, **more: Any) -> Optional[Trial]:
        """Note how the trial on the screen was left, and show another one."""
        self._watch.activity()
        entries = [self._entry(kind, self.trial, **more, **self._times())]
        if following is not None:
            entries.append(self._entry("show", following))
        self._keep(entries)
        self._move(following)
        return following

    def _show(self) -> dict[str, Any]:
        return self._entry("show", self.trial)

    def _move(self, trial: Optional[Trial]) -> None:
        self.trial = trial
        self._watch = self._stopwatch()

    def _stopwatch(self) -> Stopwatch:
        state = self._replay.state(self.trial.token) if self.trial else TrialState()
        return Stopwatch(self._clock, self.reading.idle_after_s, state.reading_s, state.idle_s)

    def _earlier(self) -> Optional[Trial]:
        before = self._trials[: self.trial.number - 1] if self.trial else self._trials
        return next((t for t in reversed(before) if t.session == self.session), None)

    def _first_open(self, besides: Optional[Trial] = None, after: int = 0) -> Optional[Trial]:
        """A trial of this session that is not done and was not left out: the first one behind `after`, or the first."""
        own = [t for t in self._trials if t.session == self.session and t is not besides]
        own = [t for t in own if t.token not in self._skipped and not is_done(self.reading, t, self._replay)]
        return next((t for t in own if t.number > after), next(iter(own), None))

    def _current_session(self) -> int:
        """The session of the first trial that is not done; the last one where all are."""
        left = next((t for t in self._trials if not is_done(self.reading, t, self._replay)), self._trials[-1])
        return left.session

    def _where_it_was(self) -> Optional[Trial]:
        shown = next((t for t in self._trials if t.token == self._replay.shown and t.session == self.session), None)
        left = self._first_open()
        return shown if shown is not None and left is not None else left

    def _opens(self, session: int) -> Optional[datetime.datetime]:
        """When a session may begin: its first day, and the washout after the one before; None where at once."""
        dates = []
        if first := self.reading.not_before[session - 1]:
            dates.append(datetime.datetime.combine(first, datetime.time(), datetime.timezone.utc))
        if session > 1 and (end := session_end(self._trials, self._replay, session - 1)):
            dates.append(end + datetime.timedelta(days=self.reading.washout_days))
        return max(dates, default=None)

    def _require_washout(self) -> None:
        opens, now = self._opens(self.session), self._clock.utc()
        if opens is not None and now < opens:
            raise InputError(
                f"Session {self.session} of {self.reader} opens on {opens:%Y-%m-%d at %H:%M} UTC; it is "
                f"{now:%Y-%m-%d %H:%M} now. What is read too soon is remembered."
            )

    def _require_clock(self, accepted: bool) -> None:
        latest, now = self._replay.latest, self._clock.utc()
        if latest is not None and (latest - now).total_seconds() > TOLERANCE_S and not accepted:
            raise InputError(
                f"The clock of this computer says {now:%Y-%m-%d %H:%M} UTC, but the last answer of {self.reader} was "
                f"given at {latest:%Y-%m-%d %H:%M} UTC; set the clock right and open the reading again."
            )


def open_session(
    path: str | Path,
    reader: str,
    *,
    store: Optional[Store] = None,
    clock: Optional[Clock] = None,
    take_over: bool = False,
    accept_clock: bool = False,
) -> Session:
    """Open a reader's session given a reading set's folder or the study's; by default answers go into that folder."""
    reading = load_reading_set(path)
    reading.trials(reader)
    kept = store or FolderStore(reading)
    return Session(reading, reader, kept, clock=clock, take_over=take_over, accept_clock=accept_clock)


def _small(view: Optional[Mapping[str, Any]]) -> Any:
    """The view state as it is kept; one that is no JSON or larger than 8 kB is left out, and the entry says so."""
    if view is None:
        return None
    try:
        text = json.dumps(view, allow_nan=False)
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError):
        return {"left_out": "not JSON"}
    return json.loads(text) if len(text) <= _LARGEST_VIEW else {"left_out": f"{len(text)} characters"}
