"""The public scans of Resources/SampleData.json in Slicer's Sample Data module; nothing is downloaded here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from ..resources import resource

if TYPE_CHECKING:
    from ..tasks import Task


def samples(task: str) -> list[dict[str, Any]]:
    """The entries of Resources/SampleData.json that belong to a task; none where the file is absent."""
    path = resource("SampleData.json")
    if path is None:
        return []
    return [entry for entry in json.loads(path.read_text(encoding="utf-8"))["samples"] if entry["task"] == task]


def register(task: Task, icons: str | Path) -> None:
    """Register the task's samples: each file with its SHA-256, and the thumbnail named after the module."""
    import SampleData

    found = samples(task.id)
    if not found:
        return
    category = "Image Translation"
    SampleData.SampleDataLogic.registerCustomSampleDataCategory(category, title=_("Image Translation"))
    for entry in found:
        stem = entry["file"].partition(".")[0]
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=category,
            sampleName=entry["name"],
            thumbnailFileName=str(Path(icons) / f"{task.module}-{entry['role']}.png"),
            uris=entry["url"],
            fileNames=entry["file"],
            checksums=f"SHA256:{entry['sha256']}",
            nodeNames=stem,
        )
