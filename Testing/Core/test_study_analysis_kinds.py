"""Every kind of display and question, and studies of odd size, get a report: refusals in it, never a traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagetranslation.readerstudy.analysis.gathering import gather
from imagetranslation.readerstudy.analysis.page import page
from imagetranslation.readerstudy.analysis.report import Report, analyse
from Testing.simulated_readers import Planted, read_study
from Testing.studies import ARTIFACTS, COMMENT, REALISM, SEVERITY, a_document, a_study

ORIGIN = {
    "id": "origin",
    "type": "choice",
    "text": "Real or synthetic?",
    "options": [{"id": "real", "text": "Real"}, {"id": "synthetic", "text": "Synthetic"}],
}
EVERY_TYPE = [
    REALISM,
    ARTIFACTS,
    SEVERITY,
    ORIGIN,
    {"id": "origin_confidence", "type": "vas", "text": "How sure?"},
    {
        "id": "zone",
        "type": "choice",
        "text": "Where?",
        "options": [{"id": "pz", "text": "PZ"}, {"id": "tz", "text": "TZ"}],
    },
    {
        "id": "seen",
        "type": "multi_choice",
        "text": "What?",
        "options": [{"id": "a", "text": "A"}, {"id": "b", "text": "B"}],
    },
    {"id": "size", "type": "number", "text": "Size?", "minimum": 0, "maximum": 40, "unit": "mm"},
    {"id": "spot", "type": "place", "text": "Mark it."},
    {"id": "outline", "type": "roi", "text": "Draw it."},
    COMMENT,
]
BEST = {"id": "best", "type": "choice", "text": "Which is better?", "images_are_options": True}
ORDER = {"id": "order", "type": "ranking", "text": "Best first?"}


@pytest.fixture(autouse=True)
def a_quick_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    return


def report_on(folder: Path, **document: Any) -> tuple[Report, str]:
    study = a_study(folder / "study", a_document(**document))
    read_study(study, Planted(agreed="realism"), seed=4)
    made = analyse(gather(study), draws=100)
    return made, page(made)


def hypothesis(question: str, analysis: str) -> dict[str, str]:
    return {"question": question, "analysis": analysis, "hypothesis": "Something."}


@pytest.mark.parametrize("kind", ["single", "source_synthetic"])
def test_every_type_of_question_has_its_section(tmp_path: Path, kind: str) -> None:
    primary = hypothesis("origin", "detection")
    report, text = report_on(
        tmp_path, kind=kind, cases=6, readers=3, arms=3, questions=EVERY_TYPE, primary=primary,
        schedule={"repeat_fraction": 0.2, "repeat_minimum": 2},
    )  # fmt: skip
    titles = [section.title for section in report.sections]
    for question in EVERY_TYPE:
        assert question["text"] in titles
    assert "there is nothing to test" in text or "p (Holm)" in text


def test_pairs_shown_together_are_compared_image_by_image(tmp_path: Path) -> None:
    questions = [{**REALISM, "each_image": True}, BEST]
    report, text = report_on(tmp_path, kind="pair", cases=8, readers=3, arms=3, questions=questions)
    arms = {row["arm"] for row in report.records.tables["medians"]}
    assert arms == {"scanner", "model1", "model2"}
    assert "model1 over scanner" in text
    assert "model2 over model1" not in text  # never shown together


def test_a_forced_choice_is_detection_when_the_study_says_so(tmp_path: Path) -> None:
    primary = hypothesis("best", "detection")
    report, text = report_on(tmp_path, kind="forced_choice", cases=8, readers=3, questions=[BEST], primary=primary)
    [row] = report.records.tables["tests"]
    assert (row["role"], row["label"]) == ("primary", "best: model1 chosen over scanner")
    assert "Choices in" in text


def test_rankings_are_reported_by_mean_rank(tmp_path: Path) -> None:
    primary = hypothesis("order", "preference")
    report, _ = report_on(tmp_path, kind="ranking", cases=8, readers=3, arms=4, questions=[ORDER], primary=primary)
    ranks = [
        r["value"] for r in report.records.tables["estimates"] if r["key"] == "mean_rank" and "BCa" in r["interval"]
    ]
    assert len(ranks) == 4
    assert sum(ranks) == pytest.approx(10)


@pytest.mark.parametrize(("cases", "readers"), [(1, 1), (2, 1), (3, 2), (12, 1)])
def test_studies_too_small_for_anything_say_so(tmp_path: Path, cases: int, readers: int) -> None:
    _, text = report_on(tmp_path, cases=cases, readers=readers, questions=[REALISM, ORIGIN])
    assert "too few" in text or "one rater only" in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_one_arm_alone_is_described_and_nothing_compared(tmp_path: Path) -> None:
    _, text = report_on(tmp_path, cases=6, readers=3, arms=1)
    assert "there is one arm only, and a comparison needs two" in text


def test_incomplete_blocks_two_sessions_and_patients_with_several_cases_are_analysed(tmp_path: Path) -> None:
    document = a_document(cases=12, readers=3, arms=3)
    for n, case in enumerate(document["cases"]):
        case["patient"] = f"p{n // 2}"
    more = {
        "cases": 12,
        "readers": 3,
        "arms": 3,
        "schedule": {"arms_per_case": 2, "repeat_fraction": 0, "repeat_minimum": 0},
        "sessions": {"count": 2, "washout_days": 14},
    }
    study = a_study(tmp_path / "study", {**a_document(**more), "cases": document["cases"]})
    read_study(study, Planted(), seed=4)
    text = page(analyse(gather(study), draws=100))
    assert "Each reader saw 2 of 3 presentations of a case" in text
    assert "12 cases of 6 patients" in text


@pytest.mark.parametrize("analysis", ["difference", "agreement", "detection", "preference", "distribution"])
def test_a_hypothesis_that_does_not_suit_its_question_is_refused_in_words(tmp_path: Path, analysis: str) -> None:
    questions = [REALISM, EVERY_TYPE[5], COMMENT]
    primary = hypothesis("zone", analysis)
    _, text = report_on(tmp_path, cases=6, readers=3, questions=questions, primary=primary)
    expected = {
        "difference": "its answers are no scores",
        "detection": "it must be a choice between options",
        "preference": "its options are not the images of the trial",
    }
    assert expected.get(analysis, "Where?") in text
