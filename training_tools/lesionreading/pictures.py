"""A place in the source, the real and the synthetic image side by side, ringed, as a small picture inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

SIDE = 132  # pixels of one panel
GAP = 4
RINGS = {"missed": (213, 94, 0), "invented": (0, 114, 178), "": (0, 158, 115)}  # Okabe and Ito's colours
LEAST_MM, MOST_MM = 70.0, 180.0  # of a panel's side


def strip(
    images: Sequence[np.ndarray],
    names: Sequence[str],
    spacing: Sequence[float],
    place: tuple[float, float],
    radius_mm: float,
    kind: str = "",
    *,
    inverted: bool = True,
    windows: Sequence[tuple[float, float]] | None = None,
) -> str:
    """An address ("data:image/png;...") of the panels of `images` around a place, (row, column) in pixels.

    images: (row, column) arrays on one grid. names: burned into the panels. spacing: mm along rows and columns. kind:
    "missed" or "invented", the ring's colour. inverted: dark on white, as bone scans are read. windows: grey limits of
    each image; by default 0 to its 99.8th percentile.
    """
    from PIL import Image

    side = float(np.clip(6 * radius_mm, LEAST_MM, MOST_MM))
    sheet = Image.new("RGB", (len(images) * SIDE + (len(images) - 1) * GAP, SIDE), (255, 255, 255))
    for number, (image, name) in enumerate(zip(images, names)):
        window = windows[number] if windows else (0.0, float(np.percentile(image, 99.8)))
        panel = _panel(_cropped(image, spacing, place, side), window, inverted)
        _ring(panel, SIDE * radius_mm / side, RINGS[kind])
        _burn(panel, name)
        sheet.paste(panel, (number * (SIDE + GAP), 0))
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _cropped(image: np.ndarray, spacing: Sequence[float], place: tuple[float, float], side_mm: float) -> np.ndarray:
    """A square of `side_mm` about a place on SIDE x SIDE points, linear, zero outside the image."""
    from scipy import ndimage

    steps = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    rows = place[0] + steps * side_mm / spacing[0]
    columns = place[1] + steps * side_mm / spacing[1]
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(image.astype(np.float32), grid, order=1, mode="constant"))


def _panel(image: np.ndarray, window: tuple[float, float], inverted: bool) -> Any:
    from PIL import Image

    shade = np.clip((image - window[0]) / max(window[1] - window[0], 1e-12), 0, 1)
    return Image.fromarray(np.round(255 * (1 - shade if inverted else shade)).astype(np.uint8)).convert("RGB")


def _ring(panel: Any, radius: float, colour: tuple[int, int, int]) -> None:
    from PIL import ImageDraw

    reach = min(radius + 5, SIDE / 2 - 2)
    low, high = SIDE / 2 - reach, SIDE / 2 + reach
    ImageDraw.Draw(panel).ellipse([low, low, high, high], outline=colour, width=2)


def _burn(panel: Any, text: str) -> None:
    from PIL import ImageDraw, ImageFont

    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(11)
    box = draw.textbbox((3, 2), text, font=font)
    draw.rectangle((box[0] - 2, box[1] - 1, box[2] + 2, box[3] + 1), fill=(0, 0, 0))
    draw.text((3, 2), text, fill=(230, 230, 230), font=font)
