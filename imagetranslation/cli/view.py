"""`imagetranslation view`: source and synthetic side by side, in a page or on a PNG sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from .options import Browser, Port


def view(
    source: Annotated[Path, typer.Argument(help="The scan.")],
    synthetic: Annotated[Path, typer.Argument(help="The synthetic image made from it.")],
    reference: Annotated[Optional[Path], typer.Option(help="The real scan that the synthetic one imitates.")] = None,
    port: Port = 0,
    host: Annotated[str, typer.Option(help="Address to listen on; this machine only by default.")] = "127.0.0.1",
    browser: Browser = True,
    png: Annotated[Optional[Path], typer.Option(help="Write the side-by-side sheet here instead of serving.")] = None,
) -> None:
    """Show a scan and its synthetic image side by side, linked, in a web page (or as a PNG sheet with --png)."""
    from ..browser.cases import open_case

    case = open_case(source, synthetic, reference)
    if png is not None:
        from ..sheet import write_sheet

        typer.echo(f"Wrote {write_sheet(png, case.source, case.synthetic, case.reference)}")
        return
    from ..browser.app import serve

    serve([case], host=host, port=port, open_browser=browser)
