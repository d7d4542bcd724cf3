"""Enumerations as PythonQt shows them: integers of their own type, which print as numbers.

Or-ing two of them gives a plain int, as there; `calls` turns such an int back into what PySide6 wants.
"""

from __future__ import annotations

import enum

_wrapper_of: dict[type[enum.Enum], type[int]] = {}
_native_of: dict[type[int], type[enum.Enum]] = {}


def enum_type(native: type[enum.Enum]) -> type[int]:
    """The int subclass that stands for a PySide6 enumeration; its values are attributes of it."""
    if native not in _wrapper_of:
        wrapper = type(native.__name__, (int,), {"__module__": native.__module__})
        _wrapper_of[native] = wrapper
        _native_of[wrapper] = native
        for name, member in native.__members__.items():
            setattr(wrapper, name, wrapper(member.value))
    return _wrapper_of[native]


def wrap_enum(member: enum.Enum) -> int:
    """An enumerator (or a combination of flags) as an integer of its own type."""
    return enum_type(type(member))(member.value)


def is_enum(value: object) -> bool:
    """Whether `value` is an integer of a wrapped enumeration."""
    return type(value) in _native_of


def unwrap_enum(value: int) -> enum.Enum:
    """The PySide6 enumerator for an integer of a wrapped enumeration."""
    return _native_of[type(value)](int(value))
