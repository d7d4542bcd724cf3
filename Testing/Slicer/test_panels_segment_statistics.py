"""Our features in Slicer's Segment Statistics: registered at start-up, computed only where asked for, marked."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from ownprocesses import running

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
pytest.importorskip("radiomics", reason="PyRadiomics is not installed")

from imagetranslation.errors import InputError  # noqa: E402
from imagetranslation.mrml.provenance import mark  # noqa: E402
from imagetranslation.mrml.regions import new_region  # noqa: E402
from imagetranslation.mrml.volumes import add_volume, volume_from_node  # noqa: E402
from imagetranslation.provenance import Provenance  # noqa: E402
from imagetranslation.radiomics.extraction import extract_one  # noqa: E402
from imagetranslation.radiomics.roi import from_labelmap  # noqa: E402
from imagetranslation.radiomics.settings import Settings  # noqa: E402
from imagetranslation.volume import Volume  # noqa: E402

RECORD = Provenance.from_dict({"model": "some-model", "version": "2.0.0", "modality": "MR", "source": "scan"})
ENTROPY, MEAN, VARIANCE = "glcm_JointEntropy", "firstorder_Mean", "glszm_GrayLevelVariance"


@pytest.fixture
def statistics(us2mri_module, pool_module):
    """Segment Statistics, after a start of the application with both modules."""
    from SegmentStatistics import SegmentStatisticsLogic

    from imagetranslation.panels.segmentstatistics import register

    SegmentStatisticsLogic.registeredPlugins.clear()
    assert register()
    assert not register(), "the second module registers it again"
    yield SegmentStatisticsLogic()
    SegmentStatisticsLogic.registeredPlugins.clear()


@pytest.fixture
def volume(a_scene):
    """Noise."""
    voxels = np.random.default_rng(2).normal(100, 20, (10, 20, 24)).astype(np.float32)
    return add_volume(a_scene, Volume(voxels, (0.5, 0.6, 2.0), name="noise"))


@pytest.fixture
def segmentation(volume):
    """Two boxes; of the second, only nine voxels."""
    node = new_region(volume)
    node.GetSegmentation().AddEmptySegment("small", "small")
    boxes = np.zeros((2, 10, 20, 24), np.uint8)
    boxes[0, 2:8, 4:15, 5:17] = 1
    boxes[1, 1:2, 0:3, 0:3] = 1
    for number, box in enumerate(boxes):
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            box, node, node.GetSegmentation().GetNthSegmentID(number), volume
        )
    return node


@pytest.fixture
def compute(statistics, volume, segmentation):
    """`compute(*keys)`: tick these and apply; the values by (segment number, key)."""

    def compute(*keys):
        node, (plugin,) = statistics.getParameterNode(), statistics.plugins
        node.SetParameter("Segmentation", segmentation.GetID())
        node.SetParameter("ScalarVolume", volume.GetID())
        for key in keys:
            node.SetParameter(plugin.toLongKey(key) + ".enabled", "True")
        statistics.computeStatistics()
        found = statistics.getStatistics()
        return {(number, key): found[segment, plugin.toLongKey(key)]
                for number, segment in enumerate(found["SegmentIDs"]) for key in keys}  # fmt: skip

    return compute


def test_it_is_offered_by_its_name_and_nothing_of_it_is_ticked(statistics, compute):
    (plugin,) = statistics.plugins
    assert plugin.name == "Radiomics (image translation)"
    assert len(plugin.keys) == 107
    assert compute() == {}
    assert statistics.getStatistics()["MeasurementInfo"] == {}


def test_what_was_ticked_has_the_value_that_extraction_gives(compute, volume, segmentation, caplog):
    with caplog.at_level(logging.WARNING):
        found = compute(ENTROPY, MEAN, VARIANCE)
    name = segmentation.GetSegmentation().GetNthSegmentID(0)
    box = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, name, volume)
    from imagetranslation.radiomics.pyradiomics_engine import PyRadiomicsEngine

    image = volume_from_node(volume)
    (roi,) = from_labelmap(image.with_array(box))
    values = extract_one(image, roi, Settings(), PyRadiomicsEngine()).values
    for key in (ENTROPY, MEAN, VARIANCE):
        assert found[0, key] == pytest.approx(values[f"original_{key}"], rel=1e-9)
        assert math.isnan(found[1, key])
    assert "small has 9 voxels; at least 64 are needed" in caplog.text
    assert running("radiomicsjob") == []


def test_every_key_is_pyradiomics_own_and_says_what_it_is(statistics, compute):
    (plugin,) = statistics.plugins
    found = compute(*plugin.keys)
    assert not any(math.isnan(found[0, key]) for key in plugin.keys)
    assert plugin.getMeasurementInfo("nothing") is None


def test_features_of_a_synthetic_volume_say_so(statistics, compute, volume):
    mark(volume, RECORD)
    compute(MEAN)
    info = statistics.getStatistics()["MeasurementInfo"][statistics.plugins[0].toLongKey(MEAN)]
    assert "SYNTHETIC: some-model 2.0.0" in info["description"]
    assert "IBSI Q4LE" in info["description"]


def test_without_pyradiomics_the_sentence_says_what_to_install(compute, monkeypatch):
    from imagetranslation.panels import radiomicsengines

    monkeypatch.setattr(radiomicsengines, "_folder_of", lambda module: "")
    with pytest.raises(InputError, match="install the extension Radiomics"):
        compute(MEAN)
