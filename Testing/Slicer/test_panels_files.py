"""A synthetic volume stays marked through Slicer's own saving and loading, in every format."""

from __future__ import annotations

import json

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from imagetranslation.mrml.provenance import mark, provenance_of  # noqa: E402
from imagetranslation.provenance import Provenance  # noqa: E402
from imagetranslation.volume import read_volume  # noqa: E402

RECORD = Provenance.from_dict(
    {"model": "m", "version": "1.0.0", "modality": "MR", "source": "Wärme", "weights_sha256": "0" * 64, "notes": ["a"]}
)


@pytest.fixture
def the_marks(a_slicer_app):
    from imagetranslation.panels.marking import mark_all_views

    return mark_all_views()


@pytest.fixture
def a_synthetic(a_scene, the_marks):
    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "SYNTHETIC MR")
    slicer.util.updateVolumeFromArray(node, np.random.default_rng(0).random((3, 4, 5), dtype=np.float32))
    mark(node, RECORD)
    return node


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".nii", ".mha"])
def test_a_volume_saved_by_slicer_is_known_as_synthetic_elsewhere(a_synthetic, tmp_path, suffix):
    path = tmp_path / f"saved{suffix}"
    assert slicer.util.saveNode(a_synthetic, str(path))
    assert read_volume(path).provenance == RECORD
    assert json.loads((tmp_path / "saved.json").read_text())["synthetic"] is True


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_a_volume_loaded_by_slicer_is_marked_again(a_synthetic, a_scene, tmp_path, suffix):
    path = tmp_path / f"saved{suffix}"
    slicer.util.saveNode(a_synthetic, str(path))
    a_scene.Clear(False)
    assert provenance_of(slicer.util.loadVolume(str(path))) == RECORD


def test_a_scene_bundle_keeps_the_whole_record(a_synthetic, a_scene, tmp_path):
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    a_scene.Clear(False)
    slicer.util.loadScene(path)
    assert provenance_of(slicer.util.getNode("SYNTHETIC MR")) == RECORD


def test_views_of_a_loaded_scene_carry_the_mark_at_once(a_synthetic, a_scene, the_marks, process_events, tmp_path):
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    slicer.util.setSliceViewerLayers(background=a_synthetic)
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    a_scene.Clear(False)
    process_events()
    assert the_marks.marks.texts == {}
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    process_events()
    assert {the_marks.marks.texts.get(name) for name in ("Red", "Green", "Yellow")} == {
        "SYNTHETIC, not for diagnosis: m, 1.0.0"
    }


def test_a_real_volume_gets_no_mark_and_no_file(a_scene, the_marks, tmp_path):
    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "real")
    slicer.util.updateVolumeFromArray(node, np.zeros((3, 4, 5), np.float32))
    slicer.util.saveNode(node, str(tmp_path / "real.nii"))
    assert [path.name for path in tmp_path.iterdir()] == ["real.nii"]


def test_another_programs_json_is_kept(a_synthetic, tmp_path):
    (tmp_path / "saved.json").write_text('{"RepetitionTime": 2}')
    slicer.util.saveNode(a_synthetic, str(tmp_path / "saved.nii"))
    assert (tmp_path / "saved.json").read_text() == '{"RepetitionTime": 2}'
