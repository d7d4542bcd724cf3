"""The Installation panel: check, install what is missing, download, use local and remove models. Imports `qt`.

What is done lies in `installation`, `requirements`, `probing` and `downloading`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..downloads import Download, available
from ..errors import ImageTranslationError
from ..resources import user_folder
from . import ui
from .downloading import ModelDownload
from .installation import Installer
from .process import QtWorkerProcess
from .requirements import NEEDS, TRANSLATION, Need, describe
from .signal import Signal

if TYPE_CHECKING:
    from ..tasks import Task
    from .probing import Probe

_EXTENSION = "PyTorchUtils"
_CONSTRAINTS = "PIP_CONSTRAINT"


class InstallPanel:
    """Face of an `Installer`, a `Probe` and a `ModelDownload`.

    Signals for the Translate panel: modelPicked(path), modelsChanged().
    """

    def __init__(self, task: Task, probe: Probe, installer: Installer, download: ModelDownload) -> None:
        self.modelPicked, self.modelsChanged = Signal(), Signal()
        self.widget, self.ui = ui.load("InstallPanel")
        self._task, self._probe, self._installer, self._download = task, probe, installer, download
        self._offers: list[Download] = []
        self.ui.downloadButton.connect("clicked(bool)", self.onDownloadOrStop)
        download.progressed.connect(self.onDownloadProgress)
        download.finished.connect(self.onDownloaded)
        download.failed.connect(self.onDownloadFailed)
        # Unfolding a section may show what was hidden in it while it was folded.
        self.ui.installSection.connect("contentsCollapsed(bool)", self.onFolded)
        self.ui.checkButton.connect("clicked(bool)", self.onCheck)
        self.ui.installButton.connect("clicked(bool)", self.onInstall)
        self.ui.localModelButton.connect("clicked(bool)", self.onLocalModel)
        self.ui.removeModelsButton.connect("clicked(bool)", self.onRemoveModels)
        probe.answered.connect(self.onProbe)
        installer.finished.connect(self.onInstalled)
        installer.failed.connect(self.onFailed)
        self._updateModels()

    def setParameterNode(self, parameters: Any) -> None:
        """Nothing here belongs to the scene."""

    def close(self) -> None:
        """End what runs."""
        self._installer.close()
        self._download.close()

    def onFolded(self, folded: bool) -> None:
        """The section was folded or unfolded."""
        if not folded:
            self._updateModels()

    def unfold(self) -> None:
        """Show the section."""
        self.ui.installSection.collapsed = False

    def onCheck(self, *_arguments: object) -> None:
        """Look again."""
        self.ui.installationText.text = _("Looking...")
        self._probe.ask(again=True)

    def onProbe(self, report: dict[str, Any]) -> None:
        """The worker's Python said what it has."""
        self.ui.installationText.text = describe(report)
        self.ui.installSection.collapsed = self.ui.installSection.collapsed and not report["trouble"]

    def onInstall(self, *_arguments: object) -> None:
        """Install what is missing."""
        folder = self.ui.wheelPath.currentPath
        self.ui.installButton.enabled = False
        self.ui.installationText.text = _("Asking pip what it would do...")
        self._installer.start(Path(folder) if folder else None)

    def onInstalled(self, sentence: str) -> None:
        """pip is done."""
        self.ui.installButton.enabled = True
        self.ui.installationText.text = sentence
        # Without the package that checks them no models could be listed.
        self.modelsChanged()
        self._probe.ask(again=True)

    def onFailed(self, error: ImageTranslationError) -> None:
        """Nothing was installed."""
        self.ui.installButton.enabled = True
        self.ui.installationText.text = str(error)

    def onLocalModel(self, *_arguments: object) -> None:
        """Ask for a package file and offer it in the Translate panel."""
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Model package"), "", _("Model packages (*.zip model.json)")
        )
        if path:
            self.useModel(str(path))

    def useModel(self, path: str) -> None:
        """Offer a package: a zip, or the model.json of a folder."""
        package = Path(path).parent if Path(path).name == "model.json" else Path(path)
        try:
            self.modelPicked(str(package))
            self.ui.installationText.text = _("{name} can be chosen now.").format(name=package.name)
        except ImageTranslationError as error:
            self.ui.installationText.text = str(error)

    def onRemoveModels(self, *_arguments: object) -> None:
        """Delete what was downloaded, after a question; the shipped models stay."""
        folder = _downloads()
        text = _("Delete all models in {folder}? The shipped ones stay.").format(folder=folder)
        if not slicer.util.confirmOkCancelDisplay(text):
            return
        kept: list[str] = []
        shutil.rmtree(folder, onerror=lambda _call, path, _error: kept.append(str(path)))
        trouble = _("Not all could be deleted: {file} is in use or protected. Restart Slicer and press it again.")
        gone = _("The downloaded models are gone.")
        self.ui.installationText.text = trouble.format(file=kept[0]) if kept else gone
        self._updateModels()
        self.modelsChanged()

    def onDownloadOrStop(self, *_arguments: object) -> None:
        """The one button of downloads."""
        if self._download.busy:
            self._download.cancel()
            return
        item = self._offers[self.ui.downloadComboBox.currentIndex]
        question = _("Download {title}, about {size:g} MB, from {url}?")
        if slicer.util.confirmOkCancelDisplay(question.format(title=item.title, size=item.megabytes, url=item.url)):
            self.ui.downloadButton.text = _("Stop")
            self._download.start(item)

    def onDownloadProgress(self, done: int, total: int) -> None:
        """Bytes done and in all."""
        text = _("{done:.1f} of {total:.1f} MB") if total else _("{done:.1f} MB")
        self.ui.installationText.text = text.format(done=done / 1e6, total=total / 1e6)

    def onDownloaded(self, item: Download) -> None:
        """A model is there."""
        self.ui.installationText.text = _("{title} can be chosen now.").format(title=item.title)
        self._updateModels()
        self.modelsChanged()

    def onDownloadFailed(self, error: ImageTranslationError) -> None:
        """A download was stopped or went wrong."""
        self.ui.installationText.text = str(error)
        self._updateModels()

    def _updateModels(self) -> None:
        self._offers = available(self._task.id)
        ui.fill(self.ui.downloadComboBox, [item.title for item in self._offers], 0)
        self.ui.downloadComboBox.visible = self.ui.downloadButton.visible = bool(self._offers)
        self.ui.downloadButton.text = _("Download")
        self.ui.removeModelsButton.enabled = _downloads().is_dir() and any(_downloads().iterdir())


def slicer_installer(needs: Sequence[Need] = NEEDS, purpose: str = TRANSLATION) -> Installer:
    """An Installer that asks and installs as Slicer does; the arguments are the Installer's."""
    return Installer(QtWorkerProcess, _ask, _pip, _PyTorchExtension(), slicer.app.temporaryPath, needs, purpose)


def _downloads() -> Path:
    return user_folder() / "models"


def _ask(text: str) -> bool:
    return bool(slicer.util.confirmOkCancelDisplay(text, _("Install Python packages")))


def _pip(arguments: list[str]) -> None:
    try:
        from slicer.packaging import pip_install  # 5.12 and newer
    except ImportError:
        from slicer.util import pip_install
    pip_install(arguments)


class _PyTorchExtension:
    """See `installation.TorchExtension`."""

    def present(self) -> bool:
        return importlib.util.find_spec(_EXTENSION) is not None

    def install(self, constraints: Path) -> None:
        utilities = importlib.import_module(_EXTENSION)
        # The extension starts pip by itself and takes no constraints: pip also reads them from its environment, where
        # a path would end at its first space and an address does not.
        before = os.environ.get(_CONSTRAINTS)
        os.environ[_CONSTRAINTS] = " ".join(filter(None, [constraints.resolve().as_uri(), before]))
        try:
            utilities.PyTorchUtilsLogic().installTorch(askConfirmation=False)
        finally:
            if before is None:
                del os.environ[_CONSTRAINTS]
            else:
                os.environ[_CONSTRAINTS] = before
