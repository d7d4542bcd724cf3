"""Many inputs, one after another: find them, translate each, write down what happened to each, go on past failures."""

from __future__ import annotations

import csv
import glob
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import Cancelled, ImageTranslationError, InputError
from .files import make_folder, write_text
from .formats import SUFFIXES, suffix_of
from .jobs import Job, default_name, run_job
from .models import load_package
from .predictors import TorchPredictor, choose_device

COLUMNS = ("input", "output", "status", "seconds", "model", "version", "device", "message")
REPORT = "translations.csv"


@dataclass(frozen=True)
class Item:
    """One input of a batch and the relative path of what is made from it."""

    input: Path
    output: Path


def find_inputs(pattern: str, output: Path) -> list[Path] | None:
    """The inputs a folder or a glob stands for, sorted; None when it names one input (a file or a DICOM series).

    A folder that holds image files or sub-folders of DICOM is a batch; one with DICOM files directly in it is one
    input. What lies in the `output` folder is no input. Raises InputError when nothing is found.
    """
    path = Path(pattern)
    try:
        is_folder = path.is_dir()
    except OSError as error:
        raise InputError(f"{pattern} cannot be read: {error.strerror}.") from error
    if is_folder:
        if path.resolve() == output.resolve():
            raise InputError(f"{output} is the folder of the scans themselves; name another one for what is made.")
        inputs = [found for found in _in_folder(path) if not found.resolve().is_relative_to(output.resolve())]
        if not inputs:
            raise InputError(f"{path} holds no image: no {', '.join(SUFFIXES)} file and no DICOM file.")
        return None if inputs == [path] else inputs
    if path.exists() or not glob.has_magic(pattern):
        return None
    inputs = sorted(Path(found) for found in glob.glob(pattern, recursive=True))  # noqa: PTH207  patterns may be absolute
    if not inputs:
        raise InputError(f"Nothing matches {pattern}.")
    return inputs


def run_batch(
    inputs: list[Path],
    template: Job,
    folder: Path,
    on_item: Callable[[int, int, Path], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[dict[str, Any]]:
    """Translate each input into `folder`; returns one row each (COLUMNS), also written to translations.csv there.

    template: the settings of every job; its input and output are replaced. The table is written after every case, so
    that a batch that is stopped keeps it. A refused model ends the batch at once: every case would fail alike.
    """
    package = load_package(template.model)
    runner = TorchPredictor(package, choose_device(template.device))
    make_folder(folder)
    rows: list[dict[str, Any]] = []
    for number, item in enumerate(_items(inputs, package.outputs["modality"])):
        if on_item is not None:
            on_item(number, len(inputs), item.input)
        job = replace(template, input=str(item.input), output=str(folder / item.output))
        try:
            report = run_job(job, progress, cancelled, runner)
            row = {**report, "status": "done", "message": " ".join(report["notes"])}
            row["seconds"] = report["seconds_to_translate"]
        except Cancelled as error:
            rows.append(_failure(job, error))
            _write(rows, folder)
            raise
        except Exception as error:  # noqa: BLE001  one case, whatever is wrong with it, must not end the others
            row = _failure(job, error)
        rows.append(row)
        _write(rows, folder)
    return rows


def _failure(job: Job, error: Exception) -> dict[str, Any]:
    status = "cancelled" if isinstance(error, Cancelled) else "failed"
    known = isinstance(error, ImageTranslationError)
    message = str(error) if known else f"Unexpected {type(error).__name__}: {error}. Please report this."
    return {"input": job.input, "output": "", "status": status, "model": job.model, "message": message}


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


def _items(inputs: list[Path], modality: str) -> Iterator[Item]:
    """Outputs keep the inputs' folders below their common one; equal stems get the input's suffix into their name."""
    common = _common_folder(inputs)
    used: set[Path] = set()
    for path in inputs:
        folder, name = path.parent.relative_to(common), default_name(path, modality)
        stem = name[: len(name) - len(suffix_of(name))]
        if folder / stem in used:
            stem = f"{stem}_{path.name.replace('.', '-')}"
        used.add(folder / stem)
        yield Item(path, folder / f"{stem}{suffix_of(name)}")


def _common_folder(paths: list[Path]) -> Path:
    common = paths[0].parent
    while not all(path.is_relative_to(common) for path in paths):
        common = common.parent
    return common


def _write(rows: list[dict[str, Any]], folder: Path) -> None:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", restval="")
    table.writeheader()
    table.writerows(rows)
    write_text(folder / REPORT, text.getvalue())
