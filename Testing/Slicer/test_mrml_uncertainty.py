"""The uncertainty map in a MRML scene: it belongs to its image, has its colours, and says whether it was calibrated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer

from imagetranslation import appearance
from imagetranslation.errors import InputError
from imagetranslation.mrml.blends import difference_node
from imagetranslation.mrml.colours import redraw_legends, show_legend
from imagetranslation.mrml.display import set_window
from imagetranslation.mrml.provenance import provenance_of
from imagetranslation.mrml.uncertainty import COLOURS, attach, map_node_of, show_as_map
from imagetranslation.mrml.volumes import add_volume
from imagetranslation.provenance import Provenance
from imagetranslation.volume import Volume

RECORD = Provenance(
    model="m", version="1.0.0", weights_sha256="ab" * 32, task="us2mri", modality="MR", source="case17",
    source_sha256="cd" * 32, created="2026-01-01T00:00:00Z", software="imagetranslation",
)  # fmt: skip
QUANTITY = {"name": "standard deviation", "unit": "grey values", "calibrated": True, "patients": 18}


@pytest.fixture
def a_scene():
    return slicer.vtkMRMLScene()


def an_image(scene):
    return add_volume(scene, Volume(np.ones((3, 4, 5), np.float32), provenance=RECORD))


def a_map(scene, **changes):
    values = np.linspace(0, 18, 60, dtype=np.float32).reshape(3, 4, 5)
    return add_volume(scene, Volume(values, provenance=replace(RECORD, quantity=QUANTITY, **changes)))


def legends(scene):
    return [n for n in (scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())) if "Legend" in n.GetClassName()]


def saved_and_loaded(scene):
    scene.SetSaveToXMLString(True)
    scene.Commit()
    again = slicer.vtkMRMLScene()
    again.SetLoadFromXMLString(True)
    again.SetSceneXMLString(scene.GetSceneXMLString())
    again.Import()
    return again


def last_colour(deviation):
    colour = [0.0] * 4
    deviation.GetDisplayNode().GetColorNode().GetColor(255, colour)
    return np.round(255 * np.array(colour[:3])).tolist()


def test_a_map_keeps_to_its_image_also_in_a_saved_scene(a_scene, tmp_path):
    image, deviation = an_image(a_scene), a_map(a_scene)
    attach(image, deviation)
    assert map_node_of(image) is deviation
    again = saved_and_loaded(a_scene)
    loaded = again.GetFirstNodeByName(image.GetName())
    assert provenance_of(map_node_of(loaded)).quantity == QUANTITY
    a_scene.RemoveNode(deviation)
    assert map_node_of(image) is None


def test_a_map_is_shown_in_the_colours_of_the_legend_up_to_a_round_number(a_scene):
    image, deviation = an_image(a_scene), a_map(a_scene)
    show_as_map(deviation, image)
    display = deviation.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 20)
    assert display.GetLowerThreshold() == pytest.approx(appearance.UNCERTAINTY_FLOOR * 20)
    assert last_colour(deviation) == list(appearance.UNCERTAINTY_RGB[-1])
    show_as_map(deviation, image)
    assert [legend.GetTitleText() for legend in legends(a_scene)] == ["standard deviation, grey values"]


def test_a_map_of_a_loaded_scene_has_its_colour_table_and_its_colours(a_scene):
    image, deviation = an_image(a_scene), a_map(a_scene)
    attach(image, deviation)
    show_as_map(deviation, image)
    again = saved_and_loaded(a_scene)
    loaded = again.GetFirstNodeByName(image.GetName())
    found = map_node_of(loaded)
    assert found.GetDisplayNode().GetColorNode().GetName() == COLOURS
    for node, like in ((loaded, image), (found, deviation)):
        node.SetAndObserveImageData(like.GetImageData())
    show_as_map(found, loaded)
    assert (found.GetDisplayNode().GetWindowLevelMin(), found.GetDisplayNode().GetWindowLevelMax()) == (0, 20)
    # A scene file alone brings the table without its colours; another image's map gives them back.
    other = a_map(again)
    show_as_map(other, loaded)
    assert last_colour(found) == list(appearance.UNCERTAINTY_RGB[-1])


def test_the_window_a_person_gave_a_map_stays_when_it_is_shown_again(a_scene):
    image, deviation = an_image(a_scene), a_map(a_scene)
    show_as_map(deviation, image)
    set_window(deviation, 0, 7)
    show_as_map(deviation, image)
    assert deviation.GetDisplayNode().GetWindowLevelMax() == 7


def test_the_labels_of_the_legend_are_true_and_so_wide_that_its_title_stays_small(a_scene):
    image, deviation = an_image(a_scene), a_map(a_scene)
    show_as_map(deviation, image)
    (legend,) = legends(a_scene)
    assert [legend.GetLabelFormat() % value for value in (0, 7.5, 0.375)] == ["     0", "   7.5", " 0.375"]


def test_legends_are_looked_at_again_when_asked(a_scene):
    image, deviation = an_image(a_scene), a_map(a_scene)
    show_as_map(deviation, image)
    (legend,) = legends(a_scene)
    before = legend.GetMTime()
    redraw_legends(a_scene)
    assert legend.GetMTime() > before


def test_an_image_that_is_no_map_is_refused(a_scene):
    image = an_image(a_scene)
    with pytest.raises(InputError, match="not say that it is an uncertainty map"):
        show_as_map(an_image(a_scene), image)
    with pytest.raises(InputError, match="another scan"):
        show_as_map(a_map(a_scene, source_sha256="00" * 32), image)


def test_a_legend_is_made_once(a_scene):
    deviation = a_map(a_scene)
    show_legend(deviation, "words")
    show_legend(deviation, "others")
    assert [legend.GetTitleText() for legend in legends(a_scene)] == ["words"]


def test_a_map_loaded_from_a_file_of_its_own_finds_its_image_and_no_other(a_scene):
    image = an_image(a_scene)
    stranger = a_map(a_scene, created="2027-01-01T00:00:00Z")
    assert map_node_of(image) is None
    deviation = a_map(a_scene)
    assert map_node_of(image) is deviation
    assert image.GetNodeReference("ImageTranslation.Uncertainty") is deviation
    assert map_node_of(stranger) is None


def test_a_map_is_no_reference_to_subtract(a_scene):
    with pytest.raises(InputError, match="is an uncertainty map; choose the real image"):
        difference_node(an_image(a_scene), a_map(a_scene))
