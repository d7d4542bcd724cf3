"""The corner text follows what a view shows, and windows are what was asked for; no rendering is needed."""

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
vtk = pytest.importorskip("vtk", reason="slicer-core is not installed")

from imagetranslation.mrml.corner import AMBER, CornerText, shown_nodes  # noqa: E402
from imagetranslation.mrml.display import drag_changes_window, link, set_window, window_of  # noqa: E402
from imagetranslation.mrml.provenance import mark  # noqa: E402
from imagetranslation.mrml.volumes import add_volume  # noqa: E402
from imagetranslation.provenance import Provenance  # noqa: E402
from imagetranslation.volume import Volume  # noqa: E402

RECORD = Provenance.from_dict({"model": "us2mri-pix2pix-small", "version": "1.0.0", "modality": "MR", "source": "a"})
TEXT = "SYNTHETIC, not for diagnosis: us2mri-pix2pix-small, 1.0.0"


@pytest.fixture
def a_scene():
    return slicer.vtkMRMLScene()


@pytest.fixture
def a_view(a_scene):
    return a_scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode", "Red")


@pytest.fixture
def a_real_node(a_scene):
    return add_volume(a_scene, Volume(np.zeros((2, 2, 2))), display=False)


@pytest.fixture
def a_synthetic_node(a_scene):
    return add_volume(a_scene, Volume(np.zeros((2, 2, 2)), provenance=RECORD), display=False)


@pytest.fixture
def renders():
    return []


@pytest.fixture
def a_corner(a_view, renders):
    return CornerText(vtk.vtkRenderer(), a_view, request_render=lambda: renders.append(1))


def test_an_empty_or_real_view_has_no_text(a_corner, a_view, a_real_node):
    assert a_corner.text == ""
    a_view.SetBackgroundVolumeID(a_real_node.GetID())
    assert a_corner.text == ""


@pytest.mark.parametrize("layer", ["Background", "Foreground", "Label"])
def test_a_synthetic_image_in_any_layer_brings_the_text(a_corner, a_view, a_synthetic_node, renders, layer):
    getattr(a_view, f"Set{layer}VolumeID")(a_synthetic_node.GetID())
    getattr(a_view, f"Set{layer}Opacity", lambda _: None)(0.01)
    assert a_corner.text == TEXT
    assert a_corner.actor.GetTextProperty().GetColor() == AMBER
    assert renders


def test_the_text_goes_when_the_synthetic_image_goes(a_corner, a_view, a_synthetic_node, a_real_node):
    a_view.SetBackgroundVolumeID(a_synthetic_node.GetID())
    a_view.SetBackgroundVolumeID(a_real_node.GetID())
    assert a_corner.text == ""


def test_a_foreground_of_opacity_zero_shows_nothing(a_corner, a_view, a_synthetic_node, a_real_node):
    a_view.SetBackgroundVolumeID(a_real_node.GetID())
    a_view.SetForegroundVolumeID(a_synthetic_node.GetID())
    a_view.SetForegroundOpacity(0.0)
    assert shown_nodes(a_view) == [a_real_node]
    assert a_corner.text == ""
    a_view.SetForegroundOpacity(0.4)
    assert a_corner.text == TEXT


def test_renaming_keeps_the_text_and_marking_a_shown_node_brings_it(a_corner, a_view, a_synthetic_node, a_real_node):
    a_view.SetBackgroundVolumeID(a_synthetic_node.GetID())
    a_synthetic_node.SetName("T2")
    assert a_corner.text == TEXT
    a_view.SetBackgroundVolumeID(a_real_node.GetID())
    mark(a_real_node, RECORD)
    assert a_corner.text == TEXT


def test_removing_the_shown_node_removes_the_text(a_corner, a_scene, a_view, a_synthetic_node):
    a_view.SetBackgroundVolumeID(a_synthetic_node.GetID())
    a_scene.RemoveNode(a_synthetic_node)
    a_corner.update()
    assert a_corner.text == ""


def test_a_detached_corner_is_gone_and_no_longer_follows(a_view, a_synthetic_node):
    renderer = vtk.vtkRenderer()
    corner = CornerText(renderer, a_view)
    corner.detach()
    a_view.SetBackgroundVolumeID(a_synthetic_node.GetID())
    assert renderer.GetViewProps().GetNumberOfItems() == 0
    assert corner.text == ""


def test_other_words_can_be_given(a_view, a_real_node):
    a_view.SetBackgroundVolumeID(a_real_node.GetID())
    corner = CornerText(vtk.vtkRenderer(), a_view, text_of=lambda nodes: f"{len(nodes)} image")
    assert corner.text == "1 image"
    assert corner.actor.GetTextProperty().GetColor() != AMBER


@pytest.mark.parametrize(
    ("width", "drawn"), [(800, TEXT), (220, TEXT.replace(": ", ":\n")), (40, TEXT.replace(" ", "\n"))]
)
def test_a_narrow_view_breaks_the_text_before_the_model_and_the_narrowest_at_every_word(
    a_view, a_synthetic_node, width, drawn
):
    a_view.SetBackgroundVolumeID(a_synthetic_node.GetID())
    window, renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
    window.SetOffScreenRendering(True)
    window.SetSize(width, 400)
    window.AddRenderer(renderer)
    corner = CornerText(renderer, a_view)
    renderer.InvokeEvent(vtk.vtkCommand.StartEvent)
    assert corner.actor.GetInput() == drawn
    assert corner.text == TEXT


def test_a_window_is_set_and_read(a_real_node):
    assert window_of(a_real_node) is None
    set_window(a_real_node, 10, 30)
    assert window_of(a_real_node) == (10, 30)
    assert a_real_node.GetDisplayNode().GetWindow() == 20
    with pytest.raises(ValueError, match="must lie above"):
        set_window(a_real_node, 5, 5)


def test_linked_views_are_linked_while_the_mouse_moves(a_view):
    link([a_view])
    assert a_view.GetLinkedControl()
    assert a_view.GetHotLinkedControl()


def test_dragging_changes_the_window(a_scene):
    drag_changes_window(a_scene)
    drag_changes_window(a_scene)
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLInteractionNode") == 1
    mode = a_scene.GetFirstNodeByClass("vtkMRMLInteractionNode").GetCurrentInteractionMode()
    assert mode == slicer.vtkMRMLInteractionNode.AdjustWindowLevel
