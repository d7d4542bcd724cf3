"""The `qt` and `ctk` modules, put where `import qt` and `import ctk` find them.

`qt` shows the classes PythonQt shows: Qt's own, by their C++ names. Python conveniences of PySide6 (Signal, Slot,
Property, free functions) don't exist. `ctk` shows the widgets of `widgets` that are named after CTK's.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from PySide6 import QtCore, QtGui, QtNetwork, QtWidgets
from shiboken6 import Shiboken

from .pythonqt import wrapper_class
from .pythonqt.deviations import absent_classes
from .uiloader import UiLoader


class QtModule(types.ModuleType):
    """Looks a class up in Qt's libraries when it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name == "QUiLoader":
            return wrapper_class(UiLoader)
        if name.startswith("Q") and name not in absent_classes:
            for library in (QtCore, QtGui, QtWidgets, QtNetwork):
                found = getattr(library, name, None)
                if isinstance(found, type) and issubclass(found, Shiboken.Object):
                    return wrapper_class(found)
        raise AttributeError(f"module 'qt' has no attribute '{name}'")


class CtkModule(types.ModuleType):
    """The CTK classes there are stand-ins for."""

    def __getattr__(self, name: str) -> Any:
        from .widgets import registry

        if name.startswith("ctk") and name in registry.classes:
            return wrapper_class(registry.classes[name])
        raise AttributeError(f"module 'ctk' has no attribute '{name}' (or the harness has no stand-in for it)")


def install() -> None:
    """Make `import qt` and `import ctk` work in this process."""
    sys.modules["qt"] = QtModule("qt", "PythonQt's Qt classes, over PySide6.")
    sys.modules["ctk"] = CtkModule("ctk", "CTK's widgets, over PySide6.")
