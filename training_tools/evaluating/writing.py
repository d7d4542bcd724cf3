"""Tables of an evaluation as tidy CSV, JSON and text for a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError
from imagetranslation.files import write_text
from imagetranslation.readerstudy.statistics.comparisons import TestResult

from .comparing import Scores, Summary, Table
from .measures import MEASURES


def write_scores(scores: Mapping[str, Scores], patients: Mapping[str, str], path: Path) -> None:
    """One row for each case, method and measure."""
    rows = [
        {"case": case, "patient": patients[case], "method": method, "measure": measure, "value": value}
        for method, cases in scores.items()
        for case, values in cases.items()
        for measure, value in values.items()
    ]
    write_rows(rows, path)


def read_scores(path: Path) -> tuple[dict[str, dict[str, dict[str, float]]], dict[str, str]]:
    """What `write_scores` wrote: method to case to measure, and case to patient. InputError for another file."""
    scores: dict[str, dict[str, dict[str, float]]] = {}
    patients = {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                cases = scores.setdefault(row["method"], {})
                cases.setdefault(row["case"], {})[row["measure"]] = float(row["value"])
                patients[row["case"]] = row["patient"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no scores.csv of training_tools.evaluate.") from error
    return scores, patients


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """CSV with a header; empty where a value is None."""
    text = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def flat(test: TestResult) -> dict[str, Any]:
    """A test as one row."""
    return {
        "comparison": test.label, "statistic": test.statistic, "value": test.value, "p": test.p, "holm_p": test.holm_p,
        "smallest_p": test.smallest_p, "median_difference": test.effect.get("median_difference"),
        "n": test.n.get("pairs"), "method": test.method, "refused": test.refused,
    }  # fmt: skip


def definitions(tables: Sequence[Table]) -> dict[str, dict[str, Any]]:
    """What the measures mean, by name."""
    return {table.measure: asdict(MEASURES[table.measure]) for table in tables}


def as_dict(table: Table) -> dict[str, Any]:
    """For JSON."""
    summaries = [
        {
            "method": s.method, "mean": s.mean, "sd": s.sd, "interval": s.interval.as_dict(), "n": s.n, "rank": s.rank,
            "group": s.group,
        }
        for s in table.summaries
    ]  # fmt: skip
    tests = [test.as_dict() for test in table.tests]
    return {"measure": table.measure, "summaries": summaries, "tests": tests, "notes": list(table.notes)}


def as_text(tables: Sequence[Table], measures: Sequence[str] = ("mae", "psnr", "ssim", "lesion_ssim")) -> str:
    """The chief measures as a table for a terminal: mean and SD over patients."""
    shown = [table for table in tables if table.measure in measures]
    columns = [{s.method: cell(s) for s in table.summaries} for table in shown]
    names = list(dict.fromkeys(method for column in columns for method in column))
    rows = [["", *(MEASURES[table.measure].label for table in shown)]]
    rows += [[name, *(column.get(name, "") for column in columns)] for name in names]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)


def cell(summary: Summary) -> str:
    """Mean and SD in four significant digits."""
    return f"{summary.mean:.4g}" if summary.sd is None else f"{summary.mean:.4g} ± {summary.sd:.2g}"
