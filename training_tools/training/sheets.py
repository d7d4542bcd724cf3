"""Sample sheets of a run: the middle slice of some cases, source, target and what the network makes of it, as PNG.

The synthetic image is shown where source and target were recorded, which is where it is trained and scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from imagetranslation.files import atomic_path, make_folder

from ..config import Config
from .cache import SOURCE, TARGET, WEIGHT, Stored
from .validation import translate_case

PANEL, GAP, HEADER = 192, 6, 22
GREY, BLACK = (200, 200, 200), (0, 0, 0)


def write_sheet(
    folder: Path, step: int, cases: Sequence[Stored], network: torch.nn.Module, config: Config, device: torch.device
) -> Path:
    """Draw `step-000200.png`, one row a case; each synthetic image says in its corner that it is one."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(12)
    sheet = Image.new("RGB", (3 * (PANEL + GAP) + GAP, len(cases) * (PANEL + HEADER + GAP) + GAP), BLACK)
    draw = ImageDraw.Draw(sheet)
    for row, case in enumerate(cases):
        made = np.where(case.arrays[WEIGHT] > 0, translate_case(case, network, config, device), -1.0)
        images = [case.arrays[SOURCE], case.arrays[TARGET], made]
        words = (f"{case.name}: {config.source.modality}", config.target.modality, f"SYNTHETIC, step {step}")
        top = GAP + row * (PANEL + HEADER + GAP)
        for column, (image, word) in enumerate(zip(images, words)):
            left = GAP + column * (PANEL + GAP)
            panel = Image.fromarray(_grey(image)).convert("RGB")
            scale = PANEL / max(panel.size)
            panel = panel.resize([max(1, round(scale * size)) for size in panel.size])
            sheet.paste(panel, (left, top + HEADER))
            draw.text((left, top + 4), word, fill=GREY, font=font)
            if column == 2:
                box = draw.textbbox((left + 4, top + HEADER + 4), "SYNTHETIC", font=font)
                draw.rectangle((box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2), fill=BLACK)
                draw.text((left + 4, top + HEADER + 4), "SYNTHETIC", fill=GREY, font=font)
    path = make_folder(folder) / f"step-{step:06d}.png"
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")
    return path


def _grey(image: np.ndarray) -> np.ndarray:
    """uint8 of the middle slice; -1 is black, +1 white."""
    middle = np.asarray(image[len(image) // 2], dtype=np.float32)
    return ((np.clip(middle, -1, 1) + 1) * 127.5).round().astype(np.uint8)
