"""The worker processes of a cohort, through Dask: started on this machine, or those of a scheduler somebody started.

Those of this machine listen on localhost only, with certificates made for this run, so that no other user of the
machine can send them work; they are gone when this process is. Those of a scheduler are taken on one by one, once they
have shown that they reach the same folders and have the same versions and the same model.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError, RunFailed
from ..files import remove_leftovers, temporary_beside
from . import remote
from .sizing import Team

INSTALL = "pip install 'imagetranslation[cohort]'"
_NEEDED = ("dask", "distributed", "cryptography")
# A worker holds one case that computes and one that is read meanwhile.
IN_HAND = 2
_PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class Member:
    """A worker that may be given cases. name: for people. device: what it computes on, "" to leave that open."""

    name: str
    device: str = ""


@dataclass(frozen=True)
class Terms:
    """What a worker must reach and have. software: None while it is not settled, then as in the manifest."""

    folder: Path
    token: str
    first_input: Path
    model: str
    identity: dict[str, str]
    device: str
    software: dict[str, str] | None = None


class Crew:
    """The workers behind a Dask client. `members` says who may be given work just now."""

    def __init__(self, client: Any, team: Team | None, terms: Terms | None = None) -> None:
        self.client, self._team, self.terms = client, team, terms
        self._known: dict[str, Member | None] = {}

    @property
    def is_local(self) -> bool:
        """Whether the workers belong to this run alone."""
        return self._team is not None

    def members(self) -> dict[str, Member]:
        """Workers by their address. InputError where one of the first ones cannot be used; later ones are left out."""
        present = {address: info["name"] for address, info in self._info().items()}
        new = [address for address in present if address not in self._known]
        first = not any(self._known.values())
        if self._team is not None:
            self._known.update({address: self._of_this_machine(present[address]) for address in new})
        elif new:
            self._known.update(self._admitted(new, strict=first))
        return {address: member for address in present if (member := self._known[address]) is not None}

    def settled(self, software: dict[str, str]) -> None:
        """From now on, workers must have these versions."""
        if self.terms is not None:
            self.terms = replace(self.terms, software=software)
            self._known.clear()

    def threads(self) -> int:
        """CPU threads that every worker has."""
        return min((int(info["nthreads"]) for info in self._info().values()), default=1)

    def _info(self) -> dict[str, Any]:
        with connection_kept():
            return dict(self.client.scheduler_info(n_workers=-1)["workers"])

    def _of_this_machine(self, name: Any) -> Member:
        devices = self._team.devices if self._team else ()
        return Member(f"worker {int(name) + 1}", devices[int(name)] if devices else "")

    def _admitted(self, addresses: list[str], strict: bool) -> dict[str, Member | None]:
        """The new workers that meet the terms. strict: InputError for the first that does not."""
        assert self.terms is not None
        terms = self.terms
        with connection_kept():
            answers = self.client.run(
                remote.probe, str(terms.folder), terms.token, str(terms.first_input), terms.model,
                terms.device in ("auto", "cuda"), workers=addresses, on_error="return",
            )  # fmt: skip
        admitted: dict[str, Member | None] = {}
        for address in addresses:
            answer = answers.get(address, ConnectionError("it did not answer"))
            if fault := _fault(address, answer, terms):
                if strict:
                    raise InputError(fault)
                admitted[address] = None
                continue
            rank = sum(
                1 for member in [*self._known.values(), *admitted.values()] if member and _on(member, answer["host"])
            )
            device = f"cuda:{rank % answer['gpus']}" if answer["gpus"] else ""
            admitted[address] = Member(f"{answer['host']} {rank + 1}", device)
        return admitted


@contextlib.contextmanager
def local_crew(team: Team) -> Iterator[Crew]:
    """Start `team` on this machine; it is gone on leaving, however that happens. RunFailed where it cannot start."""
    from distributed import Client, LocalCluster, Security

    place = Path(tempfile.gettempdir())
    remove_leftovers(place)
    scratch = temporary_beside(place / "imagetranslation-cohort")
    with _quiet(), _environment(team.threads, scratch):
        try:
            scratch.mkdir(mode=0o700)
            security = Security.temporary()
            with _ctrl_c_ignored():
                cluster = LocalCluster(
                    n_workers=team.processes, threads_per_worker=IN_HAND, processes=True, host="127.0.0.1",
                    protocol="tls://", security=security, dashboard_address=None, memory_limit=0,
                    scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                    local_directory=str(scratch), silence_logs=logging.CRITICAL, preload=[remote.__name__],
                )  # fmt: skip
        except Exception as error:  # whatever Dask raises, the person needs to know one thing
            shutil.rmtree(scratch, ignore_errors=True)
            raise RunFailed(
                f"The worker processes do not start ({_line(error)}). Use --workers 1 to do without them."
            ) from error
        try:
            client = Client(cluster, timeout=_PATIENCE_SECONDS)
            yield Crew(client, team)
            _closed(client)
        except BaseException:
            _kill(cluster)
            raise
        finally:
            _closed(cluster)
            shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def remote_crew(address: str, terms: Terms) -> Iterator[Crew]:
    """Connect to the scheduler at `address` ("tcp://host:port"); InputError where there is none."""
    from distributed import Client

    with _quiet():
        try:
            client = Client(address, timeout=_PATIENCE_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"No Dask scheduler answers at {address} ({_line(error)}). Give the address that `dask scheduler` "
                "printed, for example tcp://node1:8786."
            ) from error
        try:
            yield Crew(client, None, terms)
        finally:
            _closed(client)


def missing() -> str:
    """The first package that worker processes need and that is not installed, or ""."""
    return next((name for name in _NEEDED if find_spec(name) is None), "")


@contextlib.contextmanager
def connection_kept() -> Iterator[None]:
    """RunFailed with one sentence where the scheduler is gone."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise RunFailed(
            f"The connection to the scheduler is lost ({_line(error)}). What is done is kept; the same command goes on."
        ) from error


def _fault(address: str, answer: Any, terms: Terms) -> str:
    """The sentence on what keeps a worker out, or "": what it answered is data from another machine."""
    if isinstance(answer, ImportError):
        return (
            f"The worker at {address} has no imagetranslation {__version__} ({_line(answer)}). Install the same "
            "version there."
        )
    if not isinstance(answer, dict):
        return f"The worker at {address} cannot be asked what it is ({_line(answer)})."
    where = f"The worker at {address} ({answer['host']})"
    if answer["software"].get("imagetranslation") != __version__:
        has = answer["software"].get("imagetranslation", "another version")
        return f"{where} has imagetranslation {has}, and this is {__version__}. Install the same version there."
    if answer["reads"]:
        return (
            f"{where} cannot read {terms.first_input} ({answer['reads']}). Scans must lie under the same path on every "
            "machine."
        )
    if answer["writes"]:
        return (
            f"{where} cannot write into {terms.folder} ({answer['writes']}). The output folder must lie under the same "
            "path on every machine."
        )
    if answer["model"] != terms.identity:
        return f"{where} has another model {terms.model} ({answer['model'].get('refused', 'its files differ')})."
    if terms.software is not None and answer["software"] != terms.software:
        names = [
            n for n in {*answer["software"], *terms.software} if answer["software"].get(n) != terms.software.get(n)
        ]
        return f"{where} has other versions of {', '.join(sorted(names))} than this cohort was begun with."
    return ""


def _on(member: Member, host: str) -> bool:
    return member.name.rpartition(" ")[0] == host


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own reports off the terminal: what matters in them is raised or becomes a row."""
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado", "asyncio")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before):
            logger.setLevel(level)


@contextlib.contextmanager
def _environment(threads: int, scratch: Path) -> Iterator[None]:
    """What worker processes are to find in their environment; Dask changes this process's for them."""
    import dask

    spawning = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    settings = {"distributed.nanny.pre-spawn-environ": spawning, "temporary-directory": str(scratch)}
    before = {name: os.environ.get(name) for name in (*spawning, "PYTHONWARNINGS")}
    # Python's own watcher of shared resources would report what a killed worker could not give back.
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        with dask.config.set(settings):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Processes started inside never see Ctrl+C; this one does not for that half second."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _kill(cluster: Any) -> None:
    """End the workers without asking them, and for good."""
    import psutil

    for nanny in list(cluster.workers.values()):
        nanny.auto_restart = False
        pid = nanny.pid
        # Without a process there is no number, and to psutil no number means this very process.
        if pid is not None:
            with contextlib.suppress(psutil.Error):
                psutil.Process(pid).kill()


def _closed(thing: Any) -> None:
    """Close a client or a cluster; one whose other end is already gone has nothing left to close."""
    with contextlib.suppress(Exception):
        thing.close(timeout=_PATIENCE_SECONDS)


def _line(error: object) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160].rstrip(".")
