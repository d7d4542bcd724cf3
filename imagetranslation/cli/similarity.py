"""`imagetranslation similarity`: how alike two images are, every measure with its parameters."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from .options import Json


def similarity(
    a: Annotated[Path, typer.Argument(metavar="A", help="An image, for example the synthetic one.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The image to compare with, on the same grid.")],
    mask: Annotated[Optional[Path], typer.Option(help="Compare only where this image is not zero.")] = None,
    data_range: Annotated[
        Optional[float], typer.Option(help="Span of the intensities, e.g. 255. Without it no score has a meaning.")
    ] = None,
    lower: Annotated[
        Optional[float], typer.Option(help="Where that span starts (default: the least value of both images).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two images on one grid: errors, PSNR, SSIM in its several definitions, information, edges."""
    from ..similarity.report import measure
    from ..volume import read_volume

    first, second = read_volume(a), read_volume(b)
    inside = None if mask is None else read_volume(mask)
    scores = measure(first, second, data_range=data_range, lower=lower, mask=inside)
    if as_json:
        rows = [
            {"name": s.name, "value": _plain(s.value), "unit": s.unit, "parameters": s.parameters, "note": s.note}
            for s in scores
        ]
        typer.echo(json.dumps({"a": str(a), "b": str(b), "mask": mask and str(mask), "scores": rows}, indent=1))
        return
    _table(scores)


def _plain(value: float) -> float | str | None:
    """JSON has no infinity and no NaN."""
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "infinity"


def _table(scores: list[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("measure", "value", "unit", "parameters", box=None, pad_edge=False)
    for score in scores:
        words = score.note or ", ".join(f"{name} {_short(value)}" for name, value in score.parameters.items())
        table.add_row(score.name, "not defined" if math.isnan(score.value) else f"{score.value:.6g}", score.unit, words)
    Console(width=160 if not Console().is_terminal else None).print(table)


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_short(part) for part in value) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
