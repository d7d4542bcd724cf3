"""One synthetic volume of the scene as a DICOM series: the steps, without a widget.

Voxels go to a temporary file in small steps of a ticker; the series is written by a process (`exportjob`).
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, ImageTranslationError, InputError, RunFailed
from ..mrml.provenance import provenance_of
from ..mrml.uncertainty import is_map
from . import transfer
from .events import Event, EventParser
from .filemarks import write_sidecar
from .outputs import SOURCE_INSTANCES
from .protocols import QUITTING
from .signal import Signal
from .translation import file_name
from .workfolder import WorkFolder

if TYPE_CHECKING:
    import slicer

    from .protocols import Ticker, WorkerProcess

IMAGE = "synthetic.nrrd"


@dataclass(frozen=True)
class ExportRequest:
    """What to write. parent: existing folder in which the series gets a new one. source_files: see `source_files`;
    empty for a study of its own. burn_in: the mark goes into the pixels instead of an overlay plane."""

    node: slicer.vtkMRMLScalarVolumeNode
    parent: Path
    source_files: tuple[str, ...] = ()
    burn_in: bool = False


class Export:
    """One export at a time. finished(report) with files, folder and told (what the series says), or failed(error).

    Stopped at any moment it leaves no file in the folder that was chosen.
    """

    def __init__(self, new_process: Callable[[], WorkerProcess], ticker: Ticker, folder: str | Path) -> None:
        self.finished, self.failed = Signal(), Signal()
        self._new_process, self._ticker, self._folder = new_process, ticker, folder
        self._work: WorkFolder | None = None
        self._process: WorkerProcess | None = None
        self._steps: Iterator[Any] = iter(())
        self._parser = EventParser()
        self._report: dict[str, Any] = {}
        self._message = ""
        self._target: Path | None = None
        self._cancelled = False

    @property
    def busy(self) -> bool:
        """Whether an export is under way."""
        return self._work is not None

    def start(self, request: ExportRequest) -> None:
        """Begin; InputError for what can be refused at once."""
        if request.node is None or provenance_of(request.node) is None:
            raise InputError("Choose a synthetic volume; only what a model made is exported here.")
        if is_map(request.node):
            raise InputError(f"{request.node.GetName()} is an uncertainty map, not an image; export the image.")
        transfer.grid_shape(request.node)
        if not request.parent.is_dir():
            raise InputError(f"{request.parent} is not a folder; choose the one to put the series in.")
        self._work = WorkFolder(self._folder)
        self._parser, self._report, self._message = EventParser(), {}, ""
        self._target, self._cancelled = None, False
        self._steps = self._send(request, self._work.path)
        self._ticker.start(self._step)

    def cancel(self) -> None:
        """Stop; `failed(Cancelled)` follows, at the latest when the process is gone."""
        if not self.busy:
            return
        self._cancelled = True
        if self._process is not None:
            self._process.stop()
        else:
            self._end(_stopped())

    def close(self) -> None:
        """Stop and wait, for when the panel closes."""
        process = self._process
        self.cancel()
        if process is not None:
            process.wait()

    def _send(self, request: ExportRequest, folder: Path) -> Iterator[Any]:
        record = provenance_of(request.node)
        assert record is not None
        yield from transfer.send_volume(request.node, folder / IMAGE)
        write_sidecar(folder / IMAGE, record)
        self._target = new_folder(request.parent, request.node.GetName())
        job = {
            "image": str(folder / IMAGE),
            "folder": str(self._target),
            "source_files": list(request.source_files),
            "burn_in": request.burn_in,
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        self._process = self._new_process()
        self._process.output.connect(self._on_output)
        self._process.ended.connect(self._on_ended)
        self._process.start(["-m", "imagetranslation.panels.exportjob", str(folder / "job.json")])

    def _step(self) -> None:
        try:
            next(self._steps)
        except StopIteration:
            self._ticker.stop()
        except ImageTranslationError as error:
            self._end(error)
        except Exception as error:  # noqa: BLE001  whatever went wrong, the panel must become usable again
            self._end(RunFailed(f"Unexpected {type(error).__name__}: {error}."))

    def _on_output(self, data: bytes) -> None:
        for event in self._parser.feed(data):
            if isinstance(event, Event) and event.kind == "result":
                self._report = event.fields
            elif isinstance(event, Event) and event.kind == "error":
                self._message = str(event.fields.get("message", ""))

    def _on_ended(self, code: int, crashed: bool) -> None:
        self._process = None
        self._cancelled = self._cancelled or code == QUITTING
        if self._cancelled:
            self._end(_stopped())
        elif self._report and not crashed:
            self._end(None)
        else:
            self._end(RunFailed(self._message or f"Writing DICOM ended with code {code} and without a word."))

    def _end(self, error: ImageTranslationError | None) -> None:
        work, self._work = self._work, None
        self._ticker.stop()
        transfer.let_go(self._steps)
        if work is not None:
            work.remove()
        if error is not None:
            self._clear()
            self.failed(error)
        else:
            self.finished(self._report)

    def _clear(self) -> None:
        """Take away what a process that was ended had written: part of the series, or all but the last word of it."""
        target, self._target = self._target, None
        if target is not None:
            clear(target, self._cancelled)


def clear(target: Path, cancelled: bool) -> None:
    """Take away a folder of `new_folder` into which nothing was written after all, and what stands half written beside
    it; with what is in it, where it was cancelled."""
    # `atomic_folder` writes beside its target; the name is nobody else's, since the target is ours.
    for unfinished in target.parent.glob(f".*.partial.{glob.escape(target.name)}"):
        shutil.rmtree(unfinished, ignore_errors=True)
    if cancelled:
        shutil.rmtree(target, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            target.rmdir()


def _stopped() -> Cancelled:
    return Cancelled("The export was stopped; no series was written.")


def source_files(node: Any) -> tuple[tuple[str, ...], str]:
    """(DICOM files of the scan that a synthetic volume was made from, "") or ((), the sentence why there are none)."""
    instances = (node.GetAttribute(SOURCE_INSTANCES) or "").split()
    if not instances:
        return (), "The scan was not loaded from DICOM: the series gets a study of its own, without a patient."
    if found := files_of(instances):
        return found, ""
    return (), (
        "The scan is no longer in Slicer's DICOM database: the series gets a study of its own, without a patient."
    )


def files_of(instances: Iterable[str]) -> tuple[str, ...]:
    """The files of these SOP instances in Slicer's DICOM database; none where it lacks any of them."""
    database = transfer.dicom_database()
    found = [str(database.fileForInstance(uid) or "") for uid in instances] if database is not None else []
    complete = all(name and Path(name).is_file() for name in found)
    return tuple(dict.fromkeys(found)) if complete else ()


def new_folder(parent: Path, name: str) -> Path:
    """Make a folder below `parent` that did not exist, named after the volume; RunFailed where that is impossible."""
    plain = Path(file_name(name)).stem
    for number in itertools.count(1):
        folder = parent / (plain if number == 1 else f"{plain} {number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise RunFailed(f"{folder} cannot be made: {error.strerror}. Choose another folder.") from error
        return folder
    raise AssertionError("there is always a next number")
