"""What a module's panel is made of: translate, side by side, several volumes, radiomics, export, installation and the
reader study, tied together.

The module shells hold Slicer's classes and say when the module is shown and left; everything shared is here, what the
closing of the scene does included. Imports `qt`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer

from . import requirements, ui
from .batch import Batch
from .batchpanel import BatchPanel
from .compare import ComparePanel
from .counting import CountsPanel
from .downloading import ModelDownload
from .exporting import Export
from .exportpanel import ExportPanel
from .installing import InstallPanel, slicer_installer
from .jobserver import JobServer
from .marking import mark_all_views
from .probing import Probe
from .process import QtTicker, QtWorkerProcess
from .radiomicscomparing import RadiomicsComparison
from .radiomicsengines import MIRP
from .radiomicspanel import RadiomicsPanel
from .radiomicsreporting import RadiomicsReport
from .readingpanel import ReadingPanel
from .translate import TranslatePanel
from .translation import Translation
from .workfolder import sweep

if TYPE_CHECKING:
    from ..tasks import Task


class ModulePanel:
    """All panels of one task, in the widget that was made of the module's .ui file.

    logic: the module's, with `task` and `getParameterNode()`. frame: the application's widget around the module, which
    knows whether it is shown.
    """

    def __init__(self, logic: Any, frame: Any, widget: Any) -> None:
        sweep(slicer.app.temporaryPath)
        mark_all_views()
        self.task: Task = logic.task
        self._logic, self._frame, self._widget = logic, frame, widget
        self._hidden: list[Any] = []
        self._make()
        children = slicer.util.childWidgetVariables(widget)
        children.taskLabel.text = self.task.summary
        for panel in self.panels:
            children.panelFrame.layout().addWidget(panel.widget)
        widget.setMRMLScene(slicer.mrmlScene)
        scene = slicer.mrmlScene
        self._tags = [
            scene.AddObserver(scene.StartCloseEvent, self.onSceneStartClose),
            scene.AddObserver(scene.EndCloseEvent, self.onSceneEndClose),
        ]
        self.setParameterNode(logic.getParameterNode())

    def _make(self) -> None:
        task = self.task
        self.translation = Translation(QtWorkerProcess, QtTicker(), slicer.app.temporaryPath)
        self.probe = Probe(QtWorkerProcess)
        self.translate = TranslatePanel(task, self.translation, self.probe, requirements.hindrance)
        # A translation of its own: the Translate panel's messages are not the batch's. One worker does all its volumes.
        server = JobServer(QtWorkerProcess)
        self.batch = Batch(Translation(server.new_job, QtTicker(), slicer.app.temporaryPath))
        self.batch.ended.connect(server.close)
        self.several = BatchPanel(task, self.batch, self.translate)
        self.compare = ComparePanel(task)
        self.translate.translated.connect(self.compare.show)
        comparison = RadiomicsComparison(QtWorkerProcess, QtTicker(), slicer.app.temporaryPath)
        report = RadiomicsReport(QtWorkerProcess, slicer.app.temporaryPath)
        self.radiomics = RadiomicsPanel(comparison, report, slicer_installer([MIRP], "MIRP"))
        self.translate.translated.connect(self.onTranslated)
        comparison.finished.connect(self.onCompared)
        self.export = ExportPanel(Export(QtWorkerProcess, QtTicker(), slicer.app.temporaryPath))
        self.translate.translated.connect(self.export.show)
        self.install = InstallPanel(task, self.probe, slicer_installer(), ModelDownload(QtWorkerProcess))
        self.translate.installationNeeded.connect(self.install.unfold)
        self.install.modelPicked.connect(self.translate.addModel)
        self.install.modelsChanged.connect(self.translate.refreshModels)
        self.panels: list[Any] = [self.translate, self.several, self.compare, self.radiomics, self.export, self.install]
        if task.counts:
            self.counts = CountsPanel(task, self.compare.images)
            self.panels.insert(3, self.counts)
        self.reading = ReadingPanel(str(self._logic.moduleName))
        self.reading.began.connect(self.onReadingBegan)
        self.reading.ended.connect(self.onReadingEnded)
        self.panels.append(self.reading)

    def onTranslated(self, source: Any, synthetic: Any) -> None:
        """What was just translated is what would be compared."""
        self.radiomics.show(source, synthetic, self._logic.getParameterNode().referenceVolume)

    def onCompared(self, _found: Any) -> None:
        """The largest section has got its contents; once they are laid out, all sentences get their lines."""
        qt.QTimer.singleShot(0, self._fit)

    def _fit(self) -> None:
        if self._widget:
            ui.fit(self._widget)

    def setParameterNode(self, parameters: Any) -> None:
        """Tie all panels to a parameter node, or to none."""
        for panel in self.panels:
            panel.setParameterNode(parameters)

    def enter(self) -> None:
        """The module is shown: its views come back; find out once a session which devices there are."""
        self.setParameterNode(self._logic.getParameterNode())
        self.compare.resume()
        self.radiomics.resume()
        self.probe.ask()

    def exit(self) -> None:
        """Another module is shown: the earlier views come back; a translation under way goes on.

        The panels keep their parameter node: the application may show a module again without entering it.
        """
        self.compare.suspend()
        self.radiomics.suspend()

    def onReadingBegan(self) -> None:
        """A blinded reading is open: nothing else may be done beside it, nor take its images up as an input."""
        self.setParameterNode(None)
        self.compare.ui.compareButton.checked = False
        self._hidden = [panel.widget for panel in self.panels if panel is not self.reading]
        for widget in self._hidden:
            widget.visible = False

    def onReadingEnded(self) -> None:
        """The reading was left: the other panels come back."""
        for widget in self._hidden:
            if widget:
                widget.visible = True
        self._hidden = []
        self.setParameterNode(self._logic.getParameterNode())

    def onSceneStartClose(self, *_arguments: object) -> None:
        """The scene is about to go: nothing of ours may outlive it."""
        self.translation.cancel()
        self.batch.cancel()
        self.export.close()
        self.reading.leave()
        self.compare.ui.compareButton.checked = False
        self.setParameterNode(None)

    def onSceneEndClose(self, *_arguments: object) -> None:
        """The scene was closed; if the module is in view, start afresh."""
        if self._frame.isEntered:
            self.setParameterNode(self._logic.getParameterNode())

    def close(self) -> None:
        """The module is reloaded or the application quits."""
        for tag in self._tags:
            slicer.mrmlScene.RemoveObserver(tag)
        # First of all: whatever fails later, the application is not left locked.
        self.reading.close()
        for panel in self.panels:
            panel.close()
        self.probe.close()
