"""What a module's panel is made of: translate, side by side, several volumes, export, installation, tied together.

The module shells hold Slicer's classes and hand their parameter node over; everything shared is here. Imports `qt`
through its parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

from . import requirements
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
from .translate import TranslatePanel
from .translation import Translation
from .workfolder import sweep

if TYPE_CHECKING:
    from ..tasks import Task


class ModulePanel:
    """All panels of one task. add_to: puts them into a layout."""

    def __init__(self, task: Task) -> None:
        sweep(slicer.app.temporaryPath)
        mark_all_views()
        self.task = task
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
        self.export = ExportPanel(Export(QtWorkerProcess, QtTicker(), slicer.app.temporaryPath))
        self.translate.translated.connect(self.export.show)
        self.install = InstallPanel(task, self.probe, slicer_installer(), ModelDownload(QtWorkerProcess))
        self.translate.installationNeeded.connect(self.install.unfold)
        self.install.modelPicked.connect(self.translate.addModel)
        self.install.modelsChanged.connect(self.translate.refreshModels)
        self.panels: list[Any] = [self.translate, self.several, self.compare, self.export, self.install]
        if task.counts:
            self.counts = CountsPanel(task, self.compare.images)
            self.panels.insert(3, self.counts)

    def addTo(self, layout: Any) -> None:
        """Put the panels into a Qt layout."""
        for panel in self.panels:
            layout.addWidget(panel.widget)

    def setParameterNode(self, parameters: Any) -> None:
        """Tie all panels to a parameter node, or to none."""
        for panel in self.panels:
            panel.setParameterNode(parameters)

    def enter(self) -> None:
        """The module is shown: its views come back; find out once a session which devices there are."""
        self.compare.resume()
        self.probe.ask()

    def exit(self) -> None:
        """Another module is shown: the earlier views come back; a translation under way goes on.

        The panels keep their parameter node: the application may show a module again without entering it.
        """
        self.compare.suspend()

    def sceneCloses(self) -> None:
        """The scene is about to go: nothing of ours may outlive it."""
        self.translation.cancel()
        self.batch.cancel()
        self.export.close()
        self.compare.ui.compareButton.checked = False
        self.setParameterNode(None)

    def close(self) -> None:
        """The module is reloaded or the application quits."""
        for panel in self.panels:
            panel.close()
        self.probe.close()
