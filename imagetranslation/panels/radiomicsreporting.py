"""A comparison as DICOM report and segmentation: the steps, without a widget.

Writing is `radiomicsjob`'s, in a process. What is written are the very files that were compared, so that nothing that
changed since is reported.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, ImageTranslationError, InputError, RunFailed
from .events import Event, EventParser
from .exporting import clear, files_of, new_folder
from .protocols import QUITTING
from .radiomicscomparing import PROGRAM
from .signal import Signal
from .translation import error_of
from .workfolder import WorkFolder

if TYPE_CHECKING:
    from .protocols import WorkerProcess

STOPPED = "The export was stopped; nothing was written."


class RadiomicsReport:
    """One report at a time. finished(fields) with files, folder and sentences, or failed(error); stopped at any moment
    it leaves no file in the folder that was chosen.
    """

    def __init__(self, new_process: Callable[[], WorkerProcess], folder: str | Path) -> None:
        self.finished, self.failed = Signal(), Signal()
        self._new_process, self._base = new_process, folder
        self._process: WorkerProcess | None = None
        self._work: WorkFolder | None = None
        self._target: Path | None = None
        self._parser = EventParser()
        self._outcome: Any = None
        self._cancelled = False

    @property
    def busy(self) -> bool:
        """Whether a report is being written."""
        return self._process is not None

    def start(self, job: Mapping[str, Any], sources: Mapping[str, Any], parent: Path, finding: str) -> None:
        """Begin. job: of the comparison (`RadiomicsComparison.last_job`). sources: role to the node that may have come
        from DICOM. parent: existing folder in which the report gets a new one. finding: what the region is, by its
        name in `dicomreport`. Raises InputError for what can be refused at once, RuntimeError while another one runs.
        """
        if self.busy:
            raise RuntimeError("a report is being written")
        if not parent.is_dir():
            raise InputError(f"{parent} is not a folder; choose the one to put the report in.")
        self._target = new_folder(parent, f"{job['region']['name']} radiomics")
        self._work = WorkFolder(self._base)
        files = {role: found for role, node in sources.items() if (found := dicom_files(node))}
        record = self._work.path / "written.json"
        task = {"task": "report", "found": job["record"], "folder": str(self._target), "finding": finding,
                "files": files, "record": str(record), "parent_pid": os.getpid()}  # fmt: skip
        path = self._work.path / "job.json"
        path.write_text(json.dumps({**job, **task}), encoding="utf-8")
        self._parser, self._outcome, self._cancelled = EventParser(), None, False
        process = self._process = self._new_process()
        process.output.connect(self._on_output)
        process.ended.connect(self._on_ended)
        process.start(["-m", PROGRAM, str(path)])

    def cancel(self) -> None:
        """Stop; `failed(Cancelled)` follows when the process is gone."""
        if self._process is not None:
            self._cancelled = True
            self._process.stop()

    def close(self) -> None:
        """Stop and wait, for when the panel closes."""
        process = self._process
        self.cancel()
        if process is not None:
            process.wait()

    def _on_output(self, data: bytes) -> None:
        for event in self._parser.feed(data):
            if isinstance(event, Event) and event.kind == "result":
                self._outcome = event.fields
            elif isinstance(event, Event) and event.kind == "error":
                self._outcome = error_of(event.fields)

    def _on_ended(self, code: int, crashed: bool) -> None:
        self._process = None
        if self._cancelled or code == QUITTING:
            self._end(Cancelled(STOPPED))
        elif isinstance(self._outcome, ImageTranslationError):
            self._end(self._outcome)
        elif self._outcome is None or self._work is None:
            self._end(RunFailed(f"Writing DICOM ended with code {code} and without a word."))
        else:
            self._end(None, json.loads(Path(self._outcome["record"]).read_text(encoding="utf-8")))

    def _end(self, error: ImageTranslationError | None, written: dict[str, Any] | None = None) -> None:
        work, self._work = self._work, None
        target, self._target = self._target, None
        if work is not None:
            work.remove()
        if error is None:
            self.finished(written)
            return
        if target is not None:
            clear(target, self._cancelled)
        self.failed(error)


def dicom_files(node: Any) -> list[str]:
    """The files that Slicer loaded a volume from, where it came out of the DICOM database and they are still there."""
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    return list(files_of(instances)) if instances else []
