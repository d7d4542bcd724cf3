"""What runs in a worker process of Dask: the state it keeps (one loaded model) and the functions it is sent.

A worker has up to two cases in hand. They are read side by side, but only one computes: the other waits for the lock
with its volume read. A worker with a single thread leaves Dask's pool meanwhile, so that the next one can be read.
"""

from __future__ import annotations

import json
import platform
import signal
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import Cancelled, ImageTranslationError
from ..files import temporary_beside
from ..jobs import Job
from ..locks import read_holder
from .lock import LOCK
from .manifest import identity, software
from .work import facts, failure, finish, prepare, runner_of, use_threads

# Seconds between two messages on how far a case is.
_MESSAGE_EVERY = 0.5
_computing = threading.Lock()
_loaded: dict[str, Any] = {}
_stopped: set[str] = set()


@dataclass(frozen=True)
class Ticket:
    """A case as it is sent to a worker. cohort: names the run, and the topic of its messages. worker: what the worker
    is called. manifest: what the cohort was begun with, None while that is not settled."""

    cohort: str
    worker: str
    folder: str
    threads: int
    job: dict[str, Any]
    manifest: dict[str, Any] | None = None


def translate_case(ticket: Ticket) -> dict[str, Any]:
    """Do a case; returns its row, also where it failed."""
    from distributed import get_worker, secede

    job, folder = Job(**ticket.job), Path(ticket.folder)
    prepared = prepare(job)
    if get_worker().state.nthreads == 1:
        secede()
    with _computing:
        tell = _Messages(get_worker(), ticket)
        tell.begun(Path(job.input).name)
        try:
            if ticket.cohort in _stopped:
                raise Cancelled("Cancelled; nothing was written.")
            runner = _runner(job, ticket)
        except Exception as error:  # noqa: BLE001  becomes the row of this case
            return failure(job, error)
        return finish(job, prepared, runner, folder, tell.windows, lambda: ticket.cohort in _stopped)


def settle_here(ticket: Ticket) -> dict[str, Any]:
    """Load the model of a ticket's job and say what "auto" became: see `work.facts`."""
    with _computing:
        return facts(_runner(Job(**ticket.job), ticket))


def stop(cohort: str) -> None:
    """End what this worker does for a cohort at the next batch of windows."""
    _stopped.add(cohort)


def forget(cohort: str) -> None:
    """Free what was kept for a cohort."""
    _stopped.discard(cohort)
    if _computing.acquire(blocking=False):
        try:
            _loaded.clear()
        finally:
            _computing.release()


def probe(folder: str, token: str, first_input: str, model: str, count_gpus: bool) -> dict[str, Any]:
    """What this worker is and what it can reach.

    Returns host, software (`manifest.software`), gpus (CUDA devices), and sentences' ends under "reads" and "writes"
    that are empty where it can; "model" is its identity here, or {"refused": sentence}.
    """
    found: dict[str, Any] = {"host": platform.node(), "software": software(), "gpus": _gpus() if count_gpus else 0}
    found["reads"] = _readable(Path(first_input))
    found["writes"] = _writable(Path(folder), token)
    try:
        from ..models import load_package

        found["model"] = identity(load_package(model))
    except ImageTranslationError as error:
        found["model"] = {"refused": str(error)}
    return found


def be_quiet() -> None:
    """Leave Ctrl+C to the process that started this one, and the terminal as well."""
    import os

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def dask_setup(worker: Any) -> None:
    """Called by Dask in each worker that `crew` starts on this machine."""
    be_quiet()


def _runner(job: Job, ticket: Ticket) -> Any:
    """The predictor of a job, loaded once: a worker keeps the last one."""
    wanted = {k: v for k, v in asdict(job).items() if k in ("model", "device", "engine", "precision")}
    key = json.dumps([wanted, ticket.threads, ticket.manifest])
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = runner_of(job, ticket.threads, ticket.manifest)
    use_threads(ticket.threads)
    return _loaded[key]


class _Messages:
    """Tells whoever watches the cohort how far a case is, a few times a second at most."""

    def __init__(self, worker: Any, ticket: Ticket) -> None:
        self._worker, self._ticket, self._next = worker, ticket, 0.0

    def begun(self, name: str) -> None:
        self._send({"begun": name.encode("utf-8", "replace").decode()})

    def windows(self, done: int, total: int) -> None:
        if time.monotonic() >= self._next or done == total:
            self._next = time.monotonic() + _MESSAGE_EVERY
            self._send({"windows": [done, total]})

    def _send(self, message: dict[str, Any]) -> None:
        self._worker.log_event(self._ticket.cohort, {"from": self._ticket.worker, **message})


def _gpus() -> int:
    import torch

    return int(torch.cuda.device_count())


def _readable(path: Path) -> str:
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            with path.open("rb") as stream:
                stream.read(1)
    except OSError as error:
        return error.strerror or "an error of the file system"
    return ""


def _writable(folder: Path, token: str) -> str:
    holder = read_holder(folder / LOCK)
    if holder is None or holder.nonce != token:
        return "it is not the same folder there"
    file = temporary_beside(folder / "probe")
    try:
        file.touch()
        file.unlink()
    except OSError as error:
        return error.strerror or "an error of the file system"
    return ""
