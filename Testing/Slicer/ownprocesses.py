"""Which processes below this one are the extension's own: other tests of a run leave helpers alive (joblib's)."""

from __future__ import annotations

import contextlib

import psutil

WORKER, EXPORT = "imagetranslation.worker", "exportjob"


def running(program: str = WORKER) -> list[int]:
    """Ids of the processes below this one whose command line names `program`, launchers included."""
    return [child.pid for child in psutil.Process().children(recursive=True) if program in _command_line(child)]


def _command_line(process: psutil.Process) -> str:
    # It may end between being listed and being looked at; one that is dead and not yet collected has none.
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
