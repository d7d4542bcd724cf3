"""Drawn regions saved and read again: every voxel, name and colour; also by Slicer's own reader where it is there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.radiomics.regionfiles import write_regions
from imagetranslation.radiomics.roi import Grid, Roi
from imagetranslation.radiomics.segmentations import ALL, read_rois
from imagetranslation.volume import Volume

COLOURS = ["#2ec4b6", "#ff6b8a", "#8f9dff"]
OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def an_image() -> Volume:
    return Volume(np.zeros((20, 30, 40), np.float32), (1.0, 1.2, 2.0), (3.0, -4.0, 7.0), OBLIQUE, "oblique")


@pytest.fixture
def regions(an_image) -> list[Roi]:
    """Two that lie apart, with names that a header field must survive."""
    mask = np.random.default_rng(0).random((4, 5, 6)) > 0.3
    mask[0, 0, 0] = mask[-1, -1, -1] = True
    grid = Grid.of(an_image)
    return [Roi(mask, (2, 3, 4), grid, 1, 'Läsion: "x"\n y:=z'), Roi(mask, (10, 20, 30), grid, 2, "B")]


@pytest.fixture
def overlapping(regions) -> list[Roi]:
    return [*regions, dataclasses.replace(regions[0], start=(3, 4, 5), label=3, name="over")]


@pytest.mark.parametrize("ending", [".seg.nrrd", ".nii.gz"])
def test_saved_regions_are_read_back_voxel_for_voxel(tmp_path, an_image, regions, ending):
    written = write_regions(tmp_path / f"drawn{ending}", regions, COLOURS)
    assert [roi.sha256 for roi in read_rois(written, an_image, ALL)] == [roi.sha256 for roi in regions]


def test_overlapping_regions_keep_their_voxels_and_names_in_layers(tmp_path, an_image, overlapping):
    read = read_rois(write_regions(tmp_path / "drawn.seg.nrrd", overlapping, COLOURS), an_image, ALL)
    assert [roi.sha256 for roi in read] == [roi.sha256 for roi in overlapping]
    assert [roi.name for roi in read] == ['Läsion: "x" y:=z', "B", "over"]


def test_slicer_opens_a_saved_file_with_names_colours_and_voxels(tmp_path, overlapping):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    pytest.importorskip("trame_slicer", reason="trame-slicer is not installed")
    from trame_slicer.core import SlicerApp

    app = SlicerApp()
    written = write_regions(tmp_path / "drawn.seg.nrrd", overlapping, COLOURS)
    segmentation = app.segmentation_editor.load_segmentation_from_file(str(written)).GetSegmentation()
    segments = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
    assert [segment.GetName() for segment in segments] == ['Läsion: "x" y:=z', "B", "over"]
    assert ["#" + "".join(f"{round(255 * c):02x}" for c in s.GetColor()) for s in segments] == COLOURS
    found = []
    for segment in segments:
        labelmap = segment.GetRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName())
        from vtkmodules.util.numpy_support import vtk_to_numpy

        voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars())
        found.append(int((voxels == segment.GetLabelValue()).sum()))
    assert found == [roi.voxels for roi in overlapping]


def test_what_a_file_cannot_hold_is_refused_and_nothing_is_written(tmp_path, regions, overlapping):
    with pytest.raises(InputError, match=r"save as \.seg\.nrrd"):
        write_regions(tmp_path / "drawn.nii.gz", overlapping, COLOURS)
    with pytest.raises(InputError, match="Nothing is drawn"):
        write_regions(tmp_path / "drawn.seg.nrrd", [], [])
    with pytest.raises(InputError, match=r"not as drawn\.png"):
        write_regions(tmp_path / "drawn.png", regions, COLOURS)
    moved = dataclasses.replace(regions[1], grid=dataclasses.replace(regions[1].grid, origin=(0.0, 0.0, 0.0)))
    with pytest.raises(InputError, match="different images"):
        write_regions(tmp_path / "drawn.seg.nrrd", [regions[0], moved], COLOURS)
    assert list(tmp_path.iterdir()) == []
