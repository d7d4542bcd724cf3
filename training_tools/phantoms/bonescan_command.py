"""`imagetranslation phantom pool2delayed`: simulated bone scans on the command line."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from imagetranslation.errors import InputError


def pool2delayed(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write; a second run adds what is missing.")],
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many patients.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same patients.")] = 0,
    region: Annotated[str, typer.Option(help="auto, whole_body, hands, feet, knees, legs, pelvis or chest.")] = "auto",
    view: Annotated[Optional[list[str]], typer.Option(help="anterior or posterior; may be given twice.")] = None,
    group: Annotated[Optional[list[str]], typer.Option(help="Disease group, or none; may be repeated.")] = None,
    rho: Annotated[
        Optional[float], typer.Option(help="Correlation of hyperaemia and late uptake in every group, 0 to 1.")
    ] = None,
    relations: Annotated[
        Optional[Path], typer.Option(help='JSON that changes groups, as {"CRPS": {"late": 1.0, "rho": 0.2}}.')
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that work side by side.")] = 1,
    dicom: Annotated[bool, typer.Option("--dicom", help="Write planar NM DICOM objects too.")] = False,
) -> None:
    """Write simulated blood-pool and delayed bone scans, the truth about their lesions, and a contact sheet.

    The folder is laid out as `training_tools.prepare` leaves one. A run that was stopped goes on where it was.
    """
    from ..commands import progress
    from .bonescan import Settings
    from .bonescan_disease import GROUPS, with_rho
    from .bonescan_writing import AUTO, Order, write_cases

    chosen = dict(GROUPS)
    if relations is not None:
        chosen = changed(chosen, relations)
    if rho is not None:
        chosen = with_rho(chosen, rho)
    settings = Settings(relations=chosen)
    order = Order(number, seed, region, tuple(view or ()), tuple(group or AUTO), dicom, settings)
    with progress("Simulating") as report:
        rows = write_cases(order, output, report, workers)
    typer.echo(json.dumps({"folder": str(output), "cases": len(rows), "sheet": str(output / "sheet.png")}))


def changed(relations: dict[str, Any], path: Path) -> dict[str, Any]:
    """The relations with what a JSON file says; InputError for an unreadable file, an unknown group or setting."""
    try:
        wanted = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(wanted, dict) or not all(isinstance(v, dict) for v in wanted.values()):
        raise InputError(f"{path} must hold an object of groups, each an object of settings.")
    result = dict(relations)
    for group, values in wanted.items():
        if group not in result:
            raise InputError(f"{path} names the group {group!r}; there are {', '.join(result)}.")
        known = {f.name for f in fields(result[group])}
        if unknown := sorted(set(values) - known):
            raise InputError(
                f"{path} gives {group} the unknown setting {unknown[0]!r}; there are {', '.join(sorted(known))}."
            )
        if isinstance(values.get("lesions"), list):
            values = {**values, "lesions": tuple(values["lesions"])}
        try:
            result[group] = replace(result[group], **values)
        except (TypeError, ValueError, IndexError) as error:
            raise InputError(f"{path} gives {group} a value of the wrong kind: {error}.") from error
    return result
