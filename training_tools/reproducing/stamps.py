"""What a finished step was made from, so that the same command goes on where it was and never mixes two studies.

A step's stamp (`steps/<name>.json`, written last) holds its settings, the digests of the steps it was made from and the
SHA-256 of the files it is known by. A step is done when all of that still holds; one that was left out is tried again
whenever the command is given. Which steps there are is `plan`'s and what runs them is `running`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.files import make_folder, sha256_of, write_text

DONE, MISSING, OUTDATED, LEFT_OUT = "done", "missing", "outdated", "left out"


@dataclass(frozen=True)
class Step:
    """One step. folder: below the study's. needs: names of the steps it reads. keeps: patterns, below its folder, of
    the files it is known by. settings: of this step alone, plain types. work: makes the folder; returns "" or a
    sentence that says why the step cannot be done with these data. seconds, bytes: estimates. page: file to look at.
    people: patterns, below its folder, of what people make there afterwards, which is never replaced.
    """

    name: str
    title: str
    folder: str
    needs: tuple[str, ...]
    keeps: tuple[str, ...]
    work: Callable[[Path], str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    bytes: float = 0.0
    page: str = ""
    people: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stamp:
    """Of a finished step. made_from: needed step to the digest of its files. files: path below the step's folder to
    SHA-256. left_out: why the step was not done, or "". seconds: that it took, all its runs together but those that
    were killed, whose time nobody wrote down. runs: how often it was begun.
    """

    step: str
    settings: Mapping[str, Any]
    made_from: Mapping[str, str]
    files: Mapping[str, str]
    left_out: str
    seconds: float
    software: str = __version__
    runs: int = 1

    @property
    def digest(self) -> str:
        """SHA-256 over the files' names and hashes."""
        return hashlib.sha256(json.dumps([self.left_out, dict(self.files)], sort_keys=True).encode()).hexdigest()


def stamp_file(study: Path, name: str) -> Path:
    """Where a step's stamp is."""
    return study / "steps" / f"{name}.json"


def read_stamp(study: Path, name: str) -> Stamp | None:
    """A step's stamp, or None where there is none; InputError for a damaged one."""
    path = stamp_file(study, name)
    if not path.exists():
        return None
    try:
        return Stamp(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged; remove it, and the step is done again.") from error


def write_stamp(
    study: Path, step: Step, made_from: Mapping[str, str], left_out: str, seconds: float, runs: int = 1
) -> Stamp:
    """Stamp a step that has just been done."""
    files = {} if left_out else files_of(study / step.folder, step.keeps)
    stamp = Stamp(step.name, plain(step.settings), dict(made_from), files, left_out, round(seconds, 1), runs=runs)
    write_text(make_folder(study / "steps") / f"{step.name}.json", json.dumps(asdict(stamp), indent=1) + "\n")
    return stamp


def state(study: Path, step: Step, made_from: Mapping[str, str]) -> str:
    """ "done", "missing", "left out" or "outdated" (made from what has been made anew since).

    Raises InputError where the step was done with other settings, by another version, or where its files were changed
    since: what was made from the old ones would stand beside what is made from the new ones.
    """
    stamp = read_stamp(study, step.name)
    if stamp is None:
        return MISSING
    if stamp.left_out:
        # Nothing was made with other settings, so they may change; but what it left lying is then not gone on with.
        same = dict(stamp.made_from) == dict(made_from) and not _differing(stamp.settings, plain(step.settings))
        return LEFT_OUT if same else OUTDATED
    if stamp.software != __version__:
        raise InputError(
            f"The step {step.name} in {study} was done by version {stamp.software}, this is {__version__}; choose an "
            "empty folder, or go on with that version."
        )
    if differing := _differing(stamp.settings, plain(step.settings)):
        raise InputError(
            f"The step {step.name} in {study} was done with other settings: its {differing}. Choose an empty folder, "
            "or go on with the old settings."
        )
    found = files_of(study / step.folder, step.keeps)
    if changed := sorted(name for name, sha in found.items() if stamp.files.get(name) != sha):
        raise InputError(
            f"{study / step.folder / changed[0]} has changed since the step {step.name} was done. Put the old file "
            f"back, or remove the folder {study / step.folder}, and the step is done again."
        )
    if set(stamp.files) - set(found):
        return MISSING
    return DONE if dict(stamp.made_from) == dict(made_from) else OUTDATED


def files_of(folder: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """The files of a folder that fit the patterns, with their SHA-256."""
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in paths}


def _sha256(path: Path) -> str:
    known = path.stat()
    return _sha256_of_known(path.resolve(), known.st_size, known.st_mtime_ns, known.st_ino)


@lru_cache(maxsize=100_000)
def _sha256_of_known(path: Path, *_: int) -> str:
    """A start looks at every step twice; a file of the same size, time and place is read once."""
    return sha256_of(path)


def made_by_people(study: Path, step: Step) -> Path | None:
    """A file that somebody made in a step's folder, an answer of a reader; None where there is none."""
    found = (path for pattern in step.people for path in (study / step.folder).glob(pattern) if path.is_file())
    return next(found, None)


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives settings back."""
    return dict(json.loads(json.dumps(dict(settings), sort_keys=True)))


def _differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first setting that differs, in words; "" where none does."""
    for key in sorted({*then, *now}):
        if then.get(key) != now.get(key):
            return f"{key} was {json.dumps(then.get(key))}, not {json.dumps(now.get(key))}"
    return ""
