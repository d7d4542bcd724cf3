"""The tables of the report: every row with the published number beside ours, from what the steps wrote.

A table knows its CSV and which of its columns is ours. Reading of lesions, features and classes is the steps'; here
their files are only counted.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.statistics.estimates import Undefined
from imagetranslation.readerstudy.statistics.proportions import proportion_interval

from ..benchmarking.entries import STUDY
from ..lesionreading.task import CLEAR, FOUND, INVENTED, MISSED
from .published import published, words

NOT_PUBLISHED = "not published"
PUBLISHED = "Published"
NO_GROUP = "group not given"
SHOWN = ("ssim", "psnr", "mae", "perceptual")


@dataclass(frozen=True)
class Table:
    """name: of its CSV. header: the first `words` columns are text. notes: sentences below it."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    notes: tuple[str, ...] = ()
    words: int = 1

    def records(self) -> list[dict[str, Any]]:
        """Rows for CSV and JSON."""
        return [dict(zip(self.header, row)) for row in self.rows]


@dataclass(frozen=True)
class Sensitivity:
    """Of lesions of one group. found of lesions increased in the real image; invented of those that are not."""

    group: str
    found: int
    increased: int
    invented: int
    clear: int
    unread: int

    @property
    def value(self) -> float | None:
        """Share of increased lesions that are found; None without any."""
        return self.found / self.increased if self.increased else None

    def interval(self) -> tuple[float, float] | None:
        """Wilson's, 95%; None without lesions."""
        try:
            made = proportion_interval(self.found, self.increased)
        except Undefined:
            return None
        return (made.low or 0.0, 1.0 if made.high is None else made.high)


def similarity(task: str, benchmark: Path) -> Table:
    """All networks, with floors and ceilings: the published SSIM stands with its network."""
    known = published(task)
    rows: list[tuple[Any, ...]] = []
    for row in read_csv(benchmark / "leaderboard.csv"):
        of_study = row["network"] in STUDY
        told = NOT_PUBLISHED if of_study and "best_network" in known else "–"
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
    told = words(known["best_ssim"]) if "best_ssim" in known else NOT_PUBLISHED
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
    told = words(known["readers"]) if "readers" in known else NOT_PUBLISHED
    rows = (("physicians", told, "none has read"), ("agreement", NOT_PUBLISHED, "none has read"))
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
    return Table("preservation", "Radiomic features that survive", header, tuple(rows), notes)


def classification(folder: Path) -> Table:
    """Every arm with every classifier; the published figure stands with the synthetic arm."""
    report = read_json(folder / "classification.json")
    known = published("us2mri")
    gaps = {(d["arm"], d["model"]): d for d in report["differences"]}
    rows = []
    for result in report["results"]:
        synthetic = result["arm"] == "synthetic"
        auc, accuracy = (words(known[what]) if synthetic else "–" for what in ("auc", "accuracy"))
        interval, gap = result["interval"], gaps.get((result["arm"], result["model"]))
        between = (
            f"{interval['low']:.3f} to {interval['high']:.3f}"
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
    return Table("classification", "Classification", header, tuple(rows), notes, words=2)


def sensitivities(folder: Path) -> list[Sensitivity]:
    """By group, in the published order, from the table of lesions; groups without lesions are left to the caller."""
    found: dict[str, dict[str, int]] = {}
    for row in read_csv(folder / "lesions.csv"):
        own = found.setdefault(row.get("group") or NO_GROUP, {})
        outcome = row.get("outcome", "")
        own[outcome] = own.get(outcome, 0) + 1
    order = list(published("pool2delayed")["sensitivity"])
    groups = sorted(found, key=lambda group: (order.index(group) if group in order else len(order), group))
    return [
        Sensitivity(
            group, own.get(FOUND, 0), own.get(FOUND, 0) + own.get(MISSED, 0), own.get(INVENTED, 0),
            own.get(CLEAR, 0), sum(n for outcome, n in own.items() if outcome not in (FOUND, MISSED, INVENTED, CLEAR)),
        )
        for group in groups for own in (found[group],)
    ]  # fmt: skip


def false_positives(folder: Path) -> tuple[float, int] | None:
    """Mean number an image, and images; None where no image could be read."""
    told = [float(row["false_positives"]) for row in read_csv(folder / "images.csv") if row.get("false_positives")]
    return (sum(told) / len(told), len(told)) if told else None


def lesions(task: str, folder: Path) -> Table:
    """Sensitivity of each group beside the published one, and false positives."""
    known = published(task).get("sensitivity", {})
    rows: list[tuple[Any, ...]] = []
    there = sensitivities(folder)
    for own in there:
        told = words(known[own.group], " %") if own.group in known else "–"
        rows.append((own.group, told, percent(own), _between(own), f"{own.found} of {own.increased}", own.invented))
    for group in known:
        if group not in {own.group for own in there}:
            rows.append((group, words(known[group], " %"), "no lesion of this group", "", "0", ""))
    rate = false_positives(folder)
    extra = words(published(task)["false_positives_per_image"]) if known else "–"
    if rate is not None:
        rows.append(("false positives an image", extra, f"{rate[0]:.2f}", "", f"{rate[1]} images", ""))
    header = (
        "Disease group" if known else "Group",
        PUBLISHED,
        "Sensitivity",
        "95% interval",
        "Lesions",
        "Invented",
    )
    notes = (
        "Sensitivity: lesions that are increased in the synthetic image, of those increased in the real one. Wilson's "
        "interval takes lesions as independent; several of one patient are not, so it is too narrow.",
        "Sensitivity alone rewards inventing uptake: read it with the false positives.",
    )
    return Table("lesions", "Sensitivity by disease group", header, tuple(rows), notes)


def sweep(folders: Mapping[str, Path]) -> Table:
    """Sensitivity of each group at each correlation; folders: name of a column to its reading of lesions."""
    known = published("pool2delayed")["sensitivity"]
    read = {name: {own.group: own for own in sensitivities(folder)} for name, folder in folders.items()}
    groups = [*known, *sorted({group for own in read.values() for group in own} - set(known))]
    rows: list[tuple[Any, ...]] = []
    for group in groups:
        told = words(known[group], " %") if group in known else "–"
        rows.append((group, told, *(_cell(own.get(group)) for own in read.values())))
    rates = [false_positives(folder) for folder in folders.values()]
    told = words(published("pool2delayed")["false_positives_per_image"])
    rows.append(("false positives an image", told, *("" if rate is None else f"{rate[0]:.2f}" for rate in rates)))
    header = ("Disease group", PUBLISHED, *read)
    notes = (
        "Each column is a study of its own: patients simulated with this correlation rho between the logarithms of "
        "hyperemia and late uptake, translators trained on them and tested on others of them. At rho 0 the blood pool "
        "says nothing about how much a lesion takes up later; what is found then is found by place and by chance.",
        "What the sensitivity of patients is depends on their rho, which nobody has published: no column is a result "
        "about patients, and none may be held against the published one.",
    )
    return Table("sweep", "Sensitivity over the correlation of hyperemia and uptake", header, tuple(rows), notes)


def sweep_plot(folders: Mapping[str, tuple[float, Path]]) -> str:
    """Sensitivity of each group over rho, with Wilson's intervals, as SVG."""
    from imagetranslation.radiomics.preservation.figures import new_figure, svg

    figure = new_figure(8.0, 4.2)
    axes = figure.subplots()
    read = {rho: {own.group: own for own in sensitivities(folder)} for rho, folder in folders.values()}
    looks = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."), ("#CC79A7", "D", ":"))
    looks += (("#000000", "v", (0, (5, 1))),)  # type: ignore[assignment]
    for number, group in enumerate(published("pool2delayed")["sensitivity"]):
        colour, mark, line = looks[number % len(looks)]
        told = [(rho, own[group]) for rho, own in sorted(read.items()) if group in own and own[group].increased]
        if not told:
            continue
        values = [100 * (own.value or 0) for _, own in told]
        ends = [own.interval() or (0.0, 1.0) for _, own in told]
        away = [[v - 100 * low for v, (low, _) in zip(values, ends)], [100 * h - v for v, (_, h) in zip(values, ends)]]
        at = [rho + 0.006 * (number - 2) for rho, _ in told]
        axes.errorbar(
            at, values, [[max(0, d) for d in side] for side in away], color=colour, marker=mark, linestyle=line,
            label=group, capsize=2, markersize=4, linewidth=1.2,
        )  # fmt: skip
    axes.set_xlabel("rho between hyperemia and late uptake (simulated, not comparable)", fontsize=9)
    axes.set_ylabel("sensitivity (%)", fontsize=9)
    axes.set_ylim(-3, 103)
    axes.legend(fontsize=7, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return svg(figure, "sweep")


def percent(own: Sensitivity) -> str:
    """Of one group, in words."""
    return "no increased lesion" if own.value is None else f"{100 * own.value:.1f} %"


def _cell(own: Sensitivity | None) -> str:
    if own is None or own.value is None:
        return "no increased lesion"
    return f"{100 * own.value:.0f} % ({_between(own)}; {own.found} of {own.increased})"


def _between(own: Sensitivity) -> str:
    ends = own.interval()
    return "" if ends is None else f"{100 * ends[0]:.0f} to {100 * ends[1]:.0f} %"


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
