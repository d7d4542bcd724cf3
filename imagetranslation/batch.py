"""Many inputs: which they are, what is made from each is called, and the table of what happened to them.

The work itself is `cohorts`, and in Slicer `panels.batch`.
"""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import InputError, RunFailed
from .files import write_text
from .formats import SUFFIXES, suffix_of
from .jobs import default_name

COLUMNS = ("input", "output", "status", "seconds", "model", "version", "device", "worker", "sha256", "message")
REPORT = "translations.csv"


def find_inputs(pattern: str, output: Path) -> list[Path] | None:
    """The inputs a folder or a glob stands for, sorted; None when it names one input (a file or a DICOM series).

    A folder that holds image files or sub-folders of DICOM is a batch; one with DICOM files directly in it is one
    input. What lies in an `output` folder among the inputs is no input. Raises InputError when nothing is found.
    """
    path = Path(pattern)
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise InputError(f"{pattern} cannot be read: {error.strerror}.") from error
    if is_folder:
        if path.resolve() == output.resolve():
            raise InputError(f"{output} is the folder of the scans themselves; name another one for what is made.")
        inputs = _not_made(_in_folder(path), path, output)
        if not inputs:
            raise InputError(f"{path} holds no image: no {', '.join(SUFFIXES)} file and no DICOM file.")
        return None if inputs == [path] else inputs
    if path.exists() or not glob.has_magic(pattern):
        return None
    if output.exists() and any(Path(found).resolve().parent == output.resolve() for found in glob.glob(pattern)):  # noqa: PTH207
        raise InputError(f"{output} is the folder of the scans themselves; name another one for what is made.")
    inputs = sorted(Path(found) for found in glob.glob(pattern, recursive=True))  # noqa: PTH207  patterns may be absolute
    if not inputs:
        raise InputError(f"Nothing matches {pattern}.")
    inputs = _not_made(inputs, _fixed_part(pattern), output)
    if not inputs:
        raise InputError(f"All that matches {pattern} lies in {output}; name another folder for what is made.")
    return inputs


def named_outputs(inputs: list[Path], modality: str, kept: Mapping[str, str] | None = None) -> list[Path]:
    """The relative path of what is made from each input.

    Outputs keep the inputs' folders below their common one; equal stems get the input's suffix into their name. kept:
    names given to inputs (absolute paths) at an earlier time, which they keep whatever has come to lie beside them.
    """
    common, earlier = _common_folder(inputs), dict(kept or {})
    before = [earlier.get(str(path.absolute())) for path in inputs]
    used = {_without_suffix(Path(name)) for name in before if name is not None}
    named = []
    for path, name in zip(inputs, before):
        if name is not None:
            named.append(Path(name))
            continue
        output = path.parent.relative_to(common) / default_name(path, modality)
        stem, suffix = _without_suffix(output), suffix_of(output)
        if stem in used:
            stem = stem.with_name(f"{stem.name}_{path.name.replace('.', '-')}")
        used.add(stem)
        named.append(stem.with_name(f"{stem.name}{suffix}"))
    return named


class Table:
    """The table of what happened to each input, `translations.csv` in a folder, in the order of the inputs.

    It is written after every case, but never for more than a twentieth of the time, so that thousands of cases do not
    wait for it; `write` writes it in any case.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / REPORT
        self._rows: dict[int, dict[str, Any]] = {}
        self._due = 0.0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What is known so far, by the number of the input."""
        return [self._rows[number] for number in sorted(self._rows)]

    def add(self, number: int, row: dict[str, Any]) -> None:
        """Take in what happened to input `number` (COLUMNS; more is left out). A full disk is not met here but in
        `write`: the cases go on."""
        self._rows[number] = row
        began = time.monotonic()
        if began >= self._due:
            with contextlib.suppress(RunFailed):
                self.write()
            self._due = time.monotonic() + 20 * (time.monotonic() - began)

    def write(self) -> None:
        """Bring the table on the disk; RunFailed where that is impossible, an older one then stays as it was."""
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", restval="")
        table.writeheader()
        table.writerows(self.rows)
        write_text(self.path, text.getvalue())


def _not_made(found: list[Path], searched: Path, output: Path) -> list[Path]:
    """What was found below the folder `searched`, without what lies in `output` where that is one of its subfolders."""
    root, made = searched.resolve(), output.resolve()
    if root == made or not made.is_relative_to(root):
        return found
    return [path for path in found if not path.resolve().is_relative_to(made)]


def _fixed_part(pattern: str) -> Path:
    """The folder in which a glob begins to search."""
    return Path(*itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))


def _in_folder(folder: Path) -> list[Path]:
    """Image files below a folder, and folders with other files directly in them (taken for DICOM)."""
    found: list[Path] = []
    others: set[Path] = set()
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        if suffix_of(path):
            found.append(path)
        elif _is_dicom(path):
            others.add(path.parent)
    return sorted([*found, *others])


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() in (".dcm", ".ima", ".dicom"):
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _without_suffix(path: Path) -> Path:
    return path.with_name(path.name[: len(path.name) - len(suffix_of(path))])


def _common_folder(paths: list[Path]) -> Path:
    common = paths[0].parent
    while not all(path.is_relative_to(common) for path in paths):
        common = common.parent
    return common
