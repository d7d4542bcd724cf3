"""Preparing pairs: listing, registration, report, refusals."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, read_volume, write_volume
from training_tools import prepare
from training_tools.aligning import Quality, suspicions
from training_tools.console import run
from training_tools.pairs import list_pairs

SHIFT = np.array([3.0, -2.0, 4.0])  # voxels (k, j, i)


def ball(centre: np.ndarray, radii: np.ndarray, shape: tuple[int, int, int] = (30, 32, 34)) -> np.ndarray:
    """A mask of an ellipsoid."""
    grid = np.stack(np.mgrid[tuple(slice(0, n) for n in shape)], axis=-1)
    return (((grid - centre) / radii) ** 2).sum(axis=-1) < 1


@pytest.fixture
def two_pairs(tmp_path: Path) -> dict[str, Path]:
    """Two cases whose target is the source's anatomy, shifted, 20 % longer along i, on another spacing."""
    folders = {name: tmp_path / name for name in ("us", "mr", "us_labels", "mr_labels")}
    for folder in folders.values():
        folder.mkdir()
    random = np.random.default_rng(2)
    for case in ("one", "two"):
        centre = np.array([14.0, 15.0, 16.0]) + random.uniform(-1, 1, 3)
        own, other = ball(centre, np.array([7.0, 8, 6])), ball(centre + SHIFT, np.array([7.0, 8, 7.2]))
        noise = random.uniform(20, 40, own.shape)
        for folder, label, gland in (("us", "us_labels", own), ("mr", "mr_labels", other)):
            image = gaussian_filter(np.where(gland, 150, noise), 2).astype(np.float32)
            write_volume(Volume(image, spacing=(0.5, 0.5, 0.5)), folders[folder] / f"{case}.nrrd")
            write_volume(Volume(gland.astype(np.uint8), spacing=(0.5, 0.5, 0.5)), folders[label] / f"{case}.nrrd")
    return folders


def arguments(folders: dict[str, Path], output: Path, *extra: str) -> list[str]:
    """The command line for these folders."""
    words = ["--source", "us", "--target", "mr", "--source-labels", "us_labels", "--target-labels", "mr_labels"]
    return [str(folders.get(word, word)) for word in words] + ["-o", str(output), *extra]


def test_glands_are_brought_together_and_the_report_says_how_well(two_pairs: dict, tmp_path: Path) -> None:
    assert prepare.main(arguments(two_pairs, tmp_path / "out")) == 0
    with (tmp_path / "out" / "report.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["case"] for row in rows] == ["one", "two"]
    for row in rows:
        assert float(row["dice_before"]) < 0.7
        assert float(row["dice_after"]) > 0.95
        assert float(row["least_jacobian"]) == pytest.approx(1.2, abs=0.1)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["labelled"] == 2
    assert (tmp_path / "out" / "report.png").read_bytes().startswith(b"\x89PNG")


def test_everything_lies_on_the_sources_grid_and_the_source_is_untouched(two_pairs: dict, tmp_path: Path) -> None:
    prepare.main(arguments(two_pairs, tmp_path / "out"))
    source = read_volume(two_pairs["us"] / "one.nrrd")
    for part in ("source", "target", "valid", "source_label", "target_label"):
        assert read_volume(tmp_path / "out" / part / "one.nrrd").same_grid(source), part
    np.testing.assert_array_equal(read_volume(tmp_path / "out" / "source" / "one.nrrd").array, source.array)


def test_the_same_pairs_give_the_same_bytes(two_pairs: dict, tmp_path: Path) -> None:
    for name in ("a", "b"):
        prepare.main(arguments(two_pairs, tmp_path / name))
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 2 * 6 + 4
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


@pytest.mark.parametrize("method", ["centroid", "affine", "bspline"])
def test_every_registration_beats_the_headers(two_pairs: dict, tmp_path: Path, method: str) -> None:
    prepare.main(arguments(two_pairs, tmp_path / "out", "--method", method))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["mean_dice_after"] > report["mean_dice_before"] + 0.2


def test_without_labels_mutual_information_aligns_the_images(two_pairs: dict, tmp_path: Path) -> None:
    pairs = list_pairs(two_pairs["us"], two_pairs["mr"])
    case = prepare.prepare_pair(pairs[0], prepare.Settings())
    assert case.quality.method.startswith("mutual information")
    assert case.quality.dice_after is None
    gland = read_volume(two_pairs["us_labels"] / "one.nrrd").array > 0
    found = case.target.array > 90
    assert 2 * (found & gland).sum() / (found.sum() + gland.sum()) > 0.85


def test_padding_slices_of_the_target_are_not_valid(two_pairs: dict, tmp_path: Path) -> None:
    path = two_pairs["mr"] / "one.nrrd"
    target = read_volume(path)
    padded = target.array.copy()
    padded[:6] = 0
    write_volume(Volume(padded, target.spacing), path)
    case = prepare.prepare_pair(
        list_pairs(two_pairs["us"], two_pairs["mr"], two_pairs["us_labels"], two_pairs["mr_labels"])[0],
        prepare.Settings(method="centroid", source_modality=""),
    )
    assert not case.valid.array[:2].any()
    assert case.valid.array[8:20].any()


def test_folders_of_different_length_are_refused_by_name(
    two_pairs: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (two_pairs["mr"] / "two.nrrd").unlink()
    assert run(lambda: prepare.main(arguments(two_pairs, tmp_path / "out"))) == 2
    message = capsys.readouterr().err
    assert "two" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_empty_label_and_a_label_of_another_grid_are_refused(two_pairs: dict, tmp_path: Path) -> None:
    path = two_pairs["mr_labels"] / "one.nrrd"
    label = read_volume(path)
    write_volume(Volume(np.zeros_like(label.array), label.spacing), path)
    with pytest.raises(InputError, match="empty"):
        prepare.main(arguments(two_pairs, tmp_path / "out"))
    write_volume(Volume(label.array, (1.0, 1.0, 1.0)), path)
    with pytest.raises(InputError, match="grid of its image"):
        prepare.main(arguments(two_pairs, tmp_path / "out"))


def test_a_damaged_image_and_a_missing_folder_are_refused(two_pairs: dict, tmp_path: Path) -> None:
    (two_pairs["us"] / "one.nrrd").write_bytes(b"NRRD0005\nnonsense")
    with pytest.raises(InputError):
        prepare.main(arguments(two_pairs, tmp_path / "out"))
    with pytest.raises(InputError, match="not a folder"):
        list_pairs(tmp_path / "nowhere", two_pairs["mr"])


def test_after_a_failure_no_list_of_an_earlier_run_is_left(two_pairs: dict, tmp_path: Path) -> None:
    prepare.main(arguments(two_pairs, tmp_path / "out"))
    (two_pairs["us"] / "two.nrrd").write_bytes(b"NRRD0005 broken")
    with pytest.raises(InputError):
        prepare.main(arguments(two_pairs, tmp_path / "out", "--method", "centroid"))
    assert not (tmp_path / "out" / "cases.json").exists()


def test_a_case_kept_twice_and_labels_of_one_side_are_refused(two_pairs: dict) -> None:
    with pytest.raises(InputError, match="both sides"):
        list_pairs(two_pairs["us"], two_pairs["mr"], two_pairs["us_labels"])
    shutil.copy(two_pairs["us"] / "one.nrrd", two_pairs["us"] / "one.mha")
    with pytest.raises(InputError, match="twice"):
        list_pairs(two_pairs["us"], two_pairs["mr"])


def test_real_glands_are_aligned(prostate_pairs: Path, tmp_path: Path) -> None:
    pairs = list_pairs(*(prostate_pairs / part for part in ("us", "mr", "us_labels", "mr_labels")))
    assert len(pairs) == 18
    rows = prepare.prepare(pairs[:3], tmp_path / "out")
    assert np.mean([row.dice_after for row in rows]) > 0.88
    assert np.mean([row.dice_before for row in rows]) < 0.6
    assert all(0.75 < row.least_jacobian < 1.25 for row in rows)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [(0.954, 0.953, []), (0.95, 0.94, ["Dice was better before (0.950 to 0.940)"]), (0.3, 0.9, [])],
)
def test_a_pair_is_suspect_if_its_glands_lay_clearly_better_before(
    before: float, after: float, told: list[str]
) -> None:
    quality = Quality("a", "labels", before, after, shift_mm=1.0, least_jacobian=1.0, valid_fraction=1.0)
    assert suspicions(quality) == told
