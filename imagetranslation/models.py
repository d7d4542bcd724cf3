"""Model packages: finding, reading, checking and writing them.

A package is a folder or a zip of `model.json`, `weights.safetensors` and `MODEL_CARD.md`. It holds numbers and text,
never code: the network is looked up in our registry by name, weights are safetensors, and their SHA-256 is checked on
the very bytes that are loaded, at every load.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import ModelRefused
from .files import atomic_path, make_folder, write_text
from .headers import free_memory
from .resources import model_folders

METADATA, WEIGHTS, CARD, PROBES = "model.json", "weights.safetensors", "MODEL_CARD.md", "probes.safetensors"
FORMAT_VERSION = 1
_LARGEST = {METADATA: 4 << 20, CARD: 4 << 20, WEIGHTS: 4 << 30, PROBES: 64 << 20}


@dataclass(frozen=True)
class ModelPackage:
    """A package whose metadata was checked against the schema. path: its folder or zip. metadata: model.json."""

    path: Path
    metadata: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Identifier, e.g. "us2mri-pix2pix-small"."""
        return str(self.metadata["id"])

    @property
    def version(self) -> str:
        """Semantic version of the package."""
        return str(self.metadata["version"])

    @property
    def inputs(self) -> dict[str, Any]:
        """Format of the network's input image."""
        return dict(self.metadata["network_data_format"]["inputs"]["image"])

    @property
    def outputs(self) -> dict[str, Any]:
        """Format of the network's output image."""
        return dict(self.metadata["network_data_format"]["outputs"]["image"])

    @property
    def weights_sha256(self) -> str:
        """Hex digest that the weights file must have."""
        return str(self.metadata["weights"]["sha256"])

    def card(self) -> str:
        """The model card, Markdown."""
        return _read(self.path, CARD).decode("utf-8", errors="replace")

    def weights(self) -> bytes:
        """The bytes of the weights file, their SHA-256 checked; ModelRefused when it differs."""
        data = _read(self.path, WEIGHTS, self._largest_weights())
        found = hashlib.sha256(data).hexdigest()
        if found != self.weights_sha256:
            raise ModelRefused(
                f"The weights of {self.id} have SHA-256 {found[:12]}..., but its model.json says "
                f"{self.weights_sha256[:12]}...: the package {self.path} is damaged or was changed. Get it again."
            )
        return data

    def probes(self) -> bytes | None:
        """The bytes of the stored probe inputs, their SHA-256 checked, or None where the package has none.

        They are what `engines.gate` compares precisions on; ModelRefused when they are not those of the metadata.
        """
        stored = self.metadata["inference"].get("probes")
        if stored is None:
            return None
        data = _read(self.path, PROBES)
        if hashlib.sha256(data).hexdigest() != stored["sha256"]:
            raise ModelRefused(
                f"The probe inputs of {self.id} are not those that its model.json names: the package {self.path} is "
                "damaged or was changed. Get it again."
            )
        return data

    def _largest_weights(self) -> int:
        """Bytes the weights file may have: 64-bit parameters, as much again of other state, and a header.

        ModelRefused where so many parameters, in the file and in 32 bits for the network, exceed the free memory.
        """
        parameters = int(self.metadata["weights"]["parameters"])
        needed, free = 8 * parameters, free_memory()
        if needed > free:
            raise ModelRefused(
                f"{self.id} has {parameters:,} parameters, which take about {needed / 2**30:.1f} GiB of memory, and "
                f"{free / 2**30:.1f} GiB is free; use a larger machine."
            )
        return 16 * parameters + (16 << 20)

    def network(self) -> Any:
        """The network as a torch module in float32 evaluation mode, weights loaded; ModelRefused when they don't fit.

        The network is first laid out without memory and compared with the weights file, so that a package cannot
        ask for more memory than its weights occupy.
        """
        from safetensors.torch import load

        spec = self.metadata["network"]
        try:
            state = {n: t.float() if t.is_floating_point() else t for n, t in load(self.weights()).items()}
            network = _skeleton(spec)
            network.load_state_dict(state, strict=True, assign=True)
        except ModelRefused:
            raise
        except Exception as error:  # a hostile package may raise anything; all of it is one refusal
            raise ModelRefused(
                f"The weights of {self.id} do not fit its network {spec['name']}: {_line(error)}"
            ) from error
        return network.eval()


def load_package(id_or_path: str | Path) -> ModelPackage:
    """Read and check a package by path (folder or zip) or by id; the weights are checked when they are read.

    Raises ModelRefused for anything that is not a well-formed package this version can run.
    """
    path = _locate(id_or_path)
    metadata = check_metadata(_json(_read(path, METADATA), path), str(path))
    return ModelPackage(path, metadata)


def list_packages() -> list[ModelPackage | ModelRefused]:
    """Every package in the model folders, newest version of an id first; a broken one is listed as its refusal."""
    found: list[ModelPackage | ModelRefused] = []
    for folder in model_folders():
        try:
            packages = [p for p in sorted(folder.iterdir()) if p.suffix == ".zip" or (p / METADATA).is_file()]
        except OSError as error:
            found.append(ModelRefused(f"The model folder {folder} cannot be read: {error.strerror}."))
            continue
        for path in packages:
            try:
                found.append(load_package(path))
            except ModelRefused as refusal:
                found.append(refusal)
    return found


def verify(package: ModelPackage) -> dict[str, Any]:
    """Load everything a run would load; returns what was checked, raises ModelRefused at the first fault."""
    network = package.network()
    parameters = sum(p.numel() for p in network.parameters())
    if parameters != package.metadata["weights"]["parameters"]:
        raise ModelRefused(
            f"{package.id} has {parameters} parameters, but its model.json says "
            f"{package.metadata['weights']['parameters']}."
        )
    if not package.card().strip():
        raise ModelRefused(f"{package.id} has an empty {CARD}; a package must say what it is for and what it is not.")
    return {
        "id": package.id,
        "version": package.version,
        "path": str(package.path),
        "weights_sha256": package.weights_sha256,
        "parameters": parameters,
        "schema": "valid",
    }


def check_metadata(metadata: Any, where: str) -> dict[str, Any]:
    """The same metadata if it follows the schema, else ModelRefused with one sentence naming the fault."""
    import jsonschema

    from . import outofdistribution
    from .uncertainty import calibration

    version = metadata.get("format_version") if isinstance(metadata, dict) else None
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT_VERSION:
        raise ModelRefused(
            f"{where} is a package of format {version}; this version reads format {FORMAT_VERSION}. "
            "Update imagetranslation."
        )
    validator = jsonschema.Draft202012Validator(schema())
    fault = jsonschema.exceptions.best_match(validator.iter_errors(metadata))
    if fault is not None:
        raise ModelRefused(f"{where} is not a valid model package: {fault.json_path}: {_line(fault.message)}.")
    inputs = metadata["network_data_format"]["inputs"]["image"]
    if len(inputs["patch_size"]) != inputs["spatial_dims"]:
        raise ModelRefused(f"{where} is not a valid model package: patch_size must have spatial_dims numbers.")
    if inputs["orientation"] != "unknown" and len({"LRAPSI".index(c) // 2 for c in inputs["orientation"]}) != 3:
        raise ModelRefused(
            f"{where} is not a valid model package: orientation {inputs['orientation']} repeats an axis."
        )
    lines = [metadata[key] for key in ("id", "version", "title", "authors", "licence", "created", "task")]
    sides = metadata["network_data_format"]
    if not all(line.isprintable() for line in (*lines, inputs["modality"], sides["outputs"]["image"]["modality"])):
        raise ModelRefused(f"{where} is not a valid model package: a name in it holds control characters.")
    lower, upper = metadata["network_data_format"]["outputs"]["image"]["value_range"]
    if not lower < upper:
        raise ModelRefused(f"{where} is not a valid model package: its output range must rise; it is {lower}, {upper}.")
    ranges = metadata["training"]["ranges"]
    if len(ranges.get("quantiles_mean", ())) != len(ranges.get("quantiles_sd", ())):
        raise ModelRefused(f"{where} is not a valid model package: quantiles_mean and quantiles_sd belong together.")
    outofdistribution.check(metadata, where)
    calibration.check(metadata, where)
    return dict(metadata)


def schema() -> dict[str, Any]:
    """The JSON schema of model.json."""
    return dict(json.loads((Path(__file__).parent / "schemas" / "model.schema.json").read_text(encoding="utf-8")))


def write_package(
    folder: str | Path, metadata: Mapping[str, Any], state_dict: Mapping[str, Any], card: str
) -> ModelPackage:
    """Write a package folder; `weights` of the metadata (file, sha256, dtype, parameters) are filled in here.

    metadata: everything else of model.json, `weights.dtype` optionally ("float16" by default). state_dict: tensors of
    the network the metadata names. card: Markdown. The metadata is written last: a folder without it is no package.
    """
    import torch
    from safetensors.torch import save

    wanted = metadata.get("weights", {}).get("dtype", "float16")
    dtype = getattr(torch, wanted)
    tensors = {n: (t.to(dtype) if t.is_floating_point() else t).contiguous() for n, t in state_dict.items()}
    data = save(tensors)
    parameters = sum(p.numel() for p in _skeleton(metadata["network"]).parameters())
    weights = {"file": WEIGHTS, "sha256": hashlib.sha256(data).hexdigest(), "dtype": wanted, "parameters": parameters}
    complete = check_metadata({**metadata, "format_version": FORMAT_VERSION, "weights": weights}, str(folder))
    path = make_folder(folder)
    with atomic_path(path / WEIGHTS) as temporary:
        temporary.write_bytes(data)
    write_text(path / CARD, card)
    write_text(path / METADATA, json.dumps(complete, indent=2, ensure_ascii=False) + "\n")
    return ModelPackage(path, complete)


def _skeleton(spec: Mapping[str, Any]) -> Any:
    """The network laid out on torch's meta device: shapes and parameters, no memory."""
    import torch

    from . import networks

    with torch.device("meta"):
        return networks.build(spec["name"], **spec["arguments"])


def _locate(id_or_path: str | Path) -> Path:
    path = Path(id_or_path)
    try:
        if path.suffix != ".zip" and len(path.parts) == 1:
            # An installed model comes before a folder that happens to have its name.
            for folder in model_folders():
                for candidate in (folder / path.name, folder / f"{path.name}.zip"):
                    if candidate.exists():
                        return candidate
        if path.exists():
            return path
    except OSError as error:
        raise ModelRefused(f"There is no readable model package at {path}: {error.strerror}.") from error
    if path.suffix == ".zip" or len(path.parts) > 1:
        raise ModelRefused(f"There is no model package at {path}.")
    raise ModelRefused(f"There is no model called {path.name}; `imagetranslation models list` shows those installed.")


def _read(path: Path, name: str, largest: int = 1 << 62) -> bytes:
    """One member of a package of at most `largest` bytes, whatever it is packed in."""
    largest = min(largest, _LARGEST[name], free_memory() // 2)
    try:
        if path.is_dir():
            return _read_file(path / name, largest)
        with zipfile.ZipFile(path) as archive:
            return _read_member(archive, path, name, largest)
    except FileNotFoundError as error:
        raise ModelRefused(f"{path} is not a model package: it has no {name}.") from error
    except ModelRefused:
        raise
    except Exception as error:  # what a damaged zip raises depends on how its members are packed
        raise ModelRefused(f"{path} is not a readable model package: {_line(error)}.") from error


def _read_file(path: Path, largest: int) -> bytes:
    if path.resolve().parent != path.parent.resolve():
        raise ModelRefused(f"{path} is a link out of its package; a package must hold its own files.")
    if path.exists() and not path.is_file():
        raise ModelRefused(f"{path} is not a file; a package holds plain files.")
    _require_size(path, path.stat().st_size, path.name, largest)
    return path.read_bytes()


def _read_member(archive: zipfile.ZipFile, path: Path, name: str, largest: int) -> bytes:
    """A member at the archive's root or in its single top folder; any name that leaves the archive refuses it all."""
    matches = []
    for info in archive.infolist():
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in info.filename:
            raise ModelRefused(f"{path} is refused: its member {info.filename!r} points outside the package.")
        if parts.name == name and len(parts.parts) <= 2:
            matches.append(info)
    if not matches:
        raise FileNotFoundError(name)
    if len(matches) > 1:
        raise ModelRefused(f"{path} is refused: it holds {name} more than once.")
    _require_size(path, matches[0].file_size, name, largest)
    return archive.read(matches[0])


def _require_size(path: Path, size: int, name: str, largest: int) -> None:
    if size > largest:
        raise ModelRefused(
            f"{path} is refused: its {name} is {size / 2**20:.1f} MiB, and what its model.json declares and this "
            f"machine's memory allow is {largest / 2**20:.1f} MiB."
        )


def _json(data: bytes, path: Path) -> Any:
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"{path} is not a valid model package: {METADATA} is not JSON ({_line(error)}).") from error


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _line(error: object) -> str:
    """The first line of a message, shortened."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200].rstrip(".")
