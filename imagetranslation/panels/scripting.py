"""One translation from a script or a test: the same worker, waited for while the application stays alive.

Imports `qt`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt
import slicer

from ..errors import InputError, ModelRefused
from . import modelchoices, requirements
from .process import QtTicker, QtWorkerProcess
from .translation import Request, Translation

if TYPE_CHECKING:
    from ..tasks import Task


def translate_and_wait(
    task: Task, source: Any, output: Any, model: str, device: str, mask: Any, uncertainty: bool = False
) -> Any:
    """The node with the synthetic image; the other arguments are those of `Request`, model "" the task's own.

    Raises InputError where packages are missing, ModelRefused where the model is, else what `Translation` reports.
    """
    request = Request(source, model or task.default_model, device, output, mask, uncertainty=uncertainty)
    if sentence := requirements.hindrance():
        raise InputError(sentence)
    if not modelchoices.is_installed(request.model):
        raise ModelRefused(modelchoices.absence(request.model))
    outcome: list[Any] = []
    translation = Translation(QtWorkerProcess, QtTicker(), slicer.app.temporaryPath)
    loop = qt.QEventLoop()

    def end(result: Any, _report: Any = None) -> None:
        outcome.append(result)
        loop.quit()

    translation.finished.connect(end)
    translation.failed.connect(end)
    translation.start(request)
    # The steps are taken in the loop, so that nothing ends before it runs.
    loop.exec_()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
