"""A machine that cannot draw gets one sentence with the line that helps, never a crash."""

from __future__ import annotations

import subprocess

import pytest

from imagetranslation.browser import app, opengl
from imagetranslation.browser.cases import Case
from imagetranslation.errors import InputError, RunFailed


def a_child(returncode=0, stdout="", stderr=""):
    return lambda *_, **__: subprocess.CompletedProcess([], returncode, stdout, stderr)


def test_a_child_that_draws_means_yes(monkeypatch):
    monkeypatch.setattr(subprocess, "run", a_child(stdout="drawn by vtkEGLRenderWindow"))
    assert opengl.opengl_available() is None


@pytest.mark.parametrize("returncode", [-11, 1, 0])
def test_a_child_that_crashes_or_draws_nothing_means_the_apt_line(monkeypatch, returncode):
    monkeypatch.setattr(subprocess, "run", a_child(returncode))
    assert opengl.APT_LINE in opengl.opengl_available()


def test_missing_packages_are_told_from_missing_libraries(monkeypatch):
    monkeypatch.setattr(subprocess, "run", a_child(1, stderr="ModuleNotFoundError: No module named 'vtkmodules'"))
    assert "imagetranslation[browser]" in opengl.opengl_available()


def test_a_driver_that_hangs_is_told_too(monkeypatch):
    monkeypatch.setattr(opengl, "_PROBE", "import time; time.sleep(30)")
    assert "does not answer" in opengl.opengl_available(timeout=0.2)


def test_a_child_killed_by_the_driver_is_survived(monkeypatch):
    monkeypatch.setattr(opengl, "_PROBE", "import os; os.abort()")
    assert opengl.APT_LINE in opengl.opengl_available()


def test_serving_on_such_a_machine_is_refused_before_anything_is_drawn(monkeypatch):
    monkeypatch.setattr(app, "opengl_available", lambda: "no OpenGL: " + opengl.APT_LINE)
    never_read = Case("x", lambda: pytest.fail("read"), lambda: pytest.fail("read"))
    with pytest.raises(RunFailed, match="libegl1"):
        app.serve([never_read])


def test_serving_no_case_is_refused():
    with pytest.raises(InputError, match="no case"):
        app.serve([])


def test_a_taken_port_is_refused_with_the_option_to_use(monkeypatch):
    import socket

    monkeypatch.setattr(app, "opengl_available", lambda: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RunFailed, match="--port"):
            app.serve([Case("x", lambda: pytest.fail("read"), lambda: None)], port=taken.getsockname()[1])


@pytest.mark.parametrize("port", [0, 8080])
def test_a_host_that_does_not_exist_is_refused_in_one_sentence(monkeypatch, port):
    monkeypatch.setattr(app, "opengl_available", lambda: None)
    with pytest.raises(RunFailed, match="--host"):
        app.serve([Case("x", lambda: pytest.fail("read"), lambda: None)], host="no such host", port=port)
