"""The ONNX form of a model package, made once and kept; ONNX Runtime and OpenVINO both read it.

It is kept in the package's folder (`engines/`), or in the person's data folder for zip packages, shipped models and
folders that may not be written. Whoever can change that file could make a network compute anything, so that a file is
only used when its SHA-256 is the one noted in the person's own data folder when it was made; any other is made anew.
The bytes that were checked are the bytes that are run, and a file of ours holds its weights itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ImageTranslationError, RunFailed
from ..files import atomic_path, make_folder
from ..resources import resource_folders, user_folder
from . import machine, records

if TYPE_CHECKING:
    from ..models import ModelPackage

OPSET = 20
# Raise it when the same torch would export another file.
EXPORTER = 1
# protobuf, which ONNX is written in, ends here; larger networks would need their weights in files of their own.
LARGEST = (2 << 30) - (1 << 20)
# The exporter rewrites torch's global state while it runs.
_one_at_a_time = threading.Lock()


def onnx_bytes(package: ModelPackage) -> bytes:
    """The package's network as an ONNX model (input "windows", any batch size, output "made"), from the cache or new.

    The package's weights are checked first, as at every load. Raises ModelRefused for a damaged package and RunFailed
    where exporting is not possible here.
    """
    package.weights()
    with _one_at_a_time:
        known = records.read(_record_name(package)).get("sha256")
        for path in places(package):
            if (data := _trusted(path, known)) is not None:
                return data
        data = export(package)
        _keep(package, data)
    return data


def export(package: ModelPackage) -> bytes:
    """Export anew; nothing is kept."""
    import torch

    missing = [name for name in ("onnx", "onnxscript") if name not in machine.versions()]
    if missing:
        raise RunFailed(
            f"Exporting a model needs {' and '.join(missing)}: run pip install 'imagetranslation[engines]'."
        )
    inputs = package.inputs
    example = torch.zeros(2, int(inputs["num_channels"]), *inputs["patch_size"])
    with tempfile.TemporaryDirectory(prefix="imagetranslation-") as folder, _quiet():
        path = Path(folder) / "model.onnx"
        try:
            program = torch.onnx.export(
                package.network(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["windows"],
                output_names=["made"],
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
                verbose=False,
            )
            assert program is not None
            program.save(str(path), external_data=False)
        except ImageTranslationError:
            raise
        except Exception as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".")
            raise RunFailed(f"{package.id} cannot be exported to ONNX ({line}); use --engine torch.") from error
        if path.stat().st_size > LARGEST:
            raise RunFailed(f"{package.id} is too large for one ONNX file; use --engine torch.")
        return path.read_bytes()


def places(package: ModelPackage) -> list[Path]:
    """Where the export may lie: in the package's folder, if that is the person's to write, and in their data folder."""
    name = f"{_key(package)}.onnx"
    folders = [user_folder() / "engines" / "exports"]
    if package.path.is_dir() and not _installed(package.path) and os.access(package.path, os.W_OK):
        folders.insert(0, package.path / "engines")
    return [folder / name for folder in folders]


def _installed(path: Path) -> bool:
    """Whether a package came with the program: its folder is not the person's, even where they may write to it."""
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in resource_folders())


def _trusted(path: Path, sha256: Any) -> bytes | None:
    """The bytes of a plain file if they are those that were noted, else None."""
    try:
        # A pipe, for one, would keep its reader waiting for ever.
        plain = path.is_file() and not path.is_symlink()
        if not isinstance(sha256, str) or not plain or path.stat().st_size > LARGEST:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None


def _keep(package: ModelPackage, data: bytes) -> None:
    """Write the export to the first place that takes it, then note its checksum; without a place, nothing is kept."""
    for path in places(package):
        with contextlib.suppress(RunFailed):
            make_folder(path.parent)
            with atomic_path(path) as temporary:
                temporary.write_bytes(data)
            records.write(_record_name(package), {"sha256": hashlib.sha256(data).hexdigest(), "model": package.id})
            return


def _record_name(package: ModelPackage) -> str:
    return f"export-{_key(package)}"


def _key(package: ModelPackage) -> str:
    """Names the weights, the network around them, the windows, and what exports: 24 letters."""
    known = machine.versions()
    described = {
        "weights": package.weights_sha256,
        "network": package.metadata["network"],
        "windows": [package.inputs["num_channels"], *package.inputs["patch_size"]],
        "exporter": [EXPORTER, OPSET, known.get("torch"), known.get("onnxscript")],
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:24]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's messages away: a worker's standard output carries nothing but its own lines."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
