"""Codes, units and outlines of a reported region, and the command that writes the DICOM objects."""

from __future__ import annotations

import json
import sys

import numpy as np
import pydicom
import pytest

from imagetranslation import cli
from imagetranslation.errors import InputError
from imagetranslation.radiomics.comparison import Row
from imagetranslation.radiomics.dicomreport import Meaning, finding_called
from imagetranslation.radiomics.dicomreport.codes import (
    ARBITRARY,
    BECQUEREL,
    DEVIATIONS,
    NO_UNIT,
    OURS,
    Code,
    feature_code,
    intensity_unit,
    method_code,
    unit_code,
)
from imagetranslation.radiomics.dicomreport.contours import outline
from imagetranslation.radiomics.mirp_names import identity
from imagetranslation.radiomics.segmentations import read_rois
from imagetranslation.volume import Volume, read_volume, write_volume

from .dicom_checker import UNKNOWN_TO_IT, flaws
from .reported_regions import a_series, drawn
from .synthetic_objects import a_whole_body_scan, made_from

COUNTS = Code("{counts}", "counts", "UCUM")


def row(name="Mean intensity", ibsi="Q4LE", aggregation="", image_type="original", key="mean", unit="") -> Row:
    return Row(key, name, ibsi, "family", aggregation, image_type, unit, {}, 0.0, 0.0, "")


def test_features_of_the_standard_have_its_codes_and_others_our_own():
    assert feature_code(row()) == Code("Q4LE", "Mean intensity", "IBSI")
    assert feature_code(row("Maximal correlation coefficient", "", key="original_glcm_MCC")) == Code(
        "original_glcm_MCC", "Maximal correlation coefficient", OURS
    )
    filtered = feature_code(row(image_type="wavelet-LLH", key="wavelet-LLH_firstorder_Mean"))
    assert filtered == Code("wavelet-LLH_firstorder_Mean", "Mean intensity [wavelet-LLH]", OURS)
    assert filtered.concept().LongCodeValue == "wavelet-LLH_firstorder_Mean"


def test_twins_and_fractions_are_told_apart_by_their_method():
    assert method_code(row(aggregation="3D, averaged")) == Code("ITBB", "3D, averaged", "IBSI")
    assert method_code(row(aggregation="3D, merged")) == Code("IAZD", "3D, merged", "IBSI")
    assert method_code(row()) is None
    seen = set()
    for column in ("ivh_v10", "ivh_v90", "ivh_i10", "ivh_i90", "ivh_diff_v10_v90", "ivh_diff_i10_i90"):
        what, how = identity(column)
        told = row(what.name, what.code, how, key=column)
        assert feature_code(told).scheme == "IBSI"
        seen.add((feature_code(told), method_code(told)))
    assert len(seen) == 6


def test_units_are_ucum():
    assert unit_code("", ARBITRARY) == NO_UNIT
    assert [unit_code(unit, COUNTS).value for unit in ("mm", "mm^2", "mm^3", "1/mm")] == ["mm", "mm2", "mm3", "/mm"]
    assert unit_code("intensity", ARBITRARY).value == "[arb'U]"
    assert unit_code("intensity^2", ARBITRARY).value == "[arb'U]2"
    assert unit_code("intensity^2", COUNTS).value == "{counts}.{counts}"
    assert unit_code("intensity*mm^3", COUNTS).value == "{counts}.mm3"
    assert unit_code("intensity^2*mm^3", BECQUEREL).value == "(Bq/ml).(Bq/ml).mm3"
    assert unit_code("intensity^2", NO_UNIT) == NO_UNIT


def test_intensities_are_in_the_unit_of_their_modality_until_they_are_normalised():
    plain = {"normalisation": "none", "parameters": None}
    assert intensity_unit("MR", plain) == intensity_unit("US", plain) == intensity_unit("", plain) == ARBITRARY
    assert intensity_unit("CT", plain).value == "[hnsf'U]"
    assert intensity_unit("NM", plain) == COUNTS
    assert intensity_unit("PT", plain, "BQML") == BECQUEREL
    assert intensity_unit("PT", plain, "CNTS") == ARBITRARY
    assert intensity_unit("CT", {"normalisation": "z-score"}) == DEVIATIONS
    assert intensity_unit("CT", {"normalisation": "none", "parameters": {"setting": {"normalize": True}}}) == NO_UNIT


def windings(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """How often the line winds around each pixel's centre."""
    found = np.zeros((shape[0], shape[1] + 1), int)
    for (x0, y0), (x1, y1) in zip(points.tolist(), points.tolist()[1:]):
        if x0 == x1:
            found[min(y0, y1) : max(y0, y1), x0] += int(np.sign(y1 - y0))
    return found.cumsum(axis=1)[:, :-1]


def test_any_region_becomes_one_closed_line_that_encloses_exactly_its_pixels():
    from scipy import ndimage

    generator = np.random.default_rng(0)
    for _ in range(300):
        mask = generator.random(generator.integers(1, 12, 2)) < generator.random()
        if not mask.any():
            continue
        drawn_line = outline(mask)
        assert (drawn_line.points[0] == drawn_line.points[-1]).all()
        assert ((np.diff(drawn_line.points, axis=0) == 0).sum(axis=1) == 1).all()
        around = windings(drawn_line.points, mask.shape)
        assert ((around != 0) == mask).all()
        assert ((around % 2 == 1) == mask).all()
        assert drawn_line.parts == ndimage.label(mask)[1]
        outside = np.pad(~mask, 1, constant_values=True)
        assert drawn_line.holes == ndimage.label(outside, np.ones((3, 3)))[1] - 1


def test_a_rectangle_is_four_corners():
    mask = np.zeros((5, 6), bool)
    mask[1:3, 2:6] = True
    assert outline(mask).points.tolist() == [[2, 1], [6, 1], [6, 3], [2, 3], [2, 1]]


def test_what_a_region_means_is_one_of_the_known_or_refused():
    category, kind = finding_called(" Prostate ")
    assert (category.meaning, kind.value) == ("Anatomical Structure", "41216001")
    assert finding_called("lesion")[0].value == "49755003"
    with pytest.raises(InputError, match="choose one of lesion, neoplasm"):
        finding_called("spleen")
    with pytest.raises(InputError, match="not 'GUESSED'"):
        Meaning(algorithm_type="GUESSED")
    with pytest.raises(InputError, match="needs the name of the tool"):
        Meaning(algorithm_type="SEMIAUTOMATIC")


@pytest.fixture
def run(monkeypatch, capsys):
    pytest.importorskip("radiomics")
    pytest.importorskip("matplotlib")
    pytest.importorskip("highdicom")

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["imagetranslation", "radiomics", "compare", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return command


def files_for(scan: Volume, roi, modality, folder):
    synthetic = write_volume(made_from(scan, modality), folder / "synthetic.nrrd")
    mask = Volume(roi.full(), scan.spacing, scan.origin, scan.direction, "mask")
    return synthetic, "--roi", write_volume(mask, folder / "mask.nrrd"), "-o", folder / "out"


def test_the_command_writes_them_beside_the_table(run, tmp_path):
    scan = read_volume(a_series(tmp_path / "scan"))
    roi = drawn(scan, np.s_[1:5, 3:12, 2:9])
    given = files_for(scan, roi, "MR", tmp_path)
    code, out, err = run(tmp_path / "scan", *given, "--dicom", "--finding", "neoplasm", "--drawn-with", "brush",
                         "--reader", "Doe, Jane")  # fmt: skip
    assert code == 0, err
    folder = tmp_path / "out" / "dicom"
    assert f"Wrote {folder / 'report.dcm'}." in out
    assert f"Wrote the synthetic series {folder / 'synthetic'}." in out
    assert sorted(entry.name for entry in folder.iterdir()) == ["report.dcm", "segmentation.dcm", "synthetic"]
    assert (tmp_path / "out" / "comparison.csv").exists()
    assert read_rois(folder / "segmentation.dcm", scan)[0].sha256 == roi.sha256
    segment = pydicom.dcmread(folder / "segmentation.dcm").SegmentSequence[0]
    assert (segment.SegmentAlgorithmName, segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) == (
        "brush",
        "Neoplasm",
    )


def test_the_command_reports_a_view_of_a_planar_scan(run, tmp_path):
    scan = read_volume(a_whole_body_scan(tmp_path / "nm.dcm"), component=0)
    given = files_for(scan, drawn(scan, np.s_[0:1, 20:60, 5:25]), "NM", tmp_path)
    levels = tmp_path / "settings.yaml"
    levels.write_text("minimum_grey_levels: 4\n")
    code, out, err = run(
        tmp_path / "nm.dcm", *given, "--component", "anterior", "--settings", levels, "--dicom", "--json"
    )
    assert code == 0, err
    files = json.loads(out)["dicom"]
    assert [file.rsplit("/", 2)[-1] for file in files] == ["report.dcm", "0001.dcm"]
    assert flaws(files[0], "ComprehensiveSR") == [UNKNOWN_TO_IT]


def test_the_command_says_before_computing_that_nothing_is_dicom(run, tmp_path):
    scan = Volume(np.arange(6 * 16 * 12, dtype=np.float32).reshape(6, 16, 12), name="scan")
    paths = [write_volume(scan, tmp_path / name) for name in ("a.nrrd", "b.nrrd")]
    mask = write_volume(Volume(np.ones((6, 16, 12), np.uint8), name="mask"), tmp_path / "mask.nrrd")
    code, out, err = run(*paths, "--roi", mask, "-o", tmp_path / "out", "--dicom")
    assert (code, out) == (2, "")
    assert "--dicom is not possible here. Neither a nor b is DICOM" in err
    assert not (tmp_path / "out").exists()
