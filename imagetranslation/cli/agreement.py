"""`imagetranslation agreement`: every agreement coefficient of a table of ratings, with its intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InputError
from .options import Json

if TYPE_CHECKING:
    from ..readerstudy.statistics.estimates import Estimate, Interval

Draws = Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap draws.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]
Level = Annotated[float, typer.Option(min=0.51, max=0.999, help="Level of the confidence intervals.")]


def agreement(
    table: Annotated[
        Path, typer.Argument(metavar="RATINGS.csv", help="Rows are cases, columns are raters, blanks are missing.")
    ],
    categories: Annotated[
        Optional[str], typer.Option(help="The scale in its order, with commas: 1,2,3,4,5 or none,mild,severe.")
    ] = None,
    patient: Annotated[
        Optional[str], typer.Option(help="Column that names the patient, when patients have several cases.")
    ] = None,
    readers: Annotated[str, typer.Option(help="fixed: about these raters. random: about raters like them.")] = "fixed",
    draws: Draws = 2000,
    seed: Seed = 1,
    level: Level = 0.95,
    as_json: Json = False,
) -> None:
    """Agreement between raters: percent, Cohen, Fleiss, Krippendorff, Gwet, ICC, Kendall, each with its intervals.

    imagetranslation agreement ratings.csv --categories 1,2,3,4,5
    """
    from ..readerstudy.statistics.agreement import agreement as compute
    from ..readerstudy.statistics.bootstrap import Resampling
    from ..readerstudy.statistics.csvtables import read_wide
    from ..readerstudy.statistics.versions import require

    require()
    if readers not in ("fixed", "random"):
        raise InputError(f"--readers is fixed or random, not {readers!r}.")
    scale = None if categories is None else [category.strip() for category in categories.split(",")]
    read = read_wide(table, scale, patient)
    settings = Resampling(draws, seed, level, readers)
    estimates = compute(read.ratings, settings)
    if as_json:
        _print_json(table, read, settings, estimates)
    else:
        _print_tables(table, read, settings, estimates)


def _print_json(table: Path, read: Any, settings: Any, estimates: list[Estimate]) -> None:
    from ..readerstudy.statistics.versions import versions
    from .tables import print_json

    print_json(
        {
            "file": str(table),
            "taken": list(read.taken),
            "n": read.ratings.n,
            "categories": list(read.ratings.labels),
            "raters": list(read.ratings.raters),
            "bootstrap": settings.as_dict(),
            "coefficients": [estimate.as_dict() for estimate in estimates],
            "versions": versions(),
        }
    )


def _print_tables(table: Path, read: Any, settings: Any, estimates: list[Estimate]) -> None:
    from ..readerstudy.statistics.csvtables import counted
    from .tables import Page

    n = read.ratings.n
    page = Page(f"Agreement in {table}")
    page.lines(
        [
            f"{counted(n['cases'], 'case')} of {counted(n['patients'], 'patient')}, {counted(n['raters'], 'rater')}, "
            f"{counted(n['ratings'], 'rating')}",
            *(sentence[0].upper() + sentence[1:] for sentence in read.taken),
        ]
    )
    percent = f"{100 * settings.level:g}%"
    rows = [_row(estimate) for estimate in estimates]
    page.table(["Coefficient", "Value", f"{percent} analytic", f"{percent} bootstrap", "Cases", "Ratings"], rows)
    page.lines(_footnotes(estimates, settings))


def _row(estimate: Estimate) -> list[str]:
    counts = [str(estimate.n["cases"]), str(estimate.n["ratings"])]
    if estimate.value is None:
        return [estimate.label, "refused", "", "", *counts]
    analytic, resampled = estimate.intervals
    return [estimate.label, f"{estimate.value:.4f}", _ends(analytic), _ends(resampled), *counts]


def _ends(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "refused"
    return f"{interval.low:.4f} to {interval.high:.4f}"


def _footnotes(estimates: list[Estimate], settings: Any) -> list[str]:
    """Methods and refusals, each reason once with the coefficients it holds for."""
    seen: dict[str, list[str]] = {}
    for estimate in estimates:
        if estimate.refused:
            seen.setdefault(f"refused: {estimate.refused}", []).append(estimate.label)
        for interval in estimate.intervals:
            about = "analytic" if interval is estimate.intervals[0] else "bootstrap"
            what = f"interval refused: {interval.refused}" if interval.refused else interval.method
            seen.setdefault(f"{about}: {what}", []).append(estimate.label)
            for note in interval.notes:
                if not note.startswith("standard error"):
                    seen.setdefault(f"{about}: {note}", []).append(estimate.label)
        if "p" in estimate.extra:
            extra = estimate.extra
            text = f"chi-square {extra['chi_square']:.3f}, {extra['df']} df, p {extra['p']:.4g} (no concordance)"
            seen.setdefault(text, []).append(estimate.label)
    every = len(estimates)
    about = "for these readers" if settings.readers == "fixed" else "for readers like these"
    sources = [f"Readers {settings.readers}: bootstrap intervals hold {about} and for patients like these.",
               "Sources of the formulas and standard errors: --json."]  # fmt: skip
    return [f"{text} [{_who(labels, every)}]" for text, labels in seen.items()] + sources


def _who(labels: list[str], every: int) -> str:
    if len(labels) == every:
        return "all"
    if all(label.startswith("ICC") for label in labels) and len(labels) == 6:
        return "all ICC"
    return "; ".join(labels) if len(labels) <= 4 else f"{len(labels)} coefficients: {labels[0]} ... {labels[-1]}"
