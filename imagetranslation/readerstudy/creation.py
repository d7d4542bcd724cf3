"""Making a study's definition from a template and a list of cases, and new versions of it. What is asked on the way is
the command's matter, what follows from a definition is `building`'s.

The list of cases is a CSV: columns `case`, optionally `patient`, `source`, `truth` (0 or 1) and `training` (1 for
cases that are only practised on), and one column for each arm, named by its id, with the file of that arm's image.
Relative paths count from the CSV's folder.
"""

from __future__ import annotations

import copy
import csv
import datetime
import io
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from ..files import make_folder
from ..resources import resource_folders
from .definition import FILE, Study, load_study, read_document, save_study, study_from
from .images import check_images

KNOWN = ("case", "patient", "source", "truth", "training")
REAL = "real"
WASHOUT_DAYS = 28
_LARGEST_CSV = 8 << 20
_MOST_SESSIONS = 12


@dataclass(frozen=True)
class CaseList:
    """What a CSV of cases says. arms: ids in the order of the columns. Paths are absolute."""

    arms: tuple[str, ...]
    cases: list[dict[str, Any]] = field(default_factory=list)
    training: list[dict[str, Any]] = field(default_factory=list)


def templates() -> dict[str, Path]:
    """The shipped templates: name to file."""
    found = {}
    for folder in reversed(resource_folders()):
        found.update({file.stem: file for file in sorted((folder / "Studies").glob("*.json"))})
    return found


def load_template(name: str) -> dict[str, Any]:
    """A shipped template by name, or the one in a file; its study parts are checked when a study is made of it."""
    known = templates()
    file = known.get(name, Path(name))
    if not file.is_file():
        raise InputError(f"There is no study template {name}; there are {', '.join(known)}, or name a file.")
    document = read_document(file)
    if not isinstance(document, dict) or "questions" not in document:
        raise InputError(f"{file} is no study template: it has no questions.")
    return document


def read_cases(path: str | Path) -> CaseList:
    """The list of cases in a CSV file; InputError with one sentence and the line where it is unsound."""
    file = Path(path)
    try:
        if file.stat().st_size > _LARGEST_CSV:
            raise InputError(f"{file} is larger than {_LARGEST_CSV >> 20} MiB; that is no list of cases.")
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text; save it as CSV in UTF-8.") from None
    except OSError as error:
        raise InputError(f"The list of cases {file} cannot be read: {error.strerror or error}.") from error
    separator = ";" if ";" in text.partition("\n")[0] else ","
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=separator, strict=True))
    except csv.Error as error:
        raise InputError(f"{file} is no sound CSV: {error}.") from None
    header = [name.strip() for name in lines[0]] if lines else []
    arms = tuple(name for name in header if name not in KNOWN)
    if "case" not in header or not arms or len(set(header)) != len(header):
        raise InputError(f"{file} needs the column 'case' and one column for each arm ('{REAL}' and a model's id).")
    made = CaseList(arms)
    for number, line in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(header):
            raise InputError(f"{file}, line {number} has {len(line)} cells instead of {len(header)}.")
        row = {name: cell.strip() for name, cell in zip(header, line)}
        case, training = _case(row, arms, file, number)
        (made.training if training else made.cases).append(case)
    if not made.cases:
        raise InputError(f"{file} lists no case.")
    return made


def _case(row: Mapping[str, str], arms: Sequence[str], file: Path, number: int) -> tuple[dict[str, Any], bool]:
    where = f"{file}, line {number}"
    if missing := [name for name in ("case", *arms) if not row[name]]:
        raise InputError(f"{where} has nothing in the column {missing[0]}.")
    made: dict[str, Any] = {"id": row["case"], "images": {arm: _absolute(file, row[arm]) for arm in arms}}
    if row.get("patient"):
        made["patient"] = row["patient"]
    if row.get("source"):
        made["source"] = _absolute(file, row["source"])
    if row.get("truth"):
        if row["truth"] not in ("0", "1"):
            raise InputError(f"{where}: truth is 0 or 1, not {row['truth'][:20]}.")
        made["truth"] = int(row["truth"])
    if row.get("training", "") not in ("", "0", "1"):
        raise InputError(f"{where}: training is 1 or 0, not {row['training'][:20]}.")
    return made, row.get("training") == "1"


def _absolute(file: Path, path: str) -> str:
    return os.path.normpath(file.parent.resolve() / path)


def new_document(
    template: Mapping[str, Any],
    cases: CaseList,
    readers: int | Sequence[str],
    *,
    id_: str,
    seed: Optional[int] = None,
    changes: Optional[Mapping[str, Any]] = None,
) -> dict[str, Any]:
    """A study's document from a template: arms after the columns of the case list ("real" is the acquired one), codes
    R1, R2, ... for a number of readers, a random seed unless one is given, and `changes` laid over the template (whole
    entries; for display, sessions and schedule single settings).

    Where neither template nor changes say how many sessions there are, it is a crossover, see `usual_sessions`, with
    `WASHOUT_DAYS` between them."""
    document = copy.deepcopy(dict(template))
    known = {arm["id"]: arm for arm in document.get("arms", []) if isinstance(arm, dict) and "id" in arm}
    usual = [{"id": arm, "kind": "real" if arm == REAL else "synthetic", "label": arm} for arm in cases.arms]
    codes = [f"R{n + 1}" for n in range(readers)] if isinstance(readers, int) else list(readers)
    document.update(
        {
            "format_version": 1,
            "id": id_,
            "version": 1,
            "created": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "seed": secrets.randbelow(2**31) if seed is None else seed,
            "arms": [known.get(arm["id"], arm) for arm in usual],
            "cases": copy.deepcopy(cases.cases),
            "training": copy.deepcopy(cases.training),
            "readers": codes,
        }
    )
    for name, value in (changes or {}).items():
        if isinstance(value, Mapping) and isinstance(document.get(name), dict):
            document[name] = {**document[name], **value}
        else:
            document[name] = value
    sessions = document.get("sessions", {})
    if isinstance(sessions, dict):
        document["sessions"] = {"count": usual_sessions(document), "washout_days": WASHOUT_DAYS, **sessions}
        if document["sessions"]["count"] == 1:
            document["sessions"]["washout_days"] = 0
    return document


def usual_sessions(document: Mapping[str, Any]) -> int:
    """How many sessions a study has unless its coordinator says otherwise.

    Where arms are read singly, one for each arm that a reader sees of a case, so that no two arms of a patient meet in
    one sitting: whoever recognises the patient would compare them, and know that not both are real. One where arms
    stand beside each other anyway.
    """
    if document.get("display", {}).get("kind") not in ("single", "source_synthetic"):
        return 1
    shown = document.get("schedule", {}).get("arms_per_case") or len(document["arms"])
    return max(1, min(shown, len(document["arms"]), _MOST_SESSIONS))


def create(document: Mapping[str, Any], folder: str | Path) -> Study:
    """Write a new study's definition into a folder that holds none: paths made relative to it, folders of images that
    lie elsewhere named in `outside_folders`, every image looked for."""
    root = Path(folder)
    if (root / FILE).exists():
        raise InputError(f"There is a study in {root} already; choose another folder, or `study revise` it.")
    study_from(document, "The study")
    make_folder(root)
    made = _relocated(document, root.resolve())
    check_images(study_from(made, "The study"), root)
    return save_study(made, root)


def revise(old: str | Path, folder: str | Path, edited: Optional[str | Path] = None) -> Study:
    """A new version of a study in another folder; the old one, with its answers, stays as it is.

    edited: a study file with the changes (by default the old study's own file as it stands now). Its version becomes
    one more than that of the reading set that was frozen, and it names what it revises.
    """
    from .readingset import FOLDER, MANIFEST

    root = Path(old)
    manifest = root / FOLDER / MANIFEST
    if not manifest.is_file():
        raise InputError(f"There is no reading set in {root}, so nothing is frozen: change {FILE} and prepare it.")
    frozen = read_document(manifest)
    try:
        before_version = int(frozen["version"])
        before = {"version": before_version, "sha256": str(frozen["definition_sha256"])}
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{manifest} is damaged.") from None
    source = Path(edited) if edited else root / FILE
    document = dict(load_study(source).document)
    document.update({"version": before_version + 1, "revises": before})
    base = (source if source.is_dir() else source.parent).resolve()
    return create(_mapped(document, lambda path: os.path.normpath(base / path)), folder)


def _relocated(document: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Absolute paths below the study's folder become relative ones; folders of others are declared."""
    outside: list[str] = []

    def inside(path: str) -> str:
        full = Path(path) if Path(path).is_absolute() else root / path
        if root in full.resolve().parents:
            return os.path.relpath(full.resolve(), root)
        outside.append(str(full.resolve().parent))
        return os.path.relpath(full, root)

    made = _mapped({**document, "outside_folders": []}, inside)
    made["outside_folders"] = [os.path.relpath(folder, root) for folder in _tops(outside)]
    if not made["outside_folders"]:
        del made["outside_folders"]
    return made


def _mapped(document: Mapping[str, Any], change: Any) -> dict[str, Any]:
    """The document with every path of an image changed."""
    made = copy.deepcopy(dict(document))
    for case in [*made["cases"], *made.get("training", [])]:
        case["images"] = {arm: change(path) for arm, path in case["images"].items()}
        if case.get("source"):
            case["source"] = change(case["source"])
    return made


def _tops(folders: Sequence[str]) -> list[str]:
    """Each of some absolute folders once, without those that lie in another of them."""
    kept: list[Path] = []
    for folder in sorted({Path(f) for f in folders}, key=lambda p: len(p.parts)):
        if not any(top == folder or top in folder.parents for top in kept):
            kept.append(folder)
    return [str(path) for path in kept]
