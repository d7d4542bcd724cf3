"""One translation from a volume node to a synthetic one: the steps, without a widget.

    idle -> sending -> running -> receiving -> idle

Voxels go out and come back in small steps of a ticker, the network runs in a worker process; nothing here blocks the
application. Ending it in any state leaves no process, no file and no node behind.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..deviationmaps import map_path
from ..errors import Cancelled, ImageTranslationError, InputError, ModelRefused, RunFailed
from ..jobs import Job, save_job
from ..mrml.provenance import is_synthetic
from ..mrml.uncertainty import is_map, map_node_of
from . import masks, transfer
from .events import Event, EventParser, LogLine
from .outputs import put_map, put_result
from .protocols import NOT_STARTED, QUITTING
from .signal import Signal
from .workfolder import WorkFolder

if TYPE_CHECKING:
    import slicer

    from ..provenance import Provenance
    from .protocols import Ticker, WorkerProcess

RESULT = "result.nii"
AUTOMATIC = "auto"
# Names that Windows gives to devices, whatever the suffix.
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}
COLOUR_NOTE = "The colour ultrasound was turned to grey (ITU-R BT.601) first."


@dataclass(frozen=True)
class Request:
    """What to translate. output: node to replace, or None for a new one. mask: see `masks`. window: (lower, upper)
    grey values the result is shown with, or None. inverted: show large values dark. uncertainty: make a map of the
    standard deviation as well; only for an output that lies in a scene."""

    source: slicer.vtkMRMLScalarVolumeNode
    model: str
    device: str = "auto"
    output: slicer.vtkMRMLScalarVolumeNode | None = None
    mask: slicer.vtkMRMLNode | None = None
    window: tuple[float, float] | None = None
    inverted: bool = False
    uncertainty: bool = False


@dataclass(frozen=True)
class FileRequest:
    """A translation from file to file, which touches no scene. source: what `volume.read_volume` reads."""

    source: Path
    output: Path
    model: str
    device: str = "auto"
    uncertainty: bool = False


@dataclass
class _Run:
    """What one translation holds while it lasts."""

    request: Request | FileRequest
    folder: WorkFolder
    steps: Iterator[Any]
    process: WorkerProcess | None = None
    parser: EventParser = field(default_factory=EventParser)
    report: dict[str, Any] | None = None
    error: ImageTranslationError | None = None


class Translation:
    """Translates one volume at a time.

    new_process: makes a WorkerProcess. ticker: takes the steps. folder: where temporary folders go.
    Signals: progressed(done, total) with total 0 while unknown; logged(text); finished(node, report), with a path
    instead of a node after a FileRequest; failed(error), with Cancelled when it was stopped. Exactly one of the last
    two follows each `start`.
    """

    def __init__(self, new_process: Callable[[], WorkerProcess], ticker: Ticker, folder: str | Path) -> None:
        self.progressed, self.logged, self.finished, self.failed = Signal(), Signal(), Signal(), Signal()
        self._new_process, self._ticker, self._folder = new_process, ticker, folder
        self._run: _Run | None = None
        self._dying: list[WorkerProcess] = []

    @property
    def busy(self) -> bool:
        """Whether a translation is under way."""
        return self._run is not None

    def start(self, request: Request | FileRequest) -> None:
        """Begin; raises InputError for what can be refused at once, and RuntimeError while another one runs."""
        if self._run is not None:
            raise RuntimeError("a translation is under way")
        if isinstance(request, Request):
            check_request(request)
        folder = WorkFolder(self._folder)
        run = _Run(request, folder, iter(()))
        if isinstance(request, Request):
            run.steps = self._send(request, folder.path)
        else:
            run.steps = self._name(request, folder.path)
        self._run = run
        self._ticker.start(self._step)

    def cancel(self) -> None:
        """Stop now; `failed(Cancelled)` follows before this returns."""
        if self._run is not None:
            self._end(Cancelled("Cancelled; nothing was added to the scene."))

    def close(self) -> None:
        """Stop and wait until the worker is gone, for when the application or the panel closes."""
        self.cancel()
        for process in list(self._dying):
            process.wait()

    def _send(self, request: Request, folder: Path) -> Iterator[Any]:
        name = file_name(request.source.GetName())
        yield from transfer.send_volume(request.source, folder / name)
        if request.mask is not None:
            inside = masks.inside(request.mask, request.source)
            yield from transfer.send_mask(request.source, inside, folder / "mask.nrrd")
        mask = str(folder / "mask.nrrd") if request.mask is not None else None
        way = AUTOMATIC if request.uncertainty else None
        job = Job(str(folder / name), str(folder / RESULT), request.model, request.device, mask=mask, uncertainty=way)
        save_job(job, folder / "job.json", parent_pid=os.getpid())
        self._launch(folder / "job.json")

    def _name(self, request: FileRequest, folder: Path) -> Iterator[Any]:
        way = AUTOMATIC if request.uncertainty else None
        job = Job(str(request.source), str(request.output), request.model, request.device, uncertainty=way)
        save_job(job, folder / "job.json", parent_pid=os.getpid())
        self._launch(folder / "job.json")
        yield

    def _launch(self, job: Path) -> None:
        assert self._run is not None
        process = self._new_process()
        self._run.process = process
        process.output.connect(self._on_output)
        process.errors.connect(self._on_errors)
        process.ended.connect(self._on_ended)
        process.start(["-m", "imagetranslation.worker", str(job)])

    def _receive(self, run: _Run, request: Request) -> Iterator[Any]:
        array, record = yield from _received(run.folder.path / RESULT, request)
        deviation = (yield from _received(map_path(run.folder.path / RESULT), request)) if request.uncertainty else None
        assert run.report is not None
        if request.source.GetScene() is None:
            raise InputError("The volume was removed from the scene meanwhile; its translation is dropped.")
        notes = (COLOUR_NOTE, *record.notes) if transfer.is_colour(request.source) else record.notes
        record = replace(record, source=request.source.GetName() or record.source, notes=notes)
        run.report = {**run.report, "notes": list(notes)}
        output = request.output
        if output is not None and output.GetID() and output.GetScene() is None:
            # It was removed meanwhile (an output of no scene, a sequence's, has no id): the result is not lost with it.
            request = replace(request, output=None)
        earlier = map_node_of(request.output)
        node = put_result(request, array, record)
        if deviation is not None:
            own = replace(deviation[1], source=record.source)
            put_map(request, node, deviation[0], own, earlier)
        self._end(None, node)

    def _step(self) -> None:
        """Take one step of sending or receiving; called by the ticker."""
        run = self._run
        if run is None:
            self._ticker.stop()
            return
        try:
            next(run.steps)
        except StopIteration:
            # Sent: from here on the process speaks. After receiving, a listener may have started the next one already.
            if self._run is run:
                self._ticker.stop()
        except ImageTranslationError as error:
            self._end(error)
        except Exception as error:
            # Whatever went wrong, the panel must become usable again; a fault after the end is the listener's.
            if self._run is not run:
                raise
            self._end(RunFailed(f"Unexpected {type(error).__name__}: {error}."))

    def _on_output(self, data: bytes) -> None:
        if self._run is not None:
            for item in self._run.parser.feed(data):
                self._on_item(item)

    def _on_item(self, item: Event | LogLine) -> None:
        run = self._run
        if run is None:
            return
        if isinstance(item, LogLine):
            self.logged(item.text)
        elif item.kind == "progress":
            self.progressed(int(item.fields.get("done", 0)), int(item.fields.get("total", 0)))
        elif item.kind == "result":
            run.report = item.fields
        elif item.kind == "error":
            run.error = error_of(item.fields)

    def _on_errors(self, data: bytes) -> None:
        if text := data.decode("utf-8", errors="replace").strip():
            self.logged(text)

    def _on_ended(self, code: int, crashed: bool) -> None:
        run = self._run
        if run is None:
            return
        run.process = None
        for item in run.parser.finish():
            self._on_item(item)
        if code == QUITTING:
            self._end(Cancelled("Slicer quits; nothing was added to the scene."))
        elif run.error is not None:
            self._end(run.error)
        elif run.report is None:
            self._end(RunFailed(_ended_without_result(code, crashed)))
        elif isinstance(run.request, FileRequest):
            self._end(None, run.request.output)
        else:
            run.steps = self._receive(run, run.request)
            self._ticker.start(self._step)

    def _end(self, error: ImageTranslationError | None, node: Any = None) -> None:
        run, self._run = self._run, None
        assert run is not None
        self._ticker.stop()
        transfer.let_go(run.steps)
        if run.process is None:
            run.folder.remove()
        else:
            self._put_down(run.process, run.folder)
        if error is not None:
            self.failed(error)
        else:
            self.finished(node, run.report)

    def _put_down(self, process: WorkerProcess, folder: WorkFolder) -> None:
        """End a worker; it may hold files of its folder while it dies, so the folder goes afterwards."""

        def gone(code: int, crashed: bool) -> None:
            self._dying.remove(process)
            folder.remove()

        self._dying.append(process)
        process.output.disconnect()
        process.errors.disconnect()
        process.ended.disconnect()
        process.ended.connect(gone)
        process.stop()


def _received(path: Path, request: Request) -> Generator[Any, None, tuple[np.ndarray, Provenance]]:
    """(array, record) of an image the worker wrote on the source's grid, a chunk a step."""
    record = transfer.receive_record(path)
    array = None
    for step in transfer.receive_volume(path, transfer.grid_shape(request.source)):
        array = step if isinstance(step, np.ndarray) else None
        yield step
    assert array is not None
    return array, record


def check_request(request: Request) -> None:
    """InputError for a request that can be refused without starting anything."""
    if request.source is None:
        raise InputError("Choose the volume to translate first.")
    transfer.grid_shape(request.source)
    if is_synthetic(request.source):
        raise InputError(
            f"{request.source.GetName()} was itself made by a model; translating it again is refused. "
            "Choose the scan it was made from."
        )
    if request.output is not None and request.output.GetID() == request.source.GetID():
        raise InputError("The output is the input itself; choose another volume, or a new one.")
    if request.output is not None and request.output.GetImageData() is not None and not is_synthetic(request.output):
        raise InputError(f"{request.output.GetName()} is a real image and is kept; choose a new volume as output.")
    if request.output is not None and is_map(request.output):
        raise InputError(
            f"{request.output.GetName()} is an uncertainty map and is kept; choose a new volume as output."
        )
    if not request.model:
        raise InputError("Choose a model first.")


def file_name(name: str | None) -> str:
    """A file name every system takes, still recognisable in messages."""
    plain = re.sub(r"[^A-Za-z0-9 ._-]+", "_", name or "").strip(" .")[:80]
    if plain.partition(".")[0].strip().upper() in _DEVICES:
        plain = f"_{plain}"
    return f"{plain or 'volume'}.nrrd"


def error_of(fields: dict[str, Any]) -> ImageTranslationError:
    """The error that an error event of a worker tells of."""
    message = str(fields.get("message", "The worker failed without saying why; see the log."))
    kinds: dict[str, type[ImageTranslationError]] = {
        kind.code: kind for kind in (InputError, ModelRefused, RunFailed, Cancelled)
    }
    return kinds.get(str(fields.get("code")), RunFailed)(message)


def _ended_without_result(code: int, crashed: bool) -> str:
    if code == NOT_STARTED:
        return "The worker could not be started; the log says which program was tried."
    what = "crashed" if crashed else f"ended with code {code}"
    return f"The worker {what} without a result; the log below has its last words. Try the CPU, or a smaller volume."
