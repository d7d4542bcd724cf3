"""`imagetranslation demo`: an example ultrasound in, a synthetic MRI beside it, in one command.

The example is a real public case, downloaded once and checked by SHA-256; without a network it is a simulated case
from the training tools' `phantom` command.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from ..errors import ImageTranslationError, InputError
from ..jobs import DEFAULT_MODEL, Job, default_name, run_job
from .console import Console
from .options import Browser, Device, Model, Port, cancel_on_interrupt
from .view import case_of, write_sheet_of

SEED = "17"


def demo(
    context: typer.Context,
    input_: Annotated[
        Optional[Path], typer.Option("--input", help="Your own ultrasound volume instead of the example.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for what is made.")] = Path("demo_output"),
    browser: Browser = True,
    port: Port = 0,
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
) -> None:
    """Take an example ultrasound, translate it, and show both side by side (--no-browser: write files and end)."""
    from ..files import make_folder
    from ..models import load_package

    folder = make_folder(output)
    console = Console()
    source, reference = (input_, None) if input_ is not None else _example(context, folder)
    name = default_name(source, load_package(model).outputs["modality"], ".nii.gz")
    job = Job(str(source), str(folder / name), model, device, overwrite=False, uncertainty="auto")
    stop = cancel_on_interrupt()
    with console.progress() as bar:
        report = run_job(job, bar.update, stop.is_set)
    console.report(report)
    _show(source, Path(report["output"]), reference, folder, port, browser)


def _show(source: Path, synthetic: Path, reference: Path | None, folder: Path, port: int, browser: bool) -> None:
    case = case_of(source, synthetic, reference)
    print(f"Wrote {write_sheet_of(case, folder / 'side_by_side.png')}")
    if browser:
        from ..browser.app import serve

        serve([case], port=port, open_browser=True)


def _example(context: typer.Context, folder: Path) -> tuple[Path, Path | None]:
    """The public example, or a simulated pair where it cannot be had: source and, if there is one, reference."""
    from ..samples import fetch, samples

    sample = samples()[0]
    try:
        return fetch(sample), None
    except (OSError, ImageTranslationError) as error:  # no network, a portal that answers with its own page, no room
        print(
            f"The example {sample.name} could not be downloaded ({error}); simulating a case instead.", file=sys.stderr
        )
    return _simulate(context, folder / "simulated_case")


def _simulate(context: typer.Context, folder: Path) -> tuple[Path, Path]:
    command = getattr(context.find_root().command, "commands", {}).get("phantom")
    if command is None:
        raise InputError(
            "There is neither a network for the example nor the simulator: install the training tools "
            "(pip install '.[training]' in the source checkout) or give a volume with --input."
        )
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        command.main(["-o", str(folder), "--seed", SEED], standalone_mode=False)
    made = {path.stem.rpartition("-")[2]: path for path in map(Path, json.loads(printed.getvalue())["files"])}
    return made["us"], made["mr"]
