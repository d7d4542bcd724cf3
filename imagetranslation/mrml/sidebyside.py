"""Source, synthetic and reference in linked slice views: which view shows what, from where, and how they move.

Works on MRML nodes alone, in the application and without it. Layout and way back are `layouts`' matter, pictures made
of two images (checkerboard, difference) `blends`'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import slicer
import vtk

from .display import link
from .layouts import TAGS, LayoutSwitch, composite_node, slice_node

if TYPE_CHECKING:
    from slicer import vtkMRMLScene, vtkMRMLSliceCompositeNode, vtkMRMLSliceLogic, vtkMRMLSliceNode, vtkMRMLVolumeNode

ORIENTATIONS = ("Axial", "Sagittal", "Coronal", "Acquired")
_NEAREST_TO = ("Sagittal", "Coronal", "Axial")  # by the patient axis (R, A, S) that the plane's normal is nearest to
SliceLogicOf = Callable[["vtkMRMLSliceNode"], "vtkMRMLSliceLogic | None"]


class SideBySide:
    """The comparison as a person sees it.

    slice_logic: gives the logic of a slice node (the application's), which knows how to fit a view to its image.
    """

    def __init__(self, scene: vtkMRMLScene, slice_logic: SliceLogicOf) -> None:
        self._scene, self._slice_logic = scene, slice_logic
        self._layout = LayoutSwitch(scene)
        self._crosshair: tuple[int, int] | None = None
        self._images: list[vtkMRMLVolumeNode] = []
        self._orientation = ORIENTATIONS[0]
        self._swapped = False
        self._over: tuple[vtkMRMLVolumeNode, vtkMRMLVolumeNode, float] | None = None

    @property
    def on(self) -> bool:
        """Whether the comparison is shown."""
        return self._layout.on

    @property
    def swapped(self) -> bool:
        """Whether the synthetic image stands left."""
        return self._swapped

    def show(
        self,
        source: vtkMRMLVolumeNode,
        synthetic: vtkMRMLVolumeNode,
        reference: vtkMRMLVolumeNode | None = None,
        orientation: str = "Axial",
    ) -> None:
        """Open the views on these images; call `fit` once the views have got their size."""
        self._images = [source, synthetic] if reference is None else [source, synthetic, reference]
        self._orientation, self._swapped, self._over = orientation, False, None
        self._layout.show(len(self._images))
        self._assign()
        self._share_crosshair()

    def fit(self) -> None:
        """Turn all views into the chosen plane of the source and give them the same place and field of view."""
        views = self._views()
        if not views:
            return
        leader, _ = views[0]
        if self._orientation == "Acquired":
            turn_to_acquired(leader, self._images[0])
        else:
            leader.SetOrientation(self._orientation)
        logic = self._slice_logic(leader)
        if logic is not None:
            logic.FitSliceToBackground()
        for follower, _ in views[1:]:
            follow(follower, leader)
        middle = leader.GetSliceToRAS()
        self._crosshair_node().SetCrosshairRAS(*(middle.GetElement(axis, 3) for axis in range(3)))

    def turn(self, orientation: str) -> None:
        """Show another plane ("Axial", "Sagittal", "Coronal", "Acquired")."""
        self._orientation = orientation
        self.fit()

    def swap(self) -> None:
        """Exchange the places of source and synthetic image."""
        self._swapped = not self._swapped
        self._assign()

    def lay_over(
        self, node: vtkMRMLVolumeNode | None, opacity: float = 1.0, below: vtkMRMLVolumeNode | None = None
    ) -> None:
        """Show `below` (the source where not given) with `node` over it in the synthetic image's view.

        None for `node` shows the synthetic image again.
        """
        self._over = None if node is None else (below or self._images[0], node, opacity)
        self._assign()

    def leave(self) -> None:
        """Bring back the layout and the crosshair as they were."""
        if self._crosshair is not None:
            node = self._crosshair_node()
            node.SetCrosshairMode(self._crosshair[0])
            node.SetCrosshairBehavior(self._crosshair[1])
            self._crosshair = None
        for _, composite in self._views():
            set_layers(composite, None, None, 0.0)
        self._layout.leave()
        self._images, self._over = [], None

    def _views(self) -> list[tuple[vtkMRMLSliceNode, vtkMRMLSliceCompositeNode]]:
        pairs = [(slice_node(self._scene, t), composite_node(self._scene, t)) for t in TAGS[: len(self._images)]]
        return [(view, composite) for view, composite in pairs if view is not None and composite is not None]

    def _assign(self) -> None:
        """Put the images into the views' layers, unlinked: linked views would take over one another's layers."""
        for _, composite in self._views():
            composite.SetLinkedControl(False)
            composite.SetHotLinkedControl(False)
        order = list(self._images)
        if self._swapped:
            order[0], order[1] = order[1], order[0]
        place = 0 if self._swapped else 1
        for number, (_, composite) in enumerate(self._views()):
            if number == place and self._over is not None:
                set_layers(composite, *self._over)
            else:
                set_layers(composite, order[number], None, 0.0)
        link(composite for _, composite in self._views())

    def _share_crosshair(self) -> None:
        node = self._crosshair_node()
        if self._crosshair is None:
            self._crosshair = (node.GetCrosshairMode(), node.GetCrosshairBehavior())
        node.SetCrosshairMode(slicer.vtkMRMLCrosshairNode.ShowBasic)
        node.SetCrosshairBehavior(slicer.vtkMRMLCrosshairNode.OffsetJumpSlice)

    def _crosshair_node(self) -> slicer.vtkMRMLCrosshairNode:
        node = self._scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        return node or self._scene.AddNewNodeByClass("vtkMRMLCrosshairNode")


def set_layers(
    composite: vtkMRMLSliceCompositeNode,
    below: vtkMRMLVolumeNode | None,
    above: vtkMRMLVolumeNode | None,
    opacity: float,
) -> None:
    """Let a view show `below` with `above` over it, or nothing."""
    modified = composite.StartModify()
    composite.SetBackgroundVolumeID(below.GetID() if below is not None else None)
    composite.SetForegroundVolumeID(above.GetID() if above is not None else None)
    composite.SetForegroundOpacity(opacity)
    composite.SetLabelVolumeID(None)
    composite.EndModify(modified)


def turn_to_acquired(view: vtkMRMLSliceNode, node: vtkMRMLVolumeNode) -> None:
    """Show the slices of the image as they were acquired, whatever plane the view shows now.

    Slicer's `RotateToVolumePlane` takes the plane of the image that is nearest to the view's; so the standard plane
    nearest to the image's slices is set first, which decides how the picture is turned within its plane.
    """
    axes = vtk.vtkMatrix4x4()
    node.GetIJKToRASDirectionMatrix(axes)
    parent = node.GetParentTransformNode()
    if parent is not None and parent.IsTransformToWorldLinear():
        to_world = vtk.vtkMatrix4x4()
        parent.GetMatrixTransformToWorld(to_world)
        vtk.vtkMatrix4x4.Multiply4x4(to_world, axes, axes)
    normal = [abs(axes.GetElement(row, 2)) for row in range(3)]
    view.SetOrientation(_NEAREST_TO[normal.index(max(normal))])
    view.RotateToAxes(axes, 2)


def follow(view: vtkMRMLSliceNode, leader: vtkMRMLSliceNode) -> None:
    """The same plane, place and field of view; a view of another shape keeps the height and its own pixels' shape."""
    view.GetSliceToRAS().DeepCopy(leader.GetSliceToRAS())
    own_width, own_height, _ = view.GetDimensions()
    across, down, thick = leader.GetFieldOfView()
    if own_width > 0 and own_height > 0:
        across = down * own_width / own_height
    view.SetFieldOfView(across, down, thick)
    view.SetXYZOrigin(*leader.GetXYZOrigin())
    view.UpdateMatrices()
