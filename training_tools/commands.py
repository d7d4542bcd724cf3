"""Sub-commands that these tools add to `imagetranslation` (entry-point group `imagetranslation.commands`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Optional

import typer

from .phantoms.bonescan_command import pool2delayed
from .phantoms.prostate import simulate

phantoms = typer.Typer(
    help="Write simulated scans, from no patient; without a sub-command one small prostate (US, MR and gland mask).",
    invoke_without_command=True,
)

Output = Annotated[Path, typer.Option("-o", "--output", help="Folder to write; made if it isn't there.")]
Number = Annotated[int, typer.Option("-n", "--number", min=1, help="How many cases.")]
FirstSeed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first case; the next ones follow it.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes that work side by side.")]


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback (done, total) that moves a bar with the remaining time on stderr, hidden where that is no
    terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def register(app: typer.Typer) -> None:
    """Add the sub-commands to the application."""
    app.add_typer(phantoms, name="phantom")
    phantoms.command()(pool2delayed)
    app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, add_help_option=False)(
        reproduce
    )


def reproduce(context: typer.Context) -> None:
    """A published study in one command: us2mri or pool2delayed, with the published numbers beside ours."""
    from .reproduce import main

    raise typer.Exit(main(context.args, "imagetranslation reproduce"))


@phantoms.callback()
def phantom(
    context: typer.Context,
    output: Annotated[
        Optional[Path], typer.Option("-o", "--output", help="Folder to write; made if it isn't there.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same anatomy.")] = 0,
) -> None:
    """Write one small simulated prostate: ultrasound, MR and gland mask as NRRD, from no patient."""
    from imagetranslation.errors import InputError
    from imagetranslation.files import make_folder
    from imagetranslation.volume import write_volume

    if context.invoked_subcommand is not None:
        return
    if output is None:
        raise InputError("Say which folder to write with -o, or what to simulate: imagetranslation phantom --help.")
    pair = simulate(seed)
    folder = make_folder(output)
    paths = [write_volume(volume, folder / f"{volume.name}.nrrd") for volume in (pair.us, pair.mr, pair.gland)]
    typer.echo(json.dumps({"files": [str(path) for path in paths]}))


@phantoms.command()
def us2mri(
    output: Output,
    number: Number = 10,
    seed: FirstSeed = 0,
    workers: Workers = 1,
    probe: Annotated[str, typer.Option(help="side-fire, end-fire or either.")] = "side-fire",
    axes: Annotated[
        str, typer.Option(help="Where the arrays' i, j and k grow; PRS is how the public pairs lie.")
    ] = "LPS",
    lesions: Annotated[tuple[int, int], typer.Option(help="Least and most lesions a case.")] = (0, 3),
    gland_ml: Annotated[Optional[float], typer.Option(help="Volume of every gland, 20 to 100; else drawn.")] = None,
    grade_effect: Annotated[
        float, typer.Option(min=0, max=2, help="How strongly grade and contrast hang together; 0 is not at all.")
    ] = 1.0,
    aligned: Annotated[bool, typer.Option("--aligned", help="MR on the ultrasound's grid.")] = False,
) -> None:
    """Write simulated prostates: ultrasound, T2-weighted MR, labels, the truth about lesions, and a contact sheet.

    The folders are those that `training_tools.prepare` reads. A run that was stopped goes on where it was.
    """
    from .phantoms.prostate import Settings
    from .phantoms.prostate_lesions import GradeEffect
    from .phantoms.prostate_writing import write_cases

    settings = Settings(
        probe=probe,
        axes=axes,
        least=lesions[0],
        most=lesions[1],
        volume_ml=gland_ml,
        mr_on_us_grid=aligned,
        effect=GradeEffect(strength=grade_effect),
    )
    with progress("Simulating") as update:
        truth = write_cases(output, range(seed, seed + number), settings, workers=workers, progress=update)
    typer.echo(json.dumps({"folder": str(output), "cases": len(truth), "sheet": str(output / "sheet.png")}))
