"""Journals that somebody deleted, and a disk that is full before there is one: said, and never passed over."""

from __future__ import annotations

import builtins
import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.readerstudy.building import build
from imagetranslation.readerstudy.checking import verify
from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.session import open_session
from imagetranslation.readerstudy.store import FolderStore
from Testing.studies import a_document, a_study


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_study(tmp_path_factory.mktemp("study"), a_document(cases=3, readers=2))


@pytest.fixture
def study(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "study"))


def test_a_deleted_journal_is_missed_and_its_loss_goes_on_record(study: Path) -> None:
    """Its note may be deleted with it; that there was one stands in a hidden file."""
    reading = load_reading_set(study)
    with open_session(study, "R1") as session:
        session.answer("realism", 4)
    count = len(FolderStore(reading).history("R1").entries)
    for suffix, said in ((".jsonl", f"with it {count} acknowledged entries"), (".head", "although R1 has read here")):
        (reading.answers / f"R1{suffix}").unlink()
        rows = [row for row in verify(reading, FolderStore(reading)) if row["severity"] == "error"]
        assert rows[0]["reader"] == "R1"
        assert f"R1.jsonl is missing{', and ' if 'with' in said else ', '}{said}" in rows[0]["text"]
        assert "frozen" not in rows[0]["text"]
    with open_session(study, "R1") as session:
        assert "missing" in session.warnings[0]
        session.answer("realism", 2)
    history = FolderStore(reading).history("R1")
    assert history.entries[0]["missing"] == "all"
    assert "all entries before it were lost" in history.findings[0].text
    with pytest.raises(InputError, match="R1 already answered"):
        build(study)


def test_a_frozen_study_without_any_answer_is_an_error(study: Path) -> None:
    reading = load_reading_set(study)
    with open_session(study, "R1") as session:
        session.answer("realism", 4)
    for file in [*reading.answers.glob("R1*"), *reading.answers.glob(".R1*")]:
        file.unlink()
    assert "frozen by a first answer, but no answer is here" in verify(reading, FolderStore(reading))[0]["text"]
    with pytest.raises(InputError, match="Somebody already answered"):
        build(study)


def test_a_disk_that_is_full_at_the_very_first_answer_is_the_same_sentence(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(study, "R1")
    real = builtins.open

    def full(path: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        if "frozen.json" in str(path) and "x" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, mode, *more, **named)

    monkeypatch.setattr(builtins, "open", full)
    with pytest.raises(RunFailed, match="The disk is full: the answer is not saved yet"):
        session.answer("realism", 5)
    assert session.answers == {}
    monkeypatch.setattr(builtins, "open", real)
    session.answer("realism", 5)
    session.close()
    assert FolderStore(load_reading_set(study)).frozen()
