"""The report as one HTML page that needs nothing else: definitions, headlines, pictures, tables, what was left out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from . import definitions as d
from .cohort import Report, Table, by_family, kept_clusters
from .figures import forest, heat_map, volcano

# So many excluded things are listed on the page; the file beside it has all of them.
_LISTED = 60
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1a1a1a;max-width:1100px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em}h2{margin-top:2em;border-top:2px solid #1a1a1a;padding-top:.5em}
table{border-collapse:collapse;font-size:12.5px;margin:.6em 0;font-variant-numeric:tabular-nums}
th,td{padding:2px 8px;text-align:right;border-bottom:1px solid #d9d9d9;vertical-align:top}
th{position:sticky;top:0;background:#fff}td.w,th.w{text-align:left}
.headline{font-size:1.15em;font-weight:600;border-left:5px solid #0072B2;padding:.3em .8em;background:#f2f7fb}
.none{border-color:#D55E00;background:#fdf3ec}.note{color:#5c5c5c}
.preserved{color:#00588a;font-weight:600}.degraded{color:#8a5a00}.lost{color:#5c5c5c}.undefined{color:#5c5c5c;font-style:italic}
.scroll{overflow:auto;max-height:34em;border:1px solid #d9d9d9}svg{max-width:100%;height:auto}
summary{cursor:pointer;font-weight:600;margin:.5em 0}
"""


def page(report: Report) -> str:
    """All of the report."""
    results = [table for table in report.tables if table.relation.kind == "result"]
    scale = [table for table in report.tables if table.relation.kind != "result"]
    parts = [
        "<h1>Radiomics: what survives the translation</h1>",
        "<p class='note'>Synthetic images are made by a model; they and the numbers here are not for diagnosis.</p>",
        _summary(report),
        _list("What the words mean", [*report.thresholds.sentences(), *_engine(report), *report.notes]),
    ]
    for table in (*results, *scale):
        parts.append(_section(report, table))
    parts += [
        "<h2>All questions side by side</h2>",
        "<p class='note'>Grey: undefined. Families are divided by lines.</p>",
        heat_map(report),
    ]
    parts.append(_excluded(report))
    title = "Radiomics preservation"
    return document(title, parts)


def document(title: str, parts: Iterable[str]) -> str:
    """A page of HTML parts with the style of this room."""
    return (
        f"<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def table_html(header: Sequence[str], rows: Iterable[Sequence[Any]], words: int = 1) -> str:
    """A table; the first `words` columns are text and stand to the left. A cell (text, class) carries its class."""
    made = ["<div class='scroll'><table><tr>"]
    made += [f"<th class='{'w' if place < words else ''}'>{escape(name)}</th>" for place, name in enumerate(header)]
    made.append("</tr>")
    for row in rows:
        made.append("<tr>")
        for place, cell in enumerate(row):
            text, kind = cell if isinstance(cell, tuple) else (cell, "")
            made.append(f"<td class='{'w ' if place < words else ''}{kind}'>{escape(str(text))}</td>")
        made.append("</tr>")
    return "".join(made) + "</table></div>"


def number(value: float) -> str:
    """Three significant digits after the point, or a dash."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 1000 and (abs(value) >= 0.001 or value == 0) else f"{value:.3g}"


def interval(low: float, high: float) -> str:
    """Both ends, or a dash."""
    return f"{number(low)} to {number(high)}" if math.isfinite(low) and math.isfinite(high) else "–"


def _summary(report: Report) -> str:
    rows: list[list[Any]] = []
    for table in report.tables:
        rank, every = kept_clusters(table.rank, table.cluster)
        counts: list[Any] = [table.rank.count(d.PRESERVED), "refused", every, rank, "refused"]
        if table.agreement is not None:
            counts[1], counts[4] = table.agreement.count(d.PRESERVED), kept_clusters(table.agreement, table.cluster)[0]
        if not table.counted(report.thresholds):
            counts = [each if each == "refused" or place == 2 else "not counted" for place, each in enumerate(counts)]
        rows.append([table.relation.title, table.patients, len(table.joined.cases), len(table.rank), *counts])
    header = ["", "patients", "regions", "features", "preserved in rank", "in agreement", "clusters",
              "kept in rank", "in agreement"]  # fmt: skip
    few = [table for table in report.tables if not table.counted(report.thresholds)]
    warning = ""
    if few:
        warning = (
            f"<p class='headline none'>With fewer than {report.thresholds.patients} patients nothing is counted: how "
            "many features pass a threshold would mostly be chance. Read the interval of each feature.</p>"
        )
    return warning + table_html(header, rows)


def _engine(report: Report) -> list[str]:
    engine = report.facts.get("engine") or {}
    told = []
    if engine:
        told.append(f"Features: {engine['feature_set']} by {engine['name']} {engine['version']} (without morphology, "
                    "which depends on the region alone and not on the image).")  # fmt: skip
    told += [str(sentence) for sentence in report.facts.get("missing", ())]
    if sentence := report.facts.get("perturbation_words"):
        told.append(f"Perturbed reference: {sentence}")
    return told


def _list(title: str, sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<details open><summary>{escape(title)}</summary><ul>{items}</ul></details>"


def _section(report: Report, table: Table) -> str:
    relation = table.relation
    none = not table.counted(report.thresholds)
    parts = [
        f"<h2>{escape(relation.title)}</h2><p>{escape(relation.note)}</p>",
        f"<p class='headline{' none' if none else ''}'>{escape(table.headline)}</p>",
        *(f"<p class='note'>{escape(note)}</p>" for note in table.notes),
        _families(report, table) if not none else "", _features(report, table),
    ]  # fmt: skip
    if relation.kind == "result" or all(each.relation.kind != "result" for each in report.tables):
        parts.append(volcano(table, report.thresholds))
        drawn = [("rho", "Spearman's rho", table.rank, report.thresholds.rho)]
        if table.agreement is not None:
            drawn.append(("icc_a_1", "ICC(A,1)", table.agreement, report.thresholds.icc))
        for name, label, statuses, threshold in drawn:
            words = f"{label} with its {report.thresholds.level:.0%} interval"
            picture = forest(report, table, name, words, statuses, threshold)
            parts.append(f"<details><summary>Forest plot: {escape(words)}</summary>{picture}</details>")
    return "\n".join(parts)


def _families(report: Report, table: Table) -> str:
    rows = [(family or "family not given", count, rank, "refused" if agreed is None else agreed)
            for family, count, rank, agreed in by_family(report, table)]  # fmt: skip
    return table_html(["Family", "features", "preserved in rank", "in agreement"], rows)


def _features(report: Report, table: Table) -> str:
    header = ["Feature", "family", "rank", "n", "rho", "interval", "q", "cluster", "out of range"]
    agreed = table.agreement is not None
    if agreed:
        header[3:3] = ["agreement"]
        header += ["ICC(A,1)", "interval", "ICC(C,1)", "interval", "CCC", "interval", "bias", "limits of agreement"]
    rows = [_feature(report, table, place, agreed) for place in range(len(table.joined.features))]
    return (
        f"<details><summary>All {len(rows)} features</summary>{table_html(header, rows, 4 if agreed else 3)}</details>"
    )


def _feature(report: Report, table: Table, place: int, agreed: bool) -> list[Any]:
    key = table.joined.features[place]
    name, _, family, aggregation, unit = report.features[key]

    def of(column: str) -> float:
        return float(table.column(column)[place])

    def ends(column: str) -> str:
        return interval(of(f"{column}_low"), of(f"{column}_high"))

    shown = f"{name} ({aggregation})" if aggregation else name
    row: list[Any] = [shown, family, (table.rank[place], table.rank[place]), f"{of('n'):.0f}", number(of("rho")),
                      ends("rho"), number(of("q")), int(table.cluster[place]) or "–",
                      f"{of('out_of_range'):.0f}"]  # fmt: skip
    if agreed and table.agreement is not None:
        row[3:3] = [(table.agreement[place], table.agreement[place])]
        for column in ("icc_a_1", "icc_c_1", "ccc"):
            row += [number(of(column)), ends(column)]
        row += [f"{number(of('bias'))} {unit}".strip(), interval(of("limit_low"), of("limit_high"))]
    return row


def _excluded(report: Report) -> str:
    parts = ["<h2>What was left out</h2>"]
    regions = [one for one in report.excluded if not one.feature]
    values = Counter((one.relation, one.feature) for one in report.excluded if one.feature)
    if not report.excluded:
        return parts[0] + "<p>Nothing: every region and every value was used.</p>"
    if regions:
        rows = [[one.relation, one.patient, one.roi, one.side, one.reason] for one in regions[:_LISTED]]
        parts.append(table_html(["relation", "patient", "roi", "side", "why"], rows, 5))
    if values:
        listed = values.most_common(_LISTED)
        parts.append("<p>Values that are not defined, by feature:</p>")
        parts.append(table_html(["relation", "feature", "values"], [[*key, count] for key, count in listed], 2))
    parts.append(f"<p class='note'>All {len(report.excluded)} are in excluded.csv.</p>")
    return "\n".join(parts)
