"""Which networks stand in a benchmark, and what a preset makes of their configurations.

An entry is a file in `configs/<task>`; its configuration is the study's or the paper's where it is known. A preset
(`configs/<task>/presets.json`) says how much each network may compute and changes what a small budget needs changed;
what it changes is "our choice", whatever it was before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError

from ..config import Config, read_config

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
TASKS = ("us2mri", "pool2delayed")
# The networks of the ultrasound-to-MRI study; the last of each kind are our choice, see the documentation.
STUDY = (
    "2D-Pix2Pix", "2D-CycleGAN", "2D-DiscoGAN", "2D-DualGAN", "2D-GcGAN", "2D-TravelGAN", "3D-AutoEncoder", "3D-UNet",
    "3D-CycleGAN", "3D-Pix2Pix",
)  # fmt: skip
BEYOND = (
    "2D-PerceptualPix2Pix", "2D-CUT", "2D-RegGAN", "2D-ResViT", "2D-Regression", "2.5D-Regression", "3D-ResEncUNet",
    "2D-Bridge", "2D-Positioned", "3D-Located",
)  # fmt: skip
PLANAR = "not applicable: planar"


@dataclass(frozen=True)
class Preset:
    """seconds: of training, for each network and fold. folds: run of `split_folds`. heading: of the page.

    changes: dotted keys of configurations, for all networks ("*") or for one. encoder_steps: of the encoder that
    perceptual losses and distances use.
    """

    name: str
    seconds: float
    folds: int
    split_folds: int
    heading: str
    encoder_steps: int
    changes: Mapping[str, Mapping[str, Any]]


def entries(task: str) -> dict[str, Path | None]:
    """Name of each network to its configuration, in the order of the table; None where the task rules it out."""
    if task not in TASKS:
        raise InputError(f"Unknown task {task!r}; there are {', '.join(TASKS)}.")
    paths = {name: CONFIGS / task / f"{name}.json" for name in (*STUDY, *BEYOND)}
    return {name: path if path.is_file() else None for name, path in paths.items()}


def preset(task: str, name: str) -> Preset:
    """A preset of a task; InputError for an unknown one."""
    known = json.loads((CONFIGS / task / "presets.json").read_text(encoding="utf-8"))
    if name not in known:
        raise InputError(f"Unknown preset {name!r}; there are {', '.join(known)}.")
    return Preset(name=name, **known[name])


def configured(path: Path, chosen: Preset, encoder: Path | None = None, **settings: Any) -> Config:
    """The configuration of an entry under a preset. encoder: folder for objectives that need one.

    settings: further top-level settings (steps, seed, threads). InputError where a change fits no configuration.
    """
    record = read_config(path).model_dump(mode="json")
    record["objective"] = json.loads(path.read_text(encoding="utf-8"))["objective"]
    origins = dict(record["origins"])
    for group in ("*", path.stem):
        for key, value in chosen.changes.get(group, {}).items():
            _change(record, key, value)
            origins = {known: origin for known, origin in origins.items() if not known.startswith(f"{key}.")}
            origins[key] = "our choice"
    record.update(settings, origins=origins)
    if encoder is not None and "encoder" in record["objective"]:
        record["objective"]["encoder"] = str(encoder)
    try:
        return Config.model_validate(record)
    except ValueError as error:
        raise InputError(f"The preset {chosen.name} makes no configuration of {path.stem}: {error}.") from error


def changed(path: Path, chosen: Preset) -> list[tuple[str, Any, Any]]:
    """(setting, from, to) of what a preset changes in the configuration of an entry; None where there was no such."""
    before = read_config(path).model_dump(mode="json")
    after = configured(path, chosen).model_dump(mode="json")
    keys = {**chosen.changes.get("*", {}), **chosen.changes.get(path.stem, {})}
    found = [(key, _value(before, key), _value(after, key)) for key in keys]
    return [(key, old, new) for key, old, new in found if old != new]


def _value(record: Any, key: str) -> Any:
    for part in key.split("."):
        record = record.get(part) if isinstance(record, dict) else None
    return record


def grid_seen(config: Config) -> str:
    """The grid that a network sees of a scan, in words, slices first."""
    source = config.source
    size = " x ".join(map(str, source.patch_size))
    if source.resampling.mode != "fit":
        spacing = source.resampling.spacing
        voxels = "of the scan's voxels" if spacing is None else f"voxels of {' x '.join(f'{s:g}' for s in spacing)} mm"
        return f"windows of {size} {voxels}"
    if source.spatial_dims == 3:
        return f"volume {size}"
    beside = f" and {source.context_slices} on either side" if source.context_slices else ""
    return f"each slice {size}{beside}"


def _change(record: dict[str, Any], key: str, value: Any) -> None:
    *groups, last = key.split(".")
    for group in groups:
        record = record.setdefault(group, {})
    record[last] = value
