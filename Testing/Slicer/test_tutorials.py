"""Two tutorials of Resources/Tutorials, walked as they are written; their pictures are taken here.

With IMAGETRANSLATION_SCREENSHOTS set to a folder, the pictures named in the tutorials are written there.
"""

from __future__ import annotations

import csv
import re
import time

import pytest
from tinymodel import write_tiny_model

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from imagetranslation.mrml.provenance import provenance_of  # noqa: E402
from training_tools.phantoms.bonescan_writing import Order, write_cases  # noqa: E402

LONGEST_WORKER_S = 120
SAMPLE = "prostate_trus_case17"


@pytest.fixture
def a_new_home(tmp_path, monkeypatch, a_scene):
    """A person's data folder with nothing in it."""
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def us2mri(a_new_home, request):
    """US to MRI Translate as installed: with the shipped model."""
    return request.getfixturevalue("us2mri_module")


@pytest.fixture
def pool(a_new_home, request):
    """Pool to Delayed as installed: with the shipped model."""
    return request.getfixturevalue("pool_module")


@pytest.fixture
def the_sample(a_scene, prostate_pairs):
    """The volume that Sample Data loads, under the name it gives it."""
    from imagetranslation.volume import read_volume

    volume = read_volume(prostate_pairs / "us" / "case17.nii.gz")
    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", SAMPLE)
    slicer.util.updateVolumeFromArray(node, volume.array)
    node.SetSpacing(*volume.spacing)
    node.CreateDefaultDisplayNodes()
    return node


@pytest.fixture
def the_simulated_patient(tmp_path):
    """What the tutorial's `imagetranslation phantom` writes: the folder of one patient's scans."""
    write_cases(Order(1, seed=1, region="knees", groups=("osteomyelitis",)), tmp_path / "simulated")
    return tmp_path / "simulated"


@pytest.fixture
def the_blood_pool(a_scene, the_simulated_patient):
    return _loaded(a_scene, the_simulated_patient / "source", "simulated knees, blood pool")


@pytest.fixture
def the_true_delayed(a_scene, the_blood_pool, the_simulated_patient):
    return _loaded(a_scene, the_simulated_patient / "target", "simulated knees, delayed")


@pytest.fixture
def translated(click, wait_until, process_events):
    """Press Translate in a module and wait for the image."""

    def translate(module):
        panel = module.widget.panel
        click(panel.translate.ui.translateButton)
        wait_until(lambda: not panel.translation.busy, LONGEST_WORKER_S, "the worker")
        process_events()
        (node,) = [n for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if provenance_of(n)]
        return node

    return translate


@pytest.fixture
def settle(wait_until):
    """Let the panel lay itself out anew, as it does while a person looks at it."""

    def wait(seconds):
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > end, seconds + 5)

    return wait


def _loaded(scene, folder, name):
    """The one planar image of a folder, as Slicer's DICOM module brings it."""
    from imagetranslation.volume import read_volume

    (path,) = folder.iterdir()
    volume = read_volume(path)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, volume.array)
    node.SetSpacing(*volume.spacing)
    node.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    node.SetAttribute("ImageTranslation.Modality", "NM")
    node.CreateDefaultDisplayNodes()
    return node


def _box(scene, name, row, column):
    """A box of 17 x 17 pixels of 1.6 mm."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", name)
    node.SetCenter(-1.6 * column, -1.6 * row, 0)
    node.SetSize(1.6 * 17 - 0.1, 1.6 * 17 - 0.1, 40)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetHandlesInteractive(False)
    node.GetDisplayNode().SetFillVisibility(False)
    return node


def test_the_ultrasound_tutorial(us2mri, the_sample, translated, click, choose, process_events, screenshot):
    panel = us2mri.widget.panel
    slicer.util.setSliceViewerLayers(background=the_sample, fit=True)
    process_events()
    assert panel.translate.ui.inputSelector.currentNode() is the_sample
    assert panel.translate.ui.translateButton.enabled, "the shipped model is there without a download"
    screenshot("us2mri_loaded")

    click(panel.translate.ui.modelCardButton)
    process_events()
    screenshot("us2mri_card", panel.translate._card)
    panel.translate._card.close()

    result = translated(us2mri)
    assert result.GetName() == f"SYNTHETIC MR of {SAMPLE}"
    screenshot("us2mri_side_by_side")

    choose(panel.compare.ui.orientationComboBox, "Sagittal")
    choose(panel.compare.ui.modeComboBox, "Checkerboard")
    process_events()
    assert panel.compare.view.on
    screenshot("us2mri_checkerboard")


def test_the_bone_scan_tutorial(
    pool,
    tmp_path,
    a_scene,
    the_simulated_patient,
    the_blood_pool,
    the_true_delayed,
    translated,
    click,
    choose,
    dialogs,
    process_events,
    settle,
    screenshot,
):
    panel = pool.widget.panel
    choose(panel.translate.ui.inputSelector, "simulated knees, blood pool")
    assert panel.translate.ui.translateButton.enabled, "the shipped model is there without a download"
    assert "SIMULATED" in panel.translate.ui.modelComboBox.currentText

    result = translated(pool)
    assert result.GetName() == "SYNTHETIC NM of simulated knees, blood pool"
    assert "WARNING" not in panel.translate.ui.resultLabel.text
    choose(panel.compare.ui.referenceSelector, "simulated knees, delayed")
    settle(0.5)
    screenshot("pool2delayed_side_by_side")

    with (the_simulated_patient / "lesions.csv").open(newline="", encoding="utf-8") as table:
        hot = next(row for row in csv.DictReader(table) if row["cause"] == "osteomyelitis")
    row, column = float(hot["row"]), float(hot["column"])
    panel.translate.ui.translateSection.collapsed = True
    _box(a_scene, "hot bone", row, column)
    _box(a_scene, "other leg", row, 255 - column)
    choose(panel.counts.ui.lesionSelector, "hot bone")
    choose(panel.counts.ui.otherSelector, "other leg")
    click(panel.counts.ui.measureButton)
    process_events()
    for image in ("Blood pool", "Synthetic delayed"):
        assert panel.counts.ratios[image].value > 2
    settle(0.5)
    screenshot("pool2delayed_counts")

    package = write_tiny_model(tmp_path / "elsewhere", "pool2delayed", "my-own-model")
    panel.install.ui.installSection.collapsed = False
    process_events()
    dialogs.will_choose_file(str(package / "model.json"))
    click(panel.install.ui.localModelButton)
    settle(0.5)
    assert "local file" in panel.translate.ui.modelComboBox.currentText
    screenshot("pool2delayed_model", panel.install.widget)


@pytest.mark.parametrize("name", ["us2mri", "pool2delayed", "radiomics"])
def test_every_picture_of_a_tutorial_is_there_and_small(repository, name):
    text = (repository / "Resources" / "Tutorials" / f"{name}.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(pictures) >= 2
    for picture in pictures:
        path = repository / "Resources" / "Tutorials" / picture
        assert path.stat().st_size < 300_000, f"{picture} is too large"


@pytest.mark.parametrize("name", ["us2mri", "pool2delayed", "radiomics"])
def test_what_a_tutorial_prints_bold_is_written_on_the_panels(repository, name):
    """Bold is what a person presses or chooses there; bold sentences end with a full stop."""
    panels = (repository / "imagetranslation" / "panels" / "Resources" / "UI").glob("*.ui")
    written = set(re.findall(r"<string>([^<]+)</string>", "".join(p.read_text(encoding="utf-8") for p in panels)))
    while_on = {"Cancel", "Back to the earlier views"}
    text = (repository / "Resources" / "Tutorials" / f"{name}.md").read_text(encoding="utf-8")
    bold = {" ".join(found.split()) for found in re.findall(r"\*\*([^*]+)\*\*", text)}
    buttons = {words for words in bold if not words.endswith(".") or words.endswith("...")}
    assert len(buttons) > 10
    assert buttons - {words.rstrip(":") for words in written} - while_on == set()
