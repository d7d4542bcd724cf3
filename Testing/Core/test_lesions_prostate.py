"""Reading prostate lesions: what was erased is missed, what was drawn in is invented, and nothing else."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.provenance import Provenance
from imagetranslation.volume import Volume, read_volume, write_volume
from training_tools.lesionreading.cases import from_folder
from training_tools.lesionreading.prostate_measures import around, contrast, dice, regions
from training_tools.lesionreading.prostate_rule import Rule
from training_tools.lesionreading.prostate_view import INNER, PERIPHERAL, View, load
from training_tools.lesions import main

SHAPE, SPACING = (20, 56, 56), (1.0, 1.0, 2.0)
LESIONS = {1: (10, 44, 20), 2: (10, 44, 38), 3: (9, 28, 20)}  # two in the peripheral zone, one in the inner gland
PLANTED = (11, 26, 38)
CASES = 3


def ball(centre: tuple[int, int, int], radius: float) -> np.ndarray:
    """Bool (k, j, i): within so many mm of a place."""
    grids = np.indices(SHAPE)
    steps = (SPACING[2], SPACING[1], SPACING[0])
    return np.asarray(sum(((g - at) * mm) ** 2 for g, at, mm in zip(grids, centre, steps)) <= radius**2)


def zones() -> np.ndarray:
    """1 where the peripheral zone is: the back of the gland."""
    return np.where(np.indices(SHAPE)[1] >= 38, 1, 2).astype(np.uint8)


def gland() -> np.ndarray:
    k, j, i = (grid.astype(float) for grid in np.indices(SHAPE))
    return ((k - 10) / 9) ** 2 + ((j - 32) / 20) ** 2 + ((i - 28) / 24) ** 2 < 1


def real_image(case: int, lesions: tuple[int, ...] = (1, 2, 3)) -> np.ndarray:
    """A bright peripheral and a dark inner zone with noise, lesions 40% darker than their zone."""
    image = np.where(zones() == 1, 200.0, 120.0)
    for number in lesions:
        image[ball(LESIONS[number], 5.0)] *= 0.6
    return (image + np.random.default_rng(case).normal(0, 12, SHAPE)).astype(np.float32)


@pytest.fixture
def data(tmp_path) -> Path:
    """Prepared cases with three lesions each; the ultrasound knows nothing of them."""
    folder = tmp_path / "data"
    marked = np.zeros(SHAPE, np.uint8)
    for number, centre in LESIONS.items():
        marked[ball(centre, 5.0)] = number
    for case in range(CASES):
        noise = np.random.default_rng([9, case]).normal(100, 12, SHAPE)
        parts = {"source": noise, "target": real_image(case), "valid": np.ones(SHAPE), "target_label": gland(),
                 "lesion": marked, "zones": zones()}  # fmt: skip
        for part, array in parts.items():
            (folder / part).mkdir(parents=True, exist_ok=True)
            kind = np.float32 if part in ("source", "target") else np.uint8
            write_volume(Volume(array.astype(kind), SPACING), folder / part / f"case{case}.nrrd")
    cases = [{"case": f"case{n}", "patient": f"P{n}"} for n in range(CASES)]
    (folder / "cases.json").write_text(json.dumps({"settings": {}, "cases": cases}))
    return folder


def made(folder: Path, images: dict[int, np.ndarray], model: str = "planted") -> Path:
    """Synthetic images of cases in another unit than the real ones."""
    folder.mkdir(exist_ok=True)
    for case, image in images.items():
        record = Provenance(model, "1", "ab" * 32, "us2mri", "MR", f"case{case}", "", "2026", "test")
        write_volume(Volume(image / 3 + 10, SPACING, provenance=record), folder / f"case{case}.nrrd")
    return folder


def reading(data: Path, synthetic: Path, output: Path, *more: str) -> dict[str, Any]:
    arguments = ["us2mri", "--data", str(data), "--synthetic", str(synthetic), "--zones", str(data / "zones"),
                 "--draws", "200", "-o", str(output), *more]  # fmt: skip
    assert main(arguments) == 0
    found: dict[str, Any] = json.loads((output / "lesions.json").read_text())
    for name in ("lesions", "images", "marks"):
        found[name] = list(csv.DictReader((output / f"{name}.csv").open()))
    return found


def a_view(data: Path, image: np.ndarray, rule: Rule | None = None) -> View:
    case = from_folder(data).cases[0]
    volume = Volume(image, SPACING)
    return load(case, lambda _: volume, data, data / "zones", 1, rule or Rule())


def test_erased_lesions_are_missed_and_all_others_found(data, tmp_path):
    erased = {0: (1, 2, 3), 1: (2, 3), 2: (1,)}
    images = {case: real_image(case + 50, kept) for case, kept in erased.items()}
    found = reading(data, made(tmp_path / "made", images), tmp_path / "out")
    assert {row["weights_sha256"] for row in found["images"]} == {"ab" * 32}
    assert found["synthetic"]["weights_of_images"] == ["ab" * 32]
    missed = {(row["case"], row["lesion"]) for row in found["lesions"] if row["outcome"] == "missed"}
    assert missed == {("case1", "1"), ("case2", "2"), ("case2", "3")}
    assert sum(row["outcome"] == "found" for row in found["lesions"]) == 6
    every = found["results"]["sensitivity"][-1]
    assert (every["k"], every["n"]) == (6, 9)
    assert [row["false_positives"] for row in found["images"]] == ["0"] * 3
    assert found["results"]["contrast"]["cnr"]["bias"]["value"] > 0
    page = (tmp_path / "out" / "lesions.html").read_text()
    assert page.count("alt='case") == 3
    assert page.count(".gallery{") == 1


def test_a_dark_place_that_was_drawn_in_is_invented_once_and_counted_in_its_image(data, tmp_path):
    images = {case: real_image(case + 50) for case in range(CASES)}
    images[1][ball(PLANTED, 5.0)] *= 0.5
    found = reading(data, made(tmp_path / "made", images), tmp_path / "out")
    invented = [row for row in found["marks"] if row["invented"] == "1"]
    assert [row["case"] for row in invented] == ["case1"]
    place = tuple(int(invented[0][name]) for name in ("slice", "row", "column"))
    assert np.linalg.norm((np.array(place) - PLANTED) * (2, 1, 1)) < 3
    assert [row["false_positives"] for row in found["images"]] == ["0", "1", "0"]
    assert all(row["outcome"] == "found" for row in found["lesions"])


def test_what_the_real_image_shows_dark_too_is_no_invention(data, tmp_path):
    for case in range(CASES):
        image = real_image(case)
        image[ball(PLANTED, 5.0)] *= 0.5
        write_volume(Volume(image, SPACING), data / "target" / f"case{case}.nrrd")
    images = {case: read_volume(data / "target" / f"case{case}.nrrd").array for case in range(CASES)}
    found = reading(data, made(tmp_path / "made", images), tmp_path / "out")
    assert any(row["image"] == "synthetic" and row["lesion"] == "" and row["marked"] == "1" for row in found["marks"])
    assert not any(row["invented"] == "1" for row in found["marks"])


def test_contrast_is_taken_in_the_lesions_own_zone_whatever_the_unit(data):
    view = a_view(data, real_image(0) / 3 + 10)
    assert set(view.zones) == {PERIPHERAL, INNER}
    for number, level in ((1, 200.0), (3, 120.0)):
        mask = (view.lesions == number) & view.gland
        beside = around(mask, view, view.lesions > 0)
        one, other = (contrast(view.images[name], mask, beside, view.spread[name]) for name in ("real", "synthetic"))
        assert one.cnr == pytest.approx(other.cnr, rel=1e-3)
        assert one.contrast == pytest.approx(other.contrast, rel=1e-3)
        assert one.cnr == pytest.approx(-0.4 * level / 12, rel=0.1)


def test_the_detector_outlines_a_lesion_and_finds_nothing_in_noise(data):
    view = a_view(data, real_image(0))
    best = [max(dice(view.lesions == number, region.mask) for region in regions(view, "real")) for number in LESIONS]
    assert min(best) > 0.6
    plain = np.random.default_rng(3).normal(100, 12, SHAPE).astype(np.float32)
    noise = a_view(data, plain)
    assert not [region for region in regions(noise, "synthetic") if region.score >= Rule().mark_cnr]


def test_a_stricter_rule_sees_less(data, tmp_path):
    images = {case: real_image(case + 50) for case in range(CASES)}
    for image in images.values():
        image[ball(LESIONS[1], 5.0)] += 60  # still darker than its zone, less so
    folder = made(tmp_path / "made", images)
    usual = reading(data, folder, tmp_path / "usual")
    strict = reading(data, folder, tmp_path / "strict", "--seen-cnr", "3", "--mark-cnr", "3")
    assert usual["results"]["outcomes"] == {"found": 9}
    assert strict["results"]["outcomes"]["missed"] >= 3


def test_size_bands_groups_and_the_table_of_lesions_are_used(data, tmp_path):
    table = tmp_path / "table.csv"
    rows = [f"case{case},{number},{'high' if number == 1 else 'low'},{int(number != 3)}"
            for case in range(CASES) for number in LESIONS]  # fmt: skip
    table.write_text("case,lesion,grade,mr_visible\n" + "\n".join(rows) + "\n")
    folder = made(tmp_path / "made", {case: real_image(case + 50) for case in range(CASES)})
    more = ("--lesions", str(table), "--truth", "table", "--size-bands", "9", "11")
    found = reading(data, folder, tmp_path / "out", *more)
    groups = {row["of"]: (row["k"], row["n"]) for row in found["results"]["sensitivity"]}
    assert groups == {"high": (3, 3), "low": (3, 3), "all lesions": (6, 6)}
    assert found["results"]["specificity"]["n"] == 3  # the third is dark, but the table says it is not seen
    assert sum(row["outcome"] == "invented" for row in found["lesions"]) == 3
    sizes = {row["of"]: row["n"] for row in found["results"]["by_size"]}
    assert sizes == {"below 9 mm": 0, "9 to 11 mm": 6, "11 mm or more": 0}


def test_marks_of_the_real_image_are_false_only_by_a_table(data, tmp_path):
    for case in range(CASES):
        image = real_image(case)
        image[ball(PLANTED, 5.0)] *= 0.5
        write_volume(Volume(image, SPACING), data / "target" / f"case{case}.nrrd")
    folder = made(tmp_path / "made", {case: real_image(case + 50) for case in range(CASES)})
    table = tmp_path / "table.csv"
    rows = [f"case{case},{number},1" for case in range(CASES) for number in LESIONS]
    table.write_text("case,lesion,mr_visible\n" + "\n".join(rows) + "\n")
    by_rule = reading(data, folder, tmp_path / "rule")
    by_table = reading(data, folder, tmp_path / "table", "--lesions", str(table), "--truth", "table")
    alone = by_rule["results"]["froc"]["real"]
    assert "points" not in alone
    assert (alone["k"], alone["n"]) == (9, 9)
    assert "No curve: what counts in truth" in (tmp_path / "rule" / "lesions.html").read_text()
    assert {row["false"] for row in by_rule["marks"] if row["image"] == "real"} == {""}
    false = [
        row for row in by_table["marks"] if row["image"] == "real" and row["false"] == "1" and row["marked"] == "1"
    ]
    assert sorted(row["case"] for row in false) == [f"case{case}" for case in range(CASES)]
    assert max(point["false_positives_per_image"] for point in by_table["results"]["froc"]["real"]["points"]) >= 1


def test_a_constant_synthetic_image_misses_all_and_says_why(data, tmp_path):
    images = {case: real_image(case) for case in range(CASES)}
    images[2] = np.full(SHAPE, 90.0, np.float32)
    found = reading(data, made(tmp_path / "made", images), tmp_path / "out")
    assert [row["outcome"] for row in found["lesions"] if row["case"] == "case2"] == ["missed"] * 3
    assert any("case2: the synthetic image is constant in the gland" in note for note in found["notes"])


def test_cases_that_cannot_be_read_are_listed_and_the_others_read(data, tmp_path):
    (data / "target_label" / "case0.nrrd").unlink()
    write_volume(Volume(zones()[:-1], SPACING), data / "zones" / "case1.nrrd")
    folder = made(tmp_path / "made", {case: real_image(case) for case in range(CASES)})
    found = reading(data, folder, tmp_path / "out")
    assert found["cases"] == 1
    assert any("case0: it has no label of the gland" in text for text in found["excluded"])
    assert any("case1: zones/case1.nrrd is not on the grid" in text for text in found["excluded"])
    assert "2 cases could not be read" in (tmp_path / "out" / "lesions.html").read_text()


def test_images_and_lesions_on_another_grid_are_listed_by_name(data, tmp_path):
    folder = made(tmp_path / "made", {case: real_image(case) for case in range(CASES)})
    write_volume(Volume(real_image(0)[:, :-2], SPACING), folder / "case0.nrrd")
    write_volume(Volume(np.ones(SHAPE, np.uint8), (1.0, 1.0, 3.0)), data / "lesion" / "case1.nrrd")
    found = reading(data, folder, tmp_path / "out")
    assert sorted(text.partition(":")[0] for text in found["excluded"]) == ["case0", "case1"]
    assert any("synthetic image is not on the grid" in text for text in found["excluded"])
    assert any("lesion/case1.nrrd is not on the grid" in text for text in found["excluded"])
    assert {row["case"] for row in found["lesions"]} == {"case2"}


def test_without_zones_the_page_warns(data, tmp_path):
    folder = made(tmp_path / "made", {case: real_image(case) for case in range(CASES)})
    assert main(["us2mri", "--data", str(data), "--synthetic", str(folder), "-o", str(tmp_path / "out")]) == 0
    assert "No zones were given" in (tmp_path / "out" / "lesions.html").read_text()


def test_two_model_versions_unmarked_data_and_rules_that_cannot_be_are_refused(data, tmp_path):
    folder = made(tmp_path / "made", {0: real_image(0), 1: real_image(1)})
    made(folder, {2: real_image(2)}, model="another")
    with pytest.raises(InputError, match="different models or versions"):
        reading(data, folder, tmp_path / "out")
    with pytest.raises(InputError, match="contrasts to noise"):
        reading(data, folder, tmp_path / "out", "--seen-cnr", "-1")
    with pytest.raises(InputError, match="must rise"):
        reading(data, folder, tmp_path / "out", "--size-bands", "5", "3")
    for case in range(CASES):
        (data / "lesion" / f"case{case}.nrrd").unlink()
    with pytest.raises(InputError, match="marks no lesion"):
        reading(data, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
