"""How the command lines of these tools end: exit code 0, or one sentence and an error's code, also by Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from imagetranslation.errors import Cancelled, ImageTranslationError


def run(main: Callable[[], int]) -> int:
    """Call `main`; an error a person can act on, or Ctrl-C, is one line on stderr and its exit code: no traceback."""
    try:
        return main()
    except ImageTranslationError as error:
        ended = error
    except KeyboardInterrupt:
        ended = Cancelled("Cancelled. What was finished is kept; no file is half-written.")
    print(f"error: {ended}", file=sys.stderr)
    return ended.exit_code


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, by which a batch system ends a job, as Ctrl-C inside; on any but the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
