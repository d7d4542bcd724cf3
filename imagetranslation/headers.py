"""What an NRRD, MetaImage or NIfTI header claims, checked against the bytes that are there before a voxel is read.

SimpleITK reads the voxels; what it lacks is here: it pads truncated NIfTI files with zeros, allocates whatever a header
claims, and follows a header to any file on the machine. `inspect` refuses such files with one sentence. The parsers
read only the fields needed for that and for a sentence a person can act on; geometry is left to SimpleITK.
"""

from __future__ import annotations

import bz2
import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from .errors import InputError

HEADER_LIMIT = 4 << 20
CHUNK = 1 << 20
# A deflate stream cannot shrink data by more than this, so a header that claims more than that is false.
DEFLATE_RATIO = 1040

_META_BYTES = {
    "CHAR": 1, "UCHAR": 1, "ASCII_CHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4,
    "LONG_LONG": 8, "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8,
}  # fmt: skip
_NRRD_BYTES = {
    1: ("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"),
    2: ("short", "short int", "signed short", "signed short int", "int16", "int16_t", "ushort", "unsigned short",
        "unsigned short int", "uint16", "uint16_t"),
    4: ("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"),
    8: ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t",
        "ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t", "double"),
}  # fmt: skip
_NIFTI_BYTES = {2: 1, 4: 2, 8: 4, 16: 4, 64: 8, 128: 3, 256: 1, 512: 2, 768: 4, 1024: 8, 1280: 8, 2304: 4}
_NIFTI_COMPLEX = {32, 1792, 2048}


@dataclass(frozen=True)
class Header:
    """What a checked file holds.

    kind: "NRRD", "MetaImage" or "NIfTI". sizes: voxels per axis, fastest first. components: numbers per voxel.
    encoding: "raw", "gzip", "zlib", "bzip2" or "text". data: the file with the voxels. fields: the header's own
    fields (NIfTI: those this module reads). offset: where the header ends, for attached data.
    """

    kind: str
    sizes: tuple[int, ...]
    components: int
    encoding: str
    data: Path
    fields: dict[str, Any]
    offset: int = 0

    @property
    def numbers(self) -> int:
        """How many numbers the voxels are."""
        return math.prod(self.sizes) * self.components


def inspect(path: Path) -> Header:
    """Parse and check one file; InputError with one sentence for anything false, missing, too large or truncated."""
    with open(path, "rb") as stream:
        start = stream.read(352)
    name = path.name.lower()
    if name.endswith((".nrrd", ".nhdr")):
        return _inspect_nrrd(path, start)
    if name.endswith((".mha", ".mhd")):
        return _inspect_metaimage(path)
    return _inspect_nifti(path, start)


def free_memory() -> int:
    """Bytes of memory that are free; inside Slicer psutil may be absent, then only impossible sizes are too large."""
    try:
        import psutil
    except ImportError:
        return 1 << 40
    return int(psutil.virtual_memory().available)


def require_memory(path: Path, size: int) -> None:
    """Refuse an image whose voxels (`size` bytes, held twice while they are converted) exceed the free memory."""
    free = free_memory()
    if 2 * size > free:
        raise InputError(
            f"{path.name} says it holds {_bytes(size)} of voxels, but only {_bytes(free)} of memory is free; "
            "crop or resample it, or use a larger machine."
        )


def _inspect_nrrd(path: Path, start: bytes) -> Header:
    if not start.startswith(b"NRRD000"):
        raise InputError(f"{path.name} is not an NRRD file: it does not begin with NRRD000.")
    text, offset = _text_header(path, b"\n\n", b"\r\n\r\n")
    fields: dict[str, Any] = {}
    for line in text.splitlines()[1:]:
        key, separator, value = line.partition(":")
        if separator and not line.startswith("#") and not value.startswith("="):
            fields[key.strip().lower().replace(" ", "")] = value.strip()
    sizes = _whole_numbers(path, str(fields.get("sizes", "")))
    if len(sizes) != _number(path, fields.get("dimension", "0")):
        raise InputError(f"{path.name} is a damaged NRRD file: its dimension and its sizes do not agree.")
    if len(sizes) == 1:
        raise InputError(f"{path.name} has one dimension; an image has two or three.")
    kind = str(fields.get("type", "")).lower()
    width = next((n for n, names in _NRRD_BYTES.items() if kind in names), 0)
    if not width:
        raise InputError(f"{path.name} holds values of type '{kind}', which is not a number per voxel; convert it.")
    encoding = str(fields.get("encoding", "")).lower()
    encoding = {"gz": "gzip", "bz2": "bzip2", "txt": "text", "ascii": "text"}.get(encoding, encoding)
    units = set(re.findall(r'"([^"]*)"', str(fields.get("spaceunits", "")))) - {"mm", ""}
    if units:
        raise InputError(f"{path.name} gives its geometry in '{sorted(units)[0]}'; expected mm; convert it.")
    detached = fields.get("datafile")
    data = _beside(path, str(detached)) if detached else path
    header = Header("NRRD", sizes, 1, encoding, data, fields, 0 if detached else offset)
    line_skip, byte_skip = (_number(path, fields.get(k, "0")) for k in ("lineskip", "byteskip"))
    _check_data(path, header, math.prod(sizes) * width, header.offset, line_skip, byte_skip)
    return header


def _inspect_metaimage(path: Path) -> Header:
    text, offset = _text_header(path, rb"(?m)^[ \t]*ElementDataFile[^\n]*\n", pattern=True)
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    fields: dict[str, Any] = {key.strip(): value.strip() for key, _, value in pairs}
    if "ElementDataFile" not in fields or "DimSize" not in fields:
        raise InputError(f"{path.name} is not a MetaImage: its header has no DimSize or no ElementDataFile.")
    sizes = _whole_numbers(path, fields["DimSize"])
    if len(sizes) != _number(path, fields.get("NDims", "0")):
        raise InputError(f"{path.name} is a damaged MetaImage: NDims and DimSize do not agree.")
    kind = str(fields.get("ElementType", "")).removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in _META_BYTES:
        raise InputError(f"{path.name} holds values of type '{fields.get('ElementType', '')}', which cannot be read.")
    channels = _number(path, fields.get("ElementNumberOfChannels", "1"))
    if not 1 <= channels <= 4096:
        raise InputError(f"{path.name} is a damaged MetaImage: {channels} channels.")
    compressed = str(fields.get("CompressedData", "False")).lower() in ("true", "1", "t")
    binary = str(fields.get("BinaryData", "True")).lower() in ("true", "1", "t")
    encoding = "zlib" if compressed else "raw" if binary else "text"
    units = str(fields.get("DistanceUnits", ""))
    if units.lower() not in ("mm", "?", ""):
        raise InputError(f"{path.name} gives its geometry in '{units[:20]}'; expected mm; convert it.")
    local = fields["ElementDataFile"].upper() == "LOCAL"
    data = path if local else _beside(path, fields["ElementDataFile"])
    header = Header("MetaImage", sizes, channels, encoding, data, fields, offset if local else 0)
    skip = _number(path, fields.get("HeaderSize", "0"))
    _check_data(path, header, math.prod(sizes) * channels * _META_BYTES[kind], header.offset, 0, skip)
    return header


def _inspect_nifti(path: Path, start: bytes) -> Header:
    zipped = start[:2] == b"\x1f\x8b"
    if zipped != path.name.lower().endswith(".gz"):
        raise InputError(f"{path.name} is {'' if zipped else 'not '}gzip-compressed, unlike its name says; rename it.")
    if zipped:
        start = _first_bytes(path, 352)
    fields = nifti_fields(start)
    if start[:4] in (struct.pack("<i", 540), struct.pack(">i", 540)):
        raise InputError(f"{path.name} is a NIfTI-2 file, which is not read; convert it to NIfTI-1 or NRRD.")
    if fields is None:
        raise InputError(f"{path.name} is not a NIfTI-1 file: its header is not one; copy or convert it again.")
    if fields["datatype"] in _NIFTI_COMPLEX:
        raise InputError(f"{path.name} holds complex numbers; take their magnitude first.")
    if fields["datatype"] not in _NIFTI_BYTES:
        raise InputError(f"{path.name} holds values of NIfTI type {fields['datatype']}, which cannot be read.")
    sizes = fields["sizes"]
    if not sizes or min(sizes) < 1:
        raise InputError(f"{path.name} is a damaged NIfTI file: its axes have {sizes} voxels.")
    if not 352 <= fields["vox_offset"] < 1 << 30:
        raise InputError(f"{path.name} is a damaged NIfTI file: its voxels would start at {fields['vox_offset']}.")
    if fields["stated"] and not fields["usable"]:
        what = " and ".join(fields["stated"])
        raise InputError(f"{path.name} is a damaged NIfTI file: its {what} cannot place it in the patient.")
    slope, intercept = fields["scaling"]
    if math.isfinite(slope) and slope != 0 and not math.isfinite(intercept):
        raise InputError(f"{path.name} is a damaged NIfTI file: its values are scaled with intercept {intercept}.")
    channels = {128: 3, 2304: 4}.get(fields["datatype"], 1)
    header = Header("NIfTI", sizes, channels, "gzip" if zipped else "raw", path, fields)
    # The offset counts uncompressed bytes, so it is part of what must be there.
    offset = int(fields["vox_offset"])
    _check_data(path, header, math.prod(sizes) * _NIFTI_BYTES[fields["datatype"]] + offset, 0, 0, 0)
    return header


def nifti_fields(start: bytes) -> dict[str, Any] | None:
    """The fields of a single-file NIfTI-1 header (its first 348 bytes) that are checked; None if it is not one.

    stated: which of qform and sform have a code. usable: those of them that are a rotation, or at least numbers.
    """
    if len(start) < 348 or start[344:347] != b"n+1":
        return None
    order = next((o for o in "<>" if struct.unpack(o + "i", start[:4])[0] == 348), None)
    if order is None:
        return None
    rank, *dims = struct.unpack(order + "8h", start[40:56])
    if not 1 <= rank <= 7:
        return None

    def floats(offset: int, count: int) -> tuple[float, ...]:
        return struct.unpack(f"{order}{count}f", start[offset : offset + 4 * count])

    q_code, s_code = struct.unpack(order + "2h", start[252:256])
    offset = floats(108, 1)[0]
    quaternion, sform = floats(256, 6), floats(280, 12)
    stated = [name for name, code in (("qform", q_code), ("sform", s_code)) if code > 0]
    # b, c and d of a rotation have a length of at most 1; readers turn anything else into some rotation silently.
    turns = all(map(math.isfinite, quaternion)) and sum(v * v for v in quaternion[:3]) < 1.001
    sound = {"qform": turns, "sform": all(map(math.isfinite, sform))}
    return {
        "sizes": tuple(dims[:rank]),
        "order": order,
        "datatype": struct.unpack(order + "h", start[70:72])[0],
        "vox_offset": offset if math.isfinite(offset) else -1,
        "scaling": floats(112, 2),
        "pixdim": floats(76, 8),
        "units": start[123] & 7,
        "stated": stated,
        "usable": [name for name in stated if sound[name]],
        "quaternion": quaternion,
        "sform": sform,
        "description": start[148:228].split(b"\0")[0].decode("latin-1"),
    }


def _check_data(path: Path, header: Header, expected: int, offset: int, line_skip: int, byte_skip: int) -> None:
    """Refuse voxel data that are missing, shorter or longer than the `expected` bytes the header claims."""
    stored = header.data.stat().st_size - offset
    ratio = {"raw": 1, "text": 1, "gzip": DEFLATE_RATIO, "zlib": DEFLATE_RATIO, "bzip2": 1 << 20}.get(header.encoding)
    if ratio is None:
        raise InputError(f"{path.name} stores its voxels as '{header.encoding}', which cannot be read; convert it.")
    if line_skip < 0 or byte_skip < -1:
        raise InputError(f"{path.name} is a damaged {header.kind} file: it skips a negative number of bytes or lines.")
    if stored < 1 or (header.encoding != "text" and expected > stored * ratio):
        raise InputError(_short(header, expected, max(stored, 0)))
    require_memory(path, expected)
    with open(header.data, "rb") as stream:
        stream.seek(offset)
        if header.encoding == "raw":
            _skip_lines(stream, line_skip)
            found = expected if byte_skip == -1 else stored - (stream.tell() - offset) - byte_skip
        elif header.encoding == "text":
            found = expected if len(stream.read().replace(b",", b" ").split()) >= header.numbers else 0
        else:
            found = _inflated(path, header, stream, expected, line_skip, max(byte_skip, 0))
    if found < expected:
        raise InputError(_short(header, expected, found))
    # A NIfTI file may end in padding; anywhere else surplus bytes mean the voxels start somewhere the header hides.
    if found > expected and header.kind != "NIfTI":
        raise InputError(
            f"{header.data.name} holds more voxel data than {path.name} declares, so it cannot be known where the "
            "image starts; state the size or the bytes to skip in the header."
        )


def _inflated(path: Path, header: Header, stream: IO[bytes], expected: int, lines: int, skip: int) -> int:
    """Bytes after decompression (counted to a little over `expected`), checking every checksum the stream has."""
    openers: dict[str, Callable[[IO[bytes]], Any]] = {
        "gzip": lambda s: gzip.GzipFile(fileobj=s, mode="rb"),
        "bzip2": lambda s: bz2.BZ2File(s, "rb"),
        "zlib": _ZlibStream,
    }
    count = -skip
    try:
        if header.kind == "NRRD":
            _skip_lines(stream, lines)
        inflated = openers[header.encoding](stream)
        while count <= expected + 64 * CHUNK:
            block = inflated.read(CHUNK)
            if not block:
                return count
            count += len(block)
    except EOFError:
        return min(count, expected - 1)
    except (OSError, zlib.error) as error:
        raise InputError(f"{header.data.name} is damaged: its compressed voxels cannot be unpacked.") from error
    return count


class _ZlibStream:
    """MetaImage's zlib stream as something to read blocks from; EOFError when it ends before its checksum."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._inflater = zlib.decompressobj(wbits=47)

    def read(self, size: int) -> bytes:
        while not self._inflater.eof:
            compressed = self._inflater.unconsumed_tail or self._stream.read(CHUNK)
            if not compressed:
                raise EOFError
            block = self._inflater.decompress(compressed, size)
            if block:
                return block
        return b""


def _text_header(path: Path, *ends: bytes, pattern: bool = False) -> tuple[str, int]:
    """The text before the first of `ends` and the offset behind it (the whole file where there is none)."""
    with open(path, "rb") as stream:
        start = stream.read(HEADER_LIMIT)
    found = [m.end() for end in ends if (m := re.search(end if pattern else re.escape(end), start))]
    offset = min(found, default=len(start))
    return start[:offset].decode("latin-1"), offset


def _beside(path: Path, name: str) -> Path:
    """The data file a header names, refused unless it is one existing file inside the header's own folder."""
    name = os.fsdecode(name.encode("latin-1"))
    if re.match(r"LIST(\s|$)", name, re.IGNORECASE) or "%" in name:
        raise InputError(f"{path.name} spreads its voxels over several files; convert it to one file first.")
    inside = Path(name.replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise InputError(f"{path.name} points to a file outside its own folder ({name[:80]}); that is not followed.")
    data = path.parent / inside
    if not data.is_file():
        raise InputError(f"{path.name} needs its voxel file {name[:80]} beside it, and that is not there.")
    return data


def _skip_lines(stream: IO[bytes], lines: int) -> None:
    for _ in range(min(lines, 1 << 20)):
        stream.readline()


def _first_bytes(path: Path, count: int) -> bytes:
    try:
        with gzip.open(path, "rb") as stream:
            return cast(bytes, stream.read(count))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path.name} is damaged: its compressed content cannot be unpacked.") from error


def _whole_numbers(path: Path, text: str) -> tuple[int, ...]:
    words = text.split()
    if not words or not all(re.fullmatch(r"[0-9]{1,18}", word) and int(word) > 0 for word in words):
        raise InputError(f"{path.name} is damaged: '{text[:60]}' is not a list of image sizes.")
    return tuple(int(word) for word in words)


def _number(path: Path, text: Any) -> int:
    if not re.fullmatch(r"\s*[-+]?[0-9]{1,18}\s*", str(text)):
        raise InputError(f"{path.name} is damaged: '{str(text)[:60]}' is not a whole number.")
    return int(text)


def _short(header: Header, expected: int, found: int) -> str:
    return (
        f"{header.data.name} is truncated or its header is false: {_bytes(expected)} of voxels are declared, "
        f"{_bytes(found)} are there; copy it again from its source."
    )


def _bytes(count: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
