"""What is wrong with the input of a lesion reading is refused, or listed by name; nothing is dropped in silence."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.provenance import Provenance
from imagetranslation.volume import Volume, read_volume, write_volume
from training_tools.lesionreading import bonescan
from training_tools.lesionreading.synthetics import find
from training_tools.lesionreading.task import Reading
from training_tools.lesions import main

from ..packages import make_package, metadata
from .lesion_views import SPACING, Made, Patient, region, write_image

PATIENTS = (Patient("p1", "CRPS", ((0, 0),)), Patient("p2", "osteomyelitis", ((1, 1),)), Patient("p3", "none"))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    made = Made(tmp_path / "made", PATIENTS).write()
    made.translated(tmp_path / "images")
    return made


def read(*options: str | Path) -> Reading:
    """A reading without its files."""
    parser = argparse.ArgumentParser()
    bonescan.add_options(parser)
    return bonescan.read(parser.parse_args([*map(str, options), "--draws", "100"]))


def reading(made: Made, *options: str | Path) -> Reading:
    return read("--data", made.folder, "--synthetic", made.folder.parent / "images", *options)


def cases(made: Made, **changes: Mapping[str, str]) -> Path:
    """A table of the made cases; changes: cells by case."""
    rows = []
    for patient in made.patients:
        row = {
            "case": patient.name, "patient": patient.name, "group": patient.group, "view": "anterior",
            **{part: f"made/{part}/{patient.name}.nrrd" for part in ("source", "target", "lesion", "hyperaemia")},
            "synthetic": f"images/{patient.name}.nrrd",
        }  # fmt: skip
        rows.append({**row, **changes.get(patient.name, {})})
    path = made.folder.parent / "cases.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_table_of_cases_reads_as_the_folder_does(made: Made) -> None:
    by_folder, by_table = reading(made), read("--cases", cases(made))

    assert by_table.lesions == by_folder.lesions
    assert (by_folder.record["simulated"], by_table.record["simulated"]) == (True, False)


def test_a_region_on_another_grid_is_listed_with_its_case(made: Made) -> None:
    path = made.folder / "lesion" / "p1.nrrd"
    labels = read_volume(path)
    write_volume(replace(labels, origin=(1.3, 0.7, 0.0)), path)

    told = reading(made)

    assert len(told.record["excluded"]) == 1
    assert told.record["excluded"][0].startswith("p1: ")
    assert {row["case"] for row in told.images} == {"p2", "p3"}
    assert any("Not read: p1" in line for line in told.summary)


def test_a_region_that_reaches_outside_the_image_is_listed_with_its_case(made: Made) -> None:
    path = made.folder / "lesion" / "p2.nrrd"
    larger = np.pad(region(((1, 1),)), ((0, 0), (0, 40)))
    larger[30:34, 90:95] = 2
    write_volume(Volume(larger[None], (SPACING, SPACING, 1.0), name="p2"), path)

    told = reading(made)

    assert "p2: " in told.record["excluded"][0]
    assert "outside" in told.record["excluded"][0]


def test_an_empty_mask_is_a_view_without_lesions_and_is_said(made: Made) -> None:
    told = reading(made)

    assert any("Its lesion file is empty" in note and "p3" in note for note in told.record["notes"])
    assert [row["lesions"] for row in told.images if row["case"] == "p3"] == [0]


def test_a_missing_disease_group_is_read_under_that_name(made: Made) -> None:
    told = read("--cases", cases(made, p1={"group": ""}))

    assert any("p1" in note and "No disease group" in note for note in told.record["notes"])
    table = told.record["results"]["readers"]["rule"]["sensitivity"]
    assert next(row["k"] for row in table if row["of"] == "group not given") == 1


def test_a_real_image_that_is_constant_leaves_its_case_out_by_name(made: Made) -> None:
    write_image(np.full((64, 64), 3.0), made.folder / "target" / "p1.nrrd")

    assert "p1: the real delayed image is constant" in reading(made).record["excluded"][0]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((64, 64), np.nan), "NaN"),
        (np.linspace(-1, 1, 64 * 64).reshape(64, 64), "negative"),
        (np.zeros((64, 64)), "constant"),
    ],
)
def test_a_synthetic_image_that_says_nothing_counts_as_missed(made: Made, image: np.ndarray, words: str) -> None:
    write_image(image, made.folder.parent / "images" / "p1.nrrd")

    told = reading(made)

    row = next(row for row in told.lesions if row["case"] == "p1")
    assert row["outcome"] == "missed"
    assert words in row["note"]


def test_a_case_without_a_synthetic_image_is_listed(made: Made) -> None:
    (made.folder.parent / "images" / "p2.nrrd").unlink()
    write_image(np.ones((4, 4)), made.folder.parent / "images" / "stranger.nrrd")

    notes = reading(made).record["notes"]

    assert any("no synthetic image" in note and note.endswith("p2") for note in notes)
    assert any("belong to no case" in note and "stranger.nrrd" in note for note in notes)


def test_a_synthetic_image_on_another_grid_is_listed(made: Made) -> None:
    write_image(np.ones((32, 32)), made.folder.parent / "images" / "p1.nrrd")

    assert "p1: the synthetic image is not on the grid" in reading(made).record["excluded"][0]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("case,lesion,increased\nnobody,1,1\n", "'nobody', which is not among the cases"),
        ("case,lesion,increased\np1,1,1\np1,1,0\n", "lesion 1 of p1 in two rows"),
        ("case,lesion,increased\np1,first,1\n", "not 'first'"),
        ("case,lesion,increased\np1,1,maybe\n", "not 'maybe'"),
        ("case,increased\np1,1\n", "needs the columns case and lesion"),
    ],
)
def test_a_wrong_table_of_lesions_is_refused(made: Made, table: str, words: str) -> None:
    path = made.folder.parent / "table.csv"
    path.write_text(table, encoding="utf-8")

    with pytest.raises(InputError, match=words):
        reading(made, "--lesions", path)


def test_a_lesion_of_a_table_that_no_region_holds_is_listed(made: Made) -> None:
    path = made.folder.parent / "table.csv"
    path.write_text("case,lesion,increased\np1,7,1\n", encoding="utf-8")

    assert (
        "p1, lesion 7: no region has this label, so it is not read." in reading(made, "--lesions", path).record["notes"]
    )


def test_a_case_twice_and_a_patient_in_two_groups_are_refused(made: Made) -> None:
    with pytest.raises(InputError, match="has the case p1 twice"):
        read("--cases", cases(made, p2={"case": "p1"}))
    with pytest.raises(InputError, match="puts p1 into two groups, CRPS and osteomyelitis"):
        read("--cases", cases(made, p2={"patient": "p1"}))


def test_images_of_two_model_versions_are_refused(made: Made) -> None:
    for name, version in (("p1", "1.0"), ("p2", "1.1")):
        path = made.folder.parent / "images" / f"{name}.nrrd"
        record = Provenance("net", version, "0" * 64, "pool2delayed", "NM", name, "0" * 64, "2026-01-01T00:00:00Z", "x")
        write_volume(replace(read_volume(path), provenance=record), path)

    with pytest.raises(InputError, match=r"net 1\.0, net 1\.1"):
        reading(made)


def test_a_translation_runs_names_are_understood(made: Made) -> None:
    images = made.folder.parent / "images"
    (images / "p1.nrrd").rename(images / "p1_synthetic-nm.nrrd")
    (images / "p2.nrrd").rename(images / "renamed.nrrd")
    (images / "translations.csv").write_text("input,output\nsource/p2.nrrd,renamed.nrrd\n", encoding="utf-8")

    assert {row["case"] for row in reading(made).images} == {"p1", "p2", "p3"}


def package(folder: Path, seen: list[str], version: str = "1.0.0") -> Path:
    """A tiny network of bone scans that says whom it was trained on."""
    made = metadata(modality="NM", field_of_view="whole")
    made.update({"task": "pool2delayed", "version": version})
    made["network_data_format"]["outputs"]["image"]["modality"] = "NM"
    made["training"]["cases"] = seen
    make_package(folder, made=made)
    return folder


def fold(folder: Path, number: int, tested: list[str], seen: list[str], version: str = "1.0.0") -> Path:
    """A finished fold of a benchmark's network; returns the network's folder."""
    package(folder / f"fold-{number}" / "package", seen, version)
    (folder / f"fold-{number}" / "cell.json").write_text(json.dumps({"tested": tested}), encoding="utf-8")
    return folder


def test_each_case_is_translated_by_the_fold_that_did_not_see_it(made: Made) -> None:
    net = made.folder.parent / "net"
    fold(net, 0, ["p1"], ["p2", "p3"])
    fold(net, 1, ["p2", "p3"], ["p1"])

    told = read("--data", made.folder, "--synthetic", net)

    assert [row["model"] for row in told.images] == ["tiny 1.0.0"] * 3
    assert [(each["fold"], len(each["weights_sha256"])) for each in told.record["synthetic"]["folds"]] == [
        ("fold-0", 64), ("fold-1", 64),
    ]  # fmt: skip


def test_a_fold_that_saw_whom_it_tested_or_was_made_by_another_version_is_refused(made: Made) -> None:
    cohort = bonescan.from_folder(made.folder)

    with pytest.raises(InputError, match="was trained on the patient of p1"):
        find(cohort, fold(made.folder.parent / "leaking", 0, ["p1"], ["p1", "p2"]))
    mixed = fold(fold(made.folder.parent / "mixed", 0, ["p1"], ["p2"]), 1, ["p2"], ["p1"], version="2.0.0")
    with pytest.raises(InputError, match="different models or versions"):
        find(cohort, mixed)
    with pytest.raises(InputError, match="tested stranger"):
        find(cohort, fold(made.folder.parent / "other", 0, ["stranger"], []))


def test_a_package_leaves_out_whom_it_was_trained_on_by_name(made: Made) -> None:
    found = find(bonescan.from_folder(made.folder), package(made.folder.parent / "net", ["p1", "p2"]))

    assert list(found.makers) == ["p3"]
    assert any("trained on 2 of the patients" in note and "p1, p2" in note for note in found.notes)
    assert not any("taken on trust" in note for note in found.notes)


@pytest.mark.parametrize(("seen", "words"), [([], "does not say which cases"), (["a", "b"], "None of the 2 cases")])
def test_a_package_that_may_have_seen_the_patients_is_read_with_a_note(made: Made, seen: list[str], words: str) -> None:
    found = find(bonescan.from_folder(made.folder), package(made.folder.parent / "net", seen))

    assert sorted(found.makers) == ["p1", "p2", "p3"]
    assert any(words in note and "taken on trust" in note for note in found.notes)


def test_of_finished_images_it_is_said_that_their_model_may_have_seen_the_patients(made: Made) -> None:
    notes = reading(made).record["notes"]

    assert sum("has seen these patients is not known" in note for note in notes) == 1


def test_nothing_that_is_there_is_written_over(made: Made) -> None:
    output = made.folder.parent / "out"
    output.mkdir()
    (output / "lesions.html").write_text("earlier", encoding="utf-8")

    with pytest.raises(InputError, match="is there already"):
        main(["pool2delayed", "--data", str(made.folder), "--synthetic", str(made.folder), "-o", str(output)])
    assert (output / "lesions.html").read_text(encoding="utf-8") == "earlier"


def test_a_reading_that_fails_leaves_no_folder(made: Made) -> None:
    output, empty = made.folder.parent / "out", made.folder.parent / "empty"
    empty.mkdir()

    with pytest.raises(InputError, match="No case has a synthetic image"):
        main(["pool2delayed", "--data", str(made.folder), "--synthetic", str(empty), "-o", str(output)])
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--increased", "0.9"], "above 1"),
        (["--gap-mm", "80"], "beyond the gap"),
        (["--least", "1"], "least share"),
        (["--size-bands", "20", "10"], "must rise"),
        (["--truth", "table"], "needs a table of lesions"),
        (["--cases", "x.csv"], "one of them"),
    ],
)
def test_settings_that_make_no_rule_are_refused(made: Made, options: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        reading(made, *options)


def test_regions_of_a_dicom_segmentation_are_read(data_dir: Path, tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    import pydicom
    from pydicom.sr.codedict import codes

    path = sorted((data_dir / "prostatex" / "dicom_adc").glob("*.dcm"))[8]
    image = pydicom.dcmread(path)
    mask = np.zeros((1, image.Rows, image.Columns, 1), np.uint8)
    mask[0, 40:50, 30:40, 0] = 1
    described = [highdicom.seg.SegmentDescription(1, "Lesion", codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")]
    highdicom.seg.Segmentation(
        [image], mask, "BINARY", described, highdicom.UID(), 9, highdicom.UID(), 1, "m", "m", "1", "1"
    ).save_as(tmp_path / "seg.dcm")
    (tmp_path / "slice.dcm").write_bytes(path.read_bytes())
    (tmp_path / "cases.csv").write_text(
        "patient,group,source,target,synthetic,lesion\np,CRPS,slice.dcm,slice.dcm,slice.dcm,seg.dcm\n", encoding="utf-8"
    )

    (row,) = read("--cases", tmp_path / "cases.csv").lesions

    assert (row["origin"], row["row"], row["column"]) == ("region", 44.5, 34.5)
