"""Functions of tests that run in a process of their own, which may be killed or lose its rights.

Forked by a clean interpreter that multiprocessing keeps, never by pytest itself: that holds threads of its libraries,
locks among them, and a channel to the process that counts results, and a copy of it would share both.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

LONGEST_S = 120

_processes = multiprocessing.get_context("forkserver")
# Imported once, so that each process begins in some hundredths of a second.
_processes.set_forkserver_preload(["Testing.studywindows"])


def start(function: Callable[..., object], *arguments: Any) -> BaseProcess:
    """Begin `function`, one that its module names, in a process of its own; an exception there ends it with 1."""
    process = _processes.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def end(process: BaseProcess) -> int:
    """Its exit code, negative for the signal that killed it, once it has ended; it is ended where it hangs."""
    process.join(LONGEST_S)
    hangs = process.is_alive()
    if hangs:
        process.kill()
        process.join()
    assert not hangs, f"a process of the test did not end in {LONGEST_S} s"
    assert process.exitcode is not None
    return process.exitcode


def run(function: Callable[..., object], *arguments: Any) -> int:
    """`start` and `end`."""
    return end(start(function, *arguments))


def together(count: int) -> Any:
    """A barrier at which `count` such processes wait for each other."""
    return _processes.Barrier(count)


def event() -> Any:
    """An event that such a process may set."""
    return _processes.Event()
