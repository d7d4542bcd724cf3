"""Keeping what C++ libraries print past Python off the process's standard error.

ITK's readers and writers report a full disk there in several lines, besides raising; the one sentence a person needs is
made from what they raise.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_users = 0
_kept = -1


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop everything written to file descriptor 2 meanwhile, also by other threads; several threads may be inside."""
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _users, _kept
    with _lock:
        _users += 1
        if _users == 1:
            try:
                _kept = os.dup(2)
            except OSError:  # a windowed application without standard error
                _kept = -1
                return
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0 and _kept >= 0:
            os.dup2(_kept, 2)
            os.close(_kept)
