"""The mark in the picture: the words SYNTHETIC in an overlay plane, or burned into the pixels.

Overlay planes: DICOM PS3.3 C.9.2. The wording is `provenance`'s.
"""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from ..provenance import MARK, Provenance, slicer_corner_text

GROUP = 0x6000
# The fixed font that Pillow carries, in pixels; it is drawn twice as large for every so many columns.
CHARACTER = (6, 11)
COLUMNS_PER_ZOOM = 320


def mark_bitmap(record: Provenance, rows: int, columns: int) -> tuple[np.ndarray, tuple[slice, slice]]:
    """bool (rows, columns), true on the letters, and the box (rows, columns) around them, in the upper left corner.

    The longest of the full sentence, the word SYNTHETIC and its beginning that fits is drawn; an image too small for a
    letter gets a diagonal line.
    """
    bitmap = np.zeros((rows, columns), dtype=bool)
    zoom = max(1, columns // COLUMNS_PER_ZOOM)
    for text, share in ((slicer_corner_text(record), 0.25), (MARK, 1.0), (MARK[:3], 1.0), (MARK[:1], 1.0)):
        lines = _wrapped(text, (columns - 2) // (CHARACTER[0] * zoom))
        if lines and CHARACTER[1] * zoom * len(lines) + 2 <= share * rows:
            letters = np.kron(_drawn(lines), np.ones((zoom, zoom), dtype=bool))
            height, width = letters.shape
            bitmap[1 : 1 + height, 1 : 1 + width] = letters
            return bitmap, (slice(0, height + 2), slice(0, width + 2))
        zoom = 1
    size = min(rows, columns)
    bitmap[np.arange(size), np.arange(size)] = True
    return bitmap, (slice(0, 0), slice(0, 0))


def add_overlay(dataset: Any, bitmap: np.ndarray, label: str) -> None:
    """Put `bitmap` (rows, columns) into the dataset as a graphics overlay over every frame."""
    from pydicom.pixels import pack_bits

    frames = int(dataset.get("NumberOfFrames") or 1)
    rows, columns = bitmap.shape
    planes = np.broadcast_to(bitmap, (frames, rows, columns)) if frames > 1 else bitmap
    for element, vr, value in (
        (0x0010, "US", rows),
        (0x0011, "US", columns),
        (0x0022, "LO", "Synthetic mark"),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [1, 1]),
        (0x0100, "US", 1),
        (0x0102, "US", 0),
        (0x1500, "LO", label),
        (0x3000, "OW", pack_bits(planes.astype(np.uint8), pad=True)),
    ):
        dataset.add_new((GROUP, element), vr, value)
    if frames > 1:
        dataset.add_new((GROUP, 0x0015), "IS", frames)
        dataset.add_new((GROUP, 0x0051), "US", 1)


def burned(values: np.ndarray, bitmap: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """A copy of `values` (k, j, i) with the letters at its greatest value, on a box at its least."""
    low, high = values.min(), values.max()
    marked = values.copy()
    marked[:, box[0], box[1]] = low
    marked[:, bitmap] = high if high > low else low + 1
    return marked


def _wrapped(text: str, characters: int) -> list[str]:
    return textwrap.wrap(text, characters) if characters > 0 else []


def _drawn(lines: list[str]) -> np.ndarray:
    """bool (rows, columns) of the lines in the fixed font."""
    from PIL import Image, ImageDraw, ImageFont

    size = CHARACTER[0] * max(len(line) for line in lines), CHARACTER[1] * len(lines)
    picture = Image.new("1", size)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default_imagefont()
    for number, line in enumerate(lines):
        draw.text((0, number * CHARACTER[1]), line, fill=1, font=font)
    return np.asarray(picture, dtype=bool)
