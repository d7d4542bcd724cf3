"""Pairs named by tables, in BIDS folders and as planar bone scans: what is found, what is left out, what is refused."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, read_volume, write_volume
from Testing.Core.dicom_objects import NM, image, item, save
from training_tools import prepare
from training_tools.importers import options
from training_tools.importers.bids import list_bids
from training_tools.importers.nuclear import list_planar
from training_tools.importers.table import list_table
from training_tools.importers.tables import read_table
from training_tools.splits import subjects

SUFFIXES = {"source": "T1w", "target": "T2w"}


def a_volume(path: Path, seed: int = 0) -> Path:
    """Noise on a small grid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_volume(Volume(np.random.default_rng(seed).uniform(1, 9, (9, 10, 11)).astype(np.float32)), path)


@pytest.fixture
def a_table(tmp_path: Path) -> Path:
    """Two sessions of one patient and one of another, with facts, in the order of nobody's file names."""
    rows = ["patient,case,source,target,site,label", "P1,a,b/1.nrrd,b/2.nrrd,north,1", "P1,b,b/3.nrrd,b/4.nrrd,north,0"]
    rows.append("P2,c,b/5.nrrd,b/6.nrrd,south,1")
    for number in range(1, 7):
        a_volume(tmp_path / "b" / f"{number}.nrrd", number)
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "pairs.csv"


def test_patients_and_facts_of_a_table_reach_the_prepared_cases(a_table: Path, tmp_path: Path) -> None:
    assert prepare.main(["--csv", str(a_table), "--method", "none", "-o", str(tmp_path / "out")]) == 0
    known = subjects(tmp_path / "out")
    assert {case: one.patient for case, one in known.items()} == {"a": "P1", "b": "P1", "c": "P2"}
    assert known["c"].facts == {"site": "south", "label": "1"}


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ("b/4.nrrd", "b/9.nrrd", "Row 3 of .* b/9.nrrd does not exist"),
        ("P2,c,", "P2,a,", "the case a in 2 rows"),
        ("source,", "image,", "needs the columns"),
        ("north,0", "north,0,7", "more cells than the header"),
        ("site,label", "site,site", "two columns"),
        ("P2,c,b/5.nrrd", "P2,c,", "names no source"),
    ],
)
def test_a_wrong_table_is_refused_by_row(a_table: Path, was: str, becomes: str, message: str) -> None:
    a_table.write_text(a_table.read_text().replace(was, becomes))
    with pytest.raises(InputError, match=message):
        list_table(a_table)


def test_a_case_name_cannot_lead_out_of_the_folder(a_table: Path, tmp_path: Path) -> None:
    a_table.write_text(a_table.read_text().replace("P2,c,", "P2,../c,"))
    with pytest.raises(InputError, match="cannot be a file's name"):
        prepare.prepare(list_table(a_table), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tables_of_other_spreadsheets_are_read(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfcase;size\nx;1,5\n;\n")
    assert read_table(tmp_path / "a.csv") == [{"case": "x", "size": "1,5"}]
    book = openpyxl.Workbook()
    for row in (("case", "score", None), ("x", 3.0, None), ("y", None, None)):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert read_table(tmp_path / "a.xlsx") == [{"case": "x", "score": "3"}, {"case": "y", "score": ""}]
    (tmp_path / "a.xlsx").write_bytes((tmp_path / "a.xlsx").read_bytes()[:900])
    with pytest.raises(InputError, match="damaged"):
        read_table(tmp_path / "a.xlsx")
    (tmp_path / "a.csv").write_bytes(b"case\n\xff\xfe\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_table(tmp_path / "a.csv")


@pytest.fixture
def a_bids_folder(tmp_path: Path) -> Path:
    """Two participants, one with two sessions, one of which lacks its target; a lesion mask in derivatives."""
    root = tmp_path / "bids"
    for name in ("sub-01/ses-1/anat/sub-01_ses-1_T1w", "sub-01/ses-1/anat/sub-01_ses-1_T2w"):
        a_volume(root / f"{name}.nii.gz")
    a_volume(root / "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz", 2)
    a_volume(root / "sub-02/anat/sub-02_acq-axial_T1w.nii.gz", 3)
    a_volume(root / "sub-02/anat/sub-02_acq-axial_T2w.nii.gz", 4)
    a_volume(root / "derivatives/drawn/sub-02/anat/sub-02_desc-lesion_mask.nii.gz", 5)
    (root / "participants.tsv").write_text("participant_id\tsite\tage\nsub-01\tnorth\tn/a\nsub-02\tsouth\t61\n")
    return root


def test_sessions_of_a_bids_folder_become_cases(a_bids_folder: Path) -> None:
    found = list_bids(a_bids_folder, {**SUFFIXES, "lesion": "desc-lesion_mask"})
    assert [pair.case for pair in found.pairs] == ["sub-01_ses-1", "sub-02"]
    assert [pair.patient for pair in found.pairs] == ["sub-01", "sub-02"]
    assert found.left_out == {"sub-01_ses-2": "it has no target image."}
    assert found.pairs[0].facts == {"site": "north"}
    assert [len(pair.lesions) for pair in found.pairs] == [0, 1]


def test_two_files_of_one_kind_in_a_session_are_refused_until_an_entity_says_which(a_bids_folder: Path) -> None:
    a_volume(a_bids_folder / "sub-02/anat/sub-02_acq-sagittal_T2w.nii.gz", 6)
    with pytest.raises(InputError, match="sub-02 has 2 files"):
        list_bids(a_bids_folder, SUFFIXES)
    found = list_bids(a_bids_folder, {"source": "T1w", "target": "acq-axial_T2w"})
    assert [pair.target.name for pair in found.pairs] == ["sub-02_acq-axial_T2w.nii.gz"]


def test_a_folder_that_is_not_bids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sub-"):
        list_bids(tmp_path, SUFFIXES)
    with pytest.raises(InputError, match="--target-suffix"):
        list_bids(tmp_path, {"source": "T1w"})


def planar(path: Path, description: str, clock: str, seed: int = 0, patient: str = "N1", **tags: object) -> Path:
    """A small planar object; two views where `tags` hold a detector sequence."""
    counts = np.random.default_rng(seed).poisson(40, (2, 24, 20) if "DetectorVector" in tags else (24, 20))
    words = {"SeriesDescription": description, "AcquisitionTime": clock, "StudyDate": "20260102", **tags}
    dataset = image(counts.astype(np.uint16), NM, "NM", f"1.2.{seed}", PixelSpacing=[2.4, 2.4], **words)
    dataset.PatientID = patient
    return save(dataset, path)


def test_phases_are_told_apart_by_words_and_else_by_time(tmp_path: Path) -> None:
    planar(tmp_path / "1.dcm", "HANDS BLOOD POOL ANT", "091000", 1)
    planar(tmp_path / "2.dcm", "HANDS DELAYED ANT", "121500", 2)
    planar(tmp_path / "3.dcm", "Static feet anterior", "122500", 3, patient="N2")
    planar(tmp_path / "4.dcm", "Static feet anterior", "090800", 4, patient="N2")
    pairs = list_planar([tmp_path]).pairs
    assert [pair.case for pair in pairs] == ["N1-hands-anterior", "N2-static-feet-anterior"]
    assert [(pair.source.name, pair.target.name) for pair in pairs] == [("1.dcm", "2.dcm"), ("4.dcm", "3.dcm")]
    assert pairs[0].facts["minutes_between"] == "185"


def test_views_of_one_file_pair_with_their_own_view(tmp_path: Path) -> None:
    codes = [item(ViewCodeSequence=[item(CodeMeaning=name)]) for name in ("anterior", "posterior")]
    for number, (phase, clock) in enumerate((("BLOOD POOL", "091000"), ("DELAYED", "121500"))):
        planar(
            tmp_path / str(number) / "a.dcm", f"WB {phase}", clock, number,
            DetectorVector=[1, 2] if number else [2, 1], DetectorInformationSequence=codes,
            NumberOfDetectors=2, FrameIncrementPointer=[0x00540020],
        )  # fmt: skip
    pairs = list_planar([tmp_path / "0", tmp_path / "1"]).pairs
    views = [(pair.case, pair.source_view, pair.target_view) for pair in pairs]
    assert views == [("N1-wb-anterior", 1, 0), ("N1-wb-posterior", 0, 1)]


def test_uncertain_phases_are_left_out_by_name(tmp_path: Path) -> None:
    planar(tmp_path / "ok" / "1.dcm", "blood pool ant", "091000", 1)
    planar(tmp_path / "ok" / "2.dcm", "delayed ant", "121500", 2)
    planar(tmp_path / "3.dcm", "ant", "091000", 3, patient="near")
    planar(tmp_path / "4.dcm", "ant", "092000", 4, patient="near")
    planar(tmp_path / "5.dcm", "blood pool ant", "121000", 5, patient="swapped")
    planar(tmp_path / "6.dcm", "delayed ant", "092000", 6, patient="swapped")
    planar(tmp_path / "7.dcm", "delayed ant", "092000", 7, patient="lonely")
    found = list_planar([tmp_path])
    assert [pair.patient for pair in found.pairs] == ["N1"]
    assert sorted(name.split("-")[0] for name in found.left_out) == ["lonely", "near", "swapped"]
    assert "taken after" in found.left_out["swapped-anterior"]
    with pytest.raises(InputError, match="holds no planar"):
        list_planar([tmp_path / "ok", a_volume(tmp_path / "n" / "x.nrrd").parent])


def test_a_cut_planar_file_is_named(tmp_path: Path) -> None:
    path = planar(tmp_path / "1.dcm", "blood pool ant", "091000", 1)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"N1") + 40])
    with pytest.raises(InputError, match=r"1\.dcm is a damaged"):
        list_planar([tmp_path])


def test_the_commands_of_the_tutorial_are_understood(repository: Path) -> None:
    text = (repository / "Resources" / "Tutorials" / "training.md").read_text(encoding="utf-8")
    lines = re.findall(r"^python -m training_tools\.prepare (.+)$", text, re.MULTILINE)
    assert len(lines) >= 6
    for line in lines:
        options.parser("").parse_args(shlex.split(line))


def test_counts_of_planar_scans_are_kept(tmp_path: Path) -> None:
    planar(tmp_path / "in" / "1.dcm", "blood pool ant", "091000", 1)
    planar(tmp_path / "in" / "2.dcm", "delayed ant", "121500", 2)
    assert prepare.main(["--nm", str(tmp_path / "in"), "--method", "none", "-o", str(tmp_path / "out")]) == 0
    case = json.loads((tmp_path / "out" / "cases.json").read_text())["cases"][0]
    for part, file in (("source", "1.dcm"), ("target", "2.dcm")):
        kept, own = read_volume(tmp_path / "out" / case[part]), read_volume(tmp_path / "in" / file)
        np.testing.assert_array_equal(kept.array, own.array)
    assert case["patient"] == "N1"
