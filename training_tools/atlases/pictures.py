"""One case as small pictures in a row, each an address that a page can hold in itself: where the translation fails.

Volumes are shown in the slice along k whose mean absolute error is largest, the way round a radiologist has it;
planar images whole, dark on white. Colours are `appearance`'s; which cases are shown is left to the command.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from imagetranslation.appearance import UNCERTAINTY_RGB, uncertainty_limit, windowed
from imagetranslation.provenance import MARK
from imagetranslation.slices import PLANES, array_axis, nearest_number, picture
from imagetranslation.volume import Volume, index_to_lps

from ..config import Config
from ..dataset import Case
from ..lesionreading.pictures import strip

WIDTH, MOST_HEIGHT = 210, 420  # pixels of a picture
# Colours of the error map end at this share of the output's range, in all pictures alike: our choice.
ERROR_LIMIT = 0.5
# Least share of the largest slice's recorded area that a slice must hold to be shown: end slices hold a few voxels.
LEAST_AREA = 0.5
LESION_MM = 8.0  # radius of the ring around a lesion whose size is not looked at
QUALITY = 85


@dataclass(frozen=True)
class Tile:
    """One picture: heading, note under it, and its address (data:image/...)."""

    label: str
    note: str
    address: str


@dataclass(frozen=True)
class Layer:
    """What is drawn. colours: whether the window's share is shown in colours (a map) or grey (an image)."""

    label: str
    note: str
    array: np.ndarray
    window: tuple[float, float]
    colours: bool = False
    marked: bool = False


def worst_slice(case: Case, image: np.ndarray) -> int:
    """Index along k of the slice with the largest mean absolute error among those that hold enough of the target."""
    counts = case.valid.sum(axis=(1, 2))
    error = np.where(case.valid, np.abs(image - case.reference), 0).sum(axis=(1, 2), dtype=np.float64)
    enough = counts >= LEAST_AREA * counts.max()
    return int(np.where(enough, error / np.maximum(counts, 1), -1).argmax())


def tiles(case: Case, config: Config, image: np.ndarray, deviation: np.ndarray | None, place: int) -> list[Tile]:
    """Source, synthetic, real, absolute error and, where there is one, the uncertainty map of slice `place` along k."""
    return [_tile(case.source, layer, place, _inverted(config)) for layer in layers(case, config, image, deviation)]


def layers(case: Case, config: Config, image: np.ndarray, deviation: np.ndarray | None) -> list[Layer]:
    """What the pictures of a case are drawn from."""
    lower, upper = config.target.value_range
    low, high = (float(v) for v in np.percentile(case.source.array[case.seen], (0.5, 99.5)))
    span, shown = upper - lower, np.where(case.valid, np.clip(image, lower, upper), lower)
    error = np.where(case.valid, np.abs(shown - case.reference), 0)
    told = f"0 to {ERROR_LIMIT * span:g} grey values"
    found = [
        Layer("source", "", case.source.array, (low, max(high, low + 1e-6))),
        Layer("synthetic", "", shown, (lower, upper), marked=True),
        Layer("real", "", case.reference, (lower, upper)),
        Layer("absolute error", told, error, (0.0, ERROR_LIMIT * span), colours=True),
    ]
    if deviation is not None:
        limit = uncertainty_limit(deviation)
        found.append(
            Layer("uncertainty", f"0 to {limit:g} grey values", np.where(case.valid, deviation, 0), (0.0, limit), True)
        )
    return found


def lesion_strip(case: Case, config: Config, image: np.ndarray, centre: Sequence[float], kind: str) -> str:
    """Address of source, synthetic and real image around a lesion, side by side.

    centre: index (k, j, i) of its middle on the source's grid. kind: "missed" or "invented", for the ring.
    """
    k, j, i = (min(max(round(at), 0), n - 1) for at, n in zip(centre, case.source.array.shape))
    marked = np.zeros(case.source.array.shape, np.float32)
    marked[k, j, i] = 1
    pixels, width_mm, height_mm = _slice(case.source, marked, k)
    row, column = (int(where[0]) for where in np.nonzero(pixels))
    shown = layers(case, config, image, None)[:3]
    names = [MARK if layer.marked else layer.label for layer in shown]
    return strip(
        [_slice(case.source, layer.array, k)[0] for layer in shown], names,
        (height_mm / pixels.shape[0], width_mm / pixels.shape[1]), (row, column), LESION_MM, kind,
        inverted=_inverted(config), windows=[layer.window for layer in shown],
    )  # fmt: skip


def legend() -> str:
    """CSS of the error's and the map's colours from 0 to their limit."""
    return "linear-gradient(to right," + ",".join(f"rgb{colour}" for colour in ((0, 0, 0), *UNCERTAINTY_RGB)) + ")"


def _inverted(config: Config) -> bool:
    return config.source.modality == "NM"  # bone scans are read dark on white


def _tile(grid: Volume, layer: Layer, place: int, inverted: bool) -> Tile:
    pixels, width_mm, height_mm = _slice(grid, windowed(layer.array, layer.window), place)
    rgb = _coloured(pixels) if layer.colours else np.repeat((1 - pixels if inverted else pixels)[..., None], 3, axis=2)
    shown = Image.fromarray(np.round(255 * rgb).astype(np.uint8))
    height = WIDTH * height_mm / width_mm
    shrunk = min(1.0, MOST_HEIGHT / height)
    shown = shown.resize((max(1, round(WIDTH * shrunk)), max(1, round(height * shrunk))), Image.Resampling.BICUBIC)
    if layer.marked:
        _say_synthetic(shown)
    stream = io.BytesIO()
    shown.save(stream, format="JPEG", quality=QUALITY, optimize=True)
    address = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return Tile(layer.label, layer.note, address)


def _say_synthetic(shown: Image.Image) -> None:
    draw, font = ImageDraw.Draw(shown), ImageFont.load_default(11)
    left, top, right, bottom = draw.textbbox((4, 3), MARK, font=font)
    draw.rectangle((left - 2, top - 1, right + 2, bottom + 1), fill=(0, 0, 0))
    draw.text((4, 3), MARK, fill=(230, 230, 230), font=font)


def _slice(grid: Volume, array: np.ndarray, place: int) -> tuple[np.ndarray, float, float]:
    """Slice `place` along k as a radiologist has it, with its width and height in mm."""
    plane = next(plane for plane in PLANES if array_axis(grid, plane) == 0)
    point = (index_to_lps(grid) @ [0.0, 0.0, place, 1.0])[:3]
    found = picture(grid.with_array(array), plane, nearest_number(grid, plane, point))
    return found.pixels, found.width_mm, found.height_mm


def _coloured(share: np.ndarray) -> np.ndarray:
    """(..., 3) from 0 to 1: black at 0, then the colours of the uncertainty map."""
    stops = np.linspace(0, 1, len(UNCERTAINTY_RGB) + 1)
    colours = np.array([(0, 0, 0), *UNCERTAINTY_RGB]) / 255
    return np.stack([np.interp(share, stops, channel) for channel in colours.T], axis=-1)
