"""`slicer.app`: qSlicerApplication with the properties and methods that module code uses.

Paths point into a temporary folder and settings live in files there, so that tests can't touch a person's own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PySide6.QtCore import Property, QObject, QProcessEnvironment, QSettings, Signal
from PySide6.QtWidgets import QApplication

from ..pythonqt import cpp_signals, invokable
from ..widgets.storage import stored

VERSION = (5, 12, 3)


def _constant(kind: str, read: Any) -> Property:
    return Property(kind, lambda self: read(self), constant=True)


class qSlicerCommandOptions(QObject):
    """The command line the application was started with."""

    testingEnabled = stored("bool", False)
    runPythonAndExit = stored("bool", False)
    noMainWindow = stored("bool", False)


class ctkPythonConsole(QObject):
    """The console; it has no widget here."""


class qSlicerExtensionsManagerModel(QObject):
    """Which extensions are installed: those a test names in `installed`."""

    installed: tuple[str, ...] = ()

    @invokable
    def isExtensionInstalled(self, name: str) -> bool:
        return name in self.installed

    @invokable
    def installedExtensions(self) -> list[str]:
        return list(self.installed)


@cpp_signals(mrmlSceneChanged="vtkMRMLScene*")
class qSlicerApplication(QApplication):
    """See the module's docstring."""

    startupCompleted = Signal()
    mrmlSceneChanged = Signal(object)
    exit_code: int | None = None

    def __init__(self, folder: Path) -> None:
        super().__init__(["Slicer"])
        self._folder = folder
        self.setApplicationName("Slicer")
        self.setOrganizationName("NA-MIC")
        self.setApplicationVersion(".".join(map(str, VERSION)))
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        for scope in (QSettings.Scope.UserScope, QSettings.Scope.SystemScope):
            QSettings.setPath(QSettings.Format.IniFormat, scope, str(folder / "settings"))
        self._settings = QSettings()
        self._options = qSlicerCommandOptions(self)
        self._extensions = qSlicerExtensionsManagerModel(self)
        self._temporary = str(folder / "temporary")
        self._parts: dict[str, Any] = {}
        for name in ("temporary", "cache", "scenes", "extensions"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def install(self, **parts: Any) -> None:
        """Hand over what is made after the application object: scene, logics, managers, main window."""
        self._parts |= parts

    majorVersion = _constant("int", lambda self: VERSION[0])
    minorVersion = _constant("int", lambda self: VERSION[1])
    mainApplicationMajorVersion = _constant("int", lambda self: VERSION[0])
    mainApplicationMinorVersion = _constant("int", lambda self: VERSION[1])
    mainApplicationPatchVersion = _constant("int", lambda self: VERSION[2])
    mainApplicationName = _constant("QString", lambda self: "Slicer")
    revision = _constant("QString", lambda self: "0")
    releaseType = _constant("QString", lambda self: "Stable")
    platform = _constant("QString", lambda self: "linux-amd64")
    arch = _constant("QString", lambda self: "amd64")
    os = _constant("QString", lambda self: "linux")
    slicerHome = _constant("QString", lambda self: str(self._folder / "home"))
    temporaryPath = Property(
        "QString", lambda self: str(self._temporary), lambda self, path: setattr(self, "_temporary", path)
    )
    cachePath = _constant("QString", lambda self: str(self._folder / "cache"))
    defaultScenePath = _constant("QString", lambda self: str(self._folder / "scenes"))
    extensionsInstallPath = _constant("QString", lambda self: str(self._folder / "extensions"))
    startupWorkingPath = _constant("QString", lambda self: str(Path.cwd()))
    slicerUserSettingsFilePath = _constant("QString", lambda self: self._settings.fileName())
    launcherExecutableFilePath = _constant("QString", lambda self: "")
    documentationBaseUrl = _constant("QString", lambda self: "https://slicer.readthedocs.io/en/latest/")
    isInstalled = _constant("bool", lambda self: True)

    @invokable
    def commandOptions(self) -> QObject:
        return self._options

    @invokable
    def testingEnabled(self) -> bool:
        return self._options.testingEnabled

    @invokable
    def settings(self) -> QSettings:
        return self._settings

    @invokable
    def userSettings(self) -> QSettings:
        return self._settings

    @invokable
    def revisionUserSettings(self) -> QSettings:
        return self._settings

    @invokable
    def extensionsManagerModel(self) -> QObject:
        return self._extensions

    @invokable
    def mrmlScene(self) -> Any:
        return self._parts["scene"]

    @invokable
    def applicationLogic(self) -> Any:
        return self._parts["application_logic"]

    @invokable
    def layoutManager(self) -> QObject:
        return self._parts["layout_manager"]

    @invokable
    def moduleManager(self) -> QObject:
        return self._parts["module_manager"]

    @invokable
    def coreIOManager(self) -> QObject:
        return self._parts["io_manager"]

    @invokable
    def ioManager(self) -> QObject:
        return self._parts["io_manager"]

    @invokable
    def pythonConsole(self) -> QObject:
        return self._parts.setdefault("console", ctkPythonConsole(self))

    @invokable
    def moduleLogic(self, name: str) -> Any:
        return self._parts["application_logic"].GetModuleLogic(name)

    @invokable
    def moduleDocumentationUrl(self, name: str) -> str:
        return f"https://slicer.readthedocs.io/en/latest/user_guide/modules/{name.lower()}.html"

    @invokable
    def startupEnvironment(self) -> QProcessEnvironment:
        return QProcessEnvironment.systemEnvironment()

    @invokable
    def environment(self) -> QProcessEnvironment:
        return QProcessEnvironment.systemEnvironment()

    @invokable
    def setEnvironmentVariable(self, key: str, value: str) -> None:
        os.environ[key] = value

    @invokable
    def toSlicerHomeAbsolutePath(self, path: str) -> str:
        return str(self._folder / "home" / path)

    @invokable
    def translate(self, context: str, text: str) -> str:
        return text

    @invokable
    def setRenderPaused(self, paused: bool) -> None:
        self._parts["layout_manager"].setRenderPaused(paused)

    @invokable
    def pauseRender(self) -> None:
        self.setRenderPaused(True)

    @invokable
    def resumeRender(self) -> None:
        self.setRenderPaused(False)

    @invokable
    def setOverrideCursor(self, cursor: Any) -> None:
        QApplication.setOverrideCursor(cursor)

    @invokable
    def exit(self, code: int = 0) -> None:
        """Only recorded: the test process goes on."""
        qSlicerApplication.exit_code = code

    @invokable
    def restart(self) -> None:
        qSlicerApplication.exit_code = 0
