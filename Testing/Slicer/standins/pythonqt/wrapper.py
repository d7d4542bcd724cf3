"""The wrapper of a Qt object or value: PythonQt's attribute rules over a PySide6 instance.

Lookup order is PythonQt's: the Python class, then property, method or signal, enumerator, dynamic property, and a child
by its object name. Wrapper classes don't inherit from each other: `isinstance(button, qt.QWidget)` is false there too.
"""

from __future__ import annotations

import enum
import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import SIGNAL, QObject, Signal
from shiboken6 import Shiboken

from . import deviations, enums, properties
from .calls import SlotFunction, call
from .shells import shell_class
from .signals import SignalFunction, signal_names

_wrapper_classes: dict[type, type] = {}
_native_classes: dict[type, type] = {}
_live: weakref.WeakValueDictionary[int, PythonQtInstanceWrapper] = weakref.WeakValueDictionary()


class PythonQtClassWrapper(type):
    """The class of wrapper classes: static methods, enumerators and unbound methods are attributes of the class."""

    def __init__(cls, name: str, bases: tuple, namespace: dict, **_: Any) -> None:
        super().__init__(name, bases, namespace)
        parent = next((b for b in bases if b in _native_classes), None)
        if parent is not None:
            # A Python class deriving from a Qt class: its overrides of virtual methods must reach Qt.
            _native_classes[cls] = shell_class(name, _native_classes[parent], cls)

    def __getattr__(cls, name: str) -> Any:
        native = native_class(cls)
        if native is not None and not name.startswith("_"):
            special = deviations.lookup(native, name)
            if special is not None:
                return _unbound(name, special)
            found = _find_method(native, name)
            if found is not None:
                return _unbound(name, getattr(native, name))
            found = getattr(native, name, None)
            if isinstance(found, enum.Enum):
                return enums.wrap_enum(found)
            if isinstance(found, type) and issubclass(found, enum.Enum):
                return enums.enum_type(found)
            if isinstance(found, type) and issubclass(found, Shiboken.Object):
                return wrapper_class(found)
        raise AttributeError(f"{cls.__name__} has no attribute named '{name}'")


class PythonQtInstanceWrapper(metaclass=PythonQtClassWrapper):
    """A Qt object or value seen from Python. `_native` is the PySide6 instance; only the harness may touch it."""

    __slots__ = ("__weakref__", "_dead", "_native")

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        native = native_class(type(self))
        if native is None:
            raise ValueError(f"No constructors available for {type(self).__name__}")
        made = call(_Constructor(native), arguments, keywords, type(self).__name__)
        _adopt(self, made.native)
        if hasattr(type(made.native), "_shell_of"):
            made.native._python_owner = self

    def className(self) -> str:
        return self._native.metaObject().className() if isinstance(self._native, QObject) else type(self).__name__

    def inherits(self, class_name: str) -> bool:
        native = _alive(self, "inherits")
        return any(cls.__name__ == class_name for cls in type(native).__mro__)

    def help(self) -> str:
        return f"help of {type(self).__name__}"

    def delete(self) -> None:
        Shiboken.delete(_alive(self, "delete"))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_native", "_dead"):
            raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'")
        native = _alive(self, name)
        if isinstance(native, QObject):
            index = properties.property_index(native, name)
            if index >= 0:
                return wrap(properties.read(native, index))
        # Python keywords can't be attribute names, so one underscore after the name is ignored.
        for spelling in dict.fromkeys((name.removesuffix("_"), name)):
            member = _member(self, native, spelling)
            if member is not None:
                return member
        if isinstance(native, QObject):
            value = native.property(name)
            if value is not None:
                return wrap(value)
            for child in native.children():
                if child.objectName() == name:
                    return wrap(child)
        raise AttributeError(f"{type(self).__name__} has no attribute named '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_native", "_dead"):
            object.__setattr__(self, name, value)
            return
        derived = type(self).__mro__[1] is not PythonQtInstanceWrapper
        native = getattr(self, "_native", None)
        if native is not None:
            class_name = type(self).__name__
            if isinstance(native, QObject):
                index = properties.property_index(_alive(self, name), name)
                if index >= 0:
                    properties.write(native, index, value, name)
                    return
            if not derived or name not in _names_in_python(type(self)):
                if _find_method(type(native), name) is not None:
                    raise AttributeError(f"Slot '{name}' can not be overwritten on {class_name} object")
                if isinstance(native, QObject) and name in signal_names(native):
                    raise AttributeError(f"Signal '{name}' can not be overwritten on {class_name} object")
            if isinstance(native, QObject) and native.property(name) is not None:
                native.setProperty(name, unwrap(value))
                return
        if not derived:
            raise AttributeError(
                f"'{name}' does not exist on {type(self).__name__} and creating new attributes on C++ objects is "
                "not allowed"
            )
        object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *member_names(self._native)})

    def __bool__(self) -> bool:
        return not self._dead and Shiboken.isValid(self._native)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PythonQtInstanceWrapper):
            return NotImplemented
        if isinstance(self._native, QObject) or isinstance(other._native, QObject):
            return self._native is other._native
        return bool(self._native == other._native)

    def __hash__(self) -> int:
        return hash(Shiboken.getCppPointer(self._native)[0]) if isinstance(self._native, QObject) else id(self)

    def __repr__(self) -> str:
        if isinstance(self._native, QObject):
            state = " destroyed" if not self else f" at {Shiboken.getCppPointer(self._native)[0]:#x}"
            return f"{type(self).__name__} ({type(self).__name__}{state})"
        return str(self._native)


class _Raw:
    """Keeps a fresh native object from being wrapped on its way out of `call`."""

    def __init__(self, native: Any) -> None:
        self.native = native


class _Constructor:
    """A PySide6 class as a function whose result stays unwrapped; its signatures are the class's."""

    def __init__(self, native: type) -> None:
        self.native = native

    def __call__(self, *arguments: Any) -> _Raw:
        return _Raw(self.native(*arguments))


def wrapper_class(native: type) -> type:
    """The wrapper class of a PySide6 class or stand-in, made once."""
    if native not in _wrapper_classes:
        made = PythonQtClassWrapper(native.__name__, (PythonQtInstanceWrapper,), {"__slots__": (), "__module__": "qt"})
        _wrapper_classes[native] = made
        _native_classes[made] = native
    return _wrapper_classes[native]


def native_class(wrapper: type) -> type | None:
    """The PySide6 class behind a wrapper class."""
    return _native_classes.get(wrapper)


def wrap(value: Any) -> Any:
    """A PySide6 result as PythonQt would hand it to Python: lists become tuples, objects keep their identity."""
    if isinstance(value, enum.Enum) and type(value).__module__.startswith("PySide6"):
        return enums.wrap_enum(value)
    if isinstance(value, (list, tuple)):
        return tuple(wrap(item) for item in value)
    if isinstance(value, dict):
        return {key: wrap(item) for key, item in value.items()}
    if not isinstance(value, Shiboken.Object):
        return value
    owner = getattr(value, "_python_owner", None)
    if owner is not None:
        return owner
    known = _live.get(Shiboken.getCppPointer(value)[0])
    if known is not None and known and (known._native is value or isinstance(value, QObject)):
        return known
    wrapper = object.__new__(wrapper_class(_public_class(type(value))))
    _adopt(wrapper, value)
    return wrapper


def unwrap(value: Any) -> Any:
    """What PySide6 takes for a Python argument."""
    if isinstance(value, PythonQtInstanceWrapper):
        return _alive(value, "argument")
    if enums.is_enum(value):
        return enums.unwrap_enum(value)
    if isinstance(value, (list, tuple)):
        return [unwrap(item) for item in value]
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    native = native_class(value) if isinstance(value, type) else None
    return native if native is not None else value


def member_names(native: Any) -> set[str]:
    """Every name that is an attribute of the wrapper of `native`."""
    names = {n for n in dir(type(native)) if not n.startswith("_") and _find_method(type(native), n) is not None}
    if isinstance(native, QObject):
        meta = native.metaObject()
        names |= {meta.property(i).name() for i in range(meta.propertyCount())} | set(signal_names(native))
    return names


def _adopt(wrapper: PythonQtInstanceWrapper, native: Any) -> None:
    object.__setattr__(wrapper, "_native", native)
    object.__setattr__(wrapper, "_dead", False)
    _live[Shiboken.getCppPointer(native)[0]] = wrapper
    if isinstance(native, QObject):
        reference = weakref.ref(wrapper)

        def mark_dead() -> None:
            gone = reference()
            if gone is not None:
                object.__setattr__(gone, "_dead", True)

        QObject.connect(native, SIGNAL("destroyed()"), mark_dead)


def _alive(wrapper: PythonQtInstanceWrapper, name: str) -> Any:
    native = getattr(wrapper, "_native", None)
    if native is None or not wrapper:
        raise ValueError(f"Trying to use '{name}' of a destroyed {type(wrapper).__name__} object")
    return native


def _member(wrapper: PythonQtInstanceWrapper, native: Any, name: str) -> Any:
    """Method, signal or enumerator `name` of a native instance, wrapped; None if it has none."""
    special = deviations.lookup(type(native), name)
    if special is not None:
        bound = special if deviations.is_static(name) else functools.partial(special, native)
        return SlotFunction(wrapper, name, bound)
    if isinstance(native, QObject):
        signature = signal_names(native).get(name)
        if signature is not None and not deviations.is_absent(type(native), name):
            return SignalFunction(native, signature)
    if _find_method(type(native), name) is not None:
        return SlotFunction(wrapper, name, getattr(native, name))
    found = getattr(type(native), name, None)
    if isinstance(found, enum.Enum):
        return enums.wrap_enum(found)
    if isinstance(found, type) and issubclass(found, enum.Enum):
        return enums.enum_type(found)
    return None


def _find_method(native: type, name: str) -> Callable | None:
    """The function `name` of a native class if C++ offers it: Qt's own, or marked `invokable` in a stand-in."""
    if deviations.is_absent(native, name):
        return None
    for cls in native.__mro__:
        if cls in (Shiboken.Object, object):
            return None
        found = cls.__dict__.get(name)
        if found is None or isinstance(found, (enum.Enum, type)):
            continue
        function = found.__func__ if isinstance(found, staticmethod) else found
        if _python_defined(cls):
            if getattr(function, "is_cpp_invokable", False):
                return function
            continue
        return function if callable(function) and not isinstance(function, Signal) else None
    return None


def _python_defined(native: type) -> bool:
    return not native.__module__.startswith("PySide6")


def _public_class(native: type) -> type:
    """The class Python code knows a native class as: the first without a leading underscore."""
    return next(cls for cls in native.__mro__ if not cls.__name__.startswith("_"))


def _names_in_python(cls: type) -> set[str]:
    names: set[str] = set()
    for base in inspect.getmro(cls):
        if base is PythonQtInstanceWrapper:
            break
        names |= set(vars(base))
    return names


def _unbound(name: str, function: Callable) -> Callable:
    def unbound(*arguments: Any, **keywords: Any) -> Any:
        return call(function, arguments, keywords, name)

    unbound.__name__ = name
    return unbound
