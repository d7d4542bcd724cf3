"""What may be analysed: opens a study with its key, looks at journals, counts what is missing and names it.

Refuses while reading goes on, unless the reading is declared closed or the analysis an interim one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ...errors import InputError
from ..checking import verify
from ..definition import Study, load_study
from ..exports import answer_rows
from ..key import Key, load_key
from ..readingset import ReadingSet, Trial, load_reading_set
from ..replay import Replay, form, is_done, replay
from ..session import SIMULATED
from ..store import FolderStore, Store, require_unchanged
from .answers import Answers, collect, is_answered

WHY_NOT_NOW = (
    "results seen while reading goes on can change who reads on and when one stops, and then no p-value means what it "
    "says"
)


@dataclass(frozen=True)
class Progress:
    """How far one reader got, training left out. not_done: trials that were not handed in, as (number, case, arm);
    half_filled: those among them with answers, which are not analysed. Of trials handed in: empty: optional questions
    left open; cannot_assess: so answered; changed: changes of answers after they were given."""

    reader: str
    done: int
    total: int
    sessions_done: int
    sessions: int
    repeats_done: int
    repeats: int
    empty: int
    cannot_assess: int
    changed: int
    not_done: tuple[tuple[int, str, str], ...]
    half_filled: int


@dataclass(frozen=True)
class Gathered:
    """All that the analyses work with. status: "final", "closed" or "interim". found: rows of `checking.verify`.
    simulated: some answers say that a program gave them (view state {"simulated": true})."""

    study: Study
    reading: ReadingSet
    answers: Answers
    progress: tuple[Progress, ...]
    found: Sequence[Mapping[str, Any]]
    status: str
    closed_because: str
    frozen: str
    last_digests: Mapping[str, str]
    simulated: bool

    @property
    def errors(self) -> list[str]:
        """Sentences on what is wrong with a journal, an image or an answer."""
        return [str(row["text"]) for row in self.found if row["severity"] == "error"]

    @property
    def warnings(self) -> list[str]:
        """Sentences on crashes that cut off an end, and clocks that went back."""
        return [str(row["text"]) for row in self.found if row["severity"] == "warning"]


def gather(
    folder: str | Path,
    key: Optional[str | Path] = None,
    *,
    store: Optional[Store] = None,
    interim: bool = False,
    closed: str = "",
) -> Gathered:
    """Open a study for analysis. key: the key's folder or file, by default in the study's folder. closed: why reading
    has ended although it is incomplete.

    Raises InputError in one sentence: no key, a key of another reading set, a changed study, reading incomplete.
    """
    study, reading = load_study(folder), load_reading_set(folder)
    opened = load_key(key or folder)
    kept = store or FolderStore(reading)
    frozen = kept.frozen()
    require_unchanged(frozen, reading)
    _require_same(reading, opened)
    histories = {reader: kept.history(reader) for reader in reading.readers}
    replays = {reader: replay(history.entries) for reader, history in histories.items()}
    rows = answer_rows(reading, kept, study, opened)
    progress = tuple(_progress(reading, opened, reader, replays[reader], rows) for reader in reading.readers)
    status = _status(progress, interim, closed)
    answers = collect(study, rows)
    if not answers.readers:
        raise InputError("No case was handed in yet, so there is nothing to analyse.")
    digests = {reader: str(h.entries[-1]["sha256"]) if h.entries else "" for reader, h in histories.items()}
    simulated = any(_simulated(entry) for history in histories.values() for entry in history.entries)
    found = verify(reading, kept)
    return Gathered(study, reading, answers, progress, found, status, closed, frozen, digests, simulated)


def _simulated(entry: Mapping[str, Any]) -> bool:
    view = entry.get("view")
    return isinstance(view, Mapping) and bool(view.get(SIMULATED))


def _require_same(reading: ReadingSet, key: Key) -> None:
    tokens = {trial.token for reader in reading.readers for trial in reading.trials(reader)}
    if key.build != reading.document["build"] or tokens != set(key.trials):
        raise InputError(
            "The key belongs to another reading set than these answers; name the one made with it (--key)."
        )


def _status(progress: Sequence[Progress], interim: bool, closed: str) -> str:
    behind = [one for one in progress if one.done < one.total]
    if interim and closed:
        raise InputError("An analysis is either an interim one or that of a closed reading, not both.")
    if not behind:
        return "final"
    if interim or closed:
        return "interim" if interim else "closed"
    named = ", ".join(f"{one.reader} {one.done} of {one.total}" for one in behind)
    raise InputError(
        f"Reading is not complete ({named}), so the key stays sealed: {WHY_NOT_NOW}. When all have finished run this "
        'again; if reading has ended for good say why with --closed "REASON"; --interim analyses what is there and '
        "marks the report so."
    )


def _progress(reading: ReadingSet, key: Key, reader: str, made: Replay, rows: Sequence[Mapping[str, Any]]) -> Progress:
    trials = [trial for trial in reading.trials(reader) if not trial.training]
    done = [trial for trial in trials if is_done(reading, trial, made)]
    tokens = {trial.token for trial in done}
    left = [trial for trial in trials if trial.token not in tokens]
    own = [row for row in rows if row["reader"] == reader and row["token"] in tokens]
    sessions = sorted({trial.session for trial in trials})
    repeats = [trial for trial in trials if key.trials[trial.token][1].repeat_of is not None]
    return Progress(
        reader=reader,
        done=len(done),
        total=len(trials),
        sessions_done=sum(all(t.token in tokens for t in trials if t.session == s) for s in sessions),
        sessions=len(sessions),
        repeats_done=sum(trial.token in tokens for trial in repeats),
        repeats=len(repeats),
        empty=sum(not is_answered(row) for row in own),
        cannot_assess=sum(row["cannot_assess"] for row in own),
        changed=sum(row["changes"] for row in own),
        not_done=tuple(_named(trial, key) for trial in left),
        half_filled=sum(bool(_answers(made, trial, reading)) for trial in left),
    )


def _named(trial: Trial, key: Key) -> tuple[int, str, str]:
    planned = key.trials[trial.token][1]
    return trial.number, planned.case, " with ".join(sorted(planned.arms))


def _answers(made: Replay, trial: Trial, reading: ReadingSet) -> int:
    state = made.trials.get(trial.token)
    return 0 if state is None else len({item.key for item in form(reading, trial)} & set(state.answers))
