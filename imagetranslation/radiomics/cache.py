"""Results kept by content: the same image, region, settings and engine are never computed twice.

One JSON file a result, named by the hash of everything it depends on. A file that is damaged, or was made for something
else, is computed anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import numpy as np

from .. import __version__
from ..files import make_folder, write_text
from ..volume import Volume
from .engine import Engine, RoiResult
from .roi import Roi
from .settings import Settings

# Raised when results of the same input may differ from those kept.
FORMAT = 1
_LARGEST = 64 << 20


def image_hash(image: Volume) -> str:
    """SHA-256 of voxels, their type and geometry."""
    digest = hashlib.sha256(repr((image.array.dtype.str, image.array.shape)).encode())
    digest.update(repr((image.spacing, image.origin, image.direction)).encode())
    digest.update(np.ascontiguousarray(image.array).data)
    return digest.hexdigest()


class Cache:
    """Results in a folder, which is made if it isn't there."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = make_folder(folder)

    def key(self, image_sha256: str, roi: Roi, settings: Settings, engine: Engine, shape: bool) -> str:
        """The name of a result. image_sha256: of the image as the engine gets it."""
        parts = (FORMAT, __version__, image_sha256, roi.sha256, repr(roi.grid), settings.sha256, engine.name,
                 engine.version, engine.feature_set, shape)  # fmt: skip
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def get(self, key: str, roi: Roi) -> RoiResult | None:
        """The kept result, under the name and number the region has now; None where there is none."""
        path = self._path(key)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if path.stat().st_size > _LARGEST:
                return None
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept.get("key") != key:
                return None
            result = RoiResult.from_dict(kept["result"])
            if result.roi["sha256"] == roi.sha256:
                return RoiResult.from_dict({**result.to_dict(), "roi": roi.to_dict()})
        return None

    def put(self, key: str, result: RoiResult) -> None:
        """Keep a result; a refusal is not kept."""
        if not result.refused:
            write_text(self._path(key), json.dumps({"key": key, "result": result.to_dict()}))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"
