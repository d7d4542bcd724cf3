"""A cohort done in this process: one volume after another, the next one read meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..jobs import Job
from .cases import Case
from .watcher import Watcher
from .work import ahead, finish, use_threads

NAME = "this process"


def run_here(
    cases: list[tuple[Case, Job]],
    runner: Any,
    threads: int,
    folder: Path,
    watcher: Watcher,
    stopped: Callable[[], bool],
    in_hand: Callable[[Case], None],
) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Do the cases with a loaded predictor; yields each with its row as it ends. Stops after a cancelled one.

    in_hand: told of each case before anything is done with it, its input read ahead included.
    """
    by_output = {job.output: case for case, job in cases}

    def taken() -> Iterator[Job]:
        for case, job in cases:
            in_hand(case)
            yield job

    with used_threads(threads):
        for job, prepared in ahead(taken()):
            watcher.begun(NAME, Path(job.input).name)
            row = finish(job, prepared, runner, folder, lambda done, total: watcher.windows(NAME, done, total), stopped)
            del prepared  # or its volume would stay while the next but one is read
            yield by_output[job.output], {**row, "worker": NAME}
            if stopped():
                return


@contextmanager
def used_threads(count: int | None) -> Iterator[None]:
    """That many CPU threads for torch inside, as many as before outside; None changes nothing."""
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    use_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
