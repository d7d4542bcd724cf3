"""What both modules' self tests do: translate a small made-up scan where a model is installed, and look at the rest.

Where packages or the task's model are not installed, the module must refuse and say what is missing and how to get it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import slicer
import vtk

from ..counts import mirrored, ratio
from ..errors import ImageTranslationError
from ..mrml.layouts import TAGS, composite_node
from ..mrml.provenance import provenance_of
from ..mrml.sidebyside import SideBySide
from ..mrml.volumes import set_array, volume_from_node
from ..provenance import MARK, Provenance, slicer_corner_text
from . import modelchoices, requirements
from .marking import mark_all_views
from .outputs import put_result
from .translation import Request

SPACING, ORIGIN = (0.7, 0.8, 2.5), (11.0, -7.0, 3.0)


def check_module(logic: Any) -> None:
    """logic: a module's logic. AssertionError where something does not do what it should."""
    source = _speckle(slicer.mrmlScene, planar=logic.task.dimensionality == 2)
    if sentence := requirements.hindrance():
        check_refusal(logic, source, [sentence])
    elif not modelchoices.is_installed(logic.task.default_model):
        check_refusal(logic, source, [logic.task.default_model, "Installation"])
    else:
        check_translation(logic, source)
    if slicer.app.layoutManager() is not None:
        check_views(logic.task, source)
    if logic.task.counts:
        check_counts()


def check_refusal(logic: Any, source: Any, words: Iterable[str]) -> None:
    """Nothing is made of the scan, and the sentence of the refusal holds these words."""
    before = slicer.mrmlScene.GetNumberOfNodes()
    said = ""
    try:
        logic.translate(source)
    except ImageTranslationError as error:
        said = str(error)
    missing = [word for word in words if word not in said]
    assert not missing, f"the refusal {said!r} does not name {missing}"
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def check_translation(logic: Any, source: Any) -> None:
    """The result is marked and lies on the scan's grid."""
    result = logic.translate(source)
    record = provenance_of(result)
    assert result.GetName().startswith(MARK)
    assert record is not None
    assert (record.model, record.source) == (logic.task.default_model, source.GetName())
    assert result.GetImageData().GetDimensions() == source.GetImageData().GetDimensions()
    assert _matrix(result) == _matrix(source)
    low, high = result.GetImageData().GetScalarRange()
    assert high > low


def check_views(task: Any, source: Any) -> None:
    """An image marked as synthetic stands beside its source with the mark, and the earlier layout comes back."""
    facts = {"model": "self-test", "version": "1", "modality": task.target.modality, "source": source.GetName()}
    record = Provenance.from_dict(facts)
    voxels = volume_from_node(source).array.astype(np.float32)
    synthetic = put_result(Request(source, "self-test"), voxels, record)
    marks = mark_all_views()
    assert marks is not None
    earlier = slicer.app.layoutManager().layout
    views = SideBySide(slicer.mrmlScene, slicer.app.applicationLogic().GetSliceLogic)
    views.show(source, synthetic, orientation=task.layout)
    views.fit()
    composites = [composite_node(slicer.mrmlScene, tag) for tag in TAGS[:2]]
    shown = [node.GetBackgroundVolumeID() for node in composites if node is not None]
    assert shown == [source.GetID(), synthetic.GetID()]
    marks.marks.refresh()
    texts = [marks.marks.texts.get(tag, "") for tag in TAGS[:2]]
    assert texts == ["", slicer_corner_text(record)], texts
    views.leave()
    assert slicer.app.layoutManager().layout == earlier


def check_counts() -> None:
    """A region with five times the counts of its mirror image has the ratio 5."""
    array = np.full((1, 48, 40), 10, np.uint16)
    array[0, 20:28, 6:12] = 50
    volume = volume_from_node(_node(slicer.mrmlScene, "self test counts", array))
    lesion = array == array.max()
    found = ratio(volume.array, lesion, mirrored(volume, lesion), counted=True)
    assert found.value == 5, found
    assert found.error is not None


def _speckle(scene: Any, planar: bool) -> Any:
    """A bright disc in speckle on an anisotropic grid; one slice when planar."""
    shape = (1 if planar else 4, 48, 40)
    _k, rows, columns = np.indices(shape)
    disc = np.hypot(rows - 24, columns - 20) < 12
    random = np.random.default_rng(0)
    return _node(scene, "self test scan", (random.rayleigh(20, shape) + 60 * disc).clip(0, 255).astype(np.uint8))


def _node(scene: Any, name: str, array: np.ndarray) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetSpacing(*SPACING)
    node.SetOrigin(*ORIGIN)
    set_array(node, array)
    node.CreateDefaultDisplayNodes()
    return node


def _matrix(node: Any) -> list[float]:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return [matrix.GetElement(row, column) for row in range(4) for column in range(4)]
