"""The record of a synthetic image on its MRML node: written, read back, and carried along.

The record lives in node attributes, so renaming, copying, and saving and loading a scene keep it. Wording is left to
`imagetranslation.provenance`, the text in the views to `corner`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..provenance import RECORD_KEY, Provenance

if TYPE_CHECKING:
    import slicer

PREFIX = "ImageTranslation."
SYNTHETIC = PREFIX + "Synthetic"
# Repeated one by one so that a person sees them in Slicer's Data module and another program need not parse JSON.
READABLE = {"Model": "model", "ModelVersion": "version", "WeightsSHA256": "weights_sha256", "Source": "source"}


def mark(node: slicer.vtkMRMLNode, provenance: Provenance) -> None:
    """Write the record into the node's attributes, replacing an older one."""
    node.SetAttribute(SYNTHETIC, "true")
    # ASCII-only JSON: the attribute passes through XML and NRRD headers, which treat other characters differently.
    node.SetAttribute(RECORD_KEY, json.dumps(provenance.to_dict(), ensure_ascii=True))
    for label, field in READABLE.items():
        node.SetAttribute(PREFIX + label, str(getattr(provenance, field)))


def provenance_of(node: slicer.vtkMRMLNode | None) -> Provenance | None:
    """The record of a synthetic image, or None for any other node.

    A damaged record still gives a Provenance (from the readable attributes), so that the image stays marked.
    """
    if node is None:
        return None
    record = node.GetAttribute(RECORD_KEY)
    if record is None and node.GetAttribute(SYNTHETIC) is None:
        return None
    try:
        mapping = json.loads(record or "")
        if not isinstance(mapping, dict):
            raise ValueError("the record is not a mapping")
    except ValueError:
        mapping = {field: node.GetAttribute(PREFIX + label) or "" for label, field in READABLE.items()}
    return Provenance.from_dict(mapping)


def is_synthetic(node: slicer.vtkMRMLNode | None) -> bool:
    """Whether the node holds an image made by a model."""
    return provenance_of(node) is not None
