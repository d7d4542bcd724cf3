"""A check for text burned into an image: a name, a scanner, the word "synthetic".

Our own heuristic, for a warning and not for a promise. It finds rows of small, bright, sharp-edged marks of one height
near the edges of a slice. It does not find faint or large text, text over bright anatomy, text in the middle, or
handwriting; and it can mistake bright grains for letters. A person must look at what is shown to readers.
"""

from __future__ import annotations

import numpy as np

# A letter is so many pixels high and at least so bright, as fractions of the slice's range.
_HEIGHTS = (5, 40)
_BRIGHT = 0.75
# So many letters in one line, with tops and bottoms within a fifth of their height, make text.
_LETTERS = 4
# Text stands in this outer share of the picture, on each side.
_EDGE = 0.25
# At most so many slices are looked at; burned-in text is in all of them, or in the first.
_MOST_SLICES = 7


def text_like(array: np.ndarray) -> str:
    """A sentence where slices (k, j, i) look as if they held text, otherwise "". Axis 0 is taken as the slice axis."""
    count = array.shape[0]
    chosen = sorted({0, count - 1, *(int(n) for n in np.linspace(0, count - 1, _MOST_SLICES))})
    high = float(array.max())
    low = float(array.min())
    if not high > low:
        return ""
    found = [k for k in chosen if _lines((array[k] - low) / (high - low))]
    if not found:
        return ""
    where = f"slice {found[0]}" if len(found) == 1 else f"slices {', '.join(str(k) for k in found)}"
    return f"there may be text burned into {where}."


def _lines(picture: np.ndarray) -> bool:
    """Whether letters stand in a row near an edge of the picture (row, column), 0 to 1."""
    import SimpleITK as sitk

    if min(picture.shape) < 16:
        return False
    bright = picture > _BRIGHT
    labels = sitk.ConnectedComponent(sitk.GetImageFromArray(bright.astype(np.uint8)), True)
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.ComputePerimeterOff()
    shapes.Execute(labels)
    rows = picture.shape[0]
    marks = []
    for label in shapes.GetLabels():
        x, y, width, height = shapes.GetBoundingBox(label)
        filled = shapes.GetNumberOfPixels(label) / (width * height)
        if not (_HEIGHTS[0] <= height <= _HEIGHTS[1] and 1 <= width <= 1.6 * height and 0.15 <= filled <= 1.0):
            continue
        if not (y + height <= _EDGE * rows or y >= (1 - _EDGE) * rows):
            continue
        if _sharp(picture, bright, slice(y, y + height), slice(x, x + width)):
            marks.append((y, y + height, x, x + width))
    return any(_in_line(mark, marks) >= _LETTERS for mark in marks)


def _sharp(picture: np.ndarray, bright: np.ndarray, rows: slice, columns: slice) -> bool:
    """Whether what surrounds the bright pixels of a box is much darker than they are: letters end within a pixel."""
    around = (
        slice(max(0, rows.start - 2), rows.stop + 2),
        slice(max(0, columns.start - 2), columns.stop + 2),
    )
    values, mark = picture[around], bright[around]
    return bool((~mark).any() and np.median(values[mark]) - np.median(values[~mark]) > 0.6)


def _in_line(mark: tuple[int, int, int, int], marks: list[tuple[int, int, int, int]]) -> int:
    top, bottom, left, _ = mark
    height = bottom - top
    line = [
        other
        for other in marks
        if abs(other[0] - top) <= height / 5 + 1
        and abs(other[1] - bottom) <= height / 5 + 1
        and 0 <= other[2] - left <= 20 * height
    ]
    return len(line)
