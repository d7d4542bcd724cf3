"""Renew standins/pythonqt/absent.json: what PySide6 offers and the application does not.

    Slicer --testing --no-splash --python-script Testing/Slicer/update_absent.py /tmp/names.json
    python Testing/Slicer/update_absent.py /tmp/names.json

The first line writes the names of every Qt class in the application, the second compares them with PySide6's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ABSENT = Path(__file__).resolve().parent / "standins" / "pythonqt" / "absent.json"


def names_in_the_application() -> dict[str, dict[str, str]]:
    """Class name to what PythonQt lists for it: name to the type of the class attribute; a property's is NoneType."""
    import qt

    found: dict[str, dict[str, str]] = {}
    for name in dir(qt):
        cls = getattr(qt, name)
        if name.startswith("Q") and isinstance(cls, type):
            members = [n for n in dir(cls) if not n.startswith("_")]
            found[name] = {n: type(getattr(cls, n, "")).__name__ for n in members}
    return found


def absent(known: dict[str, dict[str, str]]) -> dict[str, object]:
    """Classes, and for each class its own methods, properties and signals, that `known` lacks.

    `methods` are what is a property in PySide6's Qt and a method in the application's.
    """
    from PySide6 import QtCore, QtGui, QtNetwork, QtWidgets
    from shiboken6 import Shiboken

    missing_classes: list[str] = []
    missing_names: dict[str, list[str]] = {}
    methods: dict[str, list[str]] = {}
    for library in (QtCore, QtGui, QtWidgets, QtNetwork):
        for name in dir(library):
            cls = getattr(library, name)
            if not (name.startswith("Q") and isinstance(cls, type) and issubclass(cls, Shiboken.Object)):
                continue
            if name not in known:
                missing_classes.append(name)
                continue
            own = {n for n, value in vars(cls).items() if not n.startswith("_") and not isinstance(value, type)}
            own.discard("staticMetaObject")
            if issubclass(cls, QtCore.QObject):
                meta = cls.staticMetaObject
                properties = {meta.property(i).name() for i in range(meta.propertyOffset(), meta.propertyCount())}
                turned = sorted(n for n in properties if known[name].get(n) == "builtin_qt_slot")
                if turned:
                    methods[name] = turned
                own |= properties
            # PythonQt finds `raise` when asked for `raise_`.
            own |= {"staticMetaObject"} if name == "QObject" else set()
            lacking = sorted(n for n in own if n.removesuffix("_") not in known[name] and n not in known[name])
            if lacking:
                missing_names[name] = lacking
    return {"classes": sorted(set(missing_classes)), "names": dict(sorted(missing_names.items())), "methods": methods}


if __name__ == "__main__":
    path = Path(sys.argv[-1])
    try:
        import slicer

        in_the_application = hasattr(slicer, "app")
    except ImportError:
        in_the_application = False
    if in_the_application:
        path.write_text(json.dumps(names_in_the_application()))
        slicer.util.exit(0)
    else:
        ABSENT.write_text(json.dumps(absent(json.loads(path.read_text())), separators=(",", ":")) + "\n")
