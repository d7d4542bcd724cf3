"""What a test run says when it goes wrong: failures and lost workers at once, and an end to a run that hangs.

A run on two workers tells of failures only in its summary; a worker that dies without a word, or hangs in native code
where no signal of Python's reaches it, would cost that summary. This plug-in prints each failure as it comes, names
the test that a lost worker was running, and ends a process that has been silent for too long with the stacks of all
its threads. `run.sh` reads FAILED, every test that failed or whose worker was lost, even if a new worker passed it.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# pytest-timeout ends a test that Python can still interrupt; these seconds later, one that it cannot.
GRACE_S = 120
# Without word of any test the run itself is lost.
RUN_S = 1500
# In the folder of the run's cache, one test a line; names a line cannot hold are left out.
FAILED = "failed.txt"


class Watch:
    """Watches one process of a run: a worker, or the process that hands the tests out."""

    def __init__(self, config: pytest.Config) -> None:
        # Capturing turns file descriptor 2 away during a test; this copy still leads outside.
        self._outside = os.fdopen(os.dup(sys.__stderr__.fileno()), "w")
        self._hands_out = not hasattr(config, "workerinput") and bool(config.getoption("numprocesses", None))
        self._config = config
        self._failed: dict[str, None] = {}
        self._running: dict[str, float] = {}
        self._file: Path | None = None
        self._heard = time.monotonic()
        if self._hands_out:
            threading.Thread(target=self._end_when_silent, name="watch", daemon=True).start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if item.path != self._file:
            # What earlier files left alive is not looked through again: with millions of objects each collection takes
            # a second, and Hypothesis asks for many.
            self._file = item.path
            gc.collect()
            gc.freeze()
        marker = item.get_closest_marker("timeout")
        limit = float(marker.args[0] if marker and marker.args else item.config.getini("timeout") or 0)
        if limit:
            faulthandler.dump_traceback_later(limit + GRACE_S, exit=True, file=self._outside)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._heard = time.monotonic()
        self._running[nodeid] = self._heard

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._heard = time.monotonic()
        self._running.pop(nodeid, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed[report.nodeid] = None
        if self._hands_out and report.failed:
            self._say(f"{report.when} of {report.nodeid} failed:\n{report.longreprtext}")

    def pytest_sessionfinish(self) -> None:
        cache = getattr(self._config, "cache", None)
        if cache is not None and not hasattr(self._config, "workerinput"):
            names = [name for name in self._failed if "\n" not in name]
            (cache.mkdir("watch") / FAILED).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        if error:
            # Negative: the signal that ended it. execnet keeps the process to itself.
            process = getattr(node.gateway._io, "popen", None)
            code = process.wait(10) if process else "unknown"
            self._say(f"worker {node.gateway.id} is gone: {error}, exit code {code}; {self._at_work()}")

    def _end_when_silent(self) -> None:
        while time.monotonic() - self._heard < RUN_S:
            time.sleep(5)
        self._say(f"Nothing was heard of any test for {RUN_S} s; the run ends here. {self._at_work()}")
        os._exit(3)

    def _at_work(self) -> str:
        now = time.monotonic()
        return "At work: " + ("; ".join(f"{n} since {now - t:.0f} s" for n, t in self._running.items()) or "nothing")

    def _say(self, text: str) -> None:
        print(f"\n{text}", file=self._outside, flush=True)


def _pass_signals_on() -> None:
    """Programs that tests start and interrupt must not inherit an ignored signal, as under nohup or behind `&`."""
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_configure(config: pytest.Config) -> None:
    _pass_signals_on()
    config.pluginmanager.register(Watch(config), "watch")
