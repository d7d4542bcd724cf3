"""Windows of a reader study that tests open in processes of their own (`apart`), which begin fast without pytest."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Any

from imagetranslation.errors import ImageTranslationError
from imagetranslation.readerstudy.locks import FileLock
from imagetranslation.readerstudy.session import open_session


def answer_until_killed(study: Path, begun: Any, acknowledged: Path, start: int) -> None:
    """Give answers one after the other and write the number of each to a file once the call has returned."""
    begun.set()
    session = open_session(study, "R1")
    value = start
    with acknowledged.open("ab", buffering=0) as stream:
        while True:
            value += 1
            session.answer("comment", f"answer {value}", {"slice": value})
            stream.write(f"{value}\n".encode())


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
