"""How large a study is made: patients of the simulators, budgets of the networks, repetitions. All of it is our choice.

`--quick` shows on two cores within 45 minutes that everything runs; it is not a study. Estimates of time and disk are
from figures of Resources/Docs/reproduce.md.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from imagetranslation.errors import InputError

RHOS = (0.0, 0.3, 0.6, 0.9)  # of the sweep over the correlation of hyperaemia and late uptake


@dataclass(frozen=True)
class Sizes:
    """patients, seed: of the simulator. voxels (i, j, k), of both prostate images; the field of view stays the same.
    region: of the simulated bone scans. preset: of the benchmark, with seconds of training where these differ from the
    preset's. translator_seconds: of training of each translator of the cross-fit. folds: of the cross-fit and of the
    classification. scheme: "simple" or "nested". classifiers. rhos: of the sweep, with sweep_patients each.
    draws: of bootstraps in the preservation analysis. readers, read: of the prepared reader study, and its cases.
    only: networks of the benchmark; () for all. features: set for the preservation; MIRP's is slow on planar scans,
    whose regions are large. threads: of each network of the benchmark, whose budget is processor seconds and therefore
    seconds times threads: part of the study, and not whatever machine a run of it meets.

    Raises InputError for sizes of which no study can be made.
    """

    patients: int
    voxels: tuple[int, int, int]
    region: str
    preset: str
    seconds: float | None
    translator_seconds: float
    folds: int
    scheme: str
    classifiers: tuple[str, ...]
    rhos: tuple[float, ...]
    sweep_patients: int
    draws: int
    readers: int
    read: int
    seed: int = 1
    only: tuple[str, ...] = ()
    features: str = "paper186"
    threads: int = 2

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise InputError(f"--{name.replace('_', '-')} must be {least} or more.")
        for name in ("seconds", "translator_seconds"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"--{name.replace('_', '-')} must be a number above 0.")
        if not all(0 <= rho <= 1 for rho in self.rhos):
            raise InputError("A correlation of --rhos lies between 0 and 1.")
        if len({column(rho) for rho in self.rhos}) < len(self.rhos):
            raise InputError("Correlations of --rhos must differ in their first two decimals.")
        if self.rhos and self.sweep_patients < LEAST_SWEPT:
            raise InputError(f"--sweep-patients must be {LEAST_SWEPT} or more.")

    def prostate(self) -> Any:
        """Settings of the prostate simulator: the standard field of view in so many voxels."""
        from ..phantoms.prostate import Settings

        usual = Settings()
        coarser = max(whole / n for whole, n in zip(usual.us_size, self.voxels))

        def spacing(size: tuple[int, ...], mm: tuple[float, ...]) -> tuple[float, float, float]:
            found = [round(mm[axis] * size[axis] / self.voxels[axis], 4) for axis in range(3)]
            return found[0], found[1], found[2]

        planes, beams, depths = (max(12, round(n / coarser)) for n in usual.samples)
        return Settings(
            us_size=self.voxels, us_spacing=spacing(usual.us_size, usual.us_spacing), mr_size=self.voxels,
            mr_spacing=spacing(usual.mr_size, usual.mr_spacing), samples=(planes, beams, depths),
            step=round(usual.step * min(coarser, 1.5), 2),
        )  # fmt: skip

    def for_sweep(self) -> Sizes:
        """The same with as many patients as a step of the sweep has, others than the chief cohort's."""
        return replace(self, patients=self.sweep_patients, seed=self.seed + 1000)

    def record(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


LEAST_SWEPT = 4  # two translators, each tested on the patients of the other
_LEAST = {"patients": 1, "folds": 2, "readers": 1, "read": 1, "seed": 0, "threads": 1, "sweep_patients": 0}


def column(rho: float) -> str:
    """What a step of the sweep is called."""
    return f"rho-{rho:.2f}"


_ALL = ("random-forest", "pca-random-forest", "resnet10", "elastic-net", "gradient-boosting")
QUICK = {
    "us2mri": Sizes(24, (64, 64, 32), "auto", "quick", None, 30, 3, "simple", _ALL[:3], (), 0, 300, 7, 12),
    "pool2delayed": Sizes(
        36, (0, 0, 0), "auto", "quick", None, 30, 3, "simple", (), RHOS, 30, 300, 3, 12, 1, (), "pyradiomics"
    ),
}
WHOLE = {
    "us2mri": Sizes(100, (128, 128, 64), "auto", "standard", None, 900, 5, "nested", _ALL, (), 0, 1000, 7, 40),
    "pool2delayed": Sizes(300, (0, 0, 0), "auto", "standard", None, 900, 5, "simple", (), RHOS, 300, 1000, 3, 40),
}


def sizes_for(task: str, quick: bool) -> Sizes:
    """Of the quick run, or of the whole one."""
    return (QUICK if quick else WHOLE)[task]
