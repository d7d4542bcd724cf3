"""Voxels that lie in a file as they are: where they begin, read once without a second copy, or mapped into memory.

A mapped volume takes no memory of its own: the system reads a page when it is looked at and drops it when memory is
short. Its file must stay as it is meanwhile. Deleted or replaced, it stays readable; changed, the result is refused by
`require_unchanged`; cut short, the system ends the process (SIGBUS), which is why only the process that translates maps
files, and an application that started it reads the sentence about its end. What a header may claim was checked by
`headers`; `formats` knows the rest of the file.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InputError, RunFailed
from .headers import Header
from .volume import Volume

# Smaller volumes are read at once: there is nothing to save.
MAP_FROM = 64 << 20
MAPPED = "mapped"

_NIFTI = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_META = {
    "CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4", "LONG_LONG": "i8",
    "ULONG_LONG": "u8", "FLOAT": "f4", "DOUBLE": "f8",
}  # fmt: skip
_NRRD = {
    "i1": ("signed char", "int8", "int8_t"), "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"), "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",), "f8": ("double",),
}  # fmt: skip


@dataclass(frozen=True)
class RawVoxels:
    """file: where they are. kind: their type with its byte order. offset: bytes before the first. shape: (k, j, i)."""

    file: Path
    kind: np.dtype
    offset: int
    shape: tuple[int, ...]

    def read(self) -> np.ndarray:
        """The voxels in memory, in this machine's byte order."""
        self._require_length()
        array = np.fromfile(self.file, self.kind, self._count, offset=self.offset).reshape(self.shape)
        return array if self.kind.isnative else array.byteswap(inplace=True).view(self.kind.newbyteorder("="))

    def mappable(self, least: int | None = None) -> bool:
        """Whether mapping the file saves anything, and no byte needs to be turned. least: bytes from which on it does,
        MAP_FROM by default."""
        return self.kind.isnative and self.kind.itemsize * self._count >= (MAP_FROM if least is None else least)

    def map(self) -> np.ndarray:
        """The voxels in the file, read-only."""
        self._require_length()
        return np.memmap(self.file, self.kind, "r", self.offset, self.shape)

    @property
    def _count(self) -> int:
        return math.prod(self.shape)

    def _require_length(self) -> None:
        if self.file.stat().st_size < self.offset + self.kind.itemsize * self._count:
            raise InputError(f"{self.file.name} was cut short while it was read; copy it again from its source.")


def raw_voxels(header: Header, size: tuple[int, ...]) -> RawVoxels | None:
    """Where the voxels of a checked file lie, if they are plain numbers, one a voxel, in three dimensions; else None.

    size: voxels along (i, j, k) as ITK understands the header.
    """
    if header.encoding != "raw" or header.components != 1 or len(size) != 3 or header.sizes != size:
        return None
    finder = {"NIfTI": _in_nifti, "NRRD": _in_nrrd, "MetaImage": _in_metaimage}[header.kind]
    found = finder(header)
    if found is None:
        return None
    kind, offset = np.dtype(found[0]), found[1]
    if offset < 0:  # the voxels are the end of the file
        offset = header.data.stat().st_size - kind.itemsize * header.numbers
    return RawVoxels(header.data, kind, offset, size[::-1])


def fingerprint(file: Path) -> dict[str, str | int]:
    """What changes when a file is written to; a volume's attribute `MAPPED` where its voxels are mapped."""
    found = file.stat()
    return {"file": str(file), "inode": found.st_ino, "size": found.st_size, "time": found.st_mtime_ns}


def require_unchanged(volume: Volume) -> None:
    """RunFailed where the file of a mapped volume was written to since it was opened.

    One that was deleted or replaced by another is still there for whoever has it open.
    """
    told = volume.attributes.get(MAPPED)
    if not told or not Path(told["file"]).exists():
        return
    found = fingerprint(Path(told["file"]))
    if found["inode"] == told["inode"] and found != told:
        raise RunFailed(
            f"{Path(told['file']).name} was changed while it was being used; translate it again when it is complete."
        )


def _in_nifti(header: Header) -> tuple[str, int] | None:
    slope, intercept = header.fields["scaling"]
    scaled = bool(np.isfinite(slope)) and slope != 0 and (slope, intercept) != (1.0, 0.0)
    kind = _NIFTI.get(header.fields["datatype"])
    return None if scaled or kind is None else (header.fields["order"] + kind, int(header.fields["vox_offset"]))


def _in_nrrd(header: Header) -> tuple[str, int] | None:
    fields = header.fields
    name = str(fields.get("type", "")).lower()
    kind = next((kind for kind, names in _NRRD.items() if name in names), None)
    order = {"little": "<", "big": ">"}.get(str(fields.get("endian", "")).lower())
    if kind is not None and kind.endswith("1"):
        order = "|"
    plain = set(str(fields.get("kinds", "")).lower().split()) <= {"domain", "space"}
    if kind is None or order is None or not plain or str(fields.get("lineskip", "0")).strip() != "0":
        return None
    skip = int(fields.get("byteskip", "0"))
    return order + kind, -1 if skip == -1 else header.offset + skip


def _in_metaimage(header: Header) -> tuple[str, int] | None:
    fields = header.fields
    kind = _META.get(str(fields.get("ElementType", "")).removeprefix("MET_"))
    told = [str(fields[key]).lower() for key in ("ElementByteOrderMSB", "BinaryDataByteOrderMSB") if key in fields]
    if kind is None or len({text[:1] for text in told}) > 1 or not set(told) <= {"true", "t", "1", "false", "f", "0"}:
        return None
    big = told[0][0] in "t1" if told else sys.byteorder == "big"
    skip = int(fields.get("HeaderSize", "0"))
    return (">" if big else "<") + kind, -1 if skip == -1 else header.offset + skip
