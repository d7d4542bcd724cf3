"""Tiny prepared pairs and configurations that the tests of training share: a run takes a second."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.volume import Volume, write_volume
from training_tools import objectives
from training_tools.config import Config
from training_tools.pairs import list_pairs
from training_tools.prepare import prepare

SHAPE = (10, 20, 18)
# What an objective needs to run on tiny data, over `tiny_config`'s settings; names that are not here need nothing.
_SMALL = {"base": 4, "layers": 1}
_RESNET = {"name": "resnet", "arguments": {"base": 4, "blocks": 2, "downsamplings": 1}}
_BRIDGE = {"name": "bridge", "arguments": {"channels": [8, 8], "blocks": 1, "steps": 2}}
TINY_OPTIONS: dict[str, dict[str, Any]] = {
    "pix2pix": {"objective": {"l1": 1, "ssim": 0.5, "adversarial": 0.01}},
    "regression": {"objective": {"l1": 1, "mse": 0.5, "ssim": 0.5, "lesion": 2}},
    "dualgan": {"objective": {"critic": _SMALL, "critic_steps": 2}},
    "cut": {"network": _RESNET, "objective": {"layers": [0, 1, 2, 4], "patches": 8, "width": 8}},
    "bridge": {"network": _BRIDGE},
    "located": {
        "objective": {"l1": 1, "ssim": 0.5, "adversarial": 0.01},
        "network": {
            "name": "located",
            "arguments": {"spatial_dims": 3, "base": 4, "levels": 3, "locator_base": 2, "points": 4, "members": 2},
        },
        "source": {"spatial_dims": 3, "patch_size": [16, 16, 16]},
        "sampling": {"region": "organ"},
        "augmentation": {"elastic": 0.05, "mixup": 0, "mirror": "columns"},
    },
}


def prepared_pairs(folder: Path, cases: int = 4) -> Path:
    """Prepared pairs of an ellipsoid, dark in a fan-like source, bright in the target; a small lesion in every case."""
    grid = np.stack(np.mgrid[tuple(slice(0, n) for n in SHAPE)], axis=-1)
    for number in range(cases):
        random = np.random.default_rng(number)
        centre = random.uniform(4, 6, 3) * [1, 2, 1.8]
        gland = (((grid - centre) / [3, 6, 5]) ** 2).sum(axis=-1) < 1
        fan = np.abs(grid[..., 1] - 9.5) < 2 + 0.5 * grid[..., 2]
        images = {
            "us": np.where(fan, np.where(gland, 60, 160) + random.uniform(0, 40, SHAPE), 0),
            "mr": np.where(gland, 200, 80) + random.uniform(0, 20, SHAPE),
            "us_labels": gland,
            "mr_labels": gland,
            "prepared/lesion": (((grid - centre) / 2) ** 2).sum(axis=-1) < 1,
        }
        for name, array in images.items():
            (folder / name).mkdir(exist_ok=True, parents=True)
            write_volume(Volume(array.astype(np.float32)), folder / name / f"case{number}.nrrd")
    pairs = list_pairs(*(folder / name for name in ("us", "mr", "us_labels", "mr_labels")))
    prepare(pairs, folder / "prepared")
    return folder / "prepared"


def tiny_config(name: str = "pix2pix", dims: int = 2, **changes: Any) -> Config:
    """Six steps of a tiny network with the objective `name`, with these settings changed.

    dims 2: slices; 3: volumes; each with a network of so many dimensions.
    """
    own, kind = TINY_OPTIONS.get(name, {}), objectives.find(name)
    small: dict[str, Any] = (
        {"discriminator": {"base": 4, "layers": 1}} if "discriminator" in kind.Options.model_fields else {}
    )
    if "encoder" in kind.Options.model_fields:
        small["encoder"] = f"{_encoder().name}/encoder"
    networks = {
        2: {"name": "pix2pix-small", "arguments": {"spatial_dims": 2, "base": 4, "levels": 3, "dropout": 0.3}},
        3: {"name": "unet", "arguments": {"spatial_dims": 3, "channels": [4, 8], "units": 1, "bounded": True}},
    }
    settings: dict[str, Any] = {
        "id": "tiny",
        "title": "Tiny",
        "task": "us2mri",
        "network": networks[dims],
        "source": {"spatial_dims": dims, "patch_size": [8, 16, 16][3 - dims :]},
        "augmentation": {"elastic": 0.05, "mixup": 0.0 if kind.unpaired else 0.5, "mirror": "columns"},
        "steps": 6,
        "batch_size": 4,
        "checkpoint_every": 2,
        "seed": 3,
        "held_out": ("case3",),
        "folds": 2,
        **{key: value for key, value in own.items() if key != "objective"},
        **changes,
    }
    options = {**small, **own.get("objective", {}), **changes.get("objective", {})}
    return Config(**{**settings, "objective": {**options, "name": name}})


@functools.cache
def _encoder() -> tempfile.TemporaryDirectory[str]:
    """A folder, for as long as the tests run, that holds an untrained encoder of features."""
    import torch

    from training_tools import encoder

    torch.manual_seed(0)
    folder = tempfile.TemporaryDirectory()
    encoder.save(encoder.Encoder((4, 4)), Path(folder.name) / "encoder", {"about": "untrained, for tests", "cases": []})
    return folder


def positioned_config(**changes: Any) -> Config:
    """As `tiny_config`, of a network that sees whole volumes and is trained on positioned slices."""
    arguments = {"spatial_dims": 3, "base": 4, "levels": 3, "dropout": 0.3, "points": 4}
    return tiny_config(
        network={"name": "pix2pix-small", "arguments": arguments},
        source={"spatial_dims": 3, "patch_size": [10, 16, 16]},
        sampling={"samples": "positioned-slices"},
        **changes,
    )
