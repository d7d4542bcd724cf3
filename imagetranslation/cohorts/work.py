"""One case of a cohort, wherever it is done: read (and digest) the input, translate it, digest what was written.

Reading is apart from the rest, so that the next input can be read while one is translated. Whatever goes wrong becomes
a row of the table; only a process that dies is left to `dispatch`.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, ImageTranslationError, InputError, ModelRefused, RunFailed
from ..files import printable_name, sha256_of
from ..jobs import Job, make_runner, read_input, run_job
from .cases import Fingerprint, fingerprint, relative, size_and_time, written_files
from .manifest import CHOSEN, identity, software

if TYPE_CHECKING:
    from ..volume import Volume


@dataclass(frozen=True)
class Prepared:
    """An input that was read, or what was wrong with it."""

    volume: Volume | None = None
    fingerprint: Fingerprint | None = None
    error: Exception | None = None


def prepare(job: Job) -> Prepared:
    """Read and digest a job's input; never raises."""
    path = Path(job.input)
    try:
        print_ = fingerprint(path)
        volume = read_input(job)
        if size_and_time(path) != (print_.bytes, print_.mtime_ns):
            raise InputError(f"{printable_name(path)} changed while it was read; wait until its copy is complete.")
    except Exception as error:  # noqa: BLE001  becomes the row of this case
        return Prepared(error=error)
    return Prepared(volume, print_)


def ahead(jobs: Iterable[Job]) -> Iterator[tuple[Job, Prepared]]:
    """Each job with its input read, the next one being read meanwhile in a thread of its own: at most two in memory."""
    waiting: list[_Reading] = []
    for job in jobs:
        waiting.append(_Reading(job))
        if len(waiting) == 2:
            yield waiting.pop(0).result()
    while waiting:
        yield waiting.pop(0).result()


class _Reading:
    """An input being read by a daemon thread, which a second Ctrl+C need not wait for."""

    def __init__(self, job: Job) -> None:
        self._job, self._prepared = job, Prepared()
        self._thread = threading.Thread(target=self._read, name="reading ahead", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._prepared = prepare(self._job)

    def result(self) -> tuple[Job, Prepared]:
        self._thread.join()
        return self._job, self._prepared


def finish(
    job: Job,
    prepared: Prepared,
    runner: Any,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Translate an input that was read; returns its row (`batch.COLUMNS`), when done with `entry` for the journal."""
    try:
        if prepared.error is not None:
            raise prepared.error
        report = run_job(job, progress, cancelled, runner, prepared.volume)
        output = Path(report["output"])
        files = {relative(file, folder): sha256_of(file) for file in written_files(output)}
    except Exception as error:  # noqa: BLE001  one case, whatever is wrong with it, must not end the others
        return failure(job, error)
    name = relative(output, folder)
    row = {
        **report,
        "status": "done",
        "seconds": report["seconds_to_translate"],
        "sha256": files[name],
        "message": " ".join([*report["notes"], *report.get("uncertainty_notes", ())]),
    }
    found = asdict(prepared.fingerprint) if prepared.fingerprint else {}
    record = {f"input_{key}": value for key, value in found.items()}
    return {**row, "entry": {"input": str(Path(job.input).absolute()), "output": name, "files": files, **record}}


def failure(job: Job, error: Exception) -> dict[str, Any]:
    """The row of a case that failed or was cancelled."""
    status = "cancelled" if isinstance(error, Cancelled) else "failed"
    known = isinstance(error, ImageTranslationError)
    message = str(error) if known else f"Unexpected {type(error).__name__}: {error}. Please report this."
    return {"input": job.input, "output": "", "status": status, "model": job.model, "message": message}


def runner_of(job: Job, threads: int, manifest: Mapping[str, Any] | None = None) -> Any:
    """The loaded predictor of a job, with that many CPU threads; raises ModelRefused, InputError or RunFailed.

    manifest: what the cohort was begun with, where that is settled. A predictor that is not the same is refused, and
    says about itself what the first one said, because its notes go into the results.
    """
    use_threads(threads)
    runner = make_runner(job)
    if manifest is not None:
        found = facts(runner)
        if found["model"] != manifest["model"]:
            raise ModelRefused(f"On {platform.node()} the model {job.model} is not the one this cohort was begun with.")
        for name in CHOSEN:
            if found.get(name) != manifest.get(name):
                raise RunFailed(
                    f"This cohort was begun with {name} {manifest.get(name)}, and on {platform.node()} it would go on "
                    f"with {found.get(name)} ({' '.join(runner.notes) or 'nothing else works there'}). Finish it where "
                    f"it was begun, or begin anew elsewhere with --{name} {found.get(name)}."
                )
        runner.notes = tuple(manifest["notes"])
    return runner


def use_threads(count: int) -> None:
    """Let torch use `count` CPU threads for what this thread of the program asks of it."""
    import torch

    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def facts(runner: Any) -> dict[str, Any]:
    """What "auto" became here, and who does the work: see `manifest.settle`."""
    chosen = {name: str(getattr(runner, name)).partition(":")[0] for name in CHOSEN if hasattr(runner, name)}
    return {"model": identity(runner.package), "software": software(), "notes": list(runner.notes), **chosen}
