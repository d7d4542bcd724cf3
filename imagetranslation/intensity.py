"""Intensity normalisation: the one definition used by training, inference and evaluation.

A normalisation is named in a model package (`{"name": "percentile", "lower": 0.5, "upper": 99.5}`), finds its bounds
in one volume inside one mask, and maps them linearly to [-1, 1]. Where the mask comes from is `fieldofview`'s affair;
which grid the array lies on is `grid`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from .errors import InputError, ModelRefused

# Fixed bounds beyond this, or closer than its inverse, are no intensities.
LARGEST = 1e30


class Normalisation(Protocol):
    """Finds the two intensities that become -1 and +1."""

    name: ClassVar[str]

    def bounds(self, values: np.ndarray) -> tuple[float, float]:
        """Lower and upper intensity for the 1-D `values` inside the mask."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, `name` included."""
        ...


class _JsonForm:
    """`to_dict` of the dataclasses below."""

    name: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Percentile(_JsonForm):
    """Bounds are the `lower` and `upper` percentiles (0-100, numpy's linear interpolation) inside the mask."""

    name: ClassVar[str] = "percentile"
    lower: float = 0.5
    upper: float = 99.5

    def __post_init__(self) -> None:
        if not 0 <= self.lower < self.upper <= 100:
            raise ModelRefused(f"Percentiles must rise within 0-100; the model asks for {self.lower} and {self.upper}.")

    def bounds(self, values: np.ndarray) -> tuple[float, float]:
        lower, upper = np.percentile(values, [self.lower, self.upper])
        return float(lower), float(upper)


@dataclass(frozen=True)
class MinMax(_JsonForm):
    """Bounds are the smallest and largest intensity inside the mask."""

    name: ClassVar[str] = "minmax"

    def bounds(self, values: np.ndarray) -> tuple[float, float]:
        return float(values.min()), float(values.max())


@dataclass(frozen=True)
class ZScore(_JsonForm):
    """Bounds are `width` standard deviations below and above the mean inside the mask.

    For images without a unit (MR): gain and offset drop out, and no single bright organ sets the scale.
    """

    name: ClassVar[str] = "zscore"
    width: float = 2.5

    def __post_init__(self) -> None:
        if not 0 < self.width <= 1e6:
            raise ModelRefused(
                f"The width of a z-score must be positive, at most 1e6; the model asks for {self.width}."
            )

    def bounds(self, values: np.ndarray) -> tuple[float, float]:
        mean, half = float(values.mean()), self.width * float(values.std())
        return mean - half, mean + half


@dataclass(frozen=True)
class Fixed(_JsonForm):
    """Bounds are given: for intensities with a unit, the same for every volume."""

    name: ClassVar[str] = "fixed"
    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not self.lower < self.upper:
            raise ModelRefused(f"Fixed bounds must rise; the model asks for {self.lower} and {self.upper}.")
        if max(abs(self.lower), abs(self.upper)) > LARGEST or self.upper - self.lower < 1 / LARGEST:
            raise ModelRefused(
                f"Fixed bounds must lie within {LARGEST:g} of zero and {1 / LARGEST:g} apart, so that they can be "
                "calculated with; those of the model do not."
            )

    def bounds(self, values: np.ndarray) -> tuple[float, float]:
        return float(self.lower), float(self.upper)


KINDS: dict[str, type] = {kind.name: kind for kind in (Percentile, MinMax, ZScore, Fixed)}


def from_dict(spec: Mapping[str, Any]) -> Normalisation:
    """The normalisation that `spec` describes; ModelRefused for an unknown name or setting."""
    settings = dict(spec)
    name = settings.pop("name", None)
    if name not in KINDS:
        raise ModelRefused(f"Unknown intensity normalisation {name!r}; this version knows {', '.join(KINDS)}.")
    try:
        return KINDS[name](**settings)
    except TypeError as error:
        raise ModelRefused(f"Intensity normalisation {name!r} does not take these settings: {settings}.") from error


def normalise(
    array: np.ndarray, mask: np.ndarray | None, spec: Mapping[str, Any]
) -> tuple[np.ndarray, dict[str, float]]:
    """Map intensities to [-1, 1] (clipped), bounds found inside `mask`; voxels outside become -1.

    array: any real type, any shape. mask: bool, same shape, or None for everywhere. spec: see `from_dict`.
    Returns float32 of the same shape and the state `{"lower", "upper"}`, the intensities that became -1 and +1.
    Raises InputError for an empty mask, NaN or infinity inside it, or an image that is constant or would overflow.
    """
    values = array if mask is None else array[mask]
    if values.size == 0:
        raise InputError("The field of view is empty: there is nothing to normalise.")
    if not np.isfinite(values).all():
        raise InputError("The image holds NaN or infinite voxels; replace them before translating.")
    # float64 for the bounds, so that 64-bit integers and large offsets keep their differences.
    with np.errstate(over="ignore", invalid="ignore"):
        lower, upper = from_dict(spec).bounds(np.asarray(values, dtype=np.float64).ravel())
    if not 1e-300 <= upper - lower <= 1e300 and upper != lower:  # the map below would overflow
        raise InputError(
            f"The image's intensities span {lower:g} to {upper:g}, too far or too little to calculate with; rescale it."
        )
    if not upper > lower:
        raise InputError(
            f"The image is constant inside its field of view (value {lower:g}): there is nothing to translate."
        )
    with np.errstate(over="ignore", invalid="ignore"):  # what lies outside the mask may be anything
        inside = (np.asarray(array, dtype=np.float64) - lower) * (2.0 / (upper - lower)) - 1.0
    scaled = np.clip(inside, -1.0, 1.0).astype(np.float32)
    if mask is not None:
        scaled = np.where(mask, scaled, np.float32(-1.0))
    return scaled, {"lower": lower, "upper": upper}


def denormalise(array: np.ndarray, spec: Mapping[str, Any]) -> np.ndarray:
    """Map a network's [-1, 1] to the output range `spec["value_range"]` (two rising numbers), clipped; float32."""
    lower, upper = (float(bound) for bound in spec["value_range"])
    if not lower < upper:
        raise ModelRefused(f"The model's output range must rise; it is [{lower}, {upper}].")
    fraction = (np.clip(array, -1.0, 1.0).astype(np.float32) + np.float32(1.0)) * np.float32(0.5)
    return (np.float32(lower) + fraction * np.float32(upper - lower)).astype(np.float32)
