"""Codes of features and units: IBSI's where the standard has one, else private ones of ours; units in UCUM."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A coded concept: value, meaning (at most 64 characters) and the scheme that defines it."""

    value: str
    meaning: str
    scheme: str
