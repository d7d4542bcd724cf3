"""Checkpoints of a training run: tensors as safetensors, everything else as JSON.

A checkpoint is a folder `step-000200`, which appears when it is whole; `latest.json`, written last, names the one to
resume from, so that a run killed while writing, or out of disk, resumes from the one before. Only the newest is kept.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialised

from imagetranslation.errors import RunFailed
from imagetranslation.files import as_sentence, atomic_folder, atomic_path, make_folder, write_text

LATEST, STATE = "latest.json", "state"


def save(folder: Path, step: int, networks: Mapping[str, torch.nn.Module], state: dict[str, Any]) -> None:
    """Write a checkpoint. state: tensors, numbers, strings, None, and dicts and lists of them, nothing else."""
    name = f"step-{step:06d}"
    make_folder(folder)
    if _latest(folder) == {"step": step, "folder": name}:
        return  # the same step has the same state
    with as_sentence(folder):
        shutil.rmtree(folder / name, ignore_errors=True)  # of a run that was killed before it was named
    with atomic_folder(folder / name) as place:
        for part, network in networks.items():
            _write(place / f"{part}.safetensors", network.state_dict())
        tensors: dict[str, torch.Tensor] = {}
        plain = _without_tensors(state, tensors)
        _write(place / f"{STATE}.safetensors", tensors)
        (place / f"{STATE}.json").write_text(json.dumps(plain), encoding="utf-8")
    write_text(folder / LATEST, json.dumps({"step": step, "folder": name}) + "\n")
    for old in folder.glob("step-*"):
        if old.name != name:
            shutil.rmtree(old)


def load(folder: Path, networks: Mapping[str, torch.nn.Module]) -> tuple[int, dict[str, Any]] | None:
    """Fill `networks` from the newest checkpoint and return (step, state); None where there is none.

    Raises RunFailed when a checkpoint is named but cannot be read or does not fit the networks.
    """
    if not (folder / LATEST).exists():
        return None
    try:
        latest = json.loads((folder / LATEST).read_text(encoding="utf-8"))
        place = folder / Path(latest["folder"]).name
        for part, network in networks.items():
            network.load_state_dict(load_file(place / f"{part}.safetensors"))
        plain = json.loads((place / f"{STATE}.json").read_text(encoding="utf-8"))
        return int(latest["step"]), _with_tensors(plain, load_file(place / f"{STATE}.safetensors"))
    # Whatever a damaged file raises, the sentence is the same.
    except Exception as error:
        raise RunFailed(f"The checkpoint in {folder} cannot be resumed ({type(error).__name__}); delete it.") from error


def save_weights(network: torch.nn.Module, path: Path) -> None:
    """Write a network's state as safetensors, atomically."""
    with atomic_path(path) as temporary:
        _write(temporary, network.state_dict())


def _write(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Python writes the bytes: a full disk is an OSError then, which safetensors hides behind an error of its own."""
    path.write_bytes(serialised({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def _without_tensors(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The value as JSON can hold it: tensors go into `tensors`, dicts become lists of pairs (keys may be numbers)."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"pairs": [[key, _without_tensors(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_without_tensors(item, tensors) for item in value]
    return value


def _with_tensors(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The inverse of `_without_tensors`; tuples come back as lists."""
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _with_tensors(item, tensors) for key, item in value["pairs"]}
    return [_with_tensors(item, tensors) for item in value] if isinstance(value, list) else value


def _latest(folder: Path) -> Any:
    try:
        return json.loads((folder / LATEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
