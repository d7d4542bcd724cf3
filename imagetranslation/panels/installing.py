"""The Installation panel: check, install what is missing, use a local model, remove downloaded ones. Imports `qt`.

What is done lies in `installation`, `requirements` and `probing`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import ImageTranslationError
from ..resources import user_folder
from . import ui
from .installation import Installer
from .process import QtWorkerProcess
from .requirements import describe
from .signal import Signal

if TYPE_CHECKING:
    from .probing import Probe


class InstallPanel:
    """Face of one `Installer` and one `Probe`. modelPicked(path), modelsRemoved(): for the Translate panel."""

    def __init__(self, probe: Probe, installer: Installer) -> None:
        self.modelPicked, self.modelsRemoved = Signal(), Signal()
        self.widget, self.ui = ui.load("InstallPanel")
        self._probe, self._installer = probe, installer
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
        shutil.rmtree(folder)
        self.ui.installationText.text = _("The downloaded models are gone.")
        self._updateModels()
        self.modelsRemoved()

    def _updateModels(self) -> None:
        self.ui.removeModelsButton.enabled = _downloads().is_dir() and any(_downloads().iterdir())


def slicer_installer() -> Installer:
    """An Installer that asks and installs as Slicer does."""
    return Installer(QtWorkerProcess, _ask, _pip, _torch, slicer.app.temporaryPath)


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


def _torch() -> bool:
    """Install torch through the PyTorch extension, which asks by itself; whether it is there afterwards."""
    try:
        import PyTorchUtils
    except ImportError:
        return False
    logic = PyTorchUtils.PyTorchUtilsLogic()
    return bool(logic.torchInstalled() or logic.installTorch(askConfirmation=True) is not None)
