"""What the statistics compute with: whether it is installed, and its versions for the record with each number."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from ... import __version__
from ...errors import InputError

PACKAGES = ("numpy", "scipy")


def require() -> None:
    """InputError where scipy is missing, with what to install."""
    if find_spec("scipy") is None:
        raise InputError("Statistics need scipy, which is not installed: run pip install 'imagetranslation[study]'.")


def versions() -> dict[str, str]:
    """imagetranslation, Python, numpy and scipy."""
    told = {"imagetranslation": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            told[name] = version(name)
        except PackageNotFoundError:
            told[name] = "not installed"
    return told
