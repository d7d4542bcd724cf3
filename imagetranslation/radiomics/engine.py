"""What every radiomics engine is to the rest of the program: features of one image under regions of interest.

The engines are `pyradiomics_engine` and `mirp_engine`. What is compared with what is left to others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InputError

if TYPE_CHECKING:
    from ..volume import Volume
    from .roi import Roi
    from .settings import Settings

ENGINES = ("pyradiomics", "mirp")
# Sets of features, and the engine that makes each.
FEATURE_SETS = {"pyradiomics": "pyradiomics", "paper186": "mirp", "ibsi": "mirp"}
# Where an engine ran that needs no interpreter of its own.
HERE = "this process"
Cancel = Callable[[], bool]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Feature:
    """One value. name, ibsi (code, "" where the standard has none), family, aggregation: the standard's terms.

    engine_name: the engine's own name, unique in a result. image_type: "original" or the filter ("wavelet-LLH").
    value: NaN where it is not defined for this region. unit: "" for a plain number; "intensity" is the image's unit.
    note: how the value differs from the standard's by definition, or "".
    """

    name: str
    ibsi: str
    family: str
    engine_name: str
    value: float
    unit: str = ""
    aggregation: str = ""
    image_type: str = "original"
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; a value that is no number is None."""
        return {**asdict(self), "value": self.value if math.isfinite(self.value) else None}


@dataclass(frozen=True)
class RoiResult:
    """The features of one image under one region.

    roi: hash and geometry (`Roi.to_dict`). settings: `Settings.to_dict` and its hash under "sha256". features: empty
    where `refused` says, in a sentence, why there are none. missing: features of the chosen set that this engine does
    not make, with the reason. warnings: sentences. isolation: which interpreter ran the engine.
    """

    engine: str
    engine_version: str
    feature_set: str
    roi: dict[str, Any]
    settings: dict[str, Any]
    features: tuple[Feature, ...]
    grey_levels: int | None = None
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    isolation: str = HERE
    refused: str = ""

    @property
    def values(self) -> dict[str, float]:
        """Engine's own name to value."""
        return {feature.engine_name: feature.value for feature in self.features}

    def with_warnings(self, *sentences: str) -> RoiResult:
        """The same with more warnings."""
        return replace(self, warnings=(*self.warnings, *sentences))

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        fields = {key: value for key, value in self.__dict__.items() if key != "features"}
        features = [feature.to_dict() for feature in self.features]
        values = {feature["engine_name"]: feature["value"] for feature in features}
        return {**fields, "missing": list(self.missing), "warnings": list(self.warnings),
                "features": features, "values": values}  # fmt: skip

    @classmethod
    def from_dict(cls, mapping: dict[str, Any]) -> RoiResult:
        """The inverse of `to_dict`, exact to the bit; KeyError or TypeError for anything else."""
        features = tuple(
            Feature(**{**feature, "value": math.nan if feature["value"] is None else float(feature["value"])})
            for feature in mapping["features"]
        )
        plain = {key: value for key, value in mapping.items() if key != "values"}
        return cls(**{**plain, "features": features, "missing": tuple(mapping["missing"]),
                      "warnings": tuple(mapping["warnings"])})  # fmt: skip


class Engine(Protocol):
    """Makes features. name: "pyradiomics" or "mirp"; version: of the engine; feature_set: one of FEATURE_SETS."""

    name: str
    version: str
    feature_set: str

    def extract(
        self,
        image: Volume,
        rois: Sequence[Roi],
        settings: Settings,
        *,
        shape: bool = True,
        workers: int = 1,
        scheduler: str = "",
        progress: Progress | None = None,
        cancelled: Cancel | None = None,
    ) -> list[RoiResult]:
        """Features of `image` under each of `rois`, in their order.

        The image is as read and prepared by `preprocess.prepare`; resampling and discretisation happen here, by
        `settings`. shape: with morphological features, which depend on the region alone and are taken once for
        several images. workers: processes on this machine. scheduler: address of a Dask scheduler to work on instead.
        A region that cannot be used gives a result with `refused`; InputError is
        raised for what concerns all of them, Cancelled where `cancelled` says so.
        """
        ...


def make_engine(feature_set: str = "pyradiomics", engine: str = "", *, mirp_python: str = "") -> Engine:
    """The engine of a feature set, which may also be named.

    mirp_python: an interpreter of an environment that has MIRP, "" for this one. Raises InputError with one sentence
    for an unknown name, a set that the named engine cannot make, or an engine that is not there.
    """
    if feature_set not in FEATURE_SETS:
        raise InputError(f"There is no feature set {feature_set!r}; choose one of {', '.join(FEATURE_SETS)}.")
    made_by = FEATURE_SETS[feature_set]
    if engine and engine not in ENGINES:
        raise InputError(f"There is no radiomics engine {engine!r}; choose one of {', '.join(ENGINES)}.")
    if engine and engine != made_by:
        lacks = " It has no distance zones, intensity-volume histogram, local intensity or merged matrices."
        raise InputError(
            f"The feature set {feature_set} is made by {made_by}, not by {engine}: leave --engine out, or choose "
            f"--features {default_features(engine)}.{lacks if engine == 'pyradiomics' else ''}"
        )
    if made_by == "mirp":
        from .mirp_engine import MirpEngine

        return MirpEngine(feature_set, mirp_python)
    from .pyradiomics_engine import PyRadiomicsEngine

    return PyRadiomicsEngine()


def default_features(engine: str) -> str:
    """The feature set taken where only an engine was named."""
    return "paper186" if engine == "mirp" else "pyradiomics"
