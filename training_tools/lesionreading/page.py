"""Cells, lists and galleries that the pages of all lesion readings share; the style is the radiomics report's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

MOST_DRAWN = 40  # pictures of a kind on a page; the tables hold all
STYLE = (
    "<style>td{white-space:nowrap}.gallery{display:flex;flex-wrap:wrap;gap:14px}.gallery figure{margin:0;width:404px}"
    ".gallery img{display:block;width:404px}.gallery figcaption{font-size:12px;line-height:1.3;margin-top:3px}</style>"
)


@dataclass(frozen=True)
class Failure:
    """A missed lesion or an invented place. weight: by which the worst come first. picture: address of a PNG."""

    kind: str
    case: str
    group: str
    reader: str
    text: str
    weight: float
    picture: str


def percent(row: Mapping[str, Any]) -> str:
    """A share as a percentage, or a dash."""
    return f"{row['value']:.1%}" if row.get("value") is not None else "–"


def plain(row: Mapping[str, Any]) -> str:
    """A mean with two digits, or a dash."""
    return f"{row['value']:.2f}" if row.get("value") is not None else "–"


def percent_interval(interval: Mapping[str, Any]) -> str:
    """ "12 to 34%", or "refused"; with a star where `doubts` has more to say of it."""
    if interval.get("low") is None:
        return "refused"
    return f"{100 * interval['low']:.0f} to {100 * interval['high']:.0f}%{star(interval)}"


def rate_interval(row: Mapping[str, Any]) -> str:
    """The interval by patients of a mean, or "refused"."""
    interval = row.get("by_patient", {})
    if interval.get("low") is None:
        return "refused" if row.get("n") else ""
    return f"{interval['low']:.2f} to {interval['high']:.2f}{star(interval)}"


def star(interval: Mapping[str, Any]) -> str:
    """A star where an interval says more of itself than its ends."""
    return " *" if interval.get("notes") else ""


def doubts(rows: Any) -> str:
    """The note below a table of these rows; nothing without a star."""
    return f"<p class='note'>{escape(told)}</p>" if (told := starred(rows)) else ""


def starred(rows: Any) -> str:
    """What the starred intervals of these rows, as JSON holds them, say of themselves; "" without a star."""
    told = list(dict.fromkeys(_notes(rows)))
    return f"* {'; '.join(told)}." if told else ""


def _notes(part: Any) -> Iterator[str]:
    """Every note of an interval that has ends, wherever it stands."""
    if isinstance(part, Mapping):
        if part.get("low") is not None:
            yield from map(str, part.get("notes", ()))
        for value in part.values():
            yield from _notes(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _notes(value)


def interval_cells(row: Mapping[str, Any]) -> list[str]:
    """Wilson's, Clopper and Pearson's and the bootstrap's interval of a share."""
    return [percent_interval(row[name]) if row.get("n") else "" for name in ("wilson", "clopper_pearson", "by_patient")]


def items(sentences: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def gallery(kind: str, failures: Sequence[Failure]) -> str:
    """Pictures of failures, the worst first."""
    if not failures:
        return f"<p>None was {escape(kind)}.</p>"
    worst = sorted(failures, key=lambda one: (-one.weight, one.case))
    made = []
    for one in worst[:MOST_DRAWN]:
        who = "" if one.reader == "rule" else f" ({one.reader})"
        words = f"{one.case}, {one.group}{who}: {one.text}"
        made.append(
            f"<figure><img src='{one.picture}' alt='{escape(words, quote=True)}'>"
            f"<figcaption>{escape(words)}</figcaption></figure>"
        )
    more = f" The {MOST_DRAWN} clearest are drawn; the tables hold all." if len(worst) > MOST_DRAWN else ""
    told = f"<p class='note'>{len(worst)} in all, each ringed in every image.{escape(more)}</p>"
    return f"{told}<div class='gallery'>{''.join(made)}</div>"
