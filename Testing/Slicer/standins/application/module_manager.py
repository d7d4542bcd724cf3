"""Loading scripted modules as the application does, and the module objects it hands to them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import slicer
from PySide6.QtCore import Property, QObject, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ..pythonqt import invokable, wrap
from ..widgets.mrml_widgets import qSlicerScriptedLoadableModuleWidget
from ..widgets.storage import stored


class qSlicerScriptedLoadableModule(QObject):
    """The application's side of a scripted module: what `parent` is in its constructor."""

    title = stored("QString", "")
    categories = stored("QStringList", [])
    contributors = stored("QStringList", [])
    associatedNodeTypes = stored("QStringList", [])
    dependencies = stored("QStringList", [])
    helpText = stored("QString", "")
    acknowledgementText = stored("QString", "")
    icon = stored("QIcon", QIcon())
    hidden = stored("bool", False)
    index = stored("int", -1)
    widgetRepresentationCreationEnabled = stored("bool", True)

    def __init__(self, name: str, path: Path, parent: QObject) -> None:
        super().__init__(parent)
        self._name = name
        self._path = path
        self._widget: qSlicerScriptedLoadableModuleWidget | None = None
        self.setObjectName(name)

    name = Property("QString", lambda self: self._name)
    path = Property("QString", lambda self: str(self._path))
    isInstalled = Property("bool", lambda self: False)
    isBuiltIn = Property("bool", lambda self: False)

    @invokable
    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    @invokable
    def logic(self) -> Any:
        return slicer.vtkSlicerScriptedLoadableModuleLogic() if _has_scripted_logic() else None

    @invokable
    def widgetRepresentation(self) -> QWidget:
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    @invokable
    def createNewWidgetRepresentation(self) -> QWidget:
        frame = qSlicerScriptedLoadableModuleWidget()
        frame.setObjectName(f"{self._name}ModuleWidget")
        frame.setProperty("moduleName", self._name)
        frame.setLayout(QVBoxLayout())
        frame.setMRMLScene(slicer.mrmlScene)
        cls = getattr(sys.modules[self._name], f"{self._name}Widget")
        frame._python = cls(wrap(frame))
        setattr(slicer.modules, f"{self._name}Widget", frame._python)
        frame._python.setup()
        return frame

    def close(self) -> None:
        """What unloading does after `cleanup()`: the panel is deleted."""
        if self._widget is not None:
            self._widget.setParent(None)
            self._widget.deleteLater()
            self._widget = None


def _has_scripted_logic() -> bool:
    return hasattr(slicer, "vtkSlicerScriptedLoadableModuleLogic")


class qSlicerModuleFactoryManager(QObject):
    """Names of what is loaded."""

    def __init__(self, manager: qSlicerModuleManager) -> None:
        super().__init__(manager)
        self._manager = manager

    @invokable
    def loadedModuleNames(self) -> list[str]:
        return self._manager.modulesNames()

    @invokable
    def registeredModuleNames(self) -> list[str]:
        return self._manager.modulesNames()


class qSlicerModuleManager(QObject):
    """Loads, lists and unloads modules."""

    moduleLoaded = Signal(str)
    moduleAboutToBeUnloaded = Signal(str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._modules: dict[str, qSlicerScriptedLoadableModule] = {}
        self._factory = qSlicerModuleFactoryManager(self)

    @invokable
    def factoryManager(self) -> QObject:
        return self._factory

    @invokable
    def modulesNames(self) -> list[str]:
        return list(self._modules)

    @invokable
    def module(self, name: str) -> QObject | None:
        return self._modules.get(name)

    def load(self, path: Path) -> qSlicerScriptedLoadableModule:
        """Import the module file by its path, make its module object and run its optional `setup()`."""
        name = path.stem
        spec = importlib.util.spec_from_file_location(name, path)
        python = importlib.util.module_from_spec(spec)
        sys.modules[name] = python
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        spec.loader.exec_module(python)
        module = qSlicerScriptedLoadableModule(name, path, self)
        self._modules[name] = module
        setattr(slicer.modules, name.lower(), wrap(module))
        instance = getattr(python, name)(wrap(module))
        setattr(slicer.modules, f"{name}Instance", instance)
        if hasattr(instance, "setup"):
            instance.setup()
        self.moduleLoaded.emit(name)
        return module

    def unload(self, name: str) -> None:
        """Tell the module, then forget it."""
        self.moduleAboutToBeUnloaded.emit(name)
        self._modules.pop(name).close()
        for attribute in (name.lower(), f"{name}Instance", f"{name}Widget"):
            if hasattr(slicer.modules, attribute):
                delattr(slicer.modules, attribute)
        sys.modules.pop(name, None)
