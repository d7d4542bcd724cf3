"""The Several volumes panel: choose what, press Translate all, read a table of what happened. Imports `qt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import ImageTranslationError, InputError
from . import ui
from .batch import CANCELLED, DONE, FAILED, RUNNING, WAITING, Batch, Item, folder_items, scene_items, sequence_items
from .translation import Request

if TYPE_CHECKING:
    from ..tasks import Task
    from .translate import TranslatePanel

SCENE, FOLDER, SEQUENCE = range(3)


class BatchPanel:
    """Face of one `Batch`; model, device and looks are those of the Translate panel."""

    def __init__(self, task: Task, batch: Batch, translate: TranslatePanel) -> None:
        self.widget, self.ui = ui.load("BatchPanel")
        self._task, self._batch, self._translate = task, batch, translate
        self.ui.batchTable.horizontalHeader().setStretchLastSection(True)
        # Unfolding a section may show what was hidden in it while it was folded.
        self.ui.batchSection.connect("contentsCollapsed(bool)", self.onFolded)
        self.ui.batchSourceComboBox.connect("currentIndexChanged(int)", self.onSource)
        self.ui.batchButton.connect("clicked(bool)", self.onStartOrCancel)
        batch.changed.connect(self.onRow)
        batch.ended.connect(self.onEnded)
        self.onSource(SCENE)

    def setParameterNode(self, parameters: Any) -> None:
        """What a batch does is not part of the scene."""

    def close(self) -> None:
        """Stop."""
        self._batch.cancel()

    def onFolded(self, folded: bool) -> None:
        """The section was folded or unfolded."""
        if not folded:
            self.onSource(self._kind())

    def onSource(self, index: int) -> None:
        """Show only what belongs to the chosen kind."""
        for names, kinds in (
            (("folderLabel", "batchInputPath", "resultsLabel", "batchOutputPath"), (FOLDER,)),
            (("sequenceLabel", "sequenceSelector"), (SEQUENCE,)),
        ):
            for name in names:
                getattr(self.ui, name).visible = index in kinds

    def onStartOrCancel(self, *_arguments: object) -> None:
        """The one button."""
        if self._batch.busy:
            self._batch.cancel()
            return
        try:
            template = self._translate.template()
            items = self._items(template)
        except ImageTranslationError as error:
            self._fill([("", _state(FAILED), str(error))])
            return
        self._fill([(item.label, "", "") for item in items])
        self.ui.batchButton.text = _("Cancel")
        folder = self.ui.batchOutputPath.currentPath
        self._batch.start(items, Path(folder) if self._kind() == FOLDER else None)

    def onRow(self, number: int) -> None:
        """The state of one volume has changed."""
        row = self._batch.rows[number]
        for column, text in enumerate((row.label, _state(row.state), row.message)):
            self.ui.batchTable.item(number, column).setText(text)

    def onEnded(self) -> None:
        """All is over."""
        for number in range(len(self._batch.rows)):
            self.onRow(number)
        self.ui.batchButton.text = _("Translate all")

    def _kind(self) -> int:
        return int(self.ui.batchSourceComboBox.currentIndex)

    def _items(self, template: Request) -> list[Item]:
        if self._kind() == FOLDER:
            inputs, outputs = self.ui.batchInputPath.currentPath, self.ui.batchOutputPath.currentPath
            return folder_items(Path(inputs), Path(outputs), template, self._task.target.modality)
        if self._kind() == SEQUENCE:
            sequence = self.ui.sequenceSelector.currentNode()
            if sequence is None:
                raise InputError(_("Choose a sequence first."))
            return sequence_items(sequence, template)
        return scene_items(slicer.mrmlScene, template)

    def _fill(self, rows: list[tuple[str, str, str]]) -> None:
        table = self.ui.batchTable
        table.setRowCount(len(rows))
        self._cells = [[qt.QTableWidgetItem(text) for text in row] for row in rows]
        for number, row in enumerate(self._cells):
            for column, cell in enumerate(row):
                table.setItem(number, column, cell)


def _state(state: str) -> str:
    """A row's state in the person's language; the table on the disk keeps ours."""
    words = {
        WAITING: _("waiting"), RUNNING: _("running"), DONE: _("done"), FAILED: _("failed"), CANCELLED: _("cancelled"),
    }  # fmt: skip
    return str(words[state])
