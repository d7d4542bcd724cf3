"""Fixtures shared by every layer's tests: where the repository and the real scans are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from Testing.watching import pytest_configure  # noqa: F401 - a hook

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real scans; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("IMAGETRANSLATION_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real scans are not at {folder}; set IMAGETRANSLATION_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def prostate_pairs(data_dir: Path) -> Path:
    """The 18 transrectal ultrasound and T2 MR pairs."""
    return data_dir / "prostate_mr_trus"


@pytest.fixture(scope="session")
def synthetic_prostates(prostate_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `imagetranslation translate` makes of the 18 ultrasound volumes with the shipped model."""
    folder = tmp_path_factory.mktemp("translated") / "synthetic"
    command = [sys.executable, "-m", "imagetranslation", "translate", str(prostate_pairs / "us"), "-o", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder
