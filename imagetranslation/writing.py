"""Writing a Volume as NRRD, NIfTI or MetaImage: whole or not at all, read back before it counts, synthetic marked.

Everything is first written into a folder beside the target and compared with what should be there; then the files
(header, voxels, provenance) are renamed into place, and put back as they were if that fails half-way.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError, RunFailed
from .files import atomic_path, temporary_beside
from .formats import (
    SUFFIXES,
    nifti_description,
    quiet_sitk,
    read_file,
    read_sidecar,
    sidecar_of,
    suffix_of,
)
from .provenance import RECORD_KEY, Provenance
from .silence import silent_stderr
from .volume import Volume, corner_points

# Longer values do not fit MetaImage's header fields; the sidecar always holds the whole record.
HEADER_TEXT_LIMIT = 8000
_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")


def write_file(volume: Volume, path: Path) -> Path:
    """Write `volume` to `path`; RunFailed (disk, permission) or InputError (suffix, type) in one sentence."""
    suffix = suffix_of(path)
    if not suffix:
        raise InputError(f"{path.name} cannot be written: its name must end in one of {', '.join(SUFFIXES)}.")
    array = _storable(volume.array, path)
    sitk = quiet_sitk()
    with _restored_on_failure() as place, atomic_path(path) as temporary, _staging(path) as stage:
        # The sidecar takes its name from the image's, so staged files carry their final names.
        staged = stage / path.name
        _write_image(sitk, volume, array, staged)
        _flush(stage)
        _compare(volume, array, staged, path)
        for name in sorted(f.name for f in stage.iterdir() if f != staged):
            if path.with_name(name).exists() and not path.exists():
                raise InputError(
                    f"{path.name} cannot be written: its voxels would replace {name}, which belongs to another image; "
                    "choose another name or remove it."
                )
            place(stage / name, path.with_name(name))
        _place_sidecar(volume, path, stage, place)
        os.replace(staged, temporary)
    return path


def _storable(array: np.ndarray, path: Path) -> np.ndarray:
    """The same numbers in a type every format holds."""
    kinds = {"bool": "uint8", "float16": "float32", "longdouble": "float64", "float128": "float64"}
    name = kinds.get(array.dtype.name, array.dtype.name)
    if name not in _TYPES:
        raise InputError(f"{path.name} cannot be written: voxels of type {array.dtype} fit none of these formats.")
    if array.size == 0:
        raise InputError(f"{path.name} cannot be written: the volume has no voxels.")
    return np.ascontiguousarray(array, dtype=np.dtype(name))


def _write_image(sitk: Any, volume: Volume, array: np.ndarray, staged: Path) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(v) for v in volume.spacing])
    image.SetOrigin([float(v) for v in volume.origin])
    image.SetDirection([float(v) for v in volume.direction])
    if volume.provenance is not None:
        image.SetMetaData(RECORD_KEY, _header_text(volume.provenance))
        image.SetMetaData("ITK_FileNotes", nifti_description(volume.provenance))
    try:
        # An uncompressed .nii is what its name says; elsewhere compression is part of the format.
        with silent_stderr():
            sitk.WriteImage(image, str(staged), useCompression=suffix_of(staged) != ".nii")
    except RuntimeError as error:
        _raise_disk_error(staged, array.nbytes)
        raise RunFailed(f"{staged.name} cannot be written: {str(error).strip().splitlines()[-1][-200:]}") from error


def _compare(volume: Volume, array: np.ndarray, staged: Path, path: Path) -> None:
    """RunFailed unless the staged file reads back as exactly these voxels on this grid."""
    try:
        with silent_stderr():
            back = read_file(staged, mapped=True)
    except (InputError, OSError) as error:
        _raise_disk_error(staged, array.nbytes)
        raise RunFailed(f"{path.name} did not read back after writing; nothing was left behind.") from error
    same = back.array.dtype == array.dtype and back.array.shape == array.shape and _equal(back.array, array)
    # NIfTI keeps geometry as 32-bit floats: about 1e-7 of the distance from the scanner's centre.
    reach = float(np.abs(corner_points(volume)).max())
    if not same or not volume.same_grid(back, 1e-4 + 1e-6 * reach):
        _raise_disk_error(staged, array.nbytes)
        raise RunFailed(f"{path.name} read back differently after writing; nothing was left behind; try .nrrd.")


def _equal(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether all voxels agree, NaN with NaN, a slice at a time."""
    decimal = wanted.dtype.kind == "f"
    return all(
        np.array_equal(a, b) or (decimal and np.array_equal(a, b, equal_nan=True)) for a, b in zip(found, wanted)
    )


def _raise_disk_error(staged: Path, size: int) -> None:
    """Raise the OSError that explains a failed write, if filling a file of `size` bytes raises one."""
    probe = staged.with_name("probe")
    try:
        with open(probe, "wb") as stream:
            for _ in range(0, size, 1 << 20):
                stream.write(b"\1" * min(size, 1 << 20))
            stream.flush()
            os.fsync(stream.fileno())
    finally:
        probe.unlink(missing_ok=True)


def _header_text(record: Provenance) -> str:
    """One line of ASCII JSON, without its notes where they would make it too long for a header field."""
    mapping = record.to_dict()
    text = json.dumps(mapping)
    if len(text) > HEADER_TEXT_LIMIT:
        text = json.dumps({**mapping, "notes": ["See the .json file beside this image."]})
    return text


def _place_sidecar(volume: Volume, path: Path, stage: Path, place: Any) -> None:
    """Put the provenance beside a synthetic image; drop a stale one where a real image replaces it."""
    sidecar = sidecar_of(path)
    if volume.provenance is not None:
        if sidecar.exists() and read_sidecar(path) is None:
            raise InputError(
                f"{path.name} cannot be written: {sidecar.name} beside it belongs to something else and would be "
                "replaced by the record of the synthetic image; choose another name."
            )
        text = json.dumps({**volume.provenance.to_dict(), "file": path.name}, indent=1, ensure_ascii=False)
        with open(stage / sidecar.name, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        place(stage / sidecar.name, sidecar)
    elif (read_sidecar(path) or {}).get("file") == path.name:
        place(None, sidecar)


@contextlib.contextmanager
def _staging(path: Path) -> Iterator[Path]:
    """A hidden folder beside the target, on the same disk, gone afterwards."""
    folder = temporary_beside(path)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _restored_on_failure() -> Iterator[Any]:
    """Yield `place(source or None, target)`: renames, keeping what was there until all has succeeded."""
    moved: list[tuple[Path, Path | None]] = []

    def place(source: Path | None, target: Path) -> None:
        moved.append((target, _second_name(target) if target.exists() else None))
        if source is not None:
            os.replace(source, target)
        else:
            target.unlink()

    try:
        yield place
    except BaseException:
        for target, backup in reversed(moved):
            target.unlink(missing_ok=True)
            if backup is not None:
                os.replace(backup, target)
        raise
    for _, backup in moved:
        if backup is not None:
            backup.unlink(missing_ok=True)


def _second_name(target: Path) -> Path:
    """Another name (or a copy) for a file about to be replaced: killed in between, it is still there under its own."""
    backup = temporary_beside(target, "previous")
    try:
        os.link(target, backup)
    except OSError:  # a file system without hard links
        shutil.copy2(target, backup)
    return backup


def _flush(folder: Path) -> None:
    for file in folder.iterdir():
        with open(file, "rb+") as stream:
            os.fsync(stream.fileno())
