"""The `imagetranslation` command: what a person types, and what they read when it went well or didn't.

Exit codes: 0 done, 2 wrong usage or input, 3 model refused, 4 failed run. Each group of commands has its own file
here; they read options and print, all work is done elsewhere. Commands of the training tools join through the
entry-point group `imagetranslation.commands`.
"""

from __future__ import annotations

import io
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Optional

import typer

from .. import __version__
from ..errors import Cancelled, InputError
from . import agreement, demo, dicom, engines, models, mrmc, preservation, radiomics, similarity, study, translate, view
from .console import fail

app = typer.Typer(
    name="imagetranslation",
    help="Turn one medical scan into another and see how far to trust it. Not for clinical use.",
    epilog="Exit codes: 0 done, 2 wrong usage or input, 3 model refused, 4 failed run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

TRAINING_COMMANDS = ("phantom", "reproduce")
_INTERRUPTED = 130  # what typer makes of Ctrl+C
_registered: list[EntryPoint] = []


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"imagetranslation {__version__}")
        raise typer.Exit


@app.callback(help="Turn one medical scan into another and see how far to trust it. Not for clinical use.")
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options of every command; `main` looks at --verbose itself, since an error may come before any command runs."""


@app.command(hidden=True)
def worker(job: Annotated[Path, typer.Argument(help="JSON job file.")]) -> None:
    """Run one job file and print JSON lines (what the Slicer modules start)."""
    from ..worker import main as run_worker

    raise typer.Exit(run_worker(job))


app.command()(translate.translate)
app.command()(dicom.dicom)
app.command()(view.view)
app.command()(agreement.agreement)
app.command()(mrmc.mrmc)
app.command()(similarity.similarity)
app.command()(demo.demo)
app.command()(engines.engines)
app.add_typer(models.app, name="models")
radiomics.app.command()(preservation.compare)
radiomics.app.command()(preservation.preservation)
app.add_typer(radiomics.app, name="radiomics")
app.add_typer(study.app, name="study")


def main() -> None:
    """Entry point: register the plug-ins' commands, run, and turn every error into one sentence and an exit code."""
    as_json, verbose = "--json" in sys.argv, "--verbose" in sys.argv
    # People add --verbose at the end of the line that failed.
    arguments = [argument for argument in sys.argv[1:] if argument != "--verbose"]
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may hold what the terminal's encoding does not.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _register_plugins()
        # For machines, wrong usage arrives here as an exception; for people, typer prints it with the usage.
        code = app(arguments, standalone_mode=not as_json)
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:  # noqa: BLE001  the last line of defence: a sentence for the person, not a traceback
        code = fail(error, as_json, verbose)
    if code == _INTERRUPTED:
        code = fail(Cancelled("Cancelled; nothing was written."), as_json, verbose)
    code = code if isinstance(code, int) else 0
    sys.exit(code if code in (0, 2, 3) else 4)


def _register_plugins() -> None:
    """Add the commands of installed plug-ins; those of the training tools say what to install where they are absent.

    Each once in a process: whoever calls `main` many times would else lay out more commands each time.
    """
    for point in entry_points(group="imagetranslation.commands"):
        if point in _registered:
            continue
        _registered.append(point)
        try:
            point.load()(app)
        except ModuleNotFoundError as error:
            print(f"The commands of {point.name} are left out: {error}.", file=sys.stderr)
    present = getattr(typer.main.get_command(app), "commands", {})
    for name in TRAINING_COMMANDS:
        if name not in present:
            app.command(name, hidden=True, context_settings={"ignore_unknown_options": True})(_not_installed)


def _not_installed(
    context: typer.Context, rest: Annotated[Optional[list[str]], typer.Argument(hidden=True)] = None
) -> None:
    raise InputError(
        f"`{context.info_name}` belongs to the training tools, which are not installed here: in a source checkout "
        "run pip install '.[training]'."
    )
