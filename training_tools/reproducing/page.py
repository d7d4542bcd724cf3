"""The page of a study: banner, data, results in the paper's order, differences of protocol, steps. Needs nothing else.

A result that no patient stands behind has the words "simulated, not comparable" in its heading and in every table.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape

from imagetranslation.radiomics.preservation.page import document, table_html

from ..benchmarking.pictures import ROW_STYLE, row_html
from .published import published
from .report import PARTLY, SIMULATED, Report, Section, record
from .running import minutes
from .stamps import Stamp
from .tables import PUBLISHED, Table

STYLE = (
    "<style>body{max-width:1300px}.published{color:#8a3b00;font-weight:600;white-space:nowrap}caption{text-align:left;font-weight:600}"
    f"{ROW_STYLE}"
    ".scroll{max-height:none}.simulated{background:#fdf3ec}td{white-space:normal}</style>"
)


def page(report: Report) -> str:
    """All of it."""
    known = published(report.choices.task)
    title = f"{known['study']}: the study reproduced"
    parts = [STYLE, f"<h1>{escape(title)}</h1>", _banner(report), *_data(report)]
    for number, section in enumerate(report.sections, 1):
        parts += _section(report, section, number)
    parts += ["<h2>Differences of protocol</h2>", _differences(report)]
    parts += ["<h2>Steps</h2>", _steps(report), "<h2>Settings</h2>", _settings(report)]
    return document(title, parts)


def _banner(report: Report) -> str:
    known = published(report.choices.task)
    lines = [f"<p>Published: {escape(known['citation'])}.</p>"]
    if report.simulated:
        words = (
            "Every image comes from a simulator. What stands under this heading shows that the analysis runs and what "
            "it does where the truth is set; it says nothing about patients and must not be held against the published "
            "numbers, which stand beside it for orientation alone."
        )
        lines.append(f"<p class='headline none'><b>{SIMULATED.capitalize()}.</b> {escape(words)}</p>")
    if report.in_part:
        lines.append(f"<p class='headline none'><b>{PARTLY.capitalize()}.</b> {escape(report.in_part)}</p>")
    if report.choices.quick:
        lines.append(
            "<p class='headline none'>Made with --quick: few patients, seconds of training. It shows that everything "
            "runs; it is no study.</p>"
        )
    return "".join([*lines, "<p class='note'>Synthetic images are made by models; nothing here is for diagnosis.</p>"])


def _data(report: Report) -> Iterable[str]:
    about = report.about
    told = published(report.choices.task)["patients"]["value"]
    rows: list[tuple[object, ...]] = [
        ("Whence", "", about["whence"]), ("Patients", (told, "published"), about["patients"]),
        ("Cases", "", about["cases"]), ("SHA-256 over all prepared files", "", about["sha256_of_all_files"]),
    ]  # fmt: skip
    for fact in ("labels", "groups"):
        if about.get(fact):
            rows.append((f"Patients by {fact[:-1]}", "", "; ".join(f"{kind}: {n}" for kind, n in about[fact].items())))
    yield f"<h2>The data{_mark(report)}</h2>"
    yield table_html(("", PUBLISHED, "Here"), rows, 3)


def _section(report: Report, section: Section, number: int) -> Iterable[str]:
    beyond = " (beyond the published study)" if section.beyond else ""
    yield f"<h2>{number}. {escape(section.title)}{beyond}{_mark(report)}</h2><p>{escape(section.words)}</p>"
    for table in section.tables:
        yield _table(report, table)
    for case, pictures in section.pictures:
        words = "The slice with most lesion, where one is known, of the first tested case by name."
        yield f"<h3>{escape(case)}{_mark(report)}</h3><p class='note'>{words}</p>{row_html(case, pictures)}"
    if section.svg:
        yield f"<figure>{section.svg}</figure>"
    links = " · ".join(f"<a href='{escape(path, quote=True)}'>{escape(words)}</a>" for words, path in section.pages)
    if links:
        yield f"<p>Pages of the steps: {links}</p>"


def _table(report: Report, table: Table) -> str:
    columns = [PUBLISHED in name for name in table.header]
    rows = [
        [(cell, "published") if mine and cell else ("" if cell is None else cell) for cell, mine in zip(row, columns)]
        for row in table.rows
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return (
        f"<h3>{escape(table.title)}{_mark(report)}</h3>{table_html(table.header, rows, table.words)}"
        f"<ul class='note'>{notes}<li>The same as <a href='{table.name}.csv'>{table.name}.csv</a>.</li></ul>"
        f"{_left(table)}"
    )


def _left(table: Table) -> str:
    if not table.left:
        return ""
    told = "".join(f"<li>{escape(sentence)}</li>" for sentence in table.left)
    return f"<details open><summary>Left out, refused or noted: {len(table.left)}</summary><ul>{told}</ul></details>"


def _differences(report: Report) -> str:
    return table_html(("Point", PUBLISHED, "Here"), [list(row) for row in report.differences], 3)


def _steps(report: Report) -> str:
    rows = [
        (title, "left out" if stamp.left_out else _took(stamp), stamp.left_out or stamp.digest[:16])
        for title, stamp in report.steps
    ]
    return table_html(("Step", "Took", "SHA-256 over its files, or why it was left out"), rows, 3)


def _took(stamp: Stamp) -> str:
    more = f" in {stamp.runs} runs (without those that were killed)" if stamp.runs > 1 else ""
    return f"{minutes(stamp.seconds)}{more}"


def _settings(report: Report) -> str:
    told = record(report)
    shown = {key: told[key] for key in ("begun_with", "software", "machine")}
    return f"<details><summary>All</summary><pre class='scroll'>{escape(json.dumps(shown, indent=1))}</pre></details>"


def _mark(report: Report) -> str:
    return f" ({report.mark})" if report.mark else ""
