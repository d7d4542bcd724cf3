"""The temporary folder through which volumes go to the worker and back: one a translation, always removed.

Its name carries the application's process id, so that the next start can clear up what a crash left behind.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path

from .processtree import is_running

PREFIX = "imagetranslation-"
_left: list[Path] = []


class WorkFolder:
    """A new folder below `base`; `remove` deletes it with all that is in it."""

    def __init__(self, base: str | Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base))

    def remove(self) -> None:
        """Delete the folder. What cannot be deleted yet, as a file that Windows keeps while a program still has it
        open, is tried again with the next folder, and at the latest by the `sweep` of the next start."""
        stubborn = [path for path in [*_left, self.path] if not _delete(path)]
        _left[:] = stubborn


def sweep(base: str | Path) -> list[Path]:
    """Delete the folders below `base` whose application is gone; returns them."""
    stale = [path for path in Path(base).glob(f"{PREFIX}*-*") if path.is_dir() and not _in_use(path)]
    for path in stale:
        _delete(path)
    return stale


def _in_use(path: Path) -> bool:
    pid = path.name[len(PREFIX) :].partition("-")[0]
    return not pid.isdigit() or is_running(int(pid))


def _delete(path: Path) -> bool:
    """Whether the folder is gone."""
    shutil.rmtree(path, onerror=lambda _, name, error: logging.warning("%s could not be deleted: %s", name, error[1]))
    return not path.exists()
