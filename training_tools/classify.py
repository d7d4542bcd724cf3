"""Do synthetic images help a diagnosis? Classifiers on source, synthetic and real images, compared.

    python -m training_tools.classify --labels labels.csv --images OUT/images.csv --cross-fit OUT/crossfit.json -o OUT
    python -m training_tools.classify --labels labels.csv --source us.csv --synthetic synthetic.csv --real mr.csv
        --cross-fit crossfit.json -o OUT

`--images` is a table of images (`classifying.images`), as `training_tools.crossfit` writes it: features are extracted
under each image's region, and the network (`resnet10`) learns from the images themselves. Without it feature tables are
given: the column patient and one column a feature, or `long.csv:relation:side` of `radiomics preservation`'s
features.csv. `--cross-fit` names who made each synthetic image and whom that translator had seen
(`classifying.crossfit`); with a nested record `--synthetic` is a folder of tables `<repeat>-<fold>.csv`, and `--plan`
writes which patients each outer fold tests, before any translator is trained. `--test-patients` are tested once, after
everything else, by DeLong's test. Written: `results.csv`, `differences.csv`, `predictions.csv`, `classification.json`,
`index.html`, and with a last test `test.csv`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation import __version__
from imagetranslation.errors import InputError, RunFailed
from imagetranslation.files import make_folder, write_text

from .classifying import arms, crossfit, inputs, tables, untouched
from .classifying.crossvalidation import Folds, Prediction
from .classifying.images import Row, check, read_images
from .classifying.inputs import Study
from .classifying.models import FEATURES, IMAGES, MODELS, find, of_kind
from .classifying.page import page
from .classifying.telling import Teller
from .console import run as run_command
from .evaluating.writing import write_rows

# classification.json comes last and goes first: where it is, all others are of the same study.
WRITTEN = ("classification.json", "index.html", "results.csv", "differences.csv", "predictions.csv", "test.csv")
MOST_SEED = 2**31  # seeds of repeats and folds are added to it
TRUTH = (
    "A synthetic image is a function of its source: a gain over the source is not new information about the patient, "
    "but what the translator learnt from other patients' pairs."
)
PROBABILITIES = (
    "Probabilities refer to the share of positive patients among those learnt from: no class is weighted (resnet10's "
    "loss weighs both alike, and its probabilities are corrected for that). Accuracy is taken at a probability of one "
    "half."
)


def classify(
    studies: Mapping[str, Study],
    models: Sequence[str],
    record: crossfit.CrossFit,
    output: Path,
    *,
    notes: Sequence[str] = (),
    told: Callable[[str], None] = lambda sentence: None,
) -> dict[str, Any]:
    """Run every arm with every model, write tables and page; returns what `classification.json` holds.

    studies: of "features" and "images", of the same patients. notes: what had to be taken on trust. output: an earlier
    study there is removed once this one is known, and `classification.json` is written last.
    """
    one = next(iter(studies.values()))
    cohort, folds = one.cohort, one.folds
    for study in studies.values():  # before hours of work
        arms.check(study.cohort, study.folds, record, study.per_fold)
        if study.test:
            untouched.require_untouched(record, study.whole, study.test)
    results: list[arms.Result] = []
    last: list[untouched.Last] = []
    for kind, study in studies.items():
        chosen = [name for name in models if find(name).learns_from == kind]
        results += arms.run(study.cohort, chosen, folds, record, per_fold=study.per_fold, told=told)
        if study.test:
            last += untouched.evaluate(study.whole, chosen, study.test, folds.seed, per_fold=study.last, told=told)
    compared = arms.differences(results, cohort.labels, folds)
    truth = np.array([one.whole.labels[one.whole.patients.index(patient)] for patient in one.test])
    last = untouched.compared(last, truth) if last else []
    excluded = list(dict.fromkeys(text for study in studies.values() for text in study.whole.excluded))
    odd = list(dict.fromkeys(text for study in studies.values() for text in study.whole.odd))
    notes = [*notes, *crossfit.unknown_names(record, one.whole.patients)]
    _clear(make_folder(output))
    write_rows([_row(result) for result in results], output / "results.csv")
    write_rows([_difference(d) for d in compared], output / "differences.csv")
    rows = [row for r in results for p in r.predictions for row in _predictions(r.arm, r.model, p, cohort)]
    tested = [row for t in last for row in _predictions(t.arm, t.model, t.prediction, one.whole, "test")]
    write_rows(rows + tested, output / "predictions.csv")
    if last:
        write_rows([_last(t) for t in last], output / "test.csv")
    about = {
        "patients": len(cohort.patients), "positive": int(cohort.labels.sum()), "label": cohort.positive,
        "folds": {"count": folds.count, "repeats": folds.repeats, "seed": folds.seed, "given": bool(folds.given)},
        "models": {name: find(name).source for name in models}, "cross_fit": record.kind,
        "sealed": record.sealed,
        "test": {"patients": len(one.test), "positive": int(truth.sum())} if one.test else None,
        "excluded": excluded, "suspicious": odd, "trusted": list(notes), "note": TRUTH, "probabilities": PROBABILITIES,
        "software": {"imagetranslation": __version__},
    }  # fmt: skip
    report = {
        **about,
        "results": [_told(result) for result in results],
        "differences": [_difference(d) for d in compared],
        "last_test": [{**_last(t), "settings_chosen": t.prediction.chosen} for t in last],
    }
    write_text(output / "index.html", page(cohort, results, compared, about, last))
    write_text(output / "classification.json", json.dumps(report, indent=2) + "\n")
    return report


def _clear(folder: Path) -> None:
    """Remove what an earlier study left."""
    for name in WRITTEN:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise RunFailed(f"{folder / name} cannot be replaced: {error.strerror}. Name another folder.") from error


def _told(result: arms.Result) -> dict[str, Any]:
    control = {"draws": result.draws, "expected_by_chance": result.expected} if result.expected else {}
    named = {"arm": result.arm, "model": result.model, "features": result.features}
    settings = [{"repeat": p.repeat, "fold": p.fold, **p.chosen} for p in result.predictions if p.chosen]
    return {**named, "settings_chosen": settings, **result.scores.as_dict(), **control}


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


def _last(t: untouched.Last) -> dict[str, Any]:
    return {
        "arm": t.arm, "model": t.model, "auc": t.scores.auc, "low": t.interval.low, "high": t.interval.high,
        "auc_minus_source": t.difference, "difference_low": t.low, "difference_high": t.high, "delong_p": t.p,
        "holm_p": t.holm_p, "refused": t.refused, "accuracy": t.scores.accuracy,
        "balanced_accuracy": t.scores.balanced_accuracy,
        "sensitivity_at_90_percent_specificity": t.scores.sensitivity, "brier": t.scores.brier,
        "calibration_slope": _finite(t.scores.calibration_slope),
        "calibration_intercept": _finite(t.scores.calibration_intercept),
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _predictions(
    arm: str, model: str, p: Prediction, cohort: tables.Cohort, fold: str | None = None
) -> list[dict[str, Any]]:
    return [
        {
            "arm": arm, "model": model, "repeat": p.repeat, "fold": p.fold if fold is None else fold,
            "patient": cohort.patients[n], "label": int(cohort.labels[n]), "probability": float(chance),
        }
        for n, chance in zip(p.tested, p.probability)
    ]  # fmt: skip


def write_plan(labels: Mapping[str, int], folds: Folds, test: Sequence[str], output: Path) -> None:
    """Which patients each outer fold tests: its translators must be trained without them, and all without `test`.

    InputError for a test patient without a label.
    """
    if unknown := sorted(set(test) - set(labels)):
        raise InputError(f"{unknown[0]} is to be tested last, but has no label.")
    patients = sorted(set(labels) - set(test))
    truth = np.array([labels[patient] for patient in patients])
    plan = {f"{repeat}-{fold}": [patients[n] for n in tested] for repeat, fold, _, tested in folds.divide(truth)}
    settings = {"count": folds.count, "repeats": folds.repeats, "seed": folds.seed}
    last = {"test": sorted(test)} if test else {}
    write_text(output, json.dumps({"folds": plan, **last, "settings": settings}, indent=1) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.classify", description=__doc__.split("\n")[0])
    parser.add_argument("--labels", type=Path, required=True, help="CSV: patient, label")
    parser.add_argument("--positive", default="", help="the label that is looked for; by default the last one")
    parser.add_argument("--images", type=Path, metavar="TABLE", help="images of all arms, instead of feature tables")
    parser.add_argument("--source", metavar="TABLE")
    parser.add_argument("--synthetic", metavar="TABLE or FOLDER")
    parser.add_argument("--real", metavar="TABLE", help="features of the real target, where there are any")
    parser.add_argument("--cross-fit", type=Path, help="who made each synthetic image, and whom they had seen")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), help="by default all that the input allows")
    parser.add_argument("--folds", type=int, default=5, help="a nested record of training_tools.crossfit has its own")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test-patients", type=Path, help="CSV with the column patient, or a split with a test part")
    parser.add_argument("--workers", type=int, default=1, help="processes that extract features")
    parser.add_argument("--plan", action="store_true", help="write the outer folds to -o and end")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.folds < 2 or options.repeats < 1 or options.workers < 1:
        raise InputError("Give 2 folds, 1 repeat and 1 worker, or more.")
    if not 0 <= options.seed < MOST_SEED:
        raise InputError(f"--seed is a whole number from 0 to {MOST_SEED - 1}, not {options.seed}.")
    labels, positive = tables.read_labels(options.labels, options.positive)
    folds = Folds(options.folds, options.repeats, options.seed)
    if options.plan:
        named = tables.read_patients(options.test_patients) if options.test_patients else ()
        write_plan(labels, folds, named, options.output)
        return 0
    if not options.cross_fit or not (options.images or (options.source and options.synthetic)):
        raise InputError("Give --cross-fit and either --images or --source and --synthetic (or --plan).")
    record = crossfit.read(options.cross_fit)
    notes = crossfit.verify(record, options.cross_fit.parent)
    test = _test(options, record)
    tell = Teller()
    read, models, more = _read(options, record, tell)
    kinds = inputs.same_patients(list(read.values()))
    studies = {
        kind: inputs.study(labels, positive, part, record, folds, test) for kind, part in zip(read, kinds)
    }  # fmt: skip
    report = classify(studies, models, record, options.output, notes=[*notes, *more], told=tell)
    for row in report["results"]:
        print(f"{row['arm']:<38} {row['model']:<18} AUC {row['auc']:.3f}")
    for row in report["last_test"]:
        print(f"{row['arm']:<38} {row['model']:<18} AUC {row['auc']:.3f} on the test patients")
    print(TRUTH)
    return 0


def _test(options: argparse.Namespace, record: crossfit.CrossFit) -> tuple[str, ...]:
    """Patients kept to the last: those of the record, if it says so, else those that were named."""
    named = tables.read_patients(options.test_patients) if options.test_patients else ()
    if named and record.test and set(named) != set(record.test):
        raise InputError(
            "--test-patients names other patients than those that the translations were made without; give the file "
            "that training_tools.crossfit was given."
        )
    return tuple(sorted(record.test or named))


def _read(
    options: argparse.Namespace, record: crossfit.CrossFit, tell: Teller
) -> tuple[dict[str, inputs.Arms], list[str], list[str]]:
    """Arms of each kind of input, the models, and what has to be taken on trust."""
    if not options.images:
        models = options.models or of_kind(FEATURES)
        if deep := [name for name in models if find(name).learns_from == IMAGES]:
            raise InputError(f"{deep[0]} learns from images, not from features; give --images.")
        found, notes = inputs.from_tables(options.source, options.synthetic, options.real or "", record)
        return {FEATURES: found}, models, notes
    if options.source or options.synthetic or options.real:
        raise InputError("Give --images or feature tables, not both.")
    rows = read_images(options.images)
    check(rows, record)
    models = options.models or [*(of_kind(FEATURES) if _all_drawn(rows) else []), *of_kind(IMAGES)]
    read, notes = {}, []
    if any(find(name).learns_from == FEATURES for name in models):
        folder = options.output / "features"
        read[FEATURES], notes = inputs.arms_of_features(rows, folder, tell, options.workers)
    if any(find(name).learns_from == IMAGES for name in models):
        read[IMAGES] = inputs.arms_of_images(rows)
    return read, models, notes


def _all_drawn(rows: Sequence[Row]) -> bool:
    return all(row.region is not None for row in rows)


if __name__ == "__main__":
    raise SystemExit(run_command(main))
