"""Translating a small made-up scan by the module's own model, reading it side by side, and leaving again.

Where torch is not installed the panel must say so instead, and nothing may be started.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from imagetranslation.panels.modelchoices import MISSING_SENTENCE

from .context import Context

MARK = "SYNTHETIC"
LONGEST_S = 180


def scenario_translate_an_ultrasound(the: Context) -> None:
    _translate(the, "US2MRITranslate", shape=(4, 96, 80))


def scenario_translate_a_blood_pool_image(the: Context) -> None:
    _translate(the, "PoolToDelayed", shape=(1, 128, 96))


def _translate(the: Context, name: str, shape: tuple[int, int, int]) -> None:
    widget = the.open_module(name)
    panel, controls = widget.panel, widget.panel.translate.ui
    earlier = slicer.app.layoutManager().layout
    source = _scan(shape)
    the.process_events()
    assert controls.inputSelector.currentNode() == source
    if not controls.translateButton.enabled:
        # Both tasks have a model that is shipped; it cannot be listed where what checks packages is not installed.
        assert controls.modelComboBox.currentText == MISSING_SENTENCE
        return
    the.click(controls.translateButton)
    if not panel.translation.busy:
        assert "must be installed first" in controls.resultLabel.text, controls.resultLabel.text
        return
    assert controls.translateButton.text == "Cancel"
    the.wait_until(lambda: not panel.translation.busy, LONGEST_S, "the worker")
    result = panel.compare.ui.syntheticSelector.currentNode()
    assert result is not None, controls.resultLabel.text
    _looks_right(the, source, result)
    the.screenshot(f"{name}_translated")
    the.click(panel.compare.ui.compareButton)
    assert slicer.app.layoutManager().layout == earlier


def _looks_right(the: Context, source: Any, result: Any) -> None:
    assert result.GetName().startswith(MARK)
    assert result.GetImageData().GetDimensions() == source.GetImageData().GetDimensions()
    assert result.GetSpacing() == source.GetSpacing()
    assert result.GetOrigin() == source.GetOrigin()
    low, high = result.GetImageData().GetScalarRange()
    assert high > low
    # New views are laid out by the event loop; until then they are black.
    the.wait_until(lambda: _amber(the.pixels("ImageTranslationSynthetic")) > 50, 10, "the mark in the synthetic view")
    assert _amber(the.pixels("ImageTranslationSource")) == 0, "the source's view carries the mark"


def _amber(pixels: np.ndarray) -> int:
    """Amber pixels in the upper left corner, left of the crosshair."""
    corner = pixels[:40, : int(0.4 * pixels.shape[1])].astype(int)
    red, green, blue = corner[..., 0], corner[..., 1], corner[..., 2]
    return int(((red > 200) & (green > 120) & (green < 220) & (blue < 80)).sum())


def _scan(shape: tuple[int, int, int]) -> Any:
    """A bright disc in speckle."""
    _, rows, columns = np.indices(shape)
    disc = np.hypot(rows - shape[1] / 2, columns - shape[2] / 2) < shape[2] / 4
    voxels = np.random.default_rng(0).rayleigh(20, shape) + 80 * disc
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "a scan")
    slicer.util.updateVolumeFromArray(node, voxels.clip(0, 255).astype(np.uint8))
    node.SetSpacing(0.6, 0.7, 2.0)
    node.SetOrigin(5.0, -6.0, 7.0)
    node.CreateDefaultDisplayNodes()
    return node
