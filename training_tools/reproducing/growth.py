"""What a study of hundreds of patients takes, from measured growth: the steps at n, 2n and 4n simulated cases.

Every step runs in a process of its own, of which processor time, wall time and the most memory are taken. A line is
fitted through the three points, the exponent of a power of n beside it says whether a line will do, and both are
extrapolated to the patients of the published study. Extrapolation is no measurement: the page says which is which.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.files import make_folder, write_text
from imagetranslation.volume import read_volume, write_volume

from .. import prepare
from ..benchmarking.costs import machine
from ..dataset import manifest, patients
from ..evaluating.writing import write_rows
from . import data, helping, preserving, translating
from .published import published
from .sizes import Sizes

TIMES = (1, 2, 4)
NOISE = 0.05  # of the target's SD, added to make an image to be read
FEATURES, LEAST_CLASSIFIED = 186, 10  # drawn for the classification; fewer patients cannot be classified
HOURS, GIB = 3600.0, 2.0**30


@dataclass(frozen=True)
class Point:
    """One step at n cases. processor: seconds of all its processes; memory: the most that one of them held, bytes."""

    step: str
    n: int
    processor: float
    wall: float
    memory: float


@dataclass(frozen=True)
class Fit:
    """value = fixed + each * n, by least squares; exponent: of n, by a line through the logarithms."""

    fixed: float
    each: float
    exponent: float

    def at(self, n: int) -> float:
        """The line's value; never below zero."""
        return max(0.0, self.fixed + self.each * n)


def fit(numbers: Sequence[int], values: Sequence[float]) -> Fit:
    """Line and exponent through at least two points."""
    each, fixed = (float(v) for v in np.polyfit(np.asarray(numbers, float), np.asarray(values, float), 1))
    logs = np.log(np.maximum(np.asarray(values, float), 1e-9))
    return Fit(fixed, each, float(np.polyfit(np.log(np.asarray(numbers, float)), logs, 1)[0]))


def measure(task: str, sizes: Sizes, output: Path, tell: Callable[[str], None]) -> list[Point]:
    """Every step at 1, 2 and 4 times sizes.patients cases. InputError for a folder that holds something."""
    if output.exists() and any(output.iterdir()):
        raise InputError(f"{output} is not empty; choose another folder with -o.")
    points = []
    for factor in TIMES:
        own = replace(sizes, patients=factor * sizes.patients)
        place = make_folder(output / f"n-{own.patients}")
        _simulate(task, own, place)
        for step in STEPS[task]:
            least = LEAST_CLASSIFIED * factor if step == "classification" else 0
            counted = replace(own, patients=max(own.patients, least))
            tell(f"{step} of {counted.patients} cases")
            points.append(_apart(step, task, counted, place))
    return points


def _simulate(task: str, sizes: Sizes, place: Path) -> None:
    """Scans and an image of each case to be read: the real one with noise. Not measured."""
    cases = data.prostates(sizes, 1, place) if task == "us2mri" else data.bone_scans(sizes, 1, place)
    random = np.random.default_rng(sizes.seed)
    folder = make_folder(place / translating.IMAGES)
    for record in manifest(cases)["cases"]:
        target = read_volume(cases / record["target"])
        array = target.array.astype(np.float32)
        noisy = array + random.normal(0, NOISE * float(array.std()), array.shape).astype(np.float32)
        write_volume(target.with_array(np.maximum(noisy, 0)), folder / f"{record['case']}.nrrd")


def _apart(step: str, task: str, sizes: Sizes, place: Path) -> Point:
    told = place / f"{step}.json"
    process = multiprocessing.get_context("spawn").Process(
        target=_measured, args=(step, task, sizes, place, told), daemon=True
    )  # fmt: skip
    process.start()
    process.join()
    if process.exitcode or not told.exists():
        raise RunFailed(f"The step {step} of {sizes.patients} cases ended with code {process.exitcode}.")
    return Point(step, sizes.patients, **json.loads(told.read_text(encoding="utf-8")))


def _own_peak() -> int:
    """The most memory of this process, KiB. What `getrusage` tells begins, on Linux, with what its parent held."""
    import resource

    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _measured(step: str, task: str, sizes: Sizes, place: Path, told: Path) -> None:
    """In a process of its own; what starting it and loading libraries took is not the step's time."""
    import resource

    import SimpleITK as _  # noqa: F401  loaded before the clock runs

    def processor() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used)

    began, before = time.monotonic(), processor()
    STEPS[task][step](task, sizes, place)
    held = max(_own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    record = {"processor": processor() - before, "wall": time.monotonic() - began, "memory": held * 1024.0}
    write_text(told, json.dumps(record) + "\n")


def _preparation(task: str, sizes: Sizes, place: Path) -> None:
    if task == "us2mri":
        given = ["--csv", str(place / "simulated" / "pairs.csv"), "--method", "scale"]
    else:
        given = ["--source", str(place / "cases" / "source"), "--target", str(place / "cases" / "target")]
        given += ["--method", "rigid", "--by", "images", "--source-modality", "NM", "--target-modality", "NM"]
    prepare.main([*given, "-o", str(place / "again")])


def _evaluation(task: str, sizes: Sizes, place: Path) -> None:
    cases = place / "cases"
    names = sorted(patients(cases))
    config = translating.configuration(task, sizes.preset, sizes.seed)
    made = {name: place / translating.IMAGES / f"{name}.nrrd" for name in names}
    half = len(names) // 2
    # Two translators, each tested on the half that the other learnt from: every case once, as in a cross-fit.
    sides = {
        Path("a"): (tuple(names[:half]), tuple(names[half:])),
        Path("b"): (tuple(names[half:]), tuple(names[:half])),
    }
    translating.evaluate(translating.Translated(sides, made), config, cases, place / "evaluated")


def _features(task: str, sizes: Sizes, place: Path) -> None:
    cases = place / "cases"
    made = {name: place / translating.IMAGES / f"{name}.nrrd" for name in patients(cases)}
    preserving.preserve(cases, made, place / "preserved", draws=sizes.draws, seed=sizes.seed, workers=1,
        features=sizes.features,
    )  # fmt: skip


def _classification(task: str, sizes: Sizes, place: Path) -> None:
    """Every classifier of features on the arms source, synthetic and both. Features and labels are drawn: what it takes
    depends on how many there are and not on what they say."""
    from ..classifying import arms, crossfit, crossvalidation, models, tables

    random, names = np.random.default_rng(sizes.seed), tuple(f"f{n}" for n in range(FEATURES))
    everyone = [f"p{n:05d}" for n in range(sizes.patients)]
    drawn = {arm: {who: random.normal(size=FEATURES) for who in everyone} for arm in (arms.SOURCE, arms.SYNTHETIC)}
    truth = {who: number % 2 for number, who in enumerate(everyone)}
    cohort = tables.join(truth, "1", {arm: (table, names) for arm, table in drawn.items()})
    record = crossfit.CrossFit({"none": frozenset()}, {crossfit.ALL: dict.fromkeys(everyone, "none")})
    chosen = [name for name in sizes.classifiers if name in models.of_kind(models.FEATURES)]
    arms.run(cohort, chosen, crossvalidation.Folds(sizes.folds, 1, sizes.seed), record)


def _lesions(task: str, sizes: Sizes, place: Path) -> None:
    if reason := helping.read_lesions(task, place / "cases", place / translating.IMAGES, place / "read"):
        raise InputError(reason)  # what was not done has no time


Work = Callable[[str, Sizes, Path], None]
STEPS: Mapping[str, Mapping[str, Work]] = {
    "us2mri": {"preparation": _preparation, "evaluation": _evaluation, "preservation": _features,
               "classification": _classification, "lesions": _lesions},
    "pool2delayed": {"preparation": _preparation, "evaluation": _evaluation, "preservation": _features,
                     "lesions": _lesions},
}  # fmt: skip
# Steps of a study (`plan`) that are not measured, and why.
NOT_MEASURED = {
    "benchmark": "comparison of networks (training is a budget: networks x folds x seconds; translation and scoring of "
    "its tested patients)",
    "translators": "cross-fitted translators (training is a budget: translators x seconds; their images)",
    "resnet10": "classification on the images themselves (resnet10)",
    "sweep": "sweep over rho (a study of its own at each)",
    "atlas": "failure atlas",
    "study": "prepared reader study",
}


def rows(task: str, points: Sequence[Point]) -> list[dict[str, Any]]:
    """One row a step: what was measured, the line, and what it gives for the published number of patients."""
    wanted = int(published(task)["patients"]["value"])
    found = []
    for step in dict.fromkeys(point.step for point in points):
        own = [point for point in points if point.step == step]
        numbers = [point.n for point in own]
        time_fit = fit(numbers, [point.processor for point in own])
        memory_fit = fit(numbers, [point.memory for point in own])
        found.append(
            {
                "step": step, "patients": ", ".join(map(str, numbers)),
                "processor_seconds": ", ".join(f"{point.processor:.1f}" for point in own),
                "memory_gib": ", ".join(f"{point.memory / GIB:.2f}" for point in own),
                "seconds_fixed": round(time_fit.fixed, 2), "seconds_each": round(time_fit.each, 3),
                "time_exponent": round(time_fit.exponent, 2),
                "memory_mib_each": round(memory_fit.each / 2**20, 2),
                "extrapolated_patients": wanted,
                "extrapolated_processor_hours": round(time_fit.at(wanted) / HOURS, 2),
                "extrapolated_memory_gib": round(memory_fit.at(wanted) / GIB, 2),
            }
        )  # fmt: skip
    return found


def write(task: str, sizes: Sizes, points: Sequence[Point], output: Path) -> Path:
    """Write growth.csv, growth.json and growth.html; returns the page's path."""
    from imagetranslation.radiomics.preservation.page import document, table_html

    told = rows(task, points)
    write_rows(told, output / "growth.csv")
    when = datetime.now(timezone.utc).date().isoformat()
    about = {"task": task, "date": when, "machine": machine(), "sizes": sizes.record(),
             "points": [asdict(point) for point in points], "rows": told,
             "not_measured": NOT_MEASURED}  # fmt: skip
    write_text(output / "growth.json", json.dumps(about, indent=1) + "\n")
    voxels = " x ".join(map(str, sizes.voxels)) if task == "us2mri" else "256 x 256"
    words = (
        f"Measured on {when} on {machine()['device']} with simulated cases of {voxels}, one process; extrapolated by "
        "the line fixed + each * n. Where the exponent is far from 1, or memory is a fixed sum with little on top, the "
        "line is a poor guide. Simulated, not comparable with scans of other sizes. Not measured, not in these sums: "
        f"{'; '.join(NOT_MEASURED.values())}; reading by people."
    )
    body = [f"<h1>What {told[0]['extrapolated_patients']} patients take</h1><p>{words}</p>", _plot(points)]
    body.append(table_html(tuple(told[0]), [tuple(row.values()) for row in told]))
    return write_text(output / "growth.html", document("Growth", body))


def _plot(points: Sequence[Point]) -> str:
    from imagetranslation.radiomics.preservation.figures import new_figure, svg

    figure = new_figure(9.0, 3.4)
    for axes, value, label in zip(figure.subplots(1, 2), ("processor", "memory"), ("processor seconds", "memory, GiB")):
        scale = GIB if value == "memory" else 1.0
        for step in dict.fromkeys(point.step for point in points):
            own = [point for point in points if point.step == step]
            numbers, values = [p.n for p in own], [getattr(p, value) / scale for p in own]
            line = fit(numbers, values)
            (drawn,) = axes.plot(numbers, values, "o", label=step, markersize=4)
            axes.plot(numbers, [line.at(n) for n in numbers], color=drawn.get_color(), linewidth=1)
        axes.set_xlabel("patients", fontsize=8)
        axes.set_ylabel(label, fontsize=8)
    figure.axes[0].legend(fontsize=7)
    return svg(figure, "growth")
