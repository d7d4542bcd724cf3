"""One translation from a script or a test: the same worker, waited for while the application stays alive."""

from __future__ import annotations

from typing import Any

import slicer

from ..errors import InputError, ModelRefused
from . import modelchoices, requirements
from .process import QtTicker, QtWorkerProcess
from .translation import Request, Translation


def translate_and_wait(request: Request) -> Any:
    """The node with the synthetic image.

    Raises InputError where packages are missing, ModelRefused where the model is, else what `Translation` reports.
    """
    if sentence := requirements.hindrance():
        raise InputError(sentence)
    if not modelchoices.is_installed(request.model):
        raise ModelRefused(modelchoices.absence(request.model))
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
