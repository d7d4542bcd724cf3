"""Regions drawn over the case in the slice views: brush, eraser, outline, scissors, segments, undo.

trame-slicer's segmentation editor does the drawing; here is what a person may do with it, and the drawn voxels as
`radiomics.roi.Roi` on the source's own grid. What the page sends is checked in `regions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..radiomics.roi import Grid, Roi, bounding_box
from ..volume import Volume

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode
    from trame_slicer.core import SlicerApp

POINTER, BRUSH, ERASER, OUTLINE, SCISSORS = "pointer", "brush", "eraser", "outline", "scissors"
TOOLS = (POINTER, BRUSH, ERASER, OUTLINE, SCISSORS)
# Told apart on grey and from each other by most readers; none is the amber of the synthetic mark.
COLOURS = ("#2ec4b6", "#ff6b8a", "#8f9dff", "#9be15d", "#e58cff", "#5cc8ff", "#ff8552", "#d7dde6")
# Each step back keeps two copies of all regions.
STEPS_BACK = 30
FILL, LINE_PIXELS = 0.22, 2


@dataclass(frozen=True)
class Segment:
    """One drawn region. id: the editor's. colour: "#rrggbb". voxels: how many are drawn."""

    id: str
    name: str
    colour: str
    voxels: int
    visible: bool


@dataclass(frozen=True)
class Kept:
    """A region put aside while another case is shown; roi is None where nothing was drawn."""

    name: str
    colour: str
    roi: Roi | None


class Drawing:
    """Draws on one source at a time.

    on_change: called after anything drawn changed, also several times at once. on_brush: called with the brush's new
    diameter in mm after Shift and the wheel changed it.
    """

    def __init__(
        self, slicer_app: SlicerApp, *, on_change: Callable[[], None],
        on_brush: Callable[[float], None] = lambda _: None,
    ) -> None:  # fmt: skip
        from trame_slicer.segmentation import (
            SegmentationEffectDraw,
            SegmentationEffectErase,
            SegmentationEffectNoTool,
            SegmentationEffectPaint,
            SegmentationEffectScissors,
            SegmentationOverwriteMode,
        )
        from undo_stack import UndoStack

        self._scene = slicer_app.scene
        self._editor = slicer_app.segmentation_editor
        self._effects = {
            POINTER: SegmentationEffectNoTool, BRUSH: SegmentationEffectPaint, ERASER: SegmentationEffectErase,
            OUTLINE: SegmentationEffectDraw, SCISSORS: SegmentationEffectScissors,
        }  # fmt: skip
        # A lesion drawn inside a gland must not change what the gland is compared by.
        self._editor.set_overwrite_mode(SegmentationOverwriteMode.ALLOW_OVERLAP)
        self._undo = UndoStack(undo_limit=STEPS_BACK)
        self._editor.set_undo_stack(self._undo)
        self._grid: Grid | None = None
        self._node: Any = None
        self._tool = POINTER
        self._on_change, self._on_brush = on_change, on_brush
        self._quiet = False
        self.set_scissors(through=False)
        self._editor.segmentation_modified.connect(self._changed)
        self._undo.index_changed.connect(self._changed)
        for tool in (BRUSH, ERASER):
            self._editor.get_effect(self._effects[tool]).parameters_changed.connect(self._brush_changed)

    def open(self, source: Volume, node: vtkMRMLScalarVolumeNode, kept: Sequence[Kept] = ()) -> None:
        """Begin on another source, with the regions `kept` of it or one empty region; nothing can be undone yet."""
        self._quiet = True
        try:
            self._grid = Grid.of(source)
            self._node = self._editor.create_empty_segmentation_node()
            self._node.SetName("Drawn regions")
            self._editor.set_active_segmentation(self._node, node)
            display = self._node.GetDisplayNode()
            display.SetOpacity2DFill(FILL)
            display.SetSliceIntersectionThickness(LINE_PIXELS)
            for each in kept:
                self._put(self._new(each.name, each.colour), each.roi)
            if not kept:
                self.add()
            self.choose(self._editor.get_nth_segment_id(0))
            self._undo.clear()
        finally:
            self._quiet = False
        self.use(self._tool)
        self._changed()

    def close(self) -> list[Kept]:
        """Take the drawing out of the scene; the regions as they were, for `open`."""
        if self._node is None:
            return []
        kept = [Kept(each.name, each.colour, self.roi(each.id)) for each in self.segments()]
        self._quiet = True
        try:
            self._editor.deactivate_effect()
            self._undo.clear()
            display = self._node.GetDisplayNode()
            self._scene.RemoveNode(self._node)
            if display is not None and display.GetScene() is not None:
                self._scene.RemoveNode(display)
            self._node = None
        finally:
            self._quiet = False
        return kept

    @property
    def tool(self) -> str:
        """The tool in hand, one of `TOOLS`."""
        return self._tool

    def use(self, tool: str) -> None:
        """Take a tool; with the pointer, dragging changes brightness again."""
        self._tool = tool
        self._editor.set_active_effect_type(self._effects[tool])

    def set_visible(self, visible: bool) -> None:
        """Show or hide the whole drawing in the views."""
        if self._node is not None:
            self._node.SetDisplayVisibility(visible)

    def set_brush(self, diameter_mm: float, ball: bool) -> None:
        """Brush and eraser: a disc on the slice shown, or a ball that reaches the slices beside it."""
        from trame_slicer.segmentation.paint_effect_parameters import BrushDiameterMode

        before, self._quiet = self._quiet, True
        try:
            for tool in (BRUSH, ERASER):
                effect = self._editor.get_effect(self._effects[tool])
                effect.set_brush_diameter(diameter_mm, BrushDiameterMode.Absolute)
                effect.set_use_sphere_brush(ball)
        finally:
            self._quiet = before

    def set_scissors(self, *, through: bool) -> None:
        """through: the scissors cut all slices, not only the one shown."""
        from trame_slicer.segmentation.scissors_effect_parameters import (
            ScissorsEffectFillMode,
            ScissorsEffectRangeMode,
        )

        effect = self._editor.get_effect(self._effects[SCISSORS])
        effect.set_range_mode(ScissorsEffectRangeMode.UNLIMITED if through else ScissorsEffectRangeMode.SYMMETRIC)
        effect.set_fill_mode(ScissorsEffectFillMode.ERASE_INSIDE)

    def undo(self) -> None:
        """Take the last change back."""
        self._undo.undo()
        self._choose_one()

    def redo(self) -> None:
        """Make the change taken back again."""
        self._undo.redo()
        self._choose_one()

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._undo.can_undo())

    @property
    def can_redo(self) -> bool:
        """Whether a change was taken back."""
        return bool(self._undo.can_redo())

    @property
    def chosen(self) -> str:
        """The id of the segment that is drawn and compared."""
        return str(self._editor.active_segment_id)

    def ids(self) -> list[str]:
        """The segments' ids, in order."""
        return [] if self._node is None else list(self._editor.get_segment_ids())

    def choose(self, segment: str) -> None:
        """Draw on this one from now on."""
        self._editor.set_active_segment_id(segment)
        # The editor lays the tool down when the segment it was used on goes.
        self._editor.set_active_effect_type(self._effects[self._tool])
        self._changed()

    def add(self) -> str:
        """Another empty region, chosen; returns its id."""
        names = {each.GetName() for each in map(self._editor.get_segment, self.ids())}
        number = next(n for n in range(1, len(names) + 2) if f"Region {n}" not in names)
        segment = self._new(f"Region {number}", self._unused_colour())
        self.choose(segment)
        return segment

    def add_rois(self, rois: Sequence[Roi]) -> None:
        """Regions out of a file, each as a segment of its own; the first is chosen. One step back takes all away.

        A single segment in which nothing is drawn makes room for them.
        """
        before = self.segments()
        empty = before[0] if len(before) == 1 and not before[0].voxels else None
        with self._editor.active_segmentation.group_undo_commands():
            for n, roi in enumerate(rois):
                colour = empty.colour if empty is not None and n == 0 else self._unused_colour()
                self._put(self._new(roi.name, colour), roi)
            if empty is not None:
                self._editor.remove_segment(empty.id)
        known = {each.id for each in before}
        self.choose(next(segment for segment in self.ids() if segment not in known))

    def remove(self, segment: str) -> None:
        """Take a segment away; the last one is emptied instead."""
        if len(self.ids()) > 1:
            self._editor.remove_segment(segment)
            self._choose_one()
        else:
            self._put(segment, None)

    def rename(self, segment: str, name: str, colour: str) -> None:
        """Another name and colour ("#rrggbb")."""
        properties = self._editor.get_segment_properties(segment)
        properties.name, properties.color_hex = name, colour
        self._editor.set_segment_properties(segment, properties)

    def show(self, segment: str, visible: bool) -> None:
        """Show or hide a segment in the views; a hidden one is still compared."""
        self._editor.set_segment_visibility(segment, visible)
        self._changed()

    def segments(self) -> list[Segment]:
        """All of them, in order."""
        listed = []
        for segment in self.ids():
            properties = self._editor.get_segment_properties(segment)
            count = int(np.count_nonzero(self._mask(segment)))
            visible = bool(self._editor.get_segment_visibility(segment))
            listed.append(Segment(segment, properties.name, str(properties.color_hex), count, visible))
        return listed

    def roi(self, segment: str) -> Roi | None:
        """The drawn voxels, or None where there are none."""
        mask = self._mask(segment)
        box = bounding_box(mask)
        if box is None or self._grid is None:
            return None
        start = (box[0].start, box[1].start, box[2].start)
        name = self._editor.get_segment(segment).GetName()
        return Roi(np.ascontiguousarray(mask[box]), start, self._grid, self.ids().index(segment) + 1, name)

    def _mask(self, segment: str) -> np.ndarray:
        """bool (k, j, i) on the whole grid."""
        mask: np.ndarray = self._editor.get_segment_labelmap(segment, as_numpy_array=True) != 0
        return mask

    def _new(self, name: str, colour: str) -> str:
        rgb = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        return str(self._editor.add_empty_segment(segment_name=name, segment_color=rgb))

    def _put(self, segment: str, roi: Roi | None) -> None:
        """Replace a segment's voxels."""
        assert self._grid is not None
        mask = roi.full() if roi is not None else np.zeros(self._grid.shape, np.uint8)
        self._editor.active_segment_modifier.set_segment_labelmap(segment, mask)

    def _unused_colour(self) -> str:
        used = {self._editor.get_segment_properties(segment).color_hex.lower() for segment in self.ids()}
        return next((colour for colour in COLOURS if colour not in used), COLOURS[len(used) % len(COLOURS)])

    def _choose_one(self) -> None:
        """After the chosen segment may have gone: the same, or the last there is."""
        if self.ids():
            self.choose(self.chosen if self.chosen in self.ids() else self.ids()[-1])

    def _changed(self, *_: object) -> None:
        if not self._quiet and self._node is not None:
            self._on_change()

    def _brush_changed(self, *_: object) -> None:
        if not self._quiet and self._tool in (BRUSH, ERASER):
            self._on_brush(float(self._editor.get_effect(self._effects[self._tool]).get_brush_diameter()))
