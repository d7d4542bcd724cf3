"""Opening DICOM files and finding the series in a folder; what is in an object is left to the other dicom modules.

Handles what pydicom alone does not: gzipped files, files without preamble and meta header, objects that are no scan
(each refused by name), and damaged files, which are reported instead of skipped.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..headers import require_memory

_HEADER_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality",
    "Rows", "Columns", "NumberOfFrames", "InstanceNumber", "TransferSyntaxUID",
]  # fmt: skip

# Objects with pixels that are not scans, and objects without any; the words a person knows them by.
_NOT_SCANS = {
    "1.2.840.10008.1.3.10": "a DICOMDIR (an index of a disc, not an image); give the folder it lies in",
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation, not a scan; give the scan it was drawn on",
    "1.2.840.10008.5.1.4.1.1.66.7": "a label map segmentation, not a scan; give the scan it was drawn on",
    "1.2.840.10008.5.1.4.1.1.481.2": "an RT Dose grid, not a scan; give the scan it was planned on",
    "1.2.840.10008.5.1.4.1.1.481.3": "an RT Structure Set (contours, no pixels); give the scan it was drawn on",
    "1.2.840.10008.5.1.4.1.1.481.5": "an RT Plan (no pixels); give the scan it was planned on",
    "1.2.840.10008.5.1.4.1.1.481.8": "an RT Ion Plan (no pixels); give the scan it was planned on",
}
_SCAN_MODALITIES = {"CT", "MR", "NM", "PT", "US"}


@dataclass(frozen=True)
class SeriesInfo:
    """One image series of a folder.

    uid: SeriesInstanceUID. description, modality: as the file says. instances: number of DICOM objects. size:
    (columns, rows) in pixels. files: their paths, by name. number: SeriesNumber, 0 when absent.
    """

    uid: str
    description: str
    modality: str
    instances: int
    size: tuple[int, int]
    files: tuple[Path, ...]
    number: int = 0


def is_dicom(path: Path) -> bool:
    """Whether a file looks like DICOM: by its magic, or by starting with a tag of group 0002 or 0008; gzip or not."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(132)
        if start[:2] == b"\x1f\x8b":
            with gzip.open(path, "rb") as unzipped:
                start = unzipped.read(132)
    except (OSError, EOFError, zlib.error):
        return False
    return start[128:132] == b"DICM" or _starts_with_tag(start)


def _starts_with_tag(start: bytes) -> bool:
    """Whether the first element is a short one of group 0002 or 0008, in either byte order."""
    for order in "<>":
        if len(start) >= 8:
            group, element = struct.unpack(order + "HH", start[:4])
            if group in (2, 8) and element <= 0x0100 and start[8:] and b"\0" in start[:8]:
                return True
    return False


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """pydicom's remarks on values that break the standard, kept off the terminal: what matters is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def damage_means(sentence: str) -> Iterator[None]:
    """Turn whatever pydicom, GDCM and the code around them raise on damaged data into an InputError.

    What the operating system refuses (no permission, disk full) is said in its own words.
    """
    from pydicom.errors import BytesLengthException, InvalidDicomError

    kinds = (
        ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, NotImplementedError, OSError,
        RuntimeError, StopIteration, TypeError, ValueError, struct.error, zlib.error, BytesLengthException,
        InvalidDicomError,
    )  # fmt: skip
    try:
        yield
    except MemoryError as error:
        raise InputError("The image does not fit into the memory that is free.") from error
    except kinds as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{error.filename or 'The image'} cannot be read: {error.strerror}.") from error
        raise InputError(sentence) from error


def open_dataset(path: Path, *, pixels: bool = True, tags: list[str] | None = None) -> Any:
    """The pydicom Dataset of a file, with a transfer syntax in its meta header; InputError if it is damaged.

    pixels: whether to read the pixel data too. tags: the only keywords to read, where a listing needs no more.
    """
    import pydicom
    from pydicom.dataset import FileMetaDataset

    with damage_means(f"{path.name} is a damaged DICOM file; copy it again from its source."), quiet_pydicom():
        source = _unzipped(path)
        dataset: Any = pydicom.dcmread(source, force=True, stop_before_pixels=not pixels, specific_tags=tags)
        if not hasattr(dataset, "file_meta"):
            dataset.file_meta = FileMetaDataset()
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = _guessed_syntax(dataset)
        if "SOPClassUID" not in dataset and "MediaStorageSOPClassUID" in dataset.file_meta:
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    if len(dataset) == 0:
        raise InputError(f"{path.name} is a damaged or empty DICOM file; copy it again from its source.")
    return dataset


def _unzipped(path: Path) -> Any:
    with open(path, "rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            return path
    content = io.BytesIO()
    with gzip.open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            content.write(block)
            require_memory(path, content.tell())
    content.seek(0)
    return content


def _guessed_syntax(dataset: Any) -> str:
    from pydicom import uid

    implicit, little = dataset.original_encoding
    if not little:
        return uid.ExplicitVRBigEndian
    return uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian


def text_of(dataset: Any, keyword: str) -> str:
    """A tag's value as text, "" where it is absent or empty."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def number_of(dataset: Any, keyword: str, otherwise: int = 0) -> int:
    """A tag's value as a whole number, `otherwise` where it is absent, empty or no number."""
    try:
        return int(text_of(dataset, keyword) or otherwise)
    except ValueError:
        return otherwise


def is_secondary_capture(dataset: Any) -> bool:
    """Whether the object is of one of the Secondary Capture classes."""
    return f"{text_of(dataset, 'SOPClassUID')}.".startswith("1.2.840.10008.5.1.4.1.1.7.")


def why_not_a_scan(dataset: Any) -> str:
    """What the object is, if it is not a scan ("" if it is one): the end of a sentence starting with its file name."""
    from pydicom.uid import UID

    sop_class = text_of(dataset, "SOPClassUID")
    modality = text_of(dataset, "Modality")
    if sop_class in _NOT_SCANS:
        return _NOT_SCANS[sop_class]
    kind = UID(sop_class).name if sop_class else "DICOM object"
    if kind == sop_class:
        kind = "private or unknown DICOM object"
    if " SR " in f" {kind} ":
        return f"a structured report ({kind}, no pixels); give the images it reports on"
    if "Presentation State" in kind or "Key Object" in kind:
        return f"a {kind} object (no pixels of its own); give the images it refers to"
    if "Rows" not in dataset or "Columns" not in dataset:
        if "Image Storage" in kind:
            return f"a {kind} object in which the image is missing: damaged or truncated; copy it again"
        return f"a {kind} object with modality '{modality}', which holds no image; give an image series"
    if is_secondary_capture(dataset) and modality not in _SCAN_MODALITIES:
        return "a secondary capture (a screenshot or scanned page, not a scan); give the original series"
    return ""


def scan_folder(folder: Path) -> tuple[list[SeriesInfo], list[str], list[str]]:
    """The image series below a folder; sentences on DICOM objects that are no scans; names of damaged DICOM files."""
    found: dict[str, dict[str, tuple[Path, Any]]] = {}
    others: list[str] = []
    damaged: list[str] = []
    for path in _files_below(folder):
        if not is_dicom(path):
            continue
        try:
            header = open_dataset(path, pixels=False, tags=_HEADER_TAGS)
        except InputError:
            damaged.append(path.name)
            continue
        if reason := why_not_a_scan(header):
            others.append(f"{path.name} is {reason}")
            continue
        instances = found.setdefault(text_of(header, "SeriesInstanceUID"), {})
        # The same object stored twice counts once.
        instances.setdefault(text_of(header, "SOPInstanceUID") or str(path), (path, header))
    series = [_series_info(uid, list(instances.values())) for uid, instances in found.items()]
    return sorted(series, key=lambda s: (s.number, s.uid)), others, damaged


def _files_below(folder: Path) -> list[Path]:
    found = []
    for root, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(root, name) for name in sorted(names) if Path(root, name).is_file()]
    return found


def _series_info(uid: str, instances: list[tuple[Path, Any]]) -> SeriesInfo:
    header = instances[0][1]
    return SeriesInfo(
        uid,
        text_of(header, "SeriesDescription"),
        text_of(header, "Modality"),
        len(instances),
        (number_of(header, "Columns"), number_of(header, "Rows")),
        tuple(path for path, _ in instances),
        number_of(header, "SeriesNumber"),
    )


def chosen_series(series: list[SeriesInfo], wanted: str | None, folder: str) -> SeriesInfo:
    """The one series asked for by number in the list, UID, or a UID's unique beginning or end."""
    if wanted is None:
        if len(series) == 1:
            return series[0]
        raise InputError(f"{folder} holds {len(series)} image series; choose one with series=: {_listed(series)}.")
    wanted = str(wanted).strip()
    if re.fullmatch(r"[0-9]{1,9}", wanted) and 1 <= int(wanted) <= len(series):
        return series[int(wanted) - 1]
    exact = [s for s in series if s.uid == wanted]
    matching = exact or [s for s in series if wanted and (s.uid.startswith(wanted) or s.uid.endswith(wanted))]
    if len(matching) != 1:
        problem = "no image series" if not matching else f"{len(matching)} image series"
        raise InputError(f"{folder} holds {problem} called {wanted[:70]}; it has: {_listed(series)}.")
    return matching[0]


def _listed(series: list[SeriesInfo]) -> str:
    return "; ".join(
        f"{n}: ...{s.uid[-10:]} '{s.description}' {s.modality or '?'}, {s.instances} of {s.size[0]}x{s.size[1]}"
        for n, s in enumerate(series, 1)
    )
