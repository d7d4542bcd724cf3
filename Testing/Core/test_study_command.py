"""`imagetranslation study`: a coordinator's afternoon on the command line, and what is refused on the way."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imagetranslation.cli import app, studyquestions
from imagetranslation.cli import study as command
from imagetranslation.errors import InputError
from imagetranslation.readerstudy.creation import read_cases
from imagetranslation.readerstudy.definition import load_study
from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.session import open_session
from Testing.studies import a_document, a_study, read_everything, write_images


@pytest.fixture(scope="module")
def case_list(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images and the CSV that lists them: four cases, one to practise on."""
    folder = tmp_path_factory.mktemp("data")
    document = a_document(cases=4, training=1)
    write_images(folder, document)
    with open(folder / "cases.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["case", "patient", "source", "training", "real", "tiny"])
        for n, case in enumerate([*document["cases"], *document["training"]]):
            images = case["images"]
            writer.writerow([case["id"], "", case["source"], int(n == 4), images["scanner"], images["model1"]])
    return folder / "cases.csv"


def run(*arguments: object, **more: Any) -> Any:
    result = CliRunner().invoke(app, ["study", *map(str, arguments)], **more)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def made(case_list: Path, folder: Path, *more: object) -> Any:
    return run("new", folder, "--template", "us2mri", "--cases", case_list, "--readers", 3, "--seed", 1, *more)


def test_a_study_is_made_in_one_command_and_its_balance_printed(case_list: Path, tmp_path: Path) -> None:
    result = made(case_list, tmp_path / "my study")
    assert result.exit_code == 0
    for part in ("Trials of each arm by reader", "Carry-over", "no leak found", "Seed 1", "refused below 10"):
        assert part in result.output
    study = load_study(tmp_path / "my study")
    assert study.id == "my-study"
    assert [arm.kind for arm in study.arms] == ["real", "synthetic"]
    assert len(study.training) == 1
    assert [(tmp_path / "my study" / folder).resolve() for folder in study.outside_folders] == [
        case_list.parent / "images"
    ]
    assert run("audit", tmp_path / "my study").exit_code == 0


def test_a_study_is_a_crossover_unless_one_sitting_is_asked_for(case_list: Path, tmp_path: Path) -> None:
    """Two arms of a patient in one sitting would be compared: by default they are four weeks apart."""
    usual = made(case_list, tmp_path / "usual")
    study = load_study(tmp_path / "usual")
    assert (study.sessions, study.washout_days) == (2, 28)
    assert "2 sessions, 28 days or more apart" in usual.output
    assert "several arms" not in usual.output
    one = made(case_list, tmp_path / "one", "--sessions", 1)
    study = load_study(tmp_path / "one")
    assert (study.sessions, study.washout_days) == (1, 0)
    assert "several arms within one session" in one.output
    made(case_list, tmp_path / "beside", "--display", "forced_choice", "--no-images")
    assert load_study(tmp_path / "beside").sessions == 1


def test_the_same_seed_makes_the_same_schedule(case_list: Path, tmp_path: Path) -> None:
    balances = [json.loads(made(case_list, tmp_path / name, "--json", "--no-images").output) for name in "ab"]
    assert balances[0] == balances[1]


def test_without_options_it_asks_and_checks_every_answer(
    case_list: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "sys", type("S", (), {"stdin": type("T", (), {"isatty": lambda: True})}))
    monkeypatch.setattr(command, "_report", lambda built, as_json: None)
    answers = [
        "nonsense", "us2mri",  # template, asked again
        "A reading",
        "nowhere.csv", str(case_list),
        "single",
        "2",
        "2", "7",  # sessions, days between
        "12",
        "realism", "difference", "Synthetic is worse.",
        "y",
    ]  # fmt: skip
    result = run("new", tmp_path / "s", input="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    assert "Choose one of" in result.output
    assert "cannot be read" in result.output
    study = load_study(tmp_path / "s")
    assert (study.title, study.readers, study.seed) == ("A reading", ("R1", "R2"), 12)
    assert (study.sessions, study.washout_days) == (2, 7)
    assert study.primary.hypothesis == "Synthetic is worse."


def test_without_a_terminal_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--cases"):
        run("new", tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_saying_no_at_the_end_makes_nothing(case_list: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studyquestions.typer, "confirm", lambda *_, **__: False)
    monkeypatch.setattr(studyquestions.typer, "prompt", lambda text, default: default)
    given = studyquestions.Choices(cases=case_list, template="us2mri")
    monkeypatch.chdir(case_list.parent)
    with pytest.raises(InputError, match="Nothing was made"):
        studyquestions.ask(given)


def test_an_existing_study_is_not_overwritten(case_list: Path, tmp_path: Path) -> None:
    made(case_list, tmp_path / "s", "--no-images")
    with pytest.raises(InputError, match="already"):
        made(case_list, tmp_path / "s")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("case,real\n", "no case"),
        ("name,real\nx,y\n", "column 'case'"),
        ("case\nx\n", "one column for each arm"),
        ("case,real\nx\n", "line 2 has 1 cells"),
        ("case,real\nx,\n", "nothing in the column real"),
        ("case,real,truth\nx,y,maybe\n", "truth is 0 or 1"),
        ("case,real,training\nx,y,yes\n", "training is 1 or 0"),
        ('case,real\n"x,y\n', "no sound CSV"),
        ("case,real,real\nx,y,z\n", "column"),
    ],
)
def test_a_list_of_cases_that_makes_no_sense_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        read_cases(tmp_path / "cases.csv")


def test_a_semicolon_list_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("\ufeffcase;real\nx;y.nii\n\n", encoding="utf-8")
    made_list = read_cases(tmp_path / "cases.csv")
    assert made_list.cases == [{"id": "x", "images": {"real": str(tmp_path / "y.nii")}}]


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = a_study(tmp_path_factory.mktemp("study") / "s", a_document(cases=2, readers=1))
    with open_session(folder, "R1") as session:
        read_everything(session)
    return folder


@pytest.fixture
def study(answered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(answered, tmp_path / "s"))


def test_status_verify_and_export_tell_how_it_stands(study: Path, tmp_path: Path) -> None:
    assert "4/4" in run("status", study).output
    assert json.loads(run("status", study, "--json").output)["readers"][0]["done"] == 4
    assert "unbroken" in run("verify", study).output
    run("export", study, "-o", tmp_path / "out")
    assert "scanner" in (tmp_path / "out" / "answers.csv").read_text()
    run("export", study, "-o", tmp_path / "blind", "--blinded")
    assert "scanner" not in (tmp_path / "blind" / "answers.csv").read_text()


def test_verify_and_audit_fail_with_an_exit_code(study: Path) -> None:
    journal = study / "reading" / "answers" / "R1.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"new":3', b'"new":5', 1))
    result = run("verify", study)
    assert result.exit_code == 4
    assert "ERROR" in result.output
    (study / "reading" / "patient0.txt").write_text("x")
    result = run("audit", study, "--json")
    assert result.exit_code == 4
    assert not json.loads(result.output)["passed"]


def test_a_study_with_answers_is_revised_and_never_prepared_again(study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="study revise"):
        run("prepare", study)
    edited = json.loads((study / "study.json").read_text())
    edited["questions"][0]["text"] = "How real does it look?"
    (study / "edited.json").write_text(json.dumps(edited))
    result = run("revise", study, "-o", tmp_path / "two", "--definition", study / "edited.json")
    assert result.exit_code == 0
    two = load_study(tmp_path / "two")
    assert two.version == 2
    assert two.document["revises"]["sha256"] == load_study(study).sha256
    assert load_reading_set(tmp_path / "two").questions[0].text == "How real does it look?"
    # The old version stays open with its answers.
    assert open_session(study, "R1").ended


def test_merge_takes_over_what_came_back(study: Path, tmp_path: Path) -> None:
    site = Path(shutil.copytree(study / "reading", tmp_path / "site"))
    (study / "reading" / "answers" / "R1.jsonl").unlink()
    (study / "reading" / "answers" / "R1.head").unlink()
    assert "Taken over: R1" in run("merge", study, site).output
    assert "4/4" in run("status", study).output
