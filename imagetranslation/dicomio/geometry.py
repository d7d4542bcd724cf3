"""Where DICOM frames lie in the patient: positions read from wherever the object keeps them, sorted, and checked.

A grid is accepted only where every frame has a place on it: one orientation, even spacing, no missing, doubled or
sideways shifted slice. DICOM PS3.3 C.7.6.2 (plane), C.7.6.16 (functional groups), C.8.4 (NM), C.8.24 (enhanced US).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..formats import SHEAR_TOLERANCE, chosen_component
from .opening import number_of, text_of

# Two positions closer than this (mm) are the same place.
SAME_PLACE = 1e-3
# A gap may differ from the usual one by this part of it (and never less than 0.02 mm, the rounding of positions).
GAP_TOLERANCE = 0.02
_ORDER = ("AcquisitionNumber", "EchoTime", "TemporalPositionIdentifier", "DiffusionBValue", "InstanceNumber")


@dataclass(frozen=True)
class Frame:
    """One slice as its object describes it.

    file, index: which object and which of its frames (0-based). position: (3,) mm LPS of the first pixel's centre or
    None. orientation: (6,) row and column direction or None. spacing: (between columns, between rows) in mm or None.
    thickness: mm between slices as stated, or None. rescale: (slope, intercept). order: what decides between frames
    at one place.
    """

    file: int
    index: int
    position: np.ndarray | None
    orientation: np.ndarray | None
    spacing: tuple[float, float] | None
    thickness: float | None
    rescale: tuple[float, float]
    order: tuple[float, ...] = ()


@dataclass(frozen=True)
class Grid:
    """Frames in slice order and the grid they lie on; geometry as in Volume."""

    frames: list[Frame]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]


def frames_of(dataset: Any, file: int, name: str) -> list[Frame]:
    """The frames of one object, with the geometry it gives for each."""
    count = number_of(dataset, "NumberOfFrames", 1)
    if count < 1:
        raise InputError(f"{name} is a damaged DICOM file: it claims {count} frames.")
    if dataset.get("PerFrameFunctionalGroupsSequence"):
        if len(dataset.PerFrameFunctionalGroupsSequence) != count:
            raise InputError(f"{name} is a damaged DICOM file: {count} frames, but not as many descriptions of them.")
        return [_grouped_frame(dataset, file, index, name) for index in range(count)]
    if count > 1 and (tomography := _nm_slices(dataset, file, count, name)):
        return tomography
    position = _vector(dataset, "ImagePositionPatient", 3, name) if count == 1 else None
    orientation = _vector(dataset, "ImageOrientationPatient", 6, name)
    rescale = _rescale(dataset, name)
    thickness = _thickness(dataset, name)
    order = tuple(_scalar(dataset, keyword, name) or 0.0 for keyword in _ORDER)
    spacing = _spacing(dataset, name)
    return [Frame(file, n, position, orientation, spacing, thickness, rescale, (*order, n)) for n in range(count)]


def place(frames: list[Frame], name: str, component: int | str | None, notes: list[str]) -> Grid:
    """Sort frames that all have a position and check their grid; InputError with one sentence naming any fault."""
    orientations = np.array([f.orientation for f in frames])
    axes = _axes(orientations[0], name)
    if np.abs(orientations - orientations[0]).max() > SHEAR_TOLERANCE:
        raise InputError(f"{name} holds slices of different orientations (a localizer?); give one stack of them.")
    depths = np.array([f.position @ axes[:, 2] for f in frames])  # type: ignore[operator]
    frames, depths = _one_per_place(frames, depths, name, component, notes)
    positions = np.array([f.position for f in frames])
    gap = _even_gap(depths, name) if len(frames) > 1 else _lone_gap(frames[0], notes)
    _refuse_sideways(positions, depths, axes[:, 2], name)
    x, y = _in_plane_spacing(frames, name, notes)
    origin = tuple(float(v) for v in positions[0])
    return Grid(frames, (x, y, gap), origin, tuple(float(v) for v in axes.ravel()))  # type: ignore[arg-type]


def stack(frames: list[Frame], gap: float, name: str, notes: list[str]) -> Grid:
    """Frames without positions as slices `gap` mm apart along k, from the origin, in the order given."""
    x, y = _in_plane_spacing(frames, name, notes)
    return Grid(frames, (x, y, gap), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def _one_per_place(
    frames: list[Frame], depths: np.ndarray, name: str, component: int | str | None, notes: list[str]
) -> tuple[list[Frame], np.ndarray]:
    """Frames sorted along the normal, one at each place: where several share every place, the chosen one."""
    order = sorted(range(len(frames)), key=lambda n: depths[n])
    places: list[list[int]] = []
    for n in order:
        if places and depths[n] - depths[places[-1][0]] < SAME_PLACE:
            places[-1].append(n)
        else:
            places.append([n])
    counts = {len(p) for p in places}
    if len(counts) > 1:
        twice = next(p for p in places if len(p) == max(counts))
        raise InputError(
            f"{name} has {len(twice)} slices at the same position ({depths[twice[0]]:.2f} mm along the slice axis) but "
            f"{min(counts)} elsewhere; a slice is doubled or missing."
        )
    count = counts.pop()
    index = 0
    if count > 1:
        index = chosen_component(count, component, name, "images at every slice position (echoes, times or weightings)")
        notes.append(f"Image {index} of the {count} at every slice position was read.")
    elif component is not None:
        chosen_component(1, component, name, "image")
    chosen = [sorted(p, key=lambda n: frames[n].order)[index] for p in places]
    return [frames[n] for n in chosen], depths[chosen]


def _even_gap(depths: np.ndarray, name: str) -> float:
    gaps = np.diff(depths)
    usual = float(np.median(gaps))
    if len(gaps) == 2 and np.ptp(gaps) > GAP_TOLERANCE * usual:
        usual = float(gaps.min())  # of two unequal gaps the smaller one is the usual one
    tolerance = max(GAP_TOLERANCE * usual, 0.02)
    wrong = np.flatnonzero(np.abs(gaps - usual) > tolerance)
    if len(wrong) == 0:
        return float((depths[-1] - depths[0]) / len(gaps))
    n = int(wrong[0])
    times = gaps[wrong] / usual
    where = f"between {depths[n]:.2f} and {depths[n + 1]:.2f} mm along the slice axis"
    if (np.abs(times - np.round(times)) < 0.1).all() and times.min() > 1.5:
        missing = int(np.round(times - 1).sum())
        raise InputError(
            f"{name} has {missing} missing slice{'s' if missing > 1 else ''}: the gap {where} is {gaps[n]:.2f} mm, "
            f"elsewhere {usual:.2f} mm; export the series again."
        )
    raise InputError(
        f"{name} has mixed slice spacing: the gap {where} is {gaps[n]:.2f} mm, usually {usual:.2f} mm; "
        "resample it to even spacing first."
    )


def _lone_gap(frame: Frame, notes: list[str]) -> float:
    if frame.thickness:
        return frame.thickness
    notes.append("A single slice without a stated thickness; 1 mm is assumed.")
    return 1.0


def _refuse_sideways(positions: np.ndarray, depths: np.ndarray, normal: np.ndarray, name: str) -> None:
    """Slices must follow each other along their normal; a tilted gantry or a table shift moves them sideways."""
    along = (depths - depths[0])[:, np.newaxis] * normal
    sideways = float(np.linalg.norm(positions - positions[0] - along, axis=1).max())
    if sideways > SHEAR_TOLERANCE * float(np.ptp(depths)) + 0.02:
        raise InputError(
            f"{name} has slices shifted sideways by up to {sideways:.2f} mm (a tilted gantry?); "
            "resample it to a straight grid first."
        )


def _axes(orientation: np.ndarray, name: str) -> np.ndarray:
    """(3, 3) with columns row direction, column direction, normal; made exactly perpendicular."""
    row, column = orientation[:3], orientation[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose(lengths, 1, atol=0.01) or abs(row @ column) > SHEAR_TOLERANCE:
        listed = ", ".join(f"{v:.4g}" for v in orientation)
        raise InputError(f"{name} has an impossible slice orientation: {listed}.")
    row = row / lengths[0]
    normal = np.cross(row, column)
    normal /= np.linalg.norm(normal)
    return np.column_stack([row, np.cross(normal, row), normal])


def _in_plane_spacing(frames: list[Frame], name: str, notes: list[str]) -> tuple[float, float]:
    spacings = [f.spacing for f in frames]
    if all(s is None for s in spacings):
        notes.append("The pixel spacing is not in the file; 1 mm is assumed.")
        return 1.0, 1.0
    known = [s for s in spacings if s is not None]
    if len(known) < len(spacings) or np.ptp(np.array(known), axis=0).max() > 1e-4 * max(known[0]):
        raise InputError(f"{name} mixes slices of different pixel spacing; choose those of one spacing.")
    return known[0]


def _grouped_frame(dataset: Any, file: int, index: int, name: str) -> Frame:
    """One frame from its functional groups, the frame's own before the shared ones."""

    def group(*keywords: str) -> Any:
        shared = dataset.get("SharedFunctionalGroupsSequence") or []
        for item in (dataset.PerFrameFunctionalGroupsSequence[index], *shared[:1]):
            for keyword in keywords:
                if item.get(keyword):
                    return item[keyword].value[0]
        return {}

    plane = group("PlanePositionSequence", "PlanePositionVolumeSequence")
    turned = group("PlaneOrientationSequence", "PlaneOrientationVolumeSequence")
    measures = group("PixelMeasuresSequence")
    position = _vector(plane, "ImagePositionPatient", 3, name)
    orientation = _vector(turned, "ImageOrientationPatient", 6, name)
    if position is None:
        position = _vector(plane, "ImagePositionVolume", 3, name)
        orientation = _vector(turned, "ImageOrientationVolume", 6, name)
    content = group("FrameContentSequence")
    order = (float(number_of(content, "TemporalPositionIndex")) if content else 0.0, float(index))
    return Frame(
        file,
        index,
        position,
        orientation,
        _spacing(measures, name),
        _thickness(measures, name),
        _rescale(group("PixelValueTransformationSequence") or dataset, name),
        order,
    )


def _nm_slices(dataset: Any, file: int, count: int, name: str) -> list[Frame]:
    """The frames of a reconstructed NM tomogram (first position plus steps along the normal); [] for anything else."""
    kinds = [str(v).upper() for v in (dataset.get("ImageType") or [])]
    detectors = dataset.get("DetectorInformationSequence") or []
    if "RECON TOMO" not in kinds or not detectors:
        return []
    position = _vector(detectors[0], "ImagePositionPatient", 3, name)
    orientation = _vector(detectors[0], "ImageOrientationPatient", 6, name)
    step = _scalar(dataset, "SpacingBetweenSlices", name) or _scalar(dataset, "SliceThickness", name)
    if position is None or orientation is None or not step:
        return []
    numbers = dataset.get("SliceVector") or range(1, count + 1)
    if len(numbers) != count:
        raise InputError(f"{name} is a damaged DICOM file: {count} frames, but {len(numbers)} slice numbers.")
    normal = _axes(orientation, name)[:, 2]
    spacing, rescale = _spacing(dataset, name), _rescale(dataset, name)
    return [
        Frame(file, n, position + (int(number) - 1) * step * normal, orientation, spacing, abs(step), rescale, (n,))
        for n, number in enumerate(numbers)
    ]


def _rescale(item: Any, name: str) -> tuple[float, float]:
    slope, intercept = _scalar(item, "RescaleSlope", name), _scalar(item, "RescaleIntercept", name)
    if slope == 0:
        raise InputError(f"{name} is a damaged DICOM file: its rescale slope is 0.")
    return 1.0 if slope is None else slope, intercept or 0.0


def _spacing(item: Any, name: str) -> tuple[float, float] | None:
    """(between columns, between rows): DICOM states them the other way round."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pair = _vector(item, keyword, 2, name)
        if pair is not None and pair.min() > 0:
            return float(pair[1]), float(pair[0])
    return None


def _thickness(item: Any, name: str) -> float | None:
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = abs(_scalar(item, keyword, name) or 0.0)
        if value > 0:
            return value
    return None


def _scalar(item: Any, keyword: str, name: str) -> float | None:
    text = text_of(item, keyword)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(f"{name} is a damaged DICOM file: {keyword} is '{text[:40]}'.")
    return value


def _vector(item: Any, keyword: str, size: int, name: str) -> np.ndarray | None:
    value = item.get(keyword)
    if value is None or text_of(item, keyword) in ("", "[]"):
        return None
    try:
        vector = np.array([float(v) for v in value])
    except (TypeError, ValueError):
        vector = np.array([np.nan])
    if vector.shape != (size,) or not np.isfinite(vector).all():
        raise InputError(f"{name} is a damaged DICOM file: {keyword} is '{text_of(item, keyword)[:60]}'.")
    return vector
