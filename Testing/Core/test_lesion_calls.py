"""A reader's calls in place of the rule: a plain table, and marks in a reader study, from its making to its export."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.building import build
from imagetranslation.readerstudy.definition import load_study, save_study
from imagetranslation.readerstudy.exports import write_exports
from imagetranslation.readerstudy.key import load_key
from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.session import open_session
from imagetranslation.readerstudy.store import FolderStore
from imagetranslation.volume import read_volume
from training_tools.lesionreading import bonescan, planar
from training_tools.lesionreading.calls import Calls, read_calls
from training_tools.lesionreading.cases import Cohort
from training_tools.lesionreading.rules import Rule
from training_tools.lesionreading.views import rows_of
from training_tools.lesions import main

from ..studies import REALISM, a_document
from .lesion_views import COLUMNS, ROWS, SPACING, Made, Patient

WHERE = {"id": "where", "type": "place", "text": "Mark every increased lesion", "required": False}
# The erased lesion, in the synthetic image a little beside its middle; a place that is none, in both images; another.
MARKED = {
    "scanner": ((ROWS[0], COLUMNS[0]), (ROWS[1], COLUMNS[0])),
    "model1": ((ROWS[0] + 1, COLUMNS[0]), (ROWS[1], COLUMNS[0]), (ROWS[2], COLUMNS[1])),
}


@pytest.fixture
def view(tmp_path: Path) -> tuple[planar.View, Made]:
    """One patient with two lesions, translated without the first."""
    made = Made(tmp_path / "made", [Patient("p1", "CRPS", ((0, 0), (1, 1)))]).write()
    made.translated(tmp_path / "images", [("p1", (0, 0))])
    case = bonescan.from_folder(made.folder).cases[0]
    return planar.load(case, lambda case: read_volume(tmp_path / "images" / f"{case.name}.nrrd"), Rule()), made


def called(view: planar.View, calls: Calls | None) -> dict[int, str]:
    return {row["lesion"]: row["outcome"] for row in rows_of(view, {}, "rule", calls).lesions}


def test_a_readers_calls_replace_the_rule(view: tuple[planar.View, Made], tmp_path: Path) -> None:
    cohort = bonescan.from_folder(view[1].folder)
    path = tmp_path / "calls.csv"
    path.write_text("case,lesion,increased,reader\np1,1,1,Dr A\np1,2,0,Dr A\np1,1,1,Dr B\n", encoding="utf-8")

    calls = read_calls(path, cohort)
    found = rows_of(view[0], {}, "rule", calls)

    assert called(view[0], None) == {1: "missed", 2: "found"}
    by_reader = {(row["reader"], row["lesion"]): row["outcome"] for row in found.lesions}
    assert by_reader == {("Dr A", 1): "found", ("Dr A", 2): "missed", ("Dr B", 1): "found", ("Dr B", 2): ""}
    assert [row["refused"] for row in found.lesions if row["outcome"] == ""] == ["Dr B has no call for it"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case,lesion,increased\nnobody,1,1\n", "'nobody', which is not among"),
        ("case,lesion,increased\np1,1,1\np1,1,0\n", "a second time"),
        ("case,lesion,increased\np1,1,yes\n", "increased 1 or 0"),
        ("case,lesion,increased,image\np1,1,1,both\n", "not 'both'"),
        ("who,what\na,b\n", "needs the columns"),
    ],
)
def test_a_wrong_table_of_calls_is_refused(
    view: tuple[planar.View, Made], tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=words):
        read_calls(path, bonescan.from_folder(view[1].folder))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of both images of two patients, read by one reader and exported; the second is left without marks."""
    folder = tmp_path_factory.mktemp("study")
    lesions = {"p1": ((0, 0), (1, 1)), "p2": ((0, 1), (2, 0))}
    made = Made(folder / "made", [Patient(name, "CRPS", sites) for name, sites in lesions.items()]).write()
    made.translated(folder / "images", [("p1", (0, 0))])
    document = a_document(questions=[REALISM, WHERE])
    document["cases"] = [
        {"id": name, "images": {"scanner": f"made/target/{name}.nrrd", "model1": f"images/{name}.nrrd"}}
        for name in ("p1", "p2")
    ]
    document["readers"] = ["R1"]
    save_study(document, folder)
    build(folder)
    middle = 31.5 * SPACING  # readers see an image with its middle at zero
    key = load_key(folder)
    with open_session(folder, "R1") as session:
        while session.trial is not None:
            planned = key.trials[session.trial.token][1]
            session.answer("realism", 3)
            if planned.case == "p1":
                points = [(c * SPACING - middle, r * SPACING - middle, 0.0) for r, c in MARKED[planned.arms[0]]]
                session.answer("where", [{"image": "A", "point": list(point)} for point in points])
            session.next()
    reading = load_reading_set(folder)
    write_exports(folder / "export", reading, FolderStore(reading), load_study(folder), key)
    return folder


def of_study(study: Path, synthetic: str = "model1", real: str = "") -> tuple[Calls, Cohort]:
    cohort = bonescan.from_folder(study / "made")
    return read_calls(study / "export" / "answers.csv", cohort, synthetic, real, study), cohort


def test_marks_of_a_reader_study_are_calls_and_false_positives(study: Path) -> None:
    calls, cohort = of_study(study, real="scanner")
    alone, _ = of_study(study)
    views = [
        planar.load(case, lambda case: read_volume(study / "images" / f"{case.name}.nrrd"), Rule())
        for case in cohort.cases
    ]

    # By the rule both lesions are increased; the reader marked the first in both images, the second in none.
    one = rows_of(views[0], {}, "rule", alone)
    assert [row["outcome"] for row in one.lesions] == ["found", "missed"]
    assert one.images[0]["false_positives"] == 2
    both = rows_of(views[0], {}, "rule", calls)
    assert [row["outcome"] for row in both.lesions] == ["found", "clear"]
    assert (both.images[0]["false_positives"], both.images[0]["false_positives_by"]) == (1, "reader")
    # Read and not marked: nothing was called increased.
    assert [row["outcome"] for row in rows_of(views[1], {}, "rule", alone).lesions] == ["missed", "missed"]


def test_a_readers_false_marks_are_listed_and_drawn_in_place_of_the_detectors(study: Path) -> None:
    calls, cohort = of_study(study, real="scanner")
    image = study / "images" / "p1.nrrd"
    view = planar.load(cohort.cases[0], lambda case: read_volume(image), Rule())

    made = rows_of(view, {}, "rule", calls)

    invented = [(row["reader"], row["row"], row["column"]) for row in made.marks if row["invented"]]
    assert invented == [("R1", ROWS[2], COLUMNS[1])]
    assert sum(row["reader"] == "R1" for row in made.marks) == 3
    drawn = [(one.reader, one.text) for one in made.failures if "mark" in one.text]
    assert [reader for reader, _ in drawn] == ["R1"]
    assert drawn[0][1].startswith(f"marked, row {ROWS[2]}, column {COLUMNS[1]}:")
    assert len({tuple(row) for row in made.marks}) == 1  # one table, one set of columns


def test_images_that_a_reader_did_not_read_have_no_false_positives_of_theirs(study: Path, tmp_path: Path) -> None:
    lines = (study / "export" / "answers.csv").read_text(encoding="utf-8").splitlines()
    column = lines[0].split(",").index("case")
    part = tmp_path / "answers.csv"
    kept = [line for line in lines[1:] if line.split(",")[column] != "p2"]
    part.write_text("\n".join([lines[0], *kept]) + "\n", encoding="utf-8")
    # The detector invents a place in the image that is not read.
    made = Made(study / "made", [Patient("p1", "CRPS", ((0, 0), (1, 1))), Patient("p2", "CRPS", ((0, 1), (2, 0)))])
    images = made.translated(tmp_path / "images", [("p1", (0, 0))], [("p2", (1, 0))])

    more = ("--calls", part, "--calls-synthetic", "model1", "--calls-key", study, "--draws", "100")
    main(["pool2delayed", "--data", str(study / "made"), "--synthetic", str(images), "-o", str(tmp_path / "out"),
          *map(str, more)])  # fmt: skip

    told = json.loads((tmp_path / "out" / "lesions.json").read_text(encoding="utf-8"))
    rate = told["results"]["readers"]["R1"]["false_positives_per_image"][-1]
    assert (rate["total"], rate["n"], rate["value"]) == (2, 1, 2.0)
    assert any(note.startswith("R1 did not read 1 of 2 views") and "(p2)" in note for note in told["notes"])
    assert told["false_positives_by"] == ["reader"]
    with (tmp_path / "out" / "marks.csv").open(newline="", encoding="utf-8") as stream:
        assert {row["case"] for row in csv.DictReader(stream) if row["invented"] == "1"} == {"p1"}


def test_answers_without_any_image_of_the_arm_are_refused(study: Path, tmp_path: Path) -> None:
    text = (study / "export" / "answers.csv").read_text(encoding="utf-8")
    header, *lines = text.splitlines()
    place = header.split(",").index("training")
    trained = [",".join([*cells[:place], "1", *cells[place + 1 :]]) for cells in (line.split(",") for line in lines)]
    (tmp_path / "answers.csv").write_text("\n".join([header, *trained]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no answer about the arm model1"):
        read_calls(tmp_path / "answers.csv", bonescan.from_folder(study / "made"), "model1", key=study)


def test_answers_that_cannot_be_placed_are_refused(study: Path, tmp_path: Path) -> None:
    exported, cohort = study / "export" / "answers.csv", bonescan.from_folder(study / "made")

    with pytest.raises(InputError, match="--calls-key"):
        read_calls(exported, cohort, "model1")
    with pytest.raises(InputError, match="which arm is which"):
        of_study(study, "another")
    blinded = tmp_path / "blinded"
    reading = load_reading_set(study)
    write_exports(blinded, reading, FolderStore(reading))
    with pytest.raises(InputError, match="blinded"):
        read_calls(blinded / "answers.csv", cohort, "model1", key=study)
    strangers = Made(tmp_path / "other", [Patient("p9", "CRPS")]).write()
    with pytest.raises(InputError, match="'p1', which is not among the cases"):
        read_calls(exported, bonescan.from_folder(strangers.folder), "model1", key=study)


def test_a_mark_without_counts_on_either_side_scores_nothing(view: tuple[planar.View, Made]) -> None:
    empty = replace(view[0], synthetic=np.zeros_like(view[0].real), unreadable="it is constant.")
    calls = Calls(("R1",), points={("R1", "synthetic", "p1"): [(2 * SPACING, ROWS[1] * SPACING, 0.0)]})

    made = rows_of(empty, {}, "rule", calls)

    assert [row["score"] for row in made.marks if row["reader"] == "R1"] == [0.0]
    assert made.images[0]["false_positives"] == 1


def test_a_mark_outside_the_image_is_refused_with_its_case(study: Path, tmp_path: Path) -> None:
    text = (study / "export" / "answers.csv").read_text(encoding="utf-8")
    far = tmp_path / "answers.csv"
    shutil.copy(study / "export" / "answers.csv", far)
    place = f"{(ROWS[0] + 1) * SPACING - 31.5 * SPACING}"
    assert place in text
    far.write_text(text.replace(place, "900.0"), encoding="utf-8")
    cohort = bonescan.from_folder(study / "made")
    view = planar.load(cohort.cases[0], lambda case: read_volume(study / "images" / f"{case.name}.nrrd"), Rule())

    with pytest.raises(InputError, match="p1: a mark of R1 lies outside the image"):
        rows_of(view, {}, "rule", read_calls(far, cohort, "model1", key=study))
