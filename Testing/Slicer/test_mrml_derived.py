"""What Slicer makes of a synthetic volume is marked too, where Slicer says what it was made of."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from imagetranslation.mrml import derived  # noqa: E402
from imagetranslation.mrml.derived import DerivedMarks, mark_outputs  # noqa: E402
from imagetranslation.mrml.provenance import is_synthetic, provenance_of  # noqa: E402
from imagetranslation.mrml.volumes import add_volume  # noqa: E402
from imagetranslation.provenance import Provenance, corner_text, slicer_corner_text  # noqa: E402
from imagetranslation.volume import Volume  # noqa: E402

RECORD = Provenance.from_dict({"model": "m", "version": "1", "modality": "MR", "source": "scan", "notes": ["a"]})


class Run:
    """A vtkMRMLCommandLineModuleNode as far as it is asked.

    Descriptions of command line modules can only be given to a real one by the application, where the same was tried.
    images: (name, channel, place on the command line, node).
    """

    def __init__(self, scene, *images):
        self._scene = scene
        self._parameters = [("image", *image) for image in images] + [("double", "size", "", "", None)]

    def GetScene(self):
        return self._scene

    def GetModuleTitle(self):
        return "Threshold Scalar Volume"

    def GetNumberOfParameterGroups(self):
        return 1

    def GetNumberOfParametersInGroup(self, group):
        return len(self._parameters)

    def GetParameterTag(self, group, number):
        return self._parameters[number][0]

    def GetParameterName(self, group, number):
        return self._parameters[number][1]

    def GetParameterChannel(self, group, number):
        return self._parameters[number][2]

    def GetParameterIndex(self, group, number):
        return self._parameters[number][3]

    def GetParameterAsString(self, name):
        (node,) = (parameter[4] for parameter in self._parameters if parameter[1] == name)
        return node.GetID() if node is not None else ""


@pytest.fixture
def a_scene():
    return slicer.vtkMRMLScene()


@pytest.fixture
def synthetic(a_scene):
    voxels = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    return add_volume(a_scene, Volume(voxels, provenance=RECORD), display=False)


@pytest.fixture
def real(a_scene):
    return add_volume(a_scene, Volume(np.ones((4, 5, 6), np.float32), name="real"), display=False)


@pytest.fixture
def made(a_scene):
    return a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Threshold output")


def test_what_a_module_makes_of_a_synthetic_volume_is_marked_and_says_how(a_scene, synthetic, made):
    mark_outputs(Run(a_scene, ("in", "input", "0", synthetic), ("out", "output", "1", made)))
    record = provenance_of(made)
    assert (record.model, record.source) == ("m", "scan")
    assert record.notes == ("a", f"Made of {synthetic.GetName()} by Threshold Scalar Volume.")
    assert made.GetName() == "SYNTHETIC Threshold output"


def test_the_sum_of_a_real_and_a_synthetic_volume_is_marked(a_scene, synthetic, real, made):
    inputs = ("a", "input", "0", real), ("b", "input", "1", synthetic)
    mark_outputs(Run(a_scene, *inputs, ("out", "output", "2", made)))
    assert is_synthetic(made)


def test_a_real_volume_resampled_to_the_grid_of_a_synthetic_one_stays_real(a_scene, synthetic, real, made):
    inputs = ("in", "input", "0", real), ("referenceVolume", "input", "", synthetic)
    mark_outputs(Run(a_scene, *inputs, ("out", "output", "1", made)))
    assert not is_synthetic(made)
    assert made.GetName() == "Threshold output"


@pytest.mark.parametrize("moving", ["real", "synthetic"])
def test_of_a_registration_only_what_is_synthetic_beyond_doubt_is_marked(a_scene, synthetic, real, made, moving):
    inputs = ("fixed", "input", "", synthetic), ("moving", "input", "", real if moving == "real" else synthetic)
    mark_outputs(Run(a_scene, *inputs, ("out", "output", "", made)))
    assert is_synthetic(made) == (moving == "synthetic")


def test_an_output_that_was_not_asked_for_is_no_error(a_scene, synthetic):
    mark_outputs(Run(a_scene, ("in", "input", "0", synthetic), ("out", "output", "1", None)))


def test_a_module_is_looked_at_when_it_is_done_and_not_before(a_scene, monkeypatch):
    looked_at = []
    monkeypatch.setattr(derived, "mark_outputs", looked_at.append)
    there_before = a_scene.AddNode(slicer.vtkMRMLCommandLineModuleNode())
    marks = DerivedMarks(a_scene)
    later = a_scene.AddNode(slicer.vtkMRMLCommandLineModuleNode())
    for node in (there_before, later):
        node.SetStatus(node.Running)
    assert looked_at == []
    later.SetStatus(later.CompletedWithErrors)
    assert looked_at == []
    for node in (there_before, later):
        node.SetStatus(node.Completed)
    assert looked_at == [there_before, later]
    marks.detach()
    later.SetStatus(later.Running)
    later.SetStatus(later.Completed)
    assert len(looked_at) == 2


def test_the_application_follows_its_modules(a_slicer_app, monkeypatch):
    from imagetranslation.panels.marking import mark_all_views

    mark_all_views()
    looked_at = []
    monkeypatch.setattr(derived, "mark_outputs", looked_at.append)
    node = slicer.mrmlScene.AddNode(slicer.vtkMRMLCommandLineModuleNode())
    node.SetStatus(node.Completed)
    assert looked_at == [node]


def test_slicers_own_copies_keep_the_mark(a_scene, synthetic):
    clone = slicer.vtkSlicerVolumesLogic.CloneVolume(a_scene, synthetic, "copy")
    assert provenance_of(clone) == RECORD


def test_a_cropped_volume_keeps_the_mark(a_scene, synthetic):
    logic, volumes, application = (
        slicer.vtkSlicerCropVolumeLogic(),
        slicer.vtkSlicerVolumesLogic(),
        slicer.vtkMRMLApplicationLogic(),
    )
    application.SetModuleLogic("Volumes", volumes)
    logic.SetMRMLApplicationLogic(application)
    volumes.SetMRMLScene(a_scene)
    logic.SetMRMLScene(a_scene)
    box = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
    box.SetCenter(-2.5, -2, 1.5)
    box.SetSize(4, 3, 2)
    parameters = a_scene.AddNode(slicer.vtkMRMLCropVolumeParametersNode())
    parameters.SetInputVolumeNodeID(synthetic.GetID())
    parameters.SetROINodeID(box.GetID())
    parameters.SetVoxelBased(True)
    assert logic.Apply(parameters) == 0
    cropped = parameters.GetOutputVolumeNode()
    assert cropped is not synthetic
    assert cropped.GetImageData().GetNumberOfPoints() < 120
    assert provenance_of(cropped) == RECORD


def test_a_record_without_a_model_says_so_in_the_corner():
    assert slicer_corner_text(Provenance.from_dict({})) == "SYNTHETIC, not for diagnosis: model unknown"
    assert corner_text(Provenance.from_dict({"version": "1"})) == "SYNTHETIC: model unknown 1"
    assert slicer_corner_text(RECORD) == "SYNTHETIC, not for diagnosis: m, 1"
