"""What every task of the lesion reading hands to the command, and how it comes to the disk. What is read is its own.

A folder holds `lesions.csv` (one row a lesion), `images.csv` (one row an image), `marks.csv` (one row a place that the
detector or a reader marked), `lesions.json` (settings, versions, results) and `lesions.html`, and appears whole or not
at all.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError
from imagetranslation.files import atomic_folder, make_folder, write_text
from imagetranslation.radiomics.preservation.page import document

from ..evaluating.writing import write_rows

FOUND, MISSED, INVENTED, CLEAR = "found", "missed", "invented", "clear"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """lesions, images, marks: rows of the tables, every row of a table with the same columns.

    Every lesion row has case, patient, group, lesion and outcome: FOUND, MISSED (vanished), INVENTED (raised in the
    synthetic image alone), CLEAR (raised in neither), or "" where it could not be read, and then `refused` says why.
    Every mark has case, patient, row, column, score and invented (1 where nothing real lies there). Every image has
    case, patient and false_positives ("" where its reader did not read it). record: what lesions.json holds. title,
    parts: of the page; parts are HTML. summary: lines for the terminal.
    """

    lesions: Sequence[Row]
    images: Sequence[Row]
    marks: Sequence[Row]
    record: Mapping[str, Any]
    title: str
    parts: Sequence[str]
    summary: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Task:
    """One task of the command. add_options: adds its options to a parser; read: does its work with what was given."""

    name: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    read: Callable[[argparse.Namespace], Reading]


def refuse_existing(output: Path) -> None:
    """InputError where `output` is taken: a report is never written over another one."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} is there already; name another folder with -o, or remove it first.")


def write(reading: Reading, output: Path) -> None:
    """Write all files of a reading; `output` must not exist or be an empty folder."""
    refuse_existing(output)
    make_folder(output.absolute().parent)
    with atomic_folder(output) as folder:
        write_rows(reading.lesions, folder / "lesions.csv")
        write_rows(reading.images, folder / "images.csv")
        write_rows(reading.marks, folder / "marks.csv")
        write_text(folder / "lesions.json", json.dumps(reading.record, indent=2) + "\n")
        write_text(folder / "lesions.html", document(reading.title, reading.parts))
