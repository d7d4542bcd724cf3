"""Standard error is silent for what C++ prints, and comes back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from imagetranslation.silence import silent_stderr


def test_what_is_printed_past_python_is_dropped_and_then_shown_again(capfd):
    os.write(2, b"before ")
    with silent_stderr(), silent_stderr():
        os.write(2, b"inside")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_an_error_inside_brings_it_back(capfd):
    with pytest.raises(ValueError, match="x"), silent_stderr():
        raise ValueError("x")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_two_threads_that_overlap_bring_it_back(capfd):
    entered, left = threading.Event(), threading.Event()

    def other() -> None:
        with silent_stderr():
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=other)
    with silent_stderr():
        thread.start()
        assert entered.wait(10)
    os.write(2, b"still silent")
    left.set()
    thread.join()
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_a_process_without_standard_error_goes_on(repository):
    code = (
        "import os; os.close(2)\nfrom imagetranslation.silence import silent_stderr\nwith silent_stderr(): print('on')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True)
    assert done.stdout == "on\n"
