"""What comes out of a study: tables, layouts of other programs, the log, verification, and joining sites."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.checking import merge, status, verify
from imagetranslation.readerstudy.definition import load_study
from imagetranslation.readerstudy.exports import COLUMNS, answer_rows, audit_log, write_exports
from imagetranslation.readerstudy.key import load_key
from imagetranslation.readerstudy.layouts import imrmc, ratings, redcap_dictionary, rjafroc, to_csv
from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.session import open_session
from imagetranslation.readerstudy.store import FolderStore
from Testing.studies import REALISM, a_document, a_study


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    document = a_document(cases=4, readers=2, training=1, schedule={"repeat_fraction": 0, "repeat_minimum": 2})
    for n, case in enumerate(document["cases"]):
        case["truth"] = n % 2
    document["questions"].append({**REALISM, "id": "interpretability", "cannot_assess": True})
    return a_study(tmp_path_factory.mktemp("study"), document)


@pytest.fixture
def study(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "study"))


def read_by(study: Path, reader: str, trials: int = 99) -> None:
    """Score by the truth: 4 for the scanner's images, 2 for the model's, and "cannot assess" on every third."""
    key = load_key(study)
    with open_session(study, reader) as session:
        while session.trial is not None and trials:
            planned = key.trials[session.trial.token][1]
            session.answer("realism", 4 if planned.arms == ("scanner",) else 2)
            session.answer("artifacts", planned.arms != ("scanner",))
            if planned.arms != ("scanner",):
                session.answer("severity", 1)
            session.answer("interpretability", {"cannot_assess": True} if session.trial.number % 3 == 0 else 5)
            session.next()
            trials -= 1


def rows_of(study: Path, blinded: bool = False) -> list[dict[str, Any]]:
    reading = load_reading_set(study)
    truth = (None, None) if blinded else (load_study(study), load_key(study))
    return answer_rows(reading, FolderStore(reading), *truth)


def test_the_long_table_says_everything_about_each_answer(study: Path) -> None:
    read_by(study, "R1")
    rows = rows_of(study)
    assert all(tuple(row) == COLUMNS for row in rows)
    assert {row["value"] for row in rows if row["question"] == "realism" and row["arm"] == "scanner"} == {4}
    assert {row["value"] for row in rows if row["question"] == "realism" and row["arm"] == "model1"} == {2}
    assert {row["label"] for row in rows if row["question"] == "artifacts"} == {"yes", "no"}
    assert {row["value"] for row in rows if row["question"] == "artifacts"} == {0, 1}
    # Questions that were not shown have no row.
    assert {row["arm"] for row in rows if row["question"] == "severity"} == {"model1"}
    scored = [row for row in rows if row["question"] == "realism" and not row["training"] and not row["repeat_of"]]
    assert Counter(row["case"] for row in scored) == {f"patient{n}": 2 for n in range(4)}
    assert sum(bool(row["repeat_of"]) for row in rows if row["question"] == "realism") == 2
    unable = [row for row in rows if row["cannot_assess"]]
    assert unable
    assert all(row["value"] == "" and row["label"] == "cannot assess" for row in unable)
    assert all(row["done"] == 1 for row in rows)


def test_without_the_key_the_table_is_blinded(study: Path) -> None:
    read_by(study, "R1")
    text = to_csv(rows_of(study, blinded=True), COLUMNS)
    assert "patient" not in text.partition("\n")[2]
    assert "scanner" not in text
    assert "model1" not in text


def test_another_builds_key_is_refused(study: Path, tmp_path: Path) -> None:
    other = a_study(tmp_path / "other")
    reading = load_reading_set(study)
    with pytest.raises(InputError, match="another reading set"):
        answer_rows(reading, FolderStore(reading), load_study(study), load_key(other))


def test_a_changed_answer_counts_as_changed(study: Path) -> None:
    with open_session(study, "R1") as session:
        for value in (1, 2, 5):
            session.answer("realism", value)
    row = next(row for row in rows_of(study) if row["question"] == "realism")
    assert (row["value"], row["changes"], row["done"]) == (5, 2, 0)


def test_ratings_leave_out_practice_and_repeats(study: Path) -> None:
    read_by(study, "R1")
    read_by(study, "R2")
    made = ratings(rows_of(study), "realism")
    assert len(made) == 2 * 4 * 2
    with pytest.raises(InputError, match="no scored answer"):
        ratings(rows_of(study), "beauty")
    with pytest.raises(InputError, match="key"):
        ratings(rows_of(study, blinded=True), "realism")


def test_the_imrmc_file_has_sizes_truth_and_scores(study: Path) -> None:
    read_by(study, "R1")
    read_by(study, "R2")
    lines = imrmc(ratings(rows_of(study), "realism"), "a study").splitlines()
    begin = lines.index("BEGIN DATA:")
    assert {"N0: 2", "N1: 2", "NR: 2", "NM: 2"} <= set(lines[:begin])
    data = [line.split(",") for line in lines[begin + 1 :]]
    assert all(len(cells) == 4 for cells in data)
    truth = [[f"patient{n}", "truth", str(n % 2)] for n in range(4)]
    assert sorted(cells[1:] for cells in data if cells[0] == "-1") == truth
    assert len(data) == 4 + 16


def test_the_rjafroc_sheets_fit_together(study: Path) -> None:
    read_by(study, "R1")
    made = rjafroc(ratings(rows_of(study), "realism"))
    sheets = {name: list(csv.DictReader(io.StringIO(text))) for name, text in made.items()}
    assert list(sheets["TRUTH"][0]) == ["CaseID", "LesionID", "Weight", "ReaderID", "ModalityID", "Paradigm"]
    diseased = {row["CaseID"] for row in sheets["TRUTH"] if row["LesionID"] == "1"}
    assert {row["CaseID"] for row in sheets["TP"]} == diseased
    assert not {row["CaseID"] for row in sheets["FP"]} & diseased
    assert len(sheets["TP"]) + len(sheets["FP"]) == 8


def test_the_data_dictionary_has_redcaps_columns_and_branching(study: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(redcap_dictionary(load_reading_set(study)))))
    assert len(rows[0]) == 18
    fields = {row["Variable / Field Name"]: row for row in rows}
    assert list(fields) == ["record_id", "realism", "artifacts", "severity", "comment", "interpretability"]
    choices = "Choices, Calculations, OR Slider Labels"
    assert fields["realism"][choices].startswith("1, Not | 2, Hardly")
    assert fields["interpretability"][choices].endswith("-99, cannot assess")
    assert fields["severity"]["Branching Logic (Show field only if...)"] == "[artifacts] = '1'"
    assert fields["comment"]["Required Field?"] == ""


def test_the_log_tells_the_story_in_words(study: Path) -> None:
    with open_session(study, "R1") as session:
        session.answer("realism", 1)
        session.answer("realism", 5)
    reading = load_reading_set(study)
    text = audit_log(reading, FolderStore(reading))
    assert "realism: no answer -> 1 (Not)" in text
    assert "realism: 1 (Not) -> 5 (Entirely)" in text
    assert "patient" not in text


def test_all_exports_are_written_with_their_settings(study: Path, tmp_path: Path) -> None:
    read_by(study, "R1")
    reading = load_reading_set(study)
    files = write_exports(tmp_path / "out", reading, FolderStore(reading), load_study(study), load_key(study))
    assert {file.name for file in files} == {
        "answers.csv", "answers.json", "data_dictionary.csv", "log.txt", "imrmc.csv", "rjafroc_truth.csv",
        "rjafroc_fp.csv", "rjafroc_tp.csv", "rjafroc_ids.csv",
    }  # fmt: skip
    about = json.loads((tmp_path / "out" / "answers.json").read_text())
    assert about["definition_sha256"] == load_study(study).sha256
    assert about["rows"] == len(list(csv.DictReader((tmp_path / "out" / "answers.csv").open())))


def test_a_study_with_truth_and_no_answer_yet_exports_what_there_is(study: Path, tmp_path: Path) -> None:
    reading = load_reading_set(study)
    files = write_exports(tmp_path / "out", reading, FolderStore(reading), load_study(study), load_key(study))
    assert "imrmc.csv" not in {file.name for file in files}
    with pytest.raises(InputError, match="no scored answer"):
        write_exports(tmp_path / "no", reading, FolderStore(reading), load_study(study), load_key(study), "realism")
    assert not (tmp_path / "no").exists()


def test_verify_finds_nothing_in_a_complete_study(study: Path) -> None:
    for reader in ("R1", "R2"):
        read_by(study, reader)
    reading = load_reading_set(study)
    assert verify(reading, FolderStore(reading)) == []
    assert [(row["done"], row["total"]) for row in status(reading, FolderStore(reading))] == [(11, 11), (11, 11)]


def test_verify_names_what_is_wrong(study: Path) -> None:
    read_by(study, "R1", trials=3)
    reading = load_reading_set(study)
    journal = reading.answers / "R1.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"new":2', b'"new":4').replace(b'"new":4', b'"new":3', 1))
    (reading.answers / "R7.jsonl").write_text("{}\n")
    next((reading.folder / "images").iterdir()).unlink()
    found = verify(reading, FolderStore(reading))
    errors = " ".join(row["text"] for row in found if row["severity"] == "error")
    assert "was changed" in errors
    assert "R7" in errors
    assert "is missing" in errors
    assert any(row["severity"] == "incomplete" and row["reader"] == "R2" for row in found)


def site(study: Path, name: str) -> Path:
    """A copy of the reading set, as it is sent to a site."""
    return Path(shutil.copytree(study / "reading", study.parent / name))


def test_sites_are_joined(study: Path) -> None:
    one, two = site(study, "one"), site(study, "two")
    for folder, reader in ((one, "R1"), (two, "R2")):
        with open_session(folder, reader) as session:
            session.answer("realism", 3)
    reading = load_reading_set(study)
    assert merge(reading, [one, two]).copied == ("R1", "R2")
    assert merge(reading, [one, two]).same == ("R1", "R2")
    # The reading went on at the site: the longer journal counts.
    with open_session(one, "R1") as session:
        session.answer("artifacts", True)
    assert merge(reading, [one]).copied == ("R1",)
    assert FolderStore(reading).history("R1").findings == ()
    with open_session(study, "R1") as session:
        assert session.answers == {"realism": 3, "artifacts": True}


def test_entries_that_a_site_lost_are_not_forgotten_by_joining(study: Path) -> None:
    one = site(study, "one")
    with open_session(one, "R1") as session:
        session.answer("realism", 3)
        session.answer("artifacts", True)
    journal = one / "answers" / "R1.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-3]))
    reading = load_reading_set(study)
    merged = merge(reading, [one])
    assert merged.copied == ("R1",)
    assert "3 acknowledged entries at its end are missing" in merged.findings[0]
    found = verify(reading, FolderStore(reading))
    assert any(row["severity"] == "error" and "3 acknowledged entries" in row["text"] for row in found)


def test_a_comment_that_a_spreadsheet_would_run_is_defused(tmp_path: Path) -> None:
    comment = {"id": "comment", "type": "text", "text": "Anything else?", "required": False}
    folder = a_study(tmp_path / "study", a_document(questions=[REALISM, comment]))
    with open_session(folder, "R1") as session:
        session.answer("comment", '=HYPERLINK("http://example.org")')
    reading = load_reading_set(folder)
    write_exports(tmp_path / "out", reading, FolderStore(reading))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "answers.csv").read_text(encoding="utf-8"))))
    [said] = [row["value"] for row in rows if row["question"] == "comment" and row["value"]]
    assert said == '\'=HYPERLINK("http://example.org")'


def test_one_code_used_by_two_persons_is_named_and_nothing_is_merged(study: Path) -> None:
    one, two = site(study, "one"), site(study, "two")
    for folder, value in ((one, 2), (two, 4)):
        with open_session(folder, "R1") as session:
            session.answer("realism", value)
    with open_session(two, "R2") as session:
        session.answer("realism", 1)
    reading = load_reading_set(study)
    with pytest.raises(InputError, match="was one code used by two persons") as caught:
        merge(reading, [one, two])
    assert "R1 differs" in str(caught.value)
    assert list(reading.answers.glob("*.jsonl")) == []


def test_a_site_with_another_version_or_a_damaged_journal_is_refused(study: Path, tmp_path: Path) -> None:
    other = a_study(tmp_path / "other", a_document(cases=2))
    damaged = site(study, "damaged")
    with open_session(damaged, "R1") as session:
        session.answer("realism", 2)
        session.answer("realism", 4)
    journal = damaged / "answers" / "R1.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"new":2', b'"new":5'))
    with pytest.raises(InputError) as caught:
        merge(load_reading_set(study), [other, damaged, tmp_path / "nowhere"])
    for part in ("another version", "was changed", "nowhere"):
        assert part in str(caught.value)
