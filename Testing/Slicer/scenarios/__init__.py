"""What a person does with the modules, as functions that run in the real application and in the harness alike.

A scenario is a function whose name starts with `scenario_` and whose only argument is a `Context`. It uses documented
Slicer API and nothing of the harness.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable


def every_scenario() -> list[Callable]:
    """All scenario functions of this folder, by file name and order of definition."""
    found = []
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        found += [
            f for name, f in vars(module).items() if name.startswith("scenario_") and f.__module__ == module.__name__
        ]
    return found
