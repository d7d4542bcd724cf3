"""The class decorator: each annotated field becomes a property kept in the parameter node, which widgets can follow."""

from __future__ import annotations

import typing
from typing import Any

import qt
import slicer
import vtk

from .connectors import GuiConnector, createGuiConnector
from .serializers import Default, Serializer

SlicerParameterNamePropertyName = "SlicerParameterName"


def isParameterNodeWrapper(subject: Any) -> bool:
    """Whether a class or an object was made by `parameterNodeWrapper`."""
    return getattr(subject, "_is_parameter_node_wrapper", False)


def parameterNodeWrapper(classtype: type | None = None) -> Any:
    """Turn a class of annotated fields into a typed view of a parameter node."""
    return _process if classtype is None else _process(classtype)


def _process(classtype: type) -> type:
    fields = {name: Serializer(t) for name, t in typing.get_type_hints(classtype, include_extras=True).items()}
    defaults = {name: Default(vars(classtype)[name]) for name in fields if name in vars(classtype)}
    reserved = [name for name in fields if hasattr(_Base, name)]
    if reserved:
        raise ValueError(f"Cannot use reserved name '{reserved[0]}' in a parameterNodeWrapper")
    namespace = {k: v for k, v in vars(classtype).items() if k not in fields and k not in ("__dict__", "__weakref__")}
    namespace.pop("__init__", None)
    namespace |= {name: _field(name) for name in fields}
    namespace |= {"allParameters": fields, "_defaults": defaults}
    return type(classtype.__name__, (_Base, *classtype.__bases__[:-1]), namespace)


def _field(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


class _Base:
    _is_parameter_node_wrapper = True
    allParameters: dict[str, Serializer] = {}
    _defaults: dict[str, Default] = {}

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._prefix = prefix or ""
        self._guis: dict[int, dict[str, GuiConnector]] = {}
        self._tags: dict[int, int] = {}
        self._updatingGui = False
        for name, serializer in self.allParameters.items():
            if not serializer.isIn(parameterNode, self._prefix + name):
                serializer.write(parameterNode, self._prefix + name, self.default(name).value)

    @classmethod
    def default(cls, name: str) -> Default:
        return cls._defaults.get(name) or Default(generator=cls._serializer(name).default)

    @classmethod
    def dataType(cls, name: str) -> Any:
        return cls._serializer(name).annotated

    @classmethod
    def _serializer(cls, name: str) -> Serializer:
        if name not in cls.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}")
        return cls.allParameters[name]

    def getValue(self, name: str) -> Any:
        serializer, key = self._serializer(name), self._prefix + name
        if not serializer.isIn(self.parameterNode, key):
            serializer.write(self.parameterNode, key, self.default(name).value)
        return serializer.read(self.parameterNode, key)

    def setValue(self, name: str, value: Any) -> None:
        self._serializer(name).write(self.parameterNode, self._prefix + name, value)

    # Widgets

    def connectGui(self, gui: Any) -> int:
        widgets = gui.findChildren(qt.QWidget) if hasattr(gui, "isWidgetType") else vars(gui).values()
        named = {w.property(SlicerParameterNamePropertyName): w for w in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        connectors = {
            name: w if isinstance(w, GuiConnector) else createGuiConnector(w, self.dataType(name))
            for name, w in mapping.items()
        }
        tag = max(self._guis, default=0) + 1
        self._guis[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._fromGui(name, connector))
        self._tags[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._toGui())
        return tag

    def disconnectGui(self, tag: int) -> None:
        for connector in self._guis.pop(tag, {}).values():
            connector.onChanged(None)
        if tag in self._tags:
            self.RemoveObserver(self._tags.pop(tag))

    def _fromGui(self, name: str, connector: GuiConnector) -> Any:
        def changed() -> None:
            if not self._updatingGui:
                with slicer.util.NodeModify(self):
                    self.setValue(name, connector.read())

        return changed

    def _toGui(self) -> None:
        if self._updatingGui:
            return
        self._updatingGui = True
        try:
            for connectors in self._guis.values():
                for name, connector in connectors.items():
                    connector.write(self.getValue(name))
        finally:
            self._updatingGui = False

    # The parameter node's own interface

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: int) -> int:
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()
