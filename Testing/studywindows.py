"""Windows of a reader study that tests open in processes of their own (`apart`), which begin fast without pytest."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from pathlib import Path
from typing import Any

from imagetranslation.errors import ImageTranslationError
from imagetranslation.readerstudy.locks import FileLock
from imagetranslation.readerstudy.session import open_session


def answer_until_killed(study: Path, ready: Any, acknowledged: Path, start: int, answers: int) -> None:
    """Give answers one after the other and write the number of each to a file once the call has returned.

    ready: set after that many answers, with 0 of them before the session is opened.
    """
    if not answers:
        ready.set()
    session = open_session(study, "R1")
    with acknowledged.open("ab", buffering=0) as stream:
        for given in itertools.count(1):
            session.answer("comment", f"answer {start + given}", {"slice": given})
            stream.write(f"{start + given}\n".encode())
            if given == answers:
                ready.set()


def answer_and_die(study: Path) -> None:
    """One answer, then kill -9."""
    open_session(study, "R1").answer("realism", 4)
    os.kill(os.getpid(), signal.SIGKILL)


def lock_with_others(answers: Path, others: Any) -> None:
    """Reach for the lock at once with the others; ends with 0 where it was got, with 3 where another had it."""
    others.wait(60)
    code = 3
    with contextlib.suppress(ImageTranslationError):
        FileLock(answers, "R1")
        code = 0
    # The lock is held until the others have tried.
    others.wait(60)
    os._exit(code)
