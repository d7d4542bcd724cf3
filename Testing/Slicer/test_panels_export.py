"""Export as DICOM: the button, the folder, and the series that lies there afterwards."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from ownprocesses import EXPORT, running

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from imagetranslation.dicomio import read_dicom  # noqa: E402
from imagetranslation.errors import Cancelled, InputError  # noqa: E402
from imagetranslation.mrml.provenance import mark, provenance_of  # noqa: E402
from imagetranslation.mrml.volumes import add_volume, volume_from_node  # noqa: E402
from imagetranslation.panels.exporting import Export, ExportRequest  # noqa: E402
from imagetranslation.panels.outputs import put_result  # noqa: E402
from imagetranslation.panels.translation import Request  # noqa: E402
from imagetranslation.provenance import Provenance  # noqa: E402
from imagetranslation.volume import read_volume  # noqa: E402
from Testing.Core.dicom_objects import axial, stack  # noqa: E402
from Testing.Core.synthetic_objects import a_3d_ultrasound, a_whole_body_scan  # noqa: E402

LONGEST_S = 60
# Aimed at is one second; a loaded machine gets more.
LONGEST_CANCEL_S = 3


class Database:
    """Slicer's DICOM database as far as it is asked: whether it is open, instance UID to file, values of a header."""

    def __init__(self):
        self.isOpen, self.files = True, {}

    def instanceValue(self, uid, tag):
        return ""

    def fileForInstance(self, uid):
        return self.files.get(uid, "")


@pytest.fixture
def database(a_slicer_app, monkeypatch):
    database = Database()
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    return database


@pytest.fixture
def load(a_scene, database):
    """Load a DICOM scan as Slicer does: voxels, geometry, and which instances they came from."""

    def load(path):
        files = sorted(path.glob("*.dcm")) if path.is_dir() else [path]
        uids = {pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID: str(file) for file in files}
        database.files.update(uids)
        node = add_volume(a_scene, read_volume(path))
        node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
        return node

    return load


@pytest.fixture
def translated():
    """The synthetic node of a scan's node, made of noise."""

    def translated(source, modality="MR"):
        facts = {"model": "us2mri-pix2pix-small", "version": "1.0.0", "weights_sha256": "ab" * 32, "task": "us2mri"}
        record = Provenance.from_dict(
            {**facts, "modality": modality, "source": source.GetName(), "created": "2026-01-02T03:04:05+00:00"}
        )
        shape = tuple(reversed(source.GetImageData().GetDimensions()))
        voxels = np.random.default_rng(3).integers(0, 255, shape).astype(np.float32)
        return put_result(Request(source, record.model), voxels, record)

    return translated


@pytest.fixture
def export(click, dialogs, wait_until, tmp_path):
    """Unfold the section, click the button, choose a folder, wait; returns the objects of the series in slice order."""

    def export(module, node):
        panel = module.widget.panel.export
        panel.ui.exportSection.collapsed = False
        panel.ui.exportSelector.setCurrentNode(node)
        (tmp_path / "out").mkdir(exist_ok=True)
        dialogs.will_choose_file(tmp_path / "out")
        click(panel.ui.exportButton)
        wait_until(lambda: not panel._export.busy, LONGEST_S, "the export")
        return [pydicom.dcmread(file) for file in sorted((tmp_path / "out").rglob("*.dcm"))]

    return export


@pytest.fixture
def panel(us2mri_module):
    """The panel's controls."""
    return us2mri_module.widget.panel.export.ui


@pytest.fixture(params=["a program", "a launcher"])
def started_by(request, tmp_path, monkeypatch):
    """Whether the process is the writer itself or, as in the application, starts it."""
    from imagetranslation.panels import process

    if request.param == "a launcher":
        launcher = tmp_path / "launcher"
        launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
        launcher.chmod(0o755)
        monkeypatch.setattr(process, "worker_python", lambda: str(launcher))


@pytest.fixture
def writing(started_by, us2mri_module, panel, a_scene, translated, click, dialogs, wait_until, tmp_path):
    """Start an export of many slices and wait until some of them lie in the folder; gives the folder."""
    scan = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "many slices")
    slicer.util.updateVolumeFromArray(scan, np.ones((600, 64, 64), np.uint8))
    panel.exportSection.collapsed = False
    panel.exportSelector.setCurrentNode(translated(scan))
    folder = tmp_path / "out"
    folder.mkdir()
    dialogs.will_choose_file(folder)
    click(panel.exportButton)
    wait_until(lambda: len(list(folder.glob(".*/*.dcm"))) > 5, LONGEST_S, "the first objects")
    return folder


def _left_behind():
    """Temporary folders and processes of exports."""
    return [*Path(slicer.app.temporaryPath).glob("imagetranslation-*"), *running(EXPORT)]


@pytest.mark.parametrize("kind", ["a series of slices", "one 3-D object"])
def test_a_series_in_the_scans_study_is_marked_and_on_the_same_grid(
    us2mri_module, panel, load, translated, export, tmp_path, kind, screenshot
):
    if kind == "one 3-D object":
        path = a_3d_ultrasound(tmp_path / "scan" / "us.dcm")
    else:
        path = tmp_path / "scan"
        stack(path, axial(0, 3, 6, 9), StudyDescription="pelvis")
    node = translated(load(path))
    objects = export(us2mri_module, node)
    assert len(objects) == node.GetImageData().GetDimensions()[2], panel.exportResult.text
    for instance in objects:
        assert instance[0x0008, 0x001C].value == "YES"
        assert instance.SeriesDescription.startswith("SYNTHETIC")
        assert (instance.StudyInstanceUID, instance.PatientID) == ("1.2.3", "phantom")
        assert instance.BurnedInAnnotation == "NO"
        assert instance.SourceImageSequence
    (folder,) = (tmp_path / "out").iterdir()
    back = read_dicom(folder)
    assert back.same_grid(volume_from_node(node))
    assert np.array_equal(back.array, slicer.util.arrayFromVolume(node))
    assert back.provenance == provenance_of(node)
    assert str(folder) in panel.exportResult.text
    assert "nothing in them proves" not in panel.exportResult.toolTip
    assert _left_behind() == []
    screenshot("export_done", us2mri_module.panel)


def test_a_planar_nuclear_image_becomes_one_nm_object(pool_module, a_scene, database, translated, export, tmp_path):
    scan = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "whole body")
    slicer.util.updateVolumeFromArray(scan, np.ones((2, 128, 32), np.uint16))
    scan.SetSpacing(2.4, 2.4, 1)
    path = a_whole_body_scan(tmp_path / "scan" / "nm.dcm")
    instance = pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID
    scan.SetAttribute("DICOM.instanceUIDs", instance)
    database.files[instance] = str(path)
    node = translated(scan, "NM")
    (instance,) = export(pool_module, node)
    assert (instance.Modality, instance.NumberOfFrames) == ("NM", 2)
    assert list(instance.ImageType)[:2] == ["DERIVED", "PRIMARY"]
    assert instance[0x0008, 0x001C].value == "YES"


def test_a_scan_that_was_no_dicom_gets_a_study_of_its_own_and_the_panel_says_so(
    us2mri_module, panel, a_scene, load, translated, export, tmp_path
):
    stack(tmp_path / "scan", axial(0, 3, 6, 9))
    source = load(tmp_path / "scan")
    source.SetAttribute("DICOM.instanceUIDs", None)
    objects = export(us2mri_module, translated(source))
    assert len(objects) == 4
    assert not objects[0].PatientID
    assert objects[0].StudyInstanceUID != "1.2.3"
    assert "not loaded from DICOM" in panel.exportNotice.text
    assert not panel.studyCheckBox.enabled
    assert "the study is the synthetic image's own" in panel.exportResult.toolTip


def test_a_scan_that_left_the_database_gets_a_study_of_its_own(
    us2mri_module, panel, load, translated, export, tmp_path, database
):
    stack(tmp_path / "scan", axial(0, 3, 6, 9))
    node = translated(load(tmp_path / "scan"))
    database.files.popitem()
    assert export(us2mri_module, node)[0].StudyInstanceUID != "1.2.3"
    assert "no longer in Slicer's DICOM database" in panel.exportNotice.text


def test_a_database_that_is_not_open_is_not_asked(
    us2mri_module, panel, load, translated, tmp_path, database, monkeypatch
):
    stack(tmp_path / "scan", axial(0, 3))
    node = translated(load(tmp_path / "scan"))
    database.isOpen = False
    monkeypatch.setattr(Database, "fileForInstance", lambda self, uid: pytest.fail("asked"))
    panel.exportSelector.setCurrentNode(node)
    assert "no longer in Slicer's DICOM database" in panel.exportNotice.text


def test_the_mark_is_burnt_in_only_by_choice(us2mri_module, panel, load, translated, export, click, tmp_path):
    stack(tmp_path / "scan", axial(0, 3, 6, 9))
    node = translated(load(tmp_path / "scan"))
    assert not panel.burnInCheckBox.checked
    panel.burnInCheckBox.checked = True
    assert {instance.BurnedInAnnotation for instance in export(us2mri_module, node)} == {"YES"}


def test_long_words_do_not_widen_the_panel(us2mri_module, panel, process_events):
    export = us2mri_module.widget.panel.export
    panel.exportSection.collapsed = False
    process_events()
    before = export.widget.minimumSizeHint.width()
    export._say(f"Written in {'x' * 200}.")
    process_events()
    assert export.widget.minimumSizeHint.width() == before


def test_a_second_export_gets_a_folder_of_its_own(us2mri_module, load, translated, export, tmp_path):
    stack(tmp_path / "scan", axial(0, 3, 6, 9))
    node = translated(load(tmp_path / "scan"))
    first, both = export(us2mri_module, node), export(us2mri_module, node)
    assert (len(first), len(both)) == (4, 8)
    assert len({instance.SeriesInstanceUID for instance in both}) == 2


def test_only_a_synthetic_volume_can_be_exported(panel, load, tmp_path, process_events):
    stack(tmp_path / "scan", axial(0, 3))
    panel.exportSection.collapsed = False
    panel.exportSelector.setCurrentNode(load(tmp_path / "scan"))
    process_events()
    assert not panel.exportButton.enabled
    assert "synthetic" in panel.exportNotice.text


def test_an_uncertainty_map_is_refused_before_anything_is_written(us2mri_module, panel, load, translated, tmp_path):
    stack(tmp_path / "scan", axial(0, 3))
    node = translated(load(tmp_path / "scan"))
    record = replace(provenance_of(node), quantity={"name": "standard deviation", "unit": "grey values"})
    mark(node, record)
    us2mri_module.widget.panel.export.ui.exportSection.collapsed = False
    panel.exportSelector.setCurrentNode(node)
    us2mri_module.widget.panel.export.onVolume()
    assert "uncertainty map, not an image" in panel.exportNotice.text
    assert not panel.exportButton.enabled
    with pytest.raises(InputError, match="uncertainty map"):
        us2mri_module.widget.panel.export._export.start(ExportRequest(node, tmp_path))


def test_choosing_no_folder_does_nothing(us2mri_module, panel, load, translated, dialogs, click, tmp_path):
    stack(tmp_path / "scan", axial(0, 3))
    panel.exportSection.collapsed = False
    panel.exportSelector.setCurrentNode(translated(load(tmp_path / "scan")))
    dialogs.will_be_closed()
    click(panel.exportButton)
    assert not us2mri_module.widget.panel.export._export.busy
    assert panel.exportResult.text == ""


def test_a_scan_that_was_moved_is_refused_in_one_sentence(us2mri_module, panel, load, translated, export, tmp_path):
    stack(tmp_path / "scan", axial(0, 3, 6, 9))
    node = translated(load(tmp_path / "scan"))
    node.SetOrigin(100, 200, 300)
    assert export(us2mri_module, node) == []
    assert "was not made from this DICOM series" in panel.exportResult.text
    assert list((tmp_path / "out").iterdir()) == []
    assert _left_behind() == []
    panel.studyCheckBox.checked = False
    assert len(export(us2mri_module, node)) == 4


def test_a_fault_nobody_foresaw_is_a_sentence_and_the_button_comes_back(
    us2mri_module, panel, load, translated, export, tmp_path, monkeypatch
):
    def fails(path, record):
        raise OSError("no such luck")

    monkeypatch.setattr("imagetranslation.panels.exporting.write_sidecar", fails)
    stack(tmp_path / "scan", axial(0, 3))
    assert export(us2mri_module, translated(load(tmp_path / "scan"))) == []
    assert "no such luck" in panel.exportResult.text
    assert panel.exportButton.enabled
    assert _left_behind() == []


def test_a_worker_that_is_killed_is_a_sentence_and_leaves_nothing(
    us2mri_module, panel, load, translated, click, dialogs, wait_until, tmp_path
):
    stack(tmp_path / "scan", axial(0, 3))
    (tmp_path / "out").mkdir()
    panel.exportSection.collapsed = False
    panel.exportSelector.setCurrentNode(translated(load(tmp_path / "scan")))
    dialogs.will_choose_file(tmp_path / "out")
    click(panel.exportButton)
    (process,) = wait_until(lambda: running(EXPORT), 10, "the process")
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not us2mri_module.widget.panel.export._export.busy, 10, "the end")
    assert "without a word" in panel.exportResult.text
    assert _left_behind() == []


def test_cancel_stops_the_writing_at_once_and_leaves_no_half_series(
    us2mri_module, panel, writing, click, wait_until, screenshot
):
    assert panel.exportButton.text == "Cancel"
    screenshot("export_running", us2mri_module.panel)
    started = time.monotonic()
    click(panel.exportButton)
    wait_until(lambda: not us2mri_module.widget.panel.export._export.busy, 5, "the end")
    assert time.monotonic() - started < LONGEST_CANCEL_S
    assert panel.exportButton.text == "Export as DICOM..."
    assert panel.exportButton.enabled
    assert "no series was written" in panel.exportResult.text
    assert list(writing.iterdir()) == []
    assert _left_behind() == []


def test_a_worker_that_is_killed_while_it_writes_leaves_no_half_series(us2mri_module, writing, wait_until):
    os.kill(running(EXPORT)[-1], signal.SIGKILL)
    wait_until(lambda: not us2mri_module.widget.panel.export._export.busy, 10, "the end")
    assert list(writing.iterdir()) == []


class TestAtTheLastMoment:
    """A process that has written all when it is told to stop, or that meets a folder of somebody else."""

    @pytest.fixture
    def export(self, a_scene, tmp_path):
        from test_panels_worker import FakeProcess, FakeTicker

        process, ticker = FakeProcess(), FakeTicker()
        export = Export(lambda: process, ticker, tmp_path)
        export.process, export.ticker, export.heard = process, ticker, []
        export.failed.connect(export.heard.append)
        return export

    @pytest.fixture
    def target(self, export, a_scene, translated, tmp_path):
        """The folder that a running export was given."""
        scan = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
        slicer.util.updateVolumeFromArray(scan, np.ones((2, 3, 4), np.uint8))
        (tmp_path / "out").mkdir()
        export.start(ExportRequest(translated(scan), tmp_path / "out"))
        export.ticker.run()
        return tmp_path / "out" / "SYNTHETIC MR of scan"

    def test_a_series_that_was_complete_when_it_was_cancelled_is_taken_away(self, export, target):
        (target / "1.dcm").write_text("x")
        export.cancel()
        assert isinstance(export.heard[0], Cancelled)
        assert list(target.parent.iterdir()) == []

    def test_what_somebody_else_put_there_is_kept_when_the_process_refuses(self, export, target):
        (target / "notes.txt").write_text("mine")
        export.process.output(b'{"event": "error", "code": "input", "message": "It is not empty."}\n')
        export.process.ended(2, False)
        assert str(export.heard[0]) == "It is not empty."
        assert (target / "notes.txt").exists()

    def test_a_failed_export_leaves_no_empty_folder(self, export, target):
        export.process.ended(4, False)
        assert not target.exists()


def test_the_transform_that_is_left_out_is_named(panel, a_scene, load, translated, tmp_path):
    stack(tmp_path / "scan", axial(0, 3))
    node = translated(load(tmp_path / "scan"))
    node.SetAndObserveTransformNodeID(a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode").GetID())
    panel.exportSelector.setCurrentNode(node)
    assert "transform" in panel.exportNotice.text


@pytest.mark.parametrize("closing", ["the panel", "the scene"])
def test_closing_stops_the_export(
    us2mri_module, panel, load, translated, dialogs, click, tmp_path, wait_until, closing
):
    stack(tmp_path / "scan", axial(0, 3))
    (tmp_path / "out").mkdir()
    panel.exportSection.collapsed = False
    panel.exportSelector.setCurrentNode(translated(load(tmp_path / "scan")))
    dialogs.will_choose_file(tmp_path / "out")
    click(panel.exportButton)
    if closing == "the panel":
        us2mri_module.widget.panel.export.close()
    else:
        slicer.mrmlScene.Clear(0)
    wait_until(lambda: not _left_behind(), 5, "the end of what ran")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_process_needs_nothing_but_what_slicer_and_the_installation_bring(tmp_path):
    """typer, rich and the like are not in Slicer's Python."""
    import json
    import subprocess

    absent = ["typer", "rich", "pandas", "trame", "monai", "lightning", "click", "tqdm", "slicer", "vtk", "torch"]
    (tmp_path / "job.json").write_text(
        json.dumps({"image": "none.nrrd", "folder": "x", "source_files": [], "burn_in": False})
    )
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r})); import runpy; "
        f"sys.argv = ['x', {str(tmp_path / 'job.json')!r}]; "
        "runpy.run_module('imagetranslation.panels.exportjob', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["code"] == "input", done.stderr
