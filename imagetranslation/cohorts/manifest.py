"""What a cohort is made with, settled once and kept in `cohort.json`: model, settings, engine, threads, versions, time.

All cases of a folder are made alike, also after a restart, on another machine or by a newer program: what differs from
the file is refused. "auto" is settled before the first case and stands there as what it became. How many processes
share the work is not in it, because no result depends on that; the number of threads is, because sums in a network
may depend on it in the last bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import InputError
from ..files import write_text
from ..jobs import Job

if TYPE_CHECKING:
    from ..models import ModelPackage

MANIFEST = "cohort.json"
FORMAT = 1
MOST_THREADS = 1024
# Settings that "auto" leaves to the machine.
CHOSEN = ("device", "engine", "precision")
# What belongs to one case or to the way of working, not to the result.
_NOT_SETTINGS = {"input", "output", "overwrite", "created", "model", *CHOSEN}
_VERSIONS = ("torch", "numpy", "SimpleITK", "pydicom", "onnxruntime", "openvino")


def identity(package: ModelPackage) -> dict[str, str]:
    """What tells one model from another: id, version, SHA-256 of the weights and of model.json."""
    text = json.dumps(package.metadata, sort_keys=True)
    return {
        "id": package.id,
        "version": package.version,
        "weights_sha256": package.weights_sha256,
        "metadata_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def software() -> dict[str, str]:
    """Versions of what has a hand in the bytes of a result, where it is installed."""
    found = {"imagetranslation": __version__}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def settle(job: Job, facts: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """The manifest of a new cohort.

    job: what was asked for. facts: what became of it on the machine that does the work (`work.facts`): model, software,
    device, engine, precision, and what the predictor says about itself. threads: CPU threads a process uses.
    """
    return {
        "format": FORMAT,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": facts["model"],
        "settings": _settings(job),
        **{name: facts[name] for name in CHOSEN if name in facts},
        "threads": threads,
        "notes": facts["notes"],
        "software": facts["software"],
    }


def applied(manifest: Mapping[str, Any], job: Job) -> Job:
    """The job with everything that "auto" left open as the manifest has it, and the cohort's time."""
    chosen = {
        name: manifest[name] for name in CHOSEN if name in manifest and getattr(job, name, None) in ("auto", None)
    }
    return replace(job, created=str(manifest["created"]), **{k: v for k, v in chosen.items() if hasattr(job, k)})


def differences(manifest: Mapping[str, Any], job: Job, model: Mapping[str, str], threads: int | None) -> list[str]:
    """What this run would do otherwise than the manifest says, one phrase each. threads: None leaves that open."""
    then, found = manifest["model"], []
    if then != model:
        found.append(f"model {_name(then)}, now {_name(model)}")
    before, now = manifest["settings"], _settings(job)
    found += [
        f"{name} {_shown(before.get(name))}, now {_shown(now.get(name))}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    for name in CHOSEN:
        wanted = getattr(job, name, None)
        if wanted not in (None, "auto") and _kind(wanted) != manifest.get(name):
            found.append(f"{name} {_shown(manifest.get(name))}, now {_shown(wanted)}")
    if threads is not None and threads != manifest["threads"]:
        found.append(f"{manifest['threads']} threads, now {threads}")
    return found


def software_differences(manifest: Mapping[str, Any], present: Mapping[str, str]) -> list[str]:
    """The programs whose versions are not those the cohort was begun with."""
    before = manifest["software"]
    return [
        f"{name} {before.get(name, 'absent')}, now {present.get(name, 'absent')}"
        for name in sorted({*before, *present})
        if before.get(name) != present.get(name)
    ]


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Keep the manifest in the cohort's folder."""
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest in a folder, None where there is none; InputError where it cannot be one."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError):
        found = None
    if not _is_sound(found):
        raise InputError(
            f"{path} is not the record of a cohort, or one of a newer version. Choose another output folder, or remove "
            "the file to begin anew."
        )
    return dict(found)


def _is_sound(found: Any) -> bool:
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return False
    threads = found.get("threads")
    if not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
        return False
    try:
        datetime.fromisoformat(found.get("created"))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    notes = found.get("notes")
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        return False
    tables = [found.get(name) for name in ("model", "settings", "software")]
    return all(isinstance(table, dict) for table in tables) and all(
        isinstance(found.get(name, ""), str) for name in CHOSEN
    )


def _settings(job: Job) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(job).items()
        if name not in _NOT_SETTINGS
    }


def _kind(device: str) -> str:
    """ "cuda" of "cuda:1": which of several equal devices did the work makes no difference."""
    return device.partition(":")[0]


def _name(model: Mapping[str, Any]) -> str:
    digest = str(model.get("weights_sha256", ""))[:8]
    return f"{model.get('id')} {model.get('version')} ({digest})"


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)[:60]
