"""Pairs named by a table: one row a case, with paths, patient and whatever else is known of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from imagetranslation.errors import InputError

from ..pairs import SIDES, PairFiles
from .tables import read_table

KNOWN = (
    "patient", "case", "source", "target", "source_label", "target_label", "lesion", "lesions_on", "source_view",
    "target_view",
)  # fmt: skip


def list_table(path: Path) -> list[PairFiles]:
    """A case a row. Columns: source and target, and case or patient; the others of `KNOWN` as they are needed.

    Paths are relative to the table's folder; several lesions are separated by semicolons. Any other column is a fact
    of the case (site, scanner, label). Raises InputError naming the row where something is missing or there twice.
    """
    rows = read_table(path)
    if not rows:
        raise InputError(f"The table {path} has a header and no row.")
    missing = [name for name in ("source", "target") if name not in rows[0]]
    if missing or not {"case", "patient"} & set(rows[0]):
        raise InputError(
            f"The table {path} needs the columns source and target, and case or patient; it has {', '.join(rows[0])}."
        )
    pairs = [_pair(row, f"Row {number} of {path}", path.parent) for number, row in enumerate(rows, 2)]
    if twice := [case for case, count in Counter(pair.case for pair in pairs).items() if count > 1]:
        raise InputError(
            f"The table {path} has the case {twice[0]} in {Counter(p.case for p in pairs)[twice[0]]} rows; give every "
            "row a name of its own in the column case (the patient may be the same)."
        )
    return pairs


def _pair(row: dict[str, str], where: str, folder: Path) -> PairFiles:
    def file(name: str, text: str) -> Path:
        found = folder / text
        if not found.exists():
            raise InputError(f"{where}: its {name} {text} does not exist; paths are relative to {folder}.")
        return found

    for name in ("source", "target"):
        if not row[name]:
            raise InputError(f"{where} names no {name}.")
    case = row.get("case") or row.get("patient")
    if not case:
        raise InputError(f"{where} names neither case nor patient.")
    label = {name: file(name, row[name]) if row.get(name) else None for name in ("source_label", "target_label")}
    if (label["source_label"] is None) != (label["target_label"] is None):
        raise InputError(f"{where} has a label on one side only; give both, or none.")
    side = row.get("lesions_on") or "source"
    if side not in SIDES:
        raise InputError(f"{where}: lesions_on is source or target, not {side!r}.")
    return PairFiles(
        case=case,
        source=file("source", row["source"]),
        target=file("target", row["target"]),
        source_label=label["source_label"],
        target_label=label["target_label"],
        lesions=tuple(file("lesion", part.strip()) for part in row.get("lesion", "").split(";") if part.strip()),
        lesions_on=side,
        patient=row.get("patient", ""),
        facts={name: value for name, value in row.items() if name not in KNOWN and value},
        source_view=row.get("source_view") or None,
        target_view=row.get("target_view") or None,
    )
