"""One translation from file to file: what the command line, the batch and the worker process all do.

Reads the input, checks that the output may be written, translates, writes, and reports. Nothing is written unless all
of it succeeded.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .deviationmaps import map_path, remove_map
from .errors import InputError, RunFailed
from .files import make_folder, require_text_name
from .formats import SUFFIXES, suffix_of

if TYPE_CHECKING:
    from .predictors import Predictor
    from .uncertainty import Result as UncertaintyResult
    from .volume import Volume

DEFAULT_MODEL = "us2mri-pix2pix-small"
# The result in 32 bits, the copy that is written, and the one that is read back; the input is there already.
_BYTES_PER_VOXEL = 12
_NOTHING = type(None)
_JOB_TYPES: dict[str, tuple[type, ...]] = {
    "model": (str,), "device": (str,), "series": (str, _NOTHING), "component": (int, str, _NOTHING),
    "frames_as_slices": (int, float, _NOTHING), "allow_synthetic": (bool,), "overwrite": (bool,),
    "mask": (str, _NOTHING), "created": (str, _NOTHING), "engine": (str,), "precision": (str,),
    "uncertainty": (str, _NOTHING), "samples": (int,), "members": (list, tuple),
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """What to translate and how. Paths are strings, so that a job is plain JSON.

    input: image file, DICOM file or DICOM folder. output: file to write. model: id or path of a package. device: see
    `predictors.choose_device`. series, component, frames_as_slices: see `volume.read_volume`. allow_synthetic:
    translate an image that a model made. overwrite: replace an existing file that is not a synthetic image. mask:
    image file on the input's grid; only where it is not zero is anything synthesised. created: the ISO 8601 time that
    the result's record shall bear; the time it is made when not given. A cohort gives all its cases the time it was
    begun, so that a case done again is the same to the last byte. engine, precision: see `engines.make_predictor`.
    uncertainty: "auto", "tta", "ensemble" or "dropout" to write a map of the standard deviation beside the output (see
    `uncertainty.Settings`), None for no map; a map that an earlier run left beside the output is then removed.
    samples: how many answers it is made of, 0 for the package's own number. members: ids or paths of further packages
    that make an ensemble with `model`.
    """

    input: str
    output: str
    model: str = DEFAULT_MODEL
    device: str = "auto"
    series: str | None = None
    component: int | str | None = None
    frames_as_slices: float | None = None
    allow_synthetic: bool = False
    overwrite: bool = False
    mask: str | None = None
    created: str | None = None
    engine: str = "auto"
    precision: str = "auto"
    uncertainty: str | None = None
    samples: int = 0
    members: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, mapping: Any) -> Job:
        """A job from JSON; InputError names what is missing or unknown."""
        if not isinstance(mapping, dict):
            raise InputError("A job is a JSON object with at least input and output.")
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(mapping) - known):
            raise InputError(
                f"The job has unknown settings: {', '.join(unknown)}. Known are {', '.join(sorted(known))}."
            )
        if missing := [name for name in ("input", "output") if not isinstance(mapping.get(name), str)]:
            raise InputError(f"The job does not say its {' and its '.join(missing)} (a path).")
        for name, kinds in _JOB_TYPES.items():
            value = mapping.get(name, getattr(cls, name, ""))
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise InputError(f"The job's {name} is {json.dumps(value)[:60]}, which is not what it can be.")
        if mapping.get("created") is not None:
            try:
                datetime.fromisoformat(mapping["created"])
            except ValueError:
                raise InputError(f"The job's created is {mapping['created'][:60]!r}, which is no time.") from None
        if not all(isinstance(member, str) for member in mapping.get("members", ())):
            raise InputError("The job's members are ids or paths of model packages, as text.")
        return cls(**{**mapping, "members": tuple(mapping.get("members", ()))})


def run_job(
    job: Job,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    runner: Predictor | None = None,
    volume: Volume | None = None,
) -> dict[str, Any]:
    """Do one job; returns the report: paths, model, device, seconds and the notes a person should read.

    runner: a loaded predictor, for many jobs with one model; made from the job when not given. volume: the input as
    `read_input` gave it, for those who read ahead; read here when not given.
    """
    from .volume import write_volume

    started = time.monotonic()
    output = Path(job.output)
    _check_output(job, output)
    if job.uncertainty is not None:
        _check_output(job, map_path(output))
    runner = runner or make_runner(job)
    package = runner.package
    volume = volume or read_input(job)
    _check_memory(volume)
    if job.mask is not None:
        volume = _limited(volume, job.mask)
    loaded = time.monotonic()
    try:
        result, found = _translated(job, volume, runner, progress, cancelled)
    except MemoryError as error:
        raise RunFailed(f"{volume.name} does not fit in this machine's memory.") from error
    translated = time.monotonic()
    make_folder(output.parent)
    mapped = _write_map(found, output)
    written = write_volume(result, output)
    if found is None:
        remove_map(output)
    return {
        **mapped,
        "input": job.input,
        "output": str(written),
        "model": package.id,
        "version": package.version,
        "weights_sha256": package.weights_sha256,
        "device": runner.device,
        "engine": runner.engine,
        "precision": runner.precision,
        "distribution": result.attributes.get("distribution"),
        "shape_kji": list(result.array.shape),
        "seconds_to_load": round(loaded - started, 3),
        "seconds_to_translate": round(translated - loaded, 3),
        "seconds_to_write": round(time.monotonic() - translated, 3),
        "notes": list(result.notes),
    }


def make_runner(job: Job) -> Predictor:
    """The predictor of a job's model, device, engine and precision, loaded.

    Trying the engines of a large model for the first time takes a while; what is being tried is said on stderr.
    """
    from .engines import make_predictor
    from .models import load_package

    return make_predictor(
        load_package(job.model), device=job.device, engine=job.engine, precision=job.precision, say=_say
    )


def _say(text: str) -> None:
    print(f"Finding the fastest engine for this model, once on this machine: {text}", file=sys.stderr, flush=True)


def read_input(job: Job) -> Volume:
    """The volume a job names; see `volume.read_volume` for what is raised."""
    from .volume import read_volume

    return read_volume(
        job.input, series=job.series, component=job.component, frames_as_slices=job.frames_as_slices, mapped=True
    )


def load_job(path: str | Path) -> dict[str, Any]:
    """The JSON object in a job file; InputError with one sentence when it is not one."""
    try:
        mapping = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The job file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"The job file {path} is not JSON: {error}.") from error
    if not isinstance(mapping, dict):
        raise InputError(f"The job file {path} must hold one JSON object.")
    return mapping


def save_job(job: Job, path: str | Path, **more: Any) -> None:
    """Write a job file for the worker; `more` are the worker's own settings (`parent_pid`)."""
    Path(path).write_text(json.dumps({**asdict(job), **more}), encoding="utf-8")


def default_name(source: str | Path, modality: str, suffix: str = "") -> str:
    """File name of the synthetic image of `source`: its stem, "_synthetic-", the modality, and its suffix."""
    own = suffix_of(source)
    name = Path(source).name or Path(source).resolve().name  # "." stands for a folder that has a name
    stem = name[: len(name) - len(own)] if own else Path(name).stem
    return f"{stem}_synthetic-{modality.lower()}{suffix or own or '.nrrd'}"


def _translated(
    job: Job,
    volume: Volume,
    runner: Predictor,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> tuple[Volume, UncertaintyResult | None]:
    """The synthetic image, and what was found about its uncertainty where the job asks for it."""
    if job.uncertainty is None:
        from .inference import translate

        image = translate(
            volume, runner.package, predictor=runner, progress=progress, cancelled=cancelled,
            allow_synthetic=job.allow_synthetic, created=job.created,
        )  # fmt: skip
        return image, None
    from .uncertainty import Settings, translate_with_uncertainty

    found = translate_with_uncertainty(
        volume, runner.package, settings=Settings(job.uncertainty, job.samples, packages=job.members),
        predictor=runner, progress=progress, cancelled=cancelled, allow_synthetic=job.allow_synthetic,
        created=job.created,
    )  # fmt: skip
    return found.synthetic, found


def _write_map(found: UncertaintyResult | None, output: Path) -> dict[str, Any]:
    """Write the map beside the output, where there is one, and say what it is.

    Before the image: a map without its image says what it is, an image without the map that was asked for does not.
    """
    if found is None:
        return {}
    from .uncertainty import write

    return {
        "uncertainty": str(write(found, output)),
        "uncertainty_method": found.method,
        "uncertainty_samples": found.samples,
        "calibrated": found.calibrated,
        "calibration_patients": found.patients,
        "uncertainty_notes": list(found.notes),
    }


def _check_output(job: Job, output: Path) -> None:
    if not suffix_of(output):
        raise InputError(f"{output.name} has no suffix that can be written; use one of {', '.join(SUFFIXES)}.")
    require_text_name(output)
    try:
        if not output.exists():
            _require_writable(output)
            return
    except OSError as error:
        raise RunFailed(f"{output} cannot be written: {error.strerror}. Choose another name or folder.") from error
    if output.is_dir():
        raise InputError(f"{output} is a folder; name a file to write, for example {output / 'synthetic.nii.gz'}.")
    if output.resolve() == Path(job.input).resolve():
        raise InputError(f"{output} is the input itself; the synthetic image must go to another file.")
    if not job.overwrite and not _is_synthetic(output):
        raise InputError(f"{output} exists and is not a synthetic image; it is kept. Use --overwrite to replace it.")


def _require_writable(output: Path) -> None:
    """RunFailed before any work is done, where the folder that will hold the output can't be written."""
    folder = next(parent for parent in output.absolute().parents if parent.exists())
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise RunFailed(f"{output} cannot be written: no permission for {folder}. Choose another folder.")


def _is_synthetic(path: Path) -> bool:
    from .volume import read_volume

    try:
        return read_volume(path).synthetic
    except InputError:
        return False


def _limited(volume: Volume, mask: str) -> Volume:
    """The volume with its field of view cut down to where the mask image is not zero."""
    from .volume import read_volume

    inside = read_volume(mask)
    if not inside.same_grid(volume):
        raise InputError(f"The mask {Path(mask).name} is not on the grid of {volume.name}; resample it first.")
    seen = inside.array != 0
    if volume.field_of_view is not None:
        seen &= volume.field_of_view
    note = f"Translated inside the mask {inside.name} only."
    return replace(volume, field_of_view=seen, notes=(*volume.notes, note))


def _check_memory(volume: Volume) -> None:
    import psutil

    needed, free = volume.array.size * _BYTES_PER_VOXEL, psutil.virtual_memory().available
    if needed > free:
        raise RunFailed(
            f"{volume.name} has {volume.array.size / 1e6:.0f} million voxels: translating it takes about "
            f"{needed / 2**30:.0f} GiB of memory and {free / 2**30:.1f} GiB is free. Crop it or use a larger machine."
        )
