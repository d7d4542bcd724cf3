"""Small model packages for tests: real networks with seeded random weights, written as the product writes them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.models import ModelPackage, write_package
from imagetranslation.volume import Volume

METADATA: dict[str, Any] = {
    "id": "tiny",
    "version": "1.2.3",
    "title": "A tiny network with random weights, for tests only",
    "description": "Random weights.",
    "authors": "SlicerImageTranslation contributors",
    "licence": "Apache-2.0",
    "created": "2026-01-01",
    "task": "us2mri",
    "network": {
        "name": "pix2pix-small",
        "arguments": {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "base": 4, "levels": 3},
    },
    "network_data_format": {
        "inputs": {
            "image": {
                "modality": "US",
                "num_channels": 1,
                "spatial_dims": 2,
                "patch_size": [16, 16],
                "orientation": "unknown",
                "slice_axis": "k",
                "resampling": {"mode": "fit", "spacing": None},
                "normalisation": {"name": "percentile", "lower": 0.5, "upper": 99.5},
                "field_of_view": "ultrasound-fan",
            }
        },
        "outputs": {
            "image": {
                "modality": "MR",
                "num_channels": 1,
                "value_range": [0, 255],
                "background": 0,
                "window": [0, 255],
            }
        },
    },
    "inference": {"overlap": 0.25, "blending": "gaussian", "whole_slice": True},
    "training": {"data": "none", "licence": "none", "command": "none", "ranges": {}},
    "scores": {},
    "intended_use": "Tests. Not for clinical use.",
    "limits": ["Random weights."],
    "citation": [],
}


def metadata(network: dict[str, Any] | None = None, inference: dict[str, Any] | None = None, **image: Any) -> dict:
    """A copy of METADATA; network, inference replace parts of those, the rest parts of inputs.image."""
    made = copy.deepcopy(METADATA)
    made["network"].update(network or {})
    made["inference"].update(inference or {})
    made["network_data_format"]["inputs"]["image"].update(image)
    return made


def make_package(folder: Path, seed: int = 0, made: dict[str, Any] | None = None, card: str = "# tiny") -> ModelPackage:
    """Write a package with seeded random weights and non-trivial batch statistics."""
    import torch

    from imagetranslation import networks

    made = made or metadata()
    torch.manual_seed(seed)
    network = networks.build(made["network"]["name"], **made["network"]["arguments"])
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    return write_package(folder, made, network.state_dict(), card)


def an_ultrasound(shape: tuple[int, int, int] = (5, 20, 24), seed: int = 3, **geometry: Any) -> Volume:
    """Smooth positive noise in the middle of black: something with an outside."""
    noise = np.random.default_rng(seed).random(shape)
    array = np.zeros(shape, dtype=np.uint8)
    inner = tuple(slice(n // 6, n - n // 6) for n in shape)
    array[inner] = (40 + 200 * noise[inner]).astype(np.uint8)
    return Volume(array, name="ultrasound", modality="US", **geometry)
