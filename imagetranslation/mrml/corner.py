"""The text in the corner of a slice view that shows a synthetic image, drawn into the picture itself.

The text follows what the view shows: it is set by the nodes in the view's layers and their records, never by their
names. Wording is left to `imagetranslation.provenance`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import vtk

from ..provenance import Provenance, slicer_corner_text
from .provenance import provenance_of

if TYPE_CHECKING:
    from slicer import vtkMRMLSliceCompositeNode, vtkMRMLVolumeNode

AMBER = (1.0, 0.76, 0.03)
WHITE = (0.92, 0.94, 0.97)
FONT_SIZES = range(15, 8, -1)
TextOf = Callable[[list["vtkMRMLVolumeNode"]], str]


def shown_nodes(composite: vtkMRMLSliceCompositeNode) -> list[vtkMRMLVolumeNode]:
    """The volume nodes a view shows anything of, bottom layer first.

    A layer with opacity 0 shows nothing. The background counts as shown even under an opaque foreground, which
    need not cover it.
    """
    scene = composite.GetScene()
    if scene is None:
        return []
    layers = [(composite.GetBackgroundVolumeID(), 1.0)]
    layers.append((composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()))
    layers.append((composite.GetLabelVolumeID(), composite.GetLabelOpacity()))
    nodes = [scene.GetNodeByID(node_id) for node_id, opacity in layers if node_id and opacity > 0]
    return [node for node in nodes if node is not None]


def synthetic_text(nodes: list[vtkMRMLVolumeNode], wording: Callable[[Provenance], str] = slicer_corner_text) -> str:
    """One line for each different record among the nodes; empty where all are real."""
    records = [provenance_of(node) for node in nodes]
    return "\n".join(dict.fromkeys(wording(record) for record in records if record is not None))


class CornerText:
    """Keeps the text in the upper left corner of one slice view true to what the view shows.

    renderer: the view's vtkRenderer. composite: its slice composite node. request_render: called when the text
    changed. text_of: the text for the nodes shown (`shown_nodes` order); by default Slicer's synthetic mark.
    Amber where any shown node is synthetic, otherwise white; smaller, then broken into lines, where the view is too
    narrow. `detach` removes text and observers.
    """

    def __init__(
        self,
        renderer: vtk.vtkRenderer,
        composite: vtkMRMLSliceCompositeNode,
        *,
        request_render: Callable[[], object] | None = None,
        text_of: TextOf = synthetic_text,
    ) -> None:
        self._renderer = renderer
        self._composite = composite
        self._request_render = request_render or (lambda: None)
        self._text_of = text_of
        self._observed: list[tuple[Any, int]] = []
        self._text = ""
        self._fitted: tuple[str, int] | None = None
        self._render_tag = renderer.AddObserver(vtk.vtkCommand.StartEvent, self._fit)
        self._composite_tag = composite.AddObserver(vtk.vtkCommand.ModifiedEvent, self.update)
        self.actor = _corner_actor()
        renderer.AddViewProp(self.actor)
        self.update()

    @property
    def text(self) -> str:
        """The text as drawn; empty when there is none."""
        return self._text

    def update(self, *_: object) -> None:
        """Set the text from what the view shows now; called by itself when the layers or a record change."""
        nodes = shown_nodes(self._composite)
        self._observe(nodes)
        text = self._text_of(nodes)
        synthetic = any(provenance_of(node) is not None for node in nodes)
        colour = AMBER if synthetic else WHITE
        if text == self.text and colour == tuple(self.actor.GetTextProperty().GetColor()):
            return
        self._text = text
        self.actor.SetInput(text)
        self.actor.SetVisibility(bool(text))
        self.actor.GetTextProperty().SetColor(*colour)
        self._request_render()

    def detach(self) -> None:
        """Remove the text and stop following the view."""
        self._observe([])
        self._composite.RemoveObserver(self._composite_tag)
        self._renderer.RemoveObserver(self._render_tag)
        self._renderer.RemoveViewProp(self.actor)

    def _fit(self, *_: object) -> None:
        """Before each rendering: choose the largest font with which the whole text is inside the view."""
        width = self._renderer.GetSize()[0]
        if not self._text or self._fitted == (self._text, width):
            return
        self._fitted = (self._text, width)
        for text in (self._text, self._text.replace(": ", ":\n"), self._text.replace(" ", "\n")):
            self.actor.SetInput(text)
            for size in FONT_SIZES:
                self.actor.GetTextProperty().SetFontSize(size)
                extent = [0.0, 0.0]
                self.actor.GetSize(self._renderer, extent)
                if extent[0] <= 0.96 * width:
                    return

    def _observe(self, nodes: list[vtkMRMLVolumeNode]) -> None:
        if [node for node, _ in self._observed] == nodes:
            return
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = [(node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self.update)) for node in nodes]


def _corner_actor() -> vtk.vtkTextActor:
    actor = vtk.vtkTextActor()
    actor.SetTextScaleModeToNone()
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPosition(0.012, 0.985)
    style = actor.GetTextProperty()
    style.SetFontFamilyToArial()
    style.SetFontSize(FONT_SIZES[0])
    style.BoldOn()
    style.SetJustificationToLeft()
    style.SetVerticalJustificationToTop()
    # A dark ground, so that no image behind the text can make it unreadable.
    style.SetBackgroundColor(0.0, 0.0, 0.0)
    style.SetBackgroundOpacity(0.72)
    return actor
