"""The one resampling engine: patients with all their images, readers too when the claim is about readers in general.

A statistic is a function of weights: how often each row (case) and each reader occurs in a draw. The observed data are
the draw with all weights one, a bootstrap draw has the multiplicities, leaving a patient out sets its rows to zero,
and the derivative with respect to a patient's weight is its influence. One vectorised function therefore gives the
value, the bootstrap, the jackknife and the analytic (linearised) variance. What a statistic is, is left to others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .estimates import UNDEFINED, Interval, Undefined

# (draws, rows), (draws or 1, readers) -> (draws,); NaN where a draw leaves the statistic undefined.
Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]

MIN_PATIENTS = 5  # our choice: five patients have 126 distinct resamples, fewer cannot carry a 95% interval
FEW_PATIENTS = 10  # our choice: below this an interval is printed with a warning
MIN_READERS = 3  # with two readers every second draw holds one reader twice
MOST_UNDEFINED = 0.05  # our choice: more undefined draws than this would bias what is left
_BLOCK = 4_000_000  # numbers a block of draws may hold at once
_STEP = 1e-4  # weight step of the numeric derivative; central, so the error is of order 1e-8


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: number of draws, seed, level, and whether readers are resampled too."""

    draws: int = 2000
    seed: int = 1
    level: float = 0.95
    readers: str = "fixed"  # "fixed": the claim holds for these readers; "random": for readers like them

    def __post_init__(self) -> None:
        if self.readers not in ("fixed", "random"):
            raise ValueError(f"readers must be fixed or random; got {self.readers}")
        if not (0.5 < self.level < 1) or self.draws < 100:
            raise ValueError("the level must lie between 0.5 and 1 and there must be at least 100 draws")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Sample:
    """What is resampled: `patients` (rows,) gives each row's patient as 0..p-1; `readers` is how many there are."""

    patients: np.ndarray
    readers: int

    @property
    def size(self) -> int:
        """Number of patients."""
        return int(self.patients.max()) + 1 if len(self.patients) else 0

    def ones(self) -> tuple[np.ndarray, np.ndarray]:
        """The weights of the observed data: (1, rows) and (1, readers)."""
        return np.ones((1, len(self.patients))), np.ones((1, self.readers))


def value_of(statistic: Statistic, sample: Sample, reason: str) -> float:
    """The statistic on the observed data; Undefined(reason) where it has no value."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(*sample.ones())[0])
    if not np.isfinite(value):
        raise Undefined(reason)
    return value


def bootstrap(
    statistic: Statistic, sample: Sample, settings: Resampling, *, width: int = 1, value: float | None = None
) -> Interval:
    """Bootstrap interval over patients (and readers). width: numbers the statistic holds per draw and row.

    Readers fixed: bias-corrected and accelerated (Efron, J Am Stat Assoc 1987, 82:171-185), acceleration from leaving
    out one patient at a time. Readers random: percentile interval of the two-way ("pigeonhole") bootstrap (Owen,
    Ann Appl Stat 2007, 1:386-411), which is conservative. value: the statistic on the observed data, if at hand.
    """
    random = settings.readers == "random"
    unit = "patients and readers" if random else "patients"
    kind = "percentile" if random else "BCa"
    method = f"{kind} bootstrap over {unit}, {settings.draws} draws, seed {settings.seed}"
    try:
        _enough(sample, random)
        drawn = draw(statistic, sample, settings, width)
        observed = value_of(statistic, sample, "the statistic is undefined") if value is None else value
        defined, notes = _defined(drawn, sample, observed)
        tails = (1 - settings.level) / 2
        if not random:
            low, high = _bca_tails(defined, observed, _leave_one_out(statistic, sample), tails)
        else:
            low, high = tails, 1 - tails
    except Undefined as reason:
        return Interval(method, settings.level, refused=str(reason))
    ends = np.quantile(defined, [low, high])
    return Interval(method, settings.level, float(ends[0]), float(ends[1]), notes=notes)


def draw(statistic: Statistic, sample: Sample, settings: Resampling, width: int = 1) -> np.ndarray:
    """The statistic in every draw (draws,), NaN where undefined. The same seed gives the same draws everywhere."""
    of_cases, of_readers = np.random.default_rng(settings.seed).spawn(2)
    random = settings.readers == "random"
    rows = len(sample.patients)
    block = max(1, _BLOCK // max(1, rows * (width if random else 1)))
    values = np.empty(settings.draws)
    with np.errstate(divide="ignore", invalid="ignore"):
        for start in range(0, settings.draws, block):
            count = min(block, settings.draws - start)
            cases = _multiplicities(of_cases, sample.size, count)
            readers = _multiplicities(of_readers, sample.readers, count) if random else np.ones((1, sample.readers))
            values[start : start + count] = statistic(cases[:, sample.patients], readers)
    return values


def linearised(
    statistic: Statistic,
    sample: Sample,
    level: float,
    value: float,
    ceiling: float = 1.0,
    floor: float = float("-inf"),
) -> Interval:
    """Analytic interval: t quantile times the linearised standard error, patients as the sampling unit.

    The variance is the infinitesimal jackknife (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982,
    ch. 6) with the factor p/(p-1); for agreement coefficients on independent cases it is the linearisation of Gwet
    (Handbook of Inter-Rater Reliability, 4th ed. 2014, ch. 5) where no rating is missing. It holds for these readers
    only. floor, ceiling: the smallest and largest value the statistic can take, where the interval is cut.
    """
    from scipy.stats import t

    count = sample.size
    method = f"linearised standard error, t with {count - 1} df, patients as units"
    try:
        if count < MIN_PATIENTS:
            raise Undefined(f"{count} patients are too few for an interval; at least {MIN_PATIENTS} are needed")
        error = standard_error(statistic, sample)
    except Undefined as reason:
        return Interval(method, level, refused=str(reason))
    half = float(t.ppf(0.5 + level / 2, count - 1)) * error
    notes = (f"standard error {error:.6f}",)
    return Interval(method, level, max(floor, value - half), min(ceiling, value + half), notes=notes)


def standard_error(statistic: Statistic, sample: Sample) -> float:
    """The linearised standard error with patients as units; Undefined when it is zero or cannot be had."""
    count = sample.size
    above, below = (_one_patient_at_a_time(statistic, sample, 1 + sign * _STEP) for sign in (1, -1))
    influence = (above - below) / (2 * _STEP)
    if not np.isfinite(influence).all():
        raise Undefined("the statistic is undefined without some of the patients")
    error = float(np.sqrt(count / (count - 1) * np.sum((influence - influence.mean()) ** 2)))
    if error < UNDEFINED:
        raise Undefined("the ratings do not vary between patients in what this number depends on")
    return error


def _one_patient_at_a_time(statistic: Statistic, sample: Sample, weight: float) -> np.ndarray:
    """The statistic (patients,) with one patient's weight set to `weight` and all others at one."""
    one = np.ones((1, sample.readers))
    block = max(1, _BLOCK // max(1, len(sample.patients)))
    parts = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for start in range(0, sample.size, block):
            numbers = np.arange(start, min(start + block, sample.size))
            cases = np.where(sample.patients[None, :] == numbers[:, None], weight, 1.0)
            parts.append(statistic(cases, one))
    return np.concatenate(parts)


def _multiplicities(generator: np.random.Generator, count: int, draws: int) -> np.ndarray:
    """(draws, count) times that each unit is drawn, `count` with replacement."""
    return generator.multinomial(count, np.full(count, 1 / count), size=draws).astype(float)


def _enough(sample: Sample, random: bool) -> None:
    if sample.size < MIN_PATIENTS:
        raise Undefined(f"{sample.size} patients are too few to resample; at least {MIN_PATIENTS} are needed")
    if random and sample.readers < MIN_READERS:
        raise Undefined(
            f"{sample.readers} reader{'s' if sample.readers != 1 else ''} cannot stand for readers in general; at "
            f"least {MIN_READERS} are needed to resample readers"
        )


def _defined(drawn: np.ndarray, sample: Sample, observed: float) -> tuple[np.ndarray, tuple[str, ...]]:
    defined = drawn[np.isfinite(drawn)]
    missing = len(drawn) - len(defined)
    if missing > MOST_UNDEFINED * len(drawn):
        raise Undefined(
            f"{missing} of {len(drawn)} resamples leave the number undefined (more than {MOST_UNDEFINED:.0%}): the "
            "ratings vary too little or there are too few readers"
        )
    if np.ptp(defined) < UNDEFINED * max(1.0, abs(observed)):
        raise Undefined("every resample gives the same value: the data do not vary in what this number depends on")
    notes: tuple[str, ...] = (f"{missing} of {len(drawn)} draws were undefined and left out",) if missing else ()
    if sample.size < FEW_PATIENTS:
        notes += (f"only {sample.size} patients: take the interval as rough",)
    return defined, notes


def _leave_one_out(statistic: Statistic, sample: Sample) -> np.ndarray:
    values = _one_patient_at_a_time(statistic, sample, 0.0)
    return np.asarray(values[np.isfinite(values)])


def _bca_tails(drawn: np.ndarray, observed: float, left_out: np.ndarray, tail: float) -> tuple[float, float]:
    """The quantiles of the draws that make the interval bias-corrected and accelerated."""
    from scipy.special import ndtr, ndtri

    near = UNDEFINED * max(1.0, abs(observed))
    below = np.mean(drawn < observed - near) + 0.5 * np.mean(np.abs(drawn - observed) <= near)
    if not 0 < below < 1:
        raise Undefined("all resamples lie on one side of the value: it is at the end of its range")
    bias = ndtri(below)
    deviation = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = float(np.sum(deviation**2))
    acceleration = float(np.sum(deviation**3)) / (6 * spread**1.5) if spread > UNDEFINED**2 else 0.0
    ends = []
    for z in (ndtri(tail), ndtri(1 - tail)):
        ends.append(float(ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))))
    return ends[0], ends[1]
