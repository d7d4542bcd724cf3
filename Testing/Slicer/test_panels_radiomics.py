"""The Radiomics panel: Compare on a drawn region, cancel, compare again as it changes, table, pictures, copy, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ownprocesses import running

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
pytest.importorskip("radiomics", reason="PyRadiomics is not installed")

from imagetranslation.mrml.provenance import mark  # noqa: E402
from imagetranslation.mrml.volumes import add_volume  # noqa: E402
from imagetranslation.provenance import Provenance  # noqa: E402
from imagetranslation.radiomics.comparisonview import shown  # noqa: E402
from imagetranslation.volume import read_volume  # noqa: E402

HERE = Path(__file__).resolve().parent
EDITOR = HERE / "standins" / "segmenteditor" / "SegmentEditor.py"
RECORD = Provenance.from_dict({"model": "some-model", "version": "2.0.0", "modality": "MR", "source": "scan"})
PROGRAM = "radiomicsjob"
LONGEST_S = 120
MEAN = "original_firstorder_Mean"


@pytest.fixture
def panel(us2mri_module):
    """The Radiomics panel, unfolded."""
    panel = us2mri_module.widget.panel.radiomics
    panel.ui.radiomicsSection.collapsed = False
    return panel


@pytest.fixture
def images(a_scene, data_dir):
    """A real ultrasound of the prostate, the real MRI of the same patient resampled to its grid, and a blurred copy of
    that MRI which says that it is synthetic."""
    import SimpleITK

    from imagetranslation.radiomics.resample import to_sitk

    folder = data_dir / "prostate_mr_trus"
    source, target = (read_volume(folder / kind / "case00.nii.gz") for kind in ("us", "mr"))
    moved = SimpleITK.Resample(to_sitk(target), to_sitk(source), SimpleITK.Transform(), SimpleITK.sitkLinear, 0.0)
    array = SimpleITK.GetArrayFromImage(moved).astype(np.float32)
    blurred = array.copy()
    blurred[:, 1:, 1:] = (array[:, 1:, 1:] + array[:, :-1, 1:] + array[:, 1:, :-1]) / 3
    found = {
        "source": replace(source, name="prostate US", modality="US"),
        "synthetic": source.with_array(blurred, name="SYNTHETIC MR of prostate US", modality="MR"),
        "reference": source.with_array(array, name="prostate MR", modality="MR"),
    }
    nodes = {role: add_volume(a_scene, volume) for role, volume in found.items()}
    mark(nodes["synthetic"], RECORD)
    return nodes


@pytest.fixture
def draw():
    """`draw(segmentation, image, radius=8, segment=0)`: what the Segment Editor does with a sphere brush."""

    def draw(node, image, radius=8, segment=0):
        shape = slicer.util.arrayFromVolume(image).shape
        away = [(axis - (n - 1) / 2) for axis, n in zip(np.indices(shape), shape)]
        ball = (sum(each**2 for each in away) <= radius**2).astype(np.uint8)
        name = node.GetSegmentation().GetNthSegmentID(segment)
        slicer.util.updateSegmentBinaryLabelmapFromArray(ball, node, name, image)
        return int(ball.sum())

    return draw


@pytest.fixture
def a_region(images, draw):
    """A ball drawn on the source."""
    from imagetranslation.mrml.regions import new_region

    node = new_region(images["source"])
    draw(node, images["source"])
    return node


@pytest.fixture
def ready(panel, images, a_region, process_events):
    """Everything chosen."""
    panel.show(images["source"], images["synthetic"], images["reference"])
    panel.choices.region = a_region
    process_events()
    return panel


@pytest.fixture
def compare(ready, click, wait_until):
    """Click Compare and wait for the table."""

    def compare():
        click(ready.ui.radiomicsButton)
        wait_until(lambda: not ready._comparison.busy, LONGEST_S, "the comparison")
        assert ready.table.found is not None, ready.ui.radiomicsNotice.text
        return ready.table.found

    return compare


def column(table, number):
    return [table.item(row, number).text() for row in range(table.rowCount)]


def test_compare_shows_a_table_of_the_drawn_region_in_each_image(ready, images, compare, screenshot, us2mri_module):
    found = compare()
    inside = slicer.util.arrayFromSegmentBinaryLabelmap(
        ready.choices.region, ready.choices.part, images["source"]
    ).astype(bool)
    mean = next(row for row in found.rows if row.key == MEAN)
    for role, node in images.items():
        assert mean.values[role] == pytest.approx(slicer.util.arrayFromVolume(node)[inside].mean(), rel=1e-5)
    table = ready.ui.featureTable
    headings = [table.horizontalHeaderItem(n).text() for n in range(table.columnCount)]
    assert headings == ["Feature", "Class", "source", "synthetic", "reference", "synthetic - reference", "Flag"]
    assert table.rowCount == 107
    assert "107 features by pyradiomics" in ready.ui.radiomicsNotice.text
    assert "SYNTHETIC" in ready.ui.imagesNotice.text
    assert "#FFC208" in ready.ui.imagesNotice.styleSheet
    screenshot("radiomics_table", us2mri_module.panel)
