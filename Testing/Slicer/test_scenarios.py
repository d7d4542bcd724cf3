"""The scenarios that also run in the real application, here on the harness."""

from __future__ import annotations

import importlib.util

import pytest

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("slicer", "PySide6")),
    reason="needs slicer-core and PySide6",
)


def _names() -> list[str]:
    import ast
    from pathlib import Path

    folder = Path(__file__).resolve().parent / "scenarios"
    return [
        f"{path.stem}.{node.name}"
        for path in sorted(folder.glob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("scenario_")
    ]


@pytest.mark.parametrize("name", _names())
def test_scenario(context, load_module, name):
    module, function = name.split(".")
    getattr(importlib.import_module(f"scenarios.{module}"), function)(context)
