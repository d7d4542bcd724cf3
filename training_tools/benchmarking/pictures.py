"""Slices of tested cases as small PNG files: source, real target, and each network's image, marked as synthetic."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from imagetranslation.files import atomic_path, make_folder

from ..config import Config
from ..dataset import Case

WIDTH = 160
INK, GROUND = (230, 230, 230), (0, 0, 0)
SOURCE, TARGET, SYNTHETIC = "source", "target", "synthetic"
ROW_STYLE = ".pictures{display:flex;flex-wrap:wrap;gap:8px;align-items:flex-end}.pictures figure{margin:0}"
Pictures = Sequence[tuple[str, Path]]  # words and file of each


def write_picture(folder: Path, case: Case, image: np.ndarray, config: Config) -> None:
    """Draw `<case>-source.png`, `<case>-target.png` and `<case>-synthetic.png` of the slice with most to see."""
    place = chosen_slice(case)
    lower, upper = config.target.value_range
    low, high = (float(v) for v in np.percentile(case.source.array[case.seen], (0.5, 99.5)))
    make_folder(folder)
    inverted = config.source.modality == "NM"  # bone scans are read dark on white
    for part, array, window in (
        (SOURCE, case.source.array, (low, max(high, low + 1e-6))),
        (TARGET, case.reference, (lower, upper)),
        (SYNTHETIC, np.where(case.valid, image, lower), (lower, upper)),
    ):
        shown = _grey(array[place], window, inverted)
        _save(shown, case.source.spacing, folder / f"{case.name}-{part}.png", marked=part == SYNTHETIC)


def chosen_slice(case: Case) -> int:
    """The slice with most lesion, where one is known; else the middle of those that hold most of the target."""
    if case.lesion is not None and case.lesion.any():
        return int(case.lesion.sum(axis=(1, 2)).argmax())
    counts = case.valid.sum(axis=(1, 2))
    return int(np.median(np.flatnonzero(counts >= 0.9 * counts.max())))


def pictured(folders: Mapping[str, Path], most: int) -> Iterator[tuple[str, Pictures]]:
    """The first cases by name, each with its source, its real target and every network's image.

    folders: of each network's pictures, by its name; the first one's cases are taken, and what a network lacks is left
    out.
    """
    first = next(iter(folders.values()), None)
    if first is None:
        return
    for source in sorted(first.glob(f"*-{SOURCE}.png"))[:most]:
        case = source.name.removesuffix(f"-{SOURCE}.png")
        shown = [(SOURCE, source), ("real target", first / f"{case}-{TARGET}.png")]
        shown += [(name, folder / f"{case}-{SYNTHETIC}.png") for name, folder in folders.items()]
        yield case, [(words, path) for words, path in shown if path.exists()]


def row_html(case: str, pictures: Pictures) -> str:
    """A case's pictures side by side with their words, in HTML that needs nothing but `ROW_STYLE`."""
    shown = "".join(
        f"<figure><img src='{embedded(path)}' alt='{escape(case)}, {escape(words)}'>"
        f"<figcaption class='note'>{escape(words)}</figcaption></figure>"
        for words, path in pictures
    )
    return f"<div class='pictures'>{shown}</div>"


def embedded(path: Path) -> str:
    """A PNG file as an address that a page can hold in itself."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _grey(image: np.ndarray, window: tuple[float, float], inverted: bool) -> np.ndarray:
    share = np.clip((image.astype(np.float32) - window[0]) / (window[1] - window[0]), 0, 1)
    return (255 * (1 - share if inverted else share)).round().astype(np.uint8)


def _save(pixels: np.ndarray, spacing: tuple[float, float, float], path: Path, *, marked: bool) -> None:
    from PIL import Image, ImageDraw, ImageFont

    rows, columns = pixels.shape
    height = max(1, round(WIDTH * rows * spacing[1] / (columns * spacing[0])))
    picture = Image.fromarray(pixels).resize((WIDTH, min(height, 4 * WIDTH)), Image.Resampling.BICUBIC).convert("RGB")
    if marked:
        draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
        box = draw.textbbox((4, 3), "SYNTHETIC", font=font)
        draw.rectangle((box[0] - 2, box[1] - 1, box[2] + 2, box[3] + 1), fill=GROUND)
        draw.text((4, 3), "SYNTHETIC", fill=INK, font=font)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
