"""Calibrating a model's uncertainty on its cross-validation.

Run: python -m training_tools.calibration CV --config CONFIG --data PREPARED --run RUN -o CALIBRATION

CV is the folder of a finished `training_tools.crossval` of the same configuration. Each patient is translated with
uncertainty by the fold's model that never saw it, so that fitting and measuring use errors on unseen patients only;
what is reported of a patient comes from a scale fitted on the others. With `--run` (the finished training run) the
scale is also tried on the held-out cases (two at least) with the package to be shipped itself, fitted on the other
patients alone.

Writes `calibration.json` (what `training_tools.export --calibration` puts into the package, by method) and
`calibration.csv` (a row a patient and method).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation import __version__
from imagetranslation.errors import InputError, ModelRefused
from imagetranslation.files import make_folder, write_text
from imagetranslation.grid import model_grid
from imagetranslation.models import ModelPackage, load_package
from imagetranslation.uncertainty import LEAST_PATIENTS, METHODS, Settings, translate_with_uncertainty
from imagetranslation.uncertainty.calibration import one_frame

from . import leaks, reliability
from .config import Config, read_config, stored_config
from .console import run as run_command
from .dataset import Case, LazyCases, case_names
from .export import describe, read_run, write
from .reliability import Residuals
from .train import shaped_by

COLUMNS = ("method", "case", "model", "rmse", "mean_raw_spread", "mean_deviation", "inside80", "inside95")


def residuals(package: ModelPackage, case: Case, method: str, samples: int) -> tuple[Residuals, int]:
    """One patient's raw spread and error inside its mask, and over how many samples the spread is.

    Raises InputError where the package was trained on that patient.
    """
    if case.name in leaks.seen_by(package.metadata, str(package.path)):
        raise InputError(
            f"{package.path} was trained on {case.name}, or chosen by it: its error there says nothing; nothing is "
            "fitted."
        )
    plain = ModelPackage(package.path, {**package.metadata, "uncertainty": _uncalibrated(package)})
    settings = Settings(method, samples if method != "ensemble" else 0)
    made = translate_with_uncertainty(case.source, plain, settings=settings, device="cpu")
    error = (made.synthetic.array - case.reference)[case.valid]
    frame = model_grid(case.source, package.inputs)
    return Residuals(case.name, made.deviation.array[case.valid], error, case.valid, frame), made.samples


def cross_validated(folder: Path, config: Config, data: Path, method: str) -> tuple[list[Residuals], int]:
    """Residuals of every patient, each by the model of the fold it was left out of, sorted by name."""
    found: list[Residuals] = []
    samples = 0
    for number in range(config.folds):
        package = _fold_package(folder / f"fold-{number}", config)
        learnt = leaks.seen_by(package.metadata, str(package.path))
        tested = [case for case in case_names(data) if case not in learnt]
        for case in LazyCases(data, config, tested):
            one, samples = residuals(package, case, method, config.uncertainty.samples)
            found.append(one)
    return sorted(found, key=lambda one: one.case), samples


def calibrate(
    folder: Path, config: Config, data: Path, methods: tuple[str, ...], shipped: ModelPackage | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The records by method, and one row a patient and method. shipped: to be tried on the held-out cases."""
    records, rows = {}, []
    value_range, by_place = config.target.value_range, one_frame(config.inputs())
    for method in methods:
        patients, samples = cross_validated(folder, config, data, method)
        said = (
            f"{len(patients)} patients, each by the model of the {config.folds}-fold cross-validation that had not "
            "seen it; synthetic minus registered real image, inside the mask of the scores"
        )
        record = reliability.evaluate(patients, samples, value_range, said, by_place)
        calibrated = "scale" in record
        deviations = (
            reliability.left_out(patients, value_range, by_place) if calibrated else [one.spread for one in patients]
        )
        rows += [_row(method, "cross-validation", *pair) for pair in zip(patients, deviations)]
        others = [one for one in patients if one.case not in config.held_out]
        if shipped is not None and len(config.held_out) > 1 and len(others) >= LEAST_PATIENTS:
            held = [
                residuals(shipped, case, method, config.uncertainty.samples)[0]
                for case in LazyCases(data, config, config.held_out)
            ]
            knots = reliability.scale(others, by_place)
            deviations = [reliability.apply(knots, one, value_range) for one in held]
            record["held_out"] = {
                "residuals": f"this package on {', '.join(config.held_out)}; scale fitted on the other "
                f"{len(others)} patients' cross-validation residuals",
                **reliability.coverages(deviations, [one.error for one in held]),
            }
            rows += [_row(method, "this package", *pair) for pair in zip(held, deviations)]
        records[method] = record
    return records, rows


def _uncalibrated(package: ModelPackage) -> dict[str, Any]:
    return {key: value for key, value in package.metadata.get("uncertainty", {}).items() if key != "calibration"}


def _fold_package(run: Path, config: Config) -> ModelPackage:
    try:
        package = load_package(run / "package")
    except ModelRefused as error:
        raise InputError(f"{run} holds no finished fold; run training_tools.crossval first.") from error
    try:
        told = stored_config(package.metadata["training"]["config"]).published()
    except ValueError:
        told = {}
    if told != config.published():
        raise InputError(f"{run} was made by another configuration; run training_tools.crossval with this one first.")
    return package


def _row(method: str, model: str, patient: Residuals, deviation: np.ndarray) -> dict[str, Any]:
    inside = {
        f"inside{band}": round(float(np.mean(np.abs(patient.error) <= width * deviation)), 5)
        for band, (_, width) in reliability.BANDS.items()
    }
    return {
        "method": method,
        "case": patient.case,
        "model": model,
        "rmse": round(float(np.sqrt(np.mean(patient.error.astype(float) ** 2))), 4),
        "mean_raw_spread": round(float(patient.spread.mean()), 4),
        "mean_deviation": round(float(deviation.mean()), 4),
        **inside,
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training_tools.calibration", description="Calibrate a model's uncertainty by cross-validation."
    )
    parser.add_argument("crossval", type=Path, help="folder written by training_tools.crossval")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder written by training_tools.prepare")
    parser.add_argument("--run", type=Path, help="finished run of training_tools.train, to try on the held-out cases")
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="default: the configuration's")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    config = read_config(options.config)
    output = make_folder(options.output)
    methods = tuple(options.methods or [config.uncertainty.default])
    shipped = None
    if options.run is not None:
        trained, names, weights = read_run(options.run)
        shipped = write(
            output / "package",
            describe(trained, LazyCases(options.data, trained, names), shaped=shaped_by(options.run)),
            trained, weights, {},
        )  # fmt: skip
    records, rows = calibrate(options.crossval, config, options.data, methods, shipped)
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    table.writerows(rows)
    write_text(output / "calibration.csv", text.getvalue())
    settings = {
        "config": config.model_dump(mode="json", exclude={"card"}),
        "mask": "source's field of view where the registered target has voxels",
        "imagetranslation": __version__,
        "numpy": np.__version__,
    }
    write_text(output / "calibration.json", json.dumps({"settings": settings, "calibration": records}, indent=2) + "\n")
    print(json.dumps({method: _summary(record) for method, record in records.items()}, indent=2))
    return 0


def _summary(record: dict[str, Any]) -> dict[str, Any]:
    wanted = ("n_patients", "samples", "scale", "coverage80", "coverage95", "rank_correlation", "held_out")
    record = (
        {**record, "scale": {name: record["scale"][name] for name in ("raw", "calibrated")}}
        if "scale" in record
        else record
    )
    return {name: record[name] for name in wanted if name in record}


if __name__ == "__main__":
    raise SystemExit(run_command(main))
