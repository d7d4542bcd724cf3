"""Signals by signature: `connect("clicked(bool)", f)`, `clicked.connect(f)`, and receivers that take fewer arguments.

A signal that does not exist is a ValueError here; PythonQt prints a warning and returns False. An exception in a
receiver is printed, as there, and kept in `exceptions_in_slots`, so that a test can fail on it.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import SIGNAL, QMetaMethod, QMetaObject, QObject
from shiboken6 import Shiboken

exceptions_in_slots: list[BaseException] = []

# Per C++ object: (native signature, the callable as given, the function connected). Kept on the C++ side of things,
# because a connection outlives the Python object it was made from.
_connections: dict[int, list[tuple[str, Callable, Callable]]] = {}


def cpp_signals(**aliases: str) -> Callable[[type], type]:
    """Give the signals of a stand-in class the signatures of the C++ class, where PySide6 can't spell them.

    aliases: native name of a PySide6 signal, with "PyObject" arguments, to C++ argument list, e.g.
    `currentNodeChanged="vtkMRMLNode*"`.
    """

    def decorate(cls: type) -> type:
        inherited = dict(getattr(cls, "_cpp_signatures", {}))
        for name, arguments in aliases.items():
            foreign = [a.endswith("*") or "::" in a or a == "PyObject" for a in arguments.split(",")]
            native = ",".join("PyObject" if f else a for f, a in zip(foreign, arguments.split(",")))
            inherited[f"{name}({arguments})"] = f"{name}({native})"
        cls._cpp_signatures = inherited
        return cls

    return decorate


def signal_names(native: QObject) -> dict[str, str]:
    """Name of each signal to its first signature, in the order Qt declares them."""
    meta = native.metaObject()
    found: dict[str, str] = {}
    for index in range(meta.methodCount()):
        method = meta.method(index)
        if method.methodType() == QMetaMethod.MethodType.Signal:
            found.setdefault(bytes(method.name()).decode(), bytes(method.methodSignature()).decode())
    return found


def native_signature(native: QObject, signature: str) -> str:
    """The signature as this object's meta-object spells it; ValueError if there is no such signal."""
    from .deviations import is_absent

    wanted = bytes(QMetaObject.normalizedSignature(signature.lstrip("0123456789"))).decode()
    wanted = getattr(type(native), "_cpp_signatures", {}).get(wanted, wanted)
    if native.metaObject().indexOfSignal(wanted) < 0 or is_absent(type(native), wanted.split("(")[0]):
        raise ValueError(f"signal '{signature}' does not exist on {native.metaObject().className()}")
    return wanted


def connect(native: QObject, signature: str, receiver: Callable) -> bool:
    """Connect; the receiver gets as many of the signal's arguments as it takes."""
    if not callable(receiver):
        raise ValueError(f"the receiver of {signature} is not callable: {receiver!r}")
    wanted = native_signature(native, signature)

    def forward(*arguments: Any) -> None:
        run_receiver(receiver, arguments)

    key = Shiboken.getCppPointer(native)[0]
    if key not in _connections:
        _connections[key] = []
        QObject.connect(native, SIGNAL("destroyed()"), lambda: _connections.pop(key, None))
    _connections[key].append((wanted, receiver, forward))
    return bool(QObject.connect(native, SIGNAL(wanted), forward))


def disconnect(native: QObject, signature: str, receiver: Callable | None = None) -> bool:
    """Undo one `connect` of the same receiver, or all from Python when none is named; False if there was none."""
    wanted = native_signature(native, signature)
    mine = _connections.get(Shiboken.getCppPointer(native)[0], [])
    hits = [c for c in mine if c[0] == wanted and (receiver is None or c[1] == receiver)]
    for connection in hits[:1] if receiver is not None else hits:
        mine.remove(connection)
        QObject.disconnect(native, SIGNAL(wanted), connection[2])
    return bool(hits)


def run_receiver(receiver: Callable, arguments: tuple) -> None:
    """Call a Python receiver from Qt: trimmed arguments, wrapped; an exception is printed and recorded."""
    from .wrapper import wrap

    try:
        limit = argument_limit(receiver)
        taken = arguments if limit is None else arguments[:limit]
        receiver(*[wrap(argument) for argument in taken])
    except Exception as error:  # noqa: BLE001 - as PythonQt: nothing may pass through Qt's event loop
        traceback.print_exc()
        exceptions_in_slots.append(error)


def argument_limit(receiver: Callable) -> int | None:
    """How many positional arguments PythonQt would pass: all (None) unless it is a plain function or method."""
    function, bound = (receiver.__func__, 1) if inspect.ismethod(receiver) else (receiver, 0)
    if not inspect.isfunction(function) or function.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return function.__code__.co_argcount - bound


class SignalFunction:
    """A signal of one object: connect, disconnect, emit, or call to emit."""

    __slots__ = ("_native", "_signature")

    def __init__(self, native: QObject, signature: str) -> None:
        self._native = native
        self._signature = signature

    def connect(self, receiver: Callable) -> bool:
        return connect(self._native, self._signature, receiver)

    def disconnect(self, *receiver: Callable) -> bool:
        return disconnect(self._native, self._signature, *receiver)

    def emit(self, *arguments: Any) -> None:
        from .wrapper import unwrap

        getattr(self._native, self._signature.split("(")[0]).emit(*[unwrap(a) for a in arguments])

    __call__ = emit

    def __repr__(self) -> str:
        return f"<qt signal {self._signature} of {self._native.metaObject().className()} instance>"
