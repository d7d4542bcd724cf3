"""The report as one HTML page that needs nothing else: no network, no script, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Optional

from .blocks import Block, Figure, Section, Table, Text
from .report import Report

# Nothing may be fetched or run, whatever a text in the page should look like.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_MARKS = {"primary": "Primary endpoint", "secondary": "Secondary", "exploratory": "Exploratory"}
_STYLE = """
:root{--ink:#1a1a1a;--faint:#5c5c5c;--line:#c9c9c9;--paper:#fff;--wash:#f5f5f3}
*{box-sizing:border-box}
body{margin:0;background:var(--wash);color:var(--ink);font:15px/1.5 Georgia,'Liberation Serif','Times New Roman',serif}
main{max-width:54rem;margin:1.5rem auto;padding:2.2rem 2.6rem 3rem;background:var(--paper);
 box-shadow:0 0 0 1px #e2e2df,0 2px 10px rgba(0,0,0,.05)}
h1,h2,h3,nav,table,figcaption,summary,.mark,.alarm,.lead,footer,.under-table{
 font-family:Helvetica,Arial,'Liberation Sans',sans-serif}
h1{font-size:1.65rem;line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.2rem;line-height:1.3;margin:2.6rem 0 .6rem;padding-top:.9rem;border-top:2px solid var(--ink)}
.under{color:var(--faint);margin:.1rem 0;font-size:.86rem;overflow-wrap:anywhere}
.mark{display:inline-block;font-size:.68rem;font-weight:700;letter-spacing:.05em;text-transform:uppercase;
 padding:.14rem .5rem;margin-right:.55rem;border-radius:2px;vertical-align:.16em;border:1px solid var(--ink)}
.mark.primary{background:var(--ink);color:#fff}
.mark.exploratory{border-style:dashed;color:var(--faint);border-color:var(--faint)}
.alarm{border:2px solid #b3261e;background:#fdf1f0;padding:.7rem 1rem;margin:1rem 0;font-size:.92rem}
.alarm p{margin:.25rem 0}
p{margin:.6rem 0}
.note{color:var(--faint);font-size:.88rem}
.refused{font-size:.88rem;border-left:3px solid #b36b00;padding:.1rem 0 .1rem .7rem;color:#5a3600}
.lead{font-size:.95rem;font-weight:600;margin:1.6rem 0 .2rem}
.scroll{overflow-x:auto;margin:.9rem 0 1.2rem}
table{border-collapse:collapse;font-size:.82rem;line-height:1.35;min-width:60%;border-bottom:1.5px solid var(--ink)}
caption{caption-side:top;text-align:left;padding:0 0 .35rem;font-size:.86rem}
th{font-weight:600;text-align:right;vertical-align:bottom;padding:.3rem .7rem .3rem 0;
 border-top:1.5px solid var(--ink);border-bottom:1px solid var(--ink)}
td{text-align:right;vertical-align:top;padding:.22rem .7rem .22rem 0;font-variant-numeric:tabular-nums;
 overflow-wrap:anywhere;min-width:2.6rem}
th.words,td.words{text-align:left;white-space:pre-line}
th{white-space:pre-line}
td{white-space:nowrap}
td .sub{display:block;color:var(--faint);font-size:.76rem}
tbody tr+tr td{border-top:1px solid #ececea}
.under-table{font-size:.78rem;color:var(--faint);margin:.35rem 0 0;max-width:48rem}
figure{margin:1.1rem 0 1.4rem}
figure svg{display:block;height:auto}
figcaption{font-size:.82rem;line-height:1.42;margin-top:.5rem;max-width:48rem}
figcaption b,caption b{font-weight:700}
details{margin:.6rem 0 1rem}
summary{cursor:pointer;font-size:.86rem;color:#003f75}
nav ol{columns:2;font-size:.84rem;padding-left:1.3rem;margin:.6rem 0}
nav a{color:#003f75;text-decoration:none}
footer{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:.6rem;font-size:.78rem;color:var(--faint)}
@media(max-width:640px){main{padding:1.2rem 1rem}nav ol{columns:1}}
@media print{body{background:#fff}main{box-shadow:none;max-width:none;margin:0;padding:0}figure,tr{break-inside:avoid}}
"""


class _Counter:
    """Numbers of tables and figures; what is folded away has none, so that none is missing on the page."""

    def __init__(self) -> None:
        self._last = {"Table": 0, "Figure": 0}

    def next(self, kind: str) -> str:
        self._last[kind] += 1
        return f"{kind} {self._last[kind]}"


def page(report: Report) -> str:
    """The whole page."""
    counter = _Counter()
    body = [f"<h1>{escape(report.title)}</h1>", *(f'<p class="under">{escape(line)}</p>' for line in report.lead)]
    if report.alarms:
        lines = "".join(f"<p>{escape(line)}</p>" for line in report.alarms)
        body.append(f'<div class="alarm" role="alert">{lines}</div>')
    body.append(_contents(report.sections))
    for number, section in enumerate(report.sections, 1):
        body += _section(section, number, counter)
    told = report.facts["versions"]
    body.append(
        f"<footer>imagetranslation {escape(told['imagetranslation'])}, {escape(report.facts['made_utc'])}. Synthetic "
        "images and this report are for research, not for diagnosis.</footer>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def _contents(sections: Sequence[Section]) -> str:
    lines = []
    for number, section in enumerate(sections, 1):
        role = f" ({_MARKS[section.role].lower()})" if section.role else ""
        lines.append(f'<li><a href="#s{number}">{escape(section.title)}</a>{escape(role)}</li>')
    return f"<nav><ol>{''.join(lines)}</ol></nav>"


def _section(section: Section, number: int, counter: _Counter) -> Iterable[str]:
    mark = f'<span class="mark {section.role}">{_MARKS[section.role]}</span>' if section.role else ""
    title = section.title
    yield f'<h2 id="s{number}">{mark}{number}. {escape(title)}</h2>'
    for block in section.blocks:
        yield _block(block, counter)


def _block(block: Block, counter: Optional[_Counter]) -> str:
    if isinstance(block, Text):
        tone = f' class="{escape(block.tone)}"' if block.tone else ""
        return f"<p{tone}>{escape(block.text)}</p>"
    if isinstance(block, Table):
        return _table(block, counter)
    if isinstance(block, Figure):
        caption = f"{_numbered('Figure', counter)}{escape(block.caption)}"
        return f"<figure>{block.svg}<figcaption>{caption}</figcaption></figure>"
    inner = "".join(_block(one, None) for one in block.blocks)
    return f"<details><summary>{escape(block.summary)}</summary>{inner}</details>"


def _numbered(kind: str, counter: Optional[_Counter]) -> str:
    return "" if counter is None else f"<b>{counter.next(kind)}.</b> "


def _table(block: Table, counter: Optional[_Counter]) -> str:
    words = [name in block.words for name in block.columns]
    head = "".join(_cell("th", name, left) for name, left in zip(block.columns, words))
    rows = "".join(f"<tr>{''.join(_cell('td', c, left) for c, left in zip(row, words))}</tr>" for row in block.rows)
    note = f'<p class="under-table">{escape(block.note)}</p>' if block.note else ""
    caption = f"<caption>{_numbered('Table', counter)}{escape(block.title)}</caption>"
    return (
        f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}</div>'
    )


def _cell(kind: str, text: str, left: bool) -> str:
    """A cell; the second line of a number is its interval, printed smaller."""
    first, below, rest = text.partition("\n")
    if kind == "td" and below and not left:
        return f'<td>{escape(first)}<span class="sub">{escape(rest)}</span></td>'
    where = ' class="words"' if left else ""
    return f"<{kind}{where}>{escape(text)}</{kind}>"
