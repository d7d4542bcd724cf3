"""The files of a report: one tidy CSV a relation, the long table of values, what was excluded, one JSON, one page."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import InputError
from ...files import atomic_folder, write_text
from .cohort import Report, Table, by_family, kept_clusters
from .longtable import DESCRIBING, LongTable, to_csv
from .page import page

COUNTS = ("n", "patients", "out_of_range")
RANK = ("rho", "rho_low", "rho_high", "rho_boot_low", "rho_boot_high", "p", "q")
AGREEMENT = tuple(
    f"{name}{end}"
    for name in ("icc_a_1", "icc_c_1", "ccc", "bias", "limit_low", "limit_high")
    for end in ("", "_low", "_high", "_boot_low", "_boot_high")
    if not (name == "ccc" and end.startswith("_boot"))
)
COHORT = ("reference_mean", "reference_sd", "reference_min", "reference_max", "other_mean")


def check_folder(path: Path) -> None:
    """InputError unless a new folder can be written there."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} exists already; name a new folder with -o, so that no earlier report is lost.")


def write_report(report: Report, table: LongTable, folder: Path) -> Path:
    """Write everything into a new folder and return it; nothing is left behind where that fails."""
    check_folder(folder)
    with atomic_folder(folder) as temporary:
        for one in report.tables:
            write_text(temporary / f"{one.relation.key}.csv", table_csv(report, one))
        write_text(temporary / "features.csv", to_csv(table))
        write_text(temporary / "excluded.csv", excluded_csv(report))
        write_text(temporary / "out_of_range.csv", out_of_range_csv(report))
        write_text(temporary / "preservation.json", json.dumps(as_dict(report), indent=1, allow_nan=False) + "\n")
        write_text(temporary / "report.html", page(report))
    return folder


def table_csv(report: Report, table: Table) -> str:
    """One row a feature."""
    names = [*COUNTS, *RANK, *(AGREEMENT if table.agreement is not None else ()), *COHORT]
    header = ["feature", *DESCRIBING, "rank", "agreement", "cluster", *names, "reason"]
    return _csv(header, (list(row.values()) for row in rows(report, table, names)))


def rows(report: Report, table: Table, names: Sequence[str]) -> Iterable[dict[str, Any]]:
    """One mapping a feature; a number that is not defined is ""."""
    columns = {name: table.column(name) for name in names}
    for place, key in enumerate(table.joined.features):
        agreement = "refused" if table.agreement is None else table.agreement[place]
        yield {
            "feature": key, **dict(zip(DESCRIBING, report.features[key])), "rank": table.rank[place],
            "agreement": agreement, "cluster": int(table.cluster[place]) or "",
            **{name: _shown(name, float(values[place])) for name, values in columns.items()},
            "reason": table.found.reasons[place],
        }  # fmt: skip


def _shown(name: str, value: float) -> Any:
    if not math.isfinite(value):
        return ""
    return int(value) if name in COUNTS else value


def excluded_csv(report: Report) -> str:
    """Everything that was not used."""
    header = ["relation", "patient", "roi", "side", "feature", "reason"]
    return _csv(header, ([getattr(one, name) for name in header] for one in report.excluded))


def out_of_range_csv(report: Report) -> str:
    """Every value outside the range that its feature has in the reference images of the cohort."""
    header = ["relation", "patient", "roi", "feature", "value", "reference_value", "reference_min", "reference_max"]

    def each() -> Iterable[list[Any]]:
        for table in report.tables:
            joined, low, high = table.joined, table.column("reference_min"), table.column("reference_max")
            for row, case in enumerate(joined.cases):
                for place, key in enumerate(joined.features):
                    value = float(joined.other[row, place])
                    if value < low[place] or value > high[place]:
                        yield [joined.relation.key, *case, key, value, float(joined.reference[row, place]),
                               float(low[place]), float(high[place])]  # fmt: skip

    return _csv(header, each())


def _csv(header: Sequence[str], made: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([repr(cell) if isinstance(cell, float) else cell for cell in row] for row in made)
    return text.getvalue()


def as_dict(report: Report) -> dict[str, Any]:
    """Everything for JSON: definitions, counts, every feature, versions."""
    return {
        "imagetranslation": __version__, "versions": versions(), "thresholds": report.thresholds.to_dict(),
        "definitions": report.thresholds.sentences(), **report.facts, "notes": list(report.notes),
        "tables": [_table_dict(report, table) for table in report.tables],
        "excluded": [vars(one) for one in report.excluded],
    }  # fmt: skip


def _table_dict(report: Report, table: Table) -> dict[str, Any]:
    names = [*COUNTS, *RANK, *(AGREEMENT if table.agreement is not None else ()), *COHORT]
    relation = table.relation
    return {
        "relation": relation.key, "title": relation.title, "kind": relation.kind, "note": relation.note,
        "reference": relation.words[0], "other": relation.words[1], "patients": table.patients,
        "regions": len(table.joined.cases), "headline": table.headline, "notes": list(table.notes),
        "counts": _counts(report, table) if table.counted(report.thresholds) else None,
        "features": [{key: None if value == "" and key in names else value for key, value in row.items()}
                     for row in rows(report, table, names)],
    }  # fmt: skip


def _counts(report: Report, table: Table) -> dict[str, Any]:
    statuses = {"rank": table.rank, **({} if table.agreement is None else {"agreement": table.agreement})}
    clustered = {name: kept_clusters(each, table.cluster) for name, each in statuses.items()}
    return {
        "rank": table.counts(table.rank),
        "agreement": "refused across modalities" if table.agreement is None else table.counts(table.agreement),
        "clusters": {name: {"preserved": kept, "all": every} for name, (kept, every) in clustered.items()},
        "families": [dict(zip(("family", "features", "rank", "agreement"), row)) for row in by_family(report, table)],
    }


def versions() -> dict[str, str]:
    """What computed it."""
    told = {"python": platform.python_version()}
    for name in ("numpy", "scipy", "matplotlib", "SimpleITK"):
        try:
            told[name] = version(name)
        except PackageNotFoundError:
            told[name] = "not installed"
    return told
