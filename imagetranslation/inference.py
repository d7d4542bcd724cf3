"""Volume and model package in, synthetic volume on the same grid out.

One code path for 2D slice-wise and 3D sliding-window networks: orient and resample (`grid`), normalise (`intensity`),
cut into windows (`windows`), run them in batches (`predictors`), blend in float32, and undo every step. What lies
outside the field of view is background: nothing is synthesised where nothing was recorded.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np

from . import __version__, grid, intensity, windows
from .checks import warnings_for
from .errors import Cancelled, InputError, ModelRefused
from .fieldofview import field_of_view
from .headers import free_memory
from .predictors import Predictor, TorchPredictor, choose_device
from .provenance import Provenance, display_name

if TYPE_CHECKING:
    from .models import ModelPackage
    from .volume import Volume

Progress = Callable[[int, int], None]
BATCH_VOXELS = 1 << 19
# More windows than this take days, and a plan of them gigabytes; a 500-voxel cube in 32-voxel patches has 14,000.
MOST_WINDOWS = 2_000_000
# What a voxel of the model's grid costs at the worst moment: image, padded copy, sum, weight, quotient and resampling.
BYTES_PER_MODEL_VOXEL = 32


def translate(
    volume: Volume,
    package: ModelPackage,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    allow_synthetic: bool = False,
    predictor: Predictor | None = None,
    created: str | None = None,
) -> Volume:
    """Translate `volume` with `package`; the result has exactly its grid, float32 voxels and a provenance.

    progress: called with (windows done, windows in all). cancelled: polled between batches; Cancelled is raised once
    it returns true. allow_synthetic: whether an image made by a model may be translated again. predictor: what runs
    the network; made from the package when not given. created: the ISO 8601 time the provenance bears, instead of now.
    Raises InputError, ModelRefused, RunFailed or Cancelled.
    """
    from .volume import check_usable

    check_usable(volume)
    if volume.synthetic and not allow_synthetic:
        raise InputError(
            f"{volume.name} was itself made by a model; translating it again is refused. "
            "Use the scan it was made from, or force it with --allow-synthetic."
        )
    if package.inputs["num_channels"] != 1:
        raise ModelRefused(f"{package.id} wants {package.inputs['num_channels']} input channels; a volume gives one.")
    model_grid = grid.model_grid(volume, package.inputs)
    _refuse_excess(model_grid, package)
    seen = field_of_view(volume, package.inputs["field_of_view"])
    runner = predictor or TorchPredictor(package, choose_device(device))
    normalised, _ = intensity.normalise(volume.array, seen, package.inputs["normalisation"])
    produced = run_windows(model_grid.forward(normalised), package, runner, progress, cancelled)
    array = intensity.denormalise(model_grid.back(produced), package.outputs)
    array[~seen] = package.outputs["background"]
    record = _provenance(volume, package, (*volume.notes, *warnings_for(volume, seen, package)), created)
    return _synthetic(volume, array, record, tuple(package.outputs["window"]))


def run_windows(
    image: np.ndarray,
    package: ModelPackage,
    predictor: Predictor,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> np.ndarray:
    """Run a network over float32 (slice, row, column); returns the blended float32 output of the same shape."""
    inputs, settings = package.inputs, package.metadata["inference"]
    flat = inputs["spatial_dims"] == 2
    plan = windows.plan(image.shape, tuple(inputs["patch_size"]), settings["overlap"])
    padded = _pad(image, plan.padded_shape)
    weights = (
        windows.gaussian_weights(plan.patch)
        if settings["blending"] == "gaussian"
        else np.ones(plan.patch, dtype=np.float32)
    )
    total, weight = np.zeros(padded.shape, np.float32), np.zeros(padded.shape, np.float32)
    size = max(1, BATCH_VOXELS // weights.size)
    for start in range(0, len(plan.windows), size):
        if cancelled is not None and cancelled():
            raise Cancelled("Cancelled; nothing was written.")
        chosen = plan.windows[start : start + size]
        batch = np.stack([padded[w] for w in chosen])
        result = predictor.predict(batch if flat else batch[:, None])
        result = result if flat else result[:, 0]
        for window, values in zip(chosen, result):
            total[window] += weights * values
            weight[window] += weights
        if progress is not None:
            progress(min(start + size, len(plan.windows)), len(plan.windows))
    return _checked(total / weight, package)[tuple(slice(0, n) for n in image.shape)]


def voxels_sha256(volume: Volume) -> str:
    """Hex SHA-256 of the voxels as little-endian bytes in (k, j, i) order, with their type and shape."""
    array = np.ascontiguousarray(volume.array)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.sha256(f"{little.dtype.str}{little.shape}".encode())
    for plane in little:
        digest.update(plane.tobytes())
    return digest.hexdigest()


def _refuse_excess(model_grid: grid.ModelGrid, package: ModelPackage) -> None:
    """ModelRefused where the package's grid or windows for this volume are out of all proportion to the machine."""
    patch = tuple(package.inputs["patch_size"])
    padded = windows.padded_shape(model_grid.model_shape, patch)
    # Resampling an axis holds a matrix of new by old voxels, three times in 64 bits.
    matrices = sum(24 * new * old for new, old in zip(model_grid.model_shape, model_grid.shape))
    needed, free = BYTES_PER_MODEL_VOXEL * math.prod(padded) + matrices, free_memory()
    size = " x ".join(str(n) for n in padded)
    if needed > free:
        raise ModelRefused(
            f"{package.id} would resample this volume to {size} voxels, which takes about {needed / 2**30:.1f} GiB of "
            f"memory, and {free / 2**30:.1f} GiB is free; crop the volume, take another model or a larger machine."
        )
    count = windows.count(model_grid.model_shape, patch, package.metadata["inference"]["overlap"])
    if count > MOST_WINDOWS:
        raise ModelRefused(
            f"{package.id} would cut this volume of {size} voxels into {count:,} windows of "
            f"{' x '.join(str(n) for n in patch)}, more than the {MOST_WINDOWS:,} allowed; take another model."
        )


def _pad(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Grow to `shape` by repeating the edge."""
    if image.shape == shape:
        return image
    return np.pad(image, [(0, want - have) for have, want in zip(image.shape, shape)], mode="edge")


def _checked(image: np.ndarray, package: ModelPackage) -> np.ndarray:
    if not np.isfinite(image).all():
        raise ModelRefused(
            f"{package.id} produced values that are not numbers on this volume; its weights are unusable."
        )
    return np.clip(image, -1, 1)


def _provenance(
    volume: Volume, package: ModelPackage, notes: tuple[str, ...], created: str | None = None
) -> Provenance:
    return Provenance(
        model=package.id,
        version=package.version,
        weights_sha256=package.weights_sha256,
        task=str(package.metadata["task"]),
        modality=package.outputs["modality"],
        source=volume.name,
        source_sha256=voxels_sha256(volume),
        created=created or datetime.now(timezone.utc).isoformat(timespec="seconds"),
        software=f"imagetranslation {__version__}",
        notes=notes,
    )


def _synthetic(volume: Volume, array: np.ndarray, record: Provenance, window: tuple[float, ...]) -> Volume:
    return replace(
        volume.with_array(array.astype(np.float32, copy=False)),
        name=display_name(record),
        modality=record.modality,
        field_of_view=None,
        notes=record.notes,
        attributes={**volume.attributes, "window": list(window)},
        provenance=record,
    )
