"""`imagetranslation engines`: what can run a model on this machine, how fast, and which is taken."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .console import Console
from .options import Device, Json


def engines(
    model: Annotated[str, typer.Option("--model", "-m", help="Id of a model (see `models list`) or its path.")] = "",
    device: Device = "auto",
    measure: Annotated[bool, typer.Option("--measure", help="Try every engine anew (up to minutes).")] = False,
    as_json: Json = False,
) -> None:
    """Show the engines: installed version, precision, gate, time to start, milliseconds a batch, and the one chosen."""
    from ..engines.table import table
    from ..jobs import DEFAULT_MODEL
    from ..models import load_package
    from ..predictors import choose_device

    console = Console(as_json)
    package, where = load_package(model or DEFAULT_MODEL), choose_device(device)
    console.engines(table(package, where, measure=measure, say=None if as_json else _tell))


def _tell(what: str) -> None:
    typer.echo(f"trying {what} ...", err=True)


def lines(found: dict[str, Any]) -> list[str]:
    """The table as text."""
    rows = [("engine", "version", "device", "precision", "gate", "start s", "ms/batch", "")]
    for row in found["engines"]:
        rows.append((
            row["engine"], row["version"] or "-", row["device"], row["precision"], row["gate"],
            _number(row["start_s"], ".1f"), _number(row["ms_per_batch"], ".1f"), "chosen" if row["chosen"] else "",
        ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    notes = dict.fromkeys(row["note"] for row in found["engines"] if row["note"])
    return [*text, "", *notes, *([""] if notes else []), found["rule"]]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
