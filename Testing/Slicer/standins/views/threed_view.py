"""A 3D view: Slicer's 3D displayable managers and the corner annotation. Slices only; no volume rendering."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ..pythonqt import invokable
from .vtk_view import VtkView

_MANAGERS = [
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
]


class qMRMLThreeDView(VtkView):
    """The picture of the scene in three dimensions."""

    def __init__(self, node: Any, application_logic: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._node = node
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._start_managers(
            slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), _MANAGERS, application_logic
        )
        self._managers.SetMRMLDisplayableNode(node)

    @invokable
    def mrmlViewNode(self) -> Any:
        return self._node

    @invokable
    def resetFocalPoint(self) -> None:
        self._renderer.ResetCamera()
        self.scheduleRender()


class qMRMLThreeDWidget(QWidget):
    """A 3D view in its frame."""

    def __init__(self, node: Any, application_logic: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = qMRMLThreeDView(node, application_logic, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._view)

    @invokable
    def threeDView(self) -> QWidget:
        return self._view

    @invokable
    def mrmlViewNode(self) -> Any:
        return self._view.mrmlViewNode()

    def finish(self) -> None:
        """Give the graphics resources back."""
        self._view.finish()
