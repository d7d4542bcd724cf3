"""Typed parameters in a parameter node: values, widgets, and what survives a saved scene."""

import enum
import pathlib
from typing import Annotated

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")


@pytest.fixture
def a_volume(a_scene):
    """A volume with voxel value k in slice k."""
    array = np.broadcast_to(np.arange(4, dtype=np.int16)[:, None, None], (4, 5, 6))
    return slicer.util.addVolumeFromArray(np.ascontiguousarray(array), name="stack")


class Mode(enum.Enum):
    FADE = "fade"
    CHECKERBOARD = "checkerboard"


class TestParameterNode:
    @pytest.fixture
    def parameters(self, a_scene):
        from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

        @parameterNodeWrapper
        class Parameters:
            inputVolume: slicer.vtkMRMLScalarVolumeNode
            opacity: Annotated[float, WithinRange(0, 1)] = 0.5
            device: Annotated[str, Choice(["auto", "cpu"])] = "auto"
            inverted: bool = False
            mode: Mode = Mode.FADE
            folder: pathlib.Path
            names: list[str]

        return Parameters

    @pytest.fixture
    def a_node(self, a_scene):
        return a_scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")

    def test_fields_start_with_their_defaults(self, parameters, a_node):
        typed = parameters(a_node)
        assert (typed.inputVolume, typed.opacity, typed.device) == (None, 0.5, "auto")
        assert (typed.inverted, typed.mode, list(typed.names)) == (False, Mode.FADE, [])

    def test_values_live_in_the_node(self, parameters, a_node, a_volume):
        typed = parameters(a_node)
        typed.inputVolume, typed.opacity, typed.mode = a_volume, 0.25, Mode.CHECKERBOARD
        typed.folder, typed.inverted = pathlib.Path("/data"), True
        typed.names = ["a"]
        typed.names.append("b")
        again = parameters(a_node)
        assert (again.inputVolume, again.opacity, again.mode) == (a_volume, 0.25, Mode.CHECKERBOARD)
        assert (again.folder, again.inverted, list(again.names)) == (pathlib.Path("/data"), True, ["a", "b"])

    def test_invalid_values_are_refused(self, parameters, a_node):
        typed = parameters(a_node)
        with pytest.raises(ValueError, match="range"):
            typed.opacity = 2.0
        with pytest.raises(ValueError, match="one of"):
            typed.device = "tpu"
        with pytest.raises(TypeError):
            typed.inputVolume = "not a node"

    def test_widgets_and_node_follow_each_other(self, parameters, a_node, a_scene):
        import ctk
        import qt

        panel = slicer.qMRMLWidget()
        layout = qt.QVBoxLayout(panel)
        made = {
            "inputVolume": slicer.qMRMLNodeComboBox(),
            "opacity": ctk.ctkSliderWidget(),
            "device": qt.QComboBox(),
            "inverted": qt.QCheckBox(),
        }
        for name, widget in made.items():
            widget.setProperty("SlicerParameterName", name)
            layout.addWidget(widget)
        made["inputVolume"].noneEnabled = True
        made["inputVolume"].setMRMLScene(a_scene)
        typed = parameters(a_node)
        tag = typed.connectGui(panel)
        assert (made["opacity"].value, made["opacity"].maximum, made["device"].count) == (0.5, 1.0, 2)
        made["device"].currentIndex = 1
        made["inverted"].checked = True
        volume = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        made["inputVolume"].setCurrentNode(volume)
        assert (typed.device, typed.inverted, typed.inputVolume) == ("cpu", True, volume)
        typed.opacity = 0.75
        assert made["opacity"].value == 0.75
        typed.disconnectGui(tag)
        typed.opacity = 0.1
        assert made["opacity"].value == 0.75

    def test_an_unbounded_slider_and_a_free_combo_box_are_refused(self, a_slicer_app):
        import ctk
        import qt
        from slicer.parameterNodeWrapper import createGuiConnector

        with pytest.raises(RuntimeError, match="unbounded"):
            createGuiConnector(ctk.ctkSliderWidget(), float)
        with pytest.raises(RuntimeError, match="Choice"):
            createGuiConnector(qt.QComboBox(), str)
        with pytest.raises(RuntimeError, match="Unable to create"):
            createGuiConnector(qt.QLabel(), int)

    @pytest.mark.parametrize("suffix", [".mrml", ".mrb"])
    def test_parameters_survive_saving_and_loading_the_scene(self, parameters, a_scene, a_volume, tmp_path, suffix):
        from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

        class ProbeLogic(ScriptedLoadableModuleLogic):
            pass

        typed = parameters(ProbeLogic().getParameterNode())
        typed.inputVolume, typed.opacity = a_volume, 0.25
        path = tmp_path / f"scene{suffix}"
        if suffix == ".mrml":
            assert slicer.util.saveNode(a_volume, str(tmp_path / "stack.nrrd"))
        assert slicer.util.saveScene(str(path))
        a_scene.Clear(False)
        slicer.util.loadScene(str(path))
        again = parameters(ProbeLogic().getParameterNode())
        assert again.opacity == 0.25
        assert slicer.util.arrayFromVolume(again.inputVolume)[3].max() == 3
