"""A comparison as JSON and back, so that one process can make it and another show or export it.

What people read are the files of `comparison.write_comparison`; this record has every value to the bit and no more use.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InputError
from .comparison import ROLES, Comparison, Histogram, Row
from .engine import RoiResult

FORMAT = 1


def to_record(found: Comparison) -> dict[str, Any]:
    """Plain types for JSON; NaN as None."""
    return {
        "format": FORMAT, "roi": found.roi, "against": found.against, "notes": list(found.notes),
        "images": {role: dict(about) for role, about in found.images.items()},
        "results": {role: result.to_dict() for role, result in found.results.items()},
        "histogram": {"edges": found.histogram.edges.tolist(),
                      "shares": {role: each.tolist() for role, each in found.histogram.shares.items()}},
        "rows": [_plain(row) for row in found.rows],
    }  # fmt: skip


def from_record(mapping: Any) -> Comparison:
    """The inverse, exact to the bit; InputError for anything else."""
    try:
        if mapping["format"] != FORMAT:
            raise InputError("This comparison was recorded by another version of the program; compare again.")
        results = {role: RoiResult.from_dict(result) for role, result in mapping["results"].items()}
        shares = {role: np.asarray(each, float) for role, each in mapping["histogram"]["shares"].items()}
        histogram = Histogram(np.asarray(mapping["histogram"]["edges"], float), shares)
        rows = tuple(_row(row) for row in mapping["rows"])
        images = {str(role): dict(about) for role, about in mapping["images"].items()}
        if not {"source", "synthetic"} <= set(results) <= set(ROLES) or not set(results) == set(shares) == set(images):
            raise ValueError("roles")
        return Comparison(
            dict(mapping["roi"]), str(mapping["against"]), rows, histogram, results, images, tuple(mapping["notes"])
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError("This is no recorded comparison, or a damaged one; compare again.") from error


def _plain(row: Row) -> dict[str, Any]:
    values = {role: _finite(value) for role, value in row.values.items()}
    numbers = {name: _finite(getattr(row, name)) for name in ("difference", "percent", "cohort_sd")}
    return {**row.__dict__, **numbers, "values": values}


def _row(plain: dict[str, Any]) -> Row:
    values = {role: _number(value) for role, value in plain["values"].items()}
    numbers = {name: _number(plain[name]) for name in ("difference", "percent", "cohort_sd")}
    return Row(**{**plain, **numbers, "values": values})


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
