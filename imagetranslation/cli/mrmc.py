"""`imagetranslation mrmc`: tests compared by several readers on cases with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from .agreement import Level
from .options import Json

if TYPE_CHECKING:
    from ..readerstudy.statistics.mrmc import Analysis, Comparison, Design
    from ..readerstudy.statistics.power import Power


def mrmc(
    table: Annotated[
        Path, typer.Argument(metavar="RATINGS.csv", help="One row a reading: reader, test, case, truth, rating.")
    ],
    covariance: Annotated[str, typer.Option(help="jackknife, delong or unbiased.")] = "jackknife",
    effect: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Difference of the areas that the next study shall find.")
    ] = 0.05,
    level: Level = 0.95,
    as_json: Json = False,
) -> None:
    """Multi-reader multi-case comparison of areas under ROC curves (Obuchowski and Rockette), fully crossed studies.

    imagetranslation mrmc ratings.csv --covariance delong
    """
    from ..readerstudy.statistics.estimates import Undefined
    from ..readerstudy.statistics.mrmc import analyse
    from ..readerstudy.statistics.mrmctable import read_study
    from ..readerstudy.statistics.roc import COVARIANCES
    from ..readerstudy.statistics.versions import require

    require()
    if covariance not in COVARIANCES:
        raise InputError(f"--covariance is {', '.join(COVARIANCES)}, not {covariance!r}.")
    study = read_study(table)
    try:
        found = analyse(study.ratings, study.truth, study.tests, study.readers, covariance, level)
    except Undefined as reason:
        raise InputError(f"{table}: {reason}.") from reason
    planned = _planned(found, effect)
    if as_json:
        _print_json(table, study, found, planned, effect)
    else:
        _print_tables(table, study, found, planned, effect)


def _planned(found: Analysis, effect: float) -> list[Power] | str:
    from ..readerstudy.statistics.bootstrap import MIN_READERS
    from ..readerstudy.statistics.estimates import Undefined
    from ..readerstudy.statistics.power import table

    if found.components is None:
        return f"the next study cannot be planned from fewer than {MIN_READERS} readers or from one test"
    try:
        return table(found.components, found.positives + found.negatives, effect, alpha=1 - found.level)
    except Undefined as reason:
        return str(reason)


def _print_json(table: Path, study: Any, found: Analysis, planned: list[Power] | str, effect: float) -> None:
    from dataclasses import asdict

    from ..readerstudy.statistics.power import SOURCE
    from ..readerstudy.statistics.versions import versions
    from .tables import print_json

    rows = {"refused": planned} if isinstance(planned, str) else {"power": [asdict(row) for row in planned]}
    print_json(
        {
            "file": str(table),
            "taken": list(study.taken),
            **found.as_dict(),
            "next_study": {"difference": effect, "design": "RRRC", "source": SOURCE, **rows},
            "versions": versions(),
        }
    )


def _print_tables(table: Path, study: Any, found: Analysis, planned: list[Power] | str, effect: float) -> None:
    from ..readerstudy.statistics.csvtables import counted
    from ..readerstudy.statistics.mrmc import DESIGNS
    from .tables import Page

    cases = found.positives + found.negatives
    page = Page(f"Multi-reader multi-case analysis of {table}")
    page.lines(
        [
            f"{counted(len(found.readers), 'reader')}, {counted(len(found.tests), 'test')}, {counted(cases, 'case')} "
            f"({found.positives} with the condition, {found.negatives} without), fully crossed",
            f"Empirical areas under the ROC curve; {found.method} covariances; Obuchowski-Rockette, degrees of freedom "
            "of Hillis",
            "; ".join(study.taken),
        ]
    )
    rows = [[reader, *(_area(found, i, j) for i in range(len(found.tests)))] for j, reader in enumerate(found.readers)]
    rows.append(["mean", *(f"{found.auc[i].mean():.6f}" for i in range(len(found.tests)))])
    page.table(["Reader", *(f"AUC, {test} (SE)" for test in found.tests)], rows, "Areas")
    _print_components(page, found)
    percent = f"{100 * found.level:g}% CI"
    page.table(
        ["Design", "Statistic", "Value", "df", "p"],
        [_global(design, DESIGNS[design.key]) for design in found.designs],
        "Are the areas of all tests equal?",
    )
    differences = [_line(design.key, gap) for design in found.designs for gap in design.differences]
    differences += [_line(f"reader {reader}", gap) for reader, gap in found.of_readers if not isinstance(gap, str)]
    page.table(["Design", "Comparison", "Difference", "SE", "df", "p", percent], differences, "Differences of areas")
    means = [_line(design.key, mean) for design in found.designs for mean in design.means]
    page.table(
        ["Design", "Test", "AUC", "SE", "df", "p", percent], means, "Mean area of each test, from its data alone"
    )
    _print_plan(page, planned, effect, 1 - found.level)
    notes = [f"{design.key} refused: {design.refused}." for design in found.designs if design.refused]
    notes += [f"{design.key}: {note}." for design in found.designs for note in design.notes]
    notes += [
        f"Reader {reader}: difference refused: {gap}." for reader, gap in found.of_readers if isinstance(gap, str)
    ]
    page.lines([*notes, "The p-values of pairs and of single readers are not corrected for their number."])


def _print_components(page: Any, found: Analysis) -> None:
    if found.components is None:
        return
    told = found.components
    rows = [
        ["reader", f"{told.reader:.8f}"],
        ["test x reader", f"{told.test_reader:.8f}"],
        ["error", f"{told.error:.8f}"],
        ["Cov1 (same reader, other test)", f"{told.cov1:.8f}"],
        ["Cov2 (other reader, same test)", f"{told.cov2:.8f}"],
        ["Cov3 (other reader, other test)", f"{told.cov3:.8f}"],
    ]
    page.table(["Component", "Estimate"], rows, "Variance components (estimates may be negative)")


def _print_plan(page: Any, planned: list[Power] | str, effect: float, alpha: float) -> None:
    if isinstance(planned, str):
        page.lines([f"Next study: refused: {planned}."])
        return
    cases = sorted({row.cases for row in planned})
    powers = {(row.readers, row.cases): row.power for row in planned}
    rows = [
        [str(readers), *(f"{powers[readers, count]:.3f}" for count in cases)]
        for readers in sorted({row.readers for row in planned})
    ]
    title = f"Power of the next study to find a difference of {effect:g} (RRRC, alpha {alpha:.3g}, same share of cases)"
    page.table(["Readers", *(f"{count} cases" for count in cases)], rows, title)


def _area(found: Analysis, test: int, reader: int) -> str:
    return f"{found.auc[test, reader]:.6f} ({found.standard_errors[test, reader]:.6f})"


def _global(design: Design, name: str) -> list[str]:
    label = f"{design.key}: {name}"
    if design.value is None:
        return [label, "refused", "", "", ""]
    degrees = f"{design.df1:g}" if design.df2 is None else f"{design.df1:g}, {design.df2:.2f}"
    return [label, design.statistic, f"{design.value:.4f}", degrees, _p(design.p)]


def _line(label: str, one: Comparison) -> list[str]:
    what = f"{one.first} - {one.second}" if one.second else one.first
    degrees = "normal" if one.df is None else f"{one.df:.2f}"
    ends = f"{one.low:.5f} to {one.high:.5f}"
    return [label, what, f"{one.estimate:.5f}", f"{one.standard_error:.5f}", degrees, _p(one.p), ends]


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"
