"""Checkpoints of a training run: weights as safetensors, optimisers and random states in a weights-only torch file.

A checkpoint is a folder `step-000200`; `latest.json`, written last, names the one to resume from, so that a run killed
while writing resumes from the checkpoint before. Only the newest is kept.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as serialised

from imagetranslation.errors import RunFailed
from imagetranslation.files import atomic_path, make_folder, write_text

LATEST = "latest.json"


def save(folder: Path, step: int, networks: dict[str, torch.nn.Module], state: dict[str, Any]) -> None:
    """Write a checkpoint. state: tensors, numbers, strings, and dicts and lists of them, nothing else."""
    name = f"step-{step:06d}"
    place = make_folder(folder / name)
    for part, network in networks.items():
        save_weights(network, place / f"{part}.safetensors")
    # Python writes the bytes: a full disk is an OSError then, which torch and safetensors hide behind errors of theirs.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with atomic_path(place / "state.pt") as temporary:
        temporary.write_bytes(buffer.getvalue())
    write_text(folder / LATEST, json.dumps({"step": step, "folder": name}) + "\n")
    for old in folder.glob("step-*"):
        if old.name != name:
            shutil.rmtree(old)


def load(folder: Path, networks: dict[str, torch.nn.Module]) -> tuple[int, dict[str, Any]] | None:
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
        return int(latest["step"]), torch.load(place / "state.pt", weights_only=True)
    # Whatever a damaged file raises, the sentence is the same.
    except Exception as error:
        raise RunFailed(f"The checkpoint in {folder} cannot be resumed ({type(error).__name__}); delete it.") from error


def save_weights(network: torch.nn.Module, path: Path) -> None:
    """Write a network's state as safetensors, atomically."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(serialised(state))
