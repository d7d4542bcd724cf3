"""What a Slicer module spends on handing a volume to the worker and taking the result back: a node's voxels into a
file, and the result's voxels out of one, in small steps."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .results import NotMeasured, Row
from .sidebyside import interleaved

ROUNDS = 5
SHAPE = (160, 256, 256)


def measure() -> list[Row]:
    """Row overhead_transfer."""
    try:
        import slicer  # noqa: F401  the way into files and back starts at its nodes
    except ImportError as error:
        raise NotMeasured("slicer-core is not installed.") from error
    from imagetranslation.panels import transfer
    from imagetranslation.volume import Volume, write_volume

    voxels = np.random.default_rng(0).rayleigh(40, SHAPE).clip(0, 255).astype(np.uint8)
    node = _node(voxels)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = write_volume(Volume(voxels.astype(np.float32)), folder / "result.nii")
        times, _ = interleaved(
            {
                "send": lambda: list(transfer.send_volume(node, folder / "scan.nrrd")),
                "receive": lambda: list(transfer.receive_volume(result, SHAPE)),
            },
            ROUNDS,
        )
    seconds = sum(statistics.median(times[name]) for name in ("send", "receive"))
    return [Row("overhead_transfer", round(seconds, 3), None, "", "s",
                f"the application's own part, {' x '.join(map(str, SHAPE))} voxels written and read back in small "
                f"steps; medians of {ROUNDS} interleaved runs")]  # fmt: skip


def _node(voxels: np.ndarray) -> Any:
    import slicer
    import slicer.util

    node = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetAttribute("ImageTranslation.Modality", "US")
    return node
