"""Points and outlines that a reader places on the images of a case, as an answer in LPS millimetres and back.

One `Marks` for one question. Nodes are neutral (see `reading`); what a point means is the question's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import slicer

from .reading import neutral, remove, view_tag

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsNode, vtkMRMLScene

POINTS, OUTLINES = "vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsClosedCurveNode"
_FEWEST = {POINTS: 1, OUTLINES: 3}


class Marks:
    """The marks of one question. kind: POINTS or OUTLINES.

    slot: the image asked about, "" where the reader may mark any. cursor: gives the slot under the mouse, or "".
    changed: called when the reader has placed, moved or removed something.
    """

    def __init__(
        self, scene: vtkMRMLScene, kind: str, slot: str, slots: Iterable[str], cursor: Callable[[], str],
        changed: Callable[[], object],
    ) -> None:  # fmt: skip
        self._scene, self._kind, self._slot, self._slots = scene, kind, slot, tuple(slots)
        self._cursor, self._changed = cursor, changed
        self._nodes: list[vtkMRMLMarkupsNode] = []
        self._tags: list[tuple[Any, int]] = []
        self._loading = False

    @property
    def placing(self) -> bool:
        """Whether the next click in a view places a point of these marks."""
        interaction = self._interaction()
        on = interaction.GetCurrentInteractionMode() == interaction.Place
        return on and self._selection().GetActivePlaceNodeID() in [node.GetID() for node in self._nodes]

    def start(self) -> None:
        """Let clicks place points, until `stop`; an outline is a new one each time."""
        if not self._nodes or self._kind == OUTLINES:
            self._add_node()
        selection, interaction = self._selection(), self._interaction()
        selection.SetReferenceActivePlaceNodeClassName(self._kind)
        selection.SetActivePlaceNodeID(self._nodes[-1].GetID())
        interaction.SetPlaceModePersistence(1)
        interaction.SetCurrentInteractionMode(interaction.Place)

    def stop(self) -> None:
        """Clicks do again what they did before."""
        if self.placing:
            interaction = self._interaction()
            interaction.SetPlaceModePersistence(0)
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)
            self._selection().SetActivePlaceNodeID(None)

    def value(self) -> list[dict[str, Any]] | None:
        """The answer; outlines that are not finished are left out. None where nothing is marked."""
        made: list[dict[str, Any]] = []
        for node in self._nodes:
            points = [self._point(node, n) for n in range(node.GetNumberOfControlPoints()) if _defined(node, n)]
            if len(points) < _FEWEST[self._kind]:
                continue
            if self._kind == POINTS:
                made += [{"image": slot, "point": point} for slot, point in points]
            else:
                made.append({"image": points[0][0], "points": [point for _, point in points]})
        return made or None

    def load(self, value: Iterable[Mapping[str, Any]] | None) -> None:
        """Show an answer that was given before."""
        self.clear()
        self._loading = True
        try:
            for mark in value or ():
                if not self._nodes or self._kind == OUTLINES:
                    self._add_node()
                for point in [mark["point"]] if self._kind == POINTS else mark["points"]:
                    index = self._nodes[-1].AddControlPointWorld([-point[0], -point[1], point[2]])
                    self._nodes[-1].SetNthControlPointDescription(index, mark["image"])
        finally:
            self._loading = False

    def show(self, shown: bool) -> None:
        """Draw the marks or not (while the reading is paused)."""
        for node in self._nodes:
            node.GetDisplayNode().SetVisibility(shown)

    def clear(self) -> None:
        """Remove all marks; `changed` is not called."""
        self.stop()
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        for node in self._nodes:
            remove(node)
        self._nodes, self._tags = [], []

    def _add_node(self) -> None:
        node = self._scene.AddNewNodeByClass(self._kind, self._scene.GenerateUniqueName("mark"))
        node.CreateDefaultDisplayNodes()
        node.SetControlPointLabelFormat("%d")
        if self._kind == OUTLINES:
            # What is stored is what is seen: straight from point to point.
            node.SetCurveTypeToLinear()
        view = self._scene.GetSingletonNode(view_tag(self._slot), "vtkMRMLSliceNode") if self._slot else None
        if view is not None:
            node.GetDisplayNode().AddViewNodeID(view.GetID())
        neutral(node)
        self._nodes.append(node)
        for event in (node.PointPositionDefinedEvent, node.PointEndInteractionEvent, node.PointRemovedEvent):
            self._tags.append((node, node.AddObserver(event, self._onChange)))

    def _onChange(self, node: Any, _event: object) -> None:
        if self._loading:
            return
        for index in range(node.GetNumberOfControlPoints()):
            if _defined(node, index) and node.GetNthControlPointDescription(index) not in self._slots:
                node.SetNthControlPointDescription(index, self._slot or self._cursor() or self._slots[0])
        self._changed()

    def _point(self, node: Any, index: int) -> tuple[str, list[float]]:
        place = [0.0, 0.0, 0.0]
        node.GetNthControlPointPositionWorld(index, place)
        slot = node.GetNthControlPointDescription(index)
        known = slot if slot in self._slots else self._slot or self._slots[0]
        return known, [round(-place[0], 4), round(-place[1], 4), round(place[2], 4)]

    def _interaction(self) -> Any:
        return self._scene.GetFirstNodeByClass("vtkMRMLInteractionNode") or self._scene.AddNewNodeByClass(
            "vtkMRMLInteractionNode"
        )

    def _selection(self) -> Any:
        return self._scene.GetFirstNodeByClass("vtkMRMLSelectionNode") or self._scene.AddNewNodeByClass(
            "vtkMRMLSelectionNode"
        )


def _defined(node: Any, index: int) -> bool:
    return bool(node.GetNthControlPointPositionStatus(index) == slicer.vtkMRMLMarkupsNode.PositionDefined)
