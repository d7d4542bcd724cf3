"""The `SampleData` module as far as other modules use it: registering sources. Nothing is downloaded by itself."""

from __future__ import annotations

from typing import Any

import slicer


class SampleDataSource:
    """One entry of the sample data gallery; the arguments are SampleData's."""

    def __init__(self, **facts: Any) -> None:
        allowed = {
            "sampleName",
            "sampleDescription",
            "uris",
            "fileNames",
            "nodeNames",
            "checksums",
            "loadFiles",
            "customDownloader",
            "thumbnailFileName",
            "loadFileType",
            "loadFileTypes",
            "loadFileProperties",
        }
        unknown = set(facts) - allowed
        if unknown:
            raise TypeError(f"SampleDataSource has no argument {sorted(unknown)}")
        for name in allowed:
            setattr(self, name, facts.get(name))


class SampleDataLogic:
    """Registers sources under a category."""

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **facts: Any) -> None:
        for name in ("uris", "fileNames", "nodeNames", "checksums"):
            value = facts.get(name)
            if value is not None and not isinstance(value, (str, list, tuple)):
                raise TypeError(f"{name} is text or a list of texts")
        slicer.modules.sampleDataSources.setdefault(category, []).append(SampleDataSource(**facts))
