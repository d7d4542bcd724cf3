"""Which engine would make the chosen features, from where, and if none, why not. No widget.

Whether a package is there is found without importing it: that is the worker's matter.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from ..radiomics.engine import FEATURE_SETS
from .requirements import Need

MIRP = Need("mirp", "2.5", "makes the 186 features; licence EUPL-1.2; with pandas and itk", 400)
TITLES = {
    "pyradiomics": "107 by PyRadiomics",
    "paper186": "186 of the prostate study, by MIRP",
    "ibsi": "All of the IBSI standard, by MIRP",
}
_MODULES = {"pyradiomics": "radiomics", "mirp": "mirp"}


@dataclass(frozen=True)
class Readiness:
    """ready: whether features can be made. sentence: by what and from where, or why not and what to do. installable:
    whether installing MIRP may help."""

    ready: bool
    sentence: str
    installable: bool = False


def readiness(features: str, mirp_python: str = "") -> Readiness:
    """Of a feature set; mirp_python: an interpreter that a person pointed to, or ""."""
    engine = FEATURE_SETS[features]
    if engine == "mirp" and mirp_python:
        return _pointed_to(Path(mirp_python))
    folder = _folder_of(_MODULES[engine])
    if engine == "pyradiomics":
        if folder:
            return Readiness(True, f"PyRadiomics {_version('pyradiomics')} in {folder}.")
        return Readiness(
            False,
            "PyRadiomics is not installed: install the extension Radiomics in the Extensions Manager and restart "
            "Slicer.",
        )
    if folder:
        return Readiness(True, f"MIRP {_version('mirp')} in {folder}.")
    return Readiness(
        False,
        "MIRP is not installed: press Install MIRP, which is done only where no package of Slicer's is changed by it, "
        "or choose the Python of an environment that has MIRP.",
        True,
    )


def _pointed_to(python: Path) -> Readiness:
    if python.is_file() and os.access(python, os.X_OK):
        return Readiness(True, f"MIRP in the environment of {python}.")
    return Readiness(False, f"{python} is no program; choose the Python of an environment that has MIRP.")


def _folder_of(module: str) -> str:
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    return str(Path(found.origin).parent.parent) if found is not None and found.origin else ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(of a version that it does not tell)"
