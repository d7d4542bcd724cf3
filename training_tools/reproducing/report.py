"""The report of a study: its tables with the published numbers, put together from the finished steps, and written.

`report.html` needs nothing else, `report.json` holds the same numbers and all settings, and every table is a CSV. How
the page looks is `page`'s, what the tables hold `tables`'.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagetranslation import __version__
from imagetranslation.files import write_text

from ..benchmarking.cells import read_plan
from ..benchmarking.costs import machine
from ..benchmarking.entries import entries
from ..benchmarking.pictures import Pictures, pictured
from ..classifying.arms import SOURCE
from ..classifying.models import FEATURES, find
from ..evaluating.writing import write_rows
from . import data, lesiontables, possible, tables
from .choices import Choices, begun_with
from .differences import differences
from .helping import OUTCOME
from .published import GAP, published
from .sizes import column
from .stamps import Stamp, Step
from .tables import Table, read_json

SIMULATED = "simulated, not comparable"
PARTLY = "partly simulated, not comparable"


@dataclass(frozen=True)
class Section:
    """One part of the results, as the paper has it. pages: (words, path) of the steps' pages. svg: a plot, or "".

    beyond: the published study has no such part. pictures: cases' names and pictures, see `benchmarking.pictures`.
    """

    title: str
    words: str
    tables: tuple[Table, ...] = ()
    pages: tuple[tuple[str, str], ...] = ()
    svg: str = ""
    beyond: bool = False
    pictures: tuple[tuple[str, Pictures], ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything the page shows. steps: name to (title, seconds, left out)."""

    choices: Choices
    about: Mapping[str, Any]
    sections: tuple[Section, ...]
    differences: tuple[tuple[str, str, str], ...]
    steps: tuple[tuple[str, Stamp], ...]

    @property
    def simulated(self) -> bool:
        """Whether no patient stands behind the numbers."""
        return bool(self.about["simulated"])

    @property
    def in_part(self) -> str:
        """A sentence where some cases are a simulator's and others patients'; else ""."""
        return str(self.about.get("simulated_in_part", ""))

    @property
    def mark(self) -> str:
        """Words that every heading of a result bears; "" where patients alone stand behind the numbers."""
        return SIMULATED if self.simulated else PARTLY if self.in_part else ""


def gather(choices: Choices, steps: list[Step], stamps: Mapping[str, Stamp]) -> Report:
    """The report of a study whose steps are done."""
    about = data.read(choices.place("prepared"))
    made = _prostate if choices.task == "us2mri" else _bone_scan
    sections = tuple(made(choices, steps, stamps, bool(about["simulated"])))
    rows = tuple(differences(choices, about, _facts(choices, stamps)))
    return Report(choices, about, sections, rows, tuple((step.title, stamps[step.name]) for step in steps))


def write(report: Report, output: Path) -> Path:
    """Write page, record and tables; returns the page's path."""
    from .page import page

    for section in report.sections:
        for table in section.tables:
            write_rows([{**row, "data": _whose(report)} for row in table.records()], output / f"{table.name}.csv")
    header = ("point", "published", "here")
    write_rows([dict(zip(header, row)) for row in report.differences], output / "differences.csv")
    write_text(output / "report.json", json.dumps(record(report), indent=1) + "\n")
    return write_text(output / "report.html", page(report))


def record(report: Report) -> dict[str, Any]:
    """For JSON."""
    return {
        "task": report.choices.task, "heading": report.mark or "results",
        "published": published(report.choices.task), "data": dict(report.about),
        "begun_with": begun_with(report.choices.output), "positive_label": report.choices.positive,
        "software": {"imagetranslation": __version__}, "machine": machine(),
        "sections": [
            {
                "title": section.title, "words": section.words, "beyond_the_study": section.beyond,
                "tables": [{"name": t.name, "title": t.title, "rows": t.records(), "notes": t.notes,
                            "left_out": t.left}
                           for t in section.tables],
                "pages": dict(section.pages), "pictured": [case for case, _ in section.pictures],
            }
            for section in report.sections
        ],
        "differences": [dict(zip(("point", "published", "here"), row)) for row in report.differences],
        "steps": [
            {"step": title, "seconds": stamp.seconds, "left_out": stamp.left_out, "made_from": dict(stamp.made_from)}
            for title, stamp in report.steps
        ],
    }  # fmt: skip


def _whose(report: Report) -> str:
    return report.mark or "patients"


def _prostate(choices: Choices, steps: list[Step], stamps: Mapping[str, Stamp], simulated: bool) -> list[Section]:
    place, pages = choices.place, _pages(steps, stamps)
    not_classified = possible.classifiable(choices.cases(), choices.sizes, choices.positive).left
    return [
        _similarity(choices, pages),
        _preservation(choices, stamps, pages, beyond=False),
        _readers(choices, "Seven physicians scored anatomical realism, artifacts and diagnostic interpretability."),
        _unless(
            stamps["classification"], "Classification",
            "Accuracy and AUC of classifiers on synthetic images, beside source, real images and chance.",
            lambda: (tables.classification(place("classification") / OUTCOME, not_classified),),
            pages["classification"],
        ),
        _lesions(choices, stamps, pages, beyond=True),
        _atlas(stamps, pages),
    ]  # fmt: skip


def _bone_scan(choices: Choices, steps: list[Step], stamps: Mapping[str, Stamp], simulated: bool) -> list[Section]:
    pages = _pages(steps, stamps)
    swept = "sweep" in stamps and not stamps["sweep"].left_out
    chief = _sweep(choices, pages) if swept else _lesions(choices, stamps, pages, beyond=False)
    return [
        chief,
        _similarity(choices, pages),
        _readers(
            choices, "Sensitivities above are by an automatic rule, the published ones by a lesion-based reading."
        ),
        _preservation(choices, stamps, pages, beyond=True),
        _atlas(stamps, pages),
    ]


def _similarity(choices: Choices, pages: Mapping[str, tuple[tuple[str, str], ...]]) -> Section:
    words = (
        "All networks trained for the same time and tested on the same patients, who none of them saw."
        if choices.task == "us2mri"
        else f"All networks that apply to planar images; whether the published study compared networks: {GAP}."
    )
    found = (
        tables.similarity(choices.task, choices.place("benchmark")),
        tables.cross_fitted(choices.task, choices.place("evaluation")),
    )
    return Section(
        "Image similarity", words, found, pages["benchmark"], beyond=choices.task != "us2mri",
        pictures=_pictures(choices.place("benchmark")),
    )  # fmt: skip


def _pictures(benchmark: Path) -> tuple[tuple[str, Pictures], ...]:
    """Of the first tested patient, whoever that is."""
    plan = read_plan(benchmark)
    folders = {name: plan.folder(name, 0) / "pictures" for name in entries(plan.task)}
    return tuple(pictured({name: folder for name, folder in folders.items() if folder.is_dir()}, 1))


def _preservation(
    choices: Choices, stamps: Mapping[str, Stamp], pages: Mapping[str, tuple[tuple[str, str], ...]], beyond: bool
) -> Section:
    return _unless(
        stamps["preservation"], "Radiomic features",
        "Which features of the real images are found again in the synthetic ones, between a floor and a ceiling.",
        lambda: (tables.preservation(choices.task, choices.place("preservation")),), pages["preservation"], beyond,
    )  # fmt: skip


def _lesions(
    choices: Choices, stamps: Mapping[str, Stamp], pages: Mapping[str, tuple[tuple[str, str], ...]], beyond: bool
) -> Section:
    return _unless(
        stamps["lesions"], "Lesions", "Lesions of the real images that are found in the synthetic ones.",
        lambda: (lesiontables.lesions(choices.task, choices.place("lesions") / OUTCOME),), pages["lesions"], beyond,
    )  # fmt: skip


def _sweep(choices: Choices, pages: Mapping[str, tuple[tuple[str, str], ...]]) -> Section:
    """Simulated bone scans: no single number, but what it would be at each correlation."""
    folders = {rho: choices.place("sweep") / column(rho) / OUTCOME for rho in choices.sizes.rhos}
    shown = {f"rho {rho:g}": folder for rho, folder in folders.items()}
    shown["each group's own rho (0.3 to 0.7)"] = choices.place("lesions") / OUTCOME
    more = tuple(
        (f"lesions at rho {rho:g}", f"sweep/{column(rho)}/{OUTCOME}/lesions.html") for rho in choices.sizes.rhos
    )
    plot = lesiontables.sweep_plot({f"rho {rho:g}": (rho, folder) for rho, folder in folders.items()})
    return Section(
        "Lesions by disease group",
        "How many lesions of each group are found depends on how hyperemia and late uptake hang together. That is a "
        "setting of the simulator and not a finding: it is swept.",
        (lesiontables.sweep(shown),), (*pages["lesions"], *more), plot,
    )  # fmt: skip


def _readers(choices: Choices, words: str) -> Section:
    return Section(
        "Reading by physicians",
        f"{words} Here a blinded study is prepared for {choices.sizes.readers} readers and {choices.sizes.read} cases "
        "(study/study); nobody has read it, so there is no number. Start it with `imagetranslation study serve` and "
        "analyse it with `imagetranslation study analyze`. Keep study/study/key and study.json from readers.",
        (tables.readers(choices.task),),
    )  # fmt: skip


def _atlas(stamps: Mapping[str, Stamp], pages: Mapping[str, tuple[tuple[str, str], ...]]) -> Section:
    return _unless(
        stamps["atlas"], "Failure atlas",
        "The worst patients, vanished and invented lesions, and whether uncertainty and likeness to the training scans "
        "tell where the error is.", lambda: (), pages["atlas"], True,
    )  # fmt: skip


def _unless(stamp: Stamp, title: str, words: str, make: Any, pages: Any, beyond: bool = False) -> Section:
    """A section, or the sentence why its step was left out."""
    if stamp.left_out:
        return Section(title, f"Left out: {stamp.left_out}", beyond=beyond)
    return Section(title, words, tuple(make()), pages, beyond=beyond)


def _pages(steps: list[Step], stamps: Mapping[str, Stamp]) -> dict[str, tuple[tuple[str, str], ...]]:
    return {
        step.name: ((step.title, f"{step.folder}/{step.page}"),) if step.page and not stamps[step.name].left_out else ()
        for step in steps
    }


def _facts(choices: Choices, stamps: Mapping[str, Stamp]) -> dict[str, Any]:
    """What the steps say of themselves, for the list of differences."""
    found: dict[str, Any] = {"left_out": [name for name, stamp in stamps.items() if stamp.left_out]}
    rows = tables.read_csv(choices.place("benchmark") / "leaderboard.csv")
    found["networks"] = [row["network"] for row in rows if row["state"] == "done"]
    if not stamps["preservation"].left_out:
        made = read_json(choices.place("preservation") / "report" / "preservation.json")
        engine = made.get("engine") or {}
        found["features"] = max((len(table["features"]) for table in made["tables"]), default=0)
        found["engine"] = f"{engine.get('feature_set')} by {engine.get('name')} {engine.get('version')}"
    if "classification" in stamps and not stamps["classification"].left_out:
        there = read_json(choices.place("classification") / OUTCOME / "classification.json")
        found["classifiers"] = list(there["models"])
        found["classified_features"] = sorted(
            {r["features"] for r in there["results"] if r["arm"] == SOURCE and find(r["model"]).learns_from == FEATURES}
        )
    return found
