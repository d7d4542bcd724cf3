"""The static sheet: source, synthetic, reference, difference and uncertainty as one PNG for reports.

No OpenGL, no browser. Slices come from `slices`, grey values and colours from `appearance`; this file only lays them
out and writes text. The synthetic mark is burned into every panel that shows any of the synthetic image.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import appearance, deviationmaps, slices
from .errors import InputError
from .files import atomic_path
from .provenance import corner_text
from .volume import Volume

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont
    from PIL.Image import Image

PANEL = 340
GAP = 10
MARGIN = 24
ROW_LABEL = 26
BACKGROUND = (14, 17, 22)
PANEL_BACKGROUND = (0, 0, 0)
TEXT = (226, 232, 240)
FAINT = (140, 150, 165)
MARK_COLOUR = (255, 193, 7)
# The image stays visible under its uncertainty.
UNCERTAINTY_OPACITY = 0.7


@dataclass(frozen=True)
class Column:
    """One column of panels. caption: its heading. mark: text burned into its panels, with its colour."""

    kind: str
    caption: str
    mark: str
    colour: tuple[int, int, int]


def write_sheet(
    path: str | Path,
    source: Volume,
    synthetic: Volume,
    reference: Volume | None = None,
    uncertainty: Volume | None = None,
) -> Path:
    """Write the sheet as a PNG (atomically) and return its path.

    Rows: the middle axial, sagittal and coronal slice (one row for a single-slice volume). Columns: source, synthetic
    and, with a reference, reference and difference. All panels have one physical scale. `synthetic` must be on the
    source's grid and carry its provenance, otherwise InputError; a reference on another grid is shown resampled
    (linearly), without a difference, and the sheet says so. With an uncertainty map (checked by `deviationmaps.map_of`)
    it is laid over the synthetic image in a last column.
    """
    picture = draw_sheet(source, synthetic, reference, uncertainty)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
    return Path(path)


def draw_sheet(
    source: Volume, synthetic: Volume, reference: Volume | None = None, uncertainty: Volume | None = None
) -> Image:
    """The sheet as an RGB image; see `write_sheet`."""
    from PIL import Image, ImageDraw

    if synthetic.provenance is None:
        raise InputError(f"{synthetic.name} carries no record of how it was made; it cannot be shown as synthetic.")
    if not synthetic.same_grid(source):
        raise InputError(f"{synthetic.name} is not on the grid of {source.name}; they cannot be shown side by side.")
    remarks = list(dict.fromkeys((*source.notes, *synthetic.provenance.notes)))
    shown = reference
    if reference is not None and not reference.same_grid(source):
        shown = _on_grid_of(reference, source)
        remarks.append("The reference was resampled to the source's grid for this sheet.")
    refusal = appearance.why_no_difference(synthetic, reference) if reference is not None else None
    if refusal:
        remarks.append(refusal)
    columns = _columns(source, synthetic, reference, with_difference=reference is not None and refusal is None)
    if uncertainty is not None:
        uncertainty = deviationmaps.map_of(uncertainty, synthetic)
        columns.append(Column("uncertainty", "Uncertainty", corner_text(synthetic.provenance), MARK_COLOUR))
        remarks.append(f"Uncertainty: {deviationmaps.legend_sentence(uncertainty)}")
    volumes = {"source": source, "synthetic": synthetic, "reference": shown, "uncertainty": uncertainty}
    rows = slices.useful_planes(source)
    panels = {(row, c.kind): _panel(row, c, volumes) for row in rows for c in columns}
    heights = [max(panels[row, c.kind].height for c in columns) for row in rows]

    footer = _footer(synthetic, source, columns, remarks)
    width = 2 * MARGIN + ROW_LABEL + len(columns) * PANEL + (len(columns) - 1) * GAP
    lines = [line for text in footer for line in _wrapped(text, width - 2 * MARGIN)]
    top = 128
    sheet_height = top + sum(heights) + GAP * len(rows) + 12 + 19 * len(lines) + MARGIN
    bars = [(n, c.kind) for n, c in enumerate(columns) if c.kind in ("difference", "uncertainty")]
    if bars:
        sheet_height += 44
    sheet = Image.new("RGB", (width, sheet_height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _header(draw, synthetic)
    y = top
    for row, height in zip(rows, heights):
        _row_label(sheet, row, MARGIN, y, height)
        for n, column in enumerate(columns):
            x = MARGIN + ROW_LABEL + n * (PANEL + GAP)
            if y == top:
                draw.text((x, top - 24), column.caption, fill=column.colour, font=_font(15))
            panel = panels[row, column.kind]
            draw.rectangle((x, y, x + PANEL - 1, y + height - 1), fill=PANEL_BACKGROUND)
            sheet.paste(panel, (x, y + (height - panel.height) // 2))
            _letters(draw, row, x, y, height)
            _burn(draw, column, x, y)
        y += height + GAP
    for n, kind in bars:
        place = (MARGIN + ROW_LABEL + n * (PANEL + GAP), y + 4)
        if kind == "difference":
            _difference_bar(sheet, draw, *place)
        else:
            _uncertainty_bar(sheet, draw, *place, _present(uncertainty))
    y += 44 if bars else 0
    for n, line in enumerate(lines):
        draw.text((MARGIN, y + 12 + 19 * n), line, fill=FAINT if n else TEXT, font=_font(13))
    return sheet


def _columns(source: Volume, synthetic: Volume, reference: Volume | None, *, with_difference: bool) -> list[Column]:
    assert synthetic.provenance is not None
    mark = corner_text(synthetic.provenance)
    columns = [
        Column("source", _caption("Source", source), "source", TEXT),
        Column("synthetic", _caption("Synthetic", synthetic), mark, MARK_COLOUR),
    ]
    if reference is not None:
        columns.append(Column("reference", _caption("Reference", reference), "reference (real)", TEXT))
    if with_difference:
        columns.append(Column("difference", "Synthetic minus reference", mark, MARK_COLOUR))
    return columns


def _caption(word: str, volume: Volume) -> str:
    return f"{word} \N{MIDDLE DOT} {volume.modality}" if volume.modality else word


def _panel(plane: str, column: Column, volumes: dict[str, Volume | None]) -> Image:
    """The column's middle slice, scaled so that its longer physical side fills the panel; aspect ratio is physical."""
    from PIL import Image

    number = slices.slice_count(_present(volumes["source"]), plane) // 2
    if column.kind == "difference":
        synthetic, reference = _present(volumes["synthetic"]), _present(volumes["reference"])
        percent = appearance.difference_percent(synthetic, reference)
        shown = slices.picture(synthetic.with_array(percent), plane, number)
        pixels = appearance.difference_colours(shown.pixels)
    elif column.kind == "uncertainty":
        synthetic, deviation = _present(volumes["synthetic"]), _present(volumes["uncertainty"])
        shown, pixels = _under_uncertainty(synthetic, deviation, plane, number)
    else:
        volume = _present(volumes[column.kind])
        shown = slices.picture(volume, plane, number)
        grey = appearance.windowed(shown.pixels, appearance.default_window(volume))
        pixels = np.repeat(np.round(255 * grey).astype(np.uint8)[..., None], 3, axis=2)
    scale = min(PANEL / shown.width_mm, PANEL / shown.height_mm)
    size = (max(1, round(shown.width_mm * scale)), max(1, round(shown.height_mm * scale)))
    resized = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    panel = Image.new("RGB", (PANEL, size[1]), PANEL_BACKGROUND)
    panel.paste(resized, ((PANEL - size[0]) // 2, 0))
    return panel


def _under_uncertainty(
    synthetic: Volume, deviation: Volume, plane: str, number: int
) -> tuple[slices.Picture, np.ndarray]:
    """The synthetic slice with the map's colours over it: the picture for its size, and uint8 (row, column, RGB)."""
    shown = slices.picture(synthetic, plane, number)
    grey = 255 * appearance.windowed(shown.pixels, appearance.default_window(synthetic))[..., None]
    fraction = slices.picture(deviation, plane, number).pixels / appearance.uncertainty_limit(deviation.array)
    colours = appearance.uncertainty_colours(fraction).astype(np.float32)
    opacity = UNCERTAINTY_OPACITY * colours[..., 3:] / 255
    return shown, np.round(grey * (1 - opacity) + colours[..., :3] * opacity).astype(np.uint8)


def _present(volume: Volume | None) -> Volume:
    if volume is None:
        raise ValueError("this column needs a volume that was not given")
    return volume


def _on_grid_of(volume: Volume, grid: Volume) -> Volume:
    import SimpleITK as sitk

    def image_of(v: Volume) -> sitk.Image:
        image = sitk.GetImageFromArray(v.array.astype(np.float32))
        image.SetSpacing(v.spacing)
        image.SetOrigin(v.origin)
        image.SetDirection(v.direction)
        return image

    lowest = float(np.nanmin(volume.array))
    moved = sitk.Resample(image_of(volume), image_of(grid), sitk.Transform(), sitk.sitkLinear, lowest)
    window = appearance.default_window(volume)
    attributes = {**volume.attributes, "window": window}
    return grid.with_array(
        sitk.GetArrayFromImage(moved), name=volume.name, modality=volume.modality, attributes=attributes,
        field_of_view=None, provenance=None,
    )  # fmt: skip


def _header(draw: ImageDraw.ImageDraw, synthetic: Volume) -> None:
    record = synthetic.provenance
    assert record is not None
    draw.text((MARGIN, 20), synthetic.name, fill=TEXT, font=_font(22))
    details = [f"model {record.model} {record.version}", f"weights {record.weights_sha256[:12]}", record.created]
    draw.text((MARGIN, 54), "  \N{MIDDLE DOT}  ".join(d for d in details if d.strip()), fill=FAINT, font=_font(14))
    draw.text((MARGIN, 76), "Made by a model, not acquired. Not for diagnosis.", fill=MARK_COLOUR, font=_font(14))


def _footer(synthetic: Volume, source: Volume, columns: list[Column], remarks: list[str]) -> list[str]:
    windows = []
    texts = [*remarks]
    for volume, word in ((source, "source"), (synthetic, "synthetic")):
        lower, upper = appearance.default_window(volume)
        windows.append(f"{word} {lower:.4g} to {upper:.4g}")
    texts.append(f"Middle slices. Grey windows: {', '.join(windows)}.")
    if any(c.kind == "difference" for c in columns):
        texts.append("Difference: " + appearance.DIFFERENCE_MEANING.format(other="reference") + ".")
    return texts


def _wrapped(text: str, width: int) -> Iterable[str]:
    return textwrap.wrap(text, max(20, width // 7)) or [""]


def _row_label(sheet: Image, plane: str, x: int, y: int, height: int) -> None:
    from PIL import Image, ImageDraw

    label = Image.new("RGB", (height, ROW_LABEL), BACKGROUND)
    ImageDraw.Draw(label).text((height / 2, ROW_LABEL / 2 - 2), plane, fill=FAINT, font=_font(14), anchor="mm")
    sheet.paste(label.rotate(90, expand=True), (x, y))


def _letters(draw: ImageDraw.ImageDraw, plane: str, x: int, y: int, height: int) -> None:
    left, right, top, bottom = slices.side_letters(plane)
    places = (
        (x + 6, y + height / 2, left, "lm"),
        (x + PANEL - 6, y + height / 2, right, "rm"),
        (x + PANEL / 2, y + 32, top, "mm"),
        (x + PANEL / 2, y + height - 10, bottom, "mm"),
    )
    for at_x, at_y, letter, anchor in places:
        draw.text((at_x, at_y), letter, TEXT, _font(13), anchor=anchor, stroke_width=2, stroke_fill=PANEL_BACKGROUND)


def _burn(draw: ImageDraw.ImageDraw, column: Column, x: int, y: int) -> None:
    """Write the panel's text on black, so that no image can hide it; shrunk until it fits the panel."""
    size = 14
    while size > 7 and draw.textlength(column.mark, font=_font(size)) > PANEL - 12:
        size -= 1
    box = draw.textbbox((x + 6, y + 5), column.mark, font=_font(size))
    draw.rectangle((box[0] - 4, box[1] - 3, box[2] + 4, box[3] + 3), fill=PANEL_BACKGROUND)
    draw.text((x + 6, y + 5), column.mark, fill=column.colour, font=_font(size))


def _difference_bar(sheet: Image, draw: ImageDraw.ImageDraw, x: int, y: int) -> None:
    limit = appearance.DIFFERENCE_LIMIT
    colours = appearance.difference_colours(np.linspace(-limit, limit, PANEL, dtype=np.float32))
    _colour_bar(sheet, draw, x, y, colours, (f"-{limit:.0f} %", "0", f"+{limit:.0f} %"))


def _uncertainty_bar(sheet: Image, draw: ImageDraw.ImageDraw, x: int, y: int, deviation: Volume) -> None:
    limit = appearance.uncertainty_limit(deviation.array)
    colours = appearance.uncertainty_colours(np.linspace(0, 1, PANEL))[:, :3]
    _colour_bar(sheet, draw, x, y, colours, ("0", deviationmaps.legend_title(deviation), f">= {limit:g}"))


def _colour_bar(
    sheet: Image, draw: ImageDraw.ImageDraw, x: int, y: int, colours: np.ndarray, words: tuple[str, str, str]
) -> None:
    """A bar of uint8 (PANEL, RGB) with words under its left end, middle and right end."""
    from PIL import Image

    sheet.paste(Image.fromarray(np.repeat(colours[None], 12, axis=0)), (x, y))
    font = _font(13)
    for place, text, anchor in zip((x, x + PANEL / 2, x + PANEL), words, ("la", "ma", "ra")):
        draw.text((place, y + 16), text, fill=FAINT, font=font, anchor=anchor)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
