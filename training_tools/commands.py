"""Sub-commands that these tools add to `imagetranslation` (entry-point group `imagetranslation.commands`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .phantoms.prostate import simulate


def register(app: typer.Typer) -> None:
    """Add the sub-commands to the application."""
    app.command()(phantom)


def phantom(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write; made if it isn't there.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same anatomy.")] = 0,
) -> None:
    """Write a simulated prostate: ultrasound, MR and gland mask as NRRD, from no patient."""
    from imagetranslation.files import make_folder
    from imagetranslation.volume import write_volume

    pair = simulate(seed)
    folder = make_folder(output)
    paths = [write_volume(volume, folder / f"{volume.name}.nrrd") for volume in (pair.us, pair.mr, pair.gland)]
    typer.echo(json.dumps({"files": [str(path) for path in paths]}))
