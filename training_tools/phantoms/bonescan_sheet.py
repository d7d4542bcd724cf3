"""The contact sheet of simulated bone scans: blood pool, delayed, and the delayed image with its lesions outlined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.files import atomic_path
from imagetranslation.volume import read_volume

MOST = 24  # cases on one sheet
COLUMNS = 3  # cases side by side


def write_sheet(folder: Path, cases: list[str], comment: str) -> Path:
    """Draw `sheet.png`: three pictures a case, dark is many counts; hyperaemia in blue, lesions in red."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = cases[:MOST]
    across = min(COLUMNS, len(shown))
    rows = -(-len(shown) // across)
    tall = max(_aspect(folder, case) for case in shown)
    figure = Figure(figsize=(1.25 * 3 * across, (1.25 * tall + 0.22) * rows + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, 3 * across, squeeze=False)
    for cell in grid.flat:
        cell.set_axis_off()
    for n, case in enumerate(shown):
        cells = grid[n // across, 3 * (n % across) : 3 * (n % across) + 3]
        pool, delayed = (_image(folder, part, case) for part in ("source", "target"))
        _draw(cells[0], pool, case)
        _draw(cells[1], delayed, "")
        _draw(cells[2], delayed, "")
        for part, colour in (("hyperaemia", "tab:blue"), ("lesion", "red")):
            labels = _image(folder, part, case)
            if labels.any():
                cells[2].contour(labels > 0, [0.5], colors=colour, linewidths=0.6)
    left = f"; the first {MOST} of {len(cases)} cases" if len(cases) > MOST else ""
    figure.suptitle(
        f"Blood pool, delayed, delayed with hyperaemia (blue) and lesion (red). {comment}{left}", fontsize=7
    )
    path = folder / "sheet.png"
    with atomic_path(path) as temporary:
        # No date or version in the file: the same cases give the same bytes.
        figure.savefig(temporary, dpi=130, format="png", metadata={"Software": None})
    return path


def _image(folder: Path, part: str, case: str) -> np.ndarray:
    return read_volume(folder / part / f"{case}.nrrd").array[0]


def _aspect(folder: Path, case: str) -> float:
    rows, columns = _image(folder, "source", case).shape
    return rows / columns


def _draw(cell: Any, image: np.ndarray, title: str) -> None:
    seen = image[image > 0]
    # A full bladder would take the whole range: the window ends at the 99th percentile of what was counted.
    top = float(np.percentile(seen, 99.0)) if seen.size else 1.0
    cell.imshow(image, cmap="gray_r", vmin=0, vmax=max(top, 1.0), interpolation="antialiased")
    cell.set_title(title, fontsize=4, loc="left", pad=1)
