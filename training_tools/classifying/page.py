"""The page of a classification study: what was asked, the table, curves, who was left out. Needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from imagetranslation.radiomics.preservation.figures import new_figure, svg
from imagetranslation.radiomics.preservation.page import document
from imagetranslation.readerstudy.statistics.estimates import Interval

from .arms import BOTH, CONTROL, PERMUTATIONS, Difference, Result
from .crossfit import SIMPLE
from .crossvalidation import INNER_FOLDS
from .images import CLIP, GRID, PLANAR_GRID, REAL, SOURCE, SYNTHETIC
from .models import FEATURES, IMAGES, find
from .scores import SPECIFICITY
from .tables import Cohort
from .untouched import Last

DRAWN = {SOURCE: "#0072B2", SYNTHETIC: "#E69F00", BOTH: "#009E73", REAL: "#000000", CONTROL: "#999999"}
DASHES = {SOURCE: "-", SYNTHETIC: "--", BOTH: "-.", REAL: "-", CONTROL: ":"}
BINS = 5  # of the calibration curve


def page(
    cohort: Cohort,
    results: Sequence[Result],
    compared: Sequence[Difference],
    about: Mapping[str, Any],
    last: Sequence[Last] = (),
) -> str:
    """All of it. last: the test on patients kept to the last, where there was one."""
    parts = [
        "<h1>Classification on source, synthetic and real images</h1>",
        f"<p class='headline'>{escape(about['note'])}</p>",
    ]
    parts += [
        _protocol(about),
        "<h2>Results</h2>",
        _table(results),
        _doubts([result.scores.interval for result in results]),
        _unchosen(results),
        "<h2>Against the source</h2>",
        _differences(compared),
        _doubts([difference.interval for difference in compared]),
        *_last(last, about),
    ]
    for name in dict.fromkeys(result.model for result in results):
        parts += [f"<h2>{escape(name)}</h2>", curves(name, [r for r in results if r.model == name], cohort)]
    for title, key in (("Suspicious", "suspicious"), ("Left out", "excluded"), ("Taken on trust", "trusted")):
        if sentences := about[key]:
            parts += [f"<h2>{title}</h2>", "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in sentences) + "</ul>"]
    return document("Classification", parts)


def _protocol(about: Mapping[str, Any]) -> str:
    folds = about["folds"]
    sentences = [
        f"{about['patients']} patients, {about['positive']} of them {about['label']}; {folds['count']} outer folds, "
        f"{folds['repeats']} repeats, "
        + ("as the translations were made for" if folds["given"] else f"stratified, seed {folds['seed']}")
        + f"; settings chosen inside the training patients, by {INNER_FOLDS} inner folds or as many as there are "
        "training patients of the rarer label.",
        "Areas under the ROC curve are taken within each fold and averaged; intervals: 95% bootstrap over patients.",
        ("" if about["sealed"] else "As the record has it, which bears no seal: ")
        + "No synthetic image comes from a translator that saw its patient. "
        + (
            "The translators may have seen real targets of other tested patients (simple cross-fitting)."
            if about["cross_fit"] == SIMPLE
            else "Nor has a translator of a fold seen the real target of a patient tested in it (nested cross-fitting)."
            " As training_tools.crossfit makes them, tested patients' images come from a translator of all training "
            "patients, those that are learnt from come from translators of a part of them: images of two kinds, which "
            "can cost the synthetic arm some of its AUC, and the arms without synthetic images nothing."
        ),
        f"{CONTROL}: source and synthetic images with labels drawn anew among each fold's patients, {PERMUTATIONS} "
        "times; means are shown. Beside them stands where the draws lie, and where chance alone would put about 95% "
        "of them: with few patients that is far from 0.5. Only draws that keep lying outside hint at a leak.",
        f"Sensitivity at {SPECIFICITY:.0%} specificity: the threshold is set on the tested patients of each fold; "
        "where a fold tests fewer than ten negative patients, no negative one may lie above it (specificity 100%).",
        about["probabilities"],
        "Accuracy, Brier score, calibration (slope 1 and intercept 0 are ideal) and all curves: the tested patients of "
        "all folds together.",
        "A feature that is undefined for any patient, learnt from or tested, is left out for all; labels play no part "
        "in that.",
    ]  # fmt: skip
    if any(find(name).learns_from == FEATURES for name in about["models"]):
        sentences.append(
            "Many features grow with the size of their region, which is the same in all arms: what all arms reach "
            "alike may be known from the region alone."
        )
    if any(find(name).learns_from == IMAGES for name in about["models"]):
        sentences.append(
            f"resnet10: each image is cut to its region's box and a tenth around it, resampled to {_size(GRID)} voxels "
            f"(one slice: {_size(PLANAR_GRID)}), less its own mean, divided by its own SD, clipped to {CLIP:g}; a "
            "fifth of the training patients stops the training early."
        )
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _table(results: Sequence[Result]) -> str:
    names = (
        "AUC",
        "95% interval",
        "Accuracy",
        "Balanced",
        f"Sensitivity at {SPECIFICITY:.0%} specificity",
        "Brier",
        "Calibration slope",
        "Calibration intercept",
    )
    head = "".join(f"<th>{name}</th>" for name in names)
    rows = []
    for r in results:
        s = r.scores
        numbers = (
            s.accuracy,
            s.balanced_accuracy,
            s.sensitivity,
            s.brier,
            s.calibration_slope,
            s.calibration_intercept,
        )
        cells = "".join(f"<td>{_number(value)}</td>" for value in numbers)
        rows.append(
            f"<tr><td class='w'>{escape(r.arm)}</td><td class='w'>{escape(r.model)}</td><td>{r.features}</td>"
            f"<td><b>{_number(s.auc)}</b></td><td>{_interval(s.interval)}</td>{cells}</tr>"
        )
    first = "<th class='w'>Arm</th><th class='w'>Classifier</th><th>Features</th>"
    return f"<table><tr>{first}{head}</tr>{''.join(rows)}</table>"


def _unchosen(results: Sequence[Result]) -> str:
    """Which results rest on settings that nothing chose: one training patient of a label cannot be divided."""
    told = []
    for result in results:
        lacking = [f"{p.repeat}-{p.fold}" for p in result.predictions if not p.chosen]
        if find(result.model).searched and lacking:
            told.append(f"{result.model}, {result.arm}: {', '.join(lacking)}")
    if not told:
        return ""
    return (
        "<p class='note'>Settings could not be chosen in these folds, whose training patients hold a single one of a "
        f"label; the model's own stand: {escape('; '.join(told))}.</p>"
    )


def _differences(compared: Sequence[Difference]) -> str:
    rows = "".join(
        f"<tr><td class='w'>{escape(d.arm)}</td><td class='w'>{escape(d.model)}</td><td>{_number(d.value)}</td>"
        f"<td>{_interval(d.interval)}</td><td>{_number(d.p)}</td><td>{_number(d.holm_p)}</td>"
        f"<td class='w note'>{escape(d.refused)}</td></tr>"
        for d in compared
    )
    return (
        "<table><tr><th class='w'>Arm</th><th class='w'>Classifier</th><th>AUC less the source's</th>"
        f"<th>95% interval</th><th>p (Nadeau-Bengio)</th><th>Holm's p</th><th class='w'>Refused</th></tr>{rows}</table>"
    )


def _last(last: Sequence[Last], about: Mapping[str, Any]) -> list[str]:
    if not last:
        return []
    rows = "".join(
        f"<tr><td class='w'>{escape(t.arm)}</td><td class='w'>{escape(t.model)}</td><td><b>{_number(t.scores.auc)}</b>"
        f"</td><td>{_interval(t.interval)}</td><td>{_number(t.scores.balanced_accuracy)}</td>"
        f"<td>{_number(t.scores.sensitivity)}</td><td>{_number(t.scores.brier)}</td>"
        f"<td>{_number(t.scores.calibration_slope)}</td><td>{_number(t.scores.calibration_intercept)}</td>"
        f"<td>{_number(t.difference)}</td>"
        f"<td>{'' if t.low is None else f'{t.low:.3f} to {t.high:.3f}'}</td><td>{_number(t.p)}</td>"
        f"<td>{_number(t.holm_p)}</td><td class='w note'>{escape(t.refused)}</td></tr>"
        for t in last
    )
    test = about["test"]
    return [
        "<h2>Patients kept to the last</h2>",
        f"<p>{test['patients']} patients, {test['positive']} of them {escape(about['label'])}, whom no translator and "
        "no choice of settings had seen; each model was fitted once on all others and tested once. Intervals and p: "
        "DeLong's; Holm's correction over the whole table.</p>",
        "<table><tr><th class='w'>Arm</th><th class='w'>Classifier</th><th>AUC</th><th>95% interval</th>"
        f"<th>Balanced</th><th>Sensitivity at {SPECIFICITY:.0%} specificity</th><th>Brier</th>"
        "<th>Calibration slope</th><th>Calibration intercept</th>"
        "<th>AUC less the source's</th><th>95% interval</th><th>p (DeLong)</th><th>Holm's p</th>"
        f"<th class='w'>Refused</th></tr>{rows}</table>",
    ]


def _size(grid: Sequence[int]) -> str:
    return " x ".join(map(str, grid))


def curves(name: str, results: Sequence[Result], cohort: Cohort) -> str:
    """ROC, precision and recall, calibration and decision curves of one classifier, tested patients of all folds."""
    figure = new_figure(12.5, 3.4)
    roc, precision, calibrated, decision = figure.subplots(1, 4)
    for result in results:
        if result.arm not in DRAWN or result.arm == CONTROL:
            continue
        chance = np.concatenate([p.probability for p in result.predictions])
        truth = np.concatenate([cohort.labels[p.tested] for p in result.predictions])
        look = {"color": DRAWN[result.arm], "linestyle": DASHES[result.arm], "label": result.arm, "linewidth": 1.4}
        hits, alarms = called(chance, truth)
        roc.plot(np.r_[0, alarms / alarms[-1]], np.r_[0, hits / hits[-1]], **look)
        # Between two thresholds there is no classifier, so precision is a step and not a line.
        exact, found = hits / (hits + alarms), hits / hits[-1]
        precision.plot(np.r_[0, found], np.r_[exact[0], exact], drawstyle="steps-pre", **look)
        calibrated.plot(*_calibration_curve(chance, truth), marker="o", markersize=3, **look)
        thresholds = np.linspace(0.05, 0.95, 91)
        decision.plot(thresholds, [net_benefit(chance, truth, t) for t in thresholds], **look)
    share = float(cohort.labels.mean())
    thresholds = np.linspace(0.05, 0.95, 91)
    decision.plot(
        thresholds, share - (1 - share) * thresholds / (1 - thresholds), color="#999999", linewidth=0.8, label="all"
    )
    decision.axhline(0, color="#999999", linewidth=0.8)
    decision.set_ylim(-0.1, share + 0.05)
    for axes, title, x, y in (
        (roc, "ROC (folds pooled)", "1 - specificity", "sensitivity"),
        (precision, "Precision and recall (folds pooled)", "recall", "precision"),
        (calibrated, "Calibration (folds pooled)", "probability", "share positive"),
        (decision, "Decision curve (folds pooled)", "threshold", "net benefit"),
    ):
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(x, fontsize=8)
        axes.set_ylabel(y, fontsize=8)
        axes.tick_params(labelsize=7)
    for axes in (roc, calibrated):
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
    roc.legend(fontsize=6, loc="lower right")
    return svg(figure, f"curves-{name}")


def called(probability: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives (thresholds,) at every distinct probability, from the highest threshold to the lowest.

    Patients with one probability are called together, so their order says nothing.
    """
    order = np.argsort(-probability, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(probability[order])), len(order) - 1]
    return np.cumsum(truth[order])[last], np.cumsum(1 - truth[order])[last]


def net_benefit(probability: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    """True positives less weighted false positives a patient (Vickers and Elkin, Med Decis Making 2006)."""
    called = probability >= threshold
    true, false = float((called & (truth == 1)).mean()), float((called & (truth == 0)).mean())
    return true - false * threshold / (1 - threshold)


def _calibration_curve(probability: np.ndarray, truth: np.ndarray) -> tuple[list[float], list[float]]:
    edges = np.quantile(probability, np.linspace(0, 1, BINS + 1))
    place = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, BINS - 1)
    used = [n for n in range(BINS) if (place == n).any()]
    return [float(probability[place == n].mean()) for n in used], [float(truth[place == n].mean()) for n in used]


def _number(value: float | None) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.3f}"


def _interval(interval: Interval) -> str:
    if interval.low is None:
        return f"<span class='note'>{escape(str(interval.refused))}</span>"
    return f"{interval.low:.3f} to {interval.high:.3f}{' *' if interval.notes else ''}"


def _doubts(intervals: Sequence[Interval]) -> str:
    """The note below a table: what the starred intervals say of themselves; nothing without a star."""
    told = list(dict.fromkeys(note for one in intervals if one.low is not None for note in one.notes))
    return f"<p class='note'>* {escape('; '.join(told))}.</p>" if told else ""
