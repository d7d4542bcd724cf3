"""Loading .ui files as the application does, with CTK's and Slicer's widgets known by class name.

Every object is made from Python, so that its life is tracked. A class that is neither Qt's nor a registered stand-in
is an error here (the application logs it and makes a plain QWidget). Connections in the file are made by signature and
checked, because the ones between Slicer's widgets carry types that PySide6 can't spell.
"""

from __future__ import annotations

from xml.etree import ElementTree

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

from .pythonqt import deviations

# What PythonQt gets from a C++ function is not Python's to delete, so a loaded panel lives until Qt deletes it.
_loaded: set[QtWidgets.QWidget] = set()


class UiLoader(QtUiTools.QUiLoader):
    """QUiLoader with the application's custom widgets."""

    def createWidget(self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = "") -> object:
        made = _class(class_name, QtWidgets.QWidget)(parent)
        made.setObjectName(name)
        return made

    def createLayout(self, class_name: str, parent: QtCore.QObject | None = None, name: str = "") -> object:
        made = _class(class_name, QtWidgets.QLayout)()
        if isinstance(parent, QtWidgets.QWidget) and parent.layout() is None:
            parent.setLayout(made)
        made.setObjectName(name)
        return made

    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> object:
        tree = ElementTree.fromstring(bytes(device.readAll().data()))
        connections = [
            [(c.findtext(tag) or "") for tag in ("sender", "signal", "receiver", "slot")]
            for c in tree.iterfind("connections/connection")
        ]
        for element in tree.findall("connections"):
            tree.remove(element)
        _spell_out_enumerators(tree)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        if widget is None:
            raise RuntimeError(f"the .ui file could not be loaded: {self.errorString()}")
        for child in [widget, *widget.findChildren(QtWidgets.QWidget)]:
            child.setToolTip(deviations.word_wrapped(child.toolTip()))
        for sender, signal, receiver, slot in connections:
            _connect(_named(widget, sender), signal, _named(widget, receiver), slot)
        _loaded.add(widget)
        widget.destroyed.connect(lambda: _loaded.discard(widget))
        return widget


UiLoader.load.is_cpp_invokable = True
UiLoader.__name__ = "QUiLoader"


def _spell_out_enumerators(tree: ElementTree.Element) -> None:
    """Turn enumerators given to stand-ins into numbers: their enum properties are integers to Qt's form builder."""
    from .widgets import registry

    for widget in tree.iter("widget"):
        stand_in = registry.classes.get(widget.get("class", ""))
        for prop in widget.iterfind("property") if stand_in is not None else ():
            ours = any(prop.get("name") in vars(c) for c in stand_in.__mro__ if not c.__module__.startswith("PySide6"))
            for given in [*prop.findall("enum"), *prop.findall("set")] if ours else []:
                value = 0
                for name in (given.text or "").split("|"):
                    value |= _enumerator(name)
                prop.remove(given)
                ElementTree.SubElement(prop, "number").text = str(value)


def _enumerator(name: str) -> int:
    from .widgets import registry

    scope, _, member = name.replace("::", ".").rpartition(".")
    owner = registry.classes.get(scope.split(".")[0])
    for library in (QtCore.Qt, QtWidgets, QtGui, QtCore):
        owner = owner or getattr(library, scope.split(".")[0], None)
    if scope.split(".")[0] == "Qt":
        owner = QtCore.Qt
    found = getattr(owner, member, None)
    if found is None:
        raise RuntimeError(f"the .ui file uses the enumerator {name}, which does not exist")
    return int(found.value)


def _class(name: str, base: type) -> type:
    from .widgets import registry

    for found in (registry.classes.get(name), getattr(QtWidgets, name, None), getattr(QtGui, name, None)):
        if isinstance(found, type) and issubclass(found, base):
            return found
    if name == "Line":
        return QtWidgets.QFrame
    raise RuntimeError(f"the .ui file uses {name}, which is no Qt class and has no stand-in")


def _named(root: QtCore.QObject, name: str) -> QtCore.QObject:
    found = root if root.objectName() == name else root.findChild(QtCore.QObject, name)
    if found is None:
        raise RuntimeError(f"the .ui file connects '{name}', which is not in it")
    return found


def _connect(sender: QtCore.QObject, signal: str, receiver: QtCore.QObject, slot: str) -> None:
    if not deviations.lookup(QtCore.QObject, "connect")(sender, signal, receiver, slot):
        raise RuntimeError(
            f"the .ui file's connection {sender.objectName()}.{signal} to {receiver.objectName()}.{slot} failed"
        )
