"""The volume selectors in a slice view's controller bar (shown by its "more" button, here never).

They matter although nobody sees them: they are node selectors, so when a shown volume is renamed or removed, they
choose again, and what one of them chooses goes to every linked view.
"""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtWidgets import QWidget

from ..widgets.node_combo_box import qMRMLNodeComboBox

_TYPES = {"Foreground": "vtkMRMLVolumeNode", "Background": "vtkMRMLVolumeNode", "Label": "vtkMRMLLabelMapVolumeNode"}


class LayerSelectors(QWidget):
    """Foreground, background and label map of one slice logic."""

    def __init__(self, logic: Any, parent: QWidget) -> None:
        super().__init__(parent)
        self.hide()
        self._logic = logic
        self._combos: dict[str, qMRMLNodeComboBox] = {}
        for layer, node_type in _TYPES.items():
            combo = qMRMLNodeComboBox(self)
            combo.blockSignals(True)
            combo.setProperty("nodeTypes", [node_type])
            for option in ("addEnabled", "removeEnabled"):
                combo.setProperty(option, False)
            combo.setProperty("noneEnabled", True)
            combo.setMRMLScene(slicer.mrmlScene)
            combo.blockSignals(False)
            combo.currentNodeChanged[object].connect(lambda node, layer=layer: self._selected(layer, node))
            self._combos[layer] = combo
        self._composite = logic.GetSliceCompositeNode()
        self._observed = self._composite.AddObserver("ModifiedEvent", lambda *_: self._follow())

    def _follow(self) -> None:
        scene = self._logic.GetMRMLScene()
        if scene is None or scene.IsBatchProcessing():
            return
        for layer, combo in self._combos.items():
            node_id = getattr(self._composite, f"Get{layer}VolumeID")()
            combo.blockSignals(True)
            combo.setCurrentNode(scene.GetNodeByID(node_id) if node_id else None)
            combo.blockSignals(False)

    def _selected(self, layer: str, node: Any) -> None:
        flag = getattr(slicer.vtkMRMLSliceCompositeNode, f"{layer}VolumeFlag")
        self._logic.StartSliceCompositeNodeInteraction(flag)
        getattr(self._composite, f"Set{layer}VolumeID")(node.GetID() if node is not None else None)
        self._logic.EndSliceCompositeNodeInteraction()

    def finish(self) -> None:
        """Stop following."""
        self._composite.RemoveObserver(self._observed)
        for combo in self._combos.values():
            combo.setMRMLScene(None)
