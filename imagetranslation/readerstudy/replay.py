"""What a reader's entries amount to: the answers as they stand, which trials are done, when sessions ended.

The entries are the truth; this is only ever computed from them. Shared by the session, the exports and the status.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .questions import Item, items, visible
from .readingset import ReadingSet, Trial
from .timing import TOLERANCE_S, moment


@dataclass
class TrialState:
    """answers: key to value as it stands. changes: key to how often it was changed after the first answer. answered:
    key to the UTC text of the last answer. reading_s, idle_s: so far. completed: UTC text of the first and of the
    last completion."""

    answers: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)
    reading_s: float = 0.0
    idle_s: float = 0.0
    completed: tuple[str, ...] = ()


@dataclass
class Replay:
    """trials: token to state. shown: token on the screen at the end. latest: last UTC time of any entry. backwards:
    sentences on times that go back. strange: sentences on entries that fit no trial or question."""

    trials: dict[str, TrialState] = field(default_factory=dict)
    shown: str = ""
    latest: Optional[datetime.datetime] = None
    backwards: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    def state(self, token: str) -> TrialState:
        """The state of a trial, empty at first."""
        return self.trials.setdefault(token, TrialState())

    def take(self, entry: Mapping[str, Any]) -> None:
        """Let one more entry count."""
        self._take_time(entry)
        kind, token = entry.get("kind"), str(entry.get("token", ""))
        if kind == "show":
            self.shown = token
        elif kind == "answer":
            self._take_answer(entry, self.state(token))
        elif kind == "complete":
            state = self.state(token)
            state.completed = (*state.completed[:1], str(entry.get("utc", "")))
            if self.shown == token:
                self.shown = ""
        if kind in ("answer", "complete", "skip", "pause", "save", "leave") and token:
            state = self.state(token)
            state.reading_s = max(state.reading_s, _seconds(entry.get("reading_s")))
            state.idle_s = max(state.idle_s, _seconds(entry.get("idle_s")))

    def _take_answer(self, entry: Mapping[str, Any], state: TrialState) -> None:
        key, new = str(entry.get("question", "")), entry.get("new")
        if state.answers.get(key) != entry.get("old"):
            self.strange.append(f"entry {entry.get('n')} changes an answer to {key} that was not there")
        if key in state.answered:
            state.changes[key] = state.changes.get(key, 0) + 1
        state.answered[key] = str(entry.get("utc", ""))
        if new is None:
            state.answers.pop(key, None)
        else:
            state.answers[key] = new

    def _take_time(self, entry: Mapping[str, Any]) -> None:
        now = moment(entry.get("utc"))
        if now is None:
            return
        if self.latest is not None and (self.latest - now).total_seconds() > TOLERANCE_S:
            self.backwards.append(f"entry {entry.get('n')} is dated {now:%Y-%m-%d %H:%M}, before the one before it")
        self.latest = now if self.latest is None else max(self.latest, now)


def replay(entries: Iterable[Mapping[str, Any]]) -> Replay:
    """The state after all entries."""
    made = Replay()
    for entry in entries:
        made.take(entry)
    return made


def form(reading: ReadingSet, trial: Trial) -> tuple[Item, ...]:
    """Every item of a trial's form, shown or not."""
    return items(reading.questions, trial.slots)


def unanswered(reading: ReadingSet, trial: Trial, answers: Mapping[str, Any]) -> Optional[Item]:
    """The first required item that is shown with these answers and has none."""
    shown = visible(form(reading, trial), answers)
    return next((item for item in shown if item.question.required and item.key not in answers), None)


def is_done(reading: ReadingSet, trial: Trial, made: Replay) -> bool:
    """Whether a trial was handed in and nothing required was taken back since."""
    state = made.trials.get(trial.token)
    return state is not None and bool(state.completed) and unanswered(reading, trial, state.answers) is None


def session_end(trials: Iterable[Trial], made: Replay, session: int) -> Optional[datetime.datetime]:
    """When the last trial of a session was handed in for the first time; None before."""
    ends = [
        moment(made.trials[t.token].completed[0]) if t.token in made.trials and made.trials[t.token].completed else None
        for t in trials
        if t.session == session
    ]
    known = [end for end in ends if end is not None]
    return max(known) if known and len(known) == len(ends) else None


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
