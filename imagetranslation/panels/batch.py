"""Several volumes, one after another: of the scene, of a folder, of a sequence. No widget.

A failure is written down and the batch goes on; cancelling ends the volume under way and keeps what is done.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import slicer

from ..batch import COLUMNS, REPORT, find_inputs
from ..errors import Cancelled, ImageTranslationError, InputError
from ..files import make_folder, write_text
from ..jobs import default_name
from ..mrml.provenance import is_synthetic
from ..provenance import MARK
from .signal import Signal
from .translation import FileRequest, Request, Translation

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"


@dataclass(frozen=True)
class Item:
    """One volume of a batch. keep: called with the result, for what must happen to it."""

    label: str
    request: Request | FileRequest
    keep: Callable[[Any], None] = lambda result: None


@dataclass
class Row:
    """What happened to one volume."""

    label: str
    state: str = WAITING
    message: str = ""
    report: dict[str, Any] | None = None


def scene_items(scene: Any, template: Request) -> list[Item]:
    """Every real scalar or colour volume of the scene. template: model, device and looks; its source is replaced."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode") for index in range(count)]
    real = [n for n in nodes if not n.IsA("vtkMRMLLabelMapVolumeNode") and not n.GetHideFromEditors()]
    items = [
        Item(n.GetName(), replace(template, source=n, output=None, mask=None)) for n in real if not is_synthetic(n)
    ]
    if not items:
        raise InputError("The scene holds no volume that could be translated.")
    return items


def folder_items(inputs: Path, outputs: Path, template: Request, modality: str) -> list[Item]:
    """Every image below a folder; results keep the inputs' names. InputError for folders that do not fit."""
    if not inputs.is_dir():
        raise InputError("Choose the folder with the images.")
    if str(outputs) in ("", "."):
        raise InputError("Choose the folder for the results.")
    found = find_inputs(str(inputs), outputs) or [inputs]
    common = inputs if found != [inputs] else inputs.parent
    items = []
    for path in found:
        target = outputs / path.parent.relative_to(common) / default_name(path, modality)
        request = FileRequest(path, target, template.model, template.device, template.uncertainty)
        items.append(Item(str(path.relative_to(common)), request))
    return items


def sequence_items(sequence: Any, template: Request) -> list[Item]:
    """Every volume of a sequence; the results become a new sequence with the same index values."""
    count = sequence.GetNumberOfDataNodes()
    volumes = [sequence.GetNthDataNode(index) for index in range(count)]
    if not volumes or not all(node.IsA("vtkMRMLScalarVolumeNode") for node in volumes):
        raise InputError(f"{sequence.GetName()} is not a sequence of volumes.")
    target = _Sequence(sequence)
    items = []
    for index, node in enumerate(volumes):
        value = sequence.GetNthIndexValue(index)
        output = slicer.vtkMRMLScalarVolumeNode()
        output.SetName(f"{MARK} of {node.GetName()}")
        # A sequence holds one volume a step; maps beside them would be another sequence.
        request = replace(template, source=node, output=output, mask=None, uncertainty=False)
        items.append(Item(f"{sequence.GetName()} [{value}]", request, target.keeper(value)))
    return items


class Batch:
    """Runs items through one `Translation`. changed(row number): a row has changed; ended(): all is over."""

    def __init__(self, translation: Translation) -> None:
        self.changed, self.ended = Signal(), Signal()
        self.rows: list[Row] = []
        self._translation = translation
        self._items: list[Item] = []
        self._number = -1
        self._table: Path | None = None
        translation.finished.connect(self._on_finished)
        translation.failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether a batch is under way."""
        return self._number >= 0

    def start(self, items: list[Item], table: Path | None = None) -> None:
        """Begin. table: folder in which a table of what happened is kept up to date."""
        self._items, self._table = items, table
        self.rows = [Row(item.label) for item in items]
        self._number = 0
        self._next()

    def cancel(self) -> None:
        """End the volume under way and leave the others alone."""
        if self.busy:
            for row in self.rows[self._number :]:
                row.state = CANCELLED
            self._translation.cancel()

    def _next(self) -> None:
        while self.busy and self._number < len(self._items):
            row, item = self.rows[self._number], self._items[self._number]
            row.state = RUNNING
            self.changed(self._number)
            try:
                if isinstance(item.request, FileRequest):
                    make_folder(item.request.output.parent)
                self._translation.start(item.request)
            except ImageTranslationError as error:
                self._note(FAILED, str(error))
                continue
            return
        self._finish()

    def _on_finished(self, result: Any, report: dict[str, Any]) -> None:
        if self.busy:
            self._items[self._number].keep(result)
            self.rows[self._number].report = report
            self._note(DONE, " ".join([*report.get("notes", []), *report.get("uncertainty_notes", [])]))
            self._next()

    def _on_failed(self, error: ImageTranslationError) -> None:
        if not self.busy:
            return
        if isinstance(error, Cancelled):
            self._note(CANCELLED, str(error))
            self._finish()
        else:
            self._note(FAILED, str(error))
            self._next()

    def _note(self, state: str, message: str) -> None:
        row = self.rows[self._number]
        row.state, row.message = state, message
        trouble = self._write()
        if trouble not in message:
            row.message = f"{message} {trouble}".strip()
        self.changed(self._number)
        self._number += 1

    def _finish(self) -> None:
        self._number = -1
        self._write()
        self.ended()

    def _write(self) -> str:
        """The table of the command line's batch, with its columns and its name; why it could not be written, or ""."""
        if self._table is None:
            return ""
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", restval="")
        table.writeheader()
        for item, row in zip(self._items, self.rows):
            if row.state != WAITING:
                facts = row.report or {"input": str(item.request.source), "model": item.request.model}
                seconds = facts.get("seconds_to_translate", "")
                table.writerow({**facts, "status": row.state, "seconds": seconds, "message": row.message})
        try:
            write_text(make_folder(self._table) / REPORT, text.getvalue())
        except ImageTranslationError as error:
            return str(error)
        return ""


class _Sequence:
    """The sequence of results; it comes into the scene with the first of them."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._node: Any = None

    def keeper(self, value: str) -> Callable[[Any], None]:
        """What puts a result at an index value."""

        def keep(result: Any) -> None:
            self._ready().SetDataNodeAtValue(result, value)

        return keep

    def _ready(self) -> Any:
        if self._node is None or self._node.GetScene() is None:
            scene = self._source.GetScene()
            name = scene.GenerateUniqueName(f"{MARK} of {self._source.GetName()}")
            self._node = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
            self._node.SetIndexName(self._source.GetIndexName())
            self._node.SetIndexUnit(self._source.GetIndexUnit())
            self._node.SetIndexType(self._source.GetIndexType())
            for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
                browser = scene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode")
                if browser.IsSynchronizedSequenceNode(self._source, True):
                    browser.AddSynchronizedSequenceNode(self._node)
        return self._node
