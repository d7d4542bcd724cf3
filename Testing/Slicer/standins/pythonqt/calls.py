"""Calling a PySide6 function with PythonQt's arguments and giving back PythonQt's results.

Positional arguments only, as in PythonQt; integers stand for enumerators and flags; wrong arguments are a ValueError.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable
from typing import Any

from . import enums


def invokable(function: Callable) -> Callable:
    """Mark a method of a stand-in widget as a public slot or Q_INVOKABLE of the C++ class it stands for."""
    function.is_cpp_invokable = True
    return function


def call(function: Callable, arguments: tuple, keywords: dict, name: str) -> Any:
    """Call `function` with wrapped `arguments`; the result comes back wrapped. Raises ValueError as PythonQt does."""
    from .wrapper import unwrap, wrap

    if keywords:
        raise ValueError(f"Called {name} with keyword arguments, but called slot does not support kwargs.")
    native = [unwrap(argument) for argument in arguments]
    try:
        return wrap(function(*native))
    except RuntimeError as error:
        if "already deleted" in str(error):
            raise ValueError(f"Trying to call '{name}' on a destroyed object") from error
        raise
    except TypeError as error:
        if hasattr(function, "__code__"):
            raise
        for attempt in _with_enumerators(function, native):
            try:
                return wrap(function(*attempt))
            except TypeError:
                continue
        given = ", ".join(type(argument).__name__ for argument in arguments)
        raise ValueError(f"Could not find matching overload for given arguments: {name}({given}): {error}") from None


def _with_enumerators(function: Callable, arguments: list) -> list[list]:
    """Every reading of `arguments` in which an integer is an enumerator or an enumerator an integer."""
    attempts = []
    for signature in _signatures(function):
        parameters = [p for p in signature.parameters.values() if p.name != "self"]
        if len(parameters) < len(arguments):
            continue
        attempts.append([_fit(argument, p.annotation) for argument, p in zip(arguments, parameters)])
    if any(isinstance(argument, enum.Enum) for argument in arguments):
        attempts.append([a.value if isinstance(a, enum.Enum) else a for a in arguments])
    return [attempt for attempt, _ in itertools.groupby(attempts)]


def _fit(argument: Any, annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        if isinstance(argument, int) and not isinstance(argument, (bool, annotation)):
            return annotation(int(argument))
    elif annotation is int and isinstance(argument, enum.Enum):
        return argument.value
    return argument


def _signatures(function: Callable) -> list:
    from shibokensupport.signature import get_signature

    found = get_signature(getattr(function, "native", function))
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


class SlotFunction:
    """A bound method of a wrapped object: callable, and nothing else."""

    __slots__ = ("_function", "_name", "_owner")

    def __init__(self, owner: Any, name: str, function: Callable) -> None:
        self._owner = owner
        self._name = name
        self._function = function

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return call(self._function, arguments, keywords, self._name)

    def __repr__(self) -> str:
        return f"<qt slot {self._name} of {type(self._owner).__name__}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlotFunction) and (self._owner, self._name) == (other._owner, other._name)

    def __hash__(self) -> int:
        return hash((id(self._owner), self._name))


__all__ = ["SlotFunction", "call", "enums", "invokable"]
