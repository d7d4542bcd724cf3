"""An offscreen VTK render window inside a QWidget, with the corner annotation every Slicer view has."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QWidget
from vtk.util.numpy_support import vtk_to_numpy

from ..pythonqt import invokable

RENDER_DELAY_MS = 16


class VtkView(QWidget):
    """Renders when asked or when a displayable manager asks; paints the last rendering."""

    resized = Signal(QSize)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._renderer = vtk.vtkRenderer()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.SetSize(max(self.width(), 2), max(self.height(), 2))
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.Initialize()
        self._corner = vtk.vtkCornerAnnotation()
        self._corner.SetMaximumLineHeight(0.07)
        self._corner.GetTextProperty().ShadowOn()
        self._corner.ClearAllTexts()
        self._renderer.AddViewProp(self._corner)
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._picture: np.ndarray | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(RENDER_DELAY_MS)
        self._timer.timeout.connect(self._render)
        self.renders = 0
        self.setMinimumSize(60, 40)

    def _start_managers(self, factory: Any, names: list[str], application_logic: Any) -> None:
        factory.SetMRMLApplicationLogic(application_logic)
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self._managers.Initialize(factory, self._renderer)
        self._managers.AddObserver("UpdateEvent", lambda *_: self.scheduleRender())

    @invokable
    def scheduleRender(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    @invokable
    def forceRender(self) -> None:
        self._timer.stop()
        self._render()

    def _render(self) -> None:
        self._window.Render()
        self.renders += 1
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self._window)
        grabber.ReadFrontBufferOff()
        grabber.SetInputBufferTypeToRGB()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        flat = vtk_to_numpy(image.GetPointData().GetScalars())
        self._picture = np.ascontiguousarray(flat.reshape(height, width, 3)[::-1])
        self.update()

    def pixels(self) -> np.ndarray:
        """(row, column, RGB) uint8 of a fresh rendering; row 0 is the top. For tests only."""
        self.forceRender()
        return self._picture.copy()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._interactor.UpdateSize(max(self.width(), 2), max(self.height(), 2))
        self.resized.emit(self.size())
        self.scheduleRender()

    def paintEvent(self, event: Any) -> None:
        painter = QPainter(self)
        if self._picture is None:
            painter.fillRect(self.rect(), Qt.GlobalColor.black)
        else:
            rows, columns, _ = self._picture.shape
            image = QImage(self._picture.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
            painter.drawImage(self.rect(), image)
        painter.end()

    @invokable
    def renderWindow(self) -> Any:
        return self._window

    @invokable
    def interactor(self) -> Any:
        return self._interactor

    @invokable
    def interactorStyle(self) -> Any:
        return self._interactor.GetInteractorStyle()

    @invokable
    def cornerAnnotation(self) -> Any:
        return self._corner

    @invokable
    def displayableManagerByClassName(self, name: str) -> Any:
        return self._managers.GetDisplayableManagerByClassName(name)

    @invokable
    def getDisplayableManagers(self, collection: Any) -> None:
        for index in range(self._managers.GetDisplayableManagerCount()):
            collection.AddItem(self._managers.GetNthDisplayableManager(index))

    def finish(self) -> None:
        """Release the graphics resources; the view is of no use afterwards."""
        self._timer.stop()
        self._managers.SetMRMLDisplayableNode(None)
        self._window.Finalize()
