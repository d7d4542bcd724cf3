"""Regions of interest out of files: labelmaps, Slicer's .seg.nrrd with several segments and layers, DICOM SEG.

A segmentation saved cropped, or with its axes in another order, is put back where its voxels coincide with the image's;
one on any other grid is refused, unless the settings ask for it to be resampled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..volume import Volume, index_to_lps, read_volume
from .roi import GRID_TOLERANCE, Grid, Roi, check_grid, from_labelmap, grid_difference

ALL = "all"
SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
# More segments than any atlas has.
MOST_SEGMENTS = 4096
_PARALLEL = 0.999


@dataclass(frozen=True)
class Segment:
    """One segment of a .seg.nrrd: where its voxels are."""

    name: str
    label: int
    layer: int


def read_rois(
    path: str | Path,
    image: Volume,
    label: int | str | None = None,
    *,
    default: int | None = None,
    component: int | None = None,
    resample: bool = False,
) -> list[Roi]:
    """The regions of a segmentation file on the grid of `image`.

    label: number or segment name, "all" for every one, None where there is only one. default: the number taken
    where there are several and none was named. component: which volume of a 4-D
    file. resample: a labelmap on another grid is resampled to the image by nearest neighbour instead of refused.
    Raises InputError with one sentence for a file that is no segmentation, a label that is not there, a region on
    another grid or outside the image.
    """
    path = Path(path)
    if _is_dicom_segmentation(path):
        rois = [_of_one_slice(roi, image) for roi in _dicom_regions(path, label, default)]
    elif segments := _segments(path):
        rois = _segment_regions(path, segments, label, default)
    else:
        labelmap = read_volume(path, component=component)
        if resample and grid_difference(Grid.of(labelmap), Grid.of(image)):
            labelmap = _resampled(labelmap, image)
        rois = _chosen(from_labelmap(labelmap, _wanted(label, labelmap.name)), label, default, labelmap.name)
    placed = [place(roi, image) for roi in rois]
    for roi in placed:
        check_grid(roi, image)
    return placed


def _wanted(label: int | str | None, name: str) -> list[int] | None:
    if label is None or label == ALL:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", str(label)) or int(label) == 0:
        raise InputError(f"{name} is a labelmap without names; its labels are whole numbers from 1 on, not {label!r}.")
    return [int(label)]


def _chosen(rois: list[Roi], label: int | str | None, default: int | None, name: str) -> list[Roi]:
    if label is None and len(rois) > 1:
        if usual := [roi for roi in rois if roi.label == default]:
            return usual
        if len(rois) > 255:
            raise InputError(f"{name} holds {len(rois)} different values; it looks like an image, not a mask.")
        listed = ", ".join(str(roi.label) for roi in rois[:12]) + (", ..." if len(rois) > 12 else "")
        raise InputError(f"{name} holds {len(rois)} regions: {listed}. Choose one with --label, or --label all.")
    return rois


def _of_one_slice(roi: Roi, image: Volume) -> Roi:
    """A region of a DICOM SEG with a single frame gets the image's slice thickness: readers do not tell its own."""
    normals = [np.reshape(grid.direction, (3, 3))[:, 2] for grid in (roi.grid, Grid.of(image))]
    if roi.grid.shape[0] > 1 or abs(normals[0] @ normals[1]) < _PARALLEL:
        return roi
    return replace(roi, grid=replace(roi.grid, spacing=(*roi.grid.spacing[:2], image.spacing[2])))


def place(roi: Roi, image: Volume) -> Roi:
    """The region on the image's grid where both grids' voxels coincide (a cropped file, other axis order).

    Returned unchanged where the grids are the same, or where they do not coincide, which `check_grid` then says.
    Raises InputError where a part of the region lies outside the image.
    """
    grid = Grid.of(image)
    if not grid_difference(roi.grid, grid):
        return roi
    carrier = Volume(np.zeros((1, 1, 1)), roi.grid.spacing, roi.grid.origin, roi.grid.direction)
    mapping = np.linalg.inv(index_to_lps(image)) @ index_to_lps(carrier)
    whole = np.rint(mapping)
    size = np.array(roi.grid.shape[::-1])
    drift = np.abs(mapping - whole)[:3] @ [*size, 1]
    turns = np.abs(whole[:3, :3])
    if drift.max() > GRID_TOLERANCE or not (turns.sum(axis=0) == 1).all() or not (turns.sum(axis=1) == 1).all():
        return roi
    mask, first = _turned(roi, whole)
    low = np.array(first)
    if (low < 0).any() or (low + mask.shape > grid.shape).any():
        raise InputError(f"{roi.name} reaches outside {image.name}; draw it inside the image it belongs to.")
    note = "The segmentation covers another box of the image's voxels; it was put where its voxels coincide."
    return replace(roi, mask=mask, start=first, grid=grid, notes=(*roi.notes, note))


def _turned(roi: Roi, mapping: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Mask and first voxel (k, j, i) after a permutation with signs and whole offsets (4, 4) of (i, j, k) indices."""
    order = [int(np.flatnonzero(row)[0]) for row in mapping[:3, :3]]
    first = np.array(roi.start[::-1])
    last = first + roi.mask.shape[::-1] - 1
    corners = (mapping @ np.array([[*first, 1], [*last, 1]]).T)[:3]
    # numpy axes run (k, j, i): the axis of i is 2.
    mask = roi.mask.transpose([2 - order[2 - axis] for axis in range(3)])
    flips = tuple(slice(None, None, -1) if mapping[2 - axis, order[2 - axis]] < 0 else slice(None) for axis in range(3))
    i, j, k = (int(n) for n in corners.min(axis=1))
    return np.ascontiguousarray(mask[flips]), (k, j, i)


def _resampled(labelmap: Volume, image: Volume) -> Volume:
    """The labelmap on the image's grid by nearest neighbour."""
    from ..formats import quiet_sitk
    from .resample import to_sitk

    sitk = quiet_sitk()
    moved = sitk.Resample(to_sitk(labelmap), to_sitk(image), sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)
    note = "The mask was resampled to the image by nearest neighbour, as the settings ask."
    return replace(image, array=sitk.GetArrayFromImage(moved), name=labelmap.name, field_of_view=None,
                   notes=(*labelmap.notes, note), provenance=None, attributes={})  # fmt: skip


def _segments(path: Path) -> list[Segment]:
    """The segments a .seg.nrrd names in its header; none for any other file."""
    if not path.is_file() or not path.name.lower().endswith((".nrrd", ".nhdr")):
        return []
    from ..formats import quiet_sitk
    from ..headers import inspect

    inspect(path)
    reader = quiet_sitk().ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path.name} cannot be read as NRRD.") from error
    numbers = {int(m.group(1)) for key in reader.GetMetaDataKeys() if (m := re.fullmatch(r"Segment(\d{1,6})_ID", key))}
    if len(numbers) > MOST_SEGMENTS:
        raise InputError(f"{path.name} names {len(numbers)} segments; at most {MOST_SEGMENTS} are read.")
    return [_segment(reader, number, path.name) for number in sorted(numbers)]


def _segment(reader: Any, number: int, name: str) -> Segment:
    def text(key: str, default: str) -> str:
        full = f"Segment{number}_{key}"
        return reader.GetMetaData(full).strip() if reader.HasMetaDataKey(full) else default

    label, layer = text("LabelValue", str(number + 1)), text("Layer", "0")
    if not (re.fullmatch(r"[0-9]{1,9}", label) and re.fullmatch(r"[0-9]{1,4}", layer)):
        raise InputError(f"{name} is damaged: segment {number} has label {label[:20]!r} in layer {layer[:20]!r}.")
    return Segment(text("Name", text("ID", f"segment {number}")), int(label), int(layer))


def _segment_regions(path: Path, segments: list[Segment], label: int | str | None, default: int | None) -> list[Roi]:
    found = []
    layered = max(segment.layer for segment in segments) > 0
    maps: dict[int, Volume] = {}
    for segment in _picked(segments, label, default, path.name):
        if segment.layer not in maps:
            maps[segment.layer] = read_volume(path, component=segment.layer if layered else None)
        try:
            (roi,) = from_labelmap(maps[segment.layer], [segment.label], {segment.label: segment.name})
        except InputError:
            if label != ALL:
                raise InputError(f"Segment {segment.name} of {path.name} is empty: nothing is drawn.") from None
            continue
        found.append(roi)
    if not found:
        raise InputError(f"{path.name} is empty: no voxel of any segment is marked.")
    return found


def _picked(segments: list[Segment], label: int | str | None, default: int | None, name: str) -> list[Segment]:
    """The segments a person means: by name first, then by label value."""
    if label == ALL or (label is None and len(segments) == 1):
        return segments
    by_name = [segment for segment in segments if segment.name == str(label)]
    picked = by_name or [segment for segment in segments if str(segment.label) == str(label)]
    if label is not None and len(picked) == 1:
        return picked
    listed = ", ".join(f"{segment.name} ({segment.label})" for segment in segments[:12])
    if label is None:
        if len(usual := [segment for segment in segments if segment.label == default]) == 1:
            return usual
        raise InputError(f"{name} holds {len(segments)} segments: {listed}. Choose one with --label, or --label all.")
    fault = "several segments" if picked else "no segment"
    raise InputError(f"{name} has {fault} called {label!r}; it holds {listed}. Give the name or the number of one.")


def _is_dicom_segmentation(path: Path) -> bool:
    from ..dicomio import is_dicom

    if not path.is_file() or not is_dicom(path):
        return False
    import pydicom

    try:
        header = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except Exception:  # noqa: BLE001  a damaged file is refused, with its reason, by the reader of images
        return False
    return str(header.get("SOPClassUID", "")) == SEGMENTATION_STORAGE


def _dicom_regions(path: Path, label: int | str | None, default: int | None) -> list[Roi]:
    try:
        import highdicom
    except ImportError as error:
        raise InputError("Reading DICOM segmentations needs highdicom: run pip install highdicom.") from error
    try:
        segmentation = highdicom.seg.segread(path)
        described = [(number, segmentation.get_segment_description(number)) for number in segmentation.segment_numbers]
        segments = [Segment(str(item.segment_label), int(number), 0) for number, item in described]
        return [
            _dicom_region(segmentation, segment, path.name) for segment in _picked(segments, label, default, path.name)
        ]
    except InputError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise InputError(
            f"{path.name} cannot be used as a DICOM segmentation: {reason[0][:160].rstrip('.')}."
        ) from error


def _dicom_region(segmentation: Any, segment: Segment, name: str) -> Roi:
    volume = segmentation.get_volume(segment_numbers=[segment.label], combine_segments=True, relabel=True)
    array = np.asarray(volume.array)
    # highdicom's affine takes (slice, row, column) indices; ours is ordered (column, row, slice).
    affine = np.asarray(volume.affine)[:, [2, 1, 0, 3]]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    x, y, z = (float(n) for n in spacing)
    a, b, c = (float(n) for n in affine[:3, 3])
    direction = tuple(float(n) for n in (affine[:3, :3] / spacing).ravel())
    labelmap = Volume((array > 0).astype(np.uint8), (x, y, z), (a, b, c), direction, segment.name)
    if not labelmap.array.any():
        raise InputError(f"Segment {segment.name} of {name} is empty: nothing is drawn.")
    (roi,) = from_labelmap(labelmap, [1], {1: segment.name})
    return replace(roi, label=segment.label)
