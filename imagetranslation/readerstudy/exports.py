"""Answers as tables: the tidy long table, a log in plain words, and all files of `study export`.

One row is one question of one trial of one reader. Without the key the tables are blinded: tokens, no case, no arm.
The layouts of other programs are `layouts`', statistics `statistics`' and the report's matter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from ..files import make_folder, write_text
from .definition import Study
from .key import Key
from .layouts import imrmc, ratings, redcap_dictionary, rjafroc, safe, to_csv
from .questions import CANNOT_ASSESS, Item, checked, label, visible
from .readingset import ReadingSet, Trial
from .replay import Replay, form, is_done, replay
from .store import Store

COLUMNS = (
    "study", "version", "reader", "session", "trial", "token", "training", "repeat_of", "case", "patient", "truth",
    "arm", "arms", "slot", "question", "type", "value", "value_arm", "label", "cannot_assess", "answered_utc",
    "changes", "reading_s", "idle_s", "done",
)  # fmt: skip


def answer_rows(
    reading: ReadingSet, store: Store, study: Optional[Study] = None, key: Optional[Key] = None
) -> list[dict[str, Any]]:
    """The tidy table, `COLUMNS`, in the order of readers, trials and questions; only trials that were begun.

    Questions that were not shown have no row; those shown but not answered an empty value. value: yes = 1, no = 0;
    lists joined by "|"; marks as JSON. value_arm: where the answer names images ("B", or a ranking), their arms. arms:
    "A=real;B=model". repeat_of, case, patient, truth, arm, arms, value_arm need study and key and are empty otherwise.
    repeat_of: number of the trial that this one repeats. reading_s, idle_s: seconds for the whole trial.
    """
    if key is not None and key.build != reading.document["build"]:
        raise InputError("The key belongs to another reading set; name the one made with it.")
    rows: list[dict[str, Any]] = []
    for reader in reading.readers:
        made = replay(store.history(reader).entries)
        for trial in reading.trials(reader):
            if trial.token in made.trials and made.trials[trial.token].answers:
                rows += _trial_rows(reading, reader, trial, made, study, key)
    return rows


def _trial_rows(
    reading: ReadingSet, reader: str, trial: Trial, made: Replay, study: Optional[Study], key: Optional[Key]
) -> list[dict[str, Any]]:
    state = made.trials[trial.token]
    truth = _truth(trial, study, key)
    arms: Mapping[str, str] = truth.pop("slots")
    common = {
        "study": reading.study,
        "version": reading.version,
        "reader": reader,
        "session": trial.session,
        "trial": trial.number,
        "token": trial.token,
        "training": int(trial.training),
        **truth,
        "reading_s": round(state.reading_s, 3),
        "idle_s": round(state.idle_s, 3),
        "done": int(is_done(reading, trial, made)),
    }
    rows = []
    for item in visible(form(reading, trial), state.answers):
        value = state.answers.get(item.key)
        rows.append(
            {
                **common,
                "arm": arms.get(item.slot, ""),
                "slot": item.slot,
                "question": item.question.id,
                "type": item.question.type,
                "value": _plain(value),
                "value_arm": _arms_of(item, value, arms),
                "label": "" if value is None else _label(item, value),
                "cannot_assess": int(value == CANNOT_ASSESS),
                "answered_utc": state.answered.get(item.key, ""),
                "changes": state.changes.get(item.key, 0),
            }
        )
    return [{column: row[column] for column in COLUMNS} for row in rows]


def _truth(trial: Trial, study: Optional[Study], key: Optional[Key]) -> dict[str, Any]:
    if study is None or key is None:
        return {"repeat_of": "", "case": "", "patient": "", "truth": "", "arms": "", "slots": {}}
    planned = key.trials[trial.token][1]
    truth = study.case(planned.case).truth
    return {
        "repeat_of": planned.repeat_of or "",
        "case": planned.case,
        "patient": planned.patient,
        "truth": "" if truth is None else truth,
        "arms": ";".join(f"{slot}={arm}" for slot, arm in planned.slots.items()),
        "slots": planned.slots,
    }


def _plain(value: Any) -> Any:
    if value is None or value == CANNOT_ASSESS:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return "|".join(value) if all(isinstance(v, str) for v in value) else json.dumps(value)
    return value


def _arms_of(item: Item, value: Any, arms: Mapping[str, str]) -> str:
    if not item.question.images_are_options or value is None or value == CANNOT_ASSESS:
        return ""
    return "|".join(arms.get(slot, "") for slot in ([value] if isinstance(value, str) else value)) if arms else ""


def _label(item: Item, value: Any) -> str:
    """The answer in words; one that fits the question no more (a tampered journal) as it stands."""
    try:
        return label(item, checked(item, value, _AnySlot()))
    except InputError:
        return "not an answer to this question"


class _AnySlot(Sequence[str]):
    """Stands for the slots of a trial where only the wording matters: every name is one."""

    def __contains__(self, _: object) -> bool:
        return True

    def __getitem__(self, index: Any) -> Any:
        raise IndexError(index)

    def __len__(self) -> int:
        return 0


def audit_log(reading: ReadingSet, store: Store) -> str:
    """Every entry of every reader in plain words, oldest first, with what was found about the journals."""
    lines = [
        f"Reader study {reading.study}, version {reading.version}: {reading.title}",
        f"Manifest SHA-256 {reading.sha256}",
    ]
    for reader in reading.readers:
        history = store.history(reader)
        lines += ["", f"{reader}: {len(history.entries)} entries"]
        lines += [f"  FOUND: {finding.text}" for finding in history.findings]
        trials = {trial.token: trial for trial in reading.trials(reader)}
        lines += [f"  {_logged(reading, trials, entry)}" for entry in history.entries]
    return "\n".join(lines) + "\n"


def _logged(reading: ReadingSet, trials: Mapping[str, Trial], entry: Mapping[str, Any]) -> str:
    trial = trials.get(str(entry.get("token", "")))
    where = f"case {trial.number} of {len(trials)}" if trial else ""
    kind = entry.get("kind")
    what = str(kind)
    if kind == "answer" and trial:
        items = {item.key: item for item in form(reading, trial)}
        item = items.get(str(entry.get("question")))
        words = [
            _label(item, v) if item and v is not None else "no answer" for v in (entry.get("old"), entry.get("new"))
        ]
        what = f"{entry.get('question')}: {words[0]} -> {words[1]} after {entry.get('reading_s')} s"
        what += f" ({entry['because']})" if "because" in entry else ""
    elif kind == "skip":
        what = f"left out: {entry.get('because')}"
    elif kind == "open":
        what = f"opened on {entry.get('host')} with version {entry.get('app')}, session {entry.get('session')}"
    return f"{entry.get('n'):>5} {entry.get('utc', '')} {where}{' ' if where else ''}{what}"


def write_exports(
    folder: str | Path,
    reading: ReadingSet,
    store: Store,
    study: Optional[Study] = None,
    key: Optional[Key] = None,
    question: str = "",
) -> list[Path]:
    """Write every export that is possible into `folder` and return the files.

    answers.csv, answers.json (settings and versions), data_dictionary.csv, log.txt; with truth imrmc.csv and
    rjafroc_*.csv for the rating question (by default the primary endpoint's).
    """
    from .. import __version__

    rows = answer_rows(reading, store, study, key)
    wanted = question or (study.primary.question if study else "")
    with_truth = study is not None and {case.truth for case in study.cases} == {0, 1}
    begun = any(row["question"] == wanted and not row["training"] and row["value"] != "" for row in rows)
    rated = ratings(rows, wanted) if key is not None and (question or (with_truth and begun)) else []
    target = make_folder(folder)
    about = {
        "study": reading.study,
        "version": reading.version,
        "manifest_sha256": reading.sha256,
        "definition_sha256": reading.document["definition_sha256"],
        "unblinded": key is not None,
        "software": f"imagetranslation {__version__}",
        "rows": len(rows),
        "last_entries": {r: _last_digest(store, r) for r in reading.readers},
    }
    files = [
        write_text(target / "answers.csv", to_csv(map(safe, rows), COLUMNS)),
        write_text(target / "answers.json", json.dumps(about, indent=1) + "\n"),
        write_text(target / "data_dictionary.csv", redcap_dictionary(reading)),
        write_text(target / "log.txt", audit_log(reading, store)),
    ]
    if study is not None and rated:
        text = f"{study.title}, version {study.version}, question {wanted}"
        files.append(write_text(target / "imrmc.csv", imrmc(rated, text)))
        files += [write_text(target / f"rjafroc_{n.lower()}.csv", sheet) for n, sheet in rjafroc(rated).items()]
    return files


def _last_digest(store: Store, reader: str) -> str:
    entries = store.history(reader).entries
    return str(entries[-1]["sha256"]) if entries else ""
