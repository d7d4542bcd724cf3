"""How a value of each type is written to and read from a parameter node."""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import slicer

from .validators import Validator


class Default:
    """The value a parameter starts with."""

    def __init__(self, value: Any = None, *, generator: Callable[[], Any] | None = None) -> None:
        self._value = value
        self._generator = generator

    @property
    def value(self) -> Any:
        return self._generator() if self._generator else self._value


@dataclass
class FloatRange:
    """Two floats in order."""

    minimum: float = 0.0
    maximum: float = 0.0

    def __post_init__(self) -> None:
        if not self.minimum <= self.maximum:
            raise ValueError(f"FloatRange must have minimum <= maximum: {self.minimum} <= {self.maximum}")


class Serializer:
    """Writes, reads and checks values of one annotated type."""

    def __init__(self, annotated: Any) -> None:
        self.annotated = annotated
        self.type, self.annotations = split(annotated)
        self.validators = [a for a in self.annotations if isinstance(a, Validator)]
        self._kind = _kind(self.type)

    def default(self) -> Any:
        for annotation in self.annotations:
            if isinstance(annotation, Default):
                return annotation.value
        return _FALLBACK[self._kind](self.type)

    def isIn(self, node: Any, name: str) -> bool:
        return node.GetParameter(name) != "" or name in node.GetParameterNames()

    def write(self, node: Any, name: str, value: Any) -> None:
        self.check(value)
        if self._kind == "node":
            node.SetParameter(name, "")
            node.SetNodeReferenceID(name, None if value is None else value.GetID())
        elif self._kind == "list":
            modified = node.StartModify()
            inner = Serializer(typing.get_args(self.type)[0])
            node.SetParameter(name, str(len(value)))
            for index, item in enumerate(value):
                inner.write(node, f"{name}_{index}", item)
            node.EndModify(modified)
        elif self._kind == "range":
            node.SetParameter(name, f"{value.minimum!r} {value.maximum!r}")
        elif self._kind == "enum":
            node.SetParameter(name, value.name)
        else:
            node.SetParameter(name, str(value))

    def read(self, node: Any, name: str) -> Any:
        if self._kind == "node":
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        if self._kind == "list":
            inner = Serializer(typing.get_args(self.type)[0])
            items = [inner.read(node, f"{name}_{index}") for index in range(int(text))]
            whole = typing.get_origin(self.type)
            return tuple(items) if whole is tuple else ObservedList(items, lambda new: self.write(node, name, new))
        if self._kind == "range":
            return FloatRange(*map(float, text.split()))
        if self._kind == "enum":
            return self.type[text]
        return text == "True" if self.type is bool else self.type(text)

    def check(self, value: Any) -> None:
        """ValueError or TypeError if `value` may not be stored in this parameter."""
        plain = _node_classes(self.type) if self._kind == "node" else None
        if self._kind == "node" and value is not None and not isinstance(value, plain):
            raise TypeError(f"Value must be a node of {plain}, is {value!r}")
        expected = {"plain": (int, float) if self.type is float else self.type, "enum": self.type, "range": FloatRange}
        if self._kind in expected and not isinstance(value, expected[self._kind]):
            raise TypeError(f"Value must be of type {self.type}, is {value!r}")
        if self._kind == "list" and not isinstance(value, (list, tuple, ObservedList)):
            raise TypeError(f"Value must be a sequence, is {value!r}")
        for validator in self.validators:
            validator.validate(value)


class ObservedList(list):
    """A list whose changes go back into the parameter node."""

    def __init__(self, items: list, changed: Callable[[list], None]) -> None:
        super().__init__(items)
        self._changed = changed


def _writing(name: str) -> Callable:
    def method(self: ObservedList, *arguments: Any, **keywords: Any) -> Any:
        result = getattr(list, name)(self, *arguments, **keywords)
        self._changed(list(self))
        return result

    return method


for _name in ("append", "extend", "insert", "pop", "remove", "clear", "reverse", "sort", "__setitem__", "__delitem__"):
    setattr(ObservedList, _name, _writing(_name))


def split(annotated: Any) -> tuple[Any, list[Any]]:
    """Type and annotations of `Annotated[type, ...]`, or of a bare type."""
    if typing.get_origin(annotated) is typing.Annotated:
        inner, *annotations = typing.get_args(annotated)
        return inner, annotations
    return annotated, []


def _alternatives(type_: Any) -> list[Any]:
    if typing.get_origin(type_) in (typing.Union, types.UnionType):
        return [t for t in typing.get_args(type_) if t is not type(None)]
    return [type_]


def _node_classes(type_: Any) -> tuple[type, ...]:
    return tuple(_alternatives(type_))


def node_types(type_: Any) -> list[str] | None:
    """Class names of a node type or a union of them; None for any other type."""
    classes = _alternatives(type_)
    if all(isinstance(c, type) and issubclass(c, slicer.vtkMRMLNode) for c in classes):
        return [c.__name__ for c in classes]
    return None


def _kind(type_: Any) -> str:
    if type_ in (bool, int, float, str) or (isinstance(type_, type) and issubclass(type_, pathlib.PurePath)):
        return "plain"
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return "enum"
    if type_ is FloatRange:
        return "range"
    if node_types(type_) is not None:
        return "node"
    if typing.get_origin(type_) in (list, tuple):
        return "list"
    raise Exception(f"Unable to create serializer for type: {type_}")


_FALLBACK: dict[str, Callable[[Any], Any]] = {
    "plain": lambda type_: type_() if type_ in (bool, int, float, str) else type_("."),
    "enum": lambda type_: next(iter(type_)),
    "range": lambda type_: FloatRange(),
    "node": lambda type_: None,
    "list": lambda type_: [],
}
