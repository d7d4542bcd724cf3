"""Ending a worker with everything it has started: on Linux for real, on Windows and macOS as far as they are asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from imagetranslation.panels import processtree  # noqa: E402
from imagetranslation.panels.processtree import descendants, end_tree, is_running  # noqa: E402


def _denied(process):
    import psutil

    raise psutil.AccessDenied(process.pid)


@pytest.fixture(params=["psutil", "/proc", "ps"])
def asking(request, monkeypatch, tmp_path):
    """Each way of finding out what a process has started; macOS without psutil has only the last."""
    if request.param != "psutil":
        monkeypatch.setitem(sys.modules, "psutil", None)
    if request.param == "ps":
        monkeypatch.setattr(processtree, "PROC", tmp_path / "no such folder")
    return request.param


@pytest.fixture
def windows(monkeypatch):
    """Windows without psutil, as far as it is asked: the commands, and what they print."""
    commands, printed = [], []

    def run(command, **options):
        commands.append(list(command))
        return subprocess.CompletedProcess(command, 0, printed[0] if printed else "", "")

    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "run", run)
    return commands, printed


class TestProcessTree:
    def test_ending_a_launcher_ends_its_child_too(self, asking):
        child = "import time; time.sleep(60)"
        launcher = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
        process = subprocess.Popen([sys.executable, "-c", launcher])
        deadline = time.monotonic() + 10
        while not descendants(process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        (grandchild,) = descendants(process.pid)
        end_tree(process.pid)
        process.wait(5)
        while is_running(grandchild) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_running(grandchild)

    def test_ending_what_is_gone_is_no_error(self, asking):
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait(20)
        end_tree(process.pid)
        assert not is_running(process.pid)

    def test_a_process_that_may_not_be_stopped_first_is_ended_all_the_same(self, monkeypatch, asking):
        if asking == "psutil":
            import psutil

            monkeypatch.setattr(psutil.Process, "suspend", _denied)
        real = os.kill

        def kill(pid, what):
            if what == signal.SIGSTOP:
                raise PermissionError(1, "Operation not permitted")
            real(pid, what)

        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        monkeypatch.setattr(os, "kill", kill)
        end_tree(process.pid)
        assert process.wait(5) == -signal.SIGKILL

    def test_it_works_without_psutil(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "psutil", None)
        assert is_running(os.getpid())
        assert not is_running(4194303)

    def test_windows_is_asked_to_end_the_whole_tree(self, windows):
        commands, _ = windows
        end_tree(77)
        assert commands == [["taskkill", "/PID", "77", "/T", "/F"]]

    @pytest.mark.parametrize(
        ("printed", "running"),
        [
            ('"Slicer.exe","77","Console","1","230,444 K"\r\n', True),
            ('"other.exe","9","Console","77","77,077 K"\r\n', False),
            ("INFO: No tasks are running which match the specified criteria.\r\n", False),
        ],
    )
    def test_windows_is_asked_whether_a_process_is_there(self, windows, printed, running):
        windows[1].append(printed)
        assert is_running(77) == running


@pytest.fixture
def a_launcher(a_slicer_app, monkeypatch, tmp_path):
    """A program that starts Python as its child, as PythonSlicer does, in the place of the worker's Python."""
    pytest.importorskip("PySide6", reason="PySide6 is not installed")
    from imagetranslation.panels import process

    launcher = tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    monkeypatch.setattr(process, "worker_python", lambda: str(launcher))
    return process


@pytest.mark.parametrize("how", ["the event loop", "wait"])
def test_a_stopped_process_has_ended_when_the_last_of_its_tree_is_gone(a_launcher, wait_until, monkeypatch, how):
    started, ends = a_launcher.QtWorkerProcess(), []
    started.ended.connect(lambda code, crashed: ends.append(crashed))
    started.start(["-c", "import time; time.sleep(60)"])
    (child,) = wait_until(lambda: descendants(int(started._process.processId())), 10, "the child")
    asked = []

    def dies_slowly(pid):
        asked.append(pid)
        return pid == child and asked.count(child) < 5

    monkeypatch.setattr(a_launcher, "is_running", dies_slowly)
    started.stop()
    if how == "wait":
        started.wait()
    else:
        wait_until(lambda: ends, 5, "the end")
    assert ends == [True]
    assert asked.count(child) == 5
