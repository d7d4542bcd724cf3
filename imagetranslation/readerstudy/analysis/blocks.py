"""What a report is made of: sections of text, tables and figures, and beside them tidy records for CSV and JSON.

How they look is left to `page`; what is in them to the files of the analyses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from ..statistics.comparisons import TestResult
from ..statistics.estimates import Estimate, Interval

PRIMARY, SECONDARY, EXPLORATORY, NONE = "primary", "secondary", "exploratory", ""


@dataclass(frozen=True)
class Text:
    """A paragraph. tone: "", "note" (small), "refused" or "alarm"."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """Cells are text; columns whose name is in `words` stand to the left, all others to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Figure:
    """svg: a whole <svg> element, made by `figures`. name: of its file."""

    name: str
    svg: str
    caption: str


@dataclass(frozen=True)
class More:
    """Blocks that are folded away under a line of text."""

    summary: str
    blocks: Sequence[Block]


Block = Union[Text, Table, Figure, More]


@dataclass
class Section:
    """Part of the report. role: PRIMARY, SECONDARY, EXPLORATORY or NONE, shown as a mark beside the title."""

    title: str
    role: str = NONE
    blocks: list[Block] = field(default_factory=list)
    level: int = 2


@dataclass
class Records:
    """Tidy rows by table ("estimates", "tests", ...), in the order in which they were found."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, table: str, **row: Any) -> None:
        """One more observation."""
        self.tables.setdefault(table, []).append(row)

    def estimate(self, one: Estimate, role: str, question: str, subset: str, about: str = "") -> None:
        """One row for each interval of an estimate; one row in all where it has none."""
        common = {
            "role": role,
            "question": question,
            "subset": subset,
            "about": about,
            "key": one.key,
            "label": one.label,
            "value": one.value,
        }
        counts = {f"n_{name}": count for name, count in one.n.items() if name in _COUNTS}
        for interval in one.intervals or (Interval("none"),):
            self.add(
                "estimates",
                **common,
                low=interval.low,
                high=interval.high,
                level=interval.level,
                interval=interval.method,
                **{name: counts.get(name) for name in (f"n_{c}" for c in _COUNTS)},
                refused=one.refused or interval.refused or "",
                method=one.method,
                source=one.source,
            )

    def test(self, one: TestResult, role: str, question: str, family: int) -> None:
        """One row for a test. family: number of tests in its Holm family."""
        self.add(
            "tests",
            role=role,
            question=question,
            label=one.label,
            statistic=one.statistic,
            value=one.value,
            p=one.p,
            smallest_p=one.smallest_p,
            holm_p=one.holm_p,
            tests_in_family=family,
            n="; ".join(f"{name} {count}" for name, count in one.n.items()),
            effect="; ".join(f"{name} {value:.6g}" for name, value in one.effect.items()),
            refused=one.refused or "",
            method=one.method,
            source=one.source,
        )


_COUNTS = ("patients", "cases", "raters", "readers", "ratings", "answers")


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign, and none before a zero; "" for None."""
    if value is None:
        return ""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "\u2212")


def p_text(value: float | None) -> str:
    """A p-value as papers print it."""
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def interval_text(one: Interval | None, digits: int = 2) -> str:
    """ "0.12 to 0.34", or "refused"."""
    if one is None:
        return ""
    if one.refused or one.low is None or one.high is None:
        return "refused"
    return f"{number(one.low, digits)} to {number(one.high, digits)}"


def reasons(estimates: Sequence[Estimate], shown: slice = slice(None)) -> list[str]:
    """Why values or intervals are refused, each reason once, with what it is about. shown: which of the intervals."""
    said: dict[str, list[str]] = {}
    for one in estimates:
        if one.refused:
            said.setdefault(one.refused, []).append(one.label)
        for interval in one.intervals[shown]:
            if interval.refused:
                said.setdefault(interval.refused, []).append(f"{one.label} ({interval.method.split(',')[0]})")
    return [f"Refused: {_listed(about)}: {reason}." for reason, about in said.items()]


def _listed(names: Sequence[str]) -> str:
    kept = list(dict.fromkeys(names))
    return ", ".join(kept) if len(kept) <= 4 else f"{', '.join(kept[:3])} and {len(kept) - 3} more"
