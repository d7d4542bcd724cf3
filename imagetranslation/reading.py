"""Finding out what a path is and handing it to the reader that knows it, so that every failure is one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .errors import ImageTranslationError, InputError
from .files import require_text_name
from .formats import read_file, suffix_of
from .headers import HEADER_LIMIT
from .volume import Volume

_PICTURES = {
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF",
}  # fmt: skip
_KINDS = "NRRD, NIfTI, MetaImage or DICOM"


def read_path(
    path: Path,
    *,
    series: str | None,
    frames_as_slices: float | None,
    component: int | str | None,
    mapped: bool = False,
) -> Volume:
    """See `volume.read_volume`."""
    from .dicomio import is_dicom, read_dicom

    if frames_as_slices is not None and not 0 < frames_as_slices < 1e4:
        raise InputError(f"The spacing for frames as slices is {frames_as_slices}; it must be a positive number of mm.")
    require_text_name(path)
    try:
        if not path.exists():
            raise InputError(f"{path} does not exist.")
        if path.is_dir():
            return read_dicom(path, series=series, frames_as_slices=frames_as_slices, component=component)
        if not path.is_file():
            raise InputError(f"{path.name} is neither a file nor a folder; an image file was expected.")
        if path.stat().st_size == 0:
            raise InputError(f"{path.name} is empty; copy it again from its source.")
        if suffix_of(path):
            return _without_frames(read_file(path, component, mapped), path, series, frames_as_slices)
        if is_dicom(path):
            return read_dicom(path, series=series, frames_as_slices=frames_as_slices, component=component)
    except ImageTranslationError:
        raise
    except MemoryError as error:
        raise InputError(f"{path.name} does not fit into the memory that is free.") from error
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read: {error.strerror or 'the file system reports an error'}."
        ) from error
    raise InputError(_what_it_is(path))


def _without_frames(volume: Volume, path: Path, series: str | None, frames_as_slices: float | None) -> Volume:
    """The volume of a file that has neither series nor frames: the one is refused, the other noted as not needed."""
    if series is not None:
        raise InputError(f"{path.name} is not DICOM; a series can only be chosen in a DICOM folder.")
    if frames_as_slices is None:
        return volume
    note = "The file gives its own geometry; the spacing given for frames as slices was not used."
    return replace(volume, notes=(*volume.notes, note))


def _what_it_is(path: Path) -> str:
    """The sentence for a file that is no scan."""
    with open(path, "rb") as stream:
        start = stream.read(min(512, HEADER_LIMIT))
    for magic, kind in _PICTURES.items():
        if start.startswith(magic):
            return f"{path.name} is a {kind} picture, which has no voxel size or position; give the {_KINDS} original."
    if path.name.lower().endswith((".hdr", ".img")):
        return f"{path.name} is half of an Analyze or NIfTI pair, which is not read; convert the pair to one .nii file."
    if path.name.lower().endswith((".raw", ".zraw")):
        return f"{path.name} holds voxels without a header; give the .mhd or .nhdr file that belongs to it."
    return f"{path.name} is not an image this program reads; {_KINDS} was expected."
