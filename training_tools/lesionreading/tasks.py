"""The tasks whose lesions are read; a new one is a file with a `TASK` and an entry here."""

from __future__ import annotations

from . import bonescan, prostate
from .task import Task

TASKS: dict[str, Task] = {task.name: task for task in (bonescan.TASK, prostate.TASK)}
