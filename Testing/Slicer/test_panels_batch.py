"""Several volumes at once: of the scene, of a folder, of a sequence; failures are noted and the rest goes on."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from ownprocesses import running
from tinymodel import write_tiny_model

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from imagetranslation.mrml.provenance import provenance_of  # noqa: E402
from imagetranslation.volume import Volume, read_volume, write_volume  # noqa: E402

LONGEST_S = 120


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    write_tiny_model(folder / "models", "us2mri")
    return folder


@pytest.fixture
def the_module(home, monkeypatch, a_scene, request):
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(home))
    return request.getfixturevalue("us2mri_module")


@pytest.fixture
def panel(the_module, click):
    """The Several volumes panel, unfolded."""
    controls = the_module.widget.panel.several.ui
    controls.batchSection.collapsed = False
    return controls


@pytest.fixture
def run(the_module, panel, click, wait_until):
    """Press Translate all and wait for the end; gives the rows of the table."""

    def press_and_wait():
        click(panel.batchButton)
        wait_until(lambda: not the_module.widget.panel.batch.busy, LONGEST_S, "the batch")
        table = panel.batchTable
        return [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]

    return press_and_wait


def _voxels(seed, shape=(2, 24, 20)):
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


def _node(scene, name, voxels):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, voxels)
    return node


def _work_folders():
    return list(Path(slicer.app.temporaryPath).glob("imagetranslation-*"))


def _synthetic():
    return [n for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if provenance_of(n) is not None]


def test_only_what_belongs_to_the_chosen_kind_is_shown(the_module, panel, choose):
    def shown():
        return [name for name in ("batchInputPath", "sequenceSelector") if getattr(panel, name).visible]

    assert shown() == []
    choose(panel.batchSourceComboBox, "All images of a folder")
    assert shown() == ["batchInputPath"]
    choose(panel.batchSourceComboBox, "A sequence")
    assert shown() == ["sequenceSelector"]


def test_all_volumes_of_the_scene_are_translated_past_a_failure(the_module, panel, a_scene, run, screenshot):
    _node(a_scene, "good", _voxels(1))
    _node(a_scene, "constant", np.zeros((2, 24, 20), np.uint8))
    rows = run()
    assert [(row[0], row[1]) for row in rows] == [("good", "done"), ("constant", "failed")]
    assert "constant" in rows[1][2]
    assert [provenance_of(n).source for n in _synthetic()] == ["good"]
    assert panel.batchButton.text == "Translate all"
    screenshot("batch_scene")


def test_what_a_model_made_is_not_translated_again(the_module, panel, a_scene, run):
    from imagetranslation.mrml.provenance import mark
    from imagetranslation.provenance import Provenance

    mark(_node(a_scene, "made", _voxels(1)), Provenance.from_dict({"model": "m", "version": "1"}))
    assert run() == [["", "failed", "The scene holds no volume that could be translated."]]


def test_images_of_a_folder_become_files_and_a_table(the_module, panel, choose, run, tmp_path):
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    (inputs / "deep").mkdir(parents=True)
    write_volume(Volume(_voxels(2), (0.5, 0.6, 2.0)), inputs / "deep" / "a.nii.gz")
    (inputs / "broken.nrrd").write_text("not an image")
    choose(panel.batchSourceComboBox, "All images of a folder")
    panel.batchInputPath.currentPath = str(inputs)
    panel.batchOutputPath.currentPath = str(outputs)
    states = {row[0]: row[1] for row in run()}
    assert states == {"broken.nrrd": "failed", "deep/a.nii.gz": "done"}
    result = read_volume(outputs / "deep" / "a_synthetic-mr.nii.gz")
    assert result.synthetic
    assert result.same_grid(read_volume(inputs / "deep" / "a.nii.gz"))
    with open(outputs / "translations.csv", newline="") as stream:
        table = {row["input"].rpartition("/")[2]: row["status"] for row in csv.DictReader(stream)}
    assert table == {"broken.nrrd": "failed", "a.nii.gz": "done"}
    assert _synthetic() == []


def test_a_folder_that_is_missing_is_a_sentence(the_module, panel, choose, run):
    choose(panel.batchSourceComboBox, "All images of a folder")
    panel.batchInputPath.currentPath = "/nowhere/at/all"
    ((_, state, message),) = run()
    assert (state, message) == ("failed", "Choose the folder with the images.")


def test_results_that_cannot_be_written_end_the_batch_with_sentences(the_module, panel, choose, run, tmp_path):
    inputs, outputs = tmp_path / "in", tmp_path / "a_file"
    inputs.mkdir()
    for number in range(2):
        write_volume(Volume(_voxels(number), (0.5, 0.6, 2.0)), inputs / f"{number}.nii.gz")
    outputs.write_text("where the folder should be")
    choose(panel.batchSourceComboBox, "All images of a folder")
    panel.batchInputPath.currentPath = str(inputs)
    panel.batchOutputPath.currentPath = str(outputs)
    rows = run()
    assert [row[1] for row in rows] == ["failed", "failed"]
    assert all("a_file" in row[2] for row in rows)
    assert panel.batchButton.text == "Translate all"


def test_a_table_that_cannot_be_written_is_said_and_the_batch_goes_on(the_module, panel, choose, run, tmp_path):
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    write_volume(Volume(_voxels(1), (0.5, 0.6, 2.0)), inputs / "a.nii.gz")
    (outputs / "translations.csv").mkdir(parents=True)
    choose(panel.batchSourceComboBox, "All images of a folder")
    panel.batchInputPath.currentPath = str(inputs)
    panel.batchOutputPath.currentPath = str(outputs)
    ((_, state, message),) = run()
    assert state == "done"
    assert "translations.csv" in message


def test_no_sequence_chosen_is_a_sentence(the_module, panel, choose, run):
    choose(panel.batchSourceComboBox, "A sequence")
    ((_, state, message),) = run()
    assert (state, message) == ("failed", "Choose a sequence first.")


def test_a_sequence_becomes_a_sequence_with_the_same_times(the_module, panel, a_scene, choose, run):
    sequence = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "sweep")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for number in range(2):
        frame = _node(a_scene, f"frame {number}", _voxels(number))
        frame.SetSpacing(0.4, 0.5, 0.6)
        sequence.SetDataNodeAtValue(frame, str(number * 1.5))
        a_scene.RemoveNode(frame)
    choose(panel.batchSourceComboBox, "A sequence")
    panel.sequenceSelector.setCurrentNode(sequence)
    assert [row[1] for row in run()] == ["done", "done"]
    made = a_scene.GetFirstNodeByName("SYNTHETIC of sweep")
    assert [made.GetNthIndexValue(n) for n in range(2)] == ["0.0", "1.5"]
    for number in range(2):
        node = made.GetNthDataNode(number)
        assert provenance_of(node).source.startswith("frame")
        assert node.GetSpacing() == (0.4, 0.5, 0.6)
        assert node.GetImageData().GetDimensions() == (20, 24, 2)
    assert _synthetic() == []


@pytest.fixture
def workers_of_the_batch(the_module, monkeypatch):
    """Process ids of the workers that were started for jobs on stdin, in order."""
    from imagetranslation.panels.process import QtWorkerProcess

    started = []
    write = QtWorkerProcess.write

    def noted(self, data):
        self._process.waitForStarted()
        pid = int(self._process.processId())
        if pid not in started:
            started.append(pid)
        write(self, data)

    monkeypatch.setattr(QtWorkerProcess, "write", noted)
    return started


def test_one_worker_does_all_volumes_and_is_gone_afterwards(
    the_module, panel, a_scene, run, wait_until, workers_of_the_batch
):
    for number in range(3):
        _node(a_scene, f"volume {number}", _voxels(number))
    assert [row[1] for row in run()] == ["done"] * 3
    assert len(workers_of_the_batch) == 1
    wait_until(lambda: not running() and not _work_folders(), 5, "the worker's end")
    assert sorted(provenance_of(node).source for node in _synthetic()) == ["volume 0", "volume 1", "volume 2"]


def test_a_worker_that_is_killed_costs_one_volume(the_module, panel, a_scene, click, wait_until, workers_of_the_batch):
    for number in range(3):
        # The second one takes long enough to be met at work.
        _node(a_scene, f"volume {number}", _voxels(number, (80 if number == 1 else 2, 64, 64)))
    batch = the_module.widget.panel.batch
    click(panel.batchButton)
    wait_until(lambda: batch.rows[0].state == "done" and batch._translation._run.process, LONGEST_S, "the first volume")
    os.kill(workers_of_the_batch[0], signal.SIGKILL)
    wait_until(lambda: not batch.busy, LONGEST_S, "the batch")
    assert [row.state for row in batch.rows] == ["done", "failed", "done"]
    assert "crashed" in batch.rows[1].message
    assert len(workers_of_the_batch) == 2
    wait_until(lambda: not running() and not _work_folders(), 5, "the worker's end")


def test_cancelling_keeps_what_is_done_and_leaves_the_rest(the_module, panel, a_scene, click, wait_until):
    for number in range(3):
        _node(a_scene, f"volume {number}", _voxels(number))
    batch = the_module.widget.panel.batch
    click(panel.batchButton)
    wait_until(lambda: batch.rows[0].state == "done", LONGEST_S, "the first volume")
    click(panel.batchButton)
    assert not batch.busy
    assert [row.state for row in batch.rows] == ["done", "cancelled", "cancelled"]
    assert len(_synthetic()) == 1


def test_quitting_ends_the_batch_and_starts_nothing_more(
    the_module, panel, a_scene, click, wait_until, process_events, monkeypatch
):
    from imagetranslation.panels.process import QtWorkerProcess

    monkeypatch.setattr(QtWorkerProcess, "_quitting", False)
    for number in range(3):
        _node(a_scene, f"volume {number}", _voxels(number))
    batch = the_module.widget.panel.batch
    click(panel.batchButton)
    wait_until(running, 10, "the worker's start")
    slicer.app.aboutToQuit.emit()
    assert not batch.busy
    assert [row.state for row in batch.rows] == ["cancelled", "waiting", "waiting"]
    process_events()
    assert (running(), _work_folders()) == ([], [])
    # Whoever starts one all the same hears of its end at once.
    click(the_module.widget.panel.translate.ui.translateButton)
    wait_until(lambda: not the_module.widget.panel.translation.busy, 5, "the end")
    assert "quits" in the_module.widget.panel.translate.ui.resultLabel.text
    assert (running(), _work_folders()) == ([], [])
