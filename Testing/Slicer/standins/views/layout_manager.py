"""The layout manager: vtkMRMLLayoutLogic decides which views a layout has, this makes and arranges their widgets."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import slicer
from PySide6.QtCore import Property, QObject, Qt, Signal
from PySide6.QtWidgets import QSplitter, QTabWidget, QVBoxLayout, QWidget

from ..pythonqt import cpp_signals, invokable
from .slice_view import qMRMLSliceWidget
from .threed_view import qMRMLThreeDWidget

_WIDGETS = {"vtkMRMLSliceNode": qMRMLSliceWidget, "vtkMRMLViewNode": qMRMLThreeDWidget}


@cpp_signals(nodeAboutToBeEdited="vtkMRMLNode*")
class qSlicerLayoutManager(QObject):
    """Follows the layout node of the scene. Views live on when a layout without them is shown, as in Slicer."""

    layoutChanged = Signal(int)
    nodeAboutToBeEdited = Signal(object)

    def __init__(self, viewport: QWidget, application_logic: Any) -> None:
        super().__init__(viewport)
        self._viewport = viewport
        self._application_logic = application_logic
        self._widgets: dict[str, QWidget] = {}
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        self._shown: tuple[int, str] | None = None
        self._paused = 0
        viewport.setLayout(QVBoxLayout())
        viewport.layout().setContentsMargins(0, 0, 0, 0)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._node_tag = self._logic.GetLayoutNode().AddObserver("ModifiedEvent", lambda *_: self._arrange())
        slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, lambda *_: self._arrange(force=True))
        self._arrange(force=True)

    # The layout

    def _get_layout(self) -> int:
        return self._logic.GetLayoutNode().GetViewArrangement()

    @invokable
    def setLayout(self, layout: int) -> None:
        node = self._logic.GetLayoutNode()
        if not node.IsLayoutDescription(layout):
            raise ValueError(f"layout {layout} has no description; add one to the layout node first")
        node.SetViewArrangement(layout)

    layout = Property("int", _get_layout, setLayout, notify=layoutChanged)

    @invokable
    def layoutLogic(self) -> Any:
        return self._logic

    def _arrange(self, force: bool = False) -> None:
        node = self._logic.GetLayoutNode()
        wanted = (node.GetViewArrangement(), node.GetCurrentLayoutDescription() or "")
        if not force and wanted == self._shown:
            return
        changed, self._shown = self._shown is None or wanted[0] != self._shown[0], wanted
        for widget in self._widgets.values():
            widget.setParent(None)
        layout = self._viewport.layout()
        while layout.count():
            layout.takeAt(0).widget().deleteLater()
        if wanted[1]:
            built = self._build(ElementTree.fromstring(wanted[1]))
            layout.addWidget(built)
            built.show()
        if changed:
            self.layoutChanged.emit(wanted[0])

    def _build(self, element: ElementTree.Element) -> QWidget:
        if element.tag == "view":
            return self._view(element)
        items = [child for item in element.iterfind("item") for child in item]
        if element.get("type") == "tab":
            box: QWidget = QTabWidget()
            for child in items:
                box.addTab(self._build(child), child.get("singletontag", ""))
            return box
        box = QSplitter(Qt.Orientation.Vertical if element.get("type") == "vertical" else Qt.Orientation.Horizontal)
        for child in items:
            built = self._build(child)
            box.addWidget(built)
            built.show()
        box.setSizes([1000] * len(items))
        return box

    def _view(self, element: ElementTree.Element) -> QWidget:
        class_name, tag = element.get("class", ""), element.get("singletontag", "")
        make = _WIDGETS.get(class_name)
        if make is None:
            return QWidget()
        node = slicer.mrmlScene.GetSingletonNode(tag, class_name)
        known = self._widgets.get(f"{class_name}{tag}")
        if known is None:
            known = make(node, self._application_logic)
            self._widgets[f"{class_name}{tag}"] = known
        return known

    # The views

    def _of_class(self, class_name: str) -> list[tuple[str, QWidget]]:
        """Tag and widget of every view there has been."""
        size = len(class_name)
        return [(key[size:], widget) for key, widget in self._widgets.items() if key.startswith(class_name)]

    @invokable
    def sliceViewNames(self) -> list[str]:
        """Every slice view there has been, also those that the current layout does not show, as in Slicer."""
        return [tag for tag, _ in self._of_class("vtkMRMLSliceNode")]

    @invokable
    def sliceWidget(self, name: str) -> QWidget | None:
        return self._widgets.get(f"vtkMRMLSliceNode{name}")

    @invokable
    def threeDWidget(self, which: int | str) -> QWidget | None:
        views = self._of_class("vtkMRMLViewNode")
        if isinstance(which, str):
            return dict(views).get(which)
        return views[which][1] if 0 <= which < len(views) else None

    threeDViewCount = Property("int", lambda self: len(self._of_class("vtkMRMLViewNode")))
    tableViewCount = Property("int", lambda self: 0)
    plotViewCount = Property("int", lambda self: 0)

    @invokable
    def viewWidget(self, node: Any) -> QWidget | None:
        return self._widgets.get(f"{node.GetClassName()}{node.GetSingletonTag()}")

    @invokable
    def mrmlSliceLogics(self) -> Any:
        return self._application_logic.GetSliceLogics()

    @invokable
    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    @invokable
    def viewport(self) -> QWidget:
        return self._viewport

    @invokable
    def resetSliceViews(self) -> None:
        for _, widget in self._of_class("vtkMRMLSliceNode"):
            widget.sliceLogic().FitSliceToBackground()
            widget.sliceLogic().SnapSliceOffsetToIJK()

    @invokable
    def resetThreeDViews(self) -> None:
        for _, widget in self._of_class("vtkMRMLViewNode"):
            widget.threeDView().resetFocalPoint()

    @invokable
    def setRenderPaused(self, paused: bool) -> None:
        self._paused = max(0, self._paused + (1 if paused else -1))

    def finish(self) -> None:
        """Release every view's graphics resources."""
        for widget in self._widgets.values():
            widget.finish()
        self._widgets = {}
