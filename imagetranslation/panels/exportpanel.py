"""The Export as DICOM panel: which volume, into which study, mark burnt in or not, where to. Imports `qt`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import Cancelled, ImageTranslationError
from ..mrml.provenance import is_synthetic
from ..mrml.uncertainty import is_map
from . import ui
from .exporting import Export, ExportRequest, source_files

FAILED = "color: #d9534f"


class ExportPanel:
    """Face of one `Export`."""

    def __init__(self, export: Export) -> None:
        self.widget, self.ui = ui.load("ExportPanel")
        self._export = export
        self.ui.exportSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.onVolume)
        self.ui.exportSection.connect("contentsCollapsed(bool)", self.onVolume)
        self.ui.exportButton.connect("clicked(bool)", self.onExportOrCancel)
        export.finished.connect(self.onFinished)
        export.failed.connect(self.onFailed)
        self._say("")
        self.onVolume()

    def setParameterNode(self, parameters: Any) -> None:
        """Nothing here is kept with the scene."""

    def close(self) -> None:
        """Stop what runs."""
        self._export.close()

    def show(self, source: Any, synthetic: Any) -> None:
        """A translation is done: its result is what would be exported."""
        self.ui.exportSelector.setCurrentNode(synthetic)
        self.onVolume()

    def onVolume(self, *_arguments: object) -> None:
        """Another volume was chosen, or the section was unfolded."""
        node = self.ui.exportSelector.currentNode()
        synthetic = is_synthetic(node) and not is_map(node)
        files, why = source_files(node) if synthetic else ((), "")
        if is_map(node):
            why = _("This volume is an uncertainty map, not an image; export the image.")
        elif node is not None and not synthetic:
            why = _("Only a synthetic volume is exported here; this one does not say that a model made it.")
        if synthetic and node.GetParentTransformNode() is not None:
            why = " ".join([why, _("The transform over the volume is left out of the export.")]).strip()
        self.ui.exportNotice.text = why
        self.ui.exportNotice.visible = bool(why)
        self.ui.studyCheckBox.enabled = bool(files)
        self._update()

    def onExportOrCancel(self, *_arguments: object) -> None:
        """The one button: ask for the folder and write, or stop writing."""
        if self._export.busy:
            self._export.cancel()
            return
        title = _("Folder in which the DICOM series gets a folder of its own")
        parent = str(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, ""))
        if not parent:
            return
        node = self.ui.exportSelector.currentNode()
        files = source_files(node)[0] if self.ui.studyCheckBox.checked else ()
        try:
            self._export.start(ExportRequest(node, Path(parent), files, self.ui.burnInCheckBox.checked))
        except ImageTranslationError as error:
            self.onFailed(error)
            return
        self._say(_("Writing..."))
        self._update()

    def onFinished(self, report: dict[str, Any]) -> None:
        """The series is there."""
        text = _("Written: {count} DICOM files in {folder}. Point here to read what they say about themselves.")
        self._say(text.format(count=report["files"], folder=report["folder"]))
        self.ui.exportResult.toolTip = report["told"]
        self.onVolume()

    def onFailed(self, error: ImageTranslationError) -> None:
        """It was cancelled or went wrong; nothing was written."""
        self._say(str(error), "" if isinstance(error, Cancelled) else FAILED)
        self.onVolume()

    def _update(self) -> None:
        """What the button does now."""
        node, busy = self.ui.exportSelector.currentNode(), self._export.busy
        self.ui.exportButton.enabled = busy or (is_synthetic(node) and not is_map(node))
        self.ui.exportButton.text = _("Cancel") if busy else _("Export as DICOM...")
        self.ui.exportButton.toolTip = (
            _("Stop; no series is left behind.")
            if busy
            else _("Choose a folder and write the series into a new folder in it.")
        )

    def _say(self, text: str, style: str = "") -> None:
        self.ui.exportResult.text = text
        self.ui.exportResult.styleSheet = style
        self.ui.exportResult.toolTip = ""
        self.ui.exportResult.visible = bool(text)
