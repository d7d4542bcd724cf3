"""The contact sheet of prepared cases: source, registered target, outlines of glands and lesions, what is suspect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.files import as_sentence, atomic_path
from imagetranslation.volume import read_volume

from .aligning import Quality

INCHES = 1.5
ROWS = 60  # of one picture; a picture of 800 rows cannot be drawn
SQUARES = 8  # along an axis of the chequered picture of a planar pair
OUTLINES = (("source_label", "yellow"), ("target_label", "red"), ("lesion", "cyan"))


def write_sheet(folder: Path, rows: Sequence[Quality]) -> list[Path]:
    """Draw `report.png`, and `report-2.png` and so on for every 60 more, in a folder that `prepare` wrote.

    One row a case: of volumes the middle slices along k, then along j; of planar pairs the two images and squares of
    one and the other in turn. Yellow: source label; red: target label; cyan: lesions. A suspect case's row is red.
    """
    pages = [rows[first : first + ROWS] for first in range(0, len(rows), ROWS)]
    paths = [_write_page(folder, page, number) for number, page in enumerate(pages, 1)]
    for path in set(folder.glob("report-*.png")) - set(paths):
        with as_sentence(path):
            path.unlink()
    return paths


def _write_page(folder: Path, rows: Sequence[Quality], number: int) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * INCHES, len(rows) * INCHES), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), 4, squeeze=False)
    for cells, row in zip(grid, rows):
        _draw_row(cells, folder, row)
    path = folder / ("report.png" if number == 1 else f"report-{number}.png")
    with atomic_path(path) as temporary:
        # No date or version in the file: the same pairs give the same bytes.
        figure.savefig(temporary, dpi=100, format="png", metadata={"Software": None})
    return path


def _draw_row(cells: Any, folder: Path, row: Quality) -> None:
    images = {part: _read(folder, part, row.case) for part in ("source", "target")}
    marks = [(array, colour) for part, colour in OUTLINES if (array := _read(folder, part, row.case)) is not None]
    flat = images["source"].shape[0] == 1
    shown = [("source", 0), ("target", 0), ("source", 0 if flat else 1), ("target", 0 if flat else 1)]
    for place, (cell, (part, axis)) in enumerate(zip(cells, shown)):
        image = images[part]
        high = float(np.percentile(image, 99.5)) or float(image.max())
        if flat and place == 2:
            _draw(cell, _chequered(images), 1.0, marks, 0)
        elif flat and place == 3:
            _draw(cell, image[0], high, [], 0)
        else:
            _draw(cell, np.take(image, image.shape[axis] // 2, axis), high, marks, axis)
        titles = ("source", "target", "both in squares", "target alone") if flat else ()
        cell.set_title((titles or ("source, k", "target, k", "source, j", "target, j"))[place], fontsize=6)
    name = row.case if not row.suspect else f"{row.case}\nsuspect"
    cells[0].set_ylabel(name, fontsize=6, color="red" if row.suspect else "black")
    if row.suspect:
        cells[1].set_xlabel(row.suspect, fontsize=5, color="red")
        for cell in cells:
            for edge in cell.spines.values():
                edge.set_color("red")


def _read(folder: Path, part: str, case: str) -> Any:
    path = folder / part / f"{case}.nrrd"
    return read_volume(path).array if path.exists() else None


def _chequered(images: dict[str, np.ndarray]) -> np.ndarray:
    """Squares of the source and the target in turn, each image from 0 to 1: edges run on where they are aligned."""
    both = [image[0] / (float(np.percentile(image, 99.5)) or float(image.max()) or 1.0) for image in images.values()]
    rows, columns = (np.arange(n) * SQUARES // n for n in both[0].shape)
    return np.where((rows[:, None] + columns[None]) % 2 == 0, *both)


def _draw(cell: Any, picture: np.ndarray, high: float, marks: list[tuple[np.ndarray, str]], axis: int) -> None:
    cell.imshow(picture, cmap="gray", vmin=0, vmax=high, interpolation="nearest")
    for mask, colour in marks:
        outline = np.take(mask, mask.shape[axis] // 2, axis) > 0
        if outline.any() and not outline.all():
            cell.contour(outline, [0.5], colors=colour, linewidths=0.5)
    cell.set_xticks([])
    cell.set_yticks([])
