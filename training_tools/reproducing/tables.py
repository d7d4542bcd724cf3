"""The tables of the report: every row with the published number beside ours, from what the steps wrote.

A table knows its CSV, which of its columns is ours, and what its step left out. Features and classes are the steps';
here their files are only read. Those of lesions are `lesiontables`'.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError

from ..benchmarking.entries import STUDY
from ..lesionreading.page import star, starred
from .published import GAP, UNKNOWN, published, words

PUBLISHED = "Published"
SHOWN = ("ssim", "psnr", "mae", "perceptual")


@dataclass(frozen=True)
class Table:
    """name: of its CSV. header: the first `words` columns are text. notes: sentences below it. left: sentences about
    what its step left out, refused or took on trust."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    notes: tuple[str, ...] = ()
    words: int = 1
    left: tuple[str, ...] = ()

    def records(self) -> list[dict[str, Any]]:
        """Rows for CSV and JSON."""
        return [dict(zip(self.header, row)) for row in self.rows]


def similarity(task: str, benchmark: Path) -> Table:
    """All networks, with floors and ceilings: the published SSIM stands with its network."""
    known = published(task)
    rows: list[tuple[Any, ...]] = []
    for row in read_csv(benchmark / "leaderboard.csv"):
        of_study = row["network"] in STUDY
        told = UNKNOWN if of_study and "best_network" in known else "–"
        if row["network"] == known.get("best_network", {}).get("value"):
            told = words(known["best_ssim"])
        name = row["network"] if of_study or "best_network" not in known else f"{row['network']} (beyond the study)"
        done = row["state"] == "done"
        cells = tuple(_spread(row, measure) if done else "" for measure in SHOWN)
        rows.append((name, told, *cells, row.get("steps", "") if done else "", "" if done else row["state"]))
    summary = [row for row in read_csv(benchmark / "summary.csv") if not row.get("rank")]
    for method in dict.fromkeys(row["method"] for row in summary):
        own = {row["measure"]: row for row in summary if row["method"] == method}
        cells = tuple(_number(own[measure]["mean"]) if measure in own else "" for measure in SHOWN)
        rows.append((f"{method} (reference)", "–", *cells, "", ""))
    header = ("Network", f"{PUBLISHED} SSIM", "SSIM", "PSNR (dB)", "MAE (0 to 255)", "Perceptual", "Steps", "Not run")
    notes = (
        "Mean ± SD over tested patients. SSIM: Gaussian window, sigma 1.5, data range stated, per patient and never "
        "per slice; how the published SSIM was computed is known for the public code only.",
        "Floors and ceiling (reference) stand below: a network that does not beat identity has learnt nothing.",
    )
    return Table("similarity", "Image similarity of all networks", header, tuple(rows), notes)


def cross_fitted(task: str, evaluation: Path) -> Table:
    """The network of the other tables, over all patients, each by a translator that never saw them."""
    known = published(task)
    told = words(known["best_ssim"]) if "best_ssim" in known else GAP
    summary = read_csv(evaluation / "summary.csv")
    rows: list[tuple[Any, ...]] = []
    for method in dict.fromkeys(row["method"] for row in summary):
        own = {row["measure"]: row for row in summary if row["method"] == method}
        cells = [_number(own[m]["mean"]) if m in own else "" for m in ("ssim", "psnr", "mae", "lesion_contrast_error")]
        cells[0] += f" ± {_number(own['ssim']['sd'])}" if own.get("ssim", {}).get("sd") else ""
        competes = bool(own.get("ssim", {}).get("rank"))
        name = f"{method}, cross-fitted" if competes else f"{method} (reference)"
        rows.append((name, told if competes else "–", *cells, own.get("ssim", {}).get("n", "")))
    header = ("Images", f"{PUBLISHED} SSIM", "SSIM", "PSNR (dB)", "MAE (0 to 255)", "Lesion contrast error", "Patients")
    notes = (
        "The images that the further sections rest on: one of every patient, from a translator that never saw them.",
    )
    return Table("cross_fitted", "The cross-fitted images", header, tuple(rows), notes)


def readers(task: str) -> Table:
    """What the published reading had, and that nobody has read here."""
    known = published(task)
    told, agreement = (words(known["readers"]), UNKNOWN) if "readers" in known else (GAP, GAP)
    rows = (("physicians", told, "none has read"), ("agreement", agreement, "none has read"))
    return Table("reading", "Reading", ("", PUBLISHED, "Here"), rows)


def preservation(task: str, folder: Path) -> Table:
    """How many features survive, with floor and ceiling."""
    report = read_json(folder / "report" / "preservation.json")
    known = published(task)
    total = words(known["features"]) if "features" in known else "not part of the study"
    kept = f"{words(known['features_preserved'])} of {total}" if "features" in known else "not part of the study"
    rows: list[tuple[Any, ...]] = []
    for table in report["tables"]:
        counts = table["counts"]
        told = kept if table["relation"] == "synthetic-target" else "–"
        if counts is None:
            rows.append((table["title"], told, "too few patients to count", "", "", table["patients"]))
            continue
        every = len(table["features"])
        agreed = counts["agreement"]
        clusters = counts["clusters"]["rank"]
        rows.append(
            (
                table["title"], told, f"{counts['rank']['preserved']} of {every}",
                f"{agreed['preserved']} of {every}" if isinstance(agreed, dict) else "refused across modalities",
                f"{clusters['preserved']} of {clusters['all']}", table["patients"],
            )
        )  # fmt: skip
    engine = report.get("engine") or {}
    notes = (
        *report["definitions"],
        f"Features: {engine.get('feature_set')} by {engine.get('name')} {engine.get('version')}; published: {total}.",
        *(str(sentence) for sentence in report.get("missing", ())),
    )
    header = ("Question", f"{PUBLISHED}, preserved", "Preserved in rank", "In agreement", "Clusters kept", "Patients")
    return Table(
        "preservation", "Radiomic features that survive", header, tuple(rows), notes, left=_not_measured(report)
    )


def _not_measured(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Whom the analysis of features left out: one sentence for each question and kind of reason."""
    alike: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in report.get("excluded") or ():
        alike.setdefault((one["relation"], re.sub(r"[\d.]+", "#", one["reason"])), []).append(one)
    told = []
    for (relation, _), those in alike.items():
        who = sorted({one["patient"] for one in those})
        features = sorted({one["feature"] for one in those if one.get("feature")})
        what = f" ({', '.join(features)})" if features else ""
        told.append(f"{relation}: {len(who)} patients{what}: {', '.join(who)}. The first: {those[0]['reason']}")
    notes = [*(report.get("notes") or ()), *(f"{t['title']}: {n}" for t in report["tables"] for n in t["notes"])]
    return (*told, *map(str, notes))


def classification(folder: Path, left_out: Sequence[str] = ()) -> Table:
    """Every arm with every classifier; the published figure stands with the synthetic arm. left_out: sentences."""
    report = read_json(folder / "classification.json")
    known = published("us2mri")
    gaps = {(d["arm"], d["model"]): d for d in report["differences"]}
    rows = []
    for result in report["results"]:
        synthetic = result["arm"] == "synthetic"
        auc, accuracy = (words(known[what]) if synthetic else "–" for what in ("auc", "accuracy"))
        interval, gap = result["interval"], gaps.get((result["arm"], result["model"]))
        between = (
            f"{interval['low']:.3f} to {interval['high']:.3f}{star(interval)}"
            if interval.get("low") is not None
            else str(interval.get("refused", ""))
        )
        rows.append(
            (
                result["arm"], result["model"], auc, _number(result["auc"]), between, accuracy,
                _number(result["accuracy"]), "" if gap is None else f"{gap['auc_minus_source']:+.3f}",
                "" if gap is None or gap["holm_p"] is None else f"{gap['holm_p']:.3g}",
            )
        )  # fmt: skip
    header = (
        "Arm", "Classifier", f"{PUBLISHED} AUC", "AUC", "95% interval", f"{PUBLISHED} accuracy", "Accuracy",
        "AUC less the source's", "Holm's p",
    )  # fmt: skip
    notes = (
        str(report["note"]),
        f"{report['patients']} patients, {report['positive']} of them with the label {report['label']}; "
        f"{report['folds']['count']} folds; {report['cross_fit']} cross-fitting. AUC from probabilities, within folds, "
        "averaged. The published study also reports that synthetic MRI beat ultrasound input; by how much is not "
        "published in what we could read.",
    )
    notes += (doubts,) if (doubts := starred([result["interval"] for result in report["results"]])) else ()
    told = [str(sentence) for name in ("suspicious", "excluded", "trusted") for sentence in report.get(name) or ()]
    return Table("classification", "Classification", header, tuple(rows), notes, 2, (*left_out, *told))


def _spread(row: Mapping[str, str], measure: str) -> str:
    value, sd = _number(row.get(measure, "")), _number(row.get(f"{measure}_sd", ""))
    return f"{value} ± {sd}" if value and sd else value


def _number(value: Any) -> str:
    try:
        return "" if value in ("", None) else f"{float(value):.3f}"
    except (TypeError, ValueError):
        return str(value)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a step's table; InputError where it cannot be read."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error


def read_json(path: Path) -> dict[str, Any]:
    """A step's record; InputError where it cannot be read."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
