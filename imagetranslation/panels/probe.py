"""Run in the worker's Python: which packages it has and which devices torch finds, as one JSON line.

A process of its own, because importing torch takes seconds and would freeze the application.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from typing import Any

PACKAGES = ("torch", "numpy", "SimpleITK", "safetensors", "jsonschema", "psutil", "pydicom", "Pillow")


def report() -> dict[str, Any]:
    """versions: of PACKAGES, null where absent. devices: (id, label) that `predictors.choose_device` takes."""
    versions = {name: _version(name) for name in PACKAGES}
    facts: dict[str, Any] = {"event": "probe", "python": platform.python_version(), "versions": versions}
    if versions["torch"] is None:
        return {**facts, "devices": [], "trouble": "torch is not installed: see Installation below."}
    try:
        return {**facts, "devices": _devices(), "trouble": ""}
    except Exception as error:  # noqa: BLE001  a broken torch installation raises anything
        return {**facts, "devices": [], "trouble": f"torch cannot be loaded: {error}"}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices() -> list[list[str]]:
    import torch

    found = [["cpu", f"CPU ({torch.get_num_threads()} threads)"]]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        found.append([f"cuda:{index}", f"GPU {index}: {facts.name} ({facts.total_memory / 2**30:.0f} GiB)"])
    if torch.backends.mps.is_available():
        found.append(["mps", "Apple GPU"])
    return found


if __name__ == "__main__":
    json.dump(report(), sys.stdout)
    sys.stdout.write("\n")
