"""Preparing many pairs: going on after a stop, in parallel, common grids, planar pairs, lesions, what is refused."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.volume import Volume, axis_codes, corner_points, read_volume, write_volume
from Testing.Core.prostate_collection import ellipsoid, write_surface
from training_tools import aligning, prepare, prepared
from training_tools.console import run
from training_tools.pairs import PairFiles, list_pairs
from training_tools.prepare import Settings

SHAPE = (14, 24, 22)
MOVED = np.array([0.0, 2.0, 3.0])  # voxels (k, j, i)
LPS_OF_PATIENT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def body(shape: tuple[int, ...], moved: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image of an ellipsoid with a bright lesion, its mask and the lesion's; `moved` voxels from the middle."""
    grid = np.stack(np.mgrid[tuple(slice(0, n) for n in shape)], axis=-1) - (np.array(shape) - 1) / 2 - moved
    gland = ((grid / np.maximum(np.array(shape) / 4, 1)) ** 2).sum(axis=-1) < 1
    lesion = (((grid - [0, 2, 1]) / 2) ** 2).sum(axis=-1) < 1
    noise = np.random.default_rng(seed).uniform(0, 15, shape)
    image = np.where(lesion, 220, np.where(gland, 120, 30)) + noise
    return gaussian_filter(image, (0.5 * (shape[0] > 1), 0.5, 0.5)).astype(np.float32), gland, lesion


def write(folder: Path, array: np.ndarray, name: str, direction: tuple[float, ...] = LPS_OF_PATIENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return write_volume(Volume(array, (1.5, 1.5, 2.0), direction=direction), folder / f"{name}.nrrd")


def some_pairs(
    folder: Path, names: tuple[str, ...] = ("one", "two"), shape: tuple[int, ...] = SHAPE
) -> list[PairFiles]:
    """Pairs with gland labels and a lesion on the target, which is shifted by MOVED."""
    for number, name in enumerate(names):
        own, other = body(shape, np.zeros(3), number), body(shape, MOVED * (np.array(shape) > 1), number + 50)
        for part, array in (("us", own[0]), ("mr", other[0]), ("us_l", own[1]), ("mr_l", other[1]), ("les", other[2])):
            write(folder / part, array if array.dtype != bool else array.astype(np.uint8), name)
    return list_pairs(*(folder / part for part in ("us", "mr", "us_l", "mr_l", "les")), "target")


def written(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_case_is_done_again_only_where_its_input_or_the_settings_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, done = some_pairs(tmp_path), []
    original = aligning.prepare_pair
    monkeypatch.setattr(prepare, "prepare_pair", lambda pair, s: done.append(pair.case) or original(pair, s))
    prepare.prepare(pairs, tmp_path / "out", method="centroid")
    first = written(tmp_path / "out")
    prepare.prepare(pairs, tmp_path / "out", method="centroid")
    assert done == ["one", "two"]
    assert written(tmp_path / "out") == first
    write(tmp_path / "mr", body(SHAPE, MOVED, 9)[0], "two")
    (tmp_path / "out" / "valid" / "one.nrrd").write_bytes(b"damaged")
    prepare.prepare(pairs, tmp_path / "out", method="centroid")
    assert done == ["one", "two", "one", "two"]
    assert read_volume(tmp_path / "out" / "valid" / "one.nrrd").array.any()
    prepare.prepare(pairs[:1], tmp_path / "out", method="scale")
    assert done[4:] == ["one"]


def test_processes_give_the_bytes_that_one_gives(tmp_path: Path) -> None:
    pairs = some_pairs(tmp_path)
    prepare.prepare(pairs, tmp_path / "a")
    seen = []
    prepare.prepare(pairs, tmp_path / "b", workers=2, progress=lambda *step: seen.append(step))
    assert written(tmp_path / "a") == written(tmp_path / "b")
    assert seen[0] == ("Checking", 0, 2)
    assert seen[-1] == ("Preparing", 2, 2)


def test_lesions_move_with_the_target_and_a_lesion_taken_back_is_taken_away(tmp_path: Path) -> None:
    pairs = some_pairs(tmp_path)
    rows = prepare.prepare(pairs, tmp_path / "out", method="centroid")
    found = read_volume(tmp_path / "out" / "lesion" / "one.nrrd").array > 0
    wanted = body(SHAPE, np.zeros(3))[2]
    assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.7
    assert rows[0].lesions == 1
    prepare.prepare([replace(pair, lesions=()) for pair in pairs], tmp_path / "out", method="centroid")
    assert not (tmp_path / "out" / "lesion" / "one.nrrd").exists()


def test_a_lesion_that_the_grid_does_not_hold_is_said(tmp_path: Path) -> None:
    pair = some_pairs(tmp_path, ("one",))[0]
    lesions = read_volume(pair.lesions[0]).array
    lesions[:, 0, 0] = 2
    write(tmp_path / "les", lesions, "one")
    quality = prepare.prepare_pair(pair, Settings("centroid")).quality
    assert quality.lesions == 1
    assert quality.suspect == "1 of its lesions are off the grid"


def test_surfaces_guide_a_registration_as_labels_do(tmp_path: Path) -> None:
    pairs = some_pairs(tmp_path, ("one",))
    radii = np.array([22, 24, 14]) / 4 * [1.5, 1.5, 2.0]
    for name, moved in (("own", np.zeros(3)), ("other", MOVED)):
        centre = ((np.array(SHAPE) - 1) / 2 + moved)[::-1] * [1.5, 1.5, 2.0]
        write_surface(tmp_path / f"{name}.stl", ellipsoid(centre, radii))
    pair = replace(pairs[0], source_label=tmp_path / "own.stl", target_label=tmp_path / "other.stl")
    rows = prepare.prepare([pair], tmp_path / "out")
    assert rows[0].dice_after > 0.95 > rows[0].dice_before
    assert rows[0].shift_mm == pytest.approx(np.linalg.norm([4.5, 3.0]), abs=0.3)


@pytest.mark.parametrize("method", ["shift", "rigid", "affine", "bspline"])
def test_planar_pairs_are_registered_in_their_plane(tmp_path: Path, method: str) -> None:
    shape = (1, 64, 48)
    pairs = some_pairs(tmp_path, ("one",), shape)
    pair = replace(pairs[0], source_label=None, target_label=None)
    rows = prepare.prepare([pair], tmp_path / "out", by="images", method=method, source_modality="NM")
    assert rows[0].nmi_after > rows[0].nmi_before
    lesion = read_volume(tmp_path / "out" / "lesion" / "one.nrrd").array > 0
    wanted = body(shape, np.zeros(3))[2]
    assert lesion.shape == shape
    assert 2 * (lesion & wanted).sum() / (lesion.sum() + wanted.sum()) > 0.7


@pytest.mark.parametrize("method", ["centroid", "rigid", "scale", "affine", "bspline"])
def test_planar_labels_are_registered_too(tmp_path: Path, method: str) -> None:
    rows = prepare.prepare(some_pairs(tmp_path, ("one",), (1, 64, 48)), tmp_path / "out", method=method)
    assert rows[0].dice_after > 0.93 > rows[0].dice_before


def test_counts_are_kept_where_pixels_differ_in_size(tmp_path: Path) -> None:
    counts = gaussian_filter(np.random.default_rng(0).uniform(0, 200, (1, 40, 40)), (0, 3, 3)).astype(np.float32)
    fine = write(tmp_path, counts, "pool")
    coarse = write_volume(Volume(counts[:, ::2, ::2] * 4, (3.0, 3.0, 2.0), (0.75, 0.75, 0.0)), tmp_path / "late.nrrd")
    pair = PairFiles("a", fine, coarse)
    case = prepare.prepare_pair(pair, Settings("none", source_modality="NM", target_modality="NM"))
    inner = (0, slice(4, 36), slice(4, 36))
    assert case.target.array[inner].sum() == pytest.approx(counts[inner].sum(), rel=0.05)


@pytest.mark.parametrize("grid", [{"spacing": (3.0, 3.0, 3.0)}, {"size": (16, 16, 8)}])
def test_a_common_grid_has_what_was_asked_for_and_keeps_its_place(tmp_path: Path, grid: dict) -> None:
    pairs = some_pairs(tmp_path, ("one",))
    prepare.prepare(pairs, tmp_path / "own", method="centroid")
    prepare.prepare(pairs, tmp_path / "out", method="centroid", orientation="RSA", **grid)
    volumes = [read_volume(tmp_path / "out" / part / "one.nrrd") for part in ("source", "target", "valid", "lesion")]
    assert all(volume.same_grid(volumes[0]) for volume in volumes)
    assert axis_codes(volumes[0]) == "RSA"
    if "size" in grid:
        assert volumes[0].array.shape[::-1] == grid["size"]
    else:
        assert volumes[0].spacing == grid["spacing"]
    for part in ("source", "target", "lesion"):
        own, new = (read_volume(tmp_path / name / part / "one.nrrd") for name in ("own", "out"))
        np.testing.assert_allclose(middle(new), middle(own), atol=1.2)
        np.testing.assert_allclose(corner_points(new).mean(axis=0), corner_points(own).mean(axis=0), atol=0.8)


def middle(volume: Volume) -> np.ndarray:
    """LPS mm of the centre of what is bright."""
    from imagetranslation.volume import index_to_lps

    k, j, i = np.nonzero(volume.array > 0.5 * volume.array.max())
    return (index_to_lps(volume) @ np.array([i.mean(), j.mean(), k.mean(), 1]))[:3]


def test_a_suspect_registration_is_named_and_can_be_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some_pairs(tmp_path)
    for name, moved in (("one", np.zeros(3)), ("two", np.array([0, 8, 8]))):
        write(tmp_path / "mr_l", body(SHAPE, moved)[1].astype(np.uint8), name)
    words = ["--source", "us", "--target", "mr", "--source-labels", "us_l", "--target-labels", "mr_l"]
    words = [word if word.startswith("-") else str(tmp_path / word) for word in words]
    words += ["--method", "none", "-o", str(tmp_path / "out")]
    assert prepare.main(words) == 0
    assert "suspect: two: Dice" in capsys.readouterr().err
    listed = json.loads((tmp_path / "out" / "cases.json").read_text())["cases"]
    assert "Dice" in listed[1]["suspect"]
    assert prepare.main([*words, "--drop-suspect"]) == 0
    listed = json.loads((tmp_path / "out" / "cases.json").read_text())["cases"]
    assert [case["case"] for case in listed] == ["one"]
    assert "two" in (tmp_path / "out" / "report.csv").read_text()


def test_every_unusable_case_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    pairs = some_pairs(tmp_path, ("a", "b", "c"))
    (tmp_path / "us" / "a.nrrd").write_bytes(b"NRRD0005\nbroken")
    with pytest.raises(InputError, match=r"^a"):
        prepare.prepare(pairs, tmp_path / "out", method="centroid")
    write(tmp_path / "mr_l", np.zeros(SHAPE, np.uint8), "b")
    rows = prepare.prepare(pairs, tmp_path / "out", method="centroid", leave_out_unusable=True)
    assert [row.case for row in rows] == ["c"]
    left_out = json.loads((tmp_path / "out" / "report.json").read_text())["left_out"]
    assert set(left_out) == {"a", "b"}
    assert "empty" in left_out["b"]


def test_mixed_orientations_are_named_and_turned_alike_on_request(tmp_path: Path) -> None:
    pairs = some_pairs(tmp_path)
    for part in ("us", "us_l"):
        volume = read_volume(tmp_path / part / "two.nrrd")
        turned = Volume(
            volume.array[:, ::-1, ::-1].copy(), volume.spacing, (31.5, 34.5, 0.0), (-1.0, 0, 0, 0, -1, 0, 0, 0, 1)
        )
        write_volume(turned, tmp_path / part / "two.nrrd")
    with pytest.raises(InputError, match=r"2 orientations \(LPS: 1 \(one\); RAS: 1 \(two\)\)"):
        prepare.prepare(pairs, tmp_path / "out", method="centroid")
    rows = prepare.prepare(pairs, tmp_path / "out", method="centroid", orientation="LPS")
    assert [round(row.shift_mm, 1) for row in rows] == [round(row.shift_mm, 1) for row in rows[:1]] * 2
    for name in ("one", "two"):
        assert axis_codes(read_volume(tmp_path / "out" / "target" / f"{name}.nrrd")) == "LPS"


def test_one_image_under_two_patients_is_refused(tmp_path: Path) -> None:
    pairs = some_pairs(tmp_path)
    (tmp_path / "us" / "two.nrrd").write_bytes((tmp_path / "us" / "one.nrrd").read_bytes())
    with pytest.raises(InputError, match="one and two have the same source file"):
        prepare.prepare(pairs, tmp_path / "out")
    same = [replace(pair, patient="P", source_label=None, target_label=None, lesions=()) for pair in pairs]
    assert len(prepare.prepare(same, tmp_path / "out", method="none")) == 2
    with pytest.raises(InputError, match="twice"):
        prepare.prepare([same[0], replace(same[1], case="ONE")], tmp_path / "out")


def test_a_slice_cannot_be_paired_with_a_volume_nor_a_plane_with_one_across_it(tmp_path: Path) -> None:
    one, many = write(tmp_path, body((1, 20, 20), np.zeros(3))[0], "a"), write(tmp_path, body(SHAPE, MOVED)[0], "b")
    with pytest.raises(InputError, match="single slice"):
        prepare.prepare_pair(PairFiles("x", one, many), Settings())
    across = write(tmp_path, body((1, 20, 20), np.zeros(3))[0], "c", (1.0, 0, 0, 0, 0, -1, 0, 1, 0))
    with pytest.raises(InputError, match="not parallel"):
        prepare.prepare_pair(PairFiles("x", one, across), Settings())


def test_lesions_off_the_images_grid_or_without_numbers_are_refused(tmp_path: Path) -> None:
    pair = some_pairs(tmp_path, ("one",))[0]
    write_volume(Volume(np.ones(SHAPE, np.uint8), (1.0, 1.0, 1.0)), pair.lesions[0])
    with pytest.raises(InputError, match="grid of its image"):
        prepare.prepare_pair(pair, Settings("centroid"))
    write(tmp_path / "les", np.full(SHAPE, 0.3, np.float32), "one")
    with pytest.raises(InputError, match="not numbered"):
        prepare.prepare_pair(pair, Settings("centroid"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "centroid", "by": "images"}, "no registration"),
        ({"spacing": (1, 1, 1), "size": (9, 9, 9)}, "not both"),
        ({"spacing": (0.0, 1, 1)}, "0.05"),
        ({"size": (0, 9, 9)}, "4096"),
        ({"orientation": "LPR"}, "no orientation"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings(**wrong)


def test_a_full_disk_leaves_no_case_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = some_pairs(tmp_path)
    original, calls = os.replace, []

    def full(source: str, target: str) -> None:
        calls.append(str(target))
        if len(calls) == 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunFailed, match="disk is full"):
        prepare.prepare(pairs, tmp_path / "out", method="centroid")
    monkeypatch.undo()
    assert not (tmp_path / "out" / "cases.json").exists()
    assert not list((tmp_path / "out").rglob(".*"))
    assert prepared.read_record(tmp_path / "out", "two") is None
    assert len(prepare.prepare(pairs, tmp_path / "out", method="centroid")) == 2


class TestWithoutLabels:
    """What `--method` means where some or all cases have no labels."""

    def command(self, folder: Path, *more: str) -> list[str]:
        some_pairs(folder)
        given = ["--source", str(folder / "us"), "--target", str(folder / "mr"), "-o", str(folder / "out")]
        return [*given, "--source-modality", "CT", "--target-modality", "MR", *more]

    @pytest.mark.parametrize(
        ("asked", "done"),
        [(["--method", "rigid"], "rigid"), ([], "shift"), (["--method", "none"], "already registered")],
    )
    def test_the_images_are_registered_as_asked_and_each_case_says_how(
        self, tmp_path: Path, asked: list[str], done: str
    ) -> None:
        prepare.main(self.command(tmp_path, *asked))
        listed = json.loads((tmp_path / "out" / "cases.json").read_text())["cases"]
        assert [case["registration"].split(": ")[-1] for case in listed] == [done, done]

    @pytest.mark.parametrize("method", ["scale", "centroid"])
    def test_a_method_that_needs_labels_is_refused(
        self, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(lambda: prepare.main(self.command(tmp_path, "--method", method))) == 2
        assert "one" in (told := capsys.readouterr().err)
        assert "labels" in told
        assert "rigid" in told

    def test_what_earlier_versions_shifted_instead_is_done_again(self, tmp_path: Path) -> None:
        pair = replace(some_pairs(tmp_path)[0], source_label=None, target_label=None)
        inputs = prepared.hashes(pair)
        affine, own = Settings("affine"), replace(pair, source_label=tmp_path / "a", target_label=tmp_path / "b")
        assert prepared.digest(pair, affine, inputs) != prepared.digest(own, affine, inputs)
        for kept in (Settings(), Settings("none")):
            assert prepared.digest(pair, kept, inputs) == prepared.digest(own, kept, inputs)


def test_ways_to_name_pairs_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda: prepare.main(["-o", str(tmp_path / "out")])) == 2
    assert run(lambda: prepare.main(["--csv", "a", "--tcia", "b", "-o", str(tmp_path / "out")])) == 2
    assert capsys.readouterr().err.count("error: Say where the pairs are") == 2
    assert not (tmp_path / "out").exists()


def test_the_public_pairs_give_the_same_images_as_before(prostate_pairs: Path, tmp_path: Path) -> None:
    import hashlib

    pairs = list_pairs(*(prostate_pairs / part for part in ("us", "mr", "us_labels", "mr_labels")))
    prepare.prepare(pairs[:1], tmp_path)
    target = read_volume(tmp_path / "target" / "case00.nrrd").array
    # Not the bytes: another processor may round the last place otherwise.
    assert hashlib.sha256(np.rint(target).astype(np.uint8).tobytes()).hexdigest()[:16] == "a967fe342af0d2d2"
    assert not (tmp_path / "lesion").exists()


@pytest.mark.parametrize("method", ["rigid", "scale", "affine"])
def test_voxels_of_two_sizes_do_not_draw_the_glands_apart(tmp_path: Path, method: str) -> None:
    fine = body((40, 40, 40), np.zeros(3))
    coarse = [array[::3].astype(np.float32) for array in fine[:2]]
    place = {"us": fine[0], "us_l": fine[1].astype(np.uint8)}
    files = {name: write_volume(Volume(array), tmp_path / f"{name}.nrrd") for name, array in place.items()}
    for name, array in (("mr", coarse[0]), ("mr_l", coarse[1])):
        files[name] = write_volume(Volume(array, (1.0, 1.0, 3.0)), tmp_path / f"{name}.nrrd")
    pair = PairFiles("one", files["us"], files["mr"], files["us_l"], files["mr_l"])
    quality = prepare.prepare_pair(pair, Settings(method)).quality
    assert quality.shift_mm < 0.35


@pytest.mark.parametrize("method", ["rigid", "scale", "affine"])
def test_an_odd_and_an_even_number_of_voxels_do_not_draw_the_glands_apart(tmp_path: Path, method: str) -> None:
    image, gland, _ = body((40, 40, 40), np.zeros(3))
    files = {}
    for name, array in (("us", image), ("us_l", gland), ("mr", image[:39, :39, :39]), ("mr_l", gland[:39, :39, :39])):
        files[name] = write_volume(Volume(array.astype(np.float32)), tmp_path / f"{name}.nrrd")
    pair = PairFiles("one", files["us"], files["mr"], files["us_l"], files["mr_l"])
    assert prepare.prepare_pair(pair, Settings(method)).quality.shift_mm < 0.05
