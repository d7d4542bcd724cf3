"""What the tests of cohorts share: small scans, the command in a process of its own, and comparing whole folders."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from imagetranslation.volume import write_volume
from Testing.packages import an_ultrasound, make_package, metadata

# Files that say how a run went and not what it made.
ABOUT_THE_RUN = {"translations.csv", "cohort.jsonl"}

# Without a trial of engines, which takes longer than these tests.
PLAIN = ("--engine", "torch", "--precision", "float32")


def some_scans(folder: Path, count: int = 3, shape: tuple[int, int, int] = (6, 20, 24)) -> Path:
    """A folder of `count` scans, us0.nrrd and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        write_volume(an_ultrasound(shape, seed=number), folder / f"us{number}.nrrd")
    return folder


def a_model(folder: Path) -> str:
    """A tiny package."""
    return str(make_package(folder).path)


def a_slow_model(folder: Path) -> str:
    """A package that takes some seconds for a scan of (40, 64, 64)."""
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "base": 32, "levels": 4}
    return str(make_package(folder, made=metadata(network={"arguments": arguments}, patch_size=[128, 128])).path)


def start(*arguments: object, folder: Path, **environment: str) -> subprocess.Popen[str]:
    """`imagetranslation translate ...` in a process group of its own, as a terminal starts it, working in `folder`."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "imagetranslation", "translate", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary), **environment},
    )


def run(*arguments: object, folder: Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command."""
    process = start(*arguments, folder=folder, **environment)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def made(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that a cohort made, by relative path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ABOUT_THE_RUN
    }


def until(happened: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something; AssertionError when it does not happen."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def worker_processes(parent: int) -> list[psutil.Process]:
    """The processes that compute for the one with this number."""
    children = psutil.Process(parent).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
