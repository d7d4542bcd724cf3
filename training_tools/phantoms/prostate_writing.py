"""Many simulated prostates as files, in the layout that `training_tools.prepare` reads, with the truth about each.

In the folder: `us/`, `mr/`, `us_labels/`, `mr_labels/` (the gland), `us_zones/`, `mr_zones/`, `us_lesions/`,
`mr_lesions/`, one NRRD a case in each; `truth/` (one JSON a case, written last: a case is done when it is there);
`cases.csv` (one row a case, with `label` 1 where a lesion is of high grade, for classification), `lesions.csv` (one
row a lesion), `simulation.json` (settings, versions, what the zones' numbers mean) and the contact sheet
`sheet.png`. A run that was stopped goes on where it was; other settings in the same folder are refused. The images
are left to `prostate`.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation import __version__
from imagetranslation.errors import Cancelled, InputError
from imagetranslation.files import as_sentence, atomic_path, make_folder, write_text
from imagetranslation.volume import read_volume, write_volume

from .prostate import Settings, describe, simulate_case, volumes
from .prostate_tissues import CODES

FOLDERS = {
    "us": "us",
    "mr": "mr",
    "us_gland": "us_labels",
    "mr_gland": "mr_labels",
    "us_zones": "us_zones",
    "mr_zones": "mr_zones",
    "us_lesions": "us_lesions",
    "mr_lesions": "mr_lesions",
}
ON_SHEET = 12
INCHES = 1.9


def write_cases(
    output: Path,
    seeds: Sequence[int],
    settings: Settings,
    *,
    workers: int = 1,
    progress: Callable[[int, int], Any] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """Simulate and write a case for every seed that is not there yet; returns the truth of all cases in the folder.

    progress(done, total) is called after each case. Raises InputError when the folder holds cases of other settings
    and Cancelled on Ctrl-C; finished cases stay.
    """
    make_folder(output)
    _settings_file(output, settings)
    for folder in (*FOLDERS.values(), "truth"):
        make_folder(output / folder)
    missing = [seed for seed in seeds if not _is_there(output, seed)]
    before = len(seeds) - len(missing)
    progress(before, len(seeds))
    try:
        for done, _ in enumerate(_made(output, missing, settings, workers), before + 1):
            progress(done, len(seeds))
    except KeyboardInterrupt as error:
        there = sum(_is_there(output, seed) for seed in seeds)
        raise Cancelled(
            f"Cancelled; {there} of {len(seeds)} cases are in {output}, and the same command goes on with the rest."
        ) from error
    truth = read_truth(output)
    _tables(output, truth)
    write_sheet(output, [case["case"] for case in truth])
    return truth


def case_name(seed: int) -> str:
    """The file name (without suffix) of a seed's case."""
    return f"case{seed:05d}"


def read_truth(output: Path) -> list[dict[str, Any]]:
    """The truth of every finished case in a folder, by name. Raises InputError for a damaged file."""
    found = []
    for path in sorted((output / "truth").glob("case*.json")):
        try:
            found.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not readable ({error}): remove it, and the case is made again.") from error
    return found


def write_one(output: Path, seed: int, settings: Settings) -> str:
    """Simulate a case and write its files, the truth last; returns its name."""
    case = simulate_case(seed, settings)
    name = case_name(seed)
    for part, folder in FOLDERS.items():
        write_volume(getattr(case, part), output / folder / f"{name}.nrrd")
    truth = {
        "case": name,
        "seed": seed,
        "label": case.label,
        "lesions": describe(case),
        **volumes(case),
        "probe": case.probe.kind,
        "protocol": asdict(case.protocol),
        "scanner": asdict(case.scanner),
    }
    write_text(output / "truth" / f"{name}.json", json.dumps(truth, indent=1) + "\n")
    return name


def _made(output: Path, seeds: list[int], settings: Settings, workers: int) -> Iterator[str]:
    """The names of the cases as they are written, here or by processes of their own."""
    if workers <= 1 or len(seeds) <= 1:
        for seed in seeds:
            yield write_one(output, seed, settings)
        return
    # Not forked: the parent may hold threads of numerical libraries.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches the whole group; the parent alone answers it.
    quiet = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(
        min(workers, len(seeds)), mp_context=context, initializer=signal.signal, initargs=quiet
    ) as pool:
        try:
            yield from pool.map(write_one, [output] * len(seeds), seeds, [settings] * len(seeds))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _is_there(output: Path, seed: int) -> bool:
    name = case_name(seed)
    files = [output / folder / f"{name}.nrrd" for folder in FOLDERS.values()]
    return all(path.is_file() for path in (*files, output / "truth" / f"{name}.json"))


def _settings_file(output: Path, settings: Settings) -> None:
    """Write `simulation.json`, or hold against it what the folder was begun with."""
    path = output / "simulation.json"
    wanted = {
        "simulator": "prostate",
        "simulated": "Simulated anatomy and images: no patient.",
        "settings": asdict(settings),
        "zones": {name: number for name, number in CODES.items() if number},
        "software": {"imagetranslation": __version__, "numpy": np.__version__},
    }
    wanted = json.loads(json.dumps(wanted))
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is not readable ({error}): take another folder.") from error
        if not isinstance(found, dict) or any(found.get(key) != wanted[key] for key in ("simulator", "settings")):
            raise InputError(f"{output} holds cases of other settings (see simulation.json): take another folder.")
        return
    if any((output / folder).exists() for folder in (*FOLDERS.values(), "truth")):
        raise InputError(f"{output} holds other data: take a folder that is empty or not there yet.")
    write_text(path, json.dumps(wanted, indent=2) + "\n")


def _tables(output: Path, truth: list[dict[str, Any]]) -> None:
    cases = []
    for case in truth:
        grades = [lesion["grade"] for lesion in case["lesions"]]
        cases.append(
            {
                "case": case["case"],
                "seed": case["seed"],
                "label": case["label"],
                "grade": "high" if "high" in grades else "low" if grades else "none",
                "lesions": len(grades),
                **{key: case[key] for key in ("gland_ml", "transition_ml", "peripheral_ml", "probe")},
                "tr_ms": round(case["protocol"]["tr"], 1),
                "te_ms": round(case["protocol"]["te"], 1),
                "frequency_mhz": round(case["scanner"]["frequency"], 3),
            }
        )
    rows = [{"case": case["case"], **lesion} for case in truth for lesion in case["lesions"]]
    _table(output / "cases.csv", cases)
    _table(output / "lesions.csv", rows)


def _table(path: Path, rows: list[dict[str, Any]]) -> None:
    if not rows:
        with as_sentence(path):
            path.unlink(missing_ok=True)
        return
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_sheet(output: Path, cases: Sequence[str]) -> Path:
    """Draw `sheet.png`: the first cases, each as ultrasound, MR and zones, in the patient's axial and sagittal plane.

    The planes go through the first lesion where there is one; yellow is the gland, red a lesion.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(cases)[:ON_SHEET]
    figure = Figure(figsize=(6 * INCHES, max(len(shown), 1) * INCHES + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("Simulated anatomy: no patient", fontsize=7)
    grid = figure.subplots(max(len(shown), 1), 6, squeeze=False)
    for row, case in zip(grid, shown):
        for first, side in ((0, "us"), (2, "mr")):
            image, gland, zones, lesions = (
                _upright(output / folder / f"{case}.nrrd")
                for folder in (side, f"{side}_labels", f"{side}_zones", f"{side}_lesions")
            )
            marked = lesions[0] == 1 if (lesions[0] == 1).any() else gland[0] > 0
            middle = [round(float(axis.mean())) for axis in np.nonzero(marked)] if marked.any() else [0, 0, 0]
            for cell, axis in ((row[first], 0), (row[first + 1], 2)):
                _draw(cell, image, middle, axis, high=float(np.percentile(image[0], 99.7)))
                _outline(cell, gland, middle, axis, "yellow")
                _outline(cell, lesions, middle, axis, "red")
            if side == "mr":
                for cell, axis in ((row[4], 0), (row[5], 2)):
                    _draw(cell, zones, middle, axis, high=max(CODES.values()), colours="nipy_spectral")
        row[0].set_ylabel(case, fontsize=6)
    titles = ("US axial", "US sagittal", "MR axial", "MR sagittal", "zones axial", "zones sagittal")
    for cell, title in zip(grid[0], titles):
        cell.set_title(title, fontsize=7)
    for cell in grid.ravel():
        cell.set_xticks([])
        cell.set_yticks([])
    path = output / "sheet.png"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
    return path


def _upright(path: Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """The voxels along the patient's (z, y, x), whatever the file's axes, and their mm."""
    volume = read_volume(path)
    direction = np.reshape(volume.direction, (3, 3))
    patient = np.abs(direction).argmax(axis=0)  # the patient axis of i, j, k
    array = np.flip(volume.array, tuple(2 - n for n in range(3) if direction[patient[n], n] < 0))
    order = [int(np.nonzero(patient == axis)[0][0]) for axis in (2, 1, 0)]
    spacing = [volume.spacing[n] for n in order]
    return np.transpose(array, [2 - n for n in order]), (spacing[0], spacing[1], spacing[2])


def _draw(
    cell: Any,
    image: tuple[np.ndarray, tuple[float, float, float]],
    middle: list[int],
    axis: int,
    high: float,
    colours: str = "gray",
) -> None:
    array, spacing = image
    down, across = (spacing[n] for n in range(3) if n != axis)
    # Sagittal slices stand with the head up, axial ones with the front up.
    cell.imshow(
        np.take(array, middle[axis], axis),
        cmap=colours,
        vmin=0,
        vmax=high,
        aspect=down / across,
        origin="upper" if axis == 0 else "lower",
        interpolation="nearest",
    )


def _outline(
    cell: Any, label: tuple[np.ndarray, tuple[float, float, float]], middle: list[int], axis: int, colour: str
) -> None:
    mask = np.take(label[0], middle[axis], axis) > 0
    if mask.any() and not mask.all():
        cell.contour(mask, [0.5], colors=colour, linewidths=0.5)
