"""qMRMLNodeComboBox: a node of the scene, chosen, made, renamed or deleted.

A QWidget around a ctkComboBox, as in Slicer. Entries are "None" where allowed, then the nodes that pass the filters,
then the actions.
"""

from __future__ import annotations

import weakref
from typing import Any

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QInputDialog, QWidget
from shiboken6 import Shiboken

from ..pythonqt import cpp_signals, invokable
from .ctk_inputs import ctkComboBox as _ctkComboBox
from .storage import stored

_NODE_ID = Qt.ItemDataRole.UserRole
_ACTION = Qt.ItemDataRole.UserRole + 1


def _refresh(self: qMRMLNodeComboBox) -> None:
    self._fill()


@cpp_signals(
    currentNodeChanged="vtkMRMLNode*",
    nodeActivated="vtkMRMLNode*",
    nodeAdded="vtkMRMLNode*",
    nodeAddedByUser="vtkMRMLNode*",
    nodeAddedByUserAction="vtkMRMLNode*",
    nodeAboutToBeRemoved="vtkMRMLNode*",
    nodeAboutToBeEdited="vtkMRMLNode*",
)
class qMRMLNodeComboBox(QWidget):
    """See the module's docstring."""

    currentNodeChanged = Signal((object,), (bool,))
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAddedByUserAction = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    nodeAboutToBeEdited = Signal(object)
    currentNodeRenamed = Signal(str)

    showHidden = stored("bool", False, _refresh)
    showChildNodeTypes = stored("bool", True, _refresh)
    hideChildNodeTypes = stored("QStringList", [], _refresh)
    noneDisplay = stored("QString", "None", _refresh)
    noneEnabled = stored("bool", False, _refresh)
    addEnabled = stored("bool", True, _refresh)
    removeEnabled = stored("bool", True, _refresh)
    editEnabled = stored("bool", False, _refresh)
    renameEnabled = stored("bool", False, _refresh)
    selectNodeUponCreation = stored("bool", True)
    interactionNodeSingletonTag = stored("QString", "")
    sizeAdjustPolicy = stored("int", int(QComboBox.SizeAdjustPolicy.AdjustToContentsOnFirstShow.value))

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._observations: list[tuple[Any, int]] = []
        self._node_observations: dict[str, tuple[Any, int]] = {}
        self._types: list[str] = []
        self._attributes: list[tuple[str, str, str | None]] = []
        self._labels: dict[str, str] = {}
        self._base_names: dict[str, str] = {}
        self._requested = ""
        self._shown = ""
        self._filling = False
        self._combo = _ctkComboBox(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(self._current_changed)
        self._combo.activated.connect(self._activated)
        self.setEnabled(False)

    # The scene

    @invokable
    def mrmlScene(self) -> Any:
        return self._scene

    @invokable
    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        wanted = self._id_at(self._combo.currentIndex()) or self._requested
        self._forget_observations()
        self._scene = scene
        self._requested = ""
        if scene is not None:
            for event in (
                scene.NodeAddedEvent,
                scene.NodeRemovedEvent,
                scene.EndBatchProcessEvent,
                scene.EndCloseEvent,
            ):
                self._observations.append((scene, scene.AddObserver(event, _calling(self, "_scene_changed"))))
        self.setEnabled(scene is not None)
        self._fill(wanted, chosen_anew=True)

    def _forget_observations(self) -> None:
        for subject, tag in [*self._observations, *self._node_observations.values()]:
            subject.RemoveObserver(tag)
        self._observations, self._node_observations = [], {}

    def _scene_changed(self) -> None:
        if not self._scene.IsBatchProcessing():
            self._fill()

    # What is listed

    def _get_types(self) -> list[str]:
        return self._types

    def _set_types(self, types: list[str]) -> None:
        self._types = [name for name in types if name]
        self._fill()

    nodeTypes = Property("QStringList", _get_types, _set_types)

    def _get_base_name(self) -> str:
        return self._base_names.get(self._types[0], "") if self._types else ""

    def _set_base_name(self, name: str) -> None:
        self._base_names = dict.fromkeys(self._types, name)

    baseName = Property("QString", _get_base_name, _set_base_name)

    @invokable
    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._attributes.append((node_type, name, None if value is None else str(value)))
        self._fill()

    @invokable
    def removeAttribute(self, node_type: str, name: str) -> None:
        self._attributes = [a for a in self._attributes if a[:2] != (node_type, name)]
        self._fill()

    @invokable
    def setNodeTypeLabel(self, label: str, node_type: str) -> None:
        self._labels[node_type] = label
        self._fill()

    @invokable
    def nodeTypeLabel(self, node_type: str) -> str:
        known = self._scene.GetTypeDisplayNameByClassName(node_type) if self._scene is not None else ""
        return self._labels.get(node_type) or known or "node"

    def _accepts(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if any(node.IsA(hidden) for hidden in self.hideChildNodeTypes):
            return False
        exact = not self.showChildNodeTypes
        if not any(node.GetClassName() == t if exact else node.IsA(t) for t in self._types):
            return False
        return all(
            not node.IsA(node_type)
            or (node.GetAttribute(name) == value if value is not None else node.GetAttribute(name) is not None)
            for node_type, name, value in self._attributes
        )

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        every = [self._scene.GetNthNode(n) for n in range(self._scene.GetNumberOfNodes())]
        return [node for node in every if self._accepts(node)]

    def _fill(self, wanted: str | None = None, chosen_anew: bool = False) -> None:
        """List again, keeping the current node; where it is gone, its row's next node becomes current.

        Without "None", a new scene's first node is chosen; a node added later only if there are no actions below it.
        """
        before = self._id_at(self._combo.currentIndex()) if wanted is None else wanted
        row = self._combo.currentIndex()
        nodes = self._nodes()
        first_row_ever = chosen_anew or self._combo.count() == 0
        self._filling = True
        self._combo.clear()
        if self.noneEnabled:
            self._combo.addItem(self.noneDisplay, "")
        for node in nodes:
            self._combo.addItem(node.GetName() or "", node.GetID())
            if node.GetID() not in self._node_observations:
                tag = node.AddObserver("ModifiedEvent", _calling(self, "_node_renamed"))
                self._node_observations[node.GetID()] = (node, tag)
        for text, action in self._actions():
            self._combo.addItem(text)
            self._combo.setItemData(self._combo.count() - 1, action, _ACTION)
            self._combo.model().item(self._combo.count() - 1).setSelectable(False)
        ids = [node.GetID() for node in nodes]
        if before in ids or not ids:
            chosen = before if ids else ""
        elif before and not chosen_anew:
            chosen = ids[min(max(row - bool(self.noneEnabled), 0), len(ids) - 1)]
        else:
            chosen = ids[0] if first_row_ever and not self.noneEnabled else ""
        self._combo.setCurrentIndex(self._row_of(chosen))
        self._filling = False
        self._current_changed(always=chosen_anew)

    def _actions(self) -> list[tuple[str, str]]:
        if self._scene is None:
            return []
        label = self.nodeTypeLabel(self._types[0]) if len(self._types) == 1 else self.nodeTypeLabel("")
        actions = [(f"Rename current {label}", "RENAME")] if self.renameEnabled else []
        actions += [(f"Edit current {label}", "EDIT")] if self.editEnabled else []
        if self.addEnabled:
            for node_type in self._types:
                actions.append((f"Create new {self.nodeTypeLabel(node_type)}", f"CREATE/{node_type}"))
                if self.renameEnabled:
                    actions.append((f"Create new {self.nodeTypeLabel(node_type)} as...", f"CREATE_AS/{node_type}"))
        return actions + ([(f"Delete current {label}", "DELETE")] if self.removeEnabled else [])

    def _node_renamed(self) -> None:
        for row in range(self._combo.count()):
            node = self._scene.GetNodeByID(self._id_at(row)) if self._scene is not None and self._id_at(row) else None
            if node is not None and self._combo.itemText(row) != node.GetName():
                self._combo.setItemText(row, node.GetName() or "")
                if row == self._combo.currentIndex():
                    self._current_changed(always=True)

    # The current node

    def _id_at(self, row: int) -> str:
        return self._combo.itemData(row, _NODE_ID) or "" if row >= 0 else ""

    def _row_of(self, node_id: str) -> int:
        if not node_id:
            return 0 if self.noneEnabled else -1
        return self._combo.findData(node_id, _NODE_ID)

    def _current_changed(self, *_: int, always: bool = False) -> None:
        if self._filling:
            return
        node_id = self._id_at(self._combo.currentIndex())
        if always or node_id != self._shown:
            self._shown = node_id
            node = self.currentNode()
            self.currentNodeChanged[object].emit(node)
            self.currentNodeChanged[bool].emit(node is not None)
            self.currentNodeIDChanged.emit(node_id)

    def _activated(self, row: int) -> None:
        action = self._combo.itemData(row, _ACTION)
        if action is None:
            self.nodeActivated.emit(self.currentNode())
            return
        kind, _, node_type = action.partition("/")
        if kind == "RENAME":
            self.renameCurrentNode()
        elif kind == "EDIT":
            self.nodeAboutToBeEdited.emit(self.currentNode())
        elif kind == "DELETE":
            self.removeCurrentNode()
        else:
            name = self._ask_name("Create new", "") if kind == "CREATE_AS" else None
            if kind == "CREATE" or name:
                self._add_by_hand(node_type, name)

    def _add_by_hand(self, node_type: str, name: str | None) -> None:
        node = self.addNode(node_type)
        if name:
            node.SetName(name)
        self.setCurrentNode(node)
        self.nodeAddedByUserAction.emit(node)

    def _ask_name(self, title: str, default: str) -> str:
        text, accepted = QInputDialog.getText(self, title, "New name:", text=default)
        return text if accepted else ""

    @invokable
    def currentNode(self) -> Any:
        node_id = self._id_at(self._combo.currentIndex())
        return self._scene.GetNodeByID(node_id) if node_id and self._scene is not None else None

    @invokable
    def setCurrentNode(self, node: Any) -> None:
        if isinstance(node, str):
            self.setCurrentNodeID(node)
        elif node is None or hasattr(node, "GetID"):
            self.setCurrentNodeID(node.GetID() if node is not None else "")
        else:
            raise TypeError("method requires a VTK object")

    @invokable
    def setCurrentNodeID(self, node_id: str) -> None:
        if self._scene is None:
            self._requested = node_id or ""
            return
        row = self._row_of(node_id or "")
        self._combo.setCurrentIndex(row if row >= 0 else self._row_of(""))

    @invokable
    def setCurrentNodeIndex(self, index: int) -> None:
        self._combo.setCurrentIndex(index + bool(self.noneEnabled) if index < self.nodeCount() else -1)

    def _current_id(self) -> str:
        return self._id_at(self._combo.currentIndex())

    currentNodeID = Property("QString", _current_id, setCurrentNodeID, notify=currentNodeIDChanged)

    @invokable
    def nodeCount(self) -> int:
        return len(self._nodes())

    @invokable
    def nodeFromIndex(self, index: int) -> Any:
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    @invokable
    def addNode(self, node_type: str | None = None) -> Any:
        if not self._types or (node_type is not None and node_type not in self._types):
            return None
        node_type = node_type or self._types[0]
        base = self._base_names.get(node_type) or self._scene.GetTypeDisplayNameByClassName(node_type) or "node"
        node = self._scene.CreateNodeByClass(node_type)
        node.UnRegister(None)
        node.SetName(self._scene.GenerateUniqueName(base))
        for wanted_type, name, value in self._attributes:
            if node.IsA(wanted_type):
                node.SetAttribute(name, value or "")
        node = self._scene.AddNode(node)
        self.nodeAdded.emit(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    @invokable
    def removeCurrentNode(self) -> None:
        node = self.currentNode()
        if node is not None:
            self.nodeAboutToBeRemoved.emit(node)
            self._scene.RemoveNode(node)

    @invokable
    def editCurrentNode(self) -> None:
        self.nodeAboutToBeEdited.emit(self.currentNode())

    @invokable
    def renameCurrentNode(self) -> None:
        node = self.currentNode()
        name = self._ask_name("Rename", node.GetName()) if node is not None else ""
        if name:
            node.SetName(name)
            self.currentNodeRenamed.emit(name)


def _calling(widget: QWidget, method: str) -> Any:
    """A VTK observer that doesn't keep the widget alive and does nothing once it is deleted."""
    reference = weakref.ref(widget)

    def observer(*_: Any) -> None:
        alive = reference()
        if alive is not None and Shiboken.isValid(alive):
            getattr(alive, method)()

    return observer
