"""From a study's definition to its schedule, its key and its reading set: what `study new` and `study prepare` do.

A study's folder holds `study.json` (the coordinator's), `key/` (the truth) and `reading/` (what readers get). The
reading set appears whole or not at all, and one that has answers is never replaced.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

from ..errors import Cancelled, InputError
from ..files import as_sentence, remove_leftovers, sha256_of, temporary_beside, write_text
from ..volume import Volume
from . import key as keys
from .blinding import WINDOW, Prepared, prepared
from .burnedin import text_like
from .definition import FILE, Case, Study, keep_private, load_study
from .images import check_images, load_case, write_neutral
from .key import Key, new_key, require_outside, save_key
from .originals import Originals
from .readingset import ANSWERS, FOLDER, IMAGES, MANIFEST, SOURCE, STUDY_READING, reading_set_from
from .schedule import PlannedTrial, Schedule, build_schedule
from .store import FROZEN

# Files get one date, so that the order of their making tells nothing: 2000-01-01 UTC.
_NEUTRAL_TIME = 946684800
_READ_ME = f"""{STUDY_READING}.

The images in this folder are shown in a blinded reading; some were made by a model. They carry neutral names. Open the
reading with the imagetranslation software; please do not open, rename or remove files by hand. Answers are kept in the
folder "answers" and only ever grow.
"""


@dataclass(frozen=True)
class Built:
    """What `build` made. remarks: sentences the coordinator should read (burned-in text, interpolation)."""

    study: Study
    schedule: Schedule
    key_file: Path
    reading: Path
    remarks: tuple[str, ...]


def build(
    folder: str | Path,
    key_folder: Optional[str | Path] = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Built:
    """Make schedule, key and reading set of the study in `folder`.

    key_folder: where the key goes; by default `key` beside the reading set. progress: (cases done, cases). Raises
    InputError in one sentence (study unsound, an image missing, answers already given, key inside the readers'
    folder), RunFailed (disk), or Cancelled.
    """
    root = Path(folder)
    study = load_study(root)
    reading = root / FOLDER
    place = root / keys.FOLDER if key_folder is None else Path(key_folder)
    require_outside(place, reading)
    _require_unanswered(reading)
    check_images(study, root)
    schedule = build_schedule(study)
    key = new_key(study, schedule)
    temporary = temporary_beside(reading)
    with as_sentence(reading):
        try:
            (temporary / IMAGES).mkdir(parents=True)
            (temporary / ANSWERS).mkdir()
            key, remarks = _write_images(study, root, key, temporary, progress, cancelled)
            write_text(temporary / "README.txt", _READ_ME)
            manifest = _manifest(study, key, temporary)
            reading_set_from(manifest, reading)
            write_text(temporary / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
            _same_time(temporary)
            file = save_key(key, place, reading)
            keep_private(root / FILE)
            _swap(temporary, reading)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    remove_leftovers(root)
    return Built(study, schedule, file, reading, tuple(remarks))


def presentations(study: Study, key: Key) -> dict[tuple[str, int, str], set[str]]:
    """(case, treatment number, occasion) to the slots' contents (arms and "source") that some reader sees.

    occasion: "first" or "repeat"; each has its own files, so that no file name is met twice by one reader.
    """
    wanted: dict[tuple[str, int, str], set[str]] = {}
    for row in key.schedule.rows.values():
        for trial in row:
            wanted.setdefault(_presentation(study, trial), set()).update(_contents(study, trial))
    return wanted


def _presentation(study: Study, trial: PlannedTrial) -> tuple[str, int, str]:
    return trial.case, study.treatments.index(trial.treatment), "repeat" if trial.repeat_of else "first"


def _contents(study: Study, trial: PlannedTrial) -> list[str]:
    return [*trial.arms, *([SOURCE] if study.show_source else [])]


def _name(key: Key, presentation: tuple[str, int, str], content: str) -> str:
    return key.image_name(*(str(part) for part in presentation), content)


def _write_images(
    study: Study,
    root: Path,
    key: Key,
    target: Path,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> tuple[Key, list[str]]:
    by_case: dict[str, list[tuple[tuple[str, int, str], set[str]]]] = {}
    for presentation, contents in presentations(study, key).items():
        by_case.setdefault(presentation[0], []).append((presentation, contents))
    remarks: list[str] = []
    originals = Originals(study)
    facts: dict[str, dict[str, Any]] = {}
    cases = [case for case in (*study.cases, *study.training) if case.id in by_case]
    for done, case in enumerate(cases):
        if cancelled():
            raise Cancelled("Cancelled; the reading set was not made.")
        progress(done, len(cases))
        source, arms = load_case(study, root, case)
        originals.take(case, source, arms)
        made = prepared(source, arms, study.percentiles, study.field_of_view, case.id)
        facts.update(_write_case(key, target / IMAGES, case, made, by_case[case.id], remarks))
    originals.finish()
    remarks += originals.remarks
    progress(len(cases), len(cases))
    soft = sum(fact["interpolated"] for fact in facts.values())
    if soft:
        remarks.append(
            f"{soft} of {len(facts)} images were interpolated onto their case's common grid, all arms alike."
        )
    return replace(key, images=facts), remarks


def _write_case(
    key: Key,
    folder: Path,
    case: Case,
    made: Mapping[str, Prepared],
    wanted: list[tuple[tuple[str, int, str], set[str]]],
    remarks: list[str],
) -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = {}
    files: dict[str, Volume] = {}
    for content, image in made.items():
        names = [_name(key, presentation, content) for presentation, contents in wanted if content in contents]
        files.update(dict.fromkeys(names, image.volume))
        facts.update({name: {"case": case.id, "content": content, **image.facts} for name in names})
        if found := text_like(image.volume.array):
            remarks.append(f"Case {case.id}, {content}: {found} Look at it before readers do.")
    write_neutral(files, folder)
    return facts


def _manifest(study: Study, key: Key, temporary: Path) -> dict[str, Any]:
    document = study.document
    rows = {}
    for reader, row in key.schedule.rows.items():
        rows[reader] = [_shown(study, key, reader, trial) for trial in row]
    files = sorted((temporary / IMAGES).iterdir())
    return {
        "format_version": 1,
        "build": key.build,
        "study": study.id,
        "version": study.version,
        "definition_sha256": study.sha256,
        "title": study.title,
        "instructions": study.instructions,
        "text": STUDY_READING,
        "kind": study.kind,
        "show_source": study.show_source,
        "source_label": document.get("source", {}).get("label", "Source") if study.show_source else "",
        "layout": study.layout,
        "inverted": study.inverted,
        "window": list(WINDOW),
        "questions": document["questions"],
        "sessions": {
            "count": study.sessions,
            "washout_days": study.washout_days,
            "not_before": [None if date is None else date.isoformat() for date in study.not_before],
        },
        "options": {"allow_back": study.allow_back, "idle_after_s": study.idle_after_s},
        "images": {file.stem: sha256_of(file) for file in files},
        "readers": rows,
    }


def _shown(study: Study, key: Key, reader: str, trial: PlannedTrial) -> dict[str, Any]:
    presentation = _presentation(study, trial)
    images = {slot: _name(key, presentation, arm) for slot, arm in trial.slots.items()}
    if study.show_source:
        images[SOURCE] = _name(key, presentation, SOURCE)
    token = key.trial_token(reader, trial.position)
    return {"token": token, "session": trial.session, "training": trial.training, "images": images}


def _require_unanswered(reading: Path) -> None:
    answers = reading / ANSWERS
    given = sorted(path.stem for path in answers.glob("*.jsonl")) if answers.is_dir() else []
    if given or (answers / FROZEN).exists():
        raise InputError(
            f"{', '.join(given) or 'Somebody'} already answered in {reading}, so it is frozen; make a new version with "
            "`imagetranslation study revise`."
        )


def _same_time(folder: Path) -> None:
    for path in sorted((p for p in folder.rglob("*") if p.name != ANSWERS), reverse=True):
        os.utime(path, (_NEUTRAL_TIME, _NEUTRAL_TIME))


def _swap(temporary: Path, reading: Path) -> None:
    """Put the new set in place; an unanswered old one goes away once the new one stands."""
    old = None
    if reading.exists():
        old = temporary_beside(reading, "previous")
        os.replace(reading, old)
    try:
        os.replace(temporary, reading)
    except OSError:
        if old is not None:
            os.replace(old, reading)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
