"""A table of pairs: which two images are compared under which region, and as what. Nothing is computed here."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ...files import write_text
from ...readerstudy.statistics.csvtables import read_rows
from .definitions import GIVEN

REQUIRED = ("patient", "roi", "a_image", "b_image", "mask", "relation")
OPTIONAL = ("label", "tissue")


@dataclass(frozen=True)
class Pair:
    """One row. a_image, b_image: files, "" where there is none. relation: "synthetic-target" has the synthetic image as
    a and the target as b, and so on. label: of the region in the mask, "" where it holds one. tissue: labelmap for
    normalisation, or "".
    """

    patient: str
    roi: str
    a_image: str
    b_image: str
    mask: str
    relation: str
    label: str = ""
    tissue: str = ""

    def image(self, side: str) -> str:
        """The file of side "a" or "b"."""
        return self.a_image if side == "a" else self.b_image


def read_pairs(path: str | Path) -> list[Pair]:
    """The rows of a table of pairs, paths taken from its folder; InputError with one sentence that names the row."""
    path = Path(path)
    rows = read_rows(path)
    if not rows:
        raise InputError(f"{path} is empty; a table of pairs has the columns {', '.join(REQUIRED)}.")
    header = [cell.lower() for cell in rows[0][1]]
    if absent := [name for name in REQUIRED if name not in header]:
        raise InputError(
            f"{path.name} lacks the column {absent[0]}; a table of pairs has {', '.join(REQUIRED)}, and may have "
            f"{' and '.join(OPTIONAL)}."
        )
    if twice := [name for name in (*REQUIRED, *OPTIONAL) if header.count(name) > 1]:
        raise InputError(f"{path.name} has the column {twice[0]} more than once.")
    pairs: list[Pair] = []
    seen: dict[tuple[str, str, str], int] = {}
    for line, cells in rows[1:]:
        pair = _pair(dict(zip(header, cells)), path, line)
        earlier = seen.setdefault((pair.relation, pair.patient, pair.roi), line)
        if earlier != line:
            raise InputError(
                f"{path.name}, row {line}: patient {pair.patient}, roi {pair.roi} as {pair.relation} stands in row "
                f"{earlier} already; give the second region another name."
            )
        pairs.append(pair)
    if not pairs:
        raise InputError(f"{path.name} has a header and no rows.")
    return pairs


def _pair(row: dict[str, str], path: Path, line: int) -> Pair:
    where = f"{path.name}, row {line}"
    for name in ("patient", "roi", "mask"):
        if not row.get(name):
            raise InputError(f"{where}: the {name} is empty.")
    if row.get("relation") not in GIVEN:
        raise InputError(
            f"{where}: the relation is {row.get('relation', '')[:40]!r}; one of {', '.join(GIVEN)} was expected."
        )
    for name in ("a_image", "b_image", "mask", "tissue"):
        if row.get(name):
            file = path.parent / row[name]
            if not file.exists():
                raise InputError(f"{where}: {file} ({name}) is not there.")
            row[name] = str(file)
    if row.get("a_image") and row["a_image"] == row.get("b_image", ""):
        raise InputError(f"{where}: a_image and b_image are the same file; an image always agrees with itself.")
    return Pair(**{name: row.get(name, "") for name in (*REQUIRED, *OPTIONAL)})


def write_pairs(pairs: Sequence[Pair], path: str | Path) -> Path:
    """A table of pairs that `read_pairs` reads, with absolute paths; returns its path."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    names = (*REQUIRED, *OPTIONAL)
    writer.writerow(names)
    writer.writerows([getattr(pair, name) for name in names] for pair in pairs)
    return write_text(path, text.getvalue())
