"""What a statistic hands out: a value with its n, method, source and intervals, or the reason why there is none.

NaN never leaves this room: what is undefined is refused by a sentence. How to compute is left to the other files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

UNDEFINED = 1e-12  # a denominator below this is zero up to rounding


class Undefined(Exception):
    """A statistic cannot be had from these data; the message is the reason, one sentence."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval, or why there is none (`refused`)."""

    method: str
    level: float = 0.95
    low: float | None = None
    high: float | None = None
    refused: str | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON: method, level, then low and high, or refused."""
        told = {"method": self.method, "level": self.level}
        ends = {"refused": self.refused} if self.refused else {"low": self.low, "high": self.high}
        return {**told, **ends, **({"notes": list(self.notes)} if self.notes else {})}


@dataclass(frozen=True)
class Estimate:
    """One number with all that belongs to it.

    key: stable name for machines; label: what a person reads; n: what was counted, e.g. {"cases": 18, "raters": 7};
    method and source: how, and after whom; intervals: in the order in which they are printed.
    """

    key: str
    label: str
    value: float | None
    n: dict[str, int]
    method: str
    source: str
    intervals: tuple[Interval, ...] = ()
    refused: str | None = None
    notes: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.refused is None and (self.value is None or not math.isfinite(self.value)):
            raise ValueError(f"{self.key} is {self.value}: an undefined value must be refused with its reason")

    def as_dict(self) -> dict[str, Any]:
        """For JSON: everything, `value` or `refused`."""
        value = {"refused": self.refused} if self.refused else {"value": self.value}
        told = {"key": self.key, "label": self.label, **value, "n": self.n, "method": self.method}
        more = {"source": self.source, "intervals": [interval.as_dict() for interval in self.intervals]}
        return {**told, **more, **({"notes": list(self.notes)} if self.notes else {}), **self.extra}


def refusal(key: str, label: str, n: dict[str, int], method: str, source: str, reason: str) -> Estimate:
    """The estimate that says why there is none."""
    return Estimate(key, label, None, n, method, source, refused=reason)
