"""kill -9 at random moments while answers are given: every answer that was acknowledged is in the journal."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.session import open_session
from imagetranslation.readerstudy.store import FolderStore
from Testing.studies import a_document, a_study


def answer_until_killed(study: Path, acknowledge: int, start: int) -> None:
    """Give answers one after the other and write the number of each to the pipe once the call has returned."""
    session = open_session(study, "R1")
    value = start
    while True:
        value += 1
        session.answer("comment", f"answer {value}", {"slice": value})
        os.write(acknowledge, f"{value}\n".encode())


@pytest.mark.parametrize("rounds", [25, pytest.param(200, marks=pytest.mark.soak)])
def test_every_acknowledged_answer_survives_kill_9(tmp_path: Path, rounds: int) -> None:
    study = a_study(tmp_path / "study", a_document(cases=2, readers=1))
    moments = random.Random(3)
    acknowledged: list[int] = []
    for n in range(rounds):
        read, write = os.pipe()
        start = 10_000 * n
        child = os.fork()
        if child == 0:
            os.close(read)
            try:
                answer_until_killed(study, write, start)
            finally:
                os._exit(1)
        os.close(write)
        # From the opening of the session to some hundred answers into it.
        time.sleep(moments.random() ** 2 * 0.3)
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with os.fdopen(read) as pipe:
            acknowledged += [int(line) for line in pipe.read().split("\n") if line]
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
