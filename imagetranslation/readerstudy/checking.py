"""The coordinator's looks at a running study: who has got how far, whether every journal holds, and joining sites."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import atomic_path
from .chain import DIGEST, History, first_digest
from .journal import HEAD_SUFFIX, SUFFIX, parsed, read_journal
from .questions import checked
from .readingset import ReadingSet, load_reading_set
from .replay import form, is_done, replay
from .store import FolderStore, Store, journal_readers


@dataclass(frozen=True)
class Merged:
    """copied: readers whose journal was taken over or grew. same: readers whose journal was there already. findings:
    sentences on entries that were acknowledged and are missing from what was taken over."""

    copied: tuple[str, ...]
    same: tuple[str, ...]
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Known:
    """A reader's longest journal so far: its history, the bytes of the file and of the note beside it, its place."""

    history: History
    content: bytes
    note: bytes
    place: str


def status(reading: ReadingSet, store: Store) -> list[dict[str, Any]]:
    """One row a reader: trials done and in all, the last answer, median reading time, who has it open, last digest."""
    rows = []
    for reader in reading.readers:
        history, trials = store.history(reader), reading.trials(reader)
        made = replay(history.entries)
        done = [trial for trial in trials if is_done(reading, trial, made)]
        times = [made.trials[trial.token].reading_s for trial in done]
        holder = store.holder(reader)
        rows.append(
            {
                "reader": reader,
                "done": len(done),
                "total": len(trials),
                "last": "" if made.latest is None else f"{made.latest:%Y-%m-%d %H:%M}",
                "median_reading_s": round(statistics.median(times), 1) if times else None,
                "open_on": "" if holder is None else holder.text(),
                "digest": str(history.entries[-1][DIGEST]) if history.entries else "",
                "findings": [finding.text for finding in history.findings],
            }
        )  # fmt: skip
    return rows


def verify(reading: ReadingSet, store: Store) -> list[dict[str, Any]]:
    """One row for everything found: reader, severity ("error", "warning", "incomplete"), text. Empty: all is well.

    Checked: the hash chain, what crashes cut off, times that go back, answers that fit no question, images that are
    gone or changed, and completeness.
    """
    from ..files import sha256_of

    found: list[dict[str, Any]] = []

    def say(reader: str, severity: str, text: str) -> None:
        found.append({"reader": reader, "severity": severity, "text": text})

    for name, digest in reading.document["images"].items():
        file = reading.image_file(name)
        if not file.is_file():
            say("", "error", f"Image {name[:8]} is missing.")
        elif sha256_of(file) != digest:
            say("", "error", f"Image {name[:8]} was changed.")
    if isinstance(store, FolderStore):
        for stranger in sorted(set(journal_readers(reading.answers)) - set(reading.readers)):
            say(stranger, "error", f"{stranger}{SUFFIX} belongs to no reader of this study.")
    histories = {reader: store.history(reader) for reader in reading.readers}
    if store.frozen() and not any(history.entries or history.findings for history in histories.values()):
        say("", "error", "The study was frozen by a first answer, but no answer is here; put the journals back.")
    for reader, history in histories.items():
        for finding in history.findings:
            say(reader, "error" if finding.code in ("broken", "short") else "warning", finding.text)
        made = replay(history.entries)
        for text in made.backwards:
            say(reader, "warning", f"{reader}: {text}.")
        for text in [*made.strange, *_strange(reading, reader, history)]:
            say(reader, "error", f"{reader}: {text}.")
        trials = reading.trials(reader)
        left = [trial for trial in trials if not is_done(reading, trial, made)]
        if left:
            say(reader, "incomplete", f"{reader}: {len(left)} of {len(trials)} cases are not done.")
    return found


def _strange(reading: ReadingSet, reader: str, history: History) -> list[str]:
    """Sentences on answers that no question of the study accepts."""
    trials = {trial.token: trial for trial in reading.trials(reader)}
    sentences = []
    for entry in history.entries:
        if entry.get("kind") != "answer":
            continue
        trial = trials.get(str(entry.get("token")))
        items = {} if trial is None else {item.key: item for item in form(reading, trial)}
        item = items.get(str(entry.get("question")))
        if trial is None or item is None:
            sentences.append(f"entry {entry.get('n')} answers no question of this reader")
            continue
        try:
            checked(item, entry.get("new"), tuple(trial.images))
        except InputError as error:
            sentences.append(f"entry {entry.get('n')}: {str(error).rstrip('.')}")
    return sentences


def merge(reading: ReadingSet, sites: Sequence[str | Path]) -> Merged:
    """Take the journals of copies of this reading set from several sites into it: all of them, or none.

    A journal that continues the one that is here replaces it. InputError naming every conflict: another version of
    the study, a damaged journal, or one reader's code used at two places.
    """
    conflicts: list[str] = []
    longest: dict[str, _Known] = {}
    here = str(reading.folder)
    places = [(here, reading)]
    for site in sites:
        try:
            places.append((str(site), load_reading_set(site)))
        except InputError as error:
            conflicts.append(str(error))
    for name, other in places:
        if other.sha256 != reading.sha256:
            conflicts.append(f"{name} is another version of the study.")
            continue
        for reader in journal_readers(other.answers):
            if reader not in reading.readers:
                conflicts.append(f"{name}: {reader} is no reader of this study.")
                continue
            problem = _take(reading, reader, name, other.answers, longest)
            if problem:
                conflicts.append(problem)
    store = FolderStore(reading)
    conflicts += [f"{r} is open on {h.text()}." for r in longest if (h := store.holder(r)) is not None]
    if conflicts:
        raise InputError("Nothing was merged. " + " ".join(conflicts))
    copied = [reader for reader, known in longest.items() if known.place != here]
    if copied:
        reading.answers.mkdir(exist_ok=True)
        store.freeze()
    for reader in copied:
        with atomic_path(reading.answers / (reader + SUFFIX)) as temporary:
            temporary.write_bytes(longest[reader].content)
        with atomic_path(reading.answers / (reader + HEAD_SUFFIX)) as temporary:
            temporary.write_bytes(longest[reader].note)
    lost = tuple(f.text for reader in copied for f in longest[reader].history.findings if f.code == "short")
    return Merged(tuple(copied), tuple(reader for reader in longest if reader not in copied), lost)


def _take(reading: ReadingSet, reader: str, name: str, folder: Path, longest: dict[str, _Known]) -> str:
    """Let a journal count if it continues what is known of the reader; otherwise the sentence why not."""
    first = first_digest(reading.study, reading.sha256, reader)
    noted = read_journal(folder, reader, first)
    content = (folder / (reader + SUFFIX)).read_bytes()
    history = parsed(content, reader, first, reader + SUFFIX)
    if noted.broken:
        return f"{name}: {noted.broken}"
    if not history.entries:
        return ""
    note = f"{len(history.entries):10d} {history.entries[-1][DIGEST]}\n".encode("ascii")
    if noted.missing:
        # The site's note is the only witness of what is lost, so it comes along.
        history, note = noted, (folder / (reader + HEAD_SUFFIX)).read_bytes()
    known = longest.get(reader)
    if known is None:
        longest[reader] = _Known(history, content, note, name)
        return ""
    own = [entry[DIGEST] for entry in history.entries]
    others = [entry[DIGEST] for entry in known.history.entries]
    shared = min(len(own), len(others))
    if own[:shared] != others[:shared]:
        at = next(n for n in range(shared) if own[n] != others[n]) + 1
        return (
            f"{reader} differs between {known.place} and {name} from entry {at} on: was one code used by two persons?"
        )
    if len(own) > len(others):
        longest[reader] = _Known(history, content, note, name)
    return ""
