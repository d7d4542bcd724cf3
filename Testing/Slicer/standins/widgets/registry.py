"""Which stand-in class goes by which C++ class name."""

from __future__ import annotations

from . import ctk_containers, ctk_inputs, ctk_numbers, mrml_widgets, node_combo_box

classes: dict[str, type] = {
    name: found
    for module in (ctk_containers, ctk_inputs, ctk_numbers, mrml_widgets, node_combo_box)
    for name, found in vars(module).items()
    if isinstance(found, type) and found.__module__ == module.__name__ and not name.startswith("_")
}
"""C++ class name to stand-in."""
