"""The Radiomics panel's button for DICOM report and segmentation, and what the region is. Imports `qt`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import Cancelled, ImageTranslationError
from ..radiomics.dicomreport import TYPES
from . import ui as panel_ui

if TYPE_CHECKING:
    from .radiomicscomparing import RadiomicsComparison
    from .radiomicsreporting import RadiomicsReport

FAILED = "color: #d9534f"


class ReportControls:
    """Face of one `RadiomicsReport`. volumes: role to the volume nodes that were compared."""

    def __init__(
        self, ui: Any, report: RadiomicsReport, comparison: RadiomicsComparison, volumes: Callable[[], dict[str, Any]]
    ) -> None:
        self.ui, self.report = ui, report
        self._comparison, self._volumes = comparison, volumes
        panel_ui.fill(ui.findingComboBox, [_(code.meaning) for code in TYPES], 0)
        ui.reportButton.connect("clicked(bool)", self.onReportOrCancel)
        report.finished.connect(self.onWritten)
        report.failed.connect(self.onFailed)
        self.say("")

    def close(self) -> None:
        """Stop what is being written."""
        self.report.close()

    def onReportOrCancel(self, *_arguments: object) -> None:
        """The button: ask for the folder and write, or stop writing."""
        if self.report.busy:
            self.report.cancel()
            return
        title = _("Folder in which the report gets a folder of its own")
        parent = str(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, ""))
        # While the dialog was open, a changed region may have been compared again.
        if not parent or not self._comparison.last_job or self._comparison.busy:
            return
        finding = TYPES[self.ui.findingComboBox.currentIndex].meaning
        try:
            self.report.start(self._comparison.last_job, self._volumes(), Path(parent), finding)
        except ImageTranslationError as error:
            self.onFailed(error)
            return
        self.say(_("Writing..."))

    def onWritten(self, written: dict[str, Any]) -> None:
        """The files are there."""
        line = _("Written: {files} in {folder}.").format(files=_listed(written["files"]), folder=written["folder"])
        self.say("\n".join([line, *written["sentences"]]))

    def onFailed(self, error: ImageTranslationError) -> None:
        """It was cancelled or went wrong; nothing was written."""
        self.say(str(error), "" if isinstance(error, Cancelled) else FAILED)

    def say(self, text: str, style: str = "") -> None:
        """Show a sentence, and what the button does now."""
        panel_ui.say(self.ui.reportNotice, text, style)
        busy = self.report.busy
        self.ui.reportButton.text = _("Cancel") if busy else _("DICOM SR and SEG...")


def _listed(files: list[str]) -> str:
    """The names, the slices of a series as their number."""
    alone = [name for name in files if "/" not in name.replace("\\", "/")]
    more = len(files) - len(alone)
    return ", ".join([*alone, f"{more} slices of the synthetic series"] if more else alone)
