"""The current case in the MRML scene and in the slice views: layers, planes, slices, windows.

Which view shows what is decided in `viewstate`; the page's controls are `app`'s. Volume rendering is never switched on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from .. import appearance, slices
from ..mrml.corner import CornerText
from ..mrml.display import drag_changes_window, link, set_window, window_of
from ..mrml.provenance import mark
from ..mrml.volumes import add_volume
from ..volume import Volume
from .cases import LoadedCase
from .viewstate import Pane, difference_partner, words_of

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode, vtkMRMLScene
    from trame_slicer.views import SliceView

REAL = ("source", "synthetic", "reference")
TO_RAS = np.array([-1.0, -1.0, 1.0])


class Stage:
    """Owns the nodes of the case shown and keeps all views on one slice.

    views: the slice views from left to right. on_slice, on_window: called after the mouse changed the slice or a
    window in a view.
    """

    def __init__(
        self, scene: vtkMRMLScene, views: Sequence[SliceView], *,
        on_slice: Callable[[], None], on_window: Callable[[], None],
    ) -> None:  # fmt: skip
        self._scene = scene
        self._views = list(views)
        self._on_slice, self._on_window = on_slice, on_window
        self._case: LoadedCase | None = None
        self._nodes: dict[str, vtkMRMLScalarVolumeNode] = {}
        self._board: tuple[float, bool, str] | None = None
        self._plane = "axial"
        self._number = 0
        self._quiet = False
        self._difference_colours = _difference_colours(self._scene)
        self._uncertainty_colours = _uncertainty_colours(self._scene)
        drag_changes_window(self._scene)
        composites = [view._logic.GetSliceCompositeNode() for view in self._views]
        link(composites)
        self.corners = [
            CornerText(view.first_renderer(), composite, request_render=view.schedule_render, text_of=self._text_of)
            for view, composite in zip(self._views, composites)
        ]
        for view in self._views:
            view.get_view_node().AddObserver(vtk.vtkCommand.ModifiedEvent, self._slice_moved)
            # After trame-slicer's own observer of the same event, which resizes the slice.
            view.interactor().AddObserver(vtk.vtkCommand.WindowResizeEvent, lambda *_, v=view: self._fit(v), -1.0)

    @property
    def case(self) -> LoadedCase:
        """The case shown."""
        if self._case is None:
            raise RuntimeError("no case has been shown yet")
        return self._case

    @property
    def source_node(self) -> vtkMRMLScalarVolumeNode:
        """The node of the source shown, on whose grid regions are drawn."""
        return self._nodes["source"]

    @property
    def plane(self) -> str:
        """The plane all views show."""
        return self._plane

    @property
    def number(self) -> int:
        """The slice all views show, counted from 0 (see `slices`)."""
        return self._number

    def show_case(self, case: LoadedCase) -> None:
        """Replace the scene's volumes by those of `case`, each with its default window; the middle slice is shown."""
        for view in self._views:
            view.set_background_volume_id(None)
            view.set_foreground_volume_id(None)
        for node in self._nodes.values():
            display = node.GetDisplayNode()
            self._scene.RemoveNode(node)
            if display is not None and display.GetScene() is not None:
                self._scene.RemoveNode(display)
        self._case, self._nodes, self._board = case, {}, None
        for name in REAL:
            volume = self._volume(name)
            if volume is not None:
                self._nodes[name] = add_volume(self._scene, volume)
                self.reset_window(name)
                self._nodes[name].GetDisplayNode().AddObserver(vtk.vtkCommand.ModifiedEvent, self._window_moved)
        if self._plane not in slices.useful_planes(case.source):
            self._plane = slices.useful_planes(case.source)[0]
        self.set_plane(self._plane)

    def show_panes(self, panes: Sequence[Pane], *, square_mm: float, swapped: bool) -> None:
        """Put the images into the first `len(panes)` views; squares of `square_mm` for a checkerboard."""
        for view, pane in zip(self._views, panes):
            with view.render_blocked():
                view.set_background_volume_id(self._node(pane.background, square_mm, swapped).GetID())
                above = None if pane.foreground is None else self._node(pane.foreground, square_mm, swapped)
                view.set_foreground_volume_id(None if above is None else above.GetID())
                view.set_foreground_opacity(pane.opacity if above is not None else 0.0)
        self._place()

    def set_plane(self, plane: str) -> None:
        """Turn all views to the plane (along the source's own axes when it is oblique), middle slice, fitted."""
        self._plane = plane
        self._number = slices.slice_count(self.case.source, plane) // 2
        self.fit()

    def set_number(self, number: int) -> None:
        """Show the slice of that number in all views, clipped to the volume."""
        self._number = int(np.clip(number, 0, slices.slice_count(self.case.source, self._plane) - 1))
        self._place()

    def fit(self) -> None:
        """Undo zoom, pan and any turning in all views."""
        self._turn()
        for view in self._views:
            self._fit(view)
        self._place()

    def window(self, name: str) -> tuple[float, float] | None:
        """(lower, upper) as shown, or None for an image the case lacks."""
        return window_of(self._nodes[name]) if name in self._nodes else None

    def set_window(self, name: str, lower: float, upper: float) -> None:
        """Set the window of source, synthetic or reference."""
        if name in self._nodes and upper > lower:
            set_window(self._nodes[name], lower, upper)

    def reset_window(self, name: str) -> None:
        """Back to the image's default window."""
        volume = self._volume(name)
        if volume is not None:
            self.set_window(name, *appearance.default_window(volume))

    def _volume(self, name: str) -> Volume | None:
        volume: Volume | None = getattr(self.case, name)
        return volume

    def _node(self, name: str, square_mm: float, swapped: bool) -> vtkMRMLScalarVolumeNode:
        if name == "difference" and name not in self._nodes:
            self._nodes[name] = self._make_difference()
        if name == "uncertainty" and name not in self._nodes:
            self._nodes[name] = self._make_uncertainty()
        if name == "checkerboard" and self._board != (square_mm, swapped, self._plane):
            self._make_checkerboard(square_mm, swapped)
        return self._nodes[name]

    def _make_difference(self) -> vtkMRMLScalarVolumeNode:
        synthetic, other = self.case.synthetic, self._volume(difference_partner(self.case)[0])
        if other is None:
            raise ValueError("no image to subtract")
        percent = appearance.difference_percent(synthetic, other)
        node = add_volume(self._scene, synthetic.with_array(percent))
        set_window(node, -appearance.DIFFERENCE_LIMIT, appearance.DIFFERENCE_LIMIT)
        node.GetDisplayNode().SetAndObserveColorNodeID(self._difference_colours.GetID())
        return node

    def _make_uncertainty(self) -> vtkMRMLScalarVolumeNode:
        deviation = self.case.uncertainty
        if deviation is None:
            raise ValueError("no uncertainty map")
        node = add_volume(self._scene, deviation)
        limit = appearance.uncertainty_limit(deviation.array)
        set_window(node, 0.0, limit)
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID(self._uncertainty_colours.GetID())
        # The layer's colours have no transparency of their own; the threshold is what leaves low values out.
        display.SetThreshold(appearance.UNCERTAINTY_FLOOR * limit, float(np.finfo(np.float32).max))
        display.SetApplyThreshold(True)
        mark(node, self.case.provenance)
        return node

    def _make_checkerboard(self, square_mm: float, swapped: bool) -> None:
        """The synthetic image with every other square cut out, laid over the partner; it shares the synthetic window.

        The cut-out voxels hold a value far below all others and are hidden by the display threshold; the distance
        makes the edge sharp, because an interpolated value is then below the threshold too. What is kept shrinks by
        half a voxel on each side that way, so it is first grown by one voxel along both axes of the picture.
        """
        synthetic = self.case.synthetic
        axis = slices.array_axis(synthetic, self._plane)
        lowest, highest = appearance.full_range(synthetic)
        cut = np.float32(lowest - 1e4 * (highest - lowest))
        kept = appearance.checkerboard(synthetic, square_mm, axis) ^ swapped
        for other in (a for a in range(3) if a != axis):
            before = np.roll(kept, 1, axis=other)
            before[(slice(None),) * other + (0,)] = False
            kept = kept | before
        old = self._nodes.pop("checkerboard", None)
        array = np.where(kept, np.nan_to_num(synthetic.array.astype(np.float32), nan=lowest), cut)
        node = add_volume(self._scene, synthetic.with_array(array), display=False)
        display = self._nodes["synthetic"].GetDisplayNode()
        display.SetThreshold(lowest - 1e-3 * (highest - lowest), highest + 1e-3 * (highest - lowest))
        display.SetApplyThreshold(True)
        node.SetAndObserveDisplayNodeID(display.GetID())
        mark(node, self.case.provenance)
        self._nodes["checkerboard"] = node
        self._board = (square_mm, swapped, self._plane)
        if old is not None:
            self._scene.RemoveNode(old)

    def _text_of(self, nodes: list[Any]) -> str:
        """The corner text of a view, top layer first, each image's words once."""
        names = {node.GetID(): name for name, node in self._nodes.items()}
        shown = [names[node.GetID()] for node in reversed(nodes) if node.GetID() in names]
        return words_of(shown, self.case) if self._case else ""

    def _turn(self) -> None:
        """Turn every view to the plane, along the source's own axes where the source is oblique."""
        axis = slices.array_axis(self.case.source, self._plane)
        with self._unheard():
            for view in self._views:
                node = view.get_view_node()
                node.SetOrientation(self._plane.capitalize())
                node.RotateToVolumePlane(self._nodes["source"])
                # One step of the wheel is one slice of the source, whatever grid the view's own images have.
                node.SetSliceSpacingModeToPrescribed()
                node.SetPrescribedSliceSpacing(1, 1, self.case.source.spacing[2 - axis])

    def _place(self) -> None:
        """Put every view on the slice, leaving zoom and pan."""
        centre = slices.slice_centre(self.case.source, self._plane, self._number) * TO_RAS
        with self._unheard():
            for view in self._views:
                view.set_slice_value(float(_normal(view.get_view_node()) @ centre))
                view.schedule_render()

    def _fit(self, view: SliceView) -> None:
        """Centre the source in the view and make it as large as fits, staying on the slice."""
        if "source" not in self._nodes:
            return
        with self._unheard():
            offset = view.get_slice_value()
            size = view.render_window().GetSize()
            view._logic.ResizeSliceNode(*size)
            view._logic.FitSliceToVolume(self._nodes["source"], *size)
            view.set_slice_value(offset)
            view.schedule_render()

    @contextlib.contextmanager
    def _unheard(self) -> Iterator[None]:
        """Views moved in here do not report back."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _slice_moved(self, node: Any, _event: str) -> None:
        """A wheel or a linked view moved the slice: follow it with the number, and with views that are not linked."""
        if self._quiet or not self._nodes:
            return
        normal = _normal(node)
        centre = slices.slice_centre(self.case.source, self._plane, self._number) * TO_RAS
        point = centre + (node.GetSliceOffset() - normal @ centre) * normal
        number = slices.nearest_number(self.case.source, self._plane, point * TO_RAS)
        if number != self._number:
            self._number = number
            self._on_slice()

    def _window_moved(self, *_: object) -> None:
        self._on_window()


def _normal(slice_node: Any) -> np.ndarray:
    """(3,) RAS unit vector in which the node's slice offset grows."""
    matrix = slice_node.GetSliceToRAS()
    normal = np.array([matrix.GetElement(row, 2) for row in range(3)])
    return normal / np.linalg.norm(normal)


def _difference_colours(scene: Any) -> Any:
    """The colour table of the difference picture; the same colours as `appearance.difference_colours`."""
    limit = appearance.DIFFERENCE_LIMIT
    return _colour_table(scene, "Difference", appearance.difference_colours(np.linspace(-limit, limit, 255)))


def _uncertainty_colours(scene: Any) -> Any:
    """The colour table of the uncertainty map; the same colours as `appearance.uncertainty_colours`."""
    return _colour_table(scene, "Uncertainty", appearance.uncertainty_colours(np.linspace(0, 1, 256))[:, :3])


def _colour_table(scene: Any, name: str, colours: np.ndarray) -> Any:
    """A colour table of uint8 (n, RGB)."""
    table = slicer.vtkMRMLColorTableNode()
    table.SetName(name)
    table.SetTypeToUser()
    table.SetNumberOfColors(len(colours))
    for n, colour in enumerate(colours):
        table.SetColor(n, f"{n}", *(float(part) / 255 for part in colour), 1.0)
    scene.AddNode(table)
    return table
