"""The subprocess that translates: a JSON job file in, JSON lines of progress out.

On stdout there is one JSON object a line: {"event": "progress", "done": 3, "total": 12}, and at the end either
{"event": "result", ...} or {"event": "error", "code": ..., "message": ...}, and nothing else; whatever a library
prints goes to stderr. SIGTERM cancels. With `parent_pid` in the job the worker ends itself when that process is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from .errors import ImageTranslationError, InputError


def main(job_path: str | Path) -> int:
    """Run the job file; returns the exit code of `errors`."""
    events = _claim_stdout()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        _emit(events, event="progress", done=0, total=0)
        report = _run(job_path, events, stop)
    except ImageTranslationError as error:
        _emit(events, event="error", code=error.code, message=str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the parent must get a sentence, whatever went wrong here
        import traceback

        traceback.print_exc()
        _emit(events, event="error", code="bug", message=f"Unexpected {type(error).__name__}: {error}")
        return 4
    _emit(events, event="result", **report)
    return 0


def _run(job_path: str | Path, events: TextIO, stop: threading.Event) -> dict[str, Any]:
    from .jobs import Job, load_job, run_job

    settings = load_job(job_path)
    parent = settings.pop("parent_pid", None)
    if parent is not None and (not isinstance(parent, int) or parent < 1):
        raise InputError("The job's parent_pid is not the number of a process.")
    if parent:
        threading.Thread(target=_watch, args=(parent, stop), daemon=True).start()
    job = Job.from_dict(settings)
    return run_job(job, lambda done, total: _emit(events, event="progress", done=done, total=total), stop.is_set)


def _claim_stdout() -> TextIO:
    """Keep the real stdout for events; everything else that writes to file descriptor 1 lands on stderr."""
    sys.stdout.flush()
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    return events


def _emit(events: TextIO, **fields: Any) -> None:
    events.write(json.dumps(fields) + "\n")
    events.flush()


def _watch(parent: int, stop: threading.Event) -> None:
    """Ask for a stop when the parent is gone; leave without ceremony when that takes more than five seconds."""
    import psutil

    while psutil.pid_exists(parent):
        time.sleep(0.5)
    stop.set()
    time.sleep(5)
    os._exit(4)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
