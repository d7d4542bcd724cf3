"""One translation together with its standard deviation map: how many passes, and what the map says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import inference
from ..deviationmaps import NAME, map_path
from ..errors import InputError, RunFailed
from ..headers import free_memory
from ..predictors import Predictor, TorchPredictor, choose_device
from ..provenance import display_name
from ..rawvoxels import require_unchanged
from . import answers
from .calibration import Calibration, stored
from .spread import Spread

if TYPE_CHECKING:
    from ..models import ModelPackage
    from ..volume import Volume

Progress = Callable[[int, int], None]
METHODS = ("tta", "ensemble", "dropout")
WORDS = {"tta": "slightly changed copies of the scan", "ensemble": "models", "dropout": "passes with dropout"}
SAMPLES = 8
MOST_SAMPLES = 64
UNIT = "grey values"
# A pass counts for so many parts of the progress: those of an ensemble need not have equally many windows.
PARTS = 100


@dataclass(frozen=True)
class Settings:
    """How the uncertainty is found.

    method: "tta", "ensemble", "dropout", or "auto": the ensemble where `packages` are named, else what the package
    recommends, else "tta". samples: how many answers, 2 to 64; 0 for what the package was calibrated with, else 8.
    An ensemble has as many as it has members. seed: of what is drawn, not negative. packages: ids or paths of further
    packages for an ensemble, of the same task, modalities and output range. Raises InputError for what cannot be.
    """

    method: str = "auto"
    samples: int = 0
    seed: int = 0
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in (*METHODS, "auto"):
            raise InputError(f"There is no way to uncertainty called {self.method}; use auto, {', '.join(METHODS)}.")
        if self.samples != 0 and not 2 <= self.samples <= MOST_SAMPLES:
            raise InputError(f"A spread needs 2 to {MOST_SAMPLES} samples, not {self.samples}.")
        if self.samples and (self.method == "ensemble" or self.packages):
            raise InputError("An ensemble has as many samples as it has members; leave the number out.")
        if self.seed < 0:
            raise InputError(f"The seed is a whole number from 0 up, not {self.seed}.")
        if self.packages and self.method not in ("auto", "ensemble"):
            raise InputError(f"Further models make an ensemble; the method is {self.method}.")


@dataclass(frozen=True)
class Result:
    """synthetic: as `inference.translate` gives it. deviation: float32 standard deviations in output units, same grid,

    0 outside the field of view. calibrated: whether they were rescaled to the size of the errors; where not, they are
    an uncalibrated spread. patients: how many the scale was fitted on, None where there is none. method: one of
    METHODS. samples: how many answers the spread is over. notes: sentences to show with the map.
    """

    synthetic: Volume
    deviation: Volume
    calibrated: bool
    patients: int | None
    method: str
    samples: int
    notes: tuple[str, ...]


def translate_with_uncertainty(
    volume: Volume,
    package: ModelPackage,
    *,
    settings: Settings | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    allow_synthetic: bool = False,
    predictor: Predictor | None = None,
    created: str | None = None,
) -> Result:
    """`inference.translate`, and how far further answers spread around it; same arguments, same errors.

    The synthetic image has the very voxels it has without uncertainty. progress: called with (parts done, parts in
    all) over all passes. predictor: what makes the image and the answers to changed copies; members and dropout run
    in eager torch on its device. Besides the image and its map the memory of two more volumes is needed, however
    many samples there are.
    """
    settings = settings or Settings()
    method = _method(settings, package)
    runner = predictor or TorchPredictor(package, choose_device(device))
    frame = answers.Frame(volume, package, cancelled)
    count = settings.samples or _recommended_samples(package, method)
    if method == "tta":
        further = answers.augmented(frame, package, runner, count - 1, settings.seed)
    elif method == "dropout":
        further = answers.dropped(frame, package, runner.device, count, settings.seed)
    elif settings.packages:
        further = answers.others(volume, package, settings.packages, runner.device, cancelled, allow_synthetic)
    else:
        further = answers.members(frame, package, runner.device)
    _require_memory(volume)
    passes = 1 + len(further)
    synthetic = inference.translate(
        volume,
        package,
        progress=_part(progress, 0, passes),
        cancelled=cancelled,
        allow_synthetic=allow_synthetic,
        predictor=runner,
        created=created,
    )
    spread = Spread(volume.array.shape)
    # The image itself is one of the answers, except where it is the mean of its network's members or of all dropouts.
    if method == "tta" or settings.packages:
        spread.add(synthetic.array)
    for number, answer in enumerate(further, 1):
        spread.add(answer(_part(progress, number, passes)))
    require_unchanged(volume)
    samples = spread.count
    without = _unlike(synthetic) or ("it is an ensemble of its own" if settings.packages else "")
    found = without or stored(package, method, samples)
    return _result(synthetic, spread.deviation(), frame.image, method, samples, found, package)


def write(result: Result, output: str | Path) -> Path:
    """Write the map beside the image's file `output` (see `deviationmaps.map_path`); returns its path."""
    from ..volume import write_volume

    return write_volume(result.deviation, map_path(output))


def _unlike(synthetic: Volume) -> str:
    """Half a sentence where the scan is unlike the training scans, else "": their errors say nothing about its own."""
    distribution = synthetic.attributes.get("distribution")
    if distribution is None or distribution["verdict"] != "unlike":
        return ""
    return "the scan does not look like those it could be calibrated on"


def _require_memory(volume: Volume) -> None:
    """RunFailed where image, map, mean and one answer, in 32 bits each, are more than the free memory."""
    needed, free = 16 * volume.array.size, free_memory()
    if needed > free:
        raise RunFailed(
            f"{volume.name} with uncertainty takes {needed / 2**30:.1f} GiB of memory beside the scan, and "
            f"{free / 2**30:.1f} GiB is free; translate it without uncertainty, crop it or use a larger machine."
        )


def _method(settings: Settings, package: ModelPackage) -> str:
    if settings.method != "auto":
        return settings.method
    return "ensemble" if settings.packages else str(package.metadata.get("uncertainty", {}).get("default", "tta"))


def _recommended_samples(package: ModelPackage, method: str) -> int:
    record = package.metadata.get("uncertainty", {}).get("calibration", {}).get(method, {})
    return int(record.get("samples", SAMPLES))


def _part(progress: Progress | None, number: int, passes: int) -> Progress | None:
    """The progress of one pass as a part of all."""
    if progress is None:
        return None

    def tell(done: int, total: int) -> None:
        progress(number * PARTS + PARTS * done // max(total, 1), passes * PARTS)

    return tell


def _result(
    synthetic: Volume,
    deviation: np.ndarray,
    image: inference.ScaledImage,
    method: str,
    samples: int,
    found: Calibration | str,
    package: ModelPackage,
) -> Result:
    calibration = None if isinstance(found, str) else found
    if calibration is not None:
        calibration.apply(deviation, image.model_grid)
    if image.seen is not None:
        deviation *= image.seen
    note = f"Uncertainty: the standard deviation of the answers to {samples} {WORDS[method]}, in {UNIT}"
    if isinstance(found, str):
        note += f"; an uncalibrated spread, because {found}: it shows where answers differ, not how large errors are."
    else:
        note += f", {found.sentence()}."
    quantity: dict[str, Any] = {
        "name": NAME,
        "unit": UNIT,
        "range": [float(bound) for bound in package.outputs["value_range"]],
        "calibrated": calibration is not None,
        "patients": None if calibration is None else calibration.patients,
        "method": method,
        "samples": samples,
    }
    assert synthetic.provenance is not None
    record = replace(synthetic.provenance, quantity=quantity, notes=(note, *synthetic.provenance.notes))
    window = [0.0, float(deviation.max()) or 1.0]
    volume = replace(
        synthetic.with_array(deviation),
        name=display_name(record),
        notes=record.notes,
        attributes={**synthetic.attributes, "window": window},
        provenance=record,
    )
    patients = None if calibration is None else calibration.patients
    return Result(synthetic, volume, calibration is not None, patients, method, samples, (note,))
