"""Do synthetic images help a diagnosis? Classifiers on features of source, synthetic and real images, compared.

    python -m training_tools.classify --labels labels.csv --source us.csv --synthetic synthetic.csv --real mr.csv
        --cross-fit crossfit.json -o OUT

Feature tables have the column patient and one column a feature (`radiomics extract`), or are `long.csv:relation:side`
of `radiomics preservation`'s features.csv. `--cross-fit` names who made each synthetic image and whom that translator
had seen (`classifying.crossfit`); with a nested record `--synthetic` is a folder of tables `<repeat>-<fold>.csv`, and
`--plan` writes which patients each outer fold tests, before any translator is trained. Written: `results.csv`,
`differences.csv`, `predictions.csv`, `classification.json`, `index.html`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.files import make_folder, write_text

from .classifying import arms, crossfit, tables
from .classifying.crossvalidation import Folds
from .classifying.models import MODELS, find
from .classifying.page import page
from .console import run as run_command
from .evaluating.writing import write_rows

Table = tuple[Mapping[str, np.ndarray], tuple[str, ...]]
TRUTH = (
    "A synthetic image is a function of its source: a gain over the source is not new information about the patient, "
    "but what the translator learnt from other patients' pairs."
)


def classify(
    cohort: tables.Cohort,
    models: list[str],
    folds: Folds,
    record: crossfit.CrossFit,
    per_fold: Mapping[str, np.ndarray] | None,
    output: Path,
) -> dict[str, Any]:
    """Run every arm with every model, write tables and page; returns what `classification.json` holds."""
    results = arms.run(cohort, models, folds, record, per_fold=per_fold)
    compared = arms.differences(results, cohort.labels, folds)
    make_folder(output)
    write_rows([_row(result) for result in results], output / "results.csv")
    write_rows([_difference(d) for d in compared], output / "differences.csv")
    write_rows([row for result in results for row in _predictions(result, cohort)], output / "predictions.csv")
    about = {
        "patients": len(cohort.patients), "positive": int(cohort.labels.sum()), "label": cohort.positive,
        "folds": asdict(folds), "models": {name: find(name).source for name in models}, "cross_fit": record.kind,
        "excluded": list(cohort.excluded), "software": {"imagetranslation": __version__}, "note": TRUTH,
    }  # fmt: skip
    report = {
        **about,
        "results": [{"arm": r.arm, "model": r.model, "features": r.features, **r.scores.as_dict()} for r in results],
        "differences": [_difference(d) for d in compared],
    }
    write_text(output / "classification.json", json.dumps(report, indent=2) + "\n")
    write_text(output / "index.html", page(cohort, results, compared, about))
    return report


def _row(result: arms.Result) -> dict[str, Any]:
    s = result.scores
    return {
        "arm": result.arm, "model": result.model, "features": result.features, "auc": s.auc, "low": s.interval.low,
        "high": s.interval.high, "accuracy": s.accuracy, "balanced_accuracy": s.balanced_accuracy,
        "sensitivity_at_90_percent_specificity": s.sensitivity, "brier": s.brier,
        "calibration_slope": s.calibration_slope, "calibration_intercept": s.calibration_intercept,
    }  # fmt: skip


def _difference(d: arms.Difference) -> dict[str, Any]:
    return {
        "arm": d.arm, "model": d.model, "auc_minus_source": d.value, "low": d.interval.low, "high": d.interval.high,
        "p": d.p, "holm_p": d.holm_p, "refused": d.refused,
    }  # fmt: skip


def _predictions(result: arms.Result, cohort: tables.Cohort) -> list[dict[str, Any]]:
    return [
        {
            "arm": result.arm, "model": result.model, "repeat": p.repeat, "fold": p.fold,
            "patient": cohort.patients[n], "label": int(cohort.labels[n]), "probability": float(chance),
        }
        for p in result.predictions
        for n, chance in zip(p.tested, p.probability)
    ]  # fmt: skip


def read_table(text: str) -> Table:
    """A feature table: a CSV, or `long.csv:relation:side`."""
    path, *parts = text.rsplit(":", 2)
    if len(parts) == 2 and not Path(text).exists():
        return tables.wide(Path(path), *parts)
    return tables.read_features(Path(text))


def read_folds(folder: Path, patients: tuple[str, ...], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Tables `<repeat>-<fold>.csv` with the features of `names` for every patient; InputError where one lacks any."""
    found = {}
    for path in sorted(folder.glob("*-*.csv")):
        table, own = tables.read_features(path)
        if missing := [patient for patient in patients if patient not in table]:
            raise InputError(f"{path} has no features of {missing[0]}.")
        if lacking := sorted(set(names) - set(own)):
            raise InputError(f"{path} lacks the feature {lacking[0]}, which other folds have.")
        columns = [own.index(name) for name in names]
        values = np.array([table[patient] for patient in patients])[:, columns]
        if not np.isfinite(values).all():
            raise InputError(f"{path} has undefined features; leave those columns out of all folds.")
        found[path.stem] = values
    return found


def write_plan(labels: Mapping[str, int], folds: Folds, output: Path) -> None:
    """Which patients each outer fold tests: its translators must be trained without them."""
    patients = sorted(labels)
    truth = np.array([labels[patient] for patient in patients])
    plan = {f"{repeat}-{fold}": [patients[n] for n in tested] for repeat, fold, _, tested in folds.divide(truth)}
    write_text(output, json.dumps({"folds": plan, "settings": asdict(folds)}, indent=1) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.classify", description=__doc__.split("\n")[0])
    parser.add_argument("--labels", type=Path, required=True, help="CSV: patient, label")
    parser.add_argument("--positive", default="", help="the label that is looked for; by default the last one")
    parser.add_argument("--source", metavar="TABLE")
    parser.add_argument("--synthetic", metavar="TABLE or FOLDER")
    parser.add_argument("--real", metavar="TABLE", help="features of the real target, where there are any")
    parser.add_argument("--cross-fit", type=Path, help="who made each synthetic image, and whom they had seen")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plan", action="store_true", help="write the outer folds to -o and end")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    labels, positive = tables.read_labels(options.labels, options.positive)
    folds = Folds(options.folds, options.repeats, options.seed)
    if options.plan:
        write_plan(labels, folds, options.output)
        return 0
    cohort, record, per_fold = _read(options, labels, positive)
    report = classify(cohort, options.models, folds, record, per_fold, options.output)
    for row in report["results"]:
        print(f"{row['arm']:<38} {row['model']:<18} AUC {row['auc']:.3f}")
    print(TRUTH)
    return 0


def _read(
    options: argparse.Namespace, labels: Mapping[str, int], positive: str
) -> tuple[tables.Cohort, crossfit.CrossFit, dict[str, np.ndarray] | None]:
    if not (options.source and options.synthetic and options.cross_fit):
        raise InputError("Give --source, --synthetic and --cross-fit (or --plan).")
    nested = Path(options.synthetic).is_dir()
    first = sorted(Path(options.synthetic).glob("*-*.csv"))[:1] if nested else []
    if nested and not first:
        raise InputError(f"{options.synthetic} holds no tables <repeat>-<fold>.csv.")
    read = {
        arms.SOURCE: read_table(options.source),
        arms.SYNTHETIC: read_table(str(first[0]) if nested else options.synthetic),
    }
    if options.real:
        read[arms.REAL] = read_table(options.real)
    cohort = tables.join(labels, positive, read)
    if nested and len(cohort.patients) < len(labels):
        raise InputError(f"Folds were planned for {len(labels)} patients; {cohort.excluded[0]}.")
    per_fold = read_folds(Path(options.synthetic), cohort.patients, cohort.names[arms.SYNTHETIC]) if nested else None
    return cohort, crossfit.read(options.cross_fit), per_fold


if __name__ == "__main__":
    raise SystemExit(run_command(main))
