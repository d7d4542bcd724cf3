"""Regions of a scene as label maps: their parts, names, own grids, transforms, changes; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from imagetranslation.errors import InputError  # noqa: E402
from imagetranslation.mrml import regions  # noqa: E402
from imagetranslation.mrml.volumes import add_volume, volume_from_node  # noqa: E402
from imagetranslation.radiomics.roi import from_labelmap  # noqa: E402
from imagetranslation.radiomics.segmentations import place  # noqa: E402
from imagetranslation.volume import Volume  # noqa: E402

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
SHAPE = (9, 10, 12)


@pytest.fixture
def image(a_scene):
    voxels = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    return add_volume(a_scene, Volume(voxels, (0.7, 0.8, 2.5), (11.1, -22.2, 33.3), OBLIQUE, "scan"))


@pytest.fixture
def mask():
    inside = np.zeros(SHAPE, np.uint8)
    inside[2:5, 3:9, 4:6] = 1
    inside[4, 5, 6] = 1
    return inside


@pytest.fixture
def segmentation(image, mask):
    node = regions.new_region(image)
    _draw(node, 0, mask, image)
    return node


def _draw(node, number, mask, image):
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, node.GetSegmentation().GetNthSegmentID(number), image)


def _on(image, carrier):
    """The region as voxels of the image, where their grids coincide."""
    (roi,) = from_labelmap(volume_from_node(carrier, world=False), [1])
    return place(roi, volume_from_node(image, world=False)).full()


def test_a_segment_comes_out_voxel_by_voxel_on_an_oblique_grid(image, segmentation, mask):
    ((part, name),) = regions.parts(segmentation)
    assert name == regions.part_name(segmentation, part) == "Region"
    assert np.array_equal(_on(image, regions.labelmap_of(segmentation, part, image)), mask)


def test_segments_that_share_a_label_map_are_told_apart(image, segmentation, mask):
    other = np.zeros(SHAPE, np.uint8)
    other[6:8, 0:4, 7:11] = 1
    segmentation.GetSegmentation().AddEmptySegment("other", "Lesion")
    _draw(segmentation, 1, other, image)
    segmentation.GetSegmentation().CollapseBinaryLabelmaps(False)
    (first, _), (second, name) = regions.parts(segmentation)
    assert name == "Lesion"
    assert np.array_equal(_on(image, regions.labelmap_of(segmentation, first, image)), mask)
    assert np.array_equal(_on(image, regions.labelmap_of(segmentation, second, image)), other)
    assert np.array_equal(_on(image, regions.labelmap_of(segmentation, "", image)), mask | other)


def test_labels_of_a_label_map_are_its_parts(a_scene, image, mask):
    node = a_scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    node.CopyOrientation(image)
    slicer.util.updateVolumeFromArray(node, mask * np.uint8(3))
    assert regions.parts(node) == [("3", "label 3")]
    assert regions.part_name(node, "3") == "labels label 3"
    assert np.array_equal(_on(image, regions.labelmap_of(node, "3", image)), mask)
    assert regions.parts(None) == []


def test_transforms_over_both_change_nothing_and_over_one_move_it(a_scene, image, segmentation, mask):
    part = regions.parts(segmentation)[0][0]
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    matrix = np.eye(4)
    matrix[:3, 3] = (5.0, -3.0, 2.0)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    for node in (image, segmentation):
        node.SetAndObserveTransformNodeID(transform.GetID())
    assert np.array_equal(_on(image, regions.labelmap_of(segmentation, part, image)), mask)
    segmentation.SetAndObserveTransformNodeID(None)
    moved = volume_from_node(regions.labelmap_of(segmentation, part, image), world=False)
    own = volume_from_node(regions.labelmap_of(segmentation, part, _twin(a_scene, image)), world=False)
    assert np.array(moved.origin) - own.origin == pytest.approx([5.0, -3.0, -2.0])


def _twin(scene, image):
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "twin")
    node.CopyOrientation(image)
    return node


def test_a_surface_is_turned_into_the_images_voxels(image, segmentation):
    part = regions.parts(segmentation)[0][0]
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:8, 1:9, 1:11] = 1
    _draw(segmentation, 0, mask, image)
    segmentation.CreateClosedSurfaceRepresentation()
    segmentation.GetSegmentation().SetSourceRepresentationName("Closed surface")
    found = _on(image, regions.labelmap_of(segmentation, part, image))
    assert (found & mask).sum() > 0.6 * mask.sum()


def test_what_is_empty_or_gone_is_refused_in_a_sentence(a_scene, image, segmentation):
    empty = regions.new_region(image)
    with pytest.raises(InputError, match="Region is empty: nothing is drawn"):
        regions.labelmap_of(empty, regions.parts(empty)[0][0], image)
    with pytest.raises(InputError, match="has no segment gone any more"):
        regions.labelmap_of(segmentation, "gone", image)
    bare = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "bare")
    with pytest.raises(InputError, match="bare is empty"):
        regions.labelmap_of(bare, "", image)


def test_every_change_is_followed_until_it_is_no_longer(a_scene, image, segmentation, mask):
    told = []
    end = regions.follow(segmentation, lambda: told.append(1))
    _draw(segmentation, 0, mask * 0, image)
    assert told
    count = len(told)
    segmentation.GetSegmentation().AddEmptySegment("", "second")
    assert len(told) > count
    end()
    count = len(told)
    _draw(segmentation, 0, mask, image)
    assert len(told) == count
    node = a_scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    slicer.util.updateVolumeFromArray(node, mask)
    end = regions.follow(node, lambda: told.append(2))
    slicer.util.updateVolumeFromArray(node, mask)
    assert told[-1] == 2
    end()
