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


def names_in_the_application() -> dict[str, list[str]]:
    """Class name to the names PythonQt lists for it."""
    import qt

    classes = {name: getattr(qt, name) for name in dir(qt) if name.startswith("Q")}
    return {name: sorted(n for n in dir(cls) if not n.startswith("_")) for name, cls in classes.items()}


def absent(known: dict[str, list[str]]) -> dict[str, object]:
    """Classes, and for each class its own methods, properties and signals, that `known` lacks."""
    from PySide6 import QtCore, QtGui, QtNetwork, QtWidgets
    from shiboken6 import Shiboken

    missing_classes: list[str] = []
    missing_names: dict[str, list[str]] = {}
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
                own |= {meta.property(i).name() for i in range(meta.propertyOffset(), meta.propertyCount())}
            # PythonQt finds `raise` when asked for `raise_`.
            own |= {"staticMetaObject"} if name == "QObject" else set()
            lacking = sorted(n for n in own if n.removesuffix("_") not in known[name] and n not in known[name])
            if lacking:
                missing_names[name] = lacking
    return {"classes": sorted(set(missing_classes)), "names": dict(sorted(missing_names.items()))}


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
