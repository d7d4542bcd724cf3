"""Volume and model package in, synthetic volume on the same grid out.

One code path for 2D slice-wise and 3D sliding-window networks: windows are normalised (`intensity`), oriented and
resampled (`grid`) as they are cut, run and blended (`sliding`), and every step is undone in the result's own memory.
Beside input and result there is one batch of windows, and the model's own grid where it has other voxels. What lies
outside the field of view is background: nothing is synthesised where nothing was recorded.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__, activations, grid, intensity, sliding, windows
from .checks import examine
from .errors import InputError, ModelRefused
from .fieldofview import limited_view
from .headers import free_memory
from .predictors import Predictor, TorchPredictor, choose_device
from .provenance import Provenance, display_name
from .rawvoxels import MAPPED, require_unchanged

if TYPE_CHECKING:
    from .models import ModelPackage
    from .volume import Volume

Progress = Callable[[int, int], None]
# More windows than this take days, and a plan of them gigabytes; a 500-voxel cube in 32-voxel patches has 14,000.
MOST_WINDOWS = 2_000_000


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
    _require_channels(package)
    runner = predictor or TorchPredictor(package, choose_device(device))
    model_grid = grid.model_grid(volume, package.inputs)
    _refuse_excess(model_grid, package, runner)
    image = as_network_sees(volume, package)
    with ThreadPoolExecutor(1, "record") as pool:  # the facts of the record, while the network runs
        digest, examined = pool.submit(voxels_sha256, volume), pool.submit(examine, volume, image, package)
        array, gave_way = answer(image, package, runner, progress, cancelled)
        warnings, distribution = examined.result()
        notes = (*volume.notes, *warnings, *getattr(runner, "notes", ()), *gave_way)
        record = _provenance(volume, package, runner, digest.result(), notes, created)
    require_unchanged(volume)
    facts = {} if distribution is None else {"distribution": distribution.to_dict()}
    return _synthetic(volume, array, record, {**facts, "window": list(package.outputs["window"])})


def as_network_sees(volume: Volume, package: ModelPackage) -> ScaledImage:
    """`volume` on the model's grid, normalised, made window by window; InputError where it cannot be normalised."""
    seen = limited_view(volume, package.inputs["field_of_view"])
    scaling = intensity.scaling(volume.array, seen, package.inputs["normalisation"])
    return ScaledImage(grid.model_grid(volume, package.inputs), volume.array, scaling, seen)


@dataclass(frozen=True)
class ScaledImage:
    """A volume as the network sees it, made window by window: a `sliding.Source` on the model's grid.

    array: (k, j, i). seen: bool (k, j, i), the field of view, or None for everywhere.
    """

    model_grid: grid.ModelGrid
    array: np.ndarray
    scaling: intensity.Scaling
    seen: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(slice, row, column) on the model's grid."""
        return self.model_grid.model_shape

    def read(self, window: grid.Place) -> np.ndarray:
        """Normalised float32 voxels of a window."""
        return self.model_grid.read(self.array, window, self._prepared)

    def touches(self, window: grid.Place) -> bool:
        """Whether a window has any influence inside the field of view."""
        seen = self._moved()
        return seen is None or bool(seen[self.model_grid.reach(window)].any())

    def undo(self, target: np.ndarray) -> None:
        """Take back, in an answer (slice, row, column), what `read` moved; nothing here, see `uncertainty`."""

    def _prepared(self, block: np.ndarray, place: grid.Place) -> np.ndarray:
        seen = self._moved()
        return self.scaling.apply(block, None if seen is None else seen[place])

    def _moved(self) -> np.ndarray | None:
        return None if self.seen is None else self.model_grid.reorientation.forward(self.seen)


def run_windows(
    image: np.ndarray | sliding.Source,
    package: ModelPackage,
    predictor: Predictor,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> np.ndarray:
    """Run a network over float32 (slice, row, column), or a source that makes it where it is asked for.

    Returns the blended float32 output of the same shape, in [-1, 1]. What is raised: see `sliding.slide`.
    """
    source = sliding.ArraySource(image) if isinstance(image, np.ndarray) else image
    produced = np.empty(source.shape, np.float32)
    sliding.slide(source, produced, package, predictor, progress, cancelled)
    return np.clip(produced, -1.0, 1.0, out=produced)


def answer(
    image: ScaledImage,
    package: ModelPackage,
    predictor: Predictor,
    progress: Progress | None,
    cancelled: Callable[[], bool] | None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """What the network makes of the image, and sentences about what gave way.

    The answer is float32 (k, j, i) on the volume's grid in output units, background outside the field of view.
    """
    model_grid = image.model_grid
    array = np.empty(image.array.shape, np.float32)
    resampled = model_grid.resampled
    target = np.empty(image.shape, np.float32) if resampled else model_grid.reorientation.forward(array)
    wanted = image.touches if package.metadata["inference"].get("skip_background", False) else None
    notes = sliding.slide(image, target, package, predictor, progress, cancelled, wanted)
    image.undo(target)
    if resampled:
        np.clip(target, -1.0, 1.0, out=target)
        model_grid.back_into(array, target)
    intensity.denormalise_in_place(array, package.outputs)
    _fill_outside(array, image.seen, package.outputs["background"])
    return array, notes


def _fill_outside(array: np.ndarray, seen: np.ndarray | None, background: float) -> None:
    if seen is not None:
        for plane, inside in zip(array, seen):
            plane[~inside] = background


def voxels_sha256(volume: Volume) -> str:
    """Hex SHA-256 of the voxels as little-endian bytes in (k, j, i) order, with their type and shape."""
    array = volume.array
    little = array.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{little.str}{array.shape}".encode())
    for plane in array:
        digest.update(np.ascontiguousarray(plane, dtype=little).data)
    return digest.hexdigest()


def _require_channels(package: ModelPackage) -> None:
    """ModelRefused unless the network's input channels are one volume's slice and its neighbours."""
    channels, reach = package.inputs["num_channels"], package.metadata["inference"].get("context_slices", 0)
    if reach and package.inputs["spatial_dims"] != 2:
        raise ModelRefused(f"{package.id} asks for neighbouring slices, but its windows are not single slices.")
    if channels != 2 * reach + 1:
        gives = f"a volume gives {2 * reach + 1} ({reach} slices on either side)" if reach else "a volume gives one"
        raise ModelRefused(f"{package.id} wants {channels} input channels; {gives}.")


def _refuse_excess(model_grid: grid.ModelGrid, package: ModelPackage, predictor: Predictor) -> None:
    """ModelRefused where the package's grid or windows for this volume are out of all proportion to the machine."""
    shape, patch = model_grid.model_shape, tuple(package.inputs["patch_size"])
    # Resampling an axis holds a matrix of new by old voxels, three times in 64 bits; the result is 32-bit.
    needed = sum(24 * new * old for new, old in zip(shape, model_grid.shape)) + 4 * math.prod(model_grid.shape)
    needed += 4 * math.prod(shape) if model_grid.resampled else 0
    window = math.prod(patch) * (8 + ((activations.stated_bytes(package) or 0) if predictor.device == "cpu" else 0))
    size, free = " x ".join(str(n) for n in shape), free_memory()
    if needed + window > free:
        raise ModelRefused(
            f"{package.id} sees this volume as {size} voxels in windows of {' x '.join(str(n) for n in patch)}, which "
            f"takes about {(needed + window) / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB is free; crop the "
            "volume, take another model or a larger machine."
        )
    count = windows.count(shape, patch, package.metadata["inference"]["overlap"])
    if count > MOST_WINDOWS:
        raise ModelRefused(
            f"{package.id} would cut this volume of {size} voxels into {count:,} windows of "
            f"{' x '.join(str(n) for n in patch)}, more than the {MOST_WINDOWS:,} allowed; take another model."
        )


def _provenance(
    volume: Volume,
    package: ModelPackage,
    runner: Predictor,
    source_sha256: str,
    notes: tuple[str, ...],
    created: str | None,
) -> Provenance:
    return Provenance(
        model=package.id,
        version=package.version,
        weights_sha256=package.weights_sha256,
        task=str(package.metadata["task"]),
        modality=package.outputs["modality"],
        source=volume.name,
        source_sha256=source_sha256,
        created=created or datetime.now(timezone.utc).isoformat(timespec="seconds"),
        software=f"imagetranslation {__version__}",
        engine=str(getattr(runner, "engine", "")),
        precision=str(getattr(runner, "precision", "")),
        device=str(runner.device),
        notes=notes,
    )


def _synthetic(volume: Volume, array: np.ndarray, record: Provenance, facts: dict[str, Any]) -> Volume:
    return replace(
        volume.with_array(array),
        name=display_name(record),
        modality=record.modality,
        field_of_view=None,
        notes=record.notes,
        attributes={**{k: v for k, v in volume.attributes.items() if k != MAPPED}, **facts},
        provenance=record,
    )
