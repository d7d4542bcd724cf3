"""The subprocess that translates: a JSON job file in, JSON lines of progress out.

On stdout there is one JSON object a line: {"event": "progress", "done": 3, "total": 12}, and at the end either
{"event": "result", ...} or {"event": "error", "code": ..., "message": ...}, and nothing else; whatever a library
prints goes to stderr. SIGTERM cancels. With `parent_pid` in the job the worker ends itself when that process is gone.

With "-" for the job file the worker takes jobs from stdin, one JSON object a line, until that ends: each is answered in
the same way, a failed one does not end the others, and a model is loaded once for all that name it. The next job may
be sent when the last is answered, or before.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from .errors import Cancelled, ImageTranslationError, InputError

if TYPE_CHECKING:
    from .jobs import Job

STDIN = "-"
# What may differ between jobs that one loaded model does: all else is taken for a setting of the model.
_OF_THE_CASE = {
    "input", "output", "series", "component", "frames_as_slices", "allow_synthetic", "overwrite", "mask", "created",
}  # fmt: skip


def main(job_path: str | Path) -> int:
    """Run the job file, or with "-" the jobs on stdin; returns the exit code of `errors`."""
    return run(Worker, job_path)


def run(kind: type[Worker], job_path: str | Path) -> int:
    """`main` for a worker of any kind."""
    worker = kind(_claim_stdout())
    signal.signal(signal.SIGTERM, worker.on_terminate)
    if str(job_path) == STDIN:
        return worker.serve()

    def settings() -> dict[str, Any]:
        from .jobs import load_job

        return load_job(job_path)

    return worker.answer(settings)


class Worker:
    """What one process keeps: its channel, whether it was told to stop, and the model it has loaded.

    It translates. Other kinds override `do`. stop: set when the job is to end.
    """

    def __init__(self, events: TextIO) -> None:
        self._events, self.stop = events, threading.Event()
        self._idle = self._serving = self._watched = False
        self._loaded: tuple[Any, Any] | None = None

    def on_terminate(self, *_: object) -> None:
        """Cancel the job, or leave at once where there is none: waiting for the next line would go on."""
        self.stop.set()
        if self._idle:
            raise SystemExit(0)

    def serve(self) -> int:
        """Answer the jobs on stdin; returns 0 when there are no more, the code of the cancelled one otherwise."""
        lines, self._serving = sys.stdin.buffer, True
        while True:
            self._idle = True
            line = lines.readline()
            self._idle = False
            if not line:
                return 0
            if line.strip():
                code = self.answer(lambda line=line: _settings(line))  # type: ignore[misc]
                if self.stop.is_set():
                    return code

    def answer(self, settings: Callable[[], dict[str, Any]]) -> int:
        """Do one job and say how it went; returns the exit code of `errors`."""
        try:
            _emit(self._events, event="progress", done=0, total=0)
            report = self._run(settings())
        except ImageTranslationError as error:
            _emit(self._events, event="error", code=error.code, message=str(error))
            return error.exit_code
        except Exception as error:  # noqa: BLE001  the parent must get a sentence, whatever went wrong here
            import traceback

            traceback.print_exc()
            _emit(self._events, event="error", code="bug", message=f"Unexpected {type(error).__name__}: {error}")
            return 4
        _emit(self._events, event="result", **report)
        return 0

    def _run(self, settings: dict[str, Any]) -> dict[str, Any]:
        parent = settings.pop("parent_pid", None)
        if parent is not None and (not isinstance(parent, int) or parent < 1):
            raise InputError("The job's parent_pid is not the number of a process.")
        if parent and not self._watched:
            self._watched = True
            threading.Thread(target=_watch, args=(parent, self.stop), daemon=True).start()
        return self.do(settings)

    def do(self, settings: dict[str, Any]) -> dict[str, Any]:
        """One job by its settings; returns what the result event says. Raises errors of ours, Cancelled included."""
        from .jobs import Job, run_job

        job = Job.from_dict(settings)
        # One job loads its model itself, after what can be refused at once. Here it is taken out while it works: what
        # failed in the middle (memory, a driver) is not trusted with the next job.
        key, runner = self._take(job) if self._serving else (None, None)
        try:
            report = run_job(job, self._progress, self.stop.is_set, runner)
        except (InputError, Cancelled):
            self._loaded = (key, runner)
            raise
        self._loaded = (key, runner)
        return report

    def _take(self, job: Job) -> tuple[Any, Any]:
        from .jobs import make_runner

        key = {name: value for name, value in vars(job).items() if name not in _OF_THE_CASE}
        loaded, self._loaded = self._loaded, None
        return loaded if loaded is not None and loaded[0] == key else (key, make_runner(job))

    def _progress(self, done: int, total: int) -> None:
        _emit(self._events, event="progress", done=done, total=total)


def _settings(line: bytes) -> dict[str, Any]:
    try:
        mapping = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"A job on stdin is not JSON: {error}.") from error
    if not isinstance(mapping, dict):
        raise InputError("A job on stdin must be one JSON object.")
    return mapping


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
