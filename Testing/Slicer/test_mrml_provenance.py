"""The synthetic mark on MRML nodes: nothing a person does with the node in Slicer loses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from imagetranslation.mrml.provenance import is_synthetic, mark, provenance_of  # noqa: E402
from imagetranslation.mrml.volumes import add_volume, volume_from_node  # noqa: E402
from imagetranslation.provenance import RECORD_KEY, Provenance  # noqa: E402
from imagetranslation.volume import Volume  # noqa: E402

AWKWARD = Provenance(
    model="us2mri; pix:2%20pix",
    version="1.0.0",
    weights_sha256="ab" * 32,
    task="us2mri",
    modality="MR",
    source="Prüfling;a.nii.gz",
    source_sha256="cd" * 32,
    created="2026-01-01T00:00:00Z",
    software="imagetranslation 0.1.0",
    notes=('A "quoted" note; 100 % <b>&</b>', "línea dos"),
)


@pytest.fixture
def a_scene():
    return slicer.vtkMRMLScene()


@pytest.fixture
def a_synthetic_node(a_scene):
    return add_volume(a_scene, Volume(np.arange(24.0, dtype="f4").reshape(2, 3, 4), provenance=AWKWARD), display=False)


def stored_in(scene, node, file: Path):
    storage = scene.AddNewNodeByClass("vtkMRMLNRRDStorageNode")
    storage.SetFileName(str(file))
    node.SetAndObserveStorageNodeID(storage.GetID())
    assert storage.WriteData(node)


def test_a_real_volume_is_not_synthetic(a_scene):
    node = add_volume(a_scene, Volume(np.zeros((2, 2, 2))), display=False)
    assert provenance_of(node) is None
    assert not is_synthetic(node)
    assert provenance_of(None) is None


def test_a_synthetic_volume_is_marked_and_named_on_arrival(a_synthetic_node):
    assert a_synthetic_node.GetName() == "SYNTHETIC MR of Prüfling;a.nii.gz"
    assert provenance_of(a_synthetic_node) == AWKWARD
    assert a_synthetic_node.GetAttribute("ImageTranslation.Model") == AWKWARD.model
    assert a_synthetic_node.GetAttribute("ImageTranslation.WeightsSHA256") == AWKWARD.weights_sha256


def test_renaming_and_copying_keep_the_record(a_scene, a_synthetic_node):
    a_synthetic_node.SetName("T2")
    copy = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    copy.Copy(a_synthetic_node)
    assert provenance_of(a_synthetic_node) == AWKWARD
    assert volume_from_node(copy).provenance == AWKWARD


def test_saving_and_loading_the_scene_keeps_the_record(a_scene, a_synthetic_node, tmp_path):
    stored_in(a_scene, a_synthetic_node, tmp_path / "v.nrrd")
    a_scene.SetRootDirectory(str(tmp_path))
    assert a_scene.Commit(str(tmp_path / "s.mrml"))
    loaded = slicer.vtkMRMLScene()
    loaded.SetURL(str(tmp_path / "s.mrml"))
    assert loaded.Connect()
    node = loaded.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    assert provenance_of(node) == AWKWARD
    assert np.array_equal(volume_from_node(node).array, np.arange(24.0).reshape(2, 3, 4))


def test_the_nrrd_file_alone_keeps_the_record(a_scene, a_synthetic_node, tmp_path):
    stored_in(a_scene, a_synthetic_node, tmp_path / "v.nrrd")
    other = slicer.vtkMRMLScene()
    node = other.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    storage = other.AddNewNodeByClass("vtkMRMLNRRDStorageNode")
    storage.SetFileName(str(tmp_path / "v.nrrd"))
    assert storage.ReadData(node)
    assert provenance_of(node) == AWKWARD


@pytest.mark.parametrize("damage", ["", "not json", "[1, 2]", None])
def test_a_damaged_record_still_marks_the_image(a_synthetic_node, damage):
    a_synthetic_node.SetAttribute(RECORD_KEY, damage)
    record = provenance_of(a_synthetic_node)
    assert record is not None
    assert (record.model, record.version) == (AWKWARD.model, AWKWARD.version)


def test_marking_again_replaces_the_record(a_synthetic_node):
    newer = Provenance.from_dict({**AWKWARD.to_dict(), "version": "2.0.0", "notes": []})
    mark(a_synthetic_node, newer)
    assert provenance_of(a_synthetic_node) == newer
    assert a_synthetic_node.GetAttribute("ImageTranslation.ModelVersion") == "2.0.0"
