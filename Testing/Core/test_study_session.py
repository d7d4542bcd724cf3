"""A reader at work: what is asked when, what is kept, where a reading is taken up again, and when it may begin."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.definition import question_from
from imagetranslation.readerstudy.questions import (
    CANNOT_ASSESS,
    Item,
    Option,
    answer_for_key,
    checked,
    items,
    label,
    visible,
)
from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.session import open_session
from imagetranslation.readerstudy.store import FolderStore
from Testing.studies import ARTIFACTS, REALISM, FakeClock, a_document, a_study, read_everything


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_study(tmp_path_factory.mktemp("study"), a_document(cases=3, readers=2, training=1))


@pytest.fixture
def study(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "study"))


@pytest.fixture(scope="module")
def two_sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sessions = {"count": 2, "washout_days": 14, "not_before": ["2026-03-01", None]}
    return a_study(tmp_path_factory.mktemp("study"), a_document(cases=3, readers=1, sessions=sessions))


@pytest.fixture
def crossover(two_sessions: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two_sessions, tmp_path / "study"))


def entries(study: Path, reader: str = "R1") -> list[Any]:
    return list(FolderStore(load_reading_set(study)).history(reader).entries)


def test_nothing_is_preselected_and_next_names_what_is_missing(study: Path) -> None:
    with open_session(study, "R1") as session:
        assert session.answers == {}
        with pytest.raises(InputError, match='"How realistic\\?" is not answered yet'):
            session.next()
        session.answer("realism", 3)
        with pytest.raises(InputError, match='"Artifacts\\?" is not answered yet'):
            session.next()
        session.answer("artifacts", False)
        assert session.missing() == ""
        assert session.next() is not None


def test_conditional_questions_come_and_go_and_their_answers_with_them(study: Path) -> None:
    with open_session(study, "R1") as session:
        assert [item.key for item in session.form] == ["realism", "artifacts", "comment"]
        session.answer("artifacts", True)
        assert [item.key for item in session.form] == ["realism", "artifacts", "severity", "comment"]
        session.answer("severity", 2)
        session.answer("artifacts", False)
        assert session.answers == {"artifacts": False}
        with pytest.raises(InputError, match="not asked"):
            session.answer("severity", 1)
    taken_back = [e for e in entries(study) if e["kind"] == "answer"][-1]
    assert (taken_back["question"], taken_back["old"], taken_back["new"]) == ("severity", 2, None)
    assert taken_back["because"] == "artifacts hides it"


def test_every_change_of_an_answer_is_appended(study: Path) -> None:
    with open_session(study, "R1") as session:
        for value in (2, 4, 4, None, 5):
            session.answer("realism", value, {"slice": value})
    told = [(e["old"], e["new"], e["view"]) for e in entries(study) if e["kind"] == "answer"]
    assert told == [(None, 2, {"slice": 2}), (2, 4, {"slice": 4}), (4, None, {"slice": None}), (None, 5, {"slice": 5})]


def test_an_entry_says_when_where_and_how_long(study: Path) -> None:
    clock = FakeClock()
    with open_session(study, "R1", clock=clock) as session:
        token = session.trial.token
        clock.pass_time(5)
        session.answer("realism", 2)
    kept = next(e for e in entries(study) if e["kind"] == "answer")
    assert kept["utc"] == "2026-03-01T09:00:05.000000Z"
    assert kept["monotonic_s"] == 105
    assert kept["token"] == token
    assert kept["reading_s"] == 5
    assert kept["app"]
    opened = entries(study)[0]
    assert opened["manifest"] == load_reading_set(study).sha256


def test_resuming_lands_on_the_same_case_and_the_half_filled_form(study: Path) -> None:
    with open_session(study, "R1") as session:
        for _ in range(2):
            session.answer("realism", 3)
            session.answer("artifacts", False)
            session.next()
        session.answer("artifacts", True)
        token, form = session.trial.token, session.answers
    with open_session(study, "R1") as session:
        assert (session.trial.token, session.answers) == (token, form)
        assert [item.key for item in session.form] == ["realism", "artifacts", "severity", "comment"]
        assert session.progress.done == 2
        # Also when one had gone back.
        session.back()
        earlier = session.trial.token
    with open_session(study, "R1") as session:
        assert session.trial.token == earlier
        assert session.answers == {"realism": 3, "artifacts": False}


def test_going_back_changes_an_answer_and_forward_again(study: Path) -> None:
    with open_session(study, "R1") as session:
        assert not session.can_go_back
        with pytest.raises(InputError, match="first case"):
            session.back()
        first = session.trial
        session.answer("realism", 1)
        session.answer("artifacts", False)
        session.next()
        assert session.back() == first
        session.answer("realism", 5)
        session.next()
        assert session.trial.number == 2
        assert session.progress.done == 1


def test_a_study_may_forbid_going_back(tmp_path: Path) -> None:
    folder = a_study(tmp_path / "s", a_document(cases=2, readers=1, options={"allow_back": False}))
    with open_session(folder, "R1") as session:
        session.answer("realism", 1)
        session.answer("artifacts", False)
        session.next()
        assert not session.can_go_back
        with pytest.raises(InputError, match="not shown again"):
            session.back()


def test_progress_counts_and_the_end_is_said(study: Path) -> None:
    with open_session(study, "R1") as session:
        total = session.progress.total
        assert total == 7
        assert session.trial.training
        assert session.upcoming.number == 2
        assert read_everything(session) == total
        assert session.trial is None
        assert session.progress.done == total
        assert "All 7 cases are read" in session.ended
        assert session.upcoming is None
    with open_session(study, "R1") as session:
        assert session.trial is None
        session.back()
        assert session.trial.number == 7


def test_taking_a_required_answer_back_opens_the_case_again(study: Path) -> None:
    with open_session(study, "R1") as session:
        read_everything(session)
        for _ in range(3):
            session.back()
        session.answer("realism", None)
        number = session.trial.number
        session.back()
        session.next()
        assert session.trial.number == number
    with open_session(study, "R1") as session:
        assert session.trial.number == number
        assert session.progress.done == 6


def test_idle_time_and_pauses_are_not_reading_time(study: Path) -> None:
    clock = FakeClock()
    with open_session(study, "R1", clock=clock) as session:
        clock.pass_time(10)
        session.activity()
        clock.pass_time(200)
        assert session.idle()
        session.activity()
        assert not session.idle()
        session.pause()
        clock.pass_time(1000)
        with pytest.raises(InputError, match="paused"):
            session.answer("realism", 2)
        session.resume()
        clock.pass_time(5)
        session.answer("realism", 2)
    kept = next(e for e in entries(study) if e["kind"] == "answer")
    assert kept["reading_s"] == 75  # 10, then 60 of the 200, then 5
    assert kept["idle_s"] == 140
    with open_session(study, "R1", clock=clock) as session:
        assert session.reading_s == 75


def test_saving_without_advancing_is_noted(study: Path) -> None:
    with open_session(study, "R1") as session:
        session.answer("realism", 2)
        session.save()
        assert session.trial.number == 1
    assert "save" in [e["kind"] for e in entries(study)]


def test_the_second_session_waits_for_the_washout(crossover: Path) -> None:
    clock = FakeClock("2026-02-27T09:00:00")
    with pytest.raises(InputError, match="Session 1 of R1 opens on 2026-03-01"):
        open_session(crossover, "R1", clock=clock)
    clock.set_to("2026-03-02T10:00:00")
    with open_session(crossover, "R1", clock=clock) as session:
        assert session.progress.session_total == 3
        assert read_everything(session) == 3
        assert "Session 1 of 2 is done" in session.ended
        assert "2026-03-16" in session.ended
    clock.set_to("2026-03-16T09:00:00")
    with pytest.raises(InputError, match="opens on 2026-03-16 at 10:00 UTC"):
        open_session(crossover, "R1", clock=clock)
    clock.set_to("2026-03-16T10:01:00")
    with open_session(crossover, "R1", clock=clock) as session:
        assert session.session == 2
        assert not session.can_go_back  # the first session is closed
        read_everything(session)
        assert "All 6 cases" in session.ended


def test_a_clock_set_back_is_noticed_by_the_last_answer(crossover: Path) -> None:
    clock = FakeClock("2026-03-02T10:00:00")
    with open_session(crossover, "R1", clock=clock) as session:
        session.answer("realism", 3)
    clock.set_to("2026-03-02T09:58:00")  # a correction by minutes is none
    open_session(crossover, "R1", clock=clock).close()
    clock.set_to("2026-03-01T10:00:00")
    with pytest.raises(InputError, match="clock of this computer says 2026-03-01 10:00"):
        open_session(crossover, "R1", clock=clock)
    open_session(crossover, "R1", clock=clock, accept_clock=True).close()
    assert any(e.get("clock_accepted") for e in entries(crossover))


def test_an_unknown_reader_is_told_who_there_is(study: Path) -> None:
    with pytest.raises(InputError, match="no reader R9 in this study; there are R1, R2"):
        open_session(study, "R9")
    with pytest.raises(InputError, match="no reader"):
        open_session(study, "../R1")


def test_number_keys_answer_the_item_in_focus(study: Path) -> None:
    with open_session(study, "R1") as session:
        assert session.press("realism", "4") == 4
        assert session.press("realism", "9") is None
        assert session.press("artifacts", "1") is True
        assert session.press("comment", "1") is None
        assert session.answers == {"realism": 4, "artifacts": True}


def an_item(**question: Any) -> Item:
    made = question_from({"id": "q", "text": "Q?", **question})
    options = made.options or tuple(Option(s, f"Image {s}") for s in "AB")
    return Item("q", made, "A", options)


TWO = [{"id": "x", "text": "X"}, {"id": "y", "text": "Y"}]


@pytest.mark.parametrize(
    ("question", "good", "bad"),
    [
        ({"type": "likert", "anchors": ["a", "b", "c"]}, [1, 3, 2.0], [0, 4, 2.5, True, "1", [1]]),
        ({"type": "likert", "anchors": ["a", "b"], "first": 0}, [0, 1], [2, -1]),
        ({"type": "yes_no"}, [True, False], [1, 0, "yes"]),
        ({"type": "choice", "options": TWO}, ["x", "y"], ["z", 1, ["x"]]),
        ({"type": "multi_choice", "options": TWO}, [["x"], ["y", "x"], []], ["x", ["x", "x"], ["z"], 3]),
        ({"type": "vas"}, [0, 100, 33.3], [-1, 101, float("nan"), True, "5"]),
        ({"type": "ranking"}, [["A", "B"], ["B", "A"]], [["A"], ["A", "A"], "AB", 1]),
        ({"type": "number", "minimum": 0, "maximum": 9}, [0, 9, 4.5], [-1, 10, float("inf"), "3", None.__class__]),
        ({"type": "text"}, ["hello", "ä\n"], [3, "x" * 20_001, "\ud800"]),
        (
            {"type": "place"},
            [[{"image": "A", "point": [1, 2.5, -3]}]],
            [[], [{"image": "Z", "point": [1, 2, 3]}], [{"image": "A", "point": [1, 2]}], "A", {"image": "A"}],
        ),
        (
            {"type": "roi"},
            [[{"image": "A", "points": [[0, 0, 0], [1, 0, 0], [1, 1, 0]]}]],
            [[{"image": "A", "points": [[0, 0, 0], [1, 0, 0]]}], [], [{"image": "A"}]],
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) and "type" in value else "",
)
def test_each_type_takes_its_answers_and_no_others(question: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    item = an_item(**question)
    for value in good:
        assert checked(item, value, ("A", "B")) == (sorted(value) if question["type"] == "multi_choice" else value)
        assert label(item, checked(item, value, ("A", "B")))
    for value in bad:
        with pytest.raises(InputError) as caught:
            checked(item, value, ("A", "B"))
        assert "\n" not in str(caught.value)


def test_cannot_assess_is_an_answer_only_where_it_is_offered() -> None:
    offered = an_item(type="likert", anchors=["a", "b"], cannot_assess=True)
    assert checked(offered, CANNOT_ASSESS, ("A",)) == CANNOT_ASSESS
    with pytest.raises(InputError, match="cannot assess"):
        checked(an_item(type="vas"), CANNOT_ASSESS, ("A",))


def test_questions_on_each_image_have_one_line_for_each_and_their_own_conditions() -> None:
    asked = [question_from({**REALISM, "each_image": True}), question_from({**ARTIFACTS, "each_image": True})]
    shown_if = {"question": "artifacts", "equals": True}
    asked.append(question_from({"id": "why", "type": "text", "text": "Why?", "each_image": True, "show_if": shown_if}))
    form = items(asked, ("A", "B"))
    assert [item.key for item in form] == ["realism@A", "realism@B", "artifacts@A", "artifacts@B", "why@A", "why@B"]
    shown = visible(form, {"artifacts@B": True})
    assert [item.key for item in shown if item.question.id == "why"] == ["why@B"]
    assert answer_for_key(form[0], "3") == 3


def test_a_forced_choice_offers_the_images_of_the_trial(tmp_path: Path) -> None:
    choice = {"id": "better", "type": "choice", "text": "Which is better?", "images_are_options": True}
    primary = {"question": "better", "analysis": "preference", "hypothesis": "x"}
    document = a_document(cases=2, readers=1, kind="forced_choice", questions=[choice], primary=primary)
    folder = a_study(tmp_path / "s", document)
    with open_session(folder, "R1") as session:
        assert sorted(session.images()) == ["A", "B"]
        assert [option.text for option in session.form[0].options] == ["Image A", "Image B"]
        assert session.press("better", "2") == "B"


def test_a_view_that_is_too_large_does_not_stop_the_answer(study: Path) -> None:
    with open_session(study, "R1") as session:
        session.answer("realism", 2, {"huge": "x" * 10_000})
        session.answer("realism", 3, {"odd": {1, 2}})
    views = [e["view"] for e in entries(study) if e["kind"] == "answer"]
    assert all(list(view) == ["left_out"] for view in views)
