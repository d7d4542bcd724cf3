"""What both modules' self tests do: translate a small made-up scan and look at the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk

from ..mrml.provenance import provenance_of
from ..mrml.volumes import set_array
from ..provenance import MARK


def check_translation(logic: Any) -> None:
    """logic: a module's logic. AssertionError unless the result is marked and lies on the scan's grid."""
    source = _speckle(slicer.mrmlScene, planar=logic.task.dimensionality == 2)
    result = logic.translate(source)
    record = provenance_of(result)
    assert result.GetName().startswith(MARK)
    assert record is not None
    assert (record.model, record.source) == (logic.task.default_model, source.GetName())
    assert result.GetImageData().GetDimensions() == source.GetImageData().GetDimensions()
    assert _matrix(result) == _matrix(source)
    low, high = result.GetImageData().GetScalarRange()
    assert high > low


def _speckle(scene: Any, planar: bool) -> Any:
    """A bright disc in speckle on an anisotropic grid; one slice when planar."""
    shape = (1 if planar else 4, 48, 40)
    _k, rows, columns = np.indices(shape)
    disc = np.hypot(rows - 24, columns - 20) < 12
    random = np.random.default_rng(0)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "self test scan")
    node.SetSpacing(0.7, 0.8, 2.5)
    node.SetOrigin(11.0, -7.0, 3.0)
    set_array(node, (random.rayleigh(20, shape) + 60 * disc).clip(0, 255).astype(np.uint8))
    return node


def _matrix(node: Any) -> list[float]:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return [matrix.GetElement(row, column) for row in range(4) for column in range(4)]
