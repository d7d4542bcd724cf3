"""A slice view: vtkMRMLSliceLogic's image, Slicer's 2D displayable managers, and the controller bar above."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6.QtCore import Property, Qt, QTimer, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from ..pythonqt import cpp_signals, invokable
from ..widgets.mrml_widgets import qMRMLSliderWidget
from .layer_selectors import LayerSelectors
from .vtk_view import VtkView

_MANAGERS = [
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
]


class qMRMLSliceView(VtkView):
    """The picture of a slice."""

    def __init__(self, logic: Any, application_logic: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._logic = logic
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        self._mapper = mapper
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self._actor.SetVisibility(False)
        self._renderer.AddViewProp(self._actor)
        self._start_managers(
            slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), _MANAGERS, application_logic
        )
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetSliceLogic(logic)
        self._style.SetDisplayableManagers(self._managers)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._style.SetInteractor(self._interactor)
        self._managers.SetMRMLDisplayableNode(logic.GetSliceNode())
        self._observed = logic.AddObserver("ModifiedEvent", lambda *_: self._image_changed())
        self.resized.connect(lambda size: logic.ResizeSliceNode(size.width(), size.height()))

    def _image_changed(self) -> None:
        connection = self._logic.GetImageDataConnection()
        self._mapper.SetInputConnection(connection)
        self._actor.SetVisibility(connection is not None)
        self._write_annotations()
        self.scheduleRender()

    def _write_annotations(self) -> None:
        """What the application's own slice annotations do at each change: write, or clear, all four corners."""
        composite = self._logic.GetSliceCompositeNode()
        scene = self._logic.GetMRMLScene()
        lines = []
        for label, volume_id in (("F", composite.GetForegroundVolumeID()), ("B", composite.GetBackgroundVolumeID())):
            volume = scene.GetNodeByID(volume_id) if volume_id else None
            lines += [f"{label}: {volume.GetName()}"] if volume is not None else []
        for corner in range(4):
            self._corner.SetText(corner, "\n".join(lines) if corner == self._corner.LowerLeft else "")

    @invokable
    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    @invokable
    def sliceViewInteractorStyle(self) -> Any:
        return self._style

    @invokable
    def interactorObserver(self) -> Any:
        return self._style

    @invokable
    def convertDeviceToXYZ(self, xy: list[int]) -> list[float]:
        return [float(xy[0]), float(self.height() - 1 - xy[1]), 0.0]

    @invokable
    def convertXYZToRAS(self, xyz: list[float]) -> list[float]:
        return list(self._logic.GetSliceNode().GetXYToRAS().MultiplyPoint([*xyz, 1.0])[:3])

    def finish(self) -> None:
        self._logic.RemoveObserver(self._observed)
        self._style.SetInteractor(None)
        self._mapper.RemoveAllInputs()
        super().finish()


class qMRMLSliceControllerWidget(QWidget):
    """The bar above a slice view: its name, the offset slider, fit and link."""

    def __init__(self, logic: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._logic = logic
        node = logic.GetSliceNode()
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 0, 2, 0)
        label = QLabel(node.GetLayoutLabel() or node.GetLayoutName(), self)
        colour = QColor.fromRgbF(*node.GetLayoutColor()).name()
        label.setStyleSheet(f"background: {colour}; padding: 1px 6px;")
        self._slider = qMRMLSliderWidget(self)
        self._slider.setObjectName("SliceOffsetSlider")
        self._fit = QToolButton(self)
        self._fit.setObjectName("FitToWindowToolButton")
        self._fit.setText("⤢")
        for widget in (label, self._fit, self._slider):
            row.addWidget(widget)
        self._fit.clicked.connect(self.fitSliceToBackground)
        # The application moves the slice when it next processes events, not at once.
        self._slider.valueChanged.connect(self._move_soon)
        self._layers = LayerSelectors(logic, self)
        self._updating = False
        self._wanted = 0.0
        self._mover = QTimer(self)
        self._mover.setSingleShot(True)
        self._mover.setInterval(0)
        self._mover.timeout.connect(lambda: self.setSliceOffsetValue(self._wanted))
        self._observed = logic.AddObserver("ModifiedEvent", lambda *_: self._follow())

    def _follow(self) -> None:
        low_high, resolution = [0.0, 0.0], vtk.reference(1.0)
        if not self._logic.GetSliceOffsetRangeResolution(low_high, resolution):
            return
        self._updating = True
        self._slider.setProperty("singleStep", max(float(resolution.get()), 1e-3))
        self._slider.setProperty("minimum", low_high[0])
        self._slider.setProperty("maximum", low_high[1])
        self._slider.setValue(self._logic.GetSliceOffset())
        self._updating = False

    @invokable
    def sliceLogic(self) -> Any:
        return self._logic

    @invokable
    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    @invokable
    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    @invokable
    def sliceOffsetSlider(self) -> QWidget:
        return self._slider

    @invokable
    def fitToWindowToolButton(self) -> QToolButton:
        return self._fit

    def _move_soon(self, offset: float) -> None:
        if not self._updating:
            self._wanted = offset
            self._mover.start()

    @invokable
    def setSliceOffsetValue(self, offset: float) -> None:
        # Linked views follow only what happens between start and end of an interaction.
        self._logic.StartSliceOffsetInteraction()
        self._logic.SetSliceOffset(offset)
        self._logic.EndSliceOffsetInteraction()

    @invokable
    def fitSliceToBackground(self, *_: Any) -> None:
        self._logic.StartSliceNodeInteraction(slicer.vtkMRMLSliceNode.ResetFieldOfViewFlag)
        self._logic.FitSliceToBackground()
        self._logic.GetSliceNode().UpdateMatrices()
        self._logic.EndSliceNodeInteraction()

    @invokable
    def setSliceLink(self, linked: bool) -> None:
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            composite.SetLinkedControl(bool(linked))

    @invokable
    def setHotLinked(self, hot: bool) -> None:
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            composite.SetHotLinkedControl(bool(hot))

    @invokable
    def setSliceOrientation(self, orientation: str) -> None:
        self._logic.GetSliceNode().SetOrientation(orientation)

    @invokable
    def setSliceVisible(self, visible: bool) -> None:
        self._logic.GetSliceNode().SetSliceVisible(visible)

    def finish(self) -> None:
        self._layers.finish()
        self._logic.RemoveObserver(self._observed)


@cpp_signals(nodeAboutToBeEdited="vtkMRMLNode*")
class qMRMLSliceWidget(QWidget):
    """Controller and view of one slice node."""

    nodeAboutToBeEdited = Signal(object)

    def __init__(self, node: Any, application_logic: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        application_logic.GetSliceLogics().AddItem(self._logic)
        self._logic.SetSliceNode(node)
        self._application_logic = application_logic
        self._view = qMRMLSliceView(self._logic, application_logic, self)
        self._controller = qMRMLSliceControllerWidget(self._logic, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._controller)
        column.addWidget(self._view, 1)
        self.setObjectName(f"qMRMLSliceWidget{node.GetLayoutName()}")

    @invokable
    def sliceView(self) -> QWidget:
        return self._view

    @invokable
    def sliceController(self) -> QWidget:
        return self._controller

    @invokable
    def sliceLogic(self) -> Any:
        return self._logic

    @invokable
    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    @invokable
    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    @invokable
    def imageDataConnection(self) -> Any:
        return self._logic.GetImageDataConnection()

    @invokable
    def interactorStyle(self) -> Any:
        return self._view.sliceViewInteractorStyle()

    @invokable
    def fitSliceToBackground(self) -> None:
        self._controller.fitSliceToBackground()

    @invokable
    def mrmlScene(self) -> Any:
        return self._logic.GetMRMLScene()

    @invokable
    def setSliceOrientation(self, orientation: str) -> None:
        self._logic.GetSliceNode().SetOrientation(orientation)

    def _orientation(self) -> str:
        return self._logic.GetSliceNode().GetOrientation()

    sliceOrientation = Property("QString", _orientation, setSliceOrientation)
    sliceViewName = Property("QString", lambda self: self._logic.GetSliceNode().GetLayoutName())
    sliceViewLabel = Property("QString", lambda self: self._logic.GetSliceNode().GetLayoutLabel())
    sliceOffsetSliderOrientation = Property("int", lambda self: int(Qt.Orientation.Horizontal.value))

    def finish(self) -> None:
        """Give the graphics resources back and leave the application's list of slice logics."""
        self._controller.finish()
        self._view.finish()
        self._application_logic.GetSliceLogics().RemoveItem(self._logic)
