"""A model package as a MONAI bundle: a folder that `python -m monai.bundle run` can translate a scan with.

`models/` is the package itself, unchanged, so that its SHA-256 is checked at every load: safetensors in place of the
pickled `model.pt` of MONAI's specification, because reading a pickle can run anything. `configs/inference.json` builds
the network from our registry and makes images by our own inference, which must therefore be installed
(`required_packages_version`).
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.files import atomic_folder
from imagetranslation.models import CARD, METADATA, PROBES, WEIGHTS, ModelPackage, verify

from .onnxfile import NOTICE

SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"


def write_bundle(package: ModelPackage, folder: Path) -> dict[str, Any]:
    """Write the bundle's folder, which may not exist yet; returns where it is and the weights' SHA-256.

    InputError where the folder holds something, ModelRefused for a damaged package, RunFailed where nothing can be
    written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already; choose a new folder for the bundle.")
    verify(package)
    files: dict[str, bytes | str] = {
        f"models/{METADATA}": _json(package.metadata),
        f"models/{WEIGHTS}": package.weights(),
        f"models/{CARD}": package.card(),
        "configs/metadata.json": _json(metadata(package)),
        "configs/inference.json": _json(inference()),
        "docs/README.md": readme(package, folder.name),
        "LICENSE": _licence(package),
    }
    if (stored := package.probes()) is not None:
        files[f"models/{PROBES}"] = stored
    with atomic_folder(folder) as place:
        for name, content in files.items():
            path = place / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return {"bundle": str(folder), "weights_sha256": package.weights_sha256}


def metadata(package: ModelPackage) -> dict[str, Any]:
    """`configs/metadata.json`: the fields that MONAI's specification and schema ask for."""
    about, lower_upper = package.metadata, package.outputs["value_range"]
    made = {"type": "image", "format": "magnitude", "modality": package.outputs["modality"], "num_channels": 1}
    synthetic = {"0": f"SYNTHETIC {package.outputs['modality']}"}
    windows = {
        "spatial_shape": list(package.inputs["patch_size"]),
        "dtype": "float32",
        "value_range": [-1, 1],
        "is_patch_data": package.inputs["resampling"]["mode"] != "fit",
    }
    return {
        "schema": SCHEMA,
        "name": about["title"],
        "version": package.version,
        "changelog": {package.version: f"exported from the model package {package.id}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch"),
        "numpy_version": version("numpy"),
        "required_packages_version": {
            "imagetranslation": __version__,
            **{name: version(name) for name in ("safetensors", "SimpleITK", "fire")},
        },
        "task": f"{package.inputs['modality']} to synthetic {package.outputs['modality']} ({about['task']})",
        "description": f"{about['description']} {NOTICE}",
        "authors": about["authors"],
        "copyright": f"{about['authors']}; licence {about['licence']}",
        "data_source": about["training"]["data"],
        "data_type": "nrrd, nifti, metaimage, dicom",
        "image_classes": f"{package.inputs['modality']} image",
        "pred_classes": f"SYNTHETIC {package.outputs['modality']} image on the grid of the input",
        "eval_metrics": _scores(about["scores"]),
        "intended_use": about["intended_use"],
        "references": list(about["citation"]),
        "weights": {"file": f"models/{WEIGHTS}", "sha256": package.weights_sha256},
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image", "format": "magnitude", "modality": package.inputs["modality"],
                    "num_channels": package.inputs["num_channels"], **windows, "channel_def": _channels(package),
                }
            },
            "outputs": {"pred": {**made, **windows, "channel_def": synthetic}},
            "post_processed_outputs": {
                "pred": {
                    **made, "spatial_shape": ["*", "*", "*"], "dtype": "float32", "value_range": list(lower_upper),
                    "is_patch_data": False, "channel_def": synthetic,
                }
            },
        },
    }  # fmt: skip


def inference() -> dict[str, Any]:
    """`configs/inference.json`: the same for every package, since all that differs stands in `models/model.json`."""
    return {
        "imports": ["$import pathlib", "$from imagetranslation.predictors import choose_device"],
        "bundle_root": ".",
        "image": "",
        "output": "",
        "overwrite": False,
        "device": "$choose_device('auto')",
        "package": {
            "_target_": "imagetranslation.models.load_package",
            "id_or_path": "$pathlib.Path(@bundle_root).resolve() / 'models'",
        },
        "network_def": "$@package.network()",
        "inferer": {
            "_target_": "training_tools.exporting.running.Inferer",
            "package": "@package",
            "network": "@network_def",
            "device": "$str(@device)",
        },
        "run": ["$print(@inferer(@image, @output, @overwrite))"],
    }


def readme(package: ModelPackage, name: str) -> str:
    """`docs/README.md`: how to run it, what it is not, and the model's card."""
    return (
        f"# {package.metadata['title']}\n\n**{NOTICE}**\n\n"
        "```\npip install 'imagetranslation[training]'\n"
        f"python -m monai.bundle run --config_file {name}/configs/inference.json --bundle_root {name} \\\n"
        "    --image scan.nrrd --output synthetic.nrrd\n```\n\n"
        "`scan.nrrd` may be NRRD, NIfTI, MetaImage or DICOM; the output has its grid, says in its header that it is "
        "synthetic, and has a record beside it. `--device cpu` chooses a device, `--overwrite True` replaces an "
        "output.\n\n"
        f"The weights are `models/{WEIGHTS}`, not the pickled `model.pt` of MONAI's specification: reading a pickle "
        "can run anything. Tools that insist on `model.pt` or `model.ts` cannot load this bundle. Uncertainty maps are "
        "made by `imagetranslation translate --uncertainty`, not by the bundle.\n\n"
        f"{package.card()}"
    )


def _channels(package: ModelPackage) -> dict[str, str]:
    modality, reach = package.inputs["modality"], int(package.metadata["inference"].get("context_slices", 0))
    return {str(n): f"{modality}, slice {n - reach:+d}" if n != reach else modality for n in range(2 * reach + 1)}


def _scores(scores: Any) -> dict[str, Any]:
    """Means over patients, from the evaluation where there is one; see the card for what they mean."""
    if "evaluation" in scores:
        found = scores["evaluation"]
        return {name: about["methods"]["model"]["mean"] for name, about in found["measures"].items()}
    for part in ("held_out", "cross_validation"):
        if "methods" in scores.get(part, {}):
            return {name: value["mean"] for name, value in scores[part]["methods"]["model"].items()}
    return {}


def _licence(package: ModelPackage) -> str:
    about = package.metadata
    return (
        f"SPDX-License-Identifier: {about['licence']}\n\nThe weights and the files of this bundle: {about['licence']}, "
        f"{about['authors']}.\nThe data they were trained on: {about['training']['licence']}.\n"
    )


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
