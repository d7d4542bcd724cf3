"""dciodvfy (Debian's dicom3tools), which the tests ask whether what we write is valid DICOM."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

# Synthetic Data came into the standard after the dciodvfy of 2022.
UNKNOWN_TO_IT = (
    "Error - Attribute with an even group number is not a recognized standard attribute - (0x0008,0x001c)  ? "
)


def flaws(file: Path, *kinds: str) -> list[str]:
    """The errors that dciodvfy finds in a file; kinds: what it must recognise it as, one of these."""
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
    done = subprocess.run([tool, file], capture_output=True, check=False)
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    assert set(kinds) & set(lines), "dciodvfy did not recognise the object"
    return [line for line in lines if line.startswith("Error")]
