"""What the page sends, made safe: numbers in their range, names of one line, colours, files; everything else refused.

A page can send anything at all, of any type. No function here trusts what it is given.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

from ..errors import InputError
from ..radiomics.roi import Roi
from ..radiomics.settings import Settings
from ..volume import Volume

MOST_BYTES = 512 * 1024 * 1024
MOST_LETTERS = 60
BINS = (8, 256)
DEFAULT_BINS = 32
LEFT_OUT = "The reference is on another grid than the source, so it is left out of this comparison; resample it first."


def brush_sizes(source: Volume) -> tuple[float, float, float]:
    """Smallest, first and largest diameter of the brush in mm, for an image of that size."""
    extents = sorted(n * s for n, s in zip(reversed(source.array.shape), source.spacing))
    finest = min(source.spacing)
    largest = max(extents[1] / 2, 4 * finest)
    return round(finest, 2), round(min(max(extents[1] / 8, 3 * finest), largest), 1), round(largest, 1)


def brush_of(value: object, source: Volume) -> float:
    """The brush's diameter in mm, within `brush_sizes`."""
    smallest, default, largest = brush_sizes(source)
    return min(largest, max(smallest, number_of(value, default)))


def number_of(value: object, otherwise: float) -> float:
    """A finite number, or `otherwise`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return otherwise
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return otherwise
    return number if math.isfinite(number) else otherwise


def settings_of(bins: object, normalise: object) -> Settings:
    """The settings of the panel: grey levels within BINS, z-scores over tissue or intensities as they are."""
    levels = int(min(BINS[1], max(BINS[0], number_of(bins, DEFAULT_BINS))))
    return Settings(bin_number=levels, normalisation="z-score" if normalise is True else "none")


def name_of(value: object) -> str:
    """A name of one line; "" where there is none in it."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value[: 4 * MOST_LETTERS]).split())[:MOST_LETTERS]


def colour_of(value: object) -> str:
    """A colour as "#rrggbb"; "" for anything else."""
    return value.lower() if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value) else ""


def file_of(name: object, content: object) -> tuple[bytes, str]:
    """The bytes of a file that the page sent, and a name that holds no folder; InputError where there are none."""
    if not isinstance(content, (bytes, bytearray)) or not content:
        raise InputError("The file is empty.")
    if len(content) > MOST_BYTES:
        raise InputError(f"The file is larger than {MOST_BYTES // 1024**2} MB; use the command line for it.")
    plain = re.split(r"[/\\]", name)[-1] if isinstance(name, str) else ""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", plain).lstrip(".")[-80:].lstrip(".")
    return bytes(content), plain or "file"


def stem_of(words: str) -> str:
    """A part of a file's name made of a case's or a region's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", words).strip("._")[:MOST_LETTERS] or "region"


def named(rois: Sequence[Roi]) -> list[Roi]:
    """The regions with names that the page can show."""
    return [dataclasses.replace(roi, name=name_of(roi.name) or f"Region {n}") for n, roi in enumerate(rois, 1)]


def volume_text(voxels: int, source: Volume) -> str:
    """The volume of so many voxels: cm3, mm3 below a tenth of one."""
    cubic = voxels * math.prod(source.spacing)
    return f"{cubic / 1000:.2f} cm\N{SUPERSCRIPT THREE}" if cubic >= 100 else f"{cubic:.1f} mm\N{SUPERSCRIPT THREE}"
