"""Prostate-MRI-US-Biopsy as it is downloaded: surfaces, the ultrasound's frame, pairs, spreadsheets, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, index_to_lps, read_volume
from Testing.Core.prostate_collection import RADII, VOXEL, ellipsoid, write_collection, write_surface, write_table
from training_tools import prepare
from training_tools.importers.biopsies import grade_group
from training_tools.importers.surfaces import enclosed, inside, read_surface
from training_tools.importers.tcia import list_tcia
from training_tools.pairs import read_image

GRID = Volume(np.zeros((30, 36, 40), np.uint8), (1.0, 0.8, 1.1), (-20.0, -14.0, -16.0))


def centroid(volume: Volume, mask: np.ndarray) -> np.ndarray:
    """LPS mm of a mask's centre."""
    k, j, i = np.nonzero(mask)
    return (index_to_lps(volume) @ np.array([i.mean(), j.mean(), k.mean(), 1]))[:3]


@pytest.mark.parametrize("text", [False, True])
def test_the_voxels_inside_a_surface_fill_its_volume(tmp_path: Path, text: bool) -> None:
    path = write_surface(tmp_path / "gland.stl", ellipsoid(np.array([-1.0, 0.5, 0.0]), RADII), text)
    mask = inside(read_surface(path), GRID, path.name)
    assert mask.sum() * np.prod(GRID.spacing) == pytest.approx(4 / 3 * np.pi * np.prod(RADII), rel=0.02)
    np.testing.assert_allclose(centroid(GRID, mask), [-1.0, 0.5, 0.0], atol=0.1)


def test_a_surface_is_filled_alike_on_a_turned_grid(tmp_path: Path) -> None:
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, -1.0]])
    turned = Volume(
        np.zeros((36, 40, 40), np.uint8), (1.0, 1.0, 1.0), tuple(-turn @ [20.0, 20, 18]), tuple(turn.ravel())
    )
    mask = inside(ellipsoid(np.array([2.0, 1.0, -1.0]), RADII), turned, "gland")
    assert mask.sum() == pytest.approx(4 / 3 * np.pi * np.prod(RADII), rel=0.02)
    np.testing.assert_allclose(centroid(turned, mask), [2.0, 1.0, -1.0], atol=0.1)


def test_an_open_a_cut_and_a_distant_surface_are_refused(tmp_path: Path) -> None:
    triangles = ellipsoid(np.zeros(3), RADII)
    with pytest.raises(InputError, match="not closed"):
        inside(triangles[: len(triangles) // 3], GRID, "gland")
    with pytest.raises(InputError, match="outside its image"):
        inside(triangles + 100, GRID, "gland")
    path = write_surface(tmp_path / "gland.stl", triangles)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="no STL surface"):
        read_surface(path)
    write_surface(path, np.full((2, 3, 3), np.nan))
    with pytest.raises(InputError, match="no triangles"):
        read_surface(path)


def test_points_inside_a_surface_are_told_from_those_outside() -> None:
    points = np.array([[0.0, 0, 0], [10.5, 0, 0], [11.5, 0, 0], [0, 0, -20]])
    assert enclosed(points, ellipsoid(np.zeros(3), RADII)).tolist() == [True, True, False, False]


def test_the_ultrasound_cube_is_placed_by_its_centre_with_its_axes_turned(tmp_path: Path) -> None:
    truth = write_collection(tmp_path, 1)["Prostate-MRI-US-Biopsy-0001"]
    volume = read_image(truth.us_folder)
    assert volume.spacing == (VOXEL, VOXEL, VOXEL)
    assert volume.modality == "US"
    # Columns grow towards the feet, rows to the left, frames to the front.
    assert volume.origin == pytest.approx([-13.5 * VOXEL, 14.5 * VOXEL, 15.5 * VOXEL])
    # The gland is dark, and it is where its surface says.
    mask = inside(ellipsoid(truth.us_gland, RADII), volume, "gland")
    assert volume.array[mask > 0].mean() < volume.array[mask == 0].mean() - 30


def test_a_cube_without_its_voxels_size_is_refused(tmp_path: Path) -> None:
    import pydicom

    truth = write_collection(tmp_path, 1)["Prostate-MRI-US-Biopsy-0001"]
    path = truth.us_folder / "1-1.dcm"
    dataset = pydicom.dcmread(path)
    del dataset.PixelAspectRatio
    dataset.save_as(path)
    with pytest.raises(InputError, match="does not tell the size of its voxels"):
        read_image(truth.us_folder)


@pytest.mark.parametrize("sheets", ["csv", "xlsx"])
def test_patients_become_cases_with_scores_and_grades(tmp_path: Path, sheets: str) -> None:
    if sheets == "xlsx":
        pytest.importorskip("openpyxl")
    write_collection(tmp_path, 2, sheets)
    found = list_tcia(tmp_path)
    assert [pair.case for pair in found.pairs] == ["Prostate-MRI-US-Biopsy-0001", "Prostate-MRI-US-Biopsy-0002"]
    assert not found.left_out
    facts = dict(found.pairs[0].facts)
    assert facts.pop("scanner") == "SIEMENS Skyra"
    assert facts == {
        "site": "UCLA", "targets": "1", "target1_ucla": "4", "ucla_score": "4", "cores": "3", "grade_group": "2",
        "label": "1", "psa_ng_ml": "6.5", "target1_grade_group": "2",
    }  # fmt: skip
    assert found.pairs[0].patient == found.pairs[0].case


def test_the_collection_is_prepared_with_lesions_where_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_collection(tmp_path / "tcia", 1)["Prostate-MRI-US-Biopsy-0001"]
    assert prepare.main(["--tcia", str(tmp_path / "tcia"), "-o", str(tmp_path / "out")]) == 0
    assert "suspect" not in capsys.readouterr().err
    case = json.loads((tmp_path / "out" / "cases.json").read_text())["cases"][0]
    assert case["patient"] == "Prostate-MRI-US-Biopsy-0001"
    assert case["facts"]["label"] == "1"
    lesion = read_volume(tmp_path / "out" / case["lesion"])
    assert lesion.same_grid(read_image(truth.us_folder))
    # Drawn on the MR, moved with it: where the ultrasound has it, within about a slice of the MR.
    assert np.linalg.norm(centroid(lesion, lesion.array == 1) - truth.us_target) < 2.5
    row = json.loads((tmp_path / "out" / "report.json").read_text())["cases"][0]
    assert row["dice_after"] > 0.8
    assert row["lesions"] == 1


def test_series_that_do_not_belong_together_are_left_out_by_name(tmp_path: Path) -> None:
    truths = write_collection(tmp_path, 2, "")
    first, second = sorted(truths)
    surfaces = tmp_path / "PKG - Prostate-MRI-US-Biopsy-STL" / "STLs"
    (surfaces / f"{first}-ProstateSurface-seriesUID-{truths[first].scan}.STL").unlink()
    found = list_tcia(tmp_path)
    assert [pair.case for pair in found.pairs] == [second]
    assert found.left_out == {first: "it has no MR series with a surface."}
    row = {"Patient ID": second, "seriesInstanceUID_MR": truths[first].scan}
    row.update({"seriesInstanceUID_US": truths[second].sweep, "UCLA Score (Similar to PIRADS v2)": "3"})
    write_table(tmp_path / "targets.csv", [row])
    with pytest.raises(InputError, match="None of the 2 patients"):
        list_tcia(tmp_path)


def test_a_damaged_target_leaves_out_its_patient_alone(tmp_path: Path) -> None:
    truths = write_collection(tmp_path, 2)
    first, second = sorted(truths)
    (surface,) = tmp_path.rglob(f"{first}-Target1-seriesUID-{truths[first].scan}.STL")
    surface.write_bytes(surface.read_bytes()[:200])
    found = list_tcia(tmp_path)
    assert [pair.case for pair in found.pairs] == [second]
    assert "no STL surface" in found.left_out[first]


def test_without_the_retrievers_table_headers_tell_the_series(tmp_path: Path) -> None:
    write_collection(tmp_path, 1)
    (tmp_path / "manifest-1" / "metadata.csv").unlink()
    assert [pair.case for pair in list_tcia(tmp_path).pairs] == ["Prostate-MRI-US-Biopsy-0001"]


def test_a_folder_that_is_none_of_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no DICOM series"):
        list_tcia(tmp_path)
    write_table(tmp_path / "metadata.csv", [{"Series": "1"}])
    with pytest.raises(InputError, match="NBIA"):
        list_tcia(tmp_path)


@pytest.mark.parametrize(
    ("primary", "secondary", "group"),
    [("", "", 0), ("3", "3", 1), ("3", "4", 2), ("4", "3", 3), ("4", "4", 4), ("3.0", "5.0", 4), ("4", "5", 5)],
)
def test_gleason_patterns_become_grade_groups(primary: str, secondary: str, group: int) -> None:
    assert grade_group({"Primary Gleason": primary, "Secondary Gleason": secondary}) == group
