"""Properties that only have to be remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Property


def stored(kind: str, default: Any, changed: Callable[[Any], None] | None = None) -> Property:
    """A Qt property of C++ type `kind` that keeps its value; `changed(widget)` runs after it is set."""
    key = f"_stored_{next(_numbers)}"

    def read(self: Any) -> Any:
        return self.__dict__.get(key, default)

    def write(self: Any, value: Any) -> None:
        self.__dict__[key] = value
        if changed is not None:
            changed(self)

    return Property(kind, read, write)


def _count() -> Any:
    number = 0
    while True:
        yield number
        number += 1


_numbers = _count()
