"""Is this scan of the kind the model was trained on? A descriptor of the whole volume beside the training scans'.

The descriptor is what the network is given to see (normalised, on its grid): grey-level shape, texture by scale,
sharpness, noise, the form of the field of view and where it is bright. The distance from the training scans is
Mahalanobis', its covariance shrunk (Ledoit and Wolf 2004) because there are more numbers than patients. It is reported
as its place among the distances that the training patients have from one another, each left out in turn; a score, not
a proof: what looks alike in these numbers may still be something else.

Numpy only. Fitting is `fit`, done once by `training_tools.export`; `score` is what inference calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .errors import InputError, ModelRefused

if TYPE_CHECKING:
    from .grid import ModelGrid, Place
    from .models import ModelPackage

VERSION = 1
# A volume is looked at in at most so many of its slices, evenly spread, and voxels: texture needs no more.
MOST_SLICES, MOST_VOXELS = 48, 1 << 19
# A scan is unlike the training scans when it is further from them than this many times the furthest of them: our
# choice. Beyond the furthest but not so far it is called unusual; of n + 1 such scans one is, by chance.
FAR = 1.5
# Descriptors are differences of logarithms and fractions of a range: deviations smaller than this are no difference.
LEAST_SD = 0.05
# Of fewer, each left out in turn, nothing can be said.
LEAST_SCANS = 5
# So that the covariance can be inverted where its formula would not shrink it at all.
LEAST_SHRINKAGE = 0.01
BANDS = (1, 2, 4)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


class ModelImage(Protocol):
    """A volume as the network sees it: `inference.ScaledImage`. seen: bool (k, j, i), or None for everywhere."""

    @property
    def model_grid(self) -> ModelGrid: ...

    @property
    def seen(self) -> np.ndarray | None: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read(self, window: Place) -> np.ndarray:
        """Float32 in [-1, 1] of a window on the model's grid."""


@dataclass(frozen=True)
class Score:
    """distance: of the scan from the training scans. furthest: of the training scans' own. further_than: how many of

    the `patients` training scans lie nearer than this one. p: conformal, (k + 1) / (n + 1) with k the training scans
    at least as far (Vovk et al. 2005); with n patients it cannot be below 1 / (n + 1).
    """

    distance: float
    furthest: float
    further_than: int
    patients: int
    p: float

    @property
    def ratio(self) -> float:
        """Distance in units of the furthest training scan's."""
        return self.distance / self.furthest

    @property
    def verdict(self) -> str:
        """ "like the training scans", "unusual" (beyond all of them) or "unlike" (`FAR` times beyond)."""
        if self.further_than < self.patients:
            return "like the training scans"
        return "unlike" if self.ratio > FAR else "unusual"

    def sentence(self) -> str:
        """The warning for people; empty where the scan is like the training scans."""
        if self.verdict == "like the training scans":
            return ""
        place = (
            f"it is further from the training scans than all {self.patients} of them are from one another, "
            f"{self.ratio:.1f} times the furthest (p = {self.p:.2f}, the least that {self.patients} scans can give)"
        )
        if self.verdict == "unusual":
            return (
                f"WARNING: this scan is unusual for the model: {place}. One good scan in {self.patients + 1} is, too."
            )
        return (
            f"WARNING: this scan does not look like those the model was trained on: {place}. It may be another "
            "modality, region or scanner setting; neither the image nor its uncertainty can be relied on."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, the verdict included."""
        return {
            "distance": round(self.distance, 3),
            "furthest_training_scan": round(self.furthest, 3),
            "ratio": round(self.ratio, 3),
            "further_than": self.further_than,
            "n_training_scans": self.patients,
            "p": round(self.p, 4),
            "verdict": self.verdict,
        }


def score(image: ModelImage, package: ModelPackage) -> Score | None:
    """Where a scan lies among the training scans; None for a package that does not describe them."""
    record = package.metadata["training"].get("distribution")
    if record is None or record["version"] != VERSION:
        return None
    values = np.array(list(describe(image).values()))
    distance = _distance(values, *(np.asarray(record[name], float) for name in ("mean", "sd", "precision")))
    own = np.asarray(record["distances"], float)
    nearer = int((own < distance).sum())
    return Score(distance, float(own.max()), nearer, len(own), (len(own) - nearer + 1) / (len(own) + 1))


def fit(descriptors: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """`training.distribution` of a package from the training scans' descriptors, one a patient, at least `LEAST_SCANS`.

    Each patient's own distance comes from the others alone.
    """
    if len(descriptors) < LEAST_SCANS:
        raise InputError(f"{len(descriptors)} training scans are too few to say what is unlike them.")
    table = np.array([list(one.values()) for one in descriptors])
    distances = [_distance(row, *_model(np.delete(table, number, axis=0))[:3]) for number, row in enumerate(table)]
    mean, sd, precision, shrinkage = _model(table)
    return {
        "version": VERSION,
        "descriptors": list(descriptors[0]),
        "mean": _rounded(mean),
        "sd": _rounded(sd),
        "precision": [_rounded(row) for row in precision],
        "distances": sorted(_rounded(np.array(distances))),
        "shrinkage": round(shrinkage, 4),
    }


def check(metadata: Mapping[str, Any], where: str) -> None:
    """ModelRefused where a description of the training scans that passed the schema contradicts itself."""
    record = metadata["training"].get("distribution")
    if record is None or record["version"] != VERSION:
        return
    size = len(record["descriptors"])
    rows = [record["mean"], record["sd"], *record["precision"]]
    sound = tuple(record["descriptors"]) == NAMES and len(record["precision"]) == size
    sound = sound and all(len(row) == size for row in rows) and min(record["sd"]) > 0 and max(record["distances"]) > 0
    if sound:
        precision = np.asarray(record["precision"], float)
        with np.errstate(over="ignore", invalid="ignore"):
            sound = bool(np.allclose(precision, precision.T)) and bool((np.linalg.eigvalsh(precision) > 0).all())
    if not sound:
        raise ModelRefused(
            f"{where} is not a valid model package: its training.distribution is no description of training scans."
        )


def describe(image: ModelImage) -> dict[str, float]:
    """The descriptor (NAMES) of an image as a network sees it."""
    part = _part(image)
    values = (*_levels(part), *_texture(part), *_sharpness(part), *_form(part), *_layout(part))
    return dict(zip(NAMES, (float(value) for value in values)))


NAMES = (
    *(f"quantile {100 * q:.0f} %" for q in QUANTILES),
    "standard deviation",
    *(f"texture of {2 * band + 1} voxels" for band in BANDS),
    "spectral slope",
    "noise",
    *(f"gradient along {axis}" for axis in ("slices", "rows", "columns")),
    "field of view",
    *(f"width along {axis}" for axis in ("slices", "rows", "columns")),
    *(f"brighter end along {axis}" for axis in ("slices", "rows", "columns")),
    "brighter centre",
)


@dataclass(frozen=True)
class _Part:
    """Some slices of an image. image: float32 in [0, 1], mask: bool, both (slice, row, column). following: the slice

    after each, and its mask. places: where the slices lie, 0 to 1.
    """

    image: np.ndarray
    mask: np.ndarray
    following: tuple[np.ndarray, np.ndarray]
    places: np.ndarray


def _part(image: ModelImage) -> _Part:
    depth, rows, columns = image.shape
    count = max(1, min(depth, MOST_SLICES, MOST_VOXELS // (rows * columns)))
    chosen = np.round(np.linspace(0, depth - 1, count)).astype(int)
    if count == depth:
        grey, mask = _read(image, 0, depth)
        after = np.minimum(chosen + 1, depth - 1)
        following = grey[after], mask[after]
    else:
        pairs = [_read(image, place, min(place + 2, depth)) for place in chosen]
        grey, mask = (np.stack([pair[part][0] for pair in pairs]) for part in (0, 1))
        following = (np.stack([pair[0][-1] for pair in pairs]), np.stack([pair[1][-1] for pair in pairs]))
    if not mask.any():  # a field of view thinner than the slices looked at
        mask, following = np.ones_like(mask), (following[0], np.ones_like(mask))
    return _Part(grey, mask, following, (chosen + 0.5) / depth)


def _read(image: ModelImage, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Slices from `start` to `stop` in [0, 1], and where they lie in the field of view."""
    window = (slice(start, stop), slice(0, image.shape[1]), slice(0, image.shape[2]))
    grey = (image.read(window) + np.float32(1)) * np.float32(0.5)
    if image.seen is None:
        return grey, np.ones(grey.shape, bool)
    return grey, image.model_grid.read(image.seen, window) > 0.5


def _levels(part: _Part) -> tuple[float, ...]:
    values = part.image[part.mask]
    return (*np.quantile(values, QUANTILES), values.std())


def _texture(part: _Part) -> tuple[float, ...]:
    """Logarithms of the energy between one blur and the next, slope of the spectrum, and noise."""
    weight = part.mask.astype(np.float32)
    finer, energies = part.image * weight, []
    for band in BANDS:
        coarser = _blur(part.image * weight, band) / np.maximum(_blur(weight, band), 1e-6) * weight
        energies.append(_log(np.sqrt(np.mean((finer - coarser)[part.mask] ** 2))))
        finer = coarser
    return (*energies, _spectral_slope(part.image, weight), _noise(part))


def _spectral_slope(image: np.ndarray, weight: np.ndarray) -> float:
    """Slope of the logarithm of power against that of frequency in the slices, 0.05 to 0.5 cycles a voxel."""
    rows, columns = image.shape[1:]
    mean = float((image * weight).sum() / weight.sum())
    window = np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1])
    power = np.zeros((rows, columns // 2 + 1))
    for plane, inside in zip(image, weight):
        power += np.abs(np.fft.rfft2((plane - mean) * inside * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    edges = np.geomspace(0.05, 0.5, 9)
    bins = np.digitize(frequency, edges)
    known = [n for n in range(1, len(edges)) if (bins == n).any()]
    if len(known) < 2:
        return 0.0
    levels = [np.log(power[bins == n].mean() + 1e-12) for n in known]
    return float(np.polyfit([np.log(edges[n]) for n in known], levels, 1)[0])


def _noise(part: _Part) -> float:
    """Logarithm of the noise's standard deviation (Immerkaer 1996), from second differences in the slices."""
    if min(part.image.shape[1:]) < 3:
        return _log(0.0)
    across = part.image[:, :, 2:] - 2 * part.image[:, :, 1:-1] + part.image[:, :, :-2]
    both = np.abs(across[:, 2:] - 2 * across[:, 1:-1] + across[:, :-2])
    inside = part.mask[:, 1:-1, 1:-1]
    return _log(np.sqrt(np.pi / 2) / 6 * both[inside].mean() if inside.any() else 0.0)


def _sharpness(part: _Part) -> list[float]:
    """Logarithms of the mean absolute step along slices, rows and columns."""
    image, mask = part.image, part.mask
    steps = (
        (part.following[0] - image, mask & part.following[1]),
        (np.diff(image, axis=1), mask[:, 1:] & mask[:, :-1]),
        (np.diff(image, axis=2), mask[:, :, 1:] & mask[:, :, :-1]),
    )
    return [_log(np.abs(step[both]).mean() if both.any() else 0.0) for step, both in steps]


def _form(part: _Part) -> list[float]:
    """Share of the grid in the field of view, and its width along each axis (1 for the whole grid)."""
    found = [float(part.mask.mean())]
    for axis in range(3):
        profile = part.mask.sum(axis=tuple(n for n in range(3) if n != axis)).astype(float)
        places = _places(part, axis).ravel()
        centre = np.average(places, weights=profile)
        found.append(float(np.sqrt(12 * np.average((places - centre) ** 2, weights=profile))))
    return found


def _layout(part: _Part) -> list[float]:
    """How much brighter the last third is than the first along each axis, and the inner half than the rest."""
    found, inner = [], part.mask.copy()
    for axis in range(3):
        places = _places(part, axis)
        found.append(_mean(part.image, part.mask & (places > 2 / 3)) - _mean(part.image, part.mask & (places < 1 / 3)))
        inner &= abs(places - 0.5) < 0.25
    return [*found, _mean(part.image, inner) - _mean(part.image, part.mask & ~inner)]


def _places(part: _Part, axis: int) -> np.ndarray:
    """Centres of the voxels along an axis, 0 to 1, ready to broadcast."""
    size = part.mask.shape[axis]
    places = part.places if axis == 0 else (np.arange(size) + 0.5) / size
    return places.reshape([-1 if n == axis else 1 for n in range(3)])


def _mean(image: np.ndarray, where: np.ndarray) -> float:
    return float(image[where].mean()) if where.any() else 0.0


def _blur(image: np.ndarray, radius: int) -> np.ndarray:
    """Box mean over (2 radius + 1) squared voxels of each slice, edges repeated."""
    for axis in (1, 2):
        pad = [(0, 0)] * 3
        pad[axis] = (radius + 1, radius)
        sums = np.cumsum(np.pad(image, pad, mode="edge"), axis=axis, dtype=np.float64)
        size = 2 * radius + 1
        upper = np.take(sums, range(size, sums.shape[axis]), axis)
        lower = np.take(sums, range(sums.shape[axis] - size), axis)
        image = (upper - lower) / size
    return image


def _log(value: float) -> float:
    return float(np.log(value + 1e-3))


def _model(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Mean and SD of each descriptor, inverse of their shrunk correlation matrix, and how far it was shrunk."""
    mean = table.mean(axis=0)
    sd = np.maximum(table.std(axis=0, ddof=1), LEAST_SD)
    covariance, shrinkage = _shrunk((table - mean) / sd)
    return mean, sd, np.linalg.inv(covariance), shrinkage


def _shrunk(centred: np.ndarray) -> tuple[np.ndarray, float]:
    """Covariance of centred rows, shrunk towards a multiple of the identity by Ledoit and Wolf's 2004 formula."""
    count, size = centred.shape
    sample = centred.T @ centred / count
    level = float(np.trace(sample)) / size
    spread = float(((sample - level * np.eye(size)) ** 2).sum())
    error = float(((np.einsum("ni,nj->nij", centred, centred) - sample) ** 2).sum()) / count**2
    weight = min(1.0, max(LEAST_SHRINKAGE, error / spread)) if spread > 0 else 1.0
    floor = max(level, 1e-6)
    return (1 - weight) * sample + weight * floor * np.eye(size), weight


def _distance(values: np.ndarray, mean: np.ndarray, sd: np.ndarray, precision: np.ndarray) -> float:
    """Mahalanobis distance divided by the root of the number of descriptors: about 1 for a typical scan."""
    z = (values - mean) / sd
    return float(np.sqrt(max(z @ precision @ z, 0.0) / len(z)))


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
