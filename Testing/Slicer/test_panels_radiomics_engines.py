"""Which engine makes features in Slicer: what is found, what installing MIRP may do, what a person may point to."""

from __future__ import annotations

import sys

import pytest
from test_panels_install import BUNDLED, FakePip

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from imagetranslation.panels import radiomicsengines, requirements  # noqa: E402
from imagetranslation.panels.radiomicsengines import TITLES, readiness  # noqa: E402


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(radiomicsengines, "_folder_of", lambda module: "")


@pytest.fixture
def pip(us2mri_module, monkeypatch):
    """pip, as what the Install button starts, in a Slicer of the newest kind."""
    pip = FakePip()
    monkeypatch.setattr(requirements, "present", lambda: dict(BUNDLED))
    monkeypatch.setattr(us2mri_module.widget.panel.radiomics._installer, "_new_process", lambda: pip)
    return pip


@pytest.fixture
def panel(nothing_installed, us2mri_module, choose):
    """The panel, MIRP's features chosen and MIRP not there."""
    panel = us2mri_module.widget.panel.radiomics
    panel.ui.radiomicsSection.collapsed = False
    choose(panel.ui.featuresComboBox, TITLES["paper186"])
    return panel


def test_an_engine_that_is_there_is_named_with_its_version_and_folder():
    pytest.importorskip("radiomics")
    assert readiness("pyradiomics").sentence.startswith("PyRadiomics 3.")
    assert readiness("pyradiomics").ready


def test_without_pyradiomics_the_extension_is_named(nothing_installed):
    state = readiness("pyradiomics")
    assert (state.ready, state.installable) == (False, False)
    assert "install the extension Radiomics" in state.sentence


def test_a_python_that_is_pointed_to_is_told_and_a_path_that_is_none_refused(nothing_installed):
    assert readiness("ibsi", sys.executable).sentence == f"MIRP in the environment of {sys.executable}."
    assert not readiness("ibsi", "/nowhere/python").ready


def test_choosing_mirps_features_shows_how_to_get_mirp(panel):
    assert "MIRP is not installed" in panel.ui.engineNotice.text
    assert not panel.ui.settingsBox.collapsed
    assert panel.ui.mirpButton.visible


def test_a_mirp_that_would_change_slicers_numpy_is_refused_without_a_question(panel, pip, click, dialogs):
    click(panel.ui.mirpButton)
    assert pip.arguments[-1] == "mirp>=2.5"
    assert "numpy==2.4.6\n" in pip.constraints
    pip.plans(mirp="2.7.0", numpy="2.5.0")
    assert "pip would change packages that Slicer has (numpy 2.4.6 to 2.5.0)" in panel.ui.radiomicsNotice.text
    assert "separate environment that has MIRP" in panel.ui.radiomicsNotice.text
    assert dialogs.texts == []


def test_the_question_names_the_licence_and_a_no_installs_nothing(panel, pip, click, dialogs):
    dialogs.will_press("Cancel")
    click(panel.ui.mirpButton)
    pip.plans(mirp="2.7.0", itk="5.4.4")
    (question,) = dialogs.texts
    assert "MIRP needs Python packages" in question
    assert "EUPL-1.2" in question
    assert "itk 5.4.4" in question
    assert "Nothing was installed. MIRP needs these packages" in panel.ui.radiomicsNotice.text


def test_mirp_in_its_own_environment_gets_none_of_slicers_libraries(monkeypatch):
    from imagetranslation.radiomics.mirp_process import _of_this_program

    monkeypatch.delenv("SLICER_HOME", raising=False)
    assert not _of_this_program("LD_LIBRARY_PATH")
    monkeypatch.setenv("SLICER_HOME", "/opt/slicer")
    assert _of_this_program("LD_LIBRARY_PATH")
    assert _of_this_program("PYTHONHOME")
    assert not _of_this_program("PATH")
