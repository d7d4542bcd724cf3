"""The process that runs MIRP: started once, asked many times, ended with us or when the person cancels."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import Cancelled, InputError, RunFailed

RUNNER = Path(__file__).with_name("mirp_runner.py")
START_LIMIT_S = 300.0
JOB_LIMIT_S = 3600.0
_TICK_S = 0.1
ABSENT = (
    "MIRP is not installed in {where}. It needs Python 3.11 or newer and would replace the numpy of an application "
    "such as Slicer, so make an environment of its own (python3 -m venv mirp; mirp/bin/pip install mirp) and point "
    "to it with --mirp-python mirp/bin/python."
)


class MirpProcess:
    """MIRP in another process, which `close()` ends. python: its interpreter, "" for this one."""

    def __init__(self, python: str = "") -> None:
        self.python = python or sys.executable
        self.where = f"its own process, {self.python}" + ("" if python else " (the environment of this program)")
        command = [self.python, str(RUNNER)]
        # One thread each: several runners share the machine. An environment pointed to finds its own packages.
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
        kept = {key: value for key, value in os.environ.items() if not python or not _of_this_program(key)}
        environment = {**kept, **dict.fromkeys(threads, "1"), "PYTHONUTF8": "1", "PYTHONSAFEPATH": "1"}
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                encoding="utf-8", env=environment,
            )  # fmt: skip
        except OSError as error:
            raise InputError(
                f"{self.python} cannot be started as a Python interpreter: {error.strerror}. Give the path of "
                "python in an environment that has MIRP."
            ) from error
        self._answers: queue.Queue[str] = queue.Queue()
        listener = threading.Thread(target=_listen, args=(self._process.stdout, self._answers), daemon=True)
        listener.start()
        # Also when nobody closed it: at the latest when this program ends.
        self.close = weakref.finalize(self, _end, self._process, listener)
        try:
            hello = self._answer(START_LIMIT_S, None)
        except RunFailed as error:
            self.close()
            why = str(error).rstrip(".")
            raise InputError(f"{self.python} does not run as a Python interpreter with MIRP ({why}).") from error
        if "version" not in hello:
            self.close()
            detail = "" if "No module named 'mirp'" in hello.get("error", "") else f" ({hello.get('error', '')[:160]})"
            raise InputError(ABSENT.format(where=self.python) + detail)
        self.version = str(hello["version"])

    def ask(self, job: dict[str, Any], cancelled: Callable[[], bool] | None = None) -> dict[str, Any]:
        """Send a job and wait for its values. Raises Cancelled, or RunFailed with MIRP's reason."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise RunFailed("The process that runs MIRP has ended; try again.") from error
        answer = self._answer(JOB_LIMIT_S, cancelled)
        if "values" not in answer:
            raise RunFailed(f"MIRP could not extract features: {str(answer.get('error', ''))[:300].rstrip('.')}.")
        return dict(answer["values"])

    def _answer(self, limit_s: float, cancelled: Callable[[], bool] | None) -> dict[str, Any]:
        waited = 0.0
        while waited < limit_s:
            if cancelled is not None and cancelled():
                self.close()
                raise Cancelled("Cancelled; nothing was written.")
            try:
                line = self._answers.get(timeout=_TICK_S)
            except queue.Empty:
                waited += _TICK_S
                continue
            if not line:
                raise RunFailed("The process that runs MIRP ended without an answer.")
            try:
                answer = json.loads(line)
            except ValueError as error:
                raise RunFailed("The process that runs MIRP answered something else than JSON.") from error
            return answer if isinstance(answer, dict) else {}
        self.close()
        raise RunFailed(f"MIRP did not answer within {limit_s:.0f} s and was ended.")


def _of_this_program(key: str) -> bool:
    """Whether an environment variable is about this Python, or about the libraries of the Slicer that it runs in."""
    libraries = "SLICER_HOME" in os.environ and key in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return key.startswith("PYTHON") or libraries


def _listen(stream: Any, answers: queue.Queue[str]) -> None:
    for line in stream:
        answers.put(line)
    answers.put("")


def _end(process: subprocess.Popen[str], listener: threading.Thread) -> None:
    """End the process, then the thread that reads from it, then close the pipes."""
    process.kill()
    process.wait()
    listener.join()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
