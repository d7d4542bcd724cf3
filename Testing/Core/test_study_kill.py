"""kill -9 at random moments while answers are given: every answer that was acknowledged is in the journal."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.session import open_session
from imagetranslation.readerstudy.store import FolderStore
from Testing import apart, studywindows
from Testing.studies import a_document, a_study


@pytest.mark.parametrize("rounds", [25, pytest.param(200, marks=pytest.mark.soak)])
def test_every_acknowledged_answer_survives_kill_9(tmp_path: Path, rounds: int) -> None:
    study = a_study(tmp_path / "study", a_document(cases=2, readers=1))
    moments = random.Random(3)
    answered = tmp_path / "answered.txt"
    answered.touch()
    for n in range(rounds):
        # Every other one is met while it opens its session, the others some answers into it, on a slow machine too.
        ready, answers = apart.event(), moments.randint(2, 40) if n % 2 else 0
        process = apart.start(studywindows.answer_until_killed, study, ready, answered, 10_000 * n, answers)
        assert ready.wait(apart.LONGEST_S)
        time.sleep(moments.random() ** 2 * 0.3)
        process.kill()
        assert apart.end(process) == -signal.SIGKILL
    acknowledged = [int(line) for line in answered.read_text().splitlines()]
    history = FolderStore(load_reading_set(study)).history("R1")
    assert not history.broken
    kept = [int(e["new"].split()[1]) for e in history.entries if e["kind"] == "answer"]
    assert len(acknowledged) > rounds
    assert not set(acknowledged) - set(kept)
    # At most the one answer in flight is there without having been acknowledged.
    assert len(set(kept) - set(acknowledged)) <= rounds
    assert kept == sorted(kept)
    with open_session(study, "R1") as session:
        assert session.answers["comment"] == f"answer {kept[-1]}"
