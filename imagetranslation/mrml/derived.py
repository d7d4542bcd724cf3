"""The synthetic mark on volumes that Slicer's command line modules make of a synthetic one.

Slicer's own copies (Clone, Crop Volume, Mask volume of the Segment Editor) keep a node's attributes and with them the
mark. A command line module (Threshold, Resample, the filters) writes into a new node that knows nothing of its input;
but its node says which volumes went in and out, and when it is done. Python modules say nothing of that kind: what
they derive stays without a mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import vtk

from ..provenance import MARK
from .provenance import is_synthetic, mark, provenance_of

if TYPE_CHECKING:
    import slicer

MODULE_NODE = "vtkMRMLCommandLineModuleNode"


class DerivedMarks:
    """Follows the command line module nodes of a scene until `detach`."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self._followed: list[tuple[Any, int]] = []
        self._tag = scene.AddObserver(scene.NodeAddedEvent, self._on_node)
        for index in range(scene.GetNumberOfNodesByClass(MODULE_NODE)):
            self._follow(scene.GetNthNodeByClass(index, MODULE_NODE))

    def detach(self) -> None:
        """Stop following."""
        self._scene.RemoveObserver(self._tag)
        for node, tag in self._followed:
            node.RemoveObserver(tag)
        self._followed = []

    def _on_node(self, caller: Any, event: str, node: Any) -> None:
        if node is not None and node.IsA(MODULE_NODE):
            self._follow(node)

    # VTK hands the node over only when told what the call data is.
    _on_node.CallDataType = vtk.VTK_OBJECT  # type: ignore[attr-defined]

    def _follow(self, node: Any) -> None:
        self._followed = [(known, tag) for known, tag in self._followed if known.GetScene() is not None]
        self._followed.append((node, node.AddObserver(node.StatusModifiedEvent, self._on_status)))

    def _on_status(self, node: Any, event: str) -> None:
        if node.GetStatus() == node.Completed:
            mark_outputs(node)


def mark_outputs(run: Any) -> None:
    """Mark the volumes that a finished run of a command line module has made of a synthetic one.

    run: a vtkMRMLCommandLineModuleNode. An image that is handed over by a flag (a mask, a grid to resample to) gives no
    voxels to the result and does not count where another is handed over by its place, as the modules' inputs are; of
    modules that take all by flags (registration) it cannot be known which gives the voxels, and nothing is marked
    unless all of them are synthetic.
    """
    scene = run.GetScene()
    images = list(_images(run))
    inputs = [image for image in images if image[0] == "input"]
    placed = [scene.GetNodeByID(node_id) for _, index, node_id in inputs if index]
    flagged = [scene.GetNodeByID(node_id) for _, index, node_id in inputs if not index]
    made_of = [node for node in placed if is_synthetic(node)]
    if not placed and flagged and all(is_synthetic(node) for node in flagged):
        made_of = flagged
    record = provenance_of(made_of[0]) if made_of else None
    if record is None:
        return
    note = f"Made of {made_of[0].GetName()} by {run.GetModuleTitle() or 'another module'}."
    record = replace(record, notes=(*record.notes, note))
    for channel, _, node_id in images:
        node = scene.GetNodeByID(node_id)
        if channel == "output" and node is not None and not is_synthetic(node):
            mark(node, record)
            if not (node.GetName() or "").startswith(MARK):
                node.SetName(f"{MARK} {node.GetName() or ''}".strip())


def _images(run: Any) -> Iterator[tuple[str, str, str]]:
    """(channel, place on the command line or "", node id) of every image parameter that is set."""
    for group in range(run.GetNumberOfParameterGroups()):
        for number in range(run.GetNumberOfParametersInGroup(group)):
            node_id = run.GetParameterAsString(run.GetParameterName(group, number))
            if run.GetParameterTag(group, number) == "image" and node_id:
                yield run.GetParameterChannel(group, number), run.GetParameterIndex(group, number), node_id
