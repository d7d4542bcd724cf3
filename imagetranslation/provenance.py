"""What a synthetic image says about itself: the record and the texts made from it.

Every place that shows or writes a synthetic image takes its wording from here, so that the mark cannot differ
between a view, a file and a DICOM object.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

MARK = "SYNTHETIC"
# The name under which the record stands, as JSON, in NRRD and MetaImage headers and on MRML nodes: Slicer turns NRRD
# keys into node attributes and back, so one name serves both.
RECORD_KEY = "ImageTranslation.Provenance"


@dataclass(frozen=True)
class Provenance:
    """Where a synthetic image came from.

    model, version: id and version of the model package. weights_sha256: hex digest of its weights file.
    task: e.g. "us2mri". modality: DICOM modality imitated, e.g. "MR". source: name of the source volume (a file
    name, never a path). source_sha256: hex digest of the source's voxel bytes. created: ISO 8601 UTC.
    software: name and version of this library. engine, precision, device: what computed it, e.g. "torch", "float32",
    "cpu"; engines differ in the last digits. notes: sentences the person should read (warnings included).
    quantity: None for an image; for a map about an image, what its voxels mean: "name" (e.g. "standard deviation"),
    "unit", and whatever else travels with the number (see `deviationmaps`).
    """

    model: str
    version: str
    weights_sha256: str
    task: str
    modality: str
    source: str
    source_sha256: str
    created: str
    software: str
    notes: tuple[str, ...] = field(default=())
    quantity: dict[str, Any] | None = None
    engine: str = ""
    precision: str = ""
    device: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping, headed by `"synthetic": true`."""
        mapping = {"synthetic": True, **asdict(self), "notes": list(self.notes)}
        if self.quantity is None:
            del mapping["quantity"]
        return mapping

    @classmethod
    def from_dict(cls, mapping: dict[str, Any]) -> Provenance:
        """Inverse of `to_dict`; absent text fields become empty, so that a damaged record still marks the image."""
        named = [name for name in cls.__dataclass_fields__ if name not in ("notes", "quantity")]
        texts = {name: str(mapping.get(name, "")) for name in named}
        notes, quantity = mapping.get("notes", ()), mapping.get("quantity")
        sentences = tuple(str(n) for n in notes) if isinstance(notes, (list, tuple)) else ()
        return cls(**texts, notes=sentences, quantity=quantity if isinstance(quantity, dict) else None)


def corner_text(record: Provenance) -> str:
    """The text in the corner of every browser view and sheet that shows the image."""
    return f"{MARK}: {_model(record, ' ')}"


def slicer_corner_text(record: Provenance) -> str:
    """The text in the corner of every Slicer view that shows the image."""
    return f"{MARK}, not for diagnosis: {_model(record, ', ')}"


def display_name(record: Provenance) -> str:
    """Name of the volume, starting with the mark."""
    what = f"{record.modality} of {record.source}"
    return f"{MARK} {what}" if record.quantity is None else f"{MARK} {record.quantity.get('name', 'map')} of {what}"


def _model(record: Provenance, between: str) -> str:
    """Model and version; a damaged record may hold neither."""
    return between.join(text for text in (record.model or "model unknown", record.version) if text)
