"""Windows of held-out scans for a package, on which precisions and engines are compared with plain float32.

Run: python -m training_tools.probes PACKAGE SCAN [SCAN ...] --licence "CC BY 4.0, doi ..."

Up to four windows, those with the most contrast, are written as `probes.safetensors` (float16) beside the weights, and
their SHA-256 and the licence of the scans into model.json. They leave with the package: use scans that may be given
away. Without them `imagetranslation.engines.probes` makes phantoms, which resemble no anatomy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imagetranslation import sliding
from imagetranslation.engines.probes import MOST
from imagetranslation.errors import InputError
from imagetranslation.files import atomic_path, write_text
from imagetranslation.inference import as_network_sees
from imagetranslation.models import METADATA, PROBES, ModelPackage, check_metadata, load_package
from imagetranslation.volume import Volume, read_volume

from .console import run as run_command


def add_probes(package: ModelPackage, scans: Sequence[Volume], licence: str) -> ModelPackage:
    """Write probes into the package's folder; returns the package with them. licence: that of the scans, in words."""
    from safetensors.numpy import save

    if not package.path.is_dir():
        raise InputError(f"{package.path} is no folder; unpack the package first.")
    if not licence.strip():
        raise InputError("Say under which licence the scans may be given away (--licence).")
    chosen = most_contrast([window for scan in scans for window in windows_of(scan, package)])
    data = save({"windows": chosen.astype(np.float16)})
    stored = {"file": PROBES, "sha256": hashlib.sha256(data).hexdigest(), "licence": licence}
    inference = {**package.metadata["inference"], "probes": stored}
    complete = check_metadata({**package.metadata, "inference": inference}, str(package.path))
    with atomic_path(package.path / PROBES) as temporary:
        temporary.write_bytes(data)
    write_text(package.path / METADATA, json.dumps(complete, indent=2, ensure_ascii=False) + "\n")
    return ModelPackage(package.path, complete)


def windows_of(scan: Volume, package: ModelPackage) -> list[np.ndarray]:
    """float32 (channels, *patch): every window of a scan, as the package's network is given it."""
    recorder = _Recorder(package)
    image = as_network_sees(scan, package)
    sliding.slide(image, np.empty(image.shape, np.float32), package, recorder)
    shape = (int(package.inputs["num_channels"]), *package.inputs["patch_size"])
    return [window for window in recorder.windows if window.shape == shape]


def most_contrast(windows: Sequence[np.ndarray]) -> np.ndarray:
    """float32 (n, channels, *patch): up to four windows, those of the largest standard deviation, in their order."""
    if not windows:
        raise InputError("No window of the scans has the package's patch size; give larger scans.")
    order = np.argsort([-float(window.std()) for window in windows], kind="stable")[:MOST]
    return np.stack([windows[n] for n in sorted(order)])


class _Recorder:
    """A predictor that keeps the windows it is given and computes nothing."""

    device, engine, precision = "cpu", "none", "float32"
    notes: tuple[str, ...] = ()

    def __init__(self, package: ModelPackage) -> None:
        self.package = package
        self.windows: list[np.ndarray] = []

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Zeros of the output's shape."""
        self.windows += [window.copy() for window in batch]
        return np.zeros((len(batch), 1, *batch.shape[2:]), np.float32)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.probes", description="Add probe windows.")
    parser.add_argument("package", type=Path, help="package folder")
    parser.add_argument("scans", type=Path, nargs="+", help="scans that no training saw, each whole")
    parser.add_argument("--licence", required=True, help="the scans' licence and source, in words")
    options = parser.parse_args(arguments)
    package = add_probes(load_package(options.package), [read_volume(scan) for scan in options.scans], options.licence)
    print(json.dumps({"package": str(package.path), "probes": package.metadata["inference"]["probes"]}))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
