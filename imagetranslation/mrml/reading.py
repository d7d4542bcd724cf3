"""The images of a blinded reading in slice views of their own: linked, neutrally named, all with the same text.

Nodes carry a token and a letter, no path, no record and no place in a saved scene. Which case is shown and what is
asked of it is `readerstudy.session`'s matter, the application around the views `panels.readinglock`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

from ..readerstudy.readingset import SOURCE, STUDY_READING
from ..volume import Volume
from .corner import CornerText
from .display import link
from .layouts import SLICER_CONVENTIONAL, composite_node, layout_node, slice_node
from .sidebyside import SliceLogicOf, follow, set_layers, turn_to_acquired
from .volumes import add_volume, place, set_array

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLScalarVolumeNode, vtkMRMLScene, vtkMRMLSliceCompositeNode, vtkMRMLSliceNode

PREFIX = "ImageTranslationReading"
# Slicer's own layouts stay below 1000, those of `layouts` below 7400; 7400 itself shows nothing.
FIRST_LAYOUT = 7400
VIEW_GROUP = 74
GREY, INVERTED_GREY = "vtkMRMLColorTableNodeGrey", "vtkMRMLColorTableNodeInvertedGrey"
_COLOURS = {SOURCE: "#6FA8DC"}
_NEUTRAL_COLOUR = "#B7B7B7"
_MOST_IN_A_ROW = 3


def view_tag(slot: str) -> str:
    """The singleton tag of the view that shows a slot ("source", "A", "B", ...)."""
    return PREFIX + (slot if slot != SOURCE else "Source")


def layout_number(slots: Sequence[str]) -> int:
    """The number of the layout for these slots."""
    return FIRST_LAYOUT + 2 * len(slots) + (SOURCE in slots)


def layout_xml(slots: Sequence[str]) -> str:
    """Slicer's description of slice views for these slots: one row up to three, then rows of up to three."""
    count = len(slots)
    across = count if count <= _MOST_IN_A_ROW else 2 if count == 4 else _MOST_IN_A_ROW
    rows = [slots[first : first + across] for first in range(0, count, across)]
    made = [f'<layout type="horizontal" split="true">{"".join(map(_item, row))}</layout>' for row in rows]
    if len(made) == 1:
        return made[0]
    return f'<layout type="vertical" split="true">{"".join(f"<item>{row}</item>" for row in made)}</layout>'


class ReadingViews:
    """What a reader sees. slice_logic: gives the logic of a slice node. layout_manager: the application's.

    `leave` brings the earlier layout back and removes every node that was made.
    """

    def __init__(self, scene: vtkMRMLScene, slice_logic: SliceLogicOf, layout_manager: Any) -> None:
        self._scene, self._slice_logic, self._manager = scene, slice_logic, layout_manager
        self._earlier: int | None = None
        self._number = 0
        self._nodes: dict[str, vtkMRMLScalarVolumeNode] = {}
        self._orientation = "Axial"
        self._texts: dict[str, tuple[Any, CornerText]] = {}

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots on the screen, left to right."""
        return tuple(self._nodes)

    @property
    def nodes(self) -> dict[str, vtkMRMLScalarVolumeNode]:
        """The volume node of each slot, a copy."""
        return dict(self._nodes)

    @property
    def texts(self) -> dict[str, str]:
        """The text in the corner by view name."""
        return {name: text.text for name, (_, text) in self._texts.items()}

    def show(
        self, token: str, images: Mapping[str, Volume], window: tuple[float, float], inverted: bool, orientation: str
    ) -> None:
        """Show these images instead of the ones before; call `fit` once the views have got their size.

        token: of the trial, which names the nodes. window: (lower, upper), the same for all.
        """
        self._orientation = orientation
        if tuple(images) != self.slots:
            self.clear()
        # Unlinked and empty first: a shown volume that is renamed would go into every linked view.
        self._assign(hidden=True)
        for slot, image in images.items():
            plain = Volume(image.array, image.spacing, image.origin, image.direction, f"{token[:8]} {slot}")
            if slot in self._nodes:
                _refill(self._nodes[slot], plain)
            else:
                self._nodes[slot] = add_volume(self._scene, plain, display=False)
            self._display(self._nodes[slot], window, INVERTED_GREY if inverted else GREY)
            neutral(self._nodes[slot])
        self._arrange(tuple(self._nodes))
        self._assign(hidden=False)
        self.write_texts()

    def fit(self) -> None:
        """Turn all views into the study's plane and give them the same place and field of view."""
        views = [view for view, _ in self._views()]
        if not views:
            return
        if self._orientation == "Acquired":
            turn_to_acquired(views[0], next(iter(self._nodes.values())))
        else:
            views[0].SetOrientation(self._orientation)
        logic = self._slice_logic(views[0])
        if logic is not None:
            logic.FitSliceToBackground()
            logic.SnapSliceOffsetToIJK()
        for other in views[1:]:
            follow(other, views[0])
        self.write_texts()

    def hide(self, hidden: bool = True) -> None:
        """Blank the views (while the reading is paused), or show the images again as they were."""
        self._assign(hidden)

    def hold_layout(self) -> None:
        """Go back to the reading's layout where something else chose another one."""
        node = layout_node(self._scene)
        if self._number and node is not None and node.GetViewArrangement() != self._number:
            node.SetViewArrangement(self._number)

    def state(self) -> dict[str, Any]:
        """What the journal keeps of the views: plane, offset (mm), field of view (mm), window; no name."""
        made: dict[str, Any] = {}
        for slot, (view, _) in zip(self._nodes, self._views()):
            display = self._nodes[slot].GetDisplayNode()
            made[slot] = {
                "orientation": view.GetOrientation(),
                "offset_mm": round(view.GetSliceOffset(), 3),
                "field_of_view_mm": [round(n, 2) for n in view.GetFieldOfView()[:2]],
                "window": [round(display.GetWindowLevelMin(), 4), round(display.GetWindowLevelMax(), 4)],
            }
        return made

    def slot_under_cursor(self) -> str:
        """The slot of the view that the mouse was last in, or ""."""
        crosshair = self._scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        view = crosshair.GetCursorPositionXYZ([0.0, 0.0, 0.0]) if crosshair is not None else None
        name = view.GetLayoutName() if view is not None else ""
        return next((slot for slot in self._nodes if view_tag(slot) == name), "")

    def write_texts(self) -> None:
        """Put the neutral text into the corner of every slice view there is."""
        for name in list(self._manager.sliceViewNames()):
            widget = self._manager.sliceWidget(name)
            composite = widget.mrmlSliceCompositeNode() if widget is not None else None
            known = self._texts.get(name)
            if composite is None or (known is not None and known[0] == composite):
                continue
            if known is not None:
                known[1].detach()
            view = widget.sliceView()
            renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
            text = CornerText(
                renderer, composite, request_render=view.scheduleRender, text_of=lambda _nodes: STUDY_READING
            )
            self._texts[str(name)] = (composite, text)

    def clear(self) -> None:
        """Remove the images of the case on the screen."""
        self._assign(hidden=True)
        for node in self._nodes.values():
            remove(node)
        self._nodes = {}

    def leave(self) -> None:
        """Remove images and texts and bring the earlier layout back."""
        self.clear()
        for name, (_, text) in self._texts.items():
            text.detach()
            widget = self._manager.sliceWidget(name)
            if widget is not None:
                widget.sliceView().scheduleRender()
        self._texts = {}
        earlier, self._earlier, self._number = self._earlier, None, 0
        node = layout_node(self._scene)
        if node is not None and earlier is not None:
            node.SetViewArrangement(earlier)

    def _display(self, node: vtkMRMLScalarVolumeNode, window: tuple[float, float], colours: str) -> None:
        """The window is set before the voxels are seen: otherwise Slicer searches all of them for one."""
        display = node.GetDisplayNode() or self._scene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(*window)
        display.SetDefaultColorMap()
        if self._scene.GetNodeByID(colours) is not None:
            display.SetAndObserveColorNodeID(colours)
        node.SetAndObserveDisplayNodeID(display.GetID())

    def _arrange(self, slots: tuple[str, ...]) -> None:
        node = layout_node(self._scene)
        if node is None or not slots:
            return
        number, text = layout_number(slots), layout_xml(slots)
        if not node.IsLayoutDescription(number):
            node.AddLayoutDescription(number, text)
        else:
            node.SetLayoutDescription(number, text)
        now = node.GetViewArrangement()
        if self._earlier is None:
            # A scene may have been saved in a reading's layout: then Slicer's own is what to go back to.
            self._earlier = SLICER_CONVENTIONAL if now >= FIRST_LAYOUT else now
        self._number = number
        node.SetViewArrangement(number)

    def _assign(self, hidden: bool) -> None:
        views = self._views()
        for _, composite in views:
            composite.SetLinkedControl(False)
            composite.SetHotLinkedControl(False)
        for image, (_, composite) in zip(self._nodes.values(), views):
            set_layers(composite, None if hidden else image, None, 0.0)
        link(composite for _, composite in views)

    def _views(self) -> list[tuple[vtkMRMLSliceNode, vtkMRMLSliceCompositeNode]]:
        tags = [view_tag(slot) for slot in self._nodes]
        pairs = [(slice_node(self._scene, tag), composite_node(self._scene, tag)) for tag in tags]
        return [(view, composite) for view, composite in pairs if view is not None and composite is not None]


def _refill(node: vtkMRMLScalarVolumeNode, volume: Volume) -> None:
    """Another image into a node; making and removing nodes would keep every node selector of the application busy."""
    node.SetName(volume.name)
    place(node, volume)
    set_array(node, volume.array)


def neutral(node: vtkMRMLNode) -> None:
    """Keep a node and what it is drawn with out of saved scenes, and take away whatever could tell where it is from."""
    for name in list(node.GetAttributeNames()):
        node.RemoveAttribute(name)
    node.SetDescription("")
    for one in (node, *_displays(node)):
        one.SaveWithSceneOff()


def remove(node: vtkMRMLNode) -> None:
    """Remove a node and what it is drawn with."""
    scene = node.GetScene()
    if scene is not None:
        for display in _displays(node):
            scene.RemoveNode(display)
        scene.RemoveNode(node)


def _displays(node: Any) -> Iterable[Any]:
    found = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    return [display for display in found if display is not None]


def _item(slot: str) -> str:
    label = "S" if slot == SOURCE else slot
    properties = {
        "orientation": "Axial",
        "viewlabel": label,
        "viewcolor": _COLOURS.get(slot, _NEUTRAL_COLOUR),
        "viewgroup": str(VIEW_GROUP),
    }
    inner = "".join(
        f'<property name="{name}" action="default">{value}</property>' for name, value in properties.items()
    )
    return f'<item><view class="vtkMRMLSliceNode" singletontag={quoteattr(view_tag(slot))}>{inner}</view></item>'
