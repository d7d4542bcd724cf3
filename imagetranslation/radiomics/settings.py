"""The settings of an extraction: one typed object for every engine, with its hash; from our file or PyRadiomics'."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from .parameters import DEFAULTS, LARGEST, check_parameters, is_parameters, read_mapping

INTERPOLATORS = {"bspline": "sitkBSpline", "linear": "sitkLinear", "nearest": "sitkNearestNeighbor"}
NORMALISATIONS = ("none", "z-score")
# Our choices where the literature gives no number: texture of fewer voxels or levels is mostly chance.
MINIMUM_VOXELS = 64
MINIMUM_GREY_LEVELS = 8
# PyRadiomics' bin width where nobody chose one. On an image scaled to 0..1 it leaves a single grey level.
DEFAULT_BIN_WIDTH = 25


@dataclass(frozen=True)
class Settings:
    """How features are made from an image.

    bin_number: grey levels between the region's minimum and maximum. bin_width: their width in the image's unit
    instead, the lowest beginning at a multiple of it. Neither: the image holds whole grey levels already. spacing: mm
    (i, j, k) to resample to, once, or None; 0 keeps an axis as it is. interpolator: "bspline" (cubic), "linear" or
    "nearest"; masks always by nearest neighbour. normalisation: "none", or "z-score" over a tissue mask that is given
    with the image (mean 0, SD 1). bias_field_correction: N4 before normalisation. minimum_voxels and
    minimum_grey_levels: fewer are refused. parameters: a checked PyRadiomics parameter file, which then rules alone
    over resampling, normalisation and discretisation.
    """

    bin_number: int | None = 32
    bin_width: float | None = None
    spacing: tuple[float, float, float] | None = None
    interpolator: str = "bspline"
    normalisation: str = "none"
    bias_field_correction: bool = False
    minimum_voxels: int = MINIMUM_VOXELS
    minimum_grey_levels: int = MINIMUM_GREY_LEVELS
    parameters: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        plain = json.loads(json.dumps(asdict(self)))
        assert isinstance(plain, dict)
        return plain

    @property
    def sha256(self) -> str:
        """Hash of the settings, the same for the same settings."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def pyradiomics(self) -> dict[str, Any]:
        """As PyRadiomics takes them: its parameter file, or ours in its terms."""
        if self.parameters is not None:
            return {key: dict(value) for key, value in self.parameters.items()}
        setting: dict[str, Any] = {"interpolator": INTERPOLATORS[self.interpolator]}
        if self.spacing is not None:
            setting["resampledPixelSpacing"] = list(self.spacing)
        if self.bin_number is not None:
            setting["binCount"] = self.bin_number
        else:
            setting["binWidth"] = self.bin_width or 1
        return {"setting": setting}

    def levels_needed(self, arguments: Mapping[str, Any]) -> int:
        """The grey levels that PyRadiomics' settings of an image type must leave."""
        if self.parameters is None:
            return self.minimum_grey_levels
        default = (
            arguments.get("binCount") is None and arguments.get("binWidth", DEFAULT_BIN_WIDTH) == DEFAULT_BIN_WIDTH
        )
        return max(self.minimum_grey_levels, 2 if default else 1)

    def general(self) -> dict[str, Any]:
        """PyRadiomics' settings, defaults included, that concern the whole extraction."""
        given = self.pyradiomics()
        return {**DEFAULTS, **given.get("setting", {}), **given.get("voxelSetting", {})}


def read_settings(path: str | Path) -> Settings:
    """Settings from a YAML or JSON file, ours or PyRadiomics'; InputError with one sentence otherwise."""
    mapping = read_mapping(path)
    name = Path(path).name
    return from_parameters(mapping, name) if is_parameters(mapping) else from_mapping(mapping, name)


def from_parameters(mapping: Mapping[str, Any], name: str = "The parameter file") -> Settings:
    """Settings that follow a PyRadiomics parameter file exactly, also where it leaves few grey levels.

    Its `minimumROISize` sets the voxels needed. Refused is only the default bin width, where it leaves one level.
    """
    checked = check_parameters(mapping, name)
    return Settings(bin_number=None, minimum_voxels=2, minimum_grey_levels=1,
                    parameters=checked)  # fmt: skip


def from_mapping(mapping: Mapping[str, Any], name: str = "The settings") -> Settings:
    """Settings of ours from plain values; InputError with one sentence for an unknown name or a value out of range."""
    known = {field.name for field in fields(Settings)} - {"parameters"}
    if unknown := [key for key in mapping if key not in known]:
        raise InputError(f"{name} has the setting {str(unknown[0])[:60]!r}; known are {', '.join(sorted(known))}.")
    for key, value in mapping.items():
        if expected := _expected(key, value):
            shown = json.dumps(value, default=str)[:60]
            raise InputError(f"The setting {key} of {name} is {shown}; {expected} was expected.")
    values = dict(mapping)
    if values.get("bin_width") is not None:
        if values.get("bin_number") is not None:
            raise InputError(f"{name} gives a bin number and a bin width; give one of them.")
        values["bin_number"] = None
    if values.get("spacing") is not None:
        values["spacing"] = tuple(float(number) for number in values["spacing"])
    return Settings(**values)


def _expected(key: str, value: Any) -> str:
    """ "" where the value is right, else what was expected."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST
    whole = number and isinstance(value, int)
    if key == "bin_number":
        return "" if value is None or (whole and 2 <= value <= 4096) else "a whole number from 2 to 4096, or null"
    if key == "bin_width":
        return "" if value is None or (number and 0 < value <= LARGEST) else "a number above 0"
    if key == "spacing":
        right = isinstance(value, (list, tuple)) and len(value) == 3
        right = right and all(isinstance(n, (int, float)) and not isinstance(n, bool) and 0 <= n < 1e4 for n in value)
        return "" if value is None or right else "three numbers of mm (i, j, k) from 0 on"
    if key == "interpolator":
        return "" if isinstance(value, str) and value in INTERPOLATORS else f"one of {', '.join(INTERPOLATORS)}"
    if key == "normalisation":
        return "" if value in NORMALISATIONS else f"one of {', '.join(NORMALISATIONS)}"
    if key == "bias_field_correction":
        return "" if isinstance(value, bool) else "true or false"
    low = 2 if key == "minimum_voxels" else 1
    return "" if whole and low <= value <= 10**9 else f"a whole number from {low} on"


def without_parameters(settings: Settings, engine: str) -> Settings:
    """For an engine that is not PyRadiomics: a parameter file in our terms; InputError where it has no counterpart."""
    if settings.parameters is None:
        return settings
    given = settings.general()
    plain = {**DEFAULTS, "binWidth": DEFAULT_BIN_WIDTH, "gldm_a": 0, "symmetricalGLCM": True, "voxelArrayShift": 0,
             "weightingNorm": None, "resegmentRange": None, "resegmentShape": False, "correctMask": False}  # fmt: skip
    translated = {"binWidth", "binCount", "resampledPixelSpacing", "interpolator", "padDistance", "label",
                  "correctMask", "label_channel", "minimumROISize", "minimumROIDimensions", "additionalInfo",
                  "geometryTolerance", "preCrop", "normalizeScale", "removeOutliers", "force2Ddimension"}  # fmt: skip
    other = [key for key, value in given.items() if key not in translated and value != plain.get(key, value)]
    images = [kind for kind in settings.parameters.get("imageType", {}) if kind != "Original"]
    if other or images:
        raise InputError(
            f"{engine} has no counterpart to {', '.join([*other, *images])} of this PyRadiomics parameter file; take "
            "--engine pyradiomics, or settings without that."
        )
    interpolators = {name: ours for ours, name in INTERPOLATORS.items()}
    spacing = given["resampledPixelSpacing"]
    if spacing is not None and given["interpolator"] not in interpolators:
        raise InputError(f"{engine} is only prepared with {', '.join(INTERPOLATORS.values())} as interpolator.")
    count = given.get("binCount")
    return Settings(
        bin_number=count, bin_width=None if count else given.get("binWidth", DEFAULT_BIN_WIDTH),
        spacing=None if spacing is None or given["interpolator"] is None else tuple(spacing),
        interpolator=interpolators.get(given["interpolator"], "bspline"),
        minimum_voxels=settings.minimum_voxels, minimum_grey_levels=settings.minimum_grey_levels,
    )  # fmt: skip
