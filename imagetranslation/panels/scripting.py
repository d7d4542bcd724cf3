"""One translation from a script or a test: the same worker, waited for while the application stays alive."""

from __future__ import annotations

from typing import Any

import slicer

from .process import QtTicker, QtWorkerProcess
from .translation import Request, Translation


def translate_and_wait(request: Request) -> Any:
    """The node with the synthetic image; raises what `Translation` reports as failed."""
    outcome: list[Any] = []
    translation = Translation(QtWorkerProcess, QtTicker(), slicer.app.temporaryPath)
    translation.finished.connect(lambda node, report: outcome.append(node))
    translation.failed.connect(outcome.append)
    translation.start(request)
    while not outcome:
        slicer.app.processEvents()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
