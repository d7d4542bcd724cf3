"""How sure a model is of its image, voxel by voxel: the standard deviation over several answers, calibrated or not.

Three ways to get several answers: changed copies of the scan (`augmentations`), several models or the members of one
(an ensemble), and dropout (`predictors`). The image itself is `inference.translate`'s and does not change by it. What
the map's name, place and legend are is `deviationmaps`' affair, whether the scan is one of the kind the model knows
`outofdistribution`'s.
"""

from __future__ import annotations

from ..deviationmaps import map_path
from .calibration import LEAST_PATIENTS, Calibration
from .estimate import METHODS, Result, Settings, translate_with_uncertainty, write

__all__ = [
    "LEAST_PATIENTS",
    "METHODS",
    "Calibration",
    "Result",
    "Settings",
    "map_path",
    "translate_with_uncertainty",
    "write",
]
