"""Which cases of a prepared folder a simulator made: told case by case, and in every place in the same words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training_tools.dataset import all_simulated, case_names, manifest, of_simulator, simulated, simulated_in_part
from training_tools.lesionreading.cases import from_folder
from training_tools.pairs import list_pairs
from training_tools.prepare import prepare
from training_tools.reproducing import data, page
from training_tools.reproducing.choices import Choices
from training_tools.reproducing.differences import differences
from training_tools.reproducing.report import PARTLY, SIMULATED, Report
from training_tools.reproducing.sizes import sizes_for

from .training_runs import prepared_pairs

SIDES = ("us", "mr", "us_labels", "mr_labels")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs, the first from a simulator's folder, prepared together."""
    folder = tmp_path_factory.mktemp("mixed")
    prepared_pairs(folder, 3)
    for side in SIDES:
        (folder / "made" / side).mkdir(parents=True)
        (folder / side / "case0.nrrd").rename(folder / "made" / side / "case0.nrrd")
    (folder / "made" / "simulation.json").write_text("{}")
    pairs = [pair for place in (folder / "made", folder) for pair in list_pairs(*(place / side for side in SIDES))]
    prepare(pairs, folder / "together")
    return folder / "together"


@pytest.mark.parametrize(
    ("file", "content", "made"),
    [
        ("simulation.json", "{}", True),
        ("settings.json", '{"simulator": "three-phase bone scan"}', True),
        ("settings.json", '{"window": 3}', False),
        ("settings.json", "damaged", False),
    ],
)
def test_both_simulators_folders_are_known_however_deep_the_image_lies(
    tmp_path: Path, file: str, content: str, made: bool
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / file).write_text(content)
    for place in ("source/a.nrrd", "dicom/a/delayed/1.dcm"):
        assert of_simulator([tmp_path / "elsewhere" / "b.nrrd", tmp_path / "made" / place]) is made


def marked(folder: Path, content: dict[str, object]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "cases.json").write_text(json.dumps({"cases": [{"case": "a"}, {"case": "b"}], **content}))
    return folder


def test_preparation_marks_each_case_that_a_simulator_made(mixed: Path) -> None:
    assert simulated(mixed) == ("case0",)
    assert not all_simulated(mixed)
    assert simulated_in_part(mixed).startswith("1 of 3 cases come from a simulator and are no patients, among them")
    assert manifest(mixed)["settings"]["simulated"].startswith("1 of 3 cases")
    assert len(case_names(mixed)) == 3


@pytest.mark.parametrize(
    ("content", "made"),
    [
        ({}, ()),
        ({"settings": {"simulator": "three-phase bone scan"}}, ("a", "b")),
        ({"settings": {"simulated": "2 of 2 cases"}}, ("a", "b")),
        ({"settings": {"source": "/data/no-simulator/us"}}, ()),
        ({"settings": {"simulated": "1 of 2"}, "cases": [{"case": "a"}, {"case": "b", "simulated": True}]}, ("b",)),
    ],
)
def test_simulated_is_what_the_folder_says_it_is(tmp_path: Path, content: dict[str, object], made: tuple[str]) -> None:
    folder = marked(tmp_path / "cases", content)
    assert simulated(folder) == made
    assert all_simulated(folder) is (len(made) == 2)
    assert bool(simulated_in_part(folder)) is (len(made) == 1)


def test_a_reading_of_lesions_names_the_share_and_calls_the_patients_patients(mixed: Path) -> None:
    found = from_folder(mixed)
    assert not found.simulated
    assert simulated_in_part(mixed) in found.notes


def test_a_study_with_some_simulated_cases_is_called_partly_simulated(mixed: Path, tmp_path: Path) -> None:
    made = Choices("us2mri", str(mixed), tmp_path, False, sizes_for("us2mri", False), 1)
    data.make("us2mri", str(mixed), (), made.sizes, 1, made.place("prepared"))
    about = data.read(made.place("prepared"))
    report = Report(made, about, (), tuple(differences(made, about, {})), ())
    assert (report.mark, report.simulated) == (PARTLY, False)
    assert "1 of 3 cases come from a simulator" in page._banner(report)
    assert "Every image" not in page._banner(report)
    assert "1 of 3 cases" in next(here for point, _, here in report.differences if point == "Patients")
    whole = Report(made, {**about, "simulated": True, "simulated_in_part": ""}, (), (), ())
    assert whole.mark == SIMULATED
