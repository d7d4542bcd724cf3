"""kill -9 at random moments of a translation: the output is whole or absent, and the next run clears what was left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagetranslation.volume import read_volume, write_volume
from Testing.packages import an_ultrasound, make_package


def command(source: Path, target: Path, model: Path) -> list[str]:
    return [sys.executable, "-m", "imagetranslation", "translate", str(source), "-o", str(target), "-m", str(model)]


@pytest.mark.parametrize("rounds", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_a_killed_translation_leaves_a_whole_output_or_none(tmp_path: Path, rounds: int) -> None:
    model = make_package(tmp_path / "tiny").path
    source = write_volume(an_ultrasound((60, 64, 64), seed=1), tmp_path / "us.nrrd")
    target = tmp_path / "out" / "mr.nrrd"
    started = time.monotonic()
    subprocess.run(command(source, target, model), check=True, capture_output=True)
    whole_run = time.monotonic() - started
    wanted = read_volume(target).array
    moments = random.Random(7)
    for _ in range(rounds):
        target.unlink(missing_ok=True)
        process = subprocess.Popen(command(source, target, model), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Most kills fall into the last part of the run, where files are written.
        time.sleep(whole_run * (1 - moments.random() ** 2 * 0.9))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        if target.exists():
            made = read_volume(target)
            assert made.synthetic
            assert (made.array == wanted).all()
    target.unlink(missing_ok=True)
    subprocess.run(command(source, target, model), check=True, capture_output=True)
    assert sorted(path.name for path in target.parent.iterdir()) == ["mr.json", "mr.nrrd"]
