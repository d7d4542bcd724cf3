"""Radiomics side by side with stock PyRadiomics, one region and sixteen, and sixteen on two cores.

Both run on the same arrays in memory, in a process of its own that is held to one core (or two) with one thread, in
turn; every value is compared bit by bit. Stock means what PyRadiomics' documentation shows: one extractor with its
defaults, executed once a label. The settings are those of our defaults (32 bins).
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .results import NotMeasured, Row

ROUNDS = 5
# Stock takes its time over sixteen.
ROUNDS_OF_SIXTEEN = 3
SHAPE = (64, 256, 256)
RADIUS = 12
# Regions of these radii show how time grows with volume.
RADII = (6, 12, 24)
ROOT = Path(__file__).resolve().parent.parent.parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def one() -> list[Row]:
    """Row radiomics1."""
    found = _measured("one", 1)
    growth = ", ".join(f"{ms:.1f} ms at radius {radius}" for radius, ms in zip(RADII, found["per_1000_voxels"]))
    ours, theirs = found["filters"]
    note = (
        f"one sphere of radius {RADIUS} voxels ({found['voxels']}) in {_by(SHAPE)}, image and mask in memory, 107 "
        f"features of the original image with 32 bins, one core and one thread; {_how()}; all {found['values']} values "
        f"equal to the bit; without stock's diagnostics (additionalInfo: false) theirs is {found['plain']:.3f} s; with "
        f"wavelet and LoG (sigma 2 mm) images as well, {found['filtered_values']} values, ours {ours:.2f} s, theirs "
        f"{theirs:.2f} s (one run each); ours per 1000 voxels of the region: {growth}"
    )
    return [Row("radiomics1", round(found["ours"], 4), round(found["theirs"], 4), "ratio <= 0.2", "s", note)]


def sixteen() -> list[Row]:
    """Rows radiomics16 (one core) and radiomics16_2cores (ours on two cores against ours on one)."""
    found = _measured("sixteen", 1)
    note = (
        f"sixteen spheres of radius {RADIUS} voxels in {_by(SHAPE)}, otherwise as radiomics1; "
        f"{_how(ROUNDS_OF_SIXTEEN)}; all {found['values']} values equal to the bit"
    )
    rows = [Row("radiomics16", round(found["ours"], 4), round(found["theirs"], 4), "ratio <= 0.0833", "s", note)]
    if (os.cpu_count() or 1) > 1:
        two = _measured("two_cores", 2)
        note = (
            f"the same sixteen regions by two processes that run already (starting them took {two['start']:.1f} s), "
            f"against ours by one; {_how()}"
        )
        rows.append(
            Row("radiomics16_2cores", round(two["ours"], 4), round(two["theirs"], 4), "ratio <= 0.625", "s", note)
        )
    return rows


def _how(rounds: int = ROUNDS) -> str:
    return f"medians of {rounds} interleaved runs"


def _by(values: tuple[int, ...]) -> str:
    return " x ".join(str(value) for value in reversed(values))


def _measured(what: str, cores: int) -> dict[str, Any]:
    """Run one of the measurements below in a process held to `cores`, with one thread each."""
    if missing := [name for name in ("radiomics", "joblib") if importlib.util.find_spec(name) is None]:
        raise NotMeasured(f"not installed: {', '.join(missing)} (see Resources/Setup/pyradiomics.sh).")
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    command = [sys.executable, "-m", "Testing.Benchmarks.radiomics", what, str(cores)]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise RuntimeError(ran.stderr.strip()[-500:])
    found = json.loads(ran.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def _image() -> tuple[Any, Any]:
    """A smooth random image (int16) and a labelmap of sixteen spheres."""
    import numpy as np
    from scipy import ndimage

    from imagetranslation.volume import Volume

    smooth = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, SHAPE), 2)
    image = Volume((smooth / smooth.std() * 200 + 1000).astype(np.int16), name="image")
    labels = np.zeros(SHAPE, np.uint8)
    for number in range(16):
        labels[_sphere((32, 32 + 64 * (number // 4), 32 + 64 * (number % 4)), RADIUS)] = number + 1
    return image, Volume(labels, name="mask")


def _sphere(centre: tuple[int, int, int], radius: int) -> Any:
    import numpy as np

    k, j, i = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return (k - centre[0]) ** 2 + (j - centre[1]) ** 2 + (i - centre[2]) ** 2 <= radius**2


def _pair(settings: Any, information: bool = True) -> tuple[Callable[..., Any], Callable[..., Any], Any]:
    """Ours and stock, each taking labels; and the labelmap."""
    import radiomics
    from radiomics.featureextractor import RadiomicsFeatureExtractor

    from imagetranslation.radiomics.pyradiomics_engine import PyRadiomicsEngine
    from imagetranslation.radiomics.resample import to_sitk
    from imagetranslation.radiomics.roi import from_labelmap

    radiomics.setVerbosity(60)
    image, labelmap = _image()
    engine = PyRadiomicsEngine()
    parameters = settings.pyradiomics()
    classes = {name: None for name in radiomics.getFeatureClasses() if name != "shape2D"}
    extractor = RadiomicsFeatureExtractor({**parameters, "featureClass": classes})
    extractor.addProvenance(information)
    scan, mask = to_sitk(image), to_sitk(labelmap)

    def ours(labels: list[int], workers: int = 1) -> Any:
        return engine.extract(image, from_labelmap(labelmap, labels), settings, workers=workers)

    def theirs(labels: list[int]) -> Any:
        return [extractor.execute(scan, mask, label=label) for label in labels]

    return ours, theirs, labelmap


def _seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    made = run()
    return time.perf_counter() - started, made


def _in_turn(first: Callable[[], Any], second: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, float]:
    """Medians of so many runs of each, taken in turn; a first turn only warms up."""
    times = [(_seconds(first)[0], _seconds(second)[0]) for _ in range(rounds + 1)][1:]
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times)


def _compared(results: Any, stock: Any) -> int:
    """How many values there are; RuntimeError unless all are equal to the bit."""
    count = 0
    for result, expected in zip(results, stock):
        for key, value in result.values.items():
            if float(expected[key]) != value:
                raise RuntimeError(f"{key} is {value!r}, by stock PyRadiomics {float(expected[key])!r}")
            count += 1
    return count


def _one() -> dict[str, Any]:
    from imagetranslation.radiomics.settings import Settings, from_parameters

    ours, theirs, labelmap = _pair(Settings())
    mine, stock = _in_turn(lambda: ours([1]), lambda: theirs([1]))
    _, quiet, _ = _pair(Settings(), information=False)
    plain = statistics.median(_seconds(lambda: quiet([1]))[0] for _ in range(ROUNDS))
    filters = from_parameters(
        {"setting": {"binCount": 32}, "imageType": {"Original": {}, "Wavelet": {}, "LoG": {"sigma": [2.0]}}}
    )
    filtered, filtered_stock, _ = _pair(filters)
    both = _seconds(lambda: filtered([1])), _seconds(lambda: filtered_stock([1]))
    filtered_values = _compared(both[0][1], both[1][1])
    return {
        "ours": mine, "theirs": stock, "plain": plain, "voxels": int((labelmap.array == 1).sum()),
        "values": _compared(ours([1]), theirs([1])), "filters": [both[0][0], both[1][0]],
        "filtered_values": filtered_values,
        "per_1000_voxels": [_per_1000_voxels(radius) for radius in RADII],
    }  # fmt: skip


def _per_1000_voxels(radius: int) -> float:
    """Milliseconds."""
    from imagetranslation.radiomics.pyradiomics_engine import PyRadiomicsEngine
    from imagetranslation.radiomics.roi import from_labelmap
    from imagetranslation.radiomics.settings import Settings

    image, labelmap = _image()
    (roi,) = from_labelmap(labelmap.with_array(_sphere((32, 128, 128), radius).astype("u1")))
    engine = PyRadiomicsEngine()
    times = [_seconds(lambda: engine.extract(image, [roi], Settings()))[0] for _ in range(ROUNDS)]
    return 1e6 * statistics.median(times) / roi.voxels


def _sixteen() -> dict[str, Any]:
    from imagetranslation.radiomics.settings import Settings

    ours, theirs, _ = _pair(Settings())
    labels = list(range(1, 17))
    mine, stock = _in_turn(lambda: ours(labels), lambda: theirs(labels), ROUNDS_OF_SIXTEEN)
    return {"ours": mine, "theirs": stock, "values": _compared(ours(labels), theirs(labels))}


def _two_cores() -> dict[str, Any]:
    from imagetranslation.radiomics.settings import Settings

    ours, _, _ = _pair(Settings())
    labels = list(range(1, 17))
    start, _ = _seconds(lambda: ours(labels, 2))
    two, one_ = _in_turn(lambda: ours(labels, 2), lambda: ours(labels))
    return {"ours": two, "theirs": one_, "start": start}


def main() -> None:
    """Measure what the arguments name, on as many cores as they say, and print one JSON object."""
    what, cores = sys.argv[1], int(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    print(json.dumps({"one": _one, "sixteen": _sixteen, "two_cores": _two_cores}[what]()))


if __name__ == "__main__":
    main()
