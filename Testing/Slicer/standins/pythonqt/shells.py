"""PySide6 subclasses that call back into a Python class deriving from a wrapped Qt class.

PythonQt makes such a shell in C++ for each Qt class: virtual methods that the Python class defines are called on it.
"""

from __future__ import annotations

import traceback
from typing import Any

from shiboken6 import Shiboken


def shell_class(name: str, native: type, wrapper: type) -> type:
    """A subclass of `native` that forwards to `wrapper`'s overrides of methods which `native` has."""
    namespace: dict[str, Any] = {"_shell_of": wrapper, "_python_owner": None}
    for attribute, value in vars(wrapper).items():
        if not attribute.startswith("_") and callable(value) and callable(getattr(native, attribute, None)):
            namespace[attribute] = _forward(native, attribute)
    return type(native)(name, (native,), namespace)


def _forward(native: type, name: str) -> Any:
    def forward(self: Any, *arguments: Any) -> Any:
        from .signals import exceptions_in_slots
        from .wrapper import unwrap, wrap

        owner = self._python_owner
        if owner is None or not Shiboken.isValid(self):
            return getattr(native, name)(self, *arguments)
        try:
            return unwrap(getattr(type(owner), name)(owner, *[wrap(a) for a in arguments]))
        except Exception as error:  # noqa: BLE001 - as PythonQt: printed, never thrown into Qt
            traceback.print_exc()
            exceptions_in_slots.append(error)
            return getattr(native, name)(self, *arguments)

    forward.__name__ = name
    return forward
