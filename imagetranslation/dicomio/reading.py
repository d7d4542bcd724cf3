"""DICOM in: a file or a folder to a Volume, with everything said that had to be decided on the way.

Files are opened by `opening`, decoded by `pixels`, placed by `geometry`; what ultrasound and planar
nuclear images need besides is in `views`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..formats import chosen_component, suffix_of
from ..headers import require_memory
from ..volume import Volume
from .geometry import Frame, Grid, frames_of, place, stack
from .marking import provenance_of
from .opening import (
    SeriesInfo,
    chosen_series,
    damage_means,
    is_dicom,
    is_secondary_capture,
    open_dataset,
    quiet_pydicom,
    scan_folder,
    text_of,
    why_not_a_scan,
)
from .pixels import modality_lut, rescaled, stored_values
from .views import chosen_view, is_planar_nm, ultrasound_regions

__all__ = ["SeriesInfo", "is_dicom", "list_series", "read_dicom"]


def list_series(folder: str | Path) -> list[SeriesInfo]:
    """The image series below a folder, by series number; objects that are no scans are left out."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.")
    with damage_means(f"{folder.name} holds damaged DICOM that cannot be understood."), quiet_pydicom():
        return scan_folder(folder)[0]


def read_dicom(
    path: str | Path,
    *,
    series: str | None = None,
    frames_as_slices: float | None = None,
    component: int | str | None = None,
) -> Volume:
    """Read a DICOM file, or the one (or the chosen) image series of a folder; arguments as in `volume.read_volume`.

    Raises InputError with one sentence: no DICOM, no scan, several series, a missing or doubled slice, mixed spacing,
    orientation or size, a cine without 3-D geometry, several planar views, truncated or undecodable pixels.
    """
    path = Path(path)
    if frames_as_slices is not None and not 0 < frames_as_slices < 1e4:
        raise InputError(f"The spacing for frames as slices is {frames_as_slices}; it must be a positive number of mm.")
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    with damage_means(f"{path.name} is damaged DICOM that cannot be understood; copy it again."), quiet_pydicom():
        files, notes = files_of(path, series)
        return _read(path, files, notes, frames_as_slices, component)


def files_of(path: Path, wanted: str | None) -> tuple[list[Path], list[str]]:
    """The files of the one series to read, and notes on what lies beside it."""
    if path.is_file():
        if wanted is not None:
            raise InputError(f"{path.name} is one file; a series can only be chosen in a folder.")
        return [path], []
    series, others, damaged = scan_folder(path)
    if damaged:
        raise InputError(
            f"{path.name} holds {len(damaged)} damaged DICOM file{'s' if len(damaged) > 1 else ''} "
            f"(first: {damaged[0]}); copy the folder again or remove what is damaged."
        )
    if not series and others:
        raise InputError(f"{path.name} holds no image series: {others[0]}.")
    if not series:
        raise InputError(f"{path.name or path} {_what_else(path)}.")
    chosen = chosen_series(series, wanted, path.name or str(path))
    notes = [f"{len(others)} other DICOM object(s) in the folder were left out."] if others else []
    return list(chosen.files), notes


def _what_else(folder: Path) -> str:
    """The end of a sentence on a folder without DICOM."""
    names = [entry.name for entry in folder.iterdir()]
    if not names:
        return "is an empty folder"
    images = sum(bool(suffix_of(name)) for name in names)
    hint = f"; give one of its {images} other image files" if images else ""
    return f"holds no DICOM image{hint}"


def _read(
    path: Path, files: list[Path], notes: list[str], frames_as_slices: float | None, component: int | str | None
) -> Volume:
    single = len(files) == 1
    # Of a series only the headers are kept; its pixels are read file by file once the grid is known to be sound.
    datasets = [_opened(file, pixels=single) for file in files]
    first = datasets[0]
    what = files[0].name if single else f"Series '{text_of(first, 'SeriesDescription') or path.name}'"
    _refuse_mixed_sizes(datasets, what)
    frames = [frame for n, ds in enumerate(datasets) for frame in frames_of(ds, n, files[n].name)]
    regions = ultrasound_regions(first, what, notes)
    if regions is not None and regions.spacing is not None:
        frames = [replace(f, spacing=regions.spacing) if f.position is None else f for f in frames]
    grid = _grid(first, frames, what, frames_as_slices, component, notes)
    array = _pixels(grid, datasets if single else None, files, notes)
    mask = None if regions is None else np.ascontiguousarray(np.broadcast_to(regions.inside, array.shape))
    if is_secondary_capture(first):
        notes.append("Stored as a secondary capture: values and spacing may not be the scanner's.")
    return Volume(
        array,
        grid.spacing,
        grid.origin,
        grid.direction,
        text_of(first, "SeriesDescription") or _file_name(path),
        "" if text_of(first, "Modality") == "OT" else text_of(first, "Modality"),
        mask,
        tuple(notes),
        _attributes(datasets, files, path, grid, frames_as_slices),
        next((record for ds in datasets if (record := provenance_of(ds)) is not None), None),
    )


def _opened(file: Path, pixels: bool) -> Any:
    dataset = open_dataset(file, pixels=pixels)
    if reason := why_not_a_scan(dataset):
        raise InputError(f"{file.name} is {reason}.")
    return dataset


def _refuse_mixed_sizes(datasets: list[Any], what: str) -> None:
    sizes = sorted({(int(ds.Columns), int(ds.Rows)) for ds in datasets})
    if len(sizes) > 1:
        listed = " and ".join(f"{columns}x{rows}" for columns, rows in sizes[:4])
        raise InputError(f"{what} mixes images of {listed} pixels; choose those of one size.")


def _grid(
    first: Any,
    frames: list[Frame],
    what: str,
    frames_as_slices: float | None,
    component: int | str | None,
    notes: list[str],
) -> Grid:
    """The frames to read, in slice order, on their grid."""
    if all(f.position is not None and f.orientation is not None for f in frames):
        if frames_as_slices is not None:
            notes.append("The images carry their own positions; the spacing given for frames as slices was not used.")
        if first.get("PerFrameFunctionalGroupsSequence") and text_of(first, "Modality") == "US":
            notes.append("The volume lies in the ultrasound probe's frame of reference, not the patient's.")
        return place(frames, what, component, notes)
    if is_planar_nm(first) and len(frames) > 1 and frames_as_slices is None:
        frames = [chosen_view(first, frames, component, what, notes)]
    elif len(frames) > 1:
        return _cine(first, frames, what, frames_as_slices, component, notes)
    elif component is not None:
        chosen_component(1, component, what, "image")
    if frames[0].position is None:
        notes.append("The image carries no position in the patient; it is placed at the origin.")
    return stack(frames, frames[0].thickness or 1.0, what, notes)


def _cine(
    first: Any,
    frames: list[Frame],
    what: str,
    frames_as_slices: float | None,
    component: int | str | None,
    notes: list[str],
) -> Grid:
    """Frames without 3-D geometry: refused, unless one is chosen or the person says how far apart they lie."""
    if frames_as_slices is not None:
        notes.append(
            f"{len(frames)} frames without 3-D geometry were taken as slices {frames_as_slices:g} mm apart, as asked; "
            "where they really lie is not known."
        )
        return stack(sorted(frames, key=lambda f: f.order), frames_as_slices, what, notes)
    if component is not None:
        ordered = sorted(frames, key=lambda f: f.order)
        index = chosen_component(len(frames), component, what, "frames")
        notes.append(f"Frame {index} of {len(frames)} was read.")
        return stack([ordered[index]], ordered[index].thickness or 1.0, what, notes)
    raise InputError(
        f"{what} holds {len(frames)} frames without 3-D geometry (a cine shows time, not depth), not a volume; choose "
        "one frame (component=), or give the distance between frames in mm (frames_as_slices=) if they are slices."
    )


def _file_name(path: Path) -> str:
    """The name of a file without .dcm and .gz, or of a folder."""
    return path.name.removesuffix(".gz").removesuffix(".dcm") or path.resolve().name or "volume"


def _pixels(grid: Grid, opened: list[Any] | None, files: list[Path], notes: list[str]) -> np.ndarray:
    """(k, j, i) values of the grid's frames, each file decoded once."""
    decoded: dict[int, np.ndarray] = {}
    slices = []
    for number in sorted({frame.file for frame in grid.frames}):
        dataset = opened[number] if opened else open_dataset(files[number])
        name = files[number].name
        stored = stored_values(dataset, name, notes)
        require_memory(files[number], stored.nbytes * len(grid.frames) // max(len(stored), 1))
        decoded[number] = modality_lut(dataset, stored, name)
    for frame in grid.frames:
        slices.append(decoded[frame.file][frame.index])
    return rescaled(slices, [frame.rescale for frame in grid.frames])


def _attributes(
    datasets: list[Any], files: list[Path], path: Path, grid: Grid, frames_as_slices: float | None
) -> dict[str, Any]:
    """Facts for provenance and derived DICOM; per-slice lists are in slice order."""
    first = datasets[0]
    names = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "SeriesDescription")
    attributes: dict[str, Any] = {name: text_of(first, name) for name in (*names, "Modality")}
    attributes["SOPInstanceUIDs"] = [text_of(datasets[f.file], "SOPInstanceUID") for f in grid.frames]
    attributes["FrameNumbers"] = [f.index + 1 for f in grid.frames]
    attributes["files"] = [str(files[f.file]) for f in grid.frames]
    attributes["path"] = str(path)
    attributes["format"] = "DICOM"
    for name in ("WindowCenter", "WindowWidth"):
        value = first.get(name)
        value = value[0] if isinstance(value, (list, tuple)) or hasattr(value, "append") else value
        if value not in (None, ""):
            attributes[name] = float(value)
    if frames_as_slices is not None and grid.frames[0].position is None:
        attributes["frames_as_slices_mm"] = frames_as_slices
    return attributes
