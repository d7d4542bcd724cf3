"""One worker process for many jobs, one after another: Python, torch and the model are loaded once. No widget.

To a `Translation`, or to a comparison of features, each job looks like a process of its own. A process that was
stopped or has crashed is replaced when the next job comes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..worker import STDIN
from .events import Event, EventParser
from .protocols import NOT_STARTED
from .signal import Signal

if TYPE_CHECKING:
    from .protocols import WorkerProcess


class JobServer:
    """Hand `new_job` to a Translation where it wants a new process; `close` when there are no more jobs.

    program: the module that is run, a `worker.Worker` of some kind.
    """

    def __init__(self, new_process: Callable[[], WorkerProcess], program: str = "imagetranslation.worker") -> None:
        self._new_process, self._program = new_process, program
        self._process: WorkerProcess | None = None
        self._job: _Job | None = None
        self._parser = EventParser()

    def new_job(self) -> WorkerProcess:
        """What runs one job file."""
        return _Job(self)

    def close(self) -> None:
        """End the process."""
        if (process := self._let_go()) is not None:
            process.ended.disconnect()
            process.stop()

    def run(self, job: _Job, line: bytes) -> None:
        """Send a job to the process, which is started where there is none."""
        self._job, self._parser = job, EventParser()
        if self._process is None:
            process = self._process = self._new_process()
            process.output.connect(self._on_output)
            process.errors.connect(self._on_errors)
            process.ended.connect(self._on_ended)
            process.start(["-m", self._program, STDIN])
        if self._process is not None:
            self._process.write(line)

    def abandon(self, job: _Job) -> WorkerProcess | None:
        """End a job that is under way, and the process with it, which is returned; `ended` of the job follows."""
        if self._job is not job:
            return None
        process = self._let_go()
        if process is not None:
            process.ended.disconnect()
            process.ended.connect(job.end)
            process.stop()
        return process

    def _let_go(self) -> WorkerProcess | None:
        process, self._process, self._job = self._process, None, None
        if process is not None:
            process.output.disconnect()
            process.errors.disconnect()
        return process

    def _on_output(self, data: bytes) -> None:
        job = self._job
        if job is None:
            return
        job.output(data)
        kinds = [item.kind for item in self._parser.feed(data) if isinstance(item, Event)]
        # Whoever heard the output may have stopped the job meanwhile.
        if self._job is job and ("result" in kinds or "error" in kinds):
            self._job = None
            job.end(0 if "result" in kinds else 1, False)

    def _on_errors(self, data: bytes) -> None:
        if self._job is not None:
            self._job.errors(data)

    def _on_ended(self, code: int, crashed: bool) -> None:
        job = self._job
        self._let_go()
        if job is not None:
            job.end(code, crashed)


class _Job:
    """A WorkerProcess that is one job of a server."""

    def __init__(self, server: JobServer) -> None:
        self.output, self.errors, self.ended = Signal(), Signal(), Signal()
        self._server = server
        self._dying: WorkerProcess | None = None
        self._over = False

    def start(self, arguments: list[str]) -> None:
        """The last argument names the job file; the server has the rest."""
        try:
            job = Path(arguments[-1]).read_bytes()
        except OSError as error:
            self.errors(f"{arguments[-1]} cannot be read: {error.strerror}\n".encode())
            self.end(NOT_STARTED, False)
            return
        self._server.run(self, b" ".join(job.splitlines()) + b"\n")

    def write(self, data: bytes) -> None:
        """A job reads nothing."""

    def stop(self) -> None:
        """See WorkerProcess."""
        self._dying = self._server.abandon(self)

    def wait(self) -> None:
        """See WorkerProcess."""
        if self._dying is not None:
            self._dying.wait()

    def end(self, code: int, crashed: bool) -> None:
        """It is over: the worker has answered, or is gone."""
        if not self._over:
            self._over = True
            self.ended(code, crashed)
