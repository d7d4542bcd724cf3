"""What a DICOM object says about having been made by a model: written into the objects we make, read from any.

The attributes any viewer shows (Synthetic Data, Derivation, Contributing Equipment: PS3.3 C.7.6.1, C.12.1) tell people
the model, its version and the SHA-256 of its weights; one private element holds the whole record, notes included. An
archive that strips private elements costs the notes only.
"""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from ..provenance import Provenance, display_name, slicer_corner_text
from .opening import text_of

SYNTHETIC_DATA = (0x0008, 0x001C)
MANUFACTURER = "SlicerImageTranslation"
# Whose objects are synthetic as well, but stand in for a scan: no model made them.
SIMULATOR = "SlicerImageTranslation simulator"
PRIVATE_GROUP, PRIVATE_CREATOR, PRIVATE_ELEMENT = 0x0099, "IMAGETRANSLATION", 0x01
_SHORT_TEXT = 1024
_LONG_STRING = 64
# What pydicom decodes with where DICOM's default repertoire, which is ASCII, is declared, or a set it does not know.
_DEFAULT_REPERTOIRE = "iso8859"


def mark_as_synthetic(dataset: Any, record: Provenance, sentences: list[str]) -> None:
    """Write who made the image, from what, and that it is synthetic. sentences: what else the derivation must say."""
    fit = partial(encodable, charset=dataset.get("SpecificCharacterSet"))
    dataset.SyntheticData = "YES"
    dataset.SeriesDescription = line(fit(display_name(record)))
    dataset.ImageComments = plain(fit(slicer_corner_text(record)))
    made = f"by the model {record.model} {record.version} (weights SHA-256 {record.weights_sha256})"
    text = " ".join([f"SYNTHETIC image, not for diagnosis: made {made} from the source images.", *sentences])
    dataset.DerivationDescription = plain(fit(text))[:_SHORT_TEXT]
    dataset.DerivationCodeSequence = [code("123110", "Artificial Intelligence")]
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = "imagetranslation"
    dataset.SoftwareVersions = line(fit(record.software))
    add_record(dataset, record)


def add_record(dataset: Any, record: Provenance) -> None:
    """The whole record, in our private element."""
    block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    block.add_new(PRIVATE_ELEMENT, "UT", json.dumps(record.to_dict()))


def synthesizing_equipment(record: Provenance, charset: Any) -> Any:
    """The item of the Contributing Equipment Sequence that stands for the model."""
    import pydicom

    fit = partial(encodable, charset=charset)
    item: Any = pydicom.Dataset()
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = line(fit(record.model))
    item.SoftwareVersions = [line(fit(record.version)), line(fit(record.software))]
    item.ContributionDateTime = moment(record, "+0000").strftime("%Y%m%d%H%M%S%z")
    described = (
        f"Task {record.task}; weights SHA-256 {record.weights_sha256}; source voxels SHA-256 {record.source_sha256}; "
        f"source {record.source}"
    )
    item.ContributionDescription = plain(fit(described))[:_SHORT_TEXT]
    item.PurposeOfReferenceCodeSequence = [code("109100", "Synthesizing Equipment")]
    return item


def provenance_of(dataset: Any) -> Provenance | None:
    """Where an object with Synthetic Data (0008,001C) = YES came from, ours or another software's.

    None for a scan, and for one that our simulator acquired of nobody: it is there to be translated. What was derived
    from such a one is neither.
    """
    element = dataset.get(SYNTHETIC_DATA)
    if element is None or str(element.value).strip().upper() != "YES":
        return None
    made = _private_record(dataset)
    if made is None and _simulated(dataset):
        return None
    return made or _public_record(dataset)


def _simulated(dataset: Any) -> bool:
    kinds = dataset.get("ImageType") or [""]
    first = kinds if isinstance(kinds, str) else kinds[0]
    derived = any(name in dataset for name in ("ContributingEquipmentSequence", "DerivationDescription"))
    return str(dataset.get("Manufacturer", "")) == SIMULATOR and first == "ORIGINAL" and not derived


def moment(record: Provenance, offset: str) -> datetime:
    """When the image was made, in the time zone of a DICOM offset such as "+0100", or else the machine's own."""
    try:
        created = datetime.fromisoformat(record.created)
    except ValueError:
        created = datetime.now(timezone.utc)
    if created.tzinfo is None:
        created = created.replace(tzinfo=timezone.utc)
    return in_zone(created, offset)


def in_zone(when: datetime, offset: str) -> datetime:
    """The same moment in the time zone of a DICOM offset such as "+0100", or else the machine's own."""
    if not re.fullmatch(r"[+-][01]\d[0-5]\d", offset):
        return when.astimezone()
    minutes = int(offset[0] + "1") * (60 * int(offset[1:3]) + int(offset[3:]))
    return when.astimezone(timezone(timedelta(minutes=minutes)))


def code(value: str, meaning: str, scheme: str = "DCM") -> Any:
    """One item of a code sequence."""
    import pydicom

    item: Any = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def encodable(text: str, charset: Any) -> str:
    """`text` as it can be written in a Specific Character Set (ASCII if none); letters beyond it lose their accents, or
    become question marks."""
    from pydicom.charset import convert_encodings

    for encoding in convert_encodings(charset) if charset else [_DEFAULT_REPERTOIRE]:
        try:
            text.encode("ascii" if encoding == _DEFAULT_REPERTOIRE else encoding)
        except (UnicodeEncodeError, LookupError):
            continue
        return text
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return bare.encode("ascii", "replace").decode("ascii")


def plain(text: str) -> str:
    """Text of one paragraph without control characters, which no DICOM text may hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def line(text: str) -> str:
    """Text that fits a DICOM long string: 64 characters, no backslash, which would part it into two values."""
    return plain(text).replace("\\", "/")[:_LONG_STRING].strip()


def _private_record(dataset: Any) -> Provenance | None:
    """The whole record from our private element, None where it is absent or damaged."""
    try:
        text = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)[PRIVATE_ELEMENT].value
        mapping = json.loads(text.decode("utf-8") if isinstance(text, bytes) else str(text))
    except (KeyError, ValueError, RecursionError):
        return None
    return Provenance.from_dict(mapping) if isinstance(mapping, dict) else None


def _public_record(dataset: Any) -> Provenance:
    """What the standard attributes tell."""
    maker: Any = (dataset.get("ContributingEquipmentSequence") or [{}])[-1]
    value = maker.get("SoftwareVersions") or ""
    versions = [value] if isinstance(value, str) else [str(v) for v in value]
    told = text_of(maker, "ContributionDescription")
    described = text_of(dataset, "DerivationDescription")
    content = " ".join(filter(None, (text_of(dataset, "ContentDate"), text_of(dataset, "ContentTime"))))
    ours = text_of(maker, "Manufacturer") == MANUFACTURER and len(versions) == 2
    return Provenance(
        model=text_of(maker, "ManufacturerModelName"),
        version=versions[0] if ours else " ".join(versions),
        weights_sha256=_found(r"\bweights SHA-256 ([0-9a-fA-F]{64})\b", told),
        task=_found(r"^Task ([^;]*);", told),
        modality=text_of(dataset, "Modality"),
        source=_found(r"; source ((?!voxels SHA).+)$", told) or text_of(dataset, "SeriesDescription"),
        source_sha256=_found(r"\bsource voxels SHA-256 ([0-9a-fA-F]{64})\b", told),
        created=_iso(text_of(maker, "ContributionDateTime")) or content,
        software=versions[1] if ours else text_of(maker, "Manufacturer"),
        notes=(described,) if described else (),
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""


def _iso(text: str) -> str:
    """ISO 8601 of a DICOM date-time with seconds and offset, "" of anything else."""
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S%z").isoformat()
    except ValueError:
        return ""
