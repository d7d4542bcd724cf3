"""`imagetranslation view`: source and synthetic side by side, in a page or on a PNG sheet."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from ..errors import InputError
from .options import Browser, Port

if TYPE_CHECKING:
    from ..browser.cases import Case


def view(
    source: Annotated[Path, typer.Argument(help="The scan.")],
    synthetic: Annotated[Path, typer.Argument(help="The synthetic image made from it.")],
    reference: Annotated[Optional[Path], typer.Option(help="The real scan that the synthetic one imitates.")] = None,
    uncertainty_map: Annotated[
        Optional[Path],
        typer.Option(help="Uncertainty map of the synthetic image; the one beside it is found by itself."),
    ] = None,
    port: Port = 0,
    host: Annotated[str, typer.Option(help="Address to listen on; this machine only by default.")] = "127.0.0.1",
    browser: Browser = True,
    png: Annotated[Optional[Path], typer.Option(help="Write the side-by-side sheet here instead of serving.")] = None,
) -> None:
    """Show a scan and its synthetic image side by side, linked, in a web page (or as a PNG sheet with --png)."""
    case = case_of(source, synthetic, reference, uncertainty_map)
    if png is not None and png.suffix.lower() != ".png":
        raise InputError(f"{png} is no name for the sheet, which is a picture; give one that ends in .png.")
    if png is not None:
        typer.echo(f"Wrote {write_sheet_of(case, png)}")
        return
    from ..browser.app import serve

    serve([case], host=host, port=port, open_browser=browser)


def case_of(source: Path, synthetic: Path, reference: Path | None = None, uncertainty_map: Path | None = None) -> Case:
    """A case of the viewer that reads its files when it is shown; a map beside the synthetic image joins by itself."""
    from ..browser.cases import Case
    from ..deviationmaps import map_path
    from ..volume import read_volume

    real = None if reference is None else partial(read_volume, reference)
    beside = map_path(synthetic)
    map_file = uncertainty_map or (beside if beside.is_file() else None)
    deviation = None if map_file is None else partial(read_volume, map_file)
    return Case(source.name, partial(read_volume, source), partial(read_volume, synthetic), real, deviation)


def write_sheet_of(case: Case, path: Path) -> Path:
    """The static side-by-side sheet of a case."""
    from ..sheet import write_sheet

    loaded = case.load()
    return write_sheet(path, loaded.source, loaded.synthetic, loaded.reference, loaded.uncertainty)
