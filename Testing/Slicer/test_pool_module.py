"""Pool to Delayed on planar images: translating, inverted grey, count ratios and profiles."""

from __future__ import annotations

import numpy as np
import pytest
from tinymodel import write_tiny_model

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from imagetranslation.mrml.provenance import mark, provenance_of  # noqa: E402
from imagetranslation.provenance import Provenance  # noqa: E402

MODEL = "pool2delayed-2d-pix2pix"
INVERTED = "vtkMRMLColorTableNodeInvertedGrey"
ANTERIOR, POSTERIOR = 0, 1


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    write_tiny_model(folder / "models", "pool2delayed")
    return folder


@pytest.fixture
def the_module(home, monkeypatch, a_scene, request):
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(home))
    return request.getfixturevalue("pool_module")


@pytest.fixture
def counts(the_module):
    """The Counts panel."""
    return the_module.widget.panel.counts


@pytest.fixture
def hands(a_scene):
    """Blood-pool image, anterior and posterior: 10 counts a pixel, 50 in one wrist (anterior), 20 (posterior)."""
    return _planar(a_scene, "hands", anterior=50, posterior=20)


@pytest.fixture
def delayed(a_scene):
    """A synthetic delayed image with twice the contrast."""
    node = _planar(a_scene, "delayed", anterior=100, posterior=40)
    mark(node, Provenance.from_dict({"model": "m", "version": "1.0.0", "modality": "NM"}))
    return node


@pytest.fixture
def a_lesion(a_scene):
    return _box(a_scene, "lesion", column=15)


@pytest.fixture
def both(the_module, counts, hands, delayed):
    """Both images chosen under Side by side."""
    compare = the_module.widget.panel.compare.ui
    compare.sourceSelector.setCurrentNode(hands)
    compare.syntheticSelector.setCurrentNode(delayed)
    return counts


def _planar(scene, name, anterior, posterior):
    array = np.full((2, 40, 60), 10, np.uint16)
    array[ANTERIOR, 18:23, 13:18] = anterior
    array[POSTERIOR, 18:23, 13:18] = posterior
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array)
    node.SetSpacing(2.4, 2.4, 10)
    node.SetAttribute("ImageTranslation.Modality", "NM")
    node.CreateDefaultDisplayNodes()
    return node


def _box(scene, name, column):
    """A box of 5 x 5 pixels through both views."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.SetCenter(2.4 * column, 2.4 * 20, 5)
    node.SetSize(2.4 * 5 - 0.1, 2.4 * 5 - 0.1, 40)
    return node


def _cells(table):
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]


def test_a_planar_image_is_translated_and_shown_with_large_counts_dark(
    the_module, hands, click, wait_until, process_events, slice_pixels, screenshot
):
    panel = the_module.widget.panel
    click(panel.translate.ui.translateButton)
    wait_until(lambda: not panel.translation.busy, 90, "the worker")
    (result,) = [n for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if provenance_of(n)]
    assert result.GetImageData().GetDimensions() == (60, 40, 2)
    assert provenance_of(result).modality == "NM"
    assert {n.GetDisplayNode().GetColorNodeID() for n in (hands, result)} == {INVERTED}
    process_events()
    pixels = slice_pixels("ImageTranslationSource")
    height, width, _ = pixels.shape
    image = pixels[height // 2 - 40 : height // 2 + 40, width // 2 - 40 : width // 2 + 40, 0]
    assert np.median(image) > 200, "where there are few counts the view is light"
    screenshot("pool_translated")


def test_an_acquired_delayed_image_beside_them_has_large_counts_dark_too(the_module, a_scene, hands, delayed, choose):
    acquired = _planar(a_scene, "acquired", anterior=90, posterior=30)
    panel = the_module.widget.panel.compare
    panel.show(hands, delayed)
    assert acquired.GetDisplayNode().GetColorNodeID() != INVERTED
    choose(panel.ui.referenceSelector, "acquired")
    assert acquired.GetDisplayNode().GetColorNodeID() == INVERTED


def test_the_lesions_ratio_is_shown_for_both_images(both, a_lesion, choose, click, screenshot):
    choose(both.ui.lesionSelector, "lesion")
    click(both.ui.measureButton)
    rows = _cells(both.ui.ratioTable)
    assert [row[0] for row in rows] == ["Blood pool", "Synthetic delayed"]
    assert rows[0][1:3] == ["50.0", "10.0"]
    error = 5 * np.sqrt(1 / (25 * 50) + 1 / (25 * 10))
    assert rows[0][3] == f"5.00 ± {error:.2f}"
    assert rows[1][3] == "10.00", "a synthetic image has no counting statistics"
    assert "mirror image" in both.ui.countsNotice.text
    assert "scale" in both.ui.countsNotice.text
    screenshot("pool_counts")


def test_each_view_of_the_acquisition_is_measured_by_itself(both, a_lesion, choose, click):
    choose(both.ui.lesionSelector, "lesion")
    click(both.ui.measureButton)
    choose(both.ui.viewComboBox, "View 2")
    click(both.ui.measureButton)
    assert both.ratios["Blood pool"].value == pytest.approx(2)


def test_another_region_can_be_compared_with(both, a_lesion, a_scene, choose, click):
    _box(a_scene, "background", column=40)
    choose(both.ui.lesionSelector, "lesion")
    choose(both.ui.otherSelector, "background")
    click(both.ui.measureButton)
    assert both.ratios["Blood pool"].value == pytest.approx(5)
    assert "background" in both.ui.countsNotice.text


def test_overlapping_regions_are_a_sentence_and_no_number(both, a_lesion, a_scene, choose, click):
    _box(a_scene, "background", column=17)
    choose(both.ui.lesionSelector, "lesion")
    choose(both.ui.otherSelector, "background")
    click(both.ui.measureButton)
    assert "overlap" in both.ui.countsNotice.text
    assert both.ui.ratioTable.rowCount == 0


def test_a_profile_across_the_lesion_is_drawn_for_both_images(both, a_scene, choose, click, screenshot):
    line = a_scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "across")
    line.AddControlPoint(2.4 * 5, 2.4 * 20, 0)
    line.AddControlPoint(2.4 * 45, 2.4 * 20, 0)
    choose(both.ui.lineSelector, "across")
    click(both.ui.measureButton)
    distance, values = both.profiles["Blood pool"]
    assert distance[-1] == pytest.approx(96)
    assert np.nanmax(values) == pytest.approx(50)
    assert values[0] == pytest.approx(10)
    assert np.nanmax(both.profiles["Synthetic delayed"][1]) == pytest.approx(100)
    assert both.ui.profileLabel.visible
    screenshot("pool_profile")


def test_measuring_without_images_or_regions_says_what_to_choose(the_module, counts, click, hands, delayed):
    click(counts.ui.measureButton)
    assert "Side by side" in counts.ui.countsNotice.text
    the_module.widget.panel.compare.ui.sourceSelector.setCurrentNode(hands)
    click(counts.ui.measureButton)
    assert "lesion region or a line" in counts.ui.countsNotice.text


def test_the_modules_own_test_passes(the_module):
    slicer.selfTests["PoolToDelayed"]()
    models = {provenance_of(node).model for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
              if provenance_of(node)}  # fmt: skip
    assert MODEL in models, "the scan was translated"


def test_the_shipped_model_is_there_without_a_download(tmp_path, monkeypatch, a_scene, request):
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path))
    module = request.getfixturevalue("pool_module")
    _planar(a_scene, "hands", anterior=50, posterior=20)
    panel = module.widget.panel.translate.ui
    assert "SIMULATED" in panel.modelComboBox.currentText
    assert panel.modelComboBox.count == 1
    assert panel.translateButton.enabled


class TestWithoutAModel:
    @pytest.fixture
    def without(self, monkeypatch, tmp_path, a_scene, request):
        """The module of an extension that was built without models, at a person who has none either."""
        from imagetranslation import resources

        (tmp_path / "Resources").mkdir()
        monkeypatch.setattr(resources, "resource_folders", lambda: [tmp_path / "Resources"])
        monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path / "home"))
        return request.getfixturevalue("pool_module")

    def test_the_panel_names_the_model_and_how_to_get_it(self, without, hands):
        panel = without.widget.panel.translate.ui
        assert not panel.translateButton.enabled
        assert panel.modelComboBox.currentText == "No model is installed"
        for word in (MODEL, "Installation"):
            assert word in panel.resultLabel.text

    def test_the_logic_refuses_with_the_same_sentence(self, without, hands):
        from imagetranslation.errors import ModelRefused

        with pytest.raises(ModelRefused, match=rf"{MODEL} is not installed.*Installation"):
            without.logic.translate(hands)

    def test_the_modules_own_test_tests_the_refusal_and_the_rest(self, without):
        slicer.selfTests["PoolToDelayed"]()
        records = [provenance_of(node) for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")]
        assert {record.model for record in records if record} == {"self-test"}, "views were looked at"

    def test_the_modules_own_test_fails_where_the_sentence_does_not_name_the_model(self, without, monkeypatch):
        from imagetranslation.panels import modelchoices

        monkeypatch.setattr(modelchoices, "absence", lambda model: "No.")
        with pytest.raises(AssertionError, match="does not name"):
            slicer.selfTests["PoolToDelayed"]()


def test_the_other_module_has_no_counts_panel(us2mri_module):
    assert us2mri_module.child("translateButton") is not None
    assert not slicer.util.findChildren(us2mri_module.panel, name="measureButton")
