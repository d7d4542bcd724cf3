"""Reading NRRD, NIfTI and MetaImage files into a Volume. DICOM is read by `dicomio`; writing is in `writing`.

SimpleITK reads voxels and geometry after `headers` has checked the file. What is added here: one component out of
several, colour to grey, two dimensions to one slice, a check that the axes are perpendicular, NIfTI's two transforms
compared, and the provenance of a synthetic image recovered.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .headers import Header, inspect
from .provenance import MARK, RECORD_KEY, Provenance
from .rawvoxels import MAPPED, fingerprint, raw_voxels
from .volume import IDENTITY, Volume

SUFFIXES = (".nii.gz", ".nrrd", ".nhdr", ".nii", ".mha", ".mhd")
# ITU-R BT.601 luma, the weighting of the Y channel in DICOM's YBR_FULL as well.
LUMA = (0.299, 0.587, 0.114)
# Axes further from perpendicular than this (about 0.06 degrees) cannot be held by a spacing and a rotation.
SHEAR_TOLERANCE = 1e-3
_NIFTI_FLOATS = {16: "f4", 64: "f8"}
_NIFTI_WHOLE = {2: "u1", 4: "i2", 8: "i4", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
# The names of an NRRD's space whose axes SimpleITK turns into LPS.
_NRRD_SPACES = {
    f"{name}{time}"
    for name in ("right-anterior-superior", "left-anterior-superior", "left-posterior-superior")
    for time in ("", "-time")
} | {"ras", "las", "lps", "rast", "last", "lpst"}


def suffix_of(path: str | Path) -> str:
    """The format's suffix of a file name (".nii.gz" as one), or "" where it is none of ours."""
    name = Path(path).name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def stem_of(path: str | Path) -> str:
    """The file's name without folder and format suffix."""
    name = Path(path).name
    return name[: len(name) - len(suffix_of(path))] or name


def quiet_sitk() -> Any:
    """The SimpleITK module with its warnings switched off (they would be printed from C++)."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def read_file(
    path: Path, component: int | str | None = None, mapped: bool = False, map_from: int | None = None
) -> Volume:
    """Read one NRRD, NIfTI or MetaImage file; InputError with one sentence where it cannot be used.

    mapped: leave voxels that lie in the file as they are there; see `rawvoxels` for what that asks of the file.
    map_from: bytes of voxels from which on they are, `rawvoxels.MAP_FROM` by default.
    """
    header = inspect(path)
    told: dict[str, Any] = {}
    sitk = quiet_sitk()
    with _readable_alone(path, header) as source:
        try:
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(source))
            reader.ReadImageInformation()
            # The voxels are only read once ITK has understood the same size that was checked against the bytes.
            if math.prod(reader.GetSize()) * reader.GetNumberOfComponents() != header.numbers:
                raise InputError(f"{path.name} is damaged: its header gives two different sizes.")
            raw = raw_voxels(header, reader.GetSize()) if reader.GetNumberOfComponents() == 1 else None
            if raw is not None and mapped and raw.mappable(map_from):
                told = {MAPPED: fingerprint(raw.file)}
                array = raw.map()
            elif raw is not None:
                array = raw.read()
            elif reader.GetNumberOfComponents() == 1 and _read_here(header):
                array = _nifti_values(path, header, tuple(reader.GetSize()[::-1]))
            else:
                array = sitk.GetArrayFromImage(reader.Execute())
        except RuntimeError as error:
            raise InputError(f"{path.name} cannot be read as {header.kind}: {_reason(error)}.") from error
    volume = _to_volume(reader, array, path, header, component)
    return replace(volume, attributes={**volume.attributes, **told}) if told else volume


def _read_here(header: Header) -> bool:
    """Whether the voxels are those of a NIfTI file whose numbers ITK changes.

    It turns the NaN and infinite values of decimal ones into 0, and adds the intercept where a slope of 0 says that
    there is no scaling (NIfTI-1 standard, scl_slope).
    """
    kind = header.fields.get("datatype") if header.kind == "NIfTI" else None
    return kind in _NIFTI_FLOATS or (kind in _NIFTI_WHOLE and not _is_scaled(header))


def _is_scaled(header: Header) -> bool:
    slope, intercept = header.fields["scaling"]
    return bool(np.isfinite(slope)) and slope != 0 and (slope, intercept) != (1.0, 0.0)


def _nifti_values(path: Path, header: Header, shape: tuple[int, ...]) -> np.ndarray:
    """The voxels of a NIfTI file with one number each, scaled as the header says.

    shape: as ITK gives it (slowest axis first), which drops trailing axes of one.
    """
    fields = header.fields
    kind = np.dtype(fields["order"] + {**_NIFTI_FLOATS, **_NIFTI_WHOLE}[fields["datatype"]])
    with gzip.open(path, "rb") if header.encoding == "gzip" else open(path, "rb") as stream:
        stream.seek(int(fields["vox_offset"]))
        content = bytearray(header.numbers * kind.itemsize)
        filled = memoryview(content)
        while len(filled) and (count := stream.readinto(filled)):
            filled = filled[count:]
    if len(filled):
        raise InputError(f"{path.name} was cut short while it was read; copy it again from its source.")
    array = np.frombuffer(content, kind).reshape(shape)
    array = array if kind.isnative else array.astype(kind.newbyteorder("="))
    if not _is_scaled(header):
        return array
    slope, intercept = fields["scaling"]
    return (array.astype(np.float64) * slope + intercept).astype(array.dtype)


def to_grey(colour: np.ndarray) -> np.ndarray:
    """(..., 3 or 4) RGB or RGBA to grey (...) of the same type, by ITU-R BT.601 luma; alpha is ignored."""
    grey = colour[..., :3].astype(np.float64) @ np.asarray(LUMA)
    return (np.rint(grey) if colour.dtype.kind in "ui" else grey).astype(colour.dtype)


def chosen_component(count: int, component: int | str | None, name: str, what: str) -> int:
    """The index chosen by `component` (0-based, also as text) out of `count`; InputError when none or a wrong one."""
    allowed = f"choose one with component=0 to component={count - 1}" if count > 1 else "leave component out"
    if component is None:
        raise InputError(f"{name} holds {count} {what}, and one image is needed: {allowed}.")
    if not re.fullmatch(r"[0-9]{1,9}", str(component).strip()) or int(component) >= count:
        raise InputError(f"{name} holds {count} {what} and none is called {component}: {allowed}.")
    return int(component)


def perpendicular(direction: np.ndarray, name: str) -> None:
    """InputError unless the columns of the (3, 3) direction are perpendicular unit vectors within tolerance."""
    if not np.isfinite(direction).all() or np.abs(direction.T @ direction - np.eye(3)).max() > SHEAR_TOLERANCE:
        raise InputError(
            f"{name} has axes that are not perpendicular (a sheared or tilted grid); resample it to a straight grid."
        )


def _to_volume(image: Any, array: np.ndarray, path: Path, header: Header, component: int | str | None) -> Volume:
    """`image` is the reader that knows size, geometry and header fields; `array` holds all its numbers."""
    notes: list[str] = []
    rank = image.GetDimension()
    channels = image.GetNumberOfComponents()
    if rank == 1 or math.prod(image.GetSize()[4:]) > 1:
        raise InputError(f"{path.name} has {rank} dimension{'s' if rank > 1 else ''}; an image has two or three.")
    array = array.reshape(array.shape[max(0, rank - 4) :])
    if channels > 1:
        array, component = _one_channel(array, image, path, component, notes)
    if rank >= 4 and array.shape[0] > 1:
        what = "volumes (a fourth dimension)"
        index, count = chosen_component(array.shape[0], component, path.name, what), array.shape[0]
        array, component = array[index], None
        notes.append(f"Volume {index} of the {count} in the fourth dimension was read.")
    elif rank >= 4:
        array = array[0]
    if component is not None:
        chosen_component(1, component, path.name, "image")
    spacing, origin, direction = _geometry(image, rank, path, header, notes)
    record = _provenance(image, path)
    array = np.ascontiguousarray(array if array.ndim == 3 else array[np.newaxis])
    attributes = {"path": str(path), "format": header.kind}
    name = stem_of(path)
    modality = record.modality if record else _modality(image)
    return Volume(array, spacing, origin, direction, name, modality, None, tuple(notes), attributes, record)


def _one_channel(
    array: np.ndarray, image: Any, path: Path, component: int | str | None, notes: list[str]
) -> tuple[np.ndarray, int | str | None]:
    """One number per voxel: the chosen channel, or grey from 8 or 16 bit RGB(A); and the component still to use."""
    channels = array.shape[-1]
    colour = channels in (3, 4) and array.dtype in (np.uint8, np.uint16)
    if component is None and colour:
        notes.append(f"Colour ({channels} channels) was turned to grey (BT.601 luma).")
        return to_grey(array), None
    if image.GetDimension() == 4:
        raise InputError(f"{path.name} has four dimensions and {channels} numbers per voxel; convert it first.")
    index = chosen_component(channels, component, path.name, "numbers per voxel")
    notes.append(f"Channel {index} of {channels} was read.")
    return array[..., index], None


def _geometry(
    image: Any, rank: int, path: Path, header: Header, notes: list[str]
) -> tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, ...]]:
    size = min(rank, 3)
    spacing, origin = np.ones(3), np.zeros(3)
    direction = np.reshape(IDENTITY, (3, 3)).copy()
    spacing[:size] = image.GetSpacing()[:size]
    origin[:size] = image.GetOrigin()[:size]
    direction[:size, :size] = np.reshape(image.GetDirection(), (rank, rank))[:size, :size]
    if rank == 2:
        notes.append("A 2-D image was read as one slice; its thickness is not in the file and is set to 1 mm.")
    if not (np.isfinite(spacing).all() and np.isfinite(origin).all() and spacing.min() > 0):
        listed = " and origin ".join(", ".join(f"{v:.6g}" for v in values) for values in (spacing, origin))
        raise InputError(f"{path.name} has an impossible geometry: spacing {listed}.")
    perpendicular(direction, path.name)
    if header.kind == "NIfTI":
        notes.extend(_nifti_notes(path, header.fields, spacing, origin, direction))
    elif not _has_spacing(header):
        notes.append("The file gives no voxel spacing; 1 mm is assumed.")
    if header.kind == "NRRD" and (space := str(header.fields.get("space", ""))).lower() not in _NRRD_SPACES:
        says = f"gives its axes in '{space[:40]}', not in the patient" if space else "names no patient space"
        notes.append(f"The NRRD header {says}; left-posterior-superior is assumed.")
    x, y, z = (float(v) for v in spacing)
    a, b, c = (float(v) for v in origin)
    return (x, y, z), (a, b, c), tuple(float(v) for v in direction.ravel())


def _has_spacing(header: Header) -> bool:
    keys = ("spacings", "spacedirections") if header.kind == "NRRD" else ("ElementSpacing", "ElementSize")
    return any(key in header.fields for key in keys)


def _nifti_notes(
    path: Path, fields: dict[str, Any], spacing: np.ndarray, origin: np.ndarray, direction: np.ndarray
) -> Iterator[str]:
    """Sentences on a NIfTI file whose two transforms disagree or are damaged, or that has neither, or no voxel size."""
    sizes = fields["pixdim"][1 : 1 + min(len(fields["sizes"]), 3)]
    if not all(math.isfinite(size) and size != 0 for size in sizes):
        yield "The NIfTI header gives no voxel spacing along every axis; 1 mm is assumed where it is missing."
    if not fields["stated"]:
        yield "The NIfTI header has neither qform nor sform; the orientation is a guess."
        return
    reach = _nifti_reach(fields, spacing, origin, direction)
    if len(reach) == 1:
        yield from _lone_transform_notes(path, fields["stated"], *reach.popitem())
        return
    worst = max(reach, key=lambda name: reach[name])
    if reach[worst] > 0.1:
        other = "qform" if worst == "sform" else "sform"
        yield f"The NIfTI sform and qform disagree by up to {reach[worst]:.1f} mm; the {other} was used."


def _lone_transform_notes(path: Path, stated: list[str], used: str, distance: float) -> Iterator[str]:
    """Sentences on the only sound transform, followed to within `distance` mm."""
    if len(stated) == 2 and distance > 0.1:
        raise InputError(f"{path.name} is a damaged NIfTI file: only its {used} is sound, and it is not followed.")
    if len(stated) == 2:
        yield f"The NIfTI {'qform' if used == 'sform' else 'sform'} is damaged; the {used} was used."
    elif distance > 0.1:
        yield f"The NIfTI {used} and voxel sizes disagree by up to {distance:.1f} mm; the voxel sizes were used."


def _nifti_reach(
    fields: dict[str, Any], spacing: np.ndarray, origin: np.ndarray, direction: np.ndarray
) -> dict[str, float]:
    """How far (mm) each usable transform puts a voxel from where the geometry that was read puts it, at the most."""
    scale = {1: 1000.0, 3: 0.001}.get(fields["units"], 1.0)
    used = np.diag((-1.0, -1.0, 1.0)) @ np.column_stack([direction * spacing, origin])  # LPS to NIfTI's RAS
    steps = np.array([n - 1 for n in (*fields["sizes"], 1, 1)[:3]])
    affines = {"qform": _qform(fields), "sform": np.reshape(fields["sform"], (3, 4))}
    off = {name: np.abs(used - scale * affines[name]) for name in fields["usable"]}
    return {name: float((matrix[:, :3] @ steps + matrix[:, 3]).max()) for name, matrix in off.items()}


def _qform(fields: dict[str, Any]) -> np.ndarray:
    """(3, 4) RAS affine of the quaternion (NIfTI-1 standard, method 2)."""
    b, c, d, *offset = fields["quaternion"]
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handed = -1.0 if fields["pixdim"][0] < 0 else 1.0
    return np.column_stack([rotation * np.asarray(fields["pixdim"][1:4]) * (1, 1, handed), offset])


@contextlib.contextmanager
def _readable_alone(path: Path, header: Header) -> Iterator[Path]:
    """A path SimpleITK reads rightly where the file's own would not do.

    Given `x.nii.gz`, ITK takes the voxels of an `x.nii` lying beside it; and its NRRD reader lacks bzip2.
    """
    if header.kind != "NIfTI" and header.encoding != "bzip2":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="imagetranslation-") as folder:
        alone = Path(folder) / ("image" + (".nrrd" if header.kind == "NRRD" else suffix_of(path)))
        if header.kind == "NRRD":
            _unpack_bzip2(path, header, alone)
        else:
            _link(path, alone)
        yield alone


def _link(path: Path, alone: Path) -> None:
    import shutil

    try:
        alone.symlink_to(path.resolve())
    except OSError:  # Windows without the right to make links
        shutil.copyfile(path, alone)


def _unpack_bzip2(path: Path, header: Header, target: Path) -> None:
    import bz2
    import shutil

    text = path.read_bytes()[: header.offset or None].decode("latin-1")
    text = re.sub(r"(?im)^(data ?file|byte ?skip|line ?skip):.*\r?\n", "", text)
    text = re.sub(r"(?im)^encoding:.*$", "encoding: raw", text)
    with open(header.data, "rb") as packed, open(target, "wb") as unpacked:
        packed.seek(header.offset)
        unpacked.write(text.rstrip().encode("latin-1") + b"\n\n")
        shutil.copyfileobj(bz2.BZ2File(packed), unpacked)


def sidecar_of(path: str | Path) -> Path:
    """The JSON file that carries a synthetic image's provenance beside it."""
    return Path(path).with_name(f"{stem_of(path)}.json")


def nifti_description(record: Provenance) -> str:
    """The 79 characters of description in a NIfTI header: mark, modality, model, version."""
    text = " ".join(part.replace(" ", "_") or "-" for part in (record.modality, record.model, record.version))
    return f"{MARK} {text}".encode("ascii", "replace").decode()[:79]


def _provenance(image: Any, path: Path) -> Provenance | None:
    """The record in the header, completed by the sidecar where that is about the same image.

    A sidecar alone counts only if it names this file; one that agrees with the header counts also after both were
    renamed.
    """
    mapping = read_sidecar(path)
    sidecar = None if mapping is None else Provenance.from_dict(mapping)
    header = _parsed(image.GetMetaData(RECORD_KEY)) if image.HasMetaDataKey(RECORD_KEY) else None
    if header is not None:
        record = Provenance.from_dict(header)
        same = sidecar is not None and replace(sidecar, notes=()) == replace(record, notes=())
        return sidecar if same else record
    description = image.GetMetaData("descrip") if image.HasMetaDataKey("descrip") else ""
    if description.startswith(MARK):
        if sidecar is not None and nifti_description(sidecar) == description:
            return sidecar
        words = [*description.split(), "", "", ""]
        return Provenance.from_dict({"modality": words[1], "model": words[2], "version": words[3]})
    return sidecar if mapping is not None and mapping.get("file", path.name) == path.name else None


def read_sidecar(path: Path) -> dict[str, Any] | None:
    """The mapping in the sidecar if there is one that says "synthetic"."""
    beside = sidecar_of(path)
    if not beside.is_file() or beside.stat().st_size > 1 << 20:
        return None
    return _parsed(beside.read_bytes().decode("utf-8", "replace"))


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        mapping = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return mapping if isinstance(mapping, dict) and mapping.get("synthetic") is True else None


def _modality(image: Any) -> str:
    """The modality where the file says it: MetaImage's own field, written by ITK-based tools."""
    value = image.GetMetaData("Modality").strip() if image.HasMetaDataKey("Modality") else ""
    known = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR", "MET_MOD_NM": "NM", "MET_MOD_US": "US", "MET_MOD_PET": "PT"}
    return known.get(value, value if value in known.values() else "")


def _reason(error: Exception) -> str:
    """The last line of an ITK message, without class names, addresses and the path."""
    line = [part for part in str(error).strip().splitlines() if part.strip()][-1:] or [""]
    text = line[0].split("ERROR: ")[-1].split("): ")[-1].strip()
    return (text[:160] or "the file is damaged").rstrip(".")
