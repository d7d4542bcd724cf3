"""`imagetranslation models`: list, show, verify."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .console import Console
from .options import Json

app = typer.Typer(help="List, show and verify model packages.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Id of an installed model, or path of a package (folder or zip).")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the installed models: id, version, and what each does."""
    from ..models import list_packages

    Console(as_json).models([_row(item) for item in list_packages()])


@app.command()
def show(model: Name, as_json: Json = False) -> None:
    """Show a model's card: data, licence, scores against the floors, limits."""
    from ..models import load_package

    Console(as_json).card(load_package(model))


@app.command()
def verify(model: Name, as_json: Json = False) -> None:
    """Check a package: schema, SHA-256 of the weights, network, card."""
    from ..models import load_package
    from ..models import verify as check

    Console(as_json).verified(check(load_package(model)))


def _row(item: Any) -> dict[str, Any]:
    from ..models import ModelPackage

    if not isinstance(item, ModelPackage):
        return {"id": "", "refused": str(item)}
    metadata = item.metadata
    return {
        "id": item.id,
        "version": item.version,
        "task": metadata["task"],
        "title": metadata["title"],
        "network": metadata["network"]["name"],
        "licence": metadata["licence"],
        "path": str(item.path),
    }
