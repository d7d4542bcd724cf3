"""The blinding audit: everything a reader could see in a reading set, and whether any of it tells which image is which.

It looks at files, names, headers, dates, sizes and texts, and fails on a leak. What the pictures themselves tell
(sharpness, noise) is what readers are there to judge: it is measured and noted, not failed. Limits: a person who
compares files byte by byte on a disk finds which are copies of each other (notes say how many); nobody who is given
pixels only, in the browser, can.
"""

from __future__ import annotations

import itertools
import os
import re
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..volume import read_volume
from .blinding import LEVELS
from .burnedin import text_like
from .definition import FILE as STUDY_FILE
from .definition import Study
from .images import DESCRIPTION
from .key import FILE as KEY_FILE
from .key import Key
from .readingset import ANSWERS, FOLDER, IMAGES, MANIFEST, STUDY_READING, SUFFIX, ReadingSet

_TOKEN = re.compile(r"[0-9a-f]{32}")
_NAMELESS = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
# Bytes of a NIfTI-1 header that hold text (nifti1.h): data_type and db_name, aux_file, intent_name.
_TEXTS = (slice(4, 32), slice(228, 252), slice(328, 344))
_HEADER = 352
_READERS_FILES = re.compile(r"frozen\.json|[A-Za-z0-9_-]{1,32}\.(jsonl|head|lock)|\..*")


@dataclass
class Audit:
    """listed: what a reader could see, one line each. leaks: sentences; any of them means that the blinding fails.
    notes: what a coordinator should know. passed: no leak."""

    listed: list[dict[str, str]] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether no leak was found."""
        return not self.leaks


def audit(study: Study, reading: ReadingSet, key: Key, key_file: Path) -> Audit:
    """Audit a reading set against the study and the key it was made with."""
    found = Audit()
    if key.build != reading.document["build"]:
        found.leaks.append("The key belongs to another reading set, so nothing can be checked against it.")
        return found
    _files(reading, found)
    _key(reading, key_file, found)
    _words(study, reading, found)
    _headers(reading, key, found)
    _rows(reading, found)
    _occasions(key, found)
    _pictures(study, reading, key, found)
    return found


def _files(reading: ReadingSet, found: Audit) -> None:
    """Every file, and whether it belongs there; dates and sizes."""
    dates = Counter()  # type: Counter[int]
    for path in sorted(reading.folder.rglob("*")):
        name = path.relative_to(reading.folder).as_posix()
        status = path.lstat()
        if path.is_symlink():
            found.leaks.append(f"{name} is a link; it shows where it leads.")
        if path.is_dir():
            if name not in (IMAGES, ANSWERS):
                found.leaks.append(f"The folder {name} does not belong into a reading set.")
            continue
        found.listed.append({"what": "file", "name": name, "detail": f"{status.st_size} bytes, {int(status.st_mtime)}"})
        inner = name.partition("/")[2]
        if name.startswith(f"{IMAGES}/"):
            if not (_TOKEN.fullmatch(path.stem) and path.suffix == SUFFIX):
                found.leaks.append(f"{name} is no neutral name.")
            dates[int(status.st_mtime)] += 1
        elif name.startswith(f"{ANSWERS}/") and _READERS_FILES.fullmatch(inner):
            continue
        elif name not in (MANIFEST, "README.txt"):
            found.leaks.append(f"{name} does not belong into a reading set.")
    if len(dates) > 1:
        found.leaks.append(f"The images have {len(dates)} different dates, so the order of their making can be seen.")


def _key(reading: ReadingSet, file: Path, found: Audit) -> None:
    place, inside = file.resolve(), reading.folder.resolve()
    if inside in place.parents or any(reading.folder.rglob(KEY_FILE)):
        found.leaks.append("The key lies inside the readers' folder.")
    # Whoever has the study's own file can draw the schedule again from its seed.
    beside = reading.folder.parent / STUDY_FILE
    for secret in (file, *([beside] if reading.folder.name == FOLDER and beside.is_file() else [])):
        if os.name != "nt" and secret.stat().st_mode & 0o077:  # Windows keeps rights elsewhere
            found.leaks.append(f"{secret} can be read by others; make it readable by yourself only (chmod 600).")


def _words(study: Study, reading: ReadingSet, found: Audit) -> None:
    """Names of cases, patients, arms, models and original files in anything readers can read."""
    secret = _secret_words(study)
    manifest = {k: v for k, v in reading.document.items() if k not in ("questions", "title", "instructions", "study")}
    for place, text in _strings(manifest, "manifest"):
        if _NAMELESS.fullmatch(text):
            continue
        found.listed.append({"what": "text", "name": place, "detail": text[:80]})
        for word in secret:
            if word in text.lower() and place not in ("manifest", "manifest.kind", "manifest.text"):
                found.leaks.append(f"{place} holds the name {word}.")
    wording = {k: reading.document[k] for k in ("questions", "title", "instructions")}
    told = " ".join(text for _, text in _strings(wording, "")).lower()
    models = sorted({arm.id for arm in study.arms if arm.kind == "synthetic" and arm.id.lower() in told})
    if models:
        found.notes.append(f"The wording names {', '.join(models)}; readers know what is compared, not which is which.")
    people = {name for case in (*study.cases, *study.training) for name in (case.id, case.patient)}
    if named := sorted(name for name in people if re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", told)):
        found.notes.append(f"The wording may name cases or patients: {', '.join(named[:10])}. Look whether it does.")


def _secret_words(study: Study) -> set[str]:
    words = set()
    for case in (*study.cases, *study.training):
        words |= {case.id, case.patient, *(Path(path).name.partition(".")[0] for path in case.images.values())}
        words |= {Path(case.source).name.partition(".")[0]} if case.source else set()
    for arm in study.arms:
        words |= {arm.id, arm.label, arm.model}
    words -= set(study.readers)
    return {word.lower() for word in words if len(word) >= 3}


def _strings(value: Any, place: str) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield place, name
            yield from _strings(inner, f"{place}.{name}" if not _NAMELESS.fullmatch(name) else place)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner, place)
    elif isinstance(value, str):
        yield place, value


def _headers(reading: ReadingSet, key: Key, found: Audit) -> None:
    """Header bytes and sizes: alike for all images of a case, and no text but the neutral one."""
    seen: dict[str, dict[str, tuple[bytes, int]]] = defaultdict(dict)
    for name, facts in key.images.items():
        file = reading.image_file(name)
        if not file.is_file():
            found.leaks.append(f"Image {name[:8]} is missing, so it cannot be checked.")
            continue
        with open(file, "rb") as stream:
            header = stream.read(_HEADER)
        seen[str(facts["case"])][str(facts["content"])] = (header, file.stat().st_size)
        if header[DESCRIPTION].rstrip(b"\0") != STUDY_READING.encode() or any(header[t].strip(b"\0") for t in _TEXTS):
            found.leaks.append(f"The header of image {name[:8]} holds text other than '{STUDY_READING}'.")
        shape = struct.unpack("<8h", header[40:56])
        found.listed.append({"what": "header", "name": name, "detail": f"grid {shape[1:4]}, '{STUDY_READING}'"})
    for case, images in seen.items():
        if len(set(images.values())) > 1:
            found.leaks.append(f"Case {case}: size or header (grid, type, spacing) differs between its images.")


def _rows(reading: ReadingSet, found: Audit) -> None:
    """No reader meets one file name twice; other readers' answers."""
    for reader in reading.readers:
        names = [name for trial in reading.trials(reader) for name in trial.images.values()]
        if len(set(names)) != len(names):
            found.leaks.append(f"{reader} meets one file name in two trials, so a repeat can be seen.")
    if len(reading.readers) > 1:
        found.notes.append("Readers who share this folder can read each other's answers; copy it for each of them.")


def _occasions(key: Key, found: Audit) -> None:
    """Whether a reader meets several arms of one case within one session, hidden repeats included."""
    met = {(r, t.session, t.case, t.treatment) for r, row in key.schedule.rows.items() for t in row}
    if any(count > 1 for count in Counter(one[:3] for one in met).values()):
        found.notes.append(
            "Readers meet a case in several arms within one session: who recognises it by its shape knows that its "
            "images are not of one arm. More sessions with days between keep them apart (--sessions, --washout)."
        )


def _pictures(study: Study, reading: ReadingSet, key: Key, found: Audit) -> None:
    """Range and burned-in text (leaks where arms differ); sharpness and compressibility (notes); identical copies."""
    unlike: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    digests: Counter[str] = Counter(reading.document["images"].values())
    for name, facts in key.images.items():
        case, content = str(facts["case"]), str(facts["content"])
        if content in unlike[case] or not reading.image_file(name).is_file():
            continue
        array = read_volume(reading.image_file(name)).array
        if array.min() != 0 or array.max() != LEVELS - 1:
            found.leaks.append(f"Case {case}: the grey values of image {name[:8]} do not fill the common range.")
        unlike[case][content] = _texture(array)
        if said := text_like(array):
            texts[case][content] = said
    for case, marks in texts.items():
        arms = {content for content in unlike[case] if content != "source"}
        marked = arms & set(marks)
        if marked and marked != arms:
            found.leaks.append(f"Case {case}: {marks[min(marked)]} The other images of the case have none.")
        else:
            found.notes.append(f"Case {case}: {next(iter(marks.values()))} Look whether it names anybody.")
    _texture_notes(study, unlike, found)
    if copies := sum(count - 1 for count in digests.values() if count > 1):
        found.notes.append(
            f"{copies} image files are copies of others under new names (repeats, arms that come in several pairs): "
            "who compares files byte by byte can see that. In the browser no file is given."
        )


def _texture(array: np.ndarray) -> dict[str, float]:
    """sharpness: mean step between neighbours in the middle slice. compressed size: of that slice, in kB."""
    middle = np.ascontiguousarray(array[array.shape[0] // 2])
    steps = [np.abs(np.diff(middle.astype(np.float32), axis=axis)) for axis in (0, 1) if middle.shape[axis] > 1]
    sharpness = float(np.mean([step.mean() for step in steps])) if steps else 0.0
    return {"sharpness": sharpness, "compressed size": len(zlib.compress(middle.tobytes(), 6)) / 1e3}


def _texture_notes(study: Study, cases: Mapping[str, Mapping[str, Mapping[str, float]]], found: Audit) -> None:
    names = [arm.id for arm in study.arms]
    for measure, (a, b) in itertools.product(("sharpness", "compressed size"), itertools.combinations(names, 2)):
        pairs = [(case[a][measure], case[b][measure]) for case in cases.values() if a in case and b in case]
        wins = sum(x > y for x, y in pairs)
        if len(pairs) >= 5 and not 0.1 < wins / len(pairs) < 0.9:
            high, low = (a, b) if wins / len(pairs) >= 0.9 else (b, a)
            what = "are sharper or noisier than" if measure == "sharpness" else "would compress to larger files than"
            more = "; they are stored, and sent to browsers, uncompressed for that reason"
            more = "" if measure == "sharpness" else more
            share = max(wins, len(pairs) - wins)
            found.notes.append(f"Images of {high} {what} those of {low} in {share} of {len(pairs)} cases{more}.")
