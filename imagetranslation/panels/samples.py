"""The public scans of Resources/SampleData.json in Slicer's Sample Data module; nothing is downloaded here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from ..samples import samples

if TYPE_CHECKING:
    from ..tasks import Task

CATEGORY = "Image Translation"


def register(task: Task, icons: str | Path) -> None:
    """Register the task's samples: each file with its SHA-256, and the thumbnail named after the module."""
    import SampleData

    found = samples(task.id)
    if not found:
        return
    SampleData.SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, title=_("Image Translation"))
    for sample in found:
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample.name,
            thumbnailFileName=str(Path(icons) / f"{task.module}-{sample.role}.png"),
            uris=sample.url,
            fileNames=sample.file,
            checksums=f"SHA256:{sample.sha256}",
            nodeNames=sample.file.partition(".")[0],
        )
