"""The contact sheet of prepared cases: source, registered target and the target under the source's gland outline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.files import atomic_path
from imagetranslation.volume import read_volume

INCHES = 1.5


def write_sheet(folder: Path, cases: list[str]) -> Path:
    """Draw `report.png` in a folder that `prepare` wrote: one row a case, middle slices along k, then along j."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * INCHES, len(cases) * INCHES), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(cases), 4, squeeze=False)
    for row, case in zip(grid, cases):
        for axis, (left, right) in ((0, row[:2]), (1, row[2:])):
            _draw(left, folder, "source", case, axis)
            _draw(right, folder, "target", case, axis)
        row[0].set_ylabel(case, fontsize=6)
    for cell, title in zip(grid[0], ("source, k", "target, k", "source, j", "target, j")):
        cell.set_title(title, fontsize=7)
    path = folder / "report.png"
    with atomic_path(path) as temporary:
        # No date or version in the file: the same pairs give the same bytes.
        figure.savefig(temporary, dpi=100, format="png", metadata={"Software": None})
    return path


def _draw(cell: Any, folder: Path, part: str, case: str, axis: int) -> None:
    image = read_volume(folder / part / f"{case}.nrrd").array
    shown = np.take(image, image.shape[axis] // 2, axis)
    cell.imshow(shown, cmap="gray", vmin=0, vmax=float(np.percentile(image, 99.5)), interpolation="nearest")
    for label, colour in (("source_label", "yellow"), ("target_label", "red")):
        path = folder / label / f"{case}.nrrd"
        if path.exists():
            mask = read_volume(path).array
            outline = np.take(mask, mask.shape[axis] // 2, axis)
            if outline.any() and not outline.all():
                cell.contour(outline, [0.5], colors=colour, linewidths=0.5)
    cell.set_xticks([])
    cell.set_yticks([])
