"""The harness's application: views drawn from the real pipeline, layouts, module life, the outside."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

SIDE_BY_SIDE = """
<layout type="horizontal">
  <item><view class="vtkMRMLSliceNode" singletontag="Source">
    <property name="orientation" action="default">Axial</property>
    <property name="viewlabel" action="default">S</property>
    <property name="viewcolor" action="default">#6EB04B</property>
    <property name="viewgroup" action="default">7</property></view></item>
  <item><view class="vtkMRMLSliceNode" singletontag="Synthetic">
    <property name="orientation" action="default">Axial</property>
    <property name="viewlabel" action="default">M</property>
    <property name="viewcolor" action="default">#F34A33</property>
    <property name="viewgroup" action="default">7</property></view></item>
</layout>"""
SIDE_BY_SIDE_ID = 7301


@pytest.fixture
def a_ramp(a_scene):
    """A volume whose slices grow brighter with k, shown from 0 to 200."""
    import slicer

    array = np.broadcast_to(np.arange(20, dtype=np.float32)[:, None, None] * 10, (20, 40, 40))
    volume = slicer.util.addVolumeFromArray(np.ascontiguousarray(array), name="ramp")
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevelMinMax(0, 200)
    return volume


@pytest.fixture
def the_side_by_side_layout(a_slicer_app):
    """A registered layout of two slice views, shown; the four-up layout comes back afterwards."""
    import slicer

    manager = a_slicer_app.layoutManager()
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(SIDE_BY_SIDE_ID):
        node.AddLayoutDescription(SIDE_BY_SIDE_ID, SIDE_BY_SIDE)
    manager.setLayout(SIDE_BY_SIDE_ID)
    yield manager
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


def centre(pixels):
    rows, columns, _ = pixels.shape
    return pixels[rows // 2 - 5 : rows // 2 + 5, columns // 2 - 5 : columns // 2 + 5].mean()


class TestViews:
    def test_a_slice_view_shows_the_volume(self, a_ramp, slice_pixels):
        import slicer

        slicer.util.setSliceViewerLayers(background=a_ramp, fit=True)
        logic = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
        for offset in (5, 15):
            logic.SetSliceOffset(offset)
            assert centre(slice_pixels("Red")) == pytest.approx(offset * 10 * 255 / 200, abs=4)

    def test_window_and_level_change_the_picture(self, a_ramp, slice_pixels):
        import slicer

        slicer.util.setSliceViewerLayers(background=a_ramp, fit=True)
        slicer.app.layoutManager().sliceWidget("Red").sliceLogic().SetSliceOffset(10)
        before = centre(slice_pixels("Red"))
        a_ramp.GetDisplayNode().SetWindowLevelMinMax(0, 100)
        assert centre(slice_pixels("Red")) > before + 100

    def test_the_corner_text_is_drawn(self, a_scene, slice_pixels):
        import slicer

        view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
        without = slice_pixels("Red")
        view.cornerAnnotation().SetText(view.cornerAnnotation().UpperLeft, "SYNTHETIC")
        drawn = slice_pixels("Red")
        view.cornerAnnotation().ClearAllTexts()
        top_left = (slice(0, drawn.shape[0] // 4), slice(0, drawn.shape[1] // 2))
        assert (drawn[top_left].max(), without[top_left].max()) == (255, 0)

    def test_the_application_overwrites_the_corners_of_slice_views(self, a_ramp):
        import slicer

        widget = slicer.app.layoutManager().sliceWidget("Red")
        annotation = widget.sliceView().cornerAnnotation()
        annotation.SetText(annotation.UpperLeft, "SYNTHETIC")
        slicer.util.setSliceViewerLayers(background=a_ramp, fit=True)
        widget.sliceLogic().SetSliceOffset(4)
        assert not annotation.GetText(annotation.UpperLeft)
        assert "ramp" in annotation.GetText(annotation.LowerLeft)

    def test_the_offset_slider_moves_the_slice(self, a_ramp, process_events):
        import slicer

        slicer.util.setSliceViewerLayers(background=a_ramp, fit=True)
        widget = slicer.app.layoutManager().sliceWidget("Red")
        process_events()
        widget.sliceController().sliceOffsetSlider().value = 12
        process_events()
        assert widget.sliceLogic().GetSliceOffset() == pytest.approx(12)
        widget.sliceLogic().SetSliceOffset(3)
        process_events()
        assert widget.sliceController().sliceOffsetSlider().value == pytest.approx(3)

    def test_a_window_picture_holds_the_slice(self, a_ramp, the_application, tmp_path, context, process_events):
        import slicer

        slicer.util.setSliceViewerLayers(background=a_ramp, fit=True)
        slicer.app.layoutManager().sliceWidget("Red").sliceLogic().SetSliceOffset(19)
        context.pixels("Red")
        picture = slicer.app.layoutManager().sliceWidget("Red").grab()
        image = picture.toImage()
        assert image.pixelColor(image.width() // 2, image.height() // 2).red() > 200

    def test_the_threed_view_has_a_corner_too(self, a_scene):
        import slicer

        widget = slicer.app.layoutManager().threeDWidget(0)
        assert widget.threeDView().cornerAnnotation().IsA("vtkCornerAnnotation")
        assert widget.mrmlViewNode().IsA("vtkMRMLViewNode")


class TestLayouts:
    def test_a_registered_layout_makes_its_views(self, the_side_by_side_layout):
        assert {"Source", "Synthetic"} <= set(the_side_by_side_layout.sliceViewNames())
        assert not the_side_by_side_layout.sliceWidget("Red").visible
        assert not the_side_by_side_layout.threeDWidget(0).visible
        node = the_side_by_side_layout.sliceWidget("Source").mrmlSliceNode()
        assert (node.GetSingletonTag(), node.GetViewGroup(), node.GetLayoutLabel()) == ("Source", 7, "S")
        assert the_side_by_side_layout.sliceWidget("Synthetic").visible

    def test_both_views_are_drawn(self, the_side_by_side_layout, a_ramp, slice_pixels, process_events):
        import slicer

        process_events()
        slicer.util.setSliceViewerLayers(background=a_ramp, fit=True)
        for name in ("Source", "Synthetic"):
            the_side_by_side_layout.sliceWidget(name).sliceLogic().SetSliceOffset(15)
            assert centre(slice_pixels(name)) > 150

    def test_linked_views_follow_the_slider(self, the_side_by_side_layout, a_ramp, process_events):
        import slicer

        slicer.util.setSliceViewerLayers(background=a_ramp, fit=True)
        source = the_side_by_side_layout.sliceWidget("Source")
        synthetic = the_side_by_side_layout.sliceWidget("Synthetic")
        source.sliceController().setSliceLink(True)
        process_events()
        source.sliceController().sliceOffsetSlider().value = 7
        process_events()
        assert synthetic.sliceLogic().GetSliceOffset() == pytest.approx(7)
        source.sliceController().setSliceLink(False)
        source.sliceController().sliceOffsetSlider().value = 11
        process_events()
        assert synthetic.sliceLogic().GetSliceOffset() == pytest.approx(7)

    def test_renaming_a_shown_volume_puts_it_into_every_linked_view(self, the_side_by_side_layout, a_ramp, a_scene):
        import slicer

        other = slicer.util.addVolumeFromArray(np.zeros((4, 4, 4), np.uint8), name="other")
        shown = {"Source": a_ramp, "Synthetic": other}
        composites = {name: the_side_by_side_layout.sliceWidget(name).mrmlSliceCompositeNode() for name in shown}
        for name, volume in shown.items():
            composites[name].SetLinkedControl(True)
            composites[name].SetBackgroundVolumeID(volume.GetID())
        other.SetName("renamed")
        assert {c.GetBackgroundVolumeID() for c in composites.values()} == {other.GetID()}

    def test_a_view_whose_volume_is_removed_shows_another(self, a_ramp, a_scene, process_events):
        import slicer

        other = slicer.util.addVolumeFromArray(np.zeros((4, 4, 4), np.uint8), name="other")
        slicer.util.setSliceViewerLayers(background=a_ramp)
        process_events()
        a_scene.RemoveNode(a_ramp)
        process_events()
        composite = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
        assert composite.GetBackgroundVolumeID() == other.GetID()

    def test_the_earlier_layout_comes_back(self, the_side_by_side_layout):
        import slicer

        heard = []
        the_side_by_side_layout.connect("layoutChanged(int)", heard.append)
        the_side_by_side_layout.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
        assert the_side_by_side_layout.sliceWidget("Red").visible
        assert not the_side_by_side_layout.sliceWidget("Source").visible
        assert heard == [slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView]

    def test_an_undescribed_layout_is_an_error(self, a_slicer_app):
        with pytest.raises(ValueError, match="9999"):
            a_slicer_app.layoutManager().setLayout(9999)


MODULE = """
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

heard = []

class Probe(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Probe")
        self.parent.categories = ["Image Synthesis"]

class ProbeWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = ProbeLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onClosed)
        heard.append("setup")

    def onClosed(self, caller, event):
        heard.append("closed")

    def enter(self):
        heard.append("enter")

    def exit(self):
        heard.append("exit")

    def cleanup(self):
        self.removeObservers()
        heard.append("cleanup")

class ProbeLogic(ScriptedLoadableModuleLogic):
    pass

class ProbeTest(ScriptedLoadableModuleTest):
    def test_it(self):
        heard.append("test")
"""


class TestModuleLife:
    @pytest.fixture
    def a_probe(self, load_module, tmp_path):
        path = tmp_path / "Probe.py"
        path.write_text(textwrap.dedent(MODULE))
        return load_module(path)

    @pytest.fixture
    def heard(self, a_probe):
        import sys

        return sys.modules["Probe"].heard

    def test_a_module_is_set_up_and_entered(self, a_probe, heard):
        import slicer

        assert heard == ["setup", "enter"]
        assert (a_probe.module.title, a_probe.module.name) == ("Probe", "Probe")
        assert slicer.modules.probe.path.endswith("Probe.py")
        assert slicer.modules.ProbeWidget is a_probe.widget
        assert slicer.util.selectedModule() == "Probe"

    def test_it_hears_of_leaving_closing_and_unloading(self, a_probe, heard, the_application, a_scene):
        import slicer

        a_scene.Clear(False)
        slicer.util.selectModule("Welcome")
        the_application.modules.unload("Probe")
        a_scene.Clear(False)
        assert heard == ["setup", "enter", "closed", "exit", "cleanup"]
        assert not hasattr(slicer.modules, "probe")

    def test_it_is_entered_again_after_another_module_but_not_after_none(self, a_probe, heard):
        import slicer

        slicer.util.selectModule("Welcome")
        slicer.util.selectModule("Probe")
        slicer.util.selectModule("")
        slicer.util.selectModule("Probe")
        assert heard == ["setup", "enter", "exit", "enter", "exit"]

    def test_its_self_test_runs(self, a_probe, heard):
        import slicer

        slicer.selfTests["Probe"]()
        assert heard[-1] == "test"

    def test_its_parameter_node_is_found_again(self, a_probe):
        node = a_probe.logic.getParameterNode()
        assert node is a_probe.logic.getParameterNode()
        assert (node.GetSingletonTag(), node.GetAttribute("ModuleName")) == ("Probe", "Probe")


class TestOutside:
    def test_installation_is_recorded_and_not_done(self, a_slicer_app):
        import slicer.packaging

        assert slicer.packaging.pip_check("numpy>=1.20")
        assert not slicer.packaging.pip_check("no-such-package-for-sure")
        slicer.packaging.pip_ensure(["numpy>=1.20", "no-such-package-for-sure"], requester="Test")
        slicer.util.pip_install("another")
        wanted = [r["requirements"] for r in slicer.packaging.requests]
        assert wanted == [["no-such-package-for-sure"], "another"]

    def test_a_refusal_is_an_error_as_in_slicer(self, a_slicer_app):
        import slicer.packaging

        slicer.packaging.refuse = True
        with pytest.raises(RuntimeError):
            slicer.packaging.pip_ensure("no-such-package-for-sure")
        assert slicer.packaging.requests == []

    def test_sample_data_are_registered(self, a_slicer_app):
        import SampleData
        import slicer

        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category="Image Translation", sampleName="ProstateUS", uris="https://x/y.nrrd", checksums="SHA256:00"
        )
        assert slicer.modules.sampleDataSources["Image Translation"][0].sampleName == "ProstateUS"
        with pytest.raises(TypeError):
            SampleData.SampleDataLogic.registerCustomSampleDataSource(category="x", checksum="SHA256:00")

    def test_the_main_thread_is_watched(self, main_thread, process_events, wait_until):
        import time

        with main_thread.watched() as gaps:
            wait_until(lambda: len(gaps) > 3)
            time.sleep(0.2)
            process_events()
        assert max(gaps) > 0.15
