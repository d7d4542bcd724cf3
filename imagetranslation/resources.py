"""Where the shipped resources lie and where a person's own models are kept.

The resources stand beside the package in a source checkout and in an installed Slicer extension, and under
`share/imagetranslation` of the Python environment after a pip installation.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path


def resource_folders() -> list[Path]:
    """The folders that exist, nearest first."""
    beside = Path(__file__).resolve().parent.parent / "Resources"
    installed = Path(sysconfig.get_path("data")) / "share" / "imagetranslation"
    return [folder for folder in (beside, installed) if folder.is_dir()]


def resource(*parts: str) -> Path | None:
    """The first existing resource of that relative path, or None."""
    for folder in resource_folders():
        if (path := folder.joinpath(*parts)).exists():
            return path
    return None


def user_folder() -> Path:
    """The person's data folder: `IMAGETRANSLATION_HOME`, or the platform's usual place. It may not exist yet."""
    if home := os.environ.get("IMAGETRANSLATION_HOME"):
        return Path(home)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "imagetranslation"


def model_folders() -> list[Path]:
    """Folders searched for model packages by id: the person's own first, then the shipped ones."""
    shipped = [folder / "Models" for folder in resource_folders()]
    return [folder for folder in (user_folder() / "models", *shipped) if _is_folder(folder)]


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # below a folder that may not be entered
        return False
