"""Fixtures shared by every layer's tests: where the repository and the real scans are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
