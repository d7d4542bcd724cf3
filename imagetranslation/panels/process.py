"""The worker as a process of Qt's: starting PythonSlicer, handing on its bytes, and ending its whole tree.

Imports `qt`. What a process is to the rest of the panels stands in `protocols`, what its bytes mean in `events`.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import qt
import slicer

from .processtree import end_tree, is_running
from .protocols import NOT_STARTED, QUITTING
from .signal import Signal

ROOT = Path(__file__).resolve().parent.parent.parent
STOP_PATIENCE_MS = 2000
LOOK_AGAIN_MS = 10


class QtWorkerProcess:
    """A WorkerProcess on QProcess."""

    # Qt ends a QProcess object that Python lets go of together with its process, and complains: those that run stay.
    _running: ClassVar[set[QtWorkerProcess]] = set()
    _followsTheApplication: ClassVar[bool] = False
    _quitting: ClassVar[bool] = False

    def __init__(self) -> None:
        self.output, self.errors, self.ended = Signal(), Signal(), Signal()
        self._over = False
        self._exit: tuple[int, bool] | None = None
        self._killed: list[int] = []
        self._deadline = 0.0
        self._process = qt.QProcess()
        self._receivers = (
            ("readyReadStandardOutput()", self._onOutput),
            ("readyReadStandardError()", self._onErrors),
            ("finished(int,QProcess::ExitStatus)", self._onFinished),
            ("errorOccurred(QProcess::ProcessError)", self._onProblem),
        )
        for signal, receiver in self._receivers:
            self._process.connect(signal, receiver)

    @classmethod
    def endAll(cls) -> None:
        """End all that run, start none from now on and stop listening, for when the application quits.

        Later, when Python itself is taken down, a process that still spoke would call receivers that are half gone.
        """
        cls._quitting = True
        for process in list(cls._running):
            process.stop()
            process.wait()
            for signal, receiver in process._receivers:
                process._process.disconnect(signal, receiver)
        cls._running.clear()

    def start(self, arguments: list[str]) -> None:
        """See WorkerProcess."""
        if QtWorkerProcess._quitting:
            self._end(QUITTING, False)
            return
        # Python puts the working directory first on its path: the worker finds this very package there.
        self._running.add(self)
        if not QtWorkerProcess._followsTheApplication:
            QtWorkerProcess._followsTheApplication = bool(slicer.app.connect("aboutToQuit()", QtWorkerProcess.endAll))
        self._process.setWorkingDirectory(str(ROOT))
        self._process.start(worker_python(), arguments)

    def write(self, data: bytes) -> None:
        """See WorkerProcess."""
        self._process.write(data)

    def stop(self) -> None:
        """See WorkerProcess."""
        pid = self._process.processId()
        if pid:
            self._killed = end_tree(int(pid))
            self._deadline = time.monotonic() + STOP_PATIENCE_MS / 1000

    def wait(self) -> None:
        """See WorkerProcess."""
        self._process.waitForFinished(STOP_PATIENCE_MS)
        while not self._over and self._lingering():
            time.sleep(LOOK_AGAIN_MS / 1000)
        if self._exit is not None:
            self._end(*self._exit)

    def _onOutput(self) -> None:
        self.output(_bytes(self._process.readAllStandardOutput()))

    def _onErrors(self) -> None:
        self.errors(_bytes(self._process.readAllStandardError()))

    def _onFinished(self, code: int, status: object) -> None:
        self._onOutput()
        self._onErrors()
        self._exit = (int(code), status == qt.QProcess.CrashExit)
        self._settle()

    def _settle(self) -> None:
        """Say that it has ended once the last process of its tree is gone: until then they may hold and write files.

        What Qt has seen the end of is the launcher.
        """
        if self._over or self._exit is None:
            return
        if self._lingering():
            qt.QTimer.singleShot(LOOK_AGAIN_MS, self._settle)
        else:
            self._end(*self._exit)

    def _lingering(self) -> bool:
        return time.monotonic() < self._deadline and any(is_running(pid) for pid in self._killed)

    def _onProblem(self, problem: object) -> None:
        # Every other problem is followed by finished().
        if problem == qt.QProcess.FailedToStart:
            self.errors(f"{worker_python()} could not be started.\n".encode())
            self._end(NOT_STARTED, True)

    def _end(self, code: int, crashed: bool) -> None:
        if not self._over:
            self._over = True
            self._running.discard(self)
            self.ended(QUITTING if QtWorkerProcess._quitting else code, crashed)


class QtTicker:
    """A Ticker on QTimer."""

    def __init__(self) -> None:
        self._step: Callable[[], None] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._onTimeout)

    def start(self, step: Callable[[], None]) -> None:
        """See Ticker."""
        self._step = step
        self._timer.start()

    def stop(self) -> None:
        """See Ticker."""
        self._timer.stop()
        self._step = None

    def _onTimeout(self) -> None:
        if self._step is not None:
            self._step()


def worker_python() -> str:
    """The Python that the worker runs on: PythonSlicer in the application, this interpreter elsewhere."""
    suffix = ".exe" if sys.platform == "win32" else ""
    home = str(getattr(slicer.app, "slicerHome", "") or "")
    candidates = [
        str(Path(sys.executable).parent / f"PythonSlicer{suffix}"),
        str(Path(home) / "bin" / f"PythonSlicer{suffix}") if home else "",
        shutil.which("PythonSlicer") or "",
        sys.executable,
    ]
    return next(c for c in candidates if c and os.access(c, os.X_OK) and Path(c).is_file())


def _bytes(array: object) -> bytes:
    """The content of a QByteArray."""
    return bytes(array.data())  # type: ignore[attr-defined]
