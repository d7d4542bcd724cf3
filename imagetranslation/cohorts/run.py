"""A cohort from beginning to end: what it is made with, what is left to do, who does it, and keeping what is done.

Here is only the order of things; each step is a file of this room.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..batch import Table, named_outputs
from ..errors import Cancelled, InputError, RunFailed
from ..files import make_folder
from ..jobs import Job
from ..models import ModelPackage, load_package
from . import manifest as made
from .cases import Case, clear_leftovers, relative, split
from .here import run_here
from .journal import Entry, Journal
from .lock import CohortLock
from .sizing import WORTH_PROCESSES_SECONDS, Team, cpu_count, seconds_for_all, team
from .watcher import Watcher
from .work import facts, runner_of

# How often this program may die with a case in hand before a worker process gets it.
_MOST_DEATHS = 2
Ended = Generator[tuple[Case, dict[str, Any]], None, None]


def run_cohort(
    inputs: list[Path],
    template: Job,
    folder: Path,
    *,
    watcher: Watcher | None = None,
    cancelled: Callable[[], bool] | None = None,
    workers: int | None = 1,
    threads: int | None = None,
    scheduler: str | None = None,
) -> list[dict[str, Any]]:
    """Translate each input into `folder`; returns one row each (`batch.COLUMNS`), also kept in translations.csv.

    template: the settings of every job; its input and output are replaced, and with `overwrite` a folder that was begun
    with another model or other settings is begun anew. workers: processes on this machine, 1 for this one alone, None
    to choose; with more than one, the main module of the program must be importable without side effects, as for
    multiprocessing. threads: CPU threads of each, None to choose. scheduler: address of a Dask scheduler, whose workers
    do the work instead.

    What an earlier run of the same cohort finished is verified and kept. Raises ModelRefused for a model that cannot be
    used at all, InputError where the folder belongs to another cohort or another run, RunFailed where the folder cannot
    be written, and Cancelled, when what was finished is kept.
    """
    package = load_package(template.model)
    make_folder(folder)
    with CohortLock(folder) as lock:
        cohort = _Cohort(inputs, template, folder, package, watcher or Watcher(), lock, cancelled)
        return cohort.run(workers, threads, scheduler)


class _Cohort:
    def __init__(
        self,
        inputs: list[Path],
        template: Job,
        folder: Path,
        package: ModelPackage,
        watcher: Watcher,
        lock: CohortLock,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._inputs, self._template, self._folder, self._package = inputs, template, folder.absolute(), package
        self._shown_folder = folder
        self._watcher, self._lock, self._cancelled = watcher, lock, cancelled
        self._table, self._journal = Table(folder), Journal(folder)
        self._hands: set[Case] = set()

    def run(self, workers: int | None, threads: int | None, scheduler: str | None) -> list[dict[str, Any]]:
        manifest = self._earlier_manifest(threads, None if scheduler else made.software())
        to_do = self._to_do()
        try:
            if to_do:
                if scheduler is not None:
                    ended = self._on_scheduler(to_do, manifest, threads, scheduler)
                else:
                    ended = self._on_this_machine(to_do, manifest, workers, threads)
                # Closed at once, and not when it is collected, so that no worker outlives an error.
                with contextlib.closing(ended):
                    for case, row in ended:
                        self._take_in(case, row)
        except KeyboardInterrupt:
            raise self._as_cancelled() from None
        finally:
            self._hands_empty()
            with contextlib.suppress(RunFailed):
                self._table.write()
            # Workers that were ended in the middle of a file.
            clear_leftovers(to_do, self._folder)
        return self._outcome()

    def _earlier_manifest(self, threads: int | None, software: dict[str, str] | None) -> dict[str, Any] | None:
        """What the folder was begun with; InputError where this run would do otherwise and may not begin anew.

        software: what does the work, None where that is another machine's.
        """
        manifest = made.read_manifest(self._folder)
        if manifest is not None:
            other = made.differences(manifest, self._template, made.identity(self._package), threads)
            other += [] if software is None else made.software_differences(manifest, software)
            if other and not self._template.overwrite:
                raise InputError(
                    f"{self._shown_folder} was begun with {'; '.join(other)}. All cases of a folder are made alike: "
                    "choose another folder, the same settings, or begin anew with --overwrite."
                )
            manifest = None if other else manifest
        if manifest is None:
            self._journal.clear()
        return manifest

    def _to_do(self) -> list[Case]:
        kept = {entry.input: entry.output for entry in self._journal.entries.values()}
        outputs = named_outputs(self._inputs, self._package.outputs["modality"], kept)
        cases = [Case(n, path, self._folder / out) for n, (path, out) in enumerate(zip(self._inputs, outputs))]
        clear_leftovers(cases, self._folder)
        done, to_do = split(cases, self._folder, self._journal.entries)
        for case in cases:
            if case.number in done:
                row = {**done[case.number].row, "input": str(case.input), "status": "done", "before": True}
                self._table.add(case.number, {**row, "output": self._shown(case.output)})
        self._watcher.started(len(cases), len(done))
        # What was in hand when this program died comes last, so that it cannot keep the others from being done.
        return sorted(to_do, key=self._deaths)

    def _deaths(self, case: Case) -> int:
        """How often this program died with the case in hand."""
        return self._journal.unended.get(relative(case.output, self._folder), 0)

    def _job(self, case: Case, settled: Job) -> Job:
        overwrite = settled.overwrite or case.replace
        return replace(settled, input=str(case.input), output=str(case.output), overwrite=overwrite)

    def _settle(self, found: dict[str, Any], threads: int) -> dict[str, Any]:
        manifest = made.settle(self._template, found, threads)
        made.write_manifest(self._folder, manifest)
        return manifest

    # ---- who does the work

    def _on_this_machine(
        self, to_do: list[Case], manifest: dict[str, Any] | None, workers: int | None, threads: int | None
    ) -> Ended:
        chosen = threads if manifest is None else int(manifest["threads"])
        device = self._template.device if manifest is None else made.applied(manifest, self._template).device
        size = team([case.input for case in to_do], self._package, device, workers, chosen, _gpus(device))
        if size.processes > 1 and not self._may_have_processes(workers):
            size = replace(size, processes=1)
        if any(self._deaths(case) >= _MOST_DEATHS for case in to_do) and self._may_have_processes(None):
            # A worker process may die in its place.
            yield from self._with_processes(to_do, manifest, size)
        elif size.processes == 1 or (workers is None and not size.devices):
            yield from self._alone_or_not(to_do, manifest, chosen, size, workers)
        else:
            yield from self._with_processes(to_do, manifest, size)

    def _alone_or_not(
        self, to_do: list[Case], manifest: dict[str, Any] | None, threads: int | None, size: Team, workers: int | None
    ) -> Ended:
        """In this process, unless a trial says that more of them pay."""
        job = self._template if manifest is None else made.applied(manifest, self._template)
        alone = threads or _threads_of_one()
        runner = runner_of(job, alone, manifest)
        if size.processes > 1:
            jobs = [self._job(case, job) for case in to_do]
            needed = seconds_for_all(jobs, runner, self._stopped)
            if needed is not None and needed > WORTH_PROCESSES_SECONDS:
                del runner
                yield from self._with_processes(to_do, manifest, size)
                return
        manifest = manifest or self._settle(facts(runner), alone)
        settled = made.applied(manifest, self._template)
        jobs_of = [(case, self._job(case, settled)) for case in to_do]
        yield from run_here(jobs_of, runner, alone, self._folder, self._watcher, self._stopped, self._in_hand)

    def _with_processes(self, to_do: list[Case], manifest: dict[str, Any] | None, size: Team) -> Ended:
        from .crew import local_crew

        with local_crew(size) as crew:
            yield from self._dispatched(crew, to_do, manifest, size.threads)

    def _on_scheduler(
        self, to_do: list[Case], manifest: dict[str, Any] | None, threads: int | None, address: str
    ) -> Ended:
        from .crew import INSTALL, Terms, missing, remote_crew

        if name := missing():
            raise InputError(f"--scheduler needs {name}, which is not installed: {INSTALL}.")
        terms = Terms(
            self._folder, self._lock.token, to_do[0].input.absolute(), self._model_elsewhere(),
            made.identity(self._package), self._template.device, None if manifest is None else manifest["software"],
        )  # fmt: skip
        with remote_crew(address, terms) as crew:
            yield from self._dispatched(crew, to_do, manifest, threads)

    def _dispatched(self, crew: Any, to_do: list[Case], manifest: dict[str, Any] | None, threads: int | None) -> Ended:
        from .dispatch import Dispatch
        from .remote import Ticket

        count = int(manifest["threads"]) if manifest is not None else threads
        ticket = Ticket(f"imagetranslation-{self._lock.token}", "", str(self._folder), count or 1, {})
        template = replace(self._template, model=self._model_elsewhere())
        work = Dispatch(crew, ticket, self._watcher, self._stopped)
        if manifest is None:
            work.wait_for_members()
            count = count or crew.threads()
            work.ticket = replace(ticket, threads=count)
            manifest = self._settle(work.settle(template), count)
        work.ticket = replace(work.ticket, manifest=manifest)
        crew.settled(manifest["software"])
        settled = replace(made.applied(manifest, self._template), model=template.model)
        jobs = [(case, _shared(self._job(case, settled))) for case in to_do]
        yield from work.run(jobs)

    def _may_have_processes(self, workers: int | None) -> bool:
        """Whether worker processes can be had; where they were asked for, or would be of use, a note says why not."""
        from .crew import INSTALL, missing

        if (name := missing()) and (workers or len(self._inputs) > 1):
            self._watcher.note(f"{name} is not installed, so one process does all; {INSTALL} uses every core and GPU.")
        return not name

    def _model_elsewhere(self) -> str:
        """The model as another process finds it: a path made absolute, the id of an installed one as it is."""
        path = self._package.path
        return str(path.absolute()) if path == Path(self._template.model) else self._template.model

    def _shown(self, output: Path) -> str:
        """The path of a result as the person wrote the folder."""
        return str(self._shown_folder / output.relative_to(self._folder))

    def _stopped(self) -> bool:
        return self._lock.lost or (self._cancelled is not None and self._cancelled())

    # ---- what became of it

    def _take_in(self, case: Case, row: dict[str, Any]) -> None:
        """Record a finished case, first in the journal, then in the table."""
        record = row.pop("entry", None)
        row["input"] = str(case.input)
        if row["status"] == "done":
            row["output"] = self._shown(case.output)
        else:
            row["model"] = self._template.model
        if record is not None:
            kept = {name: row[name] for name in row if name not in ("input", "output")}
            try:
                self._journal.append(Entry(**record, row=kept))
            except RunFailed as error:
                row["message"] = f"{row['message']} A restart will do it again: {error}".strip()
        self._table.add(case.number, row)
        self._watcher.finished(str(row.get("worker", "")), row)

    def _in_hand(self, case: Case) -> None:
        """Remember that this process has a case in hand; a disk that is full will be met by the case itself."""
        self._hands.add(case)
        with contextlib.suppress(RunFailed):
            self._journal.begin(relative(case.output, self._folder))

    def _hands_empty(self) -> None:
        """This process lives: none of the cases it had in hand was the end of it."""
        for name in sorted(relative(case.output, self._folder) for case in self._hands):
            if name not in self._journal.entries:
                with contextlib.suppress(RunFailed):
                    self._journal.end(name)

    def _outcome(self) -> list[dict[str, Any]]:
        """The rows; Cancelled where the run was stopped, RunFailed where the table could not be kept."""
        rows = self._table.rows
        done = sum(row["status"] == "done" for row in rows)
        if self._lock.lost:
            raise RunFailed(
                f"Another run has taken over {self._folder}, because this one was asleep; this one stopped."
            )
        if self._stopped() and done < len(self._inputs):
            raise self._as_cancelled()
        try:
            self._table.write()
        except RunFailed as error:
            if done == len(rows):
                raise
            self._watcher.note(str(error))
        return rows

    def _as_cancelled(self) -> Cancelled:
        done = sum(row["status"] == "done" for row in self._table.rows)
        return Cancelled(
            f"Cancelled; {done} of {len(self._inputs)} are done and kept. The same command goes on from there."
        )


def _shared(job: Job) -> Job:
    """The job with absolute paths: a worker has another working directory."""
    mask = None if job.mask is None else str(Path(job.mask).absolute())
    return replace(job, input=str(Path(job.input).absolute()), mask=mask)


def _gpus(device: str) -> int:
    if device not in ("auto", "cuda"):
        return 0
    import torch

    return int(torch.cuda.device_count())


def _threads_of_one() -> int:
    import torch

    return min(int(torch.get_num_threads()), cpu_count()) or 1
