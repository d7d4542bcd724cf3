"""What ultrasound and planar nuclear images need beyond slices: where in the frame the image is, and which view.

Ultrasound regions: DICOM PS3.3 C.8.5.5. Planar nuclear frames are views (anterior, posterior, energy windows, times),
never slices: C.8.4.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..formats import chosen_component
from .geometry import Frame
from .opening import number_of, text_of

NM_STORAGE = "1.2.840.10008.5.1.4.1.1.20"
_CENTIMETRES = 3
_TWO_DIMENSIONAL = 1
_TISSUE, _COLOUR_FLOW = 1, 2


@dataclass(frozen=True)
class Regions:
    """inside: bool (rows, columns), true where the scanner drew the image. spacing: (i, j) mm, or None if not given."""

    inside: np.ndarray
    spacing: tuple[float, float] | None


def ultrasound_regions(dataset: Any, name: str, notes: list[str]) -> Regions | None:
    """The 2-D tissue regions of an ultrasound object; None where it names no regions.

    Raises InputError where all regions are something else (M-mode, spectra, graphs) or lie outside the image.
    """
    items = dataset.get("SequenceOfUltrasoundRegions") or []
    if not items:
        return None
    image = [item for item in items if number_of(item, "RegionSpatialFormat") == _TWO_DIMENSIONAL]
    tissue = [item for item in image if number_of(item, "RegionDataType") == _TISSUE]
    chosen = tissue or [item for item in image if number_of(item, "RegionDataType") == _COLOUR_FLOW]
    if not chosen:
        raise InputError(f"{name} shows no 2-D tissue image, only M-mode, spectra or graphs; give a B-mode image.")
    shape = int(dataset.Rows), int(dataset.Columns)
    boxes = [(box, _region_spacing(item)) for item in chosen if (box := _box(item, shape)) is not None]
    if not boxes:
        raise InputError(f"{name} is damaged: its ultrasound regions lie outside the image.")
    if len({_rounded(spacing) for _, spacing in boxes}) > 1:
        boxes = [max(boxes, key=lambda b: (b[0][1] - b[0][0]) * (b[0][3] - b[0][2]))]
        notes.append("The frame holds ultrasound regions of different scale; only the largest is used.")
    inside = np.zeros(shape, bool)
    for (left, right, top, bottom), _ in boxes:
        inside[top:bottom, left:right] = True
    return Regions(inside, boxes[0][1])


def is_planar_nm(dataset: Any) -> bool:
    """Whether the frames are planar nuclear views."""
    return text_of(dataset, "Modality") == "NM" or text_of(dataset, "SOPClassUID") == NM_STORAGE


def view_names(dataset: Any, count: int) -> list[str]:
    """A name for each planar frame: the detector's view, with energy window, time and number where those differ."""
    detectors = dataset.get("DetectorInformationSequence") or []
    views = [_view(detectors, n - 1) for n in _indices(dataset, "DetectorVector", count)]
    for keyword, word in (("EnergyWindowVector", "window"), ("PhaseVector", "phase"), ("TimeSliceVector", "time")):
        numbers = _indices(dataset, keyword, count)
        if len(set(numbers)) > 1:
            views = [f"{view} {word} {n}".strip() for view, n in zip(views, numbers)]
    return [view if view and views.count(view) == 1 else f"{view} frame {n}".strip() for n, view in enumerate(views)]


def chosen_view(dataset: Any, frames: list[Frame], component: int | str | None, name: str, notes: list[str]) -> Frame:
    """The planar frame chosen by index or name; InputError listing them all where none or a wrong one is chosen."""
    names = view_names(dataset, len(frames))
    listed = ", ".join(f"{n} ({view})" for n, view in enumerate(names[:12])) + (", ..." if len(names) > 12 else "")
    if component is None:
        raise InputError(
            f"{name} holds {len(frames)} planar views, not slices; choose one with component=, by number or name: "
            f"{listed}."
        )
    wanted = str(component).strip().lower()
    matching = [n for n, view in enumerate(names) if wanted and view.lower().startswith(wanted)]
    exact = [n for n in matching if names[n].lower() == wanted]
    if wanted.isdecimal():
        index = chosen_component(len(frames), component, name, "planar views")
    elif len(exact or matching) == 1:
        index = (exact or matching)[0]
    else:
        raise InputError(f"{name} has no single view called {component}; its views are {listed}.")
    notes.append(f"Planar view {index} ({names[index]}) of {len(frames)} was read.")
    return frames[index]


def _view(detectors: Any, index: int) -> str:
    if not 0 <= index < len(detectors):
        return ""
    codes = detectors[index].get("ViewCodeSequence") or []
    return text_of(codes[0], "CodeMeaning").lower() if codes else ""


def _indices(dataset: Any, keyword: str, count: int) -> list[int]:
    """A frame vector (1-based numbers, one a frame); all ones where it is absent or of another length."""
    value = dataset.get(keyword)
    numbers = [int(v) for v in (value if hasattr(value, "__iter__") else [value] if value else [])]
    return numbers if len(numbers) == count else [1] * count


def _box(item: Any, shape: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """(left, right, top, bottom), half open, clipped to the image; None where nothing is left."""
    corners = ("RegionLocationMinX0", "RegionLocationMaxX1", "RegionLocationMinY0", "RegionLocationMaxY1")
    x0, x1, y0, y1 = (number_of(item, keyword) for keyword in corners)
    left, right = max(x0, 0), min(x1 + 1, shape[1])
    top, bottom = max(y0, 0), min(y1 + 1, shape[0])
    return (left, right, top, bottom) if left < right and top < bottom else None


def _region_spacing(item: Any) -> tuple[float, float] | None:
    spacing = []
    for axis in "XY":
        if number_of(item, f"PhysicalUnits{axis}Direction") != _CENTIMETRES:
            return None
        delta = abs(float(text_of(item, f"PhysicalDelta{axis}") or 0))
        if not 0 < delta < 1e3:
            return None
        spacing.append(10 * delta)
    return spacing[0], spacing[1]


def _rounded(spacing: tuple[float, float] | None) -> tuple[float, ...]:
    return () if spacing is None else tuple(float(f"{v:.2g}") for v in spacing)
