"""Switching the synthetic mark on for the whole application, once, whichever of the modules came first.

Imports `slicer` and needs its layout manager; what is drawn lies in `mrml.viewmarks`, what is written in `filemarks`.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from ..mrml.derived import DerivedMarks
from ..mrml.layouts import register
from ..mrml.viewmarks import ViewMarks
from .filemarks import FileMarks

_application: Any = None


class ApplicationMarks:
    """Marks every view, every saved file and what is derived, and follows layouts and scenes that are opened."""

    def __init__(self, layout_manager: Any, io_manager: Any, scene: Any) -> None:
        self.marks = ViewMarks(layout_manager)
        self.files = FileMarks(io_manager, scene)
        self.derived = DerivedMarks(scene)
        self._manager, self._scene = layout_manager, scene
        layout_manager.connect("layoutChanged(int)", self.onChange)
        events = (scene.EndImportEvent, scene.EndCloseEvent, scene.EndBatchProcessEvent)
        self._tags = [scene.AddObserver(event, self.onChange) for event in events]
        # A view comes into being together with its composite node, also in layouts a person puts together.
        self._tags.append(scene.AddObserver(scene.NodeAddedEvent, self.onNode))

    def onChange(self, *_arguments: object) -> None:
        """Views may have come or gone."""
        self.marks.refresh()

    def onNode(self, caller: Any, event: Any, node: Any) -> None:
        """A node was added; the widget of a new view follows within the event loop."""
        import qt

        if node is not None and node.IsA("vtkMRMLAbstractViewNode"):
            qt.QTimer.singleShot(0, self.onChange)

    # VTK hands the node over only when told what the call data is.
    onNode.CallDataType = vtk.VTK_OBJECT  # type: ignore[attr-defined]

    def detach(self) -> None:
        """Stop following and remove the marks."""
        self._manager.disconnect("layoutChanged(int)", self.onChange)
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self.marks.detach()
        self.files.detach()
        self.derived.detach()


def mark_all_views() -> ApplicationMarks | None:
    """Mark the application's views from now on; None where there is no main window to mark."""
    global _application
    if _application is None and slicer.app.layoutManager() is not None:
        register(slicer.mrmlScene)
        _application = ApplicationMarks(slicer.app.layoutManager(), slicer.app.coreIOManager(), slicer.mrmlScene)
    return _application
