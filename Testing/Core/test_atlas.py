"""The failure atlas finds what was planted, says when there is nothing to see, and refuses what does not belong."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagetranslation.errors import ImageTranslationError, InputError
from imagetranslation.volume import Volume, read_volume, write_volume
from Testing.packages import make_package, metadata
from training_tools.atlas import main
from training_tools.atlases import pictures, relations
from training_tools.atlases.evaluations import read
from training_tools.atlases.making import make
from training_tools.atlases.telling import record
from training_tools.dataset import load_case
from training_tools.evaluating import writing

from . import atlas_cases
from .atlas_cases import WEIGHTS, a_config, evaluated, lesion_tables, prepared, proportional, shuffled

RISING = {f"case{n}": 1.0 + 0.2 * n for n in range(8)}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return prepared(tmp_path_factory.mktemp("atlas") / "data", 8)


@pytest.fixture(scope="module")
def planted(data, tmp_path_factory) -> Path:
    """Errors as large as the maps say, growing from the first case to the last."""
    return evaluated(tmp_path_factory.mktemp("planted"), data, proportional, RISING)


def an_atlas(evaluation: Path, data: Path, **options: Any) -> dict[str, Any]:
    """What atlas.json would hold, without the page, which takes longer than all the rest."""
    return record(make(read(evaluation, "us2mri", data=data, by=options.get("by", "mae")), **options))


def written(evaluation: Path, data: Path, output: Path, *more: str) -> dict[str, Any]:
    arguments = ["--task", "us2mri", "--evaluation", str(evaluation), "--data", str(data), "-o", str(output), *more]
    assert main(arguments) == 0
    return dict(json.loads((output / "atlas.json").read_text()))


def test_planted_uncertainty_is_found_to_go_with_error(planted, data):
    found = an_atlas(planted, data)
    inside = found["uncertainty_by_voxel"]
    assert inside["rho"]["mean"] > 0.95
    assert inside["rho"]["interval"]["low"] > 0.9
    assert inside["ause"]["mean"] < 0.02
    assert all(row["observed"] == pytest.approx(row["predicted"], rel=0.1) for row in inside["bins"])
    assert "strongly larger" in inside["sentences"][0]
    assert inside["sentences"][2].startswith("Calibrated: ")
    assert found["uncertainty_by_patient"]["rho"] > 0.95


def test_a_relation_between_patients_is_found_with_its_interval_and_few_patients_are_said():
    random = np.random.default_rng(1)
    doubt = {f"P{n}": float(n) for n in range(30)}
    error = {one: value + random.normal(0, 2) for one, value in doubt.items()}
    found = relations.between("x", "mean uncertainty", doubt, error)
    assert found.rho is not None
    assert found.rho > 0.9
    assert found.interval.low is not None
    assert 0.8 < found.interval.low < found.rho
    assert found.sentence.startswith("Patients with a larger mean uncertainty have larger errors")
    assert "Few patients" not in found.sentence
    few = {one: doubt[one] for one in list(doubt)[::3]}
    assert "Few patients" in relations.between("x", "mean uncertainty", few, error).sentence


def test_shuffled_uncertainty_shows_nothing_and_says_so(data, tmp_path):
    found = an_atlas(evaluated(tmp_path, data, shuffled), data)
    inside = found["uncertainty_by_voxel"]
    interval = inside["rho"]["interval"]
    assert interval["low"] <= 0 <= interval["high"]
    assert inside["sentences"][0].startswith("Shows nothing")
    between = found["uncertainty_by_patient"]["interval"]
    assert between["low"] <= 0 <= between["high"]
    assert found["uncertainty_by_patient"]["sentence"].startswith("Shows nothing")


def test_a_map_that_is_largest_where_errors_are_smallest_goes_the_wrong_way(data, tmp_path):
    def inverse(case, random):
        error, deviation = proportional(case, random)
        return error, 11 - deviation

    found = an_atlas(evaluated(tmp_path, data, inverse), data)
    assert found["uncertainty_by_voxel"]["sentences"][0].startswith("Goes the wrong way")


def test_the_planted_worst_patient_comes_first(data, tmp_path):
    evaluation = evaluated(tmp_path, data, sizes={"case3": 4.0, "case5": 2.0})
    found = written(evaluation, data, tmp_path / "atlas", "--cases", "2")
    assert [one["patient"] for one in found["worst"]] == ["P3", "P5"]
    assert found["worst"][0]["worse_than_percent"]["mae"] == 100.0
    rows = list(csv.DictReader((tmp_path / "atlas" / "atlas.csv").open()))
    assert [row["case"] for row in rows[:2]] == ["case3", "case5"]
    assert len(rows) == 8
    assert [row["pictured"] for row in rows] == ["1"] * 2 + ["0"] * 6


def test_the_worst_are_worst_also_where_higher_is_better(planted, data):
    found = an_atlas(planted, data, by="ssim", shown=1)
    assert [one["patient"] for one in found["worst"]] == ["P7"]


def test_the_picture_is_of_the_slice_with_the_largest_error(data, tmp_path):
    def in_one_slice(case, random):
        error, deviation = proportional(case, random)
        error[2] *= 4
        return error, deviation

    found = an_atlas(evaluated(tmp_path, data, in_one_slice), data)
    assert {row["slice"] for row in found["rows"]} == {2}


def test_a_page_says_synthetic_needs_nothing_else_and_stays_small(planted, data, tmp_path):
    written(planted, data, tmp_path / "atlas")
    page = (tmp_path / "atlas" / "atlas.html").read_text()
    assert "<link" not in page
    assert not re.search(r"(src|href)='?\"?http", page)
    assert page.count("class='case'") == 8
    assert "nothing on this page is for diagnosis" in page
    assert len(page) < 8 * 250_000  # 20 cases stay below 5 MB


def test_a_synthetic_picture_says_so_in_its_pixels(data):
    case = load_case(data, a_config(), "case0")
    flat = np.full(case.reference.shape, 127, np.float32)
    shown = {tile.label: tile for tile in pictures.tiles(case, a_config(), flat, None, 0)}
    pixels = Image.open(io.BytesIO(base64.b64decode(shown["synthetic"].address.partition(",")[2])))
    corner = np.asarray(pixels)[:16, :70]
    assert corner.min() < 40
    assert corner.max() > 180


def test_simulated_patients_are_called_so(tmp_path):
    data = prepared(tmp_path / "data", 5, simulated=True)
    found = written(evaluated(tmp_path, data, cases=5), data, tmp_path / "atlas")
    assert found["simulated"] is True
    assert "nothing here is comparable" in (tmp_path / "atlas" / "atlas.html").read_text()


def test_planar_images_of_few_patients_have_an_atlas_that_claims_nothing(tmp_path):
    data = prepared(tmp_path / "data", 3, (1, 60, 40))
    found = written(evaluated(tmp_path, data, cases=3), data, tmp_path / "atlas")
    assert "Shows nothing about mean uncertainty: 3 patients" in found["uncertainty_by_patient"]["sentence"]
    assert found["uncertainty_by_voxel"]["rho"]["interval"]["refused"]
    rows = list(csv.DictReader((tmp_path / "atlas" / "atlas.csv").open()))
    assert all(row["slice"] == "" and row["pictured"] == "1" for row in rows)


def test_missing_maps_are_listed_and_the_others_used(data, tmp_path):
    evaluation = evaluated(tmp_path, data)
    (tmp_path / "images" / "case2_uncertainty.nrrd").unlink()
    found = an_atlas(evaluation, data)
    assert found["uncertainty_by_voxel"]["rho"]["n"] == 7
    assert ["case2"] in found["missing"].values()


def test_a_package_is_asked_for_images_and_maps_itself(data, tmp_path):
    made = metadata(modality="NM", field_of_view="whole")
    package = make_package(tmp_path / "package", made=made)
    from imagetranslation.inference import translate

    config, scores = a_config(), {}
    for name in ("case0", "case1"):
        case = load_case(data, config, name)
        image = translate(case.source, package, device="cpu").array
        scores[name] = {"mae": float(np.abs(image - case.reference).mean())}
    output = tmp_path / "evaluation"
    output.mkdir()
    writing.write_scores({"tiny": scores}, {"case0": "P0", "case1": "P1"}, output / "scores.csv")
    settings = {
        "config": config.model_dump(mode="json", exclude={"card"}), "methods": {"tiny": str(package.path)},
        "weights": {"tiny": package.weights_sha256},
    }  # fmt: skip
    (output / "evaluation.json").write_text(json.dumps({"settings": settings}))
    found = an_atlas(output, data, samples=2, device="cpu")
    assert found["uncertainty_by_voxel"]["rho"]["n"] == 2
    assert "the model describes no training scans" in found["missing"]
    make_package(tmp_path / "package", seed=1, made=made)
    with pytest.raises(InputError, match="another version of the model"):
        an_atlas(output, data)


def test_lesions_are_counted_and_drawn_missed_ones_first(planted, data, tmp_path):
    tables = lesion_tables(tmp_path / "lesions", ["case0", "case1", "elsewhere"])
    found = written(planted, data, tmp_path / "atlas", "--lesions", str(tables))["lesions"]
    assert found["groups"]["all"] == {"found": 3, "missed": 3, "invented": 0, "clear": 0}
    assert [one["what"] for one in found["failures"]] == ["missed"] * 3 + ["invented"] * 3
    assert found["read_but_not_evaluated"] == ["elsewhere"]
    assert len(found["evaluated_but_not_read"]) == 6
    page = (tmp_path / "atlas" / "atlas.html").read_text()
    assert page.count("class='failure'") == 4
    assert "3 of 6 lesions" in page
    shown = re.findall(r"class='failure'><b>(\w+)</b>", page)
    assert shown == ["vanished"] * 2 + ["invented"] * 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "lesions.json").unlink(), "holds no lesion reading"),
        (lambda folder: (folder / "marks.csv").unlink(), "cannot be read"),
        (lambda folder: (folder / "lesions.csv").write_text("case,patient\ncase0,P0\n"), "no column 'group'"),
        (lambda folder: (folder / "lesions.json").write_text('{"task": "pool2delayed"}'), "of pool2delayed"),
        (
            lambda folder: (folder / "lesions.json").write_text('{"made": {"weights_sha256": "00"}}'),
            "another version of the model",
        ),
    ],
)
def test_a_lesion_reading_that_does_not_fit_is_refused(planted, data, tmp_path, change, sentence):
    tables = lesion_tables(tmp_path / "lesions", ["case0"])
    change(tables)
    with pytest.raises(InputError, match=sentence):
        written(planted, data, tmp_path / "atlas", "--lesions", str(tables))
    assert not (tmp_path / "atlas").exists()


def test_lesions_read_in_images_of_another_training_are_refused_by_the_images_own_mark(planted, data, tmp_path):
    others = lesion_tables(tmp_path / "others", ["case0"], weights="cd" * 32)
    with pytest.raises(InputError, match="another version of the model"):
        written(planted, data, tmp_path / "atlas", "--lesions", str(others))
    same = lesion_tables(tmp_path / "same", ["case0"], weights=WEIGHTS)
    told = written(planted, data, tmp_path / "known", "--lesions", str(same))["lesions"]["sentences"]
    assert not any("on trust" in sentence for sentence in told)
    silent = lesion_tables(tmp_path / "silent", ["case0"])
    told = written(planted, data, tmp_path / "unknown", "--lesions", str(silent))["lesions"]["sentences"]
    assert any("does not say which weights made its images" in sentence for sentence in told)


def test_lesions_of_other_cases_are_refused(planted, data, tmp_path):
    tables = lesion_tables(tmp_path / "lesions", ["elsewhere"])
    with pytest.raises(InputError, match="no case of this evaluation"):
        written(planted, data, tmp_path / "atlas", "--lesions", str(tables))


@pytest.fixture
def copied(planted, tmp_path) -> Path:
    """An evaluation whose files a test may damage."""
    shutil.copytree(planted.parent, tmp_path / "copy")
    record = json.loads((tmp_path / "copy" / "evaluation" / "evaluation.json").read_text())
    record["settings"]["methods"]["planted"] = str(tmp_path / "copy" / "images")
    (tmp_path / "copy" / "evaluation" / "evaluation.json").write_text(json.dumps(record))
    return tmp_path / "copy"


def test_images_that_are_not_those_that_were_scored_are_refused(copied, data, tmp_path):
    case = load_case(data, a_config(), "case4")
    atlas_cases.write_image(copied / "images", case, case.reference + 1, np.ones(case.reference.shape))
    with pytest.raises(InputError, match="case4: its mean absolute error is"):
        written(copied / "evaluation", data, tmp_path / "atlas")
    assert not (tmp_path / "atlas").exists()


def test_images_of_another_model_version_are_refused(copied, data, tmp_path):
    path = copied / "images" / "case1.nrrd"
    image, case = read_volume(path), load_case(data, a_config(), "case1")
    atlas_cases.write_image(copied / "images", case, image.array, np.ones(case.reference.shape), weights="cd" * 32)
    with pytest.raises(InputError, match="another version of the model"):
        written(copied / "evaluation", data, tmp_path / "atlas")


def test_a_map_on_another_grid_is_refused(copied, data, tmp_path):
    path = copied / "images" / "case1_uncertainty.nrrd"
    there = read_volume(path)
    write_volume(Volume(there.array[:, :-1], provenance=there.provenance, name="map"), path)
    with pytest.raises(InputError, match="not on the grid"):
        written(copied / "evaluation", data, tmp_path / "atlas")


def test_a_map_that_does_not_say_it_is_one_is_refused(copied, data, tmp_path):
    write_volume(Volume(np.ones(atlas_cases.SHAPE, np.float32)), copied / "images" / "case1_uncertainty.nrrd")
    with pytest.raises(InputError, match="does not say that it is an uncertainty map"):
        written(copied / "evaluation", data, tmp_path / "atlas")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda copy: (copy / "evaluation" / "evaluation.json").unlink(), "holds no evaluation"),
        (lambda copy: (copy / "evaluation" / "evaluation.json").write_text("{"), "cannot be read"),
        (lambda copy: (copy / "evaluation" / "evaluation.json").write_text("[]"), "must hold one JSON object"),
        (lambda copy: (copy / "evaluation" / "scores.csv").unlink(), "is no scores.csv"),
        (lambda copy: shutil.rmtree(copy / "images"), "no longer lies at"),
        (lambda copy: (copy / "images" / "case6.nrrd").unlink(), "0 images of case6"),
        (lambda copy: (copy / "evaluation" / "scores.csv").open("a").write("case9,P9,planted,mae,1\n"), "case9"),
    ],
)
def test_an_evaluation_that_is_not_whole_is_one_sentence(copied, data, tmp_path, change, sentence):
    change(copied)
    with pytest.raises(ImageTranslationError, match=sentence) as refused:
        written(copied / "evaluation", data, tmp_path / "atlas")
    assert "\n" not in str(refused.value)


def test_another_task_another_method_and_a_taken_folder_are_refused(planted, data, tmp_path):
    arguments = ["--evaluation", str(planted), "--data", str(data), "-o", str(tmp_path / "atlas")]
    with pytest.raises(InputError, match="of the task us2mri, not pool2delayed"):
        main(["--task", "pool2delayed", *arguments])
    with pytest.raises(InputError, match="no method 'theirs'; there are planted"):
        main(["--task", "us2mri", "--method", "theirs", *arguments])
    (tmp_path / "atlas").mkdir()
    (tmp_path / "atlas" / "mine.txt").write_text("kept")
    with pytest.raises(InputError, match="there already"):
        main(["--task", "us2mri", *arguments])


def test_data_must_be_named_where_the_evaluation_does_not_tell_them(planted, tmp_path):
    with pytest.raises(InputError, match="--data"):
        main(["--task", "us2mri", "--evaluation", str(planted), "-o", str(tmp_path / "atlas")])


def test_a_relation_of_a_constant_is_refused_and_not_a_number():
    same = dict.fromkeys("abcdefg", 1.0)
    found = relations.between("x", "a constant", same, {one: float(n) for n, one in enumerate(same)})
    assert found.rho is None
    assert "the same in all patients" in found.sentence


def test_patients_with_uncalibrated_maps_stay_out_of_the_bins():
    random = np.random.default_rng(0)
    voxels = []
    for number in range(6):
        deviation = random.uniform(1, 2, 500).astype(np.float32)
        calibrated = number < 5
        error = deviation if calibrated else 100 * deviation
        voxels.append(relations.Voxels(f"P{number}", deviation, error * random.uniform(0.9, 1.1, 500), calibrated))
    found = relations.within(voxels)
    assert found is not None
    assert found.calibrated == 5
    assert max(row["observed"] for row in found.bins) < 3
    assert "1 of 6 patients have uncalibrated maps" in found.sentences[-1]
