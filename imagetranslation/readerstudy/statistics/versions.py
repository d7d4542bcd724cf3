"""The versions of what computed a number, for the record that travels with it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from ... import __version__

PACKAGES = ("numpy", "scipy")


def versions() -> dict[str, str]:
    """imagetranslation, Python, numpy and scipy."""
    told = {"imagetranslation": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            told[name] = version(name)
        except PackageNotFoundError:
            told[name] = "not installed"
    return told
