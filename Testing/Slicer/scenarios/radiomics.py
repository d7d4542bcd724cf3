"""A region drawn on a scan and compared in scan and synthetic image, drawn larger, sorted, copied; in both modules.

Where PyRadiomics is not installed the panel must say so instead, and nothing may be started.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import qt
import slicer

from .context import Context

LONGEST_S = 180
SHAPE = (12, 40, 36)


def scenario_compare_features_in_us_to_mri(the: Context) -> None:
    _compare(the, "US2MRITranslate")


def scenario_compare_features_in_pool_to_delayed(the: Context) -> None:
    _compare(the, "PoolToDelayed")


def _compare(the: Context, name: str) -> None:
    panel = the.open_module(name).panel.radiomics
    source, synthetic = _images()
    panel.ui.radiomicsSection.collapsed = False
    panel.show(source, synthetic)
    region = _region(the, panel, source)
    the.click(panel.ui.radiomicsButton)
    if not panel._comparison.busy:
        assert "PyRadiomics is not installed" in panel.ui.radiomicsNotice.text, panel.ui.radiomicsNotice.text
        return
    _wait(the, panel)
    assert "SYNTHETIC: some-model" in panel.ui.imagesNotice.text
    assert panel.ui.featureTable.rowCount == 107
    voxels = panel.table.found.roi["voxels"]
    _draw(region, panel.choices.part, source, 9)
    the.wait_until(lambda: panel._comparison.busy, 20, "the comparison of the larger region")
    _wait(the, panel)
    assert panel.table.found.roi["voxels"] > voxels
    _look(the, panel, name)
    slicer.mrmlScene.Clear(False)
    the.process_events()
    assert panel.table.found is None


def _wait(the: Context, panel: Any) -> None:
    the.wait_until(lambda: not panel._comparison.busy, LONGEST_S, "the comparison")
    assert panel.table.found is not None, panel.ui.radiomicsNotice.text


def _look(the: Context, panel: Any, name: str) -> None:
    """Sort by the difference, choose rows, see every picture, copy."""
    panel.table.onHeader(3)
    numbers = [row.difference for row in panel.table.chosen() if np.isfinite(row.difference)]
    assert numbers == sorted(numbers)
    for row in (0, 1, 2):
        panel.ui.featureTable.selectRow(row)
    for number, picture in enumerate(("histograms", "bland-altman", "radar")):
        panel.ui.pictureComboBox.currentIndex = number
        the.screenshot(f"radiomics_{name}_{picture}", panel.widget)
    panel.ui.featureTable.clearSelection()
    the.click(panel.ui.copyButton)
    assert qt.QApplication.clipboard().text().count("\n") == 109


def _region(the: Context, panel: Any, source: Any) -> Any:
    """What Draw makes, with a ball drawn in it; where there is no Segment Editor, without opening it."""
    if hasattr(slicer.modules, "segmenteditor"):
        name = slicer.util.selectedModule()
        the.click(panel.ui.drawButton)
        assert slicer.modules.segmenteditor.widgetRepresentation().self().editor.sourceVolumeNode() == source
        slicer.util.selectModule(name)
        the.process_events()
    else:
        from imagetranslation.mrml.regions import new_region

        panel.choices.region = new_region(source)
    _draw(panel.choices.region, panel.choices.part, source, 7)
    the.process_events()
    return panel.choices.region


def _draw(region: Any, part: str, image: Any, radius: int) -> None:
    away = [(axis - (n - 1) / 2) for axis, n in zip(np.indices(SHAPE), SHAPE)]
    ball = (sum(each**2 for each in away) <= radius**2).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(ball, region, part, image)


def _images() -> tuple[Any, Any]:
    from imagetranslation.mrml.provenance import mark
    from imagetranslation.provenance import Provenance

    voxels = np.random.default_rng(0).normal(100, 25, SHAPE).astype(np.float32)
    nodes = []
    for name, array in (("a scan", voxels), ("SYNTHETIC MR of a scan", 0.7 * voxels + 20)):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(node, array.astype(np.float32))
        node.SetSpacing(0.6, 0.7, 2.0)
        node.CreateDefaultDisplayNodes()
        nodes.append(node)
    record = {"model": "some-model", "version": "1.0.0", "modality": "MR", "source": "a scan"}
    mark(nodes[1], Provenance.from_dict(record))
    return nodes[0], nodes[1]
