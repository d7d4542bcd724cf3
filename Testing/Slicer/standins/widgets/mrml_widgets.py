"""Slicer's plain widgets: containers that carry the scene to the widgets inside them."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, Signal
from PySide6.QtWidgets import QWidget

from ..pythonqt import cpp_signals, invokable
from .ctk_numbers import ctkSliderWidget as _ctkSliderWidget
from .storage import stored


class _SceneWidget(QWidget):
    _scene: Any = None

    @invokable
    def mrmlScene(self) -> Any:
        return self._scene

    @invokable
    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


@cpp_signals(mrmlSceneChanged="vtkMRMLScene*")
class qMRMLWidget(_SceneWidget):
    """A widget with a scene."""

    mrmlSceneChanged = Signal(object)


@cpp_signals(mrmlSceneChanged="vtkMRMLScene*")
class qSlicerWidget(_SceneWidget):
    """The base of a module's panel; unlike qMRMLWidget it does not show its scene to Python."""

    mrmlSceneChanged = Signal(object)

    def mrmlScene(self) -> Any:
        return self._scene


class qMRMLSliderWidget(_ctkSliderWidget):
    """CTK's slider with the scene's units."""

    quantity = stored("QString", "")
    _scene: Any = None

    @invokable
    def mrmlScene(self) -> Any:
        return self._scene

    @invokable
    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene


class qSlicerAbstractModuleWidget(qSlicerWidget):
    """A module's panel as the application sees it: the frame that holds the Python widget."""

    _entered = False

    @invokable
    def enter(self) -> None:
        self._entered = True

    @invokable
    def exit(self) -> None:
        self._entered = False

    isEntered = Property("bool", lambda self: self._entered)


class qSlicerScriptedLoadableModuleWidget(qSlicerAbstractModuleWidget):
    """The panel of a scripted module; `self()` is its Python object."""

    _python: Any = None
    moduleName = stored("QString", "")

    @invokable
    def self(self) -> Any:
        return self._python

    @invokable
    def reload(self) -> None:
        """A new Python widget in the same frame, from the class that the reloaded module has now."""
        import sys

        import slicer

        from ..pythonqt import wrap

        name = type(self._python).__name__
        self._python = getattr(sys.modules[self.property("moduleName")], name)(wrap(self))
        setattr(slicer.modules, name, self._python)
        self._python.setup()

    @invokable
    def enter(self) -> None:
        super().enter()
        if hasattr(self._python, "enter"):
            self._python.enter()

    @invokable
    def exit(self) -> None:
        super().exit()
        if hasattr(self._python, "exit"):
            self._python.exit()


class qMRMLSegmentEditorWidget(qMRMLWidget):
    """Slicer's editor of segments without its effects: what is drawn in, on which image, which segment."""

    _segmentation: Any = None
    _source: Any = None
    _segment = ""

    @invokable
    def segmentationNode(self) -> Any:
        return self._segmentation

    @invokable
    def setSegmentationNode(self, node: Any) -> None:
        self._segmentation = node
        segments = node.GetSegmentation().GetSegmentIDs() if node is not None else ()
        self._segment = segments[0] if segments else ""

    @invokable
    def sourceVolumeNode(self) -> Any:
        return self._source

    @invokable
    def setSourceVolumeNode(self, node: Any) -> None:
        """As in the application, nothing can be drawn on before there is something to draw in."""
        if self._segmentation is None and node is not None:
            raise RuntimeError("qMRMLSegmentEditorWidget::setSourceVolumeNode failed: need to set segmentation first")
        self._source = node

    @invokable
    def currentSegmentID(self) -> str:
        return self._segment

    @invokable
    def setCurrentSegmentID(self, segment: str) -> None:
        if self._segmentation is None or self._segmentation.GetSegmentation().GetSegment(segment) is None:
            raise RuntimeError(f"there is no segment {segment}")
        self._segment = segment
