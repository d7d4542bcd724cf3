"""What the browser tests share: whether this machine can draw, made-up cases, a Chromium, readings that are served."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.browser.cases import LoadedCase
from imagetranslation.browser.opengl import opengl_available
from imagetranslation.provenance import Provenance
from imagetranslation.volume import Volume
from Testing.studies import a_document

from .reading_rooms import Served, a_chromium, a_reading, every_type, served

RECORD = Provenance(
    model="us2mri-pix2pix-small", version="1.0.0", weights_sha256="ab" * 32, task="us2mri", modality="MR",
    source="made-up", source_sha256="cd" * 32, created="2026-01-01T00:00:00Z", software="imagetranslation 0.1.0",
    notes=("A stand-in, made by the test.",),
)  # fmt: skip


@pytest.fixture(scope="session")
def drawing() -> None:
    """Skips the test where slices cannot be drawn."""
    missing = opengl_available()
    if missing:
        pytest.skip(missing)


def a_lopsided_volume(shape=(20, 30, 40), **changes) -> Volume:
    """Smooth, and different in every direction, so that a flipped or turned picture cannot pass for the right one."""
    k, j, i = np.indices(shape)
    ramp = 3 * i / shape[2] + 2 * j / shape[1] + k / shape[0]
    spot = 4 * np.exp(-(((i - shape[2] * 0.7) ** 2 + (j - shape[1] * 0.3) ** 2) / 30 + (k - shape[0] * 0.4) ** 2 / 20))
    array = (20 * (ramp + spot)).astype(np.float32)
    return Volume(array, **{"spacing": (1.0, 1.2, 2.0), "modality": "US", "name": "made-up", **changes})


QUANTITY = {"name": "standard deviation", "unit": "grey values", "calibrated": False, "patients": 4, "method": "tta"}


def a_loaded_case(source: Volume, *, reference: bool = True, name: str = "made-up") -> LoadedCase:
    """The source, its negative as the synthetic image, a shifted negative as the reference, an uncertainty map that
    grows from nothing to 40 along the columns."""
    negative = source.array.max() - source.array
    synthetic = source.with_array(negative, modality="MR", provenance=RECORD)
    real = source.with_array(np.roll(negative, 2, axis=2), modality="MR") if reference else None
    return LoadedCase(name, source, synthetic, real, a_map_of(synthetic))


def a_map_of(synthetic: Volume, **quantity) -> Volume:
    ramp = np.broadcast_to(np.linspace(0, 40, synthetic.array.shape[2], dtype=np.float32), synthetic.array.shape)
    record = replace(synthetic.provenance, quantity={**QUANTITY, **quantity})
    return synthetic.with_array(np.ascontiguousarray(ramp), provenance=record, name="made-up uncertainty")


@contextlib.contextmanager
def a_server(repository: Path, *arguments: str) -> Iterator[str]:
    """`Testing.Browser.serving` in a process and on a port of its own: the address it printed. Ended afterwards."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "Testing.Browser.serving", *arguments],
        cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said: list[str] = []
    try:
        assert server.stdout is not None
        for line in server.stdout:
            said.append(line)
            if "http://" in line:
                yield "http://" + line.split("http://")[1].split()[0]
                break
        else:
            pytest.fail("the server ended before it could be opened: " + "".join(said[-20:]))
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    with a_chromium() as made:
        yield made


@pytest.fixture
def every(tmp_path: Path) -> Iterator[Served]:
    """A reading with a question of each type."""
    with served(a_reading(tmp_path / "study", every_type())) as made:
        yield made


@pytest.fixture
def simple(tmp_path: Path) -> Iterator[Served]:
    """A reading of single images with three questions and a comment."""
    with served(a_reading(tmp_path / "study", a_document(cases=3, readers=3))) as made:
        yield made
