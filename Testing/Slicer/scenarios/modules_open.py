"""Both modules load, show their panel and have a working set of named controls."""

from __future__ import annotations

from typing import Any

import slicer

from .context import Context


def _panel_opens(the: Context, name: str) -> None:
    widget = the.open_module(name)
    module = slicer.util.getModule(name)
    assert module.title, f"{name} has no title"
    assert module.categories == ("Image Synthesis",), module.categories
    assert module.helpText
    assert module.acknowledgementText
    assert module.contributors
    panel = widget.parent
    assert panel.visible
    buttons = [b for b in panel.findChildren("QPushButton") if b.objectName and not b.objectName.startswith("qt_")]
    assert buttons, f"{name} has no named button"
    unlabelled = [b.objectName for b in buttons if not _says_what_it_does(b)]
    assert not unlabelled, f"buttons without text and tool tip: {unlabelled}"
    the.screenshot(f"{name}_opened")


def _says_what_it_does(button: Any) -> bool:
    return bool(button.text or button.toolTip)


def scenario_us_to_mri_opens(the: Context) -> None:
    _panel_opens(the, "US2MRITranslate")


def scenario_pool_to_delayed_opens(the: Context) -> None:
    _panel_opens(the, "PoolToDelayed")
