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
from .voxelvalues import VoxelValues

# Fixed bounds beyond this, or closer than its inverse, are no intensities.
LARGEST = 1e30


class Normalisation(Protocol):
    """Finds the two intensities that become -1 and +1."""

    name: ClassVar[str]

    def bounds(self, values: VoxelValues) -> tuple[float, float]:
        """Lower and upper intensity for the `values` inside the mask."""
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

    def bounds(self, values: VoxelValues) -> tuple[float, float]:
        lower, upper = values.quantiles(np.array([self.lower, self.upper]) / 100)
        return float(lower), float(upper)


@dataclass(frozen=True)
class FromZero(_JsonForm):
    """Bounds are 0 and `factor` times the `percentile` (0-100) inside the mask: zero stays zero, ratios stay ratios.

    For images of counts (NM): the counts' level drops out, and a lesion is so many times as bright as what surrounds
    it before and after. The factor leaves room above the percentile for what is hot.
    """

    name: ClassVar[str] = "from-zero"
    percentile: float = 95.0
    factor: float = 4.0

    def __post_init__(self) -> None:
        if not 0 <= self.percentile <= 100 or not 0 < self.factor <= 1e6:
            raise ModelRefused(
                f"A normalisation from zero needs a percentile within 0-100 and a positive factor, at most 1e6; the "
                f"model asks for {self.percentile} and {self.factor}."
            )

    def bounds(self, values: VoxelValues) -> tuple[float, float]:
        level = float(values.quantiles(np.array([self.percentile / 100]))[0])
        return 0.0, self.factor * level if level > 0 else values.extremes()[1]


@dataclass(frozen=True)
class MinMax(_JsonForm):
    """Bounds are the smallest and largest intensity inside the mask."""

    name: ClassVar[str] = "minmax"

    def bounds(self, values: VoxelValues) -> tuple[float, float]:
        return values.extremes()


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

    def bounds(self, values: VoxelValues) -> tuple[float, float]:
        mean, sd = values.mean_and_sd()
        return mean - self.width * sd, mean + self.width * sd


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

    def bounds(self, values: VoxelValues) -> tuple[float, float]:
        return float(self.lower), float(self.upper)


KINDS: dict[str, type] = {kind.name: kind for kind in (Percentile, FromZero, MinMax, ZScore, Fixed)}


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


@dataclass(frozen=True)
class Scaling:
    """The linear map from `lower`..`upper` to -1..+1, clipped."""

    lower: float
    upper: float

    def apply(self, block: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """float32 in [-1, 1], in memory of its own; -1 outside `mask` (bool, the block's shape).

        block: any real type, any shape. 64 bits are used for a slice at a time only.
        """
        made = np.empty(block.shape, np.float32)
        if block.dtype.kind in "ui" and block.dtype.itemsize <= 2 and block.dtype.isnative:
            np.take(self._table(block.dtype), block.view(f"u{block.dtype.itemsize}"), out=made, mode="clip")
        else:
            for part, result in zip(block, made) if block.ndim > 1 else [(block, made)]:
                result[...] = self._exactly(part)
        if mask is not None:
            made[~mask] = -1.0
        return made

    def _table(self, kind: np.dtype) -> np.ndarray:
        """What each value of an 8 or 16 bit type becomes, by its bits."""
        return self._exactly(np.arange(1 << (8 * kind.itemsize), dtype=f"u{kind.itemsize}").view(kind))

    def _exactly(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # what lies outside the mask may be anything
            scaled = np.asarray(values, dtype=np.float64) - self.lower
            scaled *= 2.0 / (self.upper - self.lower)
            scaled -= 1.0
        return np.clip(scaled, -1.0, 1.0, out=scaled).astype(np.float32)


def scaling(array: np.ndarray, mask: np.ndarray | None, spec: Mapping[str, Any]) -> Scaling:
    """The map of `normalise`, found without a copy of the array; arguments and errors as there."""
    values = VoxelValues(array, mask)
    if values.count == 0:
        raise InputError("The field of view is empty: there is nothing to normalise.")
    if not values.finite():
        raise InputError("The image holds NaN or infinite voxels; replace them before translating.")
    with np.errstate(over="ignore", invalid="ignore"):
        lower, upper = from_dict(spec).bounds(values)
    if not 1e-300 <= upper - lower <= 1e300 and upper != lower:  # the map would overflow
        raise InputError(
            f"The image's intensities span {lower:g} to {upper:g}, too far or too little to calculate with; rescale it."
        )
    if not upper > lower:
        raise InputError(
            f"The image is constant inside its field of view (value {lower:g}): there is nothing to translate."
        )
    return Scaling(lower, upper)


def normalise(
    array: np.ndarray, mask: np.ndarray | None, spec: Mapping[str, Any]
) -> tuple[np.ndarray, dict[str, float]]:
    """Map intensities to [-1, 1] (clipped), bounds found inside `mask`; voxels outside become -1.

    array: any real type, any shape. mask: bool, same shape, or None for everywhere. spec: see `from_dict`.
    Returns float32 of the same shape and the state `{"lower", "upper"}`, the intensities that became -1 and +1.
    Raises InputError for an empty mask, NaN or infinity inside it, or an image that is constant or would overflow.
    """
    found = scaling(array, mask, spec)
    return found.apply(array, mask), {"lower": found.lower, "upper": found.upper}


def denormalise(array: np.ndarray, spec: Mapping[str, Any]) -> np.ndarray:
    """Map a network's [-1, 1] to the output range `spec["value_range"]` (two rising numbers), clipped; float32."""
    made = np.array(array, dtype=np.float32, order="C")
    denormalise_in_place(made, spec)
    return made


def denormalise_in_place(array: np.ndarray, spec: Mapping[str, Any]) -> None:
    """`denormalise` of a float32 array, or a view of one, without a second one."""
    lower, upper = (float(bound) for bound in spec["value_range"])
    if not lower < upper:
        raise ModelRefused(f"The model's output range must rise; it is [{lower}, {upper}].")
    for part in array if array.ndim > 1 else [array]:
        np.clip(part, -1.0, 1.0, out=part)
        part += np.float32(1.0)
        part *= np.float32(0.5)
        part *= np.float32(upper - lower)
        part += np.float32(lower)
