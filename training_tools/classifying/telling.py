"""A line of progress on stderr: overwritten on a screen, written now and then into a file."""

from __future__ import annotations

import sys
import time

IN_FILE = 30.0  # seconds between lines


class Teller:
    """Call it with a sentence as often as there is one."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, sentence: str) -> None:
        """Show the sentence, if it is time for one."""
        if sys.stderr.isatty():
            print(f"\r\033[K{sentence}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._last >= IN_FILE:
            self._last = time.monotonic()
            print(sentence, file=sys.stderr, flush=True)
