"""The Radiomics panel: Compare on a drawn region, cancel, again as it changes, table, pictures, copy, refusals."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ownprocesses import running

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
pytest.importorskip("radiomics", reason="PyRadiomics is not installed")

from imagetranslation.errors import Cancelled  # noqa: E402
from imagetranslation.mrml.provenance import mark  # noqa: E402
from imagetranslation.mrml.regions import new_region  # noqa: E402
from imagetranslation.mrml.volumes import add_volume  # noqa: E402
from imagetranslation.provenance import Provenance  # noqa: E402
from imagetranslation.radiomics.comparisonview import name_text  # noqa: E402
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
    assert headings == ["Feature", "source", "synthetic", "reference", "synthetic - reference", "Flag", "Class"]
    assert table.rowCount == 107
    assert "107 features by pyradiomics 3.0.1 in a process of " in ready.ui.radiomicsNotice.text
    assert "SYNTHETIC" in ready.ui.imagesNotice.text
    assert "#FFC208" in ready.ui.imagesNotice.styleSheet
    screenshot("radiomics_table", us2mri_module.panel)


def test_the_button_cancels_and_leaves_no_process_and_no_numbers(ready, compare, click, wait_until):
    compare()
    click(ready.ui.radiomicsButton)
    assert ready.ui.radiomicsButton.text == "Cancel"
    wait_until(lambda: ready._comparison._process is not None, LONGEST_S, "the process")
    click(ready.ui.radiomicsButton)
    assert ready.ui.radiomicsButton.text == "Compare"
    assert ready.ui.radiomicsNotice.text == "The comparison was stopped."
    assert not ready.ui.featureTable.visible
    wait_until(lambda: running(PROGRAM) == [], LONGEST_S, "the end of the process")
    assert compare() is not None


def test_a_region_that_changes_is_compared_again_when_the_hand_rests(ready, images, draw, compare, wait_until):
    first = compare()
    starts, start = [], ready.start
    ready.start = lambda: (starts.append(1), start())
    for radius in (5, 6, 7):
        voxels = draw(ready.choices.region, images["source"], radius)
    wait_until(lambda: starts, LONGEST_S, "the next comparison")
    wait_until(lambda: not ready._comparison.busy, LONGEST_S, "its end")
    assert ready.table.found.roi["voxels"] == voxels != first.roi["voxels"]
    assert len(starts) == 1


def test_a_comparison_of_an_earlier_region_is_cancelled_by_the_next(ready, images, draw, compare, click, wait_until):
    compare()
    told = []
    ready._comparison.failed.connect(told.append)
    click(ready.ui.radiomicsButton)
    draw(ready.choices.region, images["source"], 6)
    ready.onPatienceEnds()
    wait_until(lambda: not ready._comparison.busy, LONGEST_S, "the comparison")
    assert [type(error) for error in told] == [Cancelled]
    assert ready.table.found.roi["voxels"] == draw(ready.choices.region, images["source"], 6)


def test_without_the_tick_a_changed_region_waits_for_the_button_and_says_so(ready, images, draw, compare, wait_until):
    compare()
    ready.ui.recomputeCheckBox.checked = False
    draw(ready.choices.region, images["source"], 6)
    assert "has changed since" in ready.ui.radiomicsNotice.text
    assert not ready.ui.featureTable.enabled
    assert not ready._timer.active


def test_a_region_drawn_in_another_module_is_compared_on_coming_back(
    ready, images, draw, compare, wait_until, load_module
):
    compare()
    load_module(EDITOR)
    voxels = draw(ready.choices.region, images["source"], 6)
    ready.onPatienceEnds()
    assert not ready._comparison.busy
    slicer.util.selectModule("US2MRITranslate")
    wait_until(lambda: ready.table.found is not None and ready.table.found.roi["voxels"] == voxels, LONGEST_S, "it")


def test_draw_opens_the_segment_editor_on_the_source_with_a_new_segment(panel, images, click, load_module, wait_until):
    load_module(EDITOR)
    slicer.util.selectModule("US2MRITranslate")
    panel.show(images["source"], images["synthetic"])
    click(panel.ui.drawButton)
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    assert slicer.util.selectedModule() == "SegmentEditor"
    assert editor.segmentationNode() == panel.choices.region
    assert editor.sourceVolumeNode() == images["source"]
    assert editor.currentSegmentID() == panel.choices.part
    slicer.util.selectModule("US2MRITranslate")
    click(panel.ui.radiomicsButton)
    wait_until(lambda: not panel._comparison.busy, LONGEST_S, "the refusal")
    assert "Region is empty: nothing is drawn" in panel.ui.radiomicsNotice.text


def test_a_click_on_a_heading_sorts_and_the_selection_stays(ready, compare):
    found = compare()
    table = ready.ui.featureTable
    ready.table.onHeader(4)
    ready.table.onHeader(4)
    largest = max((row for row in found.rows), key=lambda row: row.difference)
    assert table.item(0, 0).text() == name_text(largest)
    table.selectRow(0)
    ready.table.onHeader(0)
    assert [row.key for row in ready.table.chosen()] == [largest.key]
    assert column(table, 0) == sorted(column(table, 0), key=str.casefold)


def test_class_flag_and_text_filter_the_table(ready, compare, choose, type_text):
    found = compare()
    choose(ready.ui.classComboBox, "Grey level co-occurrence")
    assert set(column(ready.ui.featureTable, 6)) == {"Grey level co-occurrence"}
    type_text(ready.ui.filterEdit, "ENTROPY joint")
    assert column(ready.ui.featureTable, 0) == ["Joint entropy (3D, averaged)"]
    assert ready.ui.countNotice.text == "1 of 107 features."
    choose(ready.ui.classComboBox, "All classes")
    type_text(ready.ui.filterEdit, "")
    choose(ready.ui.flagComboBox, "Flagged")
    assert ready.ui.featureTable.rowCount == sum(bool(row.flag) for row in found.rows)


def test_copy_takes_what_is_selected_and_save_writes_what_is_listed(
    ready, compare, click, dialogs, type_text, tmp_path
):
    import qt

    compare()
    ready.ui.featureTable.selectRow(2)
    click(ready.ui.copyButton)
    first, _headings, *lines = qt.QApplication.clipboard().text().splitlines()
    assert "SYNTHETIC: some-model 2.0.0" in first
    assert len(lines) == 1
    type_text(ready.ui.filterEdit, "entropy")
    ready.ui.featureTable.clearSelection()
    dialogs.will_choose_file(tmp_path / "features")
    click(ready.ui.saveButton)
    rows = list(csv.DictReader((tmp_path / "features.csv").read_text().splitlines()))
    assert len(rows) == ready.ui.featureTable.rowCount > 1
    assert len(json.loads((tmp_path / "features.json").read_text())["features"]) == 107


def test_every_picture_carries_the_mark_and_shows_the_chosen_rows(ready, compare, choose, screenshot):
    compare()
    pictures = {}
    for name in ("Histograms", "Bland-Altman", "Radar"):
        choose(ready.ui.pictureComboBox, name)
        pictures[name] = ready.ui.pictureLabel.pixmap.toImage()
        mark = pictures[name].pixelColor(4, 16)
        assert (mark.red(), mark.green(), mark.blue()) == (255, 194, 8)
        screenshot(f"radiomics_{name}", ready.widget)
    assert "Left out: 14" not in ready.ui.pictureNotice.text
    ready.ui.featureTable.selectRow(20)
    assert "Nothing to draw: a radar needs at least 3 features" in ready.ui.pictureNotice.text
    choose(ready.ui.pictureComboBox, "Bland-Altman")
    assert "no limits below 3 features" in ready.ui.pictureNotice.text


def test_what_cannot_be_compared_is_refused_in_a_sentence(ready, images, a_region, draw, click, a_scene):
    def said():
        click(ready.ui.radiomicsButton)
        return ready.ui.radiomicsNotice.text

    ready.choices.reference = images["synthetic"]
    assert "chosen twice" in said()
    ready.choices.reference = None
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    images["synthetic"].SetAndObserveTransformNodeID(transform.GetID())
    assert "under different transforms" in said()
    images["synthetic"].SetAndObserveTransformNodeID(None)
    ready.ui.mirpPath.currentPath = "/nowhere/python"
    ready.choices.features = "paper186"
    assert "is no program" in said()


def test_a_region_on_another_grid_or_too_small_is_refused_by_the_process(
    ready, images, draw, click, wait_until, a_region
):
    def said():
        click(ready.ui.radiomicsButton)
        wait_until(lambda: not ready._comparison.busy, LONGEST_S, "the comparison")
        return ready.ui.radiomicsNotice.text

    draw(a_region, images["source"], 2)
    assert "has 28 voxels; at least 64 are needed" in said()
    draw(a_region, images["source"], 8)
    images["source"].SetSpacing(0.5, 0.4, 0.4)
    images["synthetic"].SetSpacing(0.5, 0.4, 0.4)
    images["reference"].SetSpacing(0.5, 0.4, 0.4)
    assert "is on another grid than prostate US" in said()
    assert not ready.ui.featureTable.visible


def test_a_translation_fills_in_what_would_be_compared(panel, images, us2mri_module):
    us2mri_module.widget.logic.getParameterNode().referenceVolume = images["reference"]
    us2mri_module.widget.panel.translate.translated(images["source"], images["synthetic"])
    assert panel.choices.source == images["source"]
    assert panel.choices.synthetic == images["synthetic"]
    assert panel.choices.reference == images["reference"]


def test_closing_the_scene_ends_the_process_and_deletes_what_was_handed_over(ready, compare, a_scene, wait_until):
    compare()
    folders = lambda: list(Path(slicer.app.temporaryPath).glob("imagetranslation-*"))  # noqa: E731
    assert folders()
    a_scene.Clear(False)
    assert ready.table.found is None
    wait_until(lambda: running(PROGRAM) == [] and not folders(), LONGEST_S, "the end")


def test_choices_are_kept_with_the_scene_but_no_program(ready, tmp_path, us2mri_module):
    ready.ui.settingsPath.currentPath = str(tmp_path / "settings.yaml")
    ready.ui.mirpPath.currentPath = "/opt/mirp/bin/python"
    node = us2mri_module.widget.logic.getParameterNode().parameterNode
    kept = {name: node.GetParameter(name) for name in node.GetParameterNames()}
    assert kept["Radiomics.settings"] == str(tmp_path / "settings.yaml")
    assert not any("/opt/mirp" in value for value in kept.values())
    assert slicer.app.userSettings().value("ImageTranslation/MirpPython") == "/opt/mirp/bin/python"
    ready.ui.mirpPath.currentPath = ""


def test_the_main_thread_is_not_held_up_by_a_comparison(ready, click, wait_until, main_thread):
    with main_thread.watched() as gaps:
        click(ready.ui.radiomicsButton)
        wait_until(lambda: not ready._comparison.busy, LONGEST_S, "the comparison")
    assert len(gaps) > 20


def test_tissue_normalises_and_is_refused_where_the_settings_have_no_use_for_it(
    ready, images, compare, click, wait_until, tmp_path
):
    body = new_region(images["source"])
    whole = np.ones(slicer.util.arrayFromVolume(images["source"]).shape, np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        whole, body, body.GetSegmentation().GetNthSegmentID(0), images["source"]
    )
    ready.choices.tissue = body
    found = compare()
    assert {result.settings["normalisation"] for result in found.results.values()} == {"z-score"}
    assert abs(found.histogram.edges).max() < 10
    plain = tmp_path / "plain.json"
    plain.write_text('{"bin_number": 16}')
    ready.ui.settingsPath.currentPath = str(plain)
    for path, said in ((plain, "does not normalise"), (tmp_path / "absent.yaml", "absent.yaml")):
        ready.ui.settingsPath.currentPath = str(path)
        click(ready.ui.radiomicsButton)
        wait_until(lambda: not ready._comparison.busy, LONGEST_S, "the refusal")
        assert said in ready.ui.radiomicsNotice.text


def test_a_cohort_file_adds_its_column_and_one_that_is_none_is_refused(ready, compare, click, wait_until, tmp_path):
    from imagetranslation.radiomics.preservation.longtable import LongTable, to_csv

    table = LongTable(features={MEAN: (MEAN, "", "", "", "")})
    for number in range(5):
        table.put("synthetic-target", "b", (f"p{number}", "r"), {MEAN: 60.0 + number}, ("",) * 5)
    cohort = tmp_path / "features.csv"
    cohort.write_text(to_csv(table))
    ready.ui.cohortPath.currentPath = str(cohort)
    compare()
    headings = [ready.ui.featureTable.horizontalHeaderItem(n).text() for n in range(ready.ui.featureTable.columnCount)]
    assert "% of cohort SD" in headings
    cohort.write_text("not,a\ntable,\n")
    click(ready.ui.radiomicsButton)
    wait_until(lambda: not ready._comparison.busy, LONGEST_S, "the refusal")
    assert "features.csv" in ready.ui.radiomicsNotice.text
    assert not ready.ui.featureTable.visible


def test_a_label_map_is_a_region_with_its_labels_as_parts(ready, images, a_region, compare, choose, a_scene):
    labels = a_scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    labels.CopyOrientation(images["source"])
    inside = slicer.util.arrayFromSegmentBinaryLabelmap(a_region, ready.choices.part, images["source"])
    inside = inside.astype(np.uint8) * 2
    inside[inside.shape[0] // 2 :] //= 2
    slicer.util.updateVolumeFromArray(labels, inside)
    ready.choices.region = labels
    choose(ready.ui.partComboBox, "label 2")
    found = compare()
    assert found.roi["voxels"] == (inside == 2).sum()
    assert found.roi["name"] == "labels label 2"
