"""One comparison of features from the scene: the steps, without a widget.

    idle -> sending -> comparing -> idle

Voxels go to a folder of this session in small steps of a ticker, and stay there for the next comparison as long as they
are the same; features are made by a process (`radiomicsjob`) that stays alive between comparisons.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, ImageTranslationError, InputError, RunFailed
from ..mrml.provenance import provenance_of
from ..mrml.regions import labelmap_of, part_name
from ..mrml.uncertainty import is_map
from . import transfer
from .events import Event, EventParser
from .filemarks import write_sidecar
from .jobserver import JobServer
from .protocols import NOT_STARTED, QUITTING
from .signal import Signal
from .translation import error_of
from .workfolder import WorkFolder

if TYPE_CHECKING:
    from ..radiomics.comparison import Comparison
    from .protocols import Ticker, WorkerProcess

PROGRAM = "imagetranslation.panels.radiomicsjob"
STOPPED = "The comparison was stopped."


@dataclass(frozen=True)
class ComparisonRequest:
    """What to compare. images: role to volume node. region, part: see `mrml.regions`. tissue: segmentation or label map
    over which intensities are normalised, or None. features: name of a set. settings, cohort: files, or "".
    mirp_python: see `radiomicsengines`.
    """

    images: Mapping[str, Any]
    region: Any
    part: str
    tissue: Any = None
    features: str = "pyradiomics"
    settings: str = ""
    cohort: str = ""
    mirp_python: str = ""


class RadiomicsComparison:
    """One comparison at a time. Signals: finished(comparison), failed(error), with Cancelled when it was stopped;
    exactly one follows each `start`.

    new_process: makes a WorkerProcess. ticker: takes the steps. folder: where temporary folders go.
    """

    def __init__(self, new_process: Callable[[], WorkerProcess], ticker: Ticker, folder: str | Path) -> None:
        self.finished, self.failed = Signal(), Signal()
        self._server = JobServer(new_process, PROGRAM)
        self._ticker, self._base = ticker, folder
        self._work: WorkFolder | None = None
        self._sent: dict[str, Any] = {}
        self._job: dict[str, Any] = {}
        self._number = 0
        self._steps: Iterator[Any] | None = None
        self._process: WorkerProcess | None = None
        self._dying: list[WorkerProcess] = []
        self._parser = EventParser()
        self._outcome: Any = None

    @property
    def busy(self) -> bool:
        """Whether a comparison is under way."""
        return self._steps is not None

    @property
    def last_job(self) -> dict[str, Any]:
        """The job of the latest comparison, whose files are there until `close`: for what is exported of it."""
        return self._job

    def start(self, request: ComparisonRequest) -> None:
        """Begin; InputError for what can be refused at once, RuntimeError while another one runs."""
        if self.busy:
            raise RuntimeError("a comparison is under way")
        check_request(request)
        if self._work is None:
            self._work = WorkFolder(self._base)
        self._number += 1
        self._parser, self._outcome = EventParser(), None
        self._steps = self._send(request, self._work.path)
        self._ticker.start(self._step)

    def cancel(self) -> None:
        """Stop now; `failed(Cancelled)` follows before this returns."""
        if self.busy:
            self._end(Cancelled(STOPPED))

    def close(self) -> None:
        """Stop, end the process and delete what was handed over: for a scene or a panel that closes."""
        self.cancel()
        self._server.close()
        for process in list(self._dying):
            process.wait()
        work, self._work = self._work, None
        self._sent, self._job = {}, {}
        if work is not None:
            work.remove()

    def _send(self, request: ComparisonRequest, folder: Path) -> Iterator[Any]:
        images = {}
        for role, node in request.images.items():
            path = folder / f"{role}.nrrd"
            state = _state(node)
            if self._sent.get(role) != state:
                self._sent.pop(role, None)
                yield from transfer.send_volume(node, path)
                _write_record(node, path)
                self._sent[role] = state
            images[role] = {"path": str(path), "name": node.GetName()}
        source = request.images["source"]
        region = yield from self._send_region(request.region, request.part, source, folder / "region")
        tissue = None
        if request.tissue is not None:
            tissue = yield from self._send_region(request.tissue, "", source, folder / "tissue")
        self._job = {
            "task": "compare", "images": images, "region": region, "tissue": tissue, "features": request.features,
            "settings": request.settings, "cohort": request.cohort, "mirp_python": request.mirp_python,
            "record": str(folder / f"comparison {self._number}.json"), "cache": str(folder / "cache"),
            "paths": [path for path in sys.path if path], "parent_pid": os.getpid(),
        }  # fmt: skip
        (folder / "job.json").write_text(json.dumps(self._job), encoding="utf-8")
        self._launch(folder / "job.json")

    def _send_region(self, node: Any, part: str, source: Any, path: Path) -> Generator[Any, None, Any]:
        # A name of its own each time: a process that is being ended may still read the earlier one.
        path = path.with_name(f"{path.name} {self._number}.nrrd")
        yield from transfer.send_volume(labelmap_of(node, part, source), path)
        return {"path": str(path), "name": part_name(node, part) if part else node.GetName()}

    def _launch(self, job: Path) -> None:
        process = self._process = self._server.new_job()
        process.output.connect(self._on_output)
        process.ended.connect(self._on_ended)
        process.start([str(job)])

    def _step(self) -> None:
        try:
            if self._steps is not None:
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
                self._outcome = event.fields
            elif isinstance(event, Event) and event.kind == "error":
                self._outcome = error_of(event.fields)

    def _on_ended(self, code: int, crashed: bool) -> None:
        self._process = None
        if code == QUITTING:
            self._end(Cancelled(STOPPED))
        elif isinstance(self._outcome, ImageTranslationError):
            self._end(self._outcome)
        elif self._outcome is None:
            why = "could not be started" if code == NOT_STARTED else f"ended with code {code} and without a word"
            self._end(RunFailed(f"The process that makes features {why}."))
        else:
            self._receive(Path(self._outcome["record"]))

    def _receive(self, record: Path) -> None:
        from ..radiomics.comparisonrecord import from_record

        try:
            found = from_record(json.loads(record.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            self._end(RunFailed(f"The comparison cannot be read back: {error}."))
        except ImageTranslationError as error:
            self._end(error)
        else:
            self._end(None, found)

    def _end(self, error: ImageTranslationError | None, found: Comparison | None = None) -> None:
        steps, self._steps = self._steps, None
        self._ticker.stop()
        if steps is not None:
            transfer.let_go(steps)
        process, self._process = self._process, None
        if process is not None:
            self._put_down(process)
        if error is not None:
            self.failed(error)
        else:
            self.finished(found)

    def _put_down(self, process: WorkerProcess) -> None:
        """End a process without waiting for it."""

        def gone(code: int, crashed: bool) -> None:
            self._dying.remove(process)

        self._dying.append(process)
        process.output.disconnect()
        process.ended.disconnect()
        process.ended.connect(gone)
        process.stop()


def check_request(request: ComparisonRequest) -> None:
    """InputError for a request that can be refused without starting anything."""
    source, synthetic = request.images.get("source"), request.images.get("synthetic")
    if source is None or synthetic is None:
        raise InputError("Choose a source and a synthetic image first.")
    if request.region is None:
        raise InputError("Choose a region first, or press Draw to draw one.")
    if not request.part:
        raise InputError(f"{request.region.GetName()} is empty: nothing is drawn in it yet.")
    nodes = list(request.images.values())
    if len({node.GetID() for node in nodes}) < len(nodes):
        raise InputError("The same volume is chosen twice; choose a different one for each image.")
    for node in nodes:
        transfer.grid_shape(node)
        if is_map(node):
            raise InputError(f"{node.GetName()} is an uncertainty map, not an image; choose the image.")
        if node.GetTransformNodeID() != source.GetTransformNodeID():
            raise InputError(
                f"{node.GetName()} and {source.GetName()} are under different transforms; harden them first, so that "
                "all images lie on one grid."
            )


def _state(node: Any) -> tuple[Any, ...]:
    """What changes when the image that is handed over would."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    image = node.GetImageData()
    place = tuple(matrix.GetElement(row, column) for row in range(3) for column in range(4))
    # Memory may be used again, so that neither the address nor the time alone would do.
    voxels = (image.GetAddressAsString("vtkImageData"), image.GetMTime(), image.GetPointData().GetScalars().GetMTime())
    return node.GetID(), node.GetName(), place, voxels, provenance_of(node), transfer.modality_of(node)


def _write_record(node: Any, path: Path) -> None:
    """The mark goes with the image; one of an earlier image at this place goes."""
    path.with_suffix(".json").unlink(missing_ok=True)
    record = provenance_of(node)
    if record is not None:
        write_sidecar(path, record)
