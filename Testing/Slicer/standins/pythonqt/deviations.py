"""Where PythonQt and PySide6 differ: names that only one has, and the few functions with another Python form.

Everything else is found in Qt's meta-objects. Each function gets the native object (or, called on the class, what the
caller gave) and native arguments, and returns native values.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from . import signals

_ABSENT = json.loads((Path(__file__).resolve().parent / "absent.json").read_text())
"""What PySide6 offers and PythonQt does not: Qt 6's additions and PySide6's own. See update_absent.py."""
absent_classes = frozenset(_ABSENT["classes"])
_METHODS = {name: frozenset(members) for name, members in _ABSENT["methods"].items()}
_ABSENT_NAMES = {name: frozenset(members) for name, members in _ABSENT["names"].items()}

opened_urls: list[str] = []
"""What code under test handed to the desktop; nothing is really opened."""


def _connect(sender: QtCore.QObject, signal: str, *target: Any) -> bool:
    if len(target) == 1:
        return signals.connect(sender, signal, target[0])
    receiver, slot = target[:2]
    wanted = signals.native_signature(sender, signal)
    name = slot.lstrip("0123456789").split("(")[0]
    if getattr(type(receiver), "_cpp_signatures", None) is None and not hasattr(
        getattr(type(receiver), name, None), "is_cpp_invokable"
    ):
        normalized = bytes(QtCore.QMetaObject.normalizedSignature(slot.lstrip("0123456789"))).decode()
        if receiver.metaObject().indexOfMethod(normalized) < 0:
            raise ValueError(f"slot '{slot}' does not exist on {receiver.metaObject().className()}")
        return bool(QtCore.QObject.connect(sender, QtCore.SIGNAL(wanted), receiver, QtCore.SLOT(slot)))
    if "(" not in slot or not callable(getattr(receiver, name, None)):
        raise ValueError(f"slot '{slot}' does not exist on {receiver.metaObject().className()}")
    count = 0 if slot.endswith("()") else slot.count(",") + 1
    return signals.connect(sender, signal, lambda *a: getattr(receiver, name)(*[_native(x) for x in a[:count]]))


def _native(value: Any) -> Any:
    from .wrapper import unwrap

    return unwrap(value)


def _disconnect(sender: QtCore.QObject, signal: str, *receiver: Any) -> bool:
    return signals.disconnect(sender, signal, *receiver)


def _single_shot(milliseconds: int, receiver: Callable) -> None:
    if not callable(receiver):
        raise TypeError("QTimer.singleShot takes a callable")
    QtCore.QTimer.singleShot(milliseconds, lambda: signals.run_receiver(receiver, ()))


def _matches(child: QtCore.QObject, wanted: Any, name: str | None) -> bool:
    if name is not None and child.objectName() != name:
        return False
    return child.inherits(wanted) if isinstance(wanted, str) else isinstance(child, wanted)


def _find_children(parent: QtCore.QObject, wanted: Any, name: str | None = None) -> list[QtCore.QObject]:
    found = []
    for child in parent.children():
        if _matches(child, wanted, name):
            found.append(child)
        found += _find_children(child, wanted, name)
    return found


def _find_child(parent: QtCore.QObject, wanted: Any, name: str | None = None) -> QtCore.QObject | None:
    for child in parent.children():
        if _matches(child, wanted, name):
            return child
    for child in parent.children():
        found = _find_child(child, wanted, name)
        if found is not None:
            return found
    return None


def _first_of(function: Callable) -> Callable:
    """PySide6 returns output arguments in a tuple; PythonQt returns the C++ return value alone."""

    def only_the_value(*arguments: Any) -> Any:
        return function(*arguments)[0]

    return only_the_value


def _open_url(url: QtCore.QUrl) -> bool:
    opened_urls.append(url.toString())
    return True


_TABLE: dict[tuple[type, str], Callable] = {
    (QtCore.QObject, "connect"): _connect,
    (QtCore.QObject, "disconnect"): _disconnect,
    (QtCore.QObject, "findChild"): _find_child,
    (QtCore.QObject, "findChildren"): _find_children,
    (QtCore.QTimer, "singleShot"): _single_shot,
    (QtGui.QDesktopServices, "openUrl"): _open_url,
    (QtWidgets.QWidget, "setToolTip"): lambda widget, text: widget.setToolTip(word_wrapped(text)),
    **{
        (QtWidgets.QFileDialog, name): _first_of(getattr(QtWidgets.QFileDialog, name))
        for name in ("getOpenFileName", "getOpenFileNames", "getSaveFileName")
    },
    **{
        (QtWidgets.QInputDialog, name): _first_of(getattr(QtWidgets.QInputDialog, name))
        for name in ("getText", "getItem", "getInt", "getDouble", "getMultiLineText")
    },
}
_STATIC = {"singleShot", "openUrl", "getOpenFileName", "getOpenFileNames", "getSaveFileName", "getText", "getItem"}
_STATIC |= {"getInt", "getDouble", "getMultiLineText"}


def lookup(native: type, name: str) -> Callable | None:
    """The special function for `native.name`; called with the instance first unless it is static in C++."""
    for cls in native.__mro__:
        found = _TABLE.get((cls, name))
        if found is not None:
            return found
    return None


def is_absent(native: type, name: str) -> bool:
    """Whether PythonQt has no member `name` where PySide6 may have one."""
    for cls in native.__mro__:
        if name in _ABSENT_NAMES.get(cls.__name__, ()):
            return True
        if name in vars(cls):
            return False
    return False


def is_method(native: type, name: str) -> bool:
    """Whether a property of PySide6's Qt is a method in the application's."""
    return any(name in _METHODS.get(cls.__name__, ()) for cls in native.__mro__)


def word_wrapped(text: str) -> str:
    """A widget's tool tip as the application makes it: plain text becomes rich text, so that long lines are broken."""
    plain = text and not QtGui.Qt.mightBeRichText(text)
    return QtGui.Qt.convertFromPlainText(text, QtCore.Qt.WhiteSpaceMode.WhiteSpaceNormal) if plain else text


def is_static(name: str) -> bool:
    """Whether the special function is static in C++, and so takes no instance."""
    return name in _STATIC
