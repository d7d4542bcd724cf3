"""What the reading panel says: why a reading cannot start, where the reader is. Imports `slicer`; no widget."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from ..errors import ImageTranslationError, InputError
from ..readerstudy.readingset import load_reading_set
from ..readerstudy.store import FolderStore
from . import readinglock, requirements
from .readingdesk import Desk


def require_ready(folder: str, reader: str) -> None:
    """InputError with a sentence where a reading cannot start in this application now."""
    if readinglock.locked():
        raise InputError(_("A reading is open already; leave it first."))
    if not folder or not reader:
        raise InputError(_("Choose the study's reading folder and enter your reader code."))
    if slicer.app.layoutManager() is None:
        raise InputError(_("Slicer runs without views; a reading needs them."))
    if sentence := requirements.hindrance(need for need in requirements.NEEDS if need.name == "jsonschema"):
        raise InputError(sentence)
    if slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode"):
        said = _("Other images are loaded. Save what you need, close the scene (File menu), then start the reading.")
        raise InputError(said)


def progress_text(desk: Desk) -> str:
    """Which case of how many, and whether the clock runs; the closing sentence where the session is over."""
    session, progress = desk.session, desk.session.progress
    if session.trial is None:
        return session.ended
    text = str(_("Case {n} of {m}").format(n=progress.session_number, m=progress.session_total))
    if progress.sessions > 1:
        text += _(", session {n} of {m}").format(n=progress.session, m=progress.sessions)
    if session.trial.training:
        text += _(" (training, not counted)")
    if session.paused:
        text += _(" - paused")
    elif desk.idle():
        text += _(" - the clock stands until you go on")
    return text


def held_elsewhere(folder: str, reader: str) -> bool:
    """Whether another window has the reader open, so that taking over is something to offer."""
    try:
        return FolderStore(load_reading_set(folder)).holder(reader) is not None
    except (ImageTranslationError, ValueError, OSError):
        return False
