"""Reading and writing Qt properties with PythonQt's conversions.

A string property takes anything that has a `str`, an integer takes a float's floor, a boolean takes a truth value;
what does not fit is an AttributeError, also for a read-only property.
"""

from __future__ import annotations

import enum
import math
import operator
from typing import Any

from PySide6.QtCore import QMetaProperty, QObject

from .deviations import is_absent, is_method, word_wrapped

_INTEGERS = {"int", "uint", "short", "ushort", "long", "ulong", "qlonglong", "qulonglong", "char", "uchar"}


def property_index(native: QObject, name: str) -> int:
    """Index of the Qt property that PythonQt shows under `name`, or -1."""
    from PySide6.QtCore import QTimer

    if name == "singleShot" and isinstance(native, QTimer):
        return -1
    if is_absent(type(native), name) or is_method(type(native), name):
        return -1
    meta = native.metaObject()
    index = meta.indexOfProperty(name)
    if index < 0 and name == "name":
        index = meta.indexOfProperty("objectName")
    return index


def read(native: QObject, index: int) -> Any:
    """The property's value, unwrapped; an enumerator or flags are a plain int, other than from a method."""
    prop = native.metaObject().property(index)
    try:
        value = native.property(prop.name())
    except RuntimeError as error:
        if "converter" not in str(error):
            raise
        # PySide6 has no variant converter for some flags; their getter, of the same name, has.
        value = getattr(native, prop.name())()
    return value.value if isinstance(value, enum.Enum) else value


def write(native: QObject, index: int, value: Any, shown_as: str) -> None:
    """Set the property from a Python value. Raises AttributeError where PythonQt does."""
    prop = native.metaObject().property(index)
    class_name = native.metaObject().className()
    if not prop.isWritable():
        raise AttributeError(f"Property '{shown_as}' of {class_name} object is not writable")
    try:
        converted = _convert(prop, value)
        written = native.setProperty(prop.name(), converted)
    except (TypeError, ValueError, RuntimeError):
        written = False
    if not written:
        raise AttributeError(
            f"Property '{shown_as}' of type '{prop.typeName()}' does not accept an object of type "
            f"{type(value).__name__} ({value!r})"
        )


def _convert(prop: QMetaProperty, value: Any) -> Any:
    from .wrapper import PythonQtInstanceWrapper, unwrap

    kind = prop.typeName()
    if prop.isEnumType():
        if not isinstance(value, (int, str)):
            raise TypeError
        return int(value) if isinstance(value, int) else value
    if kind == "QString":
        return word_wrapped(str(value)) if prop.name() == "toolTip" else str(value)
    if kind == "bool":
        return bool(value)
    if kind in _INTEGERS:
        return math.floor(value) if isinstance(value, float) else operator.index(value)
    if kind in ("double", "float"):
        return float(value)
    if kind == "QStringList":
        return [str(item) for item in value]
    if kind in ("QVariant", "PyObject"):
        return unwrap(value)
    native = unwrap(value)
    if not isinstance(value, (PythonQtInstanceWrapper, list, tuple, dict)):
        raise TypeError
    is_value = isinstance(value, PythonQtInstanceWrapper) and not isinstance(native, QObject)
    if is_value and type(native).__name__ != kind:
        # No implicit C++ conversions: PythonQt wants the property's own class.
        raise TypeError
    return native
