"""What a package says of the scans it was trained on: ranges, quantiles, likeness. One case in memory at a time.

Every number kept of a case is a quantile or a descriptor of that case alone, exact, so that a thousand cases are a
table of a thousand short rows. What inference makes of them: `imagetranslation.checks` and `outofdistribution`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from imagetranslation import intensity, outofdistribution
from imagetranslation.checks import look_of, ranges_of
from imagetranslation.grid import model_grid
from imagetranslation.inference import ScaledImage

from ..config import Config
from ..dataset import Case

QUANTILES = np.linspace(0, 1, 21)


def of_scans(cases: Iterable[Case], config: Config) -> dict[str, Any]:
    """`training.ranges` and, where there are scans enough, `training.distribution` of a package.

    `ranges.raw` and `ranges.normalised` hold 21 quantiles of the intensities inside the field of view, as read and
    after the input normalisation: mean, SD, least and greatest over the cases. The cases are gone through once.
    """
    looks, raw, normalised, described = [], [], [], []
    for case in cases:
        if case.side == "target":
            continue  # of an unpaired training set
        looks.append(look_of(case.source, case.seen))
        raw.append(np.quantile(case.source.array[case.seen].astype(np.float64), QUANTILES))
        scaled, _ = intensity.normalise(case.source.array, case.seen, config.source.normalisation)
        normalised.append(np.quantile(scaled[case.seen], QUANTILES))
        described.append(_descriptor(case, config))
    found: dict[str, Any] = {"ranges": {**ranges_of(looks), "raw": _spread(raw), "normalised": _spread(normalised)}}
    if len(described) >= outofdistribution.LEAST_SCANS:
        found["distribution"] = outofdistribution.fit(described)
    return found


def _descriptor(case: Case, config: Config) -> dict[str, float]:
    scaling = intensity.scaling(case.source.array, case.seen, config.source.normalisation)
    grid = model_grid(case.source, config.inputs())
    return dict(outofdistribution.describe(ScaledImage(grid, case.source.array, scaling, case.seen)))


def _spread(quantiles: list[np.ndarray]) -> dict[str, list[float]]:
    table = np.array(quantiles)
    parts = {"mean": table.mean(axis=0), "sd": table.std(axis=0), "min": table.min(axis=0), "max": table.max(axis=0)}
    return {name: [round(float(value), 4) for value in values] for name, values in parts.items()}
