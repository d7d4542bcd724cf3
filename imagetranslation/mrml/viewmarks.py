"""The synthetic mark in every view of the application, slice views and 3D views, whichever module is shown.

Slice views are `corner`'s work; here are the 3D views, and keeping both complete as views come and go. The mark is
drawn into the views' own renderers, so that a screenshot has it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import vtk

from .corner import AMBER, CornerText, shown_nodes, synthetic_text
from .provenance import is_synthetic

if TYPE_CHECKING:
    import slicer


def shown_in_3d(scene: slicer.vtkMRMLScene, view: slicer.vtkMRMLViewNode) -> list[slicer.vtkMRMLVolumeNode]:
    """The synthetic volumes of which a 3D view shows anything: rendered as volumes, or on a slice shown in 3D."""
    found = [node for node in _synthetic_volumes(scene) if _rendered(node, view)]
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        composite = scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        if _slice_in_3d(scene, composite, view):
            found.extend(node for node in shown_nodes(composite) if is_synthetic(node) and node not in found)
    return found


class CornerText3D:
    """Keeps the text in the corner of one 3D view true, by looking each time the view is drawn."""

    def __init__(self, renderer: vtk.vtkRenderer, view: slicer.vtkMRMLViewNode) -> None:
        self._renderer, self._view = renderer, view
        self.annotation = vtk.vtkCornerAnnotation()
        self.annotation.GetTextProperty().SetColor(*AMBER)
        self.annotation.GetTextProperty().BoldOn()
        self.annotation.GetTextProperty().SetBackgroundColor(0, 0, 0)
        self.annotation.GetTextProperty().SetBackgroundOpacity(0.72)
        self.annotation.SetMaximumFontSize(15)
        renderer.AddViewProp(self.annotation)
        self._tag = renderer.AddObserver(vtk.vtkCommand.StartEvent, self.update)
        self.update()

    @property
    def text(self) -> str:
        """The text as drawn; empty when there is none."""
        return self.annotation.GetText(2) or ""

    def update(self, *_: object) -> None:
        """Set the text from what the view shows now."""
        scene = self._view.GetScene()
        text = synthetic_text(shown_in_3d(scene, self._view)) if scene is not None else ""
        if text != self.text:
            self.annotation.SetText(2, text)

    def detach(self) -> None:
        """Remove the text and stop following the view."""
        self._renderer.RemoveObserver(self._tag)
        self._renderer.RemoveViewProp(self.annotation)


class _EachTime(CornerText):
    """A slice view's mark that also looks each time the view is drawn.

    A scene that is loaded puts ids into the view first and the volumes of these ids into the scene later.
    """

    def __init__(self, renderer: vtk.vtkRenderer, composite: Any, request_render: Any) -> None:
        super().__init__(renderer, composite, request_render=request_render)
        self._drawing, self._drawing_tag = renderer, renderer.AddObserver(vtk.vtkCommand.StartEvent, self.update)

    def detach(self) -> None:
        """Remove the text and stop following the view."""
        self._drawing.RemoveObserver(self._drawing_tag)
        super().detach()


class ViewMarks:
    """The marks of all views of a layout manager; call `refresh` when its views changed."""

    def __init__(self, layout_manager: Any) -> None:
        self._manager = layout_manager
        self._slices: dict[str, tuple[Any, _EachTime]] = {}
        self._threed: dict[str, tuple[Any, CornerText3D]] = {}
        self.refresh()

    @property
    def texts(self) -> dict[str, str]:
        """Text by view name, for the views that show a synthetic image."""
        slices = {name: mark.text for name, (_, mark) in self._slices.items()}
        threed = {name: mark.text for name, (_, mark) in self._threed.items()}
        return {name: text for name, text in {**slices, **threed}.items() if text}

    def refresh(self) -> None:
        """Mark views that are new, and those whose nodes were exchanged; look again at all."""
        for name in list(self._manager.sliceViewNames()):
            widget = self._manager.sliceWidget(name)
            if widget is not None:
                self._mark_slice(str(name), widget)
        for index in range(self._manager.threeDViewCount):
            widget = self._manager.threeDWidget(index)
            if widget is not None and widget.mrmlViewNode() is not None:
                self._mark_3d(widget)

    def detach(self) -> None:
        """Remove all marks."""
        for _, mark in self._slices.values():
            mark.detach()
        for _, mark3d in self._threed.values():
            mark3d.detach()
        self._slices, self._threed = {}, {}

    def _mark_slice(self, name: str, widget: Any) -> None:
        composite, view = widget.mrmlSliceCompositeNode(), widget.sliceView()
        known = self._slices.get(name)
        if composite is None:
            return
        if known is not None and known[0] == composite:
            known[1].update()
            return
        if known is not None:
            known[1].detach()
        renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        self._slices[name] = (composite, _EachTime(renderer, composite, view.scheduleRender))

    def _mark_3d(self, widget: Any) -> None:
        node, view = widget.mrmlViewNode(), widget.threeDView()
        known = self._threed.get(node.GetID())
        if known is not None and known[0] == node:
            return
        if known is not None:
            known[1].detach()
        renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        self._threed[node.GetID()] = (node, CornerText3D(renderer, node))


def _synthetic_volumes(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLVolumeNode]:
    count = scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLVolumeNode") for index in range(count)]
    return [node for node in nodes if is_synthetic(node)]


def _rendered(node: slicer.vtkMRMLVolumeNode, view: slicer.vtkMRMLViewNode) -> bool:
    displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    return any(
        display.IsA("vtkMRMLVolumeRenderingDisplayNode")
        and display.GetVisibility()
        and display.IsDisplayableInView(view.GetID())
        for display in displays
        if display is not None
    )


def _slice_in_3d(
    scene: slicer.vtkMRMLScene, composite: slicer.vtkMRMLSliceCompositeNode, view: slicer.vtkMRMLViewNode
) -> bool:
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLSliceNode")
        if node.GetLayoutName() == composite.GetLayoutName() and node.GetSliceVisible():
            return bool(node.IsDisplayableInThreeDView(view.GetID()))
    return False
