"""Made bone scans whose truth is set: two limbs with three joints each, some of them lesions. No noise, no patient.

`Made` writes a folder as preparation leaves one, and translators whose misses and inventions are known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.volume import Volume, write_volume

SHAPE, SPACING = (64, 64), 3.0
ROWS, COLUMNS = (12, 32, 52), (16, 47)  # of the joints; column j lies opposite to column 63 - j
NORMAL, RAISED = 60.0, 150.0
Site = tuple[int, int]  # which row, which column


def blob(site: Site, height: float) -> np.ndarray:
    """A joint's counts (row, column)."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = (rows - ROWS[site[0]]) ** 2 + (columns - COLUMNS[site[1]]) ** 2
    return np.asarray(height * np.exp(-away / (2 * 2.0**2)))


def picture(heights: Mapping[Site, float]) -> np.ndarray:
    """Two limbs of 10 counts with a joint at every site, NORMAL where `heights` names none."""
    image = np.zeros(SHAPE)
    for middle in COLUMNS:
        image[:, middle - 6 : middle + 7] = 10.0
    for row in range(len(ROWS)):
        for column in range(len(COLUMNS)):
            image += blob((row, column), heights.get((row, column), NORMAL))
    return image


def region(sites: Sequence[Site]) -> np.ndarray:
    """uint8 labelmap: 1, 2, ... where the sites are."""
    labels = np.zeros(SHAPE, np.uint8)
    for number, site in enumerate(sites, 1):
        labels[blob(site, 1.0) > 0.5] = number
    return labels


@dataclass(frozen=True)
class Patient:
    """lesions: sites, raised in the delayed image. cold: sites with hyperaemia and no uptake, numbered after them."""

    name: str
    group: str
    lesions: tuple[Site, ...] = ()
    cold: tuple[Site, ...] = ()
    view: str = "anterior"

    def real(self) -> np.ndarray:
        """The delayed image."""
        return picture(dict.fromkeys(self.lesions, RAISED))

    def pool(self) -> np.ndarray:
        """The blood pool: flatter, lesions and cold sites hyperaemic."""
        return 0.4 * picture(dict.fromkeys((*self.lesions, *self.cold), RAISED)) + 5.0


@dataclass
class Made:
    """A folder of patients at `folder`; each patient is one case of the same name."""

    folder: Path
    patients: Sequence[Patient]
    settings: dict[str, Any] = field(default_factory=lambda: {"simulator": "two limbs"})

    def write(self) -> Made:
        """Write it."""
        listed = []
        for patient in self.patients:
            parts = {
                "source": patient.pool(), "target": patient.real(),
                "lesion": region((*patient.lesions, *patient.cold)),
                "hyperaemia": region((*patient.lesions, *patient.cold)),
            }  # fmt: skip
            for part, image in parts.items():
                write_image(image, self.folder / part / f"{patient.name}.nrrd")
            facts = {"group": patient.group, "view": patient.view}
            listed.append({"case": patient.name, "patient": patient.name, "facts": facts})
        text = json.dumps({"settings": self.settings, "cases": listed})
        (self.folder / "cases.json").write_text(text, encoding="utf-8")
        return self

    def translated(
        self, folder: Path, erased: Iterable[tuple[str, Site]] = (), invented: Iterable[tuple[str, Site]] = ()
    ) -> Path:
        """Images of a translator that is perfect but for lesions it erases and places it raises; returns `folder`."""
        gone, added = set(erased), set(invented)
        for patient in self.patients:
            heights = {site: RAISED for site in patient.lesions if (patient.name, site) not in gone}
            heights.update({site: RAISED for name, site in added if name == patient.name})
            # Another gain, as a network's output has: ratios must not care.
            write_image(1.7 * picture(heights), folder / f"{patient.name}.nrrd")
        return folder


def write_image(image: np.ndarray, path: Path, **changes: Any) -> Path:
    """A planar image or labelmap as NRRD."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = image if image.dtype == np.uint8 else image.astype(np.float32)
    return write_volume(Volume(array[None], (SPACING, SPACING, 1.0), name=path.stem, **changes), path)
