"""The pixels of a DICOM object as grey numbers: decoding, colour, inversion, rescaling. Geometry is left to others.

pydicom decodes first; what it has no decoder for goes through SimpleITK (GDCM), stripped of everything that would make
GDCM rescale or recolour it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..formats import quiet_sitk, to_grey
from ..headers import require_memory
from ..silence import silent_stderr
from .codestreams import frame_header
from .opening import damage_means, number_of, text_of

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_SHAPE_TAGS = (
    "Rows", "Columns", "SamplesPerPixel", "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "NumberOfFrames",
)  # fmt: skip


def stored_values(dataset: Any, name: str, notes: list[str]) -> np.ndarray:
    """(frames, rows, columns) grey values as stored, before any rescaling; MONOCHROME1 inverted, colour to luma.

    Raises InputError where the pixel data are missing, truncated, larger than the memory or cannot be decoded.
    """
    if not any(keyword in dataset for keyword in _PIXELS):
        raise InputError(f"{name} has a header but no pixel data; it is truncated or was stripped: copy it again.")
    rows, columns, frames = (number_of(dataset, k, 1) for k in ("Rows", "Columns", "NumberOfFrames"))
    samples = number_of(dataset, "SamplesPerPixel", 1)
    if min(rows, columns, frames, samples) < 1:
        raise InputError(f"{name} is a damaged DICOM file: it claims {frames} frames of {columns}x{rows} pixels.")
    require_memory(Path(name), rows * columns * frames * samples * number_of(dataset, "BitsAllocated", 16) // 8)
    array = _decoded(dataset, name)
    photometric = text_of(dataset, "PhotometricInterpretation")
    if photometric == "PALETTE COLOR":
        array = _palette(dataset, array, name)
    colour = array.shape[-1:] == (3,) and (samples == 3 or photometric == "PALETTE COLOR")
    shape = (frames, rows, columns, 3) if colour else (frames, rows, columns)
    if array.size != int(np.prod(shape)):
        raise InputError(f"{name} is a damaged DICOM file: its pixels do not fill {frames} of {columns}x{rows}.")
    array = np.ascontiguousarray(array.reshape(shape), dtype=array.dtype.newbyteorder("="))
    if colour:
        _note(notes, "Colour was turned to grey (BT.601 luma).")
        return to_grey(array)
    if photometric == "MONOCHROME1":
        _note(notes, "MONOCHROME1 (white is low) was inverted, so that bright means much.")
        return _inverted(dataset, array, name)
    return array


def rescaled(frames: Sequence[np.ndarray], slopes: Sequence[tuple[float, float]]) -> np.ndarray:
    """Stack (rows, columns) frames after each one's (slope, intercept).

    The stored type is kept where nothing changes; whole factors give 16 or 32 bit integers, others 32 bit floats
    (64 bit where the stored values need it).
    """
    if all(pair == (1.0, 0.0) for pair in slopes):
        return np.stack(frames)
    stored = np.result_type(*frames)
    if stored.kind in "ui" and stored.itemsize <= 2 and all(s.is_integer() and i.is_integer() for s, i in slopes):
        whole = np.stack([f.astype(np.int64) * int(s) + int(i) for f, (s, i) in zip(frames, slopes)])
        fits = next((t for t in (np.int16, np.int32) if _fits(whole, t)), np.int64)
        return whole.astype(fits)
    precise = np.float64 if stored.itemsize > 2 and stored != np.float32 else np.float32
    return np.stack([(f.astype(np.float64) * s + i).astype(precise) for f, (s, i) in zip(frames, slopes)])


def modality_lut(dataset: Any, array: np.ndarray, name: str) -> np.ndarray:
    """`array` through the object's Modality LUT Sequence, if it has one (DICOM PS3.3 C.11.1)."""
    if not dataset.get("ModalityLUTSequence"):
        return array
    from pydicom.pixels import apply_modality_lut

    if text_of(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        raise InputError(f"{name} combines MONOCHROME1 with a modality LUT, which is not read; convert it first.")
    with damage_means(f"{name} has a damaged modality LUT; copy it again from its source."):
        return np.asarray(apply_modality_lut(array, dataset))


def _decoded(dataset: Any, name: str) -> np.ndarray:
    from pydicom.pixels import pixel_array
    from pydicom.uid import RLELossless

    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        _refuse_false_streams(dataset, name)
    try:
        with damage_means(f"{name} has truncated or damaged pixel data; copy it again."):
            array: np.ndarray = pixel_array(dataset)
    except InputError:
        # RLE is pydicom's own: what it cannot decode is damaged, and GDCM would fill in the rest.
        if not syntax.is_encapsulated or syntax == RLELossless:
            raise
        array = _decoded_by_gdcm(dataset, name)
    return _without_overlays(dataset, array)


def _refuse_false_streams(dataset: Any, name: str) -> None:
    """Compressed frames must have an end and be as large as the object says, before a decoder believes them.

    Decoders invent the rest of a cut JPEG stream, and spend minutes on one that claims a million rows.
    """
    from pydicom import uid
    from pydicom.encaps import generate_frames

    with damage_means(f"{name} has truncated or damaged pixel data; copy it again."):
        frames = list(generate_frames(dataset.PixelData, number_of_frames=number_of(dataset, "NumberOfFrames", 1) or 1))
    families = (uid.JPEGTransferSyntaxes, uid.JPEGLSTransferSyntaxes, uid.JPEG2000TransferSyntaxes)
    if not any(dataset.file_meta.TransferSyntaxUID in family for family in families):
        return
    if not all(b"\xff\xd9" in frame[-64:] for frame in frames):
        raise InputError(f"{name} has truncated pixel data: a compressed frame has no end; copy it again.")
    rows, columns, samples = (number_of(dataset, keyword, 1) for keyword in ("Rows", "Columns", "SamplesPerPixel"))
    bits = number_of(dataset, "BitsAllocated", 16)
    for frame in frames:
        claimed = frame_header(frame)
        if claimed is None:
            raise InputError(f"{name} has damaged pixel data: a compressed frame has no valid header; copy it again.")
        if claimed[:3] != (rows, columns, samples) or claimed.bits > bits:
            raise InputError(
                f"{name} is a damaged DICOM file: a compressed frame of {claimed.columns}x{claimed.rows} pixels, "
                f"{claimed.samples} of {claimed.bits} bits, where {columns}x{rows}, {samples} of {bits}, are stated."
            )


def _decoded_by_gdcm(dataset: Any, name: str) -> np.ndarray:
    import pydicom

    sitk = quiet_sitk()
    bare: Any = pydicom.Dataset()
    for keyword in _SHAPE_TAGS:
        if keyword in dataset:
            setattr(bare, keyword, dataset[keyword].value)
    grey = number_of(dataset, "SamplesPerPixel", 1) == 1
    bare.PhotometricInterpretation = "MONOCHROME2" if grey else dataset.PhotometricInterpretation
    bare.SOPClassUID = dataset.get("SOPClassUID") or pydicom.uid.SecondaryCaptureImageStorage
    bare.SOPInstanceUID = pydicom.uid.generate_uid()
    bare.PixelData = dataset.PixelData
    bare["PixelData"].is_undefined_length = True
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    syntax = dataset.file_meta.TransferSyntaxUID.name
    problem = f"{name} has pixels that cannot be decoded ({syntax}): damaged or not supported."
    with damage_means(problem), tempfile.TemporaryDirectory(prefix="imagetranslation-") as folder:
        file = Path(folder) / "frames.dcm"
        bare.save_as(file, enforce_file_format=True)
        with silent_stderr():
            image = sitk.ReadImage(str(file), imageIO="GDCMImageIO")
        return np.asarray(sitk.GetArrayFromImage(image))


def _palette(dataset: Any, array: np.ndarray, name: str) -> np.ndarray:
    """Indices to RGB; of a 16 bit palette for 8 bit indices the upper 8 bits, which are what a screen shows."""
    from pydicom.pixels import apply_color_lut

    with damage_means(f"{name} has a damaged colour palette; copy it again from its source."):
        colour = np.asarray(apply_color_lut(array, dataset))[..., :3]
    return (colour >> 8).astype(np.uint8) if colour.dtype == np.uint16 and array.dtype == np.uint8 else colour


def _inverted(dataset: Any, array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype.kind not in "ui":
        raise InputError(f"{name} is MONOCHROME1 with decimal pixels, which is not read; convert it first.")
    bits = number_of(dataset, "BitsStored", 8 * array.dtype.itemsize)
    mirror = (1 << bits) - 1 if array.dtype.kind == "u" else -1
    return (mirror - array.astype(np.int64)).astype(array.dtype)


def _without_overlays(dataset: Any, array: np.ndarray) -> np.ndarray:
    """Clear the bits above BitsStored where an old overlay hides in them (retired in DICOM 2004, still around)."""
    stored, allocated = number_of(dataset, "BitsStored"), number_of(dataset, "BitsAllocated")
    positions = (dataset.get((0x6000 + 2 * n, 0x0102)) for n in range(16))
    hidden = any(element is not None and element.value for element in positions)
    if not hidden or array.dtype.kind not in "ui" or not 0 < stored < allocated:
        return array
    shift = 8 * array.dtype.itemsize - stored
    return (array << shift) >> shift


def _fits(values: np.ndarray, kind: type[np.signedinteger]) -> bool:
    limits = np.iinfo(kind)
    return bool(values.min() >= limits.min and values.max() <= limits.max)


def _note(notes: list[str], sentence: str) -> None:
    if sentence not in notes:
        notes.append(sentence)
