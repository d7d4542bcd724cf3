"""Volumes between the scene and the worker, through files, a few milliseconds at a time.

The application's main thread writes and reads, because Slicer's Python threads stand still while Qt waits; so each
direction is a generator that handles one chunk a step, and a timer takes the steps. The input is an uncompressed
NRRD with the node's own voxel grid; the result an uncompressed NIfTI, of which only the voxels are read: its grid is
the input's by contract, and the node's own geometry is exact where NIfTI's is not.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import GeneratorType
from typing import TYPE_CHECKING, Any

import numpy as np
import vtk
from vtk.util import numpy_support

from ..errors import InputError, RunFailed
from ..formats import to_grey
from ..mrml.volumes import LPS_TO_RAS, MODALITY
from ..provenance import Provenance

if TYPE_CHECKING:
    import slicer

CHUNK_BYTES = 4 << 20
_NIFTI_FLOAT32 = 16
_NRRD_TYPES = {
    "u1": "uint8", "i1": "int8", "u2": "uint16", "i2": "int16", "u4": "uint32", "i4": "int32", "u8": "uint64",
    "i8": "int64", "f4": "float", "f8": "double",
}  # fmt: skip

Slices = Callable[[int, int], np.ndarray]


def is_colour(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether the node holds RGB or RGBA, which is turned to grey (ITU-R BT.601) on its way."""
    image = node.GetImageData()
    return image is not None and image.GetNumberOfScalarComponents() in (3, 4)


def send_volume(node: slicer.vtkMRMLVolumeNode, path: Path) -> Iterator[float]:
    """Write the node's voxels on its own grid (parent transforms left out) to `path`, a .nrrd.

    Yields the fraction done after each chunk. Raises InputError for a node without voxels or with vectors that are
    no colours, RunFailed where the disk is full.
    """
    shape, kind, slices = _voxels(node)
    fields = {"Modality": modality_of(node)}
    yield from _write(path, _header(node, shape, kind, fields), shape, kind, slices)


def send_mask(node: slicer.vtkMRMLVolumeNode, inside: Slices, path: Path) -> Iterator[float]:
    """Write a mask on the grid of `node`. inside(first, last): bool (k, j, i) of those slices; see `masks`."""
    shape, _, _ = _voxels(node)
    kind = np.dtype(np.uint8)
    yield from _write(path, _header(node, shape, kind, {}), shape, kind, inside)


def receive_volume(path: Path, shape: tuple[int, ...]) -> Iterator[np.ndarray | float]:
    """Read the voxels of an uncompressed float32 .nii; yields fractions and at last the (k, j, i) array.

    Raises RunFailed unless the file holds exactly `shape` (k, j, i).
    """
    array = np.empty(shape, np.float32)
    flat = array.reshape(-1)
    try:
        with open(path, "rb") as stream:
            start, found, swap = _nifti_header(stream.read(348))
            if found != tuple(shape) or path.stat().st_size < start + array.nbytes:
                raise RunFailed(f"The worker's result has the grid {found}, not the input's {tuple(shape)}.")
            stream.seek(start)
            step = CHUNK_BYTES // 4
            for first in range(0, flat.size, step):
                part = flat[first : first + step]
                if stream.readinto(part.view(np.uint8).data) != part.nbytes:
                    raise RunFailed("The worker's result ends too early.")
                if swap:
                    part.byteswap(inplace=True)
                yield first / flat.size
    except (OSError, struct.error) as error:
        raise RunFailed(f"The worker's result cannot be read: {error}.") from error
    yield array


def let_go(steps: Iterator[Any]) -> None:
    """End a transfer half way: its file is closed now, since Windows deletes no file that is open."""
    if isinstance(steps, GeneratorType) and not steps.gi_running:
        steps.close()


def receive_record(path: Path) -> Provenance:
    """The provenance that the worker wrote beside the image `path`; RunFailed where it is missing."""
    sidecar = path.with_name(path.name.removesuffix(".nii") + ".json")
    try:
        return Provenance.from_dict(json.loads(sidecar.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RunFailed("The worker's result does not say how it was made; it is not shown.") from error


def modality_of(node: slicer.vtkMRMLVolumeNode) -> str:
    """DICOM modality of a node: ours, or that of the DICOM series it was loaded from; "" when unknown."""
    if own := node.GetAttribute(MODALITY):
        return str(own)
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = dicom_database()
    return str(database.instanceValue(instances[0], "0008,0060") or "") if instances and database else ""


def dicom_database() -> Any:
    """Slicer's DICOM database, or None where there is none or it is not open (asking it then prints errors)."""
    import slicer

    database = getattr(slicer, "dicomDatabase", None)
    return database if database is not None and database.isOpen else None


def grid_shape(node: slicer.vtkMRMLVolumeNode) -> tuple[int, int, int]:
    """(k, j, i) of a volume node; InputError when it holds no voxels."""
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise InputError(f"The volume {node.GetName()} holds no voxels; load or choose another one.")
    i, j, k = image.GetDimensions()
    return k, j, i


def _voxels(node: slicer.vtkMRMLVolumeNode) -> tuple[tuple[int, int, int], np.dtype, Slices]:
    """Shape (k, j, i), type, and a function giving the grey values of slices first to last (exclusive)."""
    shape, image = grid_shape(node), node.GetImageData()
    components = image.GetNumberOfScalarComponents()
    if components != 1 and not is_colour(node):
        raise InputError(
            f"The volume {node.GetName()} has {components} values a voxel; choose a volume with one, or a colour image."
        )
    # The image is kept alive by the closure: replacing the node's voxels meanwhile does no harm.
    values = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    values = values.reshape(shape if components == 1 else (*shape, components))

    def slices(first: int, last: int, kept: Any = image) -> np.ndarray:
        return values[first:last] if components == 1 else to_grey(values[first:last])

    return shape, values.dtype, slices


def _header(node: slicer.vtkMRMLVolumeNode, shape: tuple[int, int, int], kind: np.dtype, more: dict[str, str]) -> str:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ras = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(3)])
    lps = LPS_TO_RAS @ ras
    vectors = [f"({','.join(repr(float(v)) for v in lps[:, column])})" for column in range(4)]
    lines = [
        "NRRD0004",
        f"type: {_NRRD_TYPES[kind.str[1:]]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {shape[2]} {shape[1]} {shape[0]}",
        f"space directions: {' '.join(vectors[:3])}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: raw",
        f"space origin: {vectors[3]}",
        *(f"{key}:={value}" for key, value in more.items() if value),
    ]
    return "\n".join(lines) + "\n\n"


def _write(path: Path, header: str, shape: tuple[int, ...], kind: np.dtype, slices: Slices) -> Iterator[float]:
    count = max(1, CHUNK_BYTES // max(1, shape[1] * shape[2] * kind.itemsize))
    try:
        with open(path, "wb") as stream:
            stream.write(header.encode("ascii"))
            for first in range(0, shape[0], count):
                chunk = slices(first, min(first + count, shape[0]))
                stream.write(np.ascontiguousarray(chunk, dtype=kind.newbyteorder("<")).tobytes())
                yield min(1.0, (first + count) / shape[0])
    except OSError as error:
        raise RunFailed(f"The volume could not be handed to the worker: {error.strerror or error}.") from error


def _nifti_header(data: bytes) -> tuple[int, tuple[int, ...], bool]:
    """(offset of the voxels, shape (k, j, i), whether bytes must be swapped); RunFailed when it isn't float32."""
    order = "<" if struct.unpack("<i", data[:4])[0] == 348 else ">"
    dimensions = struct.unpack(order + "8h", data[40:56])
    (kind,) = struct.unpack(order + "h", data[70:72])
    (offset,) = struct.unpack(order + "f", data[108:112])
    if struct.unpack(order + "i", data[:4])[0] != 348 or kind != _NIFTI_FLOAT32:
        raise RunFailed("The worker's result is not a float32 NIfTI image.")
    return int(offset), tuple(reversed(dimensions[1:4])), order != ("<" if sys.byteorder == "little" else ">")
