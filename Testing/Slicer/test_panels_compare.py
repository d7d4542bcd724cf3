"""Side by side: what each view shows, that the views move together, and that leaving puts everything back."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from imagetranslation.mrml.provenance import is_synthetic, mark  # noqa: E402
from imagetranslation.provenance import Provenance  # noqa: E402

SOURCE, SYNTHETIC, REFERENCE = "ImageTranslationSource", "ImageTranslationSynthetic", "ImageTranslationReference"
RECORD = Provenance.from_dict({"model": "some-model", "version": "2.0.0", "modality": "MR", "source": "scan"})
TEXT = "SYNTHETIC, not for diagnosis: some-model, 2.0.0"
# Grey level each test image is filled with, so that a look at a pixel says which image it is.
GREY = {"source": 60, "synthetic": 160, "reference": 220}


@pytest.fixture
def the_module(us2mri_module):
    return us2mri_module


@pytest.fixture
def panel(the_module):
    """The Side by side panel."""
    return the_module.widget.panel.compare


@pytest.fixture
def a_source(a_scene):
    return _volume(a_scene, "source")


@pytest.fixture
def a_synthetic(a_scene):
    node = _volume(a_scene, "synthetic")
    mark(node, RECORD)
    return node


@pytest.fixture
def a_reference(a_scene):
    """The real image, larger and on another grid."""
    return _volume(a_scene, "reference", shape=(30, 50, 60), spacing=(0.8, 0.9, 1.1))


@pytest.fixture
def shown(the_module, panel, a_source, a_synthetic, process_events):
    """The comparison of source and synthetic image, on the screen."""
    panel.show(a_source, a_synthetic)
    process_events()
    return panel


@pytest.fixture
def all_three(the_module, panel, a_source, a_synthetic, a_reference, process_events, choose):
    choose(panel.ui.referenceSelector, "reference")
    panel.show(a_source, a_synthetic)
    process_events()
    return panel


def _volume(scene, name, shape=(20, 40, 48), spacing=(1.0, 1.0, 2.0)):
    """A volume of one grey level around the origin."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, np.full(shape, GREY[name], np.uint8))
    node.SetSpacing(*spacing)
    node.SetOrigin(*(-(n - 1) * s / 2 for n, s in zip(reversed(shape), spacing)))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0, 255)
    return node


def _tilt(node, by_transform):
    """Turn the image's slices by 60 degrees about R, in its own header or by a transform; returns their normal."""
    import vtk

    turn = vtk.vtkTransform()
    turn.RotateX(60)
    directions = slicer.util.arrayFromVTKMatrix(turn.GetMatrix())
    if by_transform:
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turned")
        transform.SetMatrixTransformToParent(turn.GetMatrix())
        node.SetAndObserveTransformNodeID(transform.GetID())
    else:
        node.SetIJKToRASDirectionMatrix(turn.GetMatrix())
    return directions[:3, 2]


def _slice_node(tag):
    return slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceNode")


def _arrangement():
    return slicer.app.layoutManager().layoutLogic().GetLayoutNode().GetViewArrangement()


def _off_centre(pixels):
    """The grey level a bit away from the crosshair in the middle."""
    height, width, _ = pixels.shape
    return int(np.median(pixels[height // 2 + 12 : height // 2 + 22, width // 2 + 12 : width // 2 + 22]))


def _near(level, name):
    return abs(level - GREY[name]) <= 3


class TestViews:
    def test_each_view_shows_its_own_image(self, all_three, slice_pixels, screenshot):
        for tag, name in ((SOURCE, "source"), (SYNTHETIC, "synthetic"), (REFERENCE, "reference")):
            assert _near(_off_centre(slice_pixels(tag)), name)
        screenshot("compare_three")

    def test_the_mark_stands_in_the_synthetic_images_view_only_and_outlives_a_renaming(
        self, shown, a_synthetic, slice_pixels
    ):
        from imagetranslation.panels.marking import mark_all_views

        assert mark_all_views().marks.texts == {SYNTHETIC: TEXT}
        a_synthetic.SetName("T2 of the patient")
        assert mark_all_views().marks.texts == {SYNTHETIC: TEXT}
        assert _amber(slice_pixels(SYNTHETIC)) > 100
        assert _amber(slice_pixels(SOURCE)) == 0

    def test_slicers_own_views_carry_the_mark_too(self, the_module, a_synthetic, process_events):
        from imagetranslation.panels.marking import mark_all_views

        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        slicer.util.setSliceViewerLayers(background=a_synthetic)
        process_events()
        texts = mark_all_views().marks.texts
        assert {texts.get(name) for name in ("Red", "Green", "Yellow")} == {TEXT}

    def test_a_slice_shown_in_3d_carries_the_mark_there(self, the_module, a_synthetic, process_events):
        from imagetranslation.panels.marking import mark_all_views

        manager = slicer.app.layoutManager()
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        slicer.util.setSliceViewerLayers(background=a_synthetic)
        manager.sliceWidget("Red").mrmlSliceNode().SetSliceVisible(True)
        manager.threeDWidget(0).threeDView().forceRender()
        view = manager.threeDWidget(0).mrmlViewNode()
        assert mark_all_views().marks.texts[view.GetID()] == TEXT
        manager.sliceWidget("Red").mrmlSliceNode().SetSliceVisible(False)
        manager.threeDWidget(0).threeDView().forceRender()
        assert view.GetID() not in mark_all_views().marks.texts

    def test_views_start_in_the_same_place_with_the_same_field_of_view(self, all_three):
        leader = _slice_node(SOURCE)
        for tag in (SYNTHETIC, REFERENCE):
            node = _slice_node(tag)
            assert np.allclose(node.GetFieldOfView()[1], leader.GetFieldOfView()[1])
            assert np.allclose(slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS()),
                               slicer.util.arrayFromVTKMatrix(leader.GetSliceToRAS()))  # fmt: skip

    def test_leafing_in_one_view_leafs_in_all(self, shown, process_events):
        widget = slicer.app.layoutManager().sliceWidget(SOURCE)
        logic = widget.sliceLogic()
        logic.StartSliceOffsetInteraction()
        logic.SetSliceOffset(6.0)
        logic.EndSliceOffsetInteraction()
        process_events()
        assert _slice_node(SYNTHETIC).GetSliceOffset() == pytest.approx(6.0)

    def test_slicers_own_views_do_not_move_along(self, the_module, shown):
        assert _slice_node(SOURCE).GetViewGroup() == _slice_node(SYNTHETIC).GetViewGroup()
        assert _slice_node(SOURCE).GetViewGroup() != _slice_node("Red").GetViewGroup()

    @pytest.mark.parametrize("plane", ["Sagittal", "Coronal", "Acquired"])
    def test_another_plane_is_shown_in_both_views(self, shown, choose, plane):
        choose(shown.ui.orientationComboBox, plane)
        one, other = (slicer.util.arrayFromVTKMatrix(_slice_node(tag).GetSliceToRAS()) for tag in (SOURCE, SYNTHETIC))
        assert np.allclose(one, other)
        expected = {"Sagittal": (1, 0, 0), "Coronal": (0, 1, 0), "Acquired": (0, 0, 1)}[plane]
        assert np.allclose(np.abs(one[:3, 2]), expected)

    @pytest.mark.parametrize("before", ["Axial", "Sagittal", "Coronal"])
    @pytest.mark.parametrize("moved", [False, True])
    def test_the_acquired_plane_is_that_of_the_slices_whatever_was_shown_before(
        self, shown, a_source, choose, before, moved
    ):
        normal = _tilt(a_source, moved)
        choose(shown.ui.orientationComboBox, before)
        choose(shown.ui.orientationComboBox, "Acquired")
        for tag in (SOURCE, SYNTHETIC):
            shown_normal = slicer.util.arrayFromVTKMatrix(_slice_node(tag).GetSliceToRAS())[:3, 2]
            assert abs(shown_normal @ normal) == pytest.approx(1)

    def test_the_crosshair_is_shared(self, shown):
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        assert node.GetCrosshairMode() == slicer.vtkMRMLCrosshairNode.ShowBasic
        assert node.GetCrosshairBehavior() == slicer.vtkMRMLCrosshairNode.OffsetJumpSlice


class TestModes:
    def test_the_key_x_swaps_the_two_images(self, shown, press_key, slice_pixels, process_events):
        press_key(None, "X")
        assert _near(_off_centre(slice_pixels(SOURCE)), "synthetic")
        assert _near(_off_centre(slice_pixels(SYNTHETIC)), "source")
        press_key(None, "X")
        assert _near(_off_centre(slice_pixels(SOURCE)), "source")

    def test_fading_mixes_the_two_images(self, shown, choose, slice_pixels):
        choose(shown.ui.modeComboBox, "Fade")
        shown.ui.fadeSlider.value = 50
        middle = (GREY["source"] + GREY["synthetic"]) / 2
        assert _off_centre(slice_pixels(SYNTHETIC)) == pytest.approx(middle, abs=4)
        shown.ui.fadeSlider.value = 100
        assert _near(_off_centre(slice_pixels(SYNTHETIC)), "synthetic")

    def test_the_rocker_fades_by_itself_until_it_is_stopped(self, shown, click, wait_until):
        click(shown.ui.rockButton)
        start = shown.ui.fadeSlider.value
        wait_until(lambda: shown.ui.fadeSlider.value > start + 8, 5, "the rocker to move")
        wait_until(lambda: shown.ui.fadeSlider.value < start, 20, "the rocker to come back")
        click(shown.ui.rockButton)
        assert not shown._rocker.active

    def test_a_checkerboard_shows_both_images_and_is_marked(self, shown, choose, slice_pixels, a_scene, screenshot):
        from imagetranslation.panels.marking import mark_all_views

        choose(shown.ui.modeComboBox, "Checkerboard")
        levels = slice_pixels(SYNTHETIC)[..., 0]
        for name in ("source", "synthetic"):
            share = (np.abs(levels.astype(int) - GREY[name]) <= 3).mean()
            assert share > 0.1, f"{name} fills {share:.0%}"
        assert mark_all_views().marks.texts[SYNTHETIC] == TEXT
        screenshot("compare_checkerboard")

    def test_the_difference_has_its_colour_its_legend_and_its_number(self, all_three, choose, slice_pixels, screenshot):
        choose(all_three.ui.modeComboBox, "Difference from reference")
        node = all_three._derived[3]
        expected = 100 * (GREY["synthetic"] - GREY["reference"]) / 255
        assert slicer.util.arrayFromVolume(node)[10, 20, 24] == pytest.approx(expected, abs=0.5)
        displays = [node.GetNthDisplayNode(i).GetClassName() for i in range(node.GetNumberOfDisplayNodes())]
        assert "vtkMRMLColorLegendDisplayNode" in displays
        height, width, _ = slice_pixels(SYNTHETIC).shape
        red, _, blue = slice_pixels(SYNTHETIC)[height // 2 + 15, width // 2 + 15].astype(int)
        assert blue > red, "less than the reference is blue"
        assert is_synthetic(node)
        screenshot("compare_difference")

    def test_without_a_reference_the_difference_says_what_is_missing(self, shown, choose):
        choose(shown.ui.modeComboBox, "Difference from reference")
        assert "reference" in shown.ui.compareNotice.text

    def test_a_reference_of_another_modality_is_not_subtracted(self, all_three, a_synthetic, a_reference, choose):
        a_synthetic.SetAttribute("ImageTranslation.Modality", "MR")
        a_reference.SetAttribute("ImageTranslation.Modality", "CT")
        choose(all_three.ui.modeComboBox, "Difference from reference")
        assert "CT" in all_three.ui.compareNotice.text


class TestLeaving:
    def test_the_earlier_layout_and_crosshair_come_back_and_nothing_is_left(
        self, the_module, panel, a_source, a_synthetic, choose, click, process_events
    ):
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        crosshair.SetCrosshairMode(slicer.vtkMRMLCrosshairNode.NoCrosshair)
        before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
        panel.show(a_source, a_synthetic)
        choose(panel.ui.modeComboBox, "Checkerboard")
        assert _arrangement() != slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
        click(panel.ui.compareButton)
        assert _arrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
        assert crosshair.GetCrosshairMode() == slicer.vtkMRMLCrosshairNode.NoCrosshair
        assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == before

    def test_a_difference_leaves_no_display_behind(self, all_three, choose, click):
        choose(all_three.ui.modeComboBox, "Difference from reference")
        node = all_three._derived[3]
        ids = [node.GetID(), *(node.GetNthDisplayNodeID(i) for i in range(node.GetNumberOfDisplayNodes()))]
        click(all_three.ui.compareButton)
        assert len(ids) == 3
        assert [slicer.mrmlScene.GetNodeByID(node_id) for node_id in ids] == [None] * 3

    def test_another_module_gets_the_earlier_layout_and_coming_back_the_comparison(self, the_module, shown):
        slicer.util.selectModule("Welcome")
        assert _arrangement() < 1000
        slicer.util.selectModule("US2MRITranslate")
        assert shown.view.on
        assert _arrangement() > 1000

    def test_a_layout_chosen_meanwhile_is_respected(self, shown, click):
        slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
        click(shown.ui.compareButton)
        assert _arrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView

    def test_removing_an_image_ends_the_comparison(self, shown, a_synthetic, process_events):
        slicer.mrmlScene.RemoveNode(a_synthetic)
        process_events()
        assert not shown.ui.compareButton.checked
        assert not shown.view.on


def _amber(pixels):
    """Amber pixels in the upper left corner, left of the crosshair."""
    pixels = pixels[:40, : int(0.4 * pixels.shape[1])]
    red, green, blue = (pixels[..., channel].astype(int) for channel in range(3))
    return int(((red > 200) & (green > 120) & (green < 220) & (blue < 80)).sum())
