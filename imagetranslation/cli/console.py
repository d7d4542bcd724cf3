"""What the command line prints: progress on stderr, results on stdout, as text for people or JSON for machines."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ImageTranslationError, RunFailed

if TYPE_CHECKING:
    from ..models import ModelPackage


class Console:
    """Prints one command's results; `as_json` makes each of them a JSON object on stdout."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json

    @contextmanager
    def progress(self, what: str = "Translating") -> Iterator[Bar]:
        """A progress bar with remaining time on stderr, hidden for machines and where stderr is no terminal."""
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        terminal = RichConsole(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        hidden = self.as_json or not terminal.is_terminal
        with Progress(*columns, console=terminal, transient=True, disable=hidden) as progress:
            yield Bar(progress, what)

    def report(self, report: dict[str, Any]) -> None:
        """One finished translation."""
        if self.as_json:
            _json(report)
            return
        print(f"Wrote {report['output']}")
        if "uncertainty" in report:
            print(f"Wrote {report['uncertainty']}")
        print(
            f"SYNTHETIC by {report['model']} {report['version']} on {report['device']} "
            f"({report['engine']}, {report['precision']}), "
            f"{report['seconds_to_translate']:.1f} s. Not for diagnosis."
        )
        for note in (*report["notes"], *report.get("uncertainty_notes", ())):
            print(f"  {note}")

    def batch(self, rows: list[dict[str, Any]], folder: Path) -> None:
        """A finished batch; raises RunFailed when any case failed, after printing all of them."""
        failed = [row for row in rows if row["status"] != "done"]
        if self.as_json:
            _json({"folder": str(folder), "done": len(rows) - len(failed), "failed": len(failed), "cases": rows})
        else:
            for row in failed:
                print(f"FAILED {row['input']}: {row['message']}")
            before = sum(row.get("before", False) for row in rows)
            kept = f", {before} of them before" if before else ""
            done = len(rows) - len(failed)
            print(f"{done} of {len(rows)} translated into {folder}{kept}; see {folder}/translations.csv")
        if failed:
            raise BatchFailed(f"{len(failed)} of {len(rows)} cases failed; {folder}/translations.csv says why.")

    def series(self, files: list[Path], folder: Path, derivation: str) -> None:
        """A DICOM series that was written; derivation: what it says about where it came from."""
        if self.as_json:
            _json({"folder": str(folder), "files": [str(file) for file in files], "derivation": derivation})
            return
        print(f"Wrote {len(files)} DICOM file{'s' if len(files) > 1 else ''} to {folder}")
        print(f"  {derivation}")

    def models(self, rows: list[dict[str, Any]]) -> None:
        """The installed models."""
        if self.as_json:
            _json({"models": rows})
            return
        if not rows:
            print("No model is installed.")
        for row in rows:
            print(f"REFUSED  {row['refused']}" if "refused" in row else f"{row['id']} {row['version']}  {row['title']}")

    def engines(self, found: dict[str, Any]) -> None:
        """The engines of this machine for one model."""
        if self.as_json:
            _json(found)
            return
        from .engines import lines

        print("\n".join(lines(found)))

    def card(self, package: ModelPackage) -> None:
        """A model's card, rendered in a terminal and plain elsewhere."""
        if self.as_json:
            _json({"path": str(package.path), **package.metadata})
        elif sys.stdout.isatty():
            from rich.console import Console as RichConsole
            from rich.markdown import Markdown

            RichConsole().print(Markdown(package.card()))
        else:
            print(package.card())

    def verified(self, checked: dict[str, Any]) -> None:
        """A package that passed every check."""
        if self.as_json:
            _json(checked)
        else:
            print(f"{checked['id']} {checked['version']} is sound: {checked['parameters']:,} parameters, SHA-256 "
                  f"{checked['weights_sha256']}")  # fmt: skip


class Bar:
    """One task of a rich progress display, as the (done, total) callbacks see it."""

    def __init__(self, progress: Any, what: str) -> None:
        self._progress = progress
        self._prefix = ""
        self._task = progress.add_task(what, total=None)

    def update(self, done: int, total: int) -> None:
        """Windows done and in all."""
        self._progress.update(self._task, completed=done, total=total)


class BatchFailed(RunFailed):
    """Some cases of a batch failed; the table of them was printed already."""

    code = "batch"


def fail(error: Exception, as_json: bool, verbose: bool) -> int:
    """Print an error as one sentence (JSON on stdout for machines) and return its exit code."""
    if verbose:
        traceback.print_exception(error)
    if isinstance(error, ImageTranslationError):
        code, exit_code, message = error.code, error.exit_code, str(error)
    elif hasattr(error, "format_message"):  # typer's own: wrong usage
        code, exit_code, message = "usage", 2, error.format_message()
    elif isinstance(error, OSError) and error.strerror:
        code, exit_code, message = "run", 4, f"{error.filename or 'A file'} cannot be used: {error.strerror}."
    else:
        code, exit_code = "bug", 4
        message = f"Unexpected {type(error).__name__}: {error}. Please report this (--verbose)."
    if as_json:
        if not isinstance(error, BatchFailed):
            _json({"error": {"code": code, "message": message}})
    else:
        print(f"Error: {message}", file=sys.stderr)
    return exit_code


def _json(value: dict[str, Any]) -> None:
    # Plain ASCII, so that no terminal encoding and no odd file name can break it.
    print(json.dumps(value))
