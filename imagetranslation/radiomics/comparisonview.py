"""What every face shows of a comparison: columns, cells, order, filters, text to copy. numpy at most, no widgets.

The points of its pictures are in `comparisonplots`. The command's page, the Slicer panel and the browser call these
functions, so that a number reads the same everywhere; fonts, tables and clicks are theirs.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import write_text
from .comparison import COLUMNS, ROLES, Comparison, Row, as_dict, plain_row
from .extraction import check_table
from .names import MORPHOLOGY

ALL, FLAGGED, UNFLAGGED = "", "flagged", "unflagged"
# Columns a table may be sorted by, in the order in which they stand.
FEATURE, FAMILY, DIFFERENCE, PERCENT, FLAG = "feature", "family", "difference", "percent", "flag"
NOT_DEFINED = "–"
# Significant digits shown, and how many more where it takes them to see two values differ.
DIGITS, MOST_DIGITS = 4, 7


@dataclass(frozen=True)
class Column:
    """id: what to sort by. title: its heading. meaning: a sentence for a tool tip. numeric: to be aligned right."""

    id: str
    title: str
    meaning: str
    numeric: bool


@dataclass(frozen=True)
class Selection:
    """Which rows are shown, and in which order.

    sort: a column's id, "" for the engine's own order. descending: largest first; NaN stands last either way.
    family: one of `families`, "" for all. flag: ALL, FLAGGED, UNFLAGGED, or one of the sentences of `flags`. text:
    words which must all be in a row's name, family, unit, IBSI code or engine's name, whatever their case.
    """

    sort: str = ""
    descending: bool = False
    family: str = ALL
    flag: str = ALL
    text: str = ""


def roles(found: Comparison) -> list[str]:
    """The images there are, in their order: source, synthetic, and maybe reference."""
    return [role for role in ROLES if role in found.results]


def has_cohort(found: Comparison) -> bool:
    """Whether any row is measured in the SD of a cohort."""
    return any(math.isfinite(row.percent) for row in found.rows)


def columns(found: Comparison) -> list[Column]:
    """The columns of the table: the images there are; the cohort's only where one was loaded."""
    images = [Column(role, role, f"{image_text(found, role)}.", True) for role in roles(found)]
    cohort = Column(PERCENT, "% of cohort SD", "Difference in SDs of the cohort's real targets, times 100.", True)
    return [
        Column(FEATURE, "Feature", "IBSI's name, where the standard has one.", False),
        *images,
        Column(DIFFERENCE, f"synthetic - {found.against}", f"Synthetic minus {found.against}.", True),
        *([cohort] if has_cohort(found) else []),
        Column(FLAG, "Flag", "What to look at.", False),
        Column(FAMILY, "Class", "The family of features that IBSI puts it in.", False),
    ]


def families(found: Comparison) -> list[str]:
    """The classes to filter by, in the engine's order."""
    return list(dict.fromkeys(row.family for row in found.rows))


def flags(found: Comparison) -> list[str]:
    """The sentences of the flags that were raised, in the rows' order."""
    return list(dict.fromkeys(row.flag for row in found.rows if row.flag))


def shown(found: Comparison, selection: Selection) -> list[Row]:
    """The rows that pass the filters, in order; equal values keep the engine's order. KeyError: no such column."""
    kept = [row for row in found.rows if _passes(row, selection)]
    if not selection.sort:
        return kept[::-1] if selection.descending else kept
    values = {row.key: _value(row, selection.sort) for row in kept}
    defined = [row for row in kept if not _undefined(values[row.key])]
    undefined = [row for row in kept if _undefined(values[row.key])]
    defined.sort(key=lambda row: values[row.key], reverse=selection.descending)
    return defined + undefined


def _passes(row: Row, selection: Selection) -> bool:
    if selection.family and row.family != selection.family:
        return False
    if selection.flag == FLAGGED and not row.flag:
        return False
    if selection.flag == UNFLAGGED and row.flag:
        return False
    if selection.flag not in (ALL, FLAGGED, UNFLAGGED) and row.flag != selection.flag:
        return False
    held = f"{name_text(row)} {row.family} {row.unit} {row.ibsi} {row.key}".casefold()
    return all(word in held for word in selection.text.casefold().split())


def _value(row: Row, column: str) -> float | str:
    if column in row.values or column in ROLES:
        return row.values.get(column, math.nan)
    if column == DIFFERENCE:
        return row.difference
    if column == PERCENT:
        return row.percent
    return {FEATURE: name_text(row).casefold(), FAMILY: row.family.casefold(), FLAG: row.flag}[column]


def _undefined(value: float | str) -> bool:
    """NaN, and the flag that a row does not have."""
    return value == "" if isinstance(value, str) else not math.isfinite(value)


def name_text(row: Row) -> str:
    """A feature's name with what tells it from its twins: aggregation, the filter of its image."""
    kind = "" if row.image_type == "original" else f" [{row.image_type}]"
    return row.name + (f" ({row.aggregation})" if row.aggregation else "") + kind


def about_text(row: Row) -> str:
    """One line on a feature for a tool tip: engine's name, IBSI's code, unit."""
    parts = [row.key, f"IBSI {row.ibsi}" if row.ibsi else "not in the IBSI standard"]
    return ", ".join([*parts, row.unit] if row.unit else parts)


def number_text(value: float, digits: int = DIGITS) -> str:
    """`digits` significant digits, and all before the point; powers of ten from 1e6 and below 1e-3; a dash for NaN."""
    if not math.isfinite(value):
        return NOT_DEFINED
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if not -3 <= power < 6:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - power)}f}"


def cells(found: Comparison, row: Row) -> list[str]:
    """The row's text, one for each of `columns`. Its values share digits enough to see that two of them differ."""
    values = [row.values.get(role, math.nan) for role in roles(found)]
    digits = _digits([*values], row.difference)
    percent = [f"{row.percent:.0f}" if math.isfinite(row.percent) else NOT_DEFINED] if has_cohort(found) else []
    numbers = [number_text(value, digits) for value in values]
    return [name_text(row), *numbers, number_text(row.difference), *percent, row.flag, row.family]


def _digits(values: Sequence[float], difference: float) -> int:
    finite = [abs(value) for value in values if math.isfinite(value)]
    if not finite or not math.isfinite(difference) or difference == 0:
        return DIGITS
    needed = math.floor(math.log10(max(*finite, abs(difference)) / abs(difference))) + 2
    return min(MOST_DIGITS, max(DIGITS, needed))


def clipboard_text(found: Comparison, rows: Iterable[Row]) -> str:
    """Tab separated, with headings and all digits, for a spreadsheet; the first line says what the images are."""
    headings = [column.title for column in columns(found)]
    lines = [" | ".join(image_text(found, role) for role in roles(found)), "\t".join(headings)]
    for row in rows:
        numbers = [*(row.values.get(role, math.nan) for role in roles(found)), row.difference]
        numbers += [row.percent] if has_cohort(found) else []
        texts = [repr(float(value)) if math.isfinite(value) else "" for value in numbers]
        lines.append("\t".join([name_text(row), *texts, row.flag, row.family]))
    return "\n".join(lines) + "\n"


def csv_text(found: Comparison, rows: Iterable[Row]) -> str:
    """One row a feature with `comparison.COLUMNS`, every digit; empty where a number is not defined."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain_row(found, row) for row in rows)
    return text.getvalue()


def write_table(found: Comparison, rows: Iterable[Row], path: str | Path) -> Path:
    """These rows as a CSV, and beside it a JSON of the whole comparison with all settings; returns the CSV's path.

    Raises InputError where the name does not end in .csv, RunFailed where it cannot be written.
    """
    target = check_table(path)
    write_text(target, csv_text(found, rows))
    write_text(target.with_suffix(".json"), json.dumps(as_dict(found), indent=1, allow_nan=False) + "\n")
    return target


def image_text(found: Comparison, role: str) -> str:
    """An image's role, name and modality, and the mark of a synthetic one."""
    image = found.images[role]
    mark = f" [{image['mark']}]" if image["mark"] else ""
    modality = "" if image["modality"] in image["name"].split() else image["modality"]
    return f"{role}: {image['name']} {modality}".rstrip() + mark


def status_text(found: Comparison) -> str:
    """How the numbers were made: region, features, engine and where it ran, hashes of settings and region."""
    first, roi = found.results[roles(found)[0]], found.roi
    return (
        f"{roi['name']}: {roi['voxels']} voxels, {number_text(roi['volume_mm3'])} mm³; {len(found.rows)} features by "
        f"{first.engine} {first.engine_version} in {first.isolation}; settings {first.settings['sha256'][:12]}, "
        f"region {roi['sha256'][:12]}."
    )


def notes(found: Comparison) -> list[str]:
    """All sentences a reader should see: of the region, the comparison, missing features, each image's warnings."""
    first = found.results[roles(found)[0]]
    said = [*found.roi["notes"], *found.notes, *first.missing]
    said += [f"{role}: {sentence}" for role in roles(found) for sentence in found.results[role].warnings]
    return list(dict.fromkeys(said))


def comparable(rows: Iterable[Row]) -> list[Row]:
    """Without shape, which is one region's and therefore the same in all images."""
    return [row for row in rows if row.family != MORPHOLOGY]
