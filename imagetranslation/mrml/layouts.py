"""Custom view layouts: source | synthetic, and source | synthetic | reference, one slice view each.

The views have names of their own and a view group of their own, so that Slicer's Red, Green and Yellow stay as a
person left them. What the views show is left to `sidebyside`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    import slicer

# Singleton tag, label in the view's corner, colour of the view's bar.
VIEWS = (
    ("ImageTranslationSource", "S", "#6FA8DC"),
    ("ImageTranslationSynthetic", "Syn", "#FFC208"),
    ("ImageTranslationReference", "Ref", "#93C47D"),
)
TAGS = tuple(tag for tag, _, _ in VIEWS)
# Slicer's own layouts stay below 1000; these numbers are our choice.
LAYOUTS = {2: 7302, 3: 7303}
VIEW_GROUP = 73
SLICER_CONVENTIONAL = 2


def layout_xml(count: int) -> str:
    """Slicer's description of the layout with the first `count` views side by side."""
    items = "".join(_item(tag, label, colour) for tag, label, colour in VIEWS[:count])
    return f'<layout type="horizontal" split="true">{items}</layout>'


def layout_node(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLLayoutNode | None:
    """The scene's layout node, or None where no application shows views."""
    return scene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def register(scene: slicer.vtkMRMLScene) -> None:
    """Make both layouts known, so that a scene saved with one of them opens with it."""
    node = layout_node(scene)
    if node is None:
        return
    for count, number in LAYOUTS.items():
        if not node.IsLayoutDescription(number):
            node.AddLayoutDescription(number, layout_xml(count))
        else:
            node.SetLayoutDescription(number, layout_xml(count))


class LayoutSwitch:
    """Goes to one of our layouts and back to the one that was there before."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self._earlier: int | None = None

    @property
    def on(self) -> bool:
        """Whether one of our layouts was switched on and not off again."""
        return self._earlier is not None

    def show(self, count: int) -> None:
        """Show two or three views."""
        register(self._scene)
        node = layout_node(self._scene)
        if node is None:
            return
        now = node.GetViewArrangement()
        if self._earlier is None:
            # A loaded scene may open with our layout: then there is nothing better to go back to than Slicer's own.
            self._earlier = SLICER_CONVENTIONAL if now in LAYOUTS.values() else now
        node.SetViewArrangement(LAYOUTS[count])

    def leave(self) -> None:
        """Bring the earlier layout back, unless a person has chosen another one meanwhile."""
        earlier, self._earlier = self._earlier, None
        node = layout_node(self._scene)
        if node is not None and earlier is not None and node.GetViewArrangement() in LAYOUTS.values():
            node.SetViewArrangement(earlier)


def slice_node(scene: slicer.vtkMRMLScene, tag: str) -> slicer.vtkMRMLSliceNode | None:
    """The slice node of one of our views, or None before its layout was shown."""
    return scene.GetSingletonNode(tag, "vtkMRMLSliceNode")


def composite_node(scene: slicer.vtkMRMLScene, tag: str) -> slicer.vtkMRMLSliceCompositeNode | None:
    """The node that says which volumes one of our views shows, or None before its layout was shown."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        if node.GetLayoutName() == tag:
            return node
    return None


def _item(tag: str, label: str, colour: str) -> str:
    properties = {"orientation": "Axial", "viewlabel": label, "viewcolor": colour, "viewgroup": str(VIEW_GROUP)}
    inner = "".join(
        f'<property name="{name}" action="default">{escape(v)}</property>' for name, v in properties.items()
    )
    return f'<item><view class="vtkMRMLSliceNode" singletontag={quoteattr(tag)}>{inner}</view></item>'
