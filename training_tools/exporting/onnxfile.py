"""A package's network as an ONNX file that says what it is, and is compared with torch before it is kept.

The file holds the network alone: windows in, windows out, both in [-1, 1]. Reading, orientation, grid, normalisation,
field of view, blending, warnings and uncertainty are `imagetranslation`'s; what they need to know stands in the file's
`metadata_props`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.engines import exporting, gate, probes
from imagetranslation.errors import RunFailed
from imagetranslation.files import atomic_path
from imagetranslation.models import ModelPackage
from imagetranslation.predictors import TorchPredictor

NOTICE = (
    "SYNTHETIC: the image this network makes is no scan of a patient and must be marked so wherever it goes. "
    "Not for clinical use."
)
PREFIX = "imagetranslation."


def write_onnx(package: ModelPackage, path: Path) -> dict[str, Any]:
    """Write the ONNX file; returns its SHA-256 and how far it is from torch.

    Raises RunFailed where the network cannot be expressed, or where ONNX Runtime and torch disagree by more than
    rounding (`engines.gate.FLOAT32`); nothing is written then. ModelRefused for a damaged package.
    """
    import onnx

    model = onnx.load_from_string(exporting.export(package))
    told = properties(package)
    onnx.helper.set_model_props(model, told)
    model.producer_name, model.doc_string = "imagetranslation", f"{package.metadata['title']}. {NOTICE}"
    data = model.SerializeToString()
    difference = difference_from_torch(package, data)
    if difference > (allowed := gate.FLOAT32["error_maximum"] * gate.OUTPUT_SPAN):
        raise RunFailed(
            f"{package.id} gives other images in ONNX Runtime than in torch: they differ by up to {difference:.2g} of "
            f"an output in [-1, 1], and {allowed:.2g} is allowed. No file was written."
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return {"onnx": str(path), "sha256": digest, "largest_difference_from_torch": difference}


def properties(package: ModelPackage) -> dict[str, str]:
    """`metadata_props` by key: strings, JSON where a value has parts."""
    metadata, inputs, outputs = package.metadata, package.inputs, package.outputs
    reach = int(metadata["inference"].get("context_slices", 0))
    axes = "rows, columns" if inputs["spatial_dims"] == 2 else "slices, rows, columns"
    channels = f"the slice and {reach} neighbours on either side, in their order" if reach else "one image"
    told: dict[str, Any] = {
        "notice": NOTICE,
        "id": package.id,
        "version": package.version,
        "title": metadata["title"],
        "task": metadata["task"],
        "licence": metadata["licence"],
        "intended_use": metadata["intended_use"],
        "weights_sha256": package.weights_sha256,
        "source_modality": inputs["modality"],
        "target_modality": outputs["modality"],
        "input": f"windows: float32 (n, {inputs['num_channels']}, {axes}) in [-1, 1]; channels: {channels}",
        "output": f"made: float32 (n, 1, {axes}) in [-1, 1], which become the value range",
        **{key: inputs[key] for key in ("patch_size", "orientation", "slice_axis", "resampling", "normalisation")},
        "field_of_view": inputs["field_of_view"],
        "value_range": outputs["value_range"],
        "background": outputs["background"],
        "inference": metadata["inference"],
    }
    return {PREFIX + key: value if isinstance(value, str) else json.dumps(value) for key, value in told.items()}


def difference_from_torch(package: ModelPackage, data: bytes) -> float:
    """Largest absolute difference of the two outputs on the package's probe windows, one by one and together."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    torch, windows = TorchPredictor(package, "cpu"), probes.probes_of(package).windows
    found = 0.0
    for batch in (windows[:1], windows):
        (made,) = session.run(None, {"windows": batch})
        found = max(found, float(np.abs(made - torch.predict(batch)).max()))
    return found
