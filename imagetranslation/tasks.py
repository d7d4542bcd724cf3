"""A task: which scan is turned into which, and what differs between the modules that do it.

Read from `<Module>/task.json`, which is the only difference between the two Slicer modules; the browser and the tools
read the same file. Plain data: no widget, no network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .errors import InputError

FILE = "task.json"


@dataclass(frozen=True)
class Image:
    """One side of a task. modality: DICOM code. label: for people. window: (lower, upper) grey values or None for
    automatic. inverted: whether large values are shown dark."""

    modality: str
    label: str
    window: tuple[float, float] | None = None
    inverted: bool = False


@dataclass(frozen=True)
class Task:
    """See DESIGN "Formats": id names the task in model packages; module is the Slicer module's name.

    dimensionality: 2 for planar images (one view, no scrolling), 3 for volumes. layout: orientation the side-by-side
    views open in ("Axial", "Sagittal", "Coronal", or "Acquired" for the image's own plane). study: file name of the
    reading study's template. lesions: words a reader may use. counts: whether grey values are counts, so that ratios
    and profiles mean something.
    """

    id: str
    module: str
    title: str
    summary: str
    source: Image
    target: Image
    dimensionality: int = 3
    default_model: str = ""
    layout: str = "Axial"
    counts: bool = False
    study: str = ""
    lesions: tuple[str, ...] = field(default=())
    citation: str = ""


def task_file(module_file: str | Path) -> Path:
    """Where the task.json of a Slicer module lies: beside it in a checkout, in a folder of its name once installed.

    Installed modules share one folder, so there each task.json keeps the folder of its module.
    """
    module = Path(module_file)
    for folder in (module.parent / module.stem, module.parent):
        if (folder / FILE).is_file():
            return folder / FILE
    raise InputError(f"There is no {FILE} for {module.stem} beside {module}; install the extension again.")


def load_task(path: str | Path) -> Task:
    """The task in a task.json; InputError with one sentence for a damaged one."""
    try:
        mapping = json.loads(Path(path).read_text(encoding="utf-8"))
        known = {f.name for f in fields(Task)}
        if unknown := sorted(set(mapping) - known):
            raise InputError(f"{path} has settings no task has: {', '.join(unknown)}.")
        sides = {side: _image(mapping[side]) for side in ("source", "target")}
        return Task(**{**mapping, **sides, "lesions": tuple(mapping.get("lesions", ()))})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a readable task: {error}.") from error


def _image(mapping: dict[str, Any]) -> Image:
    window = mapping.get("window")
    return Image(**{**mapping, "window": None if window is None else (float(window[0]), float(window[1]))})
