"""What the page is told of a reader's session, as plain JSON: the form, the answers, the progress. Never a path.

The logic is `readerstudy.session`'s; nothing is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ...readerstudy.journal import SUFFIX
from ...readerstudy.questions import Item
from ...readerstudy.readingset import STUDY_READING, ReadingSet, Trial
from ...readerstudy.session import Session

_LONGEST_BEAT_S, _SHORTEST_BEAT_S = 15.0, 2.0


def study_facts(reading: ReadingSet, reader: str) -> dict[str, Any]:
    """What does not change during a reading."""
    beat = min(_LONGEST_BEAT_S, max(_SHORTEST_BEAT_S, reading.idle_after_s / 2))
    return {
        "title": reading.title,
        "instructions": reading.instructions,
        "reader": reader,
        "text": STUDY_READING,
        "kind": reading.kind,
        "inverted": reading.inverted,
        "window": list(reading.window),
        "allow_back": reading.allow_back,
        "idle_after_s": reading.idle_after_s,
        "beat_s": beat,
    }


def session_state(session: Session, address: Callable[[Trial], str]) -> dict[str, Any]:
    """What is on the screen. address: a trial's images as the page may ask for them."""
    trial, upcoming, progress = session.trial, session.upcoming, session.progress
    return {
        "trial": trial.token if trial else "",
        "training": bool(trial and trial.training),
        "images": address(trial) if trial else "",
        "upcoming": address(upcoming) if upcoming else "",
        "form": [_item(item) for item in session.form],
        "answers": session.answers,
        "progress": {
            "number": progress.number, "total": progress.total, "done": progress.done,
            "session": progress.session, "sessions": progress.sessions,
        },
        "can_go_back": session.can_go_back,
        "paused": session.paused,
        "ended": session.ended,
        "more": session.trial is None and session.session < session.reading.sessions,
        "warnings": [without_paths(text, session.reading, session.reader) for text in session.warnings],
    }  # fmt: skip


def without_paths(text: str, reading: ReadingSet, reader: str) -> str:
    """A sentence for a reader, without the folders and file names of the server."""
    for place in (reading.answers, reading.folder, reading.folder.parent):
        for name in (str(place), str(place.resolve())):
            text = text.replace(name, "the study's folder")
    text = text.replace(f"{reader}{SUFFIX}", "your record")
    return re.sub(r"(?<![\w:/])(?:[A-Za-z]:\\|/)[^\s,;)]+", "a file of the server", text)


def _item(item: Item) -> dict[str, Any]:
    question = item.question
    return {
        "key": item.key,
        "id": question.id,
        "slot": item.slot if "@" in item.key else "",
        "type": question.type,
        "text": question.text,
        "help": question.help,
        "required": question.required,
        "cannot_assess": question.cannot_assess,
        "anchors": list(question.anchors),
        "first": question.first,
        "options": [{"id": option.id, "text": option.text} for option in item.options],
        "of_images": question.images_are_options,
        "ends": list(question.ends),
        "unit": question.unit,
        "minimum": question.minimum,
        "maximum": question.maximum,
    }
