"""The files of a report: the page, every figure, tidy tables as CSV, and all settings and results as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...files import atomic_folder, make_folder, write_text
from ..exports import COLUMNS
from ..layouts import safe, to_csv
from .gathering import Gathered
from .page import page
from .report import Report, figures_of

PAGE, RESULTS, TABLES, FIGURES = "report.html", "results.json", "tables", "figures"


def write_report(report: Report, gathered: Gathered, folder: str | Path) -> Path:
    """Write the whole report into a folder that is not there yet, or is empty; all of it or nothing. Returns the page.

    report.html; results.json (settings, versions, every record); tables/*.csv (answers.csv is the unblinded table of
    all answers); figures/*.svg.
    """
    require_new(folder)
    target = Path(folder)
    make_folder(target.parent)
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = report.records.tables
    with atomic_folder(target) as made:
        (made / TABLES).mkdir()
        (made / FIGURES).mkdir()
        write_text(made / PAGE, page(report))
        write_text(made / RESULTS, json.dumps(_plain({**report.facts, "tables": tables}), indent=1) + "\n")
        write_text(made / TABLES / "answers.csv", to_csv(map(safe, gathered.answers.rows), COLUMNS))
        for name, rows in tables.items():
            columns = list(dict.fromkeys(column for row in rows for column in row))
            write_text(made / TABLES / f"{name}.csv", to_csv(map(safe, rows), columns))
        for number, figure in enumerate(figures_of(report), 1):
            write_text(made / FIGURES / f"{number:02d}_{figure.name}.svg", figure.svg + "\n")
    return target / PAGE


def require_new(folder: str | Path) -> None:
    """InputError where something stands in the report's place: an older report is never overwritten."""
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is there already; name a new folder with -o, or remove it.")


def _plain(value: Any) -> Any:
    """JSON has no infinity: a bound that does not exist is null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
