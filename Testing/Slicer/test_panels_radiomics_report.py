"""DICOM SR and SEG from the Radiomics panel: the button, the folder, what lies there, what is refused and cancelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from ownprocesses import running

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")
pytest.importorskip("radiomics", reason="PyRadiomics is not installed")
pytest.importorskip("highdicom", reason="highdicom is not installed")

from imagetranslation.mrml.provenance import mark  # noqa: E402
from imagetranslation.mrml.regions import new_region  # noqa: E402
from imagetranslation.mrml.volumes import add_volume  # noqa: E402
from imagetranslation.provenance import Provenance  # noqa: E402
from imagetranslation.volume import read_volume  # noqa: E402

RECORD = Provenance.from_dict(
    {"model": "some-model", "version": "2.0.0", "modality": "MR", "source": "ADC", "weights_sha256": "ab" * 32,
     "task": "us2mri", "created": "2026-01-02T03:04:05+00:00"}
)  # fmt: skip
LONGEST_S = 120
SEGMENTATION, REPORT = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88."


class Database:
    """Slicer's DICOM database as far as it is asked."""

    isOpen = True

    def __init__(self, files):
        self.files = files

    def instanceValue(self, uid, tag):
        return "MR"

    def fileForInstance(self, uid):
        return self.files.get(uid, "")


@pytest.fixture
def source(a_scene, data_dir, monkeypatch):
    """A real ADC map as Slicer loads it from its DICOM database."""
    folder = data_dir / "prostatex" / "dicom_adc"
    files = {str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID): str(file)
             for file in sorted(folder.rglob("*.dcm"))}  # fmt: skip
    node = add_volume(a_scene, read_volume(folder))
    node.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    monkeypatch.setattr(slicer, "dicomDatabase", Database(files), raising=False)
    return node


@pytest.fixture
def compared(us2mri_module, source, a_scene, click, wait_until, choose):
    """The panel with a comparison of a box in that map and in a noisy copy that says that it is synthetic."""
    panel = us2mri_module.widget.panel.radiomics
    panel.ui.radiomicsSection.collapsed = False
    array = slicer.util.arrayFromVolume(source)
    synthetic = slicer.modules.volumes.logic().CloneVolume(a_scene, source, "SYNTHETIC of ADC")
    synthetic.RemoveAttribute("DICOM.instanceUIDs")
    noise = np.random.default_rng(5).normal(0, 20, array.shape)
    slicer.util.updateVolumeFromArray(synthetic, (array + noise).astype(np.float32))
    mark(synthetic, RECORD)
    region = new_region(source)
    box = np.zeros(array.shape, np.uint8)
    k, j, i = (n // 2 for n in array.shape)
    box[k - 2 : k + 2, j - 6 : j + 6, i - 5 : i + 5] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(box, region, region.GetSegmentation().GetNthSegmentID(0), source)
    panel.show(source, synthetic)
    panel.choices.region = region
    click(panel.ui.radiomicsButton)
    wait_until(lambda: not panel._comparison.busy, LONGEST_S, "the comparison")
    assert panel.table.found is not None, panel.ui.radiomicsNotice.text
    choose(panel.ui.findingComboBox, "Prostate")
    return panel


@pytest.fixture
def write(compared, click, dialogs, wait_until, tmp_path):
    """Click the button, choose a folder, wait; the objects that lie there by file name."""

    def write():
        dialogs.will_choose_file(tmp_path)
        click(compared.ui.reportButton)
        wait_until(lambda: not compared.report.report.busy, LONGEST_S, "the report")
        return {file.name: pydicom.dcmread(file) for file in sorted(tmp_path.rglob("*.dcm"))}

    return write


def test_report_segmentation_and_the_synthetic_series_land_in_a_folder_of_their_own(compared, write, tmp_path):
    found = write()
    assert "Written: report.dcm, segmentation.dcm" in compared.ui.reportNotice.text, compared.ui.reportNotice.text
    assert found["report.dcm"].SOPClassUID.startswith(REPORT)
    assert found["segmentation.dcm"].SOPClassUID == SEGMENTATION
    (segment,) = found["segmentation.dcm"].SegmentSequence
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Prostate"
    assert {item.PatientID for item in found.values()} == {found["report.dcm"].PatientID}
    slices = [item for name, item in found.items() if name not in ("report.dcm", "segmentation.dcm")]
    assert len(slices) == slicer.util.arrayFromVolume(compared.choices.source).shape[0]
    assert all(item.SeriesDescription.startswith("SYNTHETIC") for item in slices)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_scan_that_is_no_dicom_gets_a_report_on_the_synthetic_series(compared, write):
    compared.choices.source.RemoveAttribute("DICOM.instanceUIDs")
    found = write()
    assert found["report.dcm"].SOPClassUID.startswith(REPORT)
    assert "patient and study are those of the synthetic series" in compared.ui.reportNotice.text


def test_cancel_leaves_neither_files_nor_processes(compared, click, dialogs, wait_until, tmp_path):
    dialogs.will_choose_file(tmp_path)
    click(compared.ui.reportButton)
    assert compared.ui.reportButton.text == "Cancel"
    click(compared.ui.reportButton)
    wait_until(lambda: not compared.report.report.busy, LONGEST_S, "the end")
    assert compared.ui.reportNotice.text == "The export was stopped; nothing was written."
    assert compared.ui.reportButton.text == "DICOM SR and SEG..."
    assert list(tmp_path.iterdir()) == []
    compared.forget()
    wait_until(lambda: running("radiomicsjob") == [], LONGEST_S, "the process")


def test_a_damaged_scan_is_refused_in_a_sentence_and_leaves_nothing(compared, write, tmp_path, monkeypatch):
    broken = tmp_path.parent / "broken.dcm"
    broken.write_bytes(b"\0" * 200)
    files = dict.fromkeys(slicer.dicomDatabase.files, str(broken))
    monkeypatch.setattr(slicer, "dicomDatabase", Database(files), raising=False)
    assert write() == {}
    assert compared.ui.reportNotice.text.endswith(".")
    assert "d9534f" in compared.ui.reportNotice.styleSheet
    assert list(Path(tmp_path).iterdir()) == []
