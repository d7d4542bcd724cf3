"""A case whose images cannot be shown is left out of a session, stays unread, and comes up again when it is mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.checking import verify
from imagetranslation.readerstudy.exports import audit_log
from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.session import Session, open_session
from imagetranslation.readerstudy.store import FolderStore
from Testing.studies import a_document, a_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return a_study(tmp_path / "study", a_document(cases=2))


@pytest.fixture
def gone(study: Path) -> tuple[Path, bytes]:
    """The image of R1's second case, removed: where it was, and what it held."""
    reading = load_reading_set(study)
    file = reading.image_file(reading.trials("R1")[1].images["A"])
    content = file.read_bytes()
    file.unlink()
    return file, content


def hand_in(session: Session) -> None:
    session.answer("realism", 3)
    session.answer("artifacts", False)
    session.next()


def read_but_the_gone_one(session: Session) -> None:
    """Every case up to the end of the session."""
    while session.trial is not None:
        if session.trial.number == 2:
            session.skip()
        else:
            hand_in(session)


def test_a_case_that_can_be_shown_cannot_be_left_out(study: Path) -> None:
    with open_session(study, "R1") as session:
        with pytest.raises(InputError, match="can be shown"):
            session.skip()
        assert session.trial is not None
        assert session.trial.number == 1


def test_a_case_left_out_is_not_read_and_the_last_sentence_says_so(study: Path, gone: tuple[Path, bytes]) -> None:
    with open_session(study, "R1") as session:
        read_but_the_gone_one(session)
        assert session.progress.done == 3
        assert "1 case could not be shown" in session.ended
    reading = load_reading_set(study)
    entries = FolderStore(reading).history("R1").entries
    [left] = [entry for entry in entries if entry["kind"] == "skip"]
    assert left["token"] == reading.trials("R1")[1].token
    assert "case 2 is missing" in left["because"]
    assert "left out: Image A of case 2 is missing" in audit_log(reading, FolderStore(reading))
    assert not [row for row in verify(reading, FolderStore(reading)) if "chain" in row["text"]]


def test_it_comes_up_again_when_the_reading_is_opened_and_the_session_ends_once_it_is_read(
    study: Path, gone: tuple[Path, bytes]
) -> None:
    with open_session(study, "R1") as session:
        read_but_the_gone_one(session)
    with open_session(study, "R1") as session:
        assert session.trial is not None
        assert session.trial.number == 2
        assert session.skip() is None
    file, content = gone
    file.write_bytes(content)
    with open_session(study, "R1") as session:
        hand_in(session)
        while session.trial is not None:
            session.next()
        assert session.ended.startswith("All 4 cases are read")


def test_the_session_after_does_not_open_over_a_case_that_was_left_out(tmp_path: Path) -> None:
    document = a_document(cases=4, sessions={"count": 2, "washout_days": 0})
    study = a_study(tmp_path / "study", document)
    reading = load_reading_set(study)
    reading.image_file(reading.trials("R1")[1].images["A"]).unlink()
    with open_session(study, "R1") as session:
        read_but_the_gone_one(session)
        assert "could not be shown" in session.ended
    with open_session(study, "R1") as session:
        assert session.session == 1
