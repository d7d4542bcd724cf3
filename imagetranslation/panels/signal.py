"""A plain Python signal, because PythonQt has none that Python classes can declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Signal:
    """Calls what is connected, in the order of connection, with the arguments it is called with."""

    def __init__(self) -> None:
        self._slots: list[Callable[..., Any]] = []

    def connect(self, slot: Callable[..., Any]) -> None:
        """Call `slot` from now on."""
        self._slots.append(slot)

    def disconnect(self, slot: Callable[..., Any] | None = None) -> None:
        """Stop calling `slot`, or everything."""
        self._slots = [] if slot is None else [s for s in self._slots if s != slot]

    def __call__(self, *arguments: Any) -> None:
        """Emit."""
        for slot in list(self._slots):
            slot(*arguments)
