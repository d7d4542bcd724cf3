"""A model package as small as they come: the shipped architecture with untrained weights, made in a second."""

from __future__ import annotations

from pathlib import Path

MODALITIES = {"us2mri": ("US", "MR"), "pool2delayed": ("NM", "NM")}
MODULES = {"us2mri": "US2MRITranslate", "pool2delayed": "PoolToDelayed"}
REPOSITORY = Path(__file__).resolve().parents[2]


def write_tiny_model(models: Path, task: str, name: str = "") -> Path:
    """Write a package for `task` below `models`; its id is the task's default model unless another is given."""
    import torch

    from imagetranslation import networks
    from imagetranslation.models import write_package
    from imagetranslation.tasks import load_task

    source, target = MODALITIES[task]
    # So few channels that no engine is tried for it.
    network = {"name": "pix2pix-small", "arguments": {"base": 8}}
    torch.manual_seed(0)
    image = {
        "modality": source,
        "num_channels": 1,
        "spatial_dims": 2,
        "patch_size": [64, 64],
        "orientation": "unknown",
        "slice_axis": "k",
        "resampling": {"mode": "fit", "spacing": None},
        "normalisation": {"name": "percentile", "lower": 0.5, "upper": 99.5},
        "field_of_view": "whole",
    }
    output = {"modality": target, "num_channels": 1, "value_range": [0, 255], "background": 0, "window": [0, 255]}
    metadata = {
        "id": name or load_task(REPOSITORY / MODULES[task] / "task.json").default_model,
        "version": "0.0.1",
        "title": "Untrained network",
        "description": "Fresh weights, for tests.",
        "authors": "none",
        "licence": "Apache-2.0",
        "created": "2026-01-01",
        "task": task,
        "network": network,
        "network_data_format": {"inputs": {"image": image}, "outputs": {"image": output}},
        "inference": {"overlap": 0.25, "blending": "gaussian", "whole_slice": True},
        "training": {"data": "none", "licence": "none", "command": "none", "ranges": {}},
        "scores": {"ssim": 0.125},
        "intended_use": "Tests only.",
        "limits": ["It has learnt nothing."],
        "citation": ["No study."],
    }
    state = networks.build(network["name"], **network["arguments"]).state_dict()
    return write_package(models / metadata["id"], metadata, state, "# Card\n\nUntrained.\n").path
