"""From a table of images to tables of features, by the library's radiomics; each result is kept by its content.

Morphology is left out: the region is the same in all arms, so its shape says nothing about an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.files import sha256_of
from imagetranslation.radiomics import extraction
from imagetranslation.radiomics.cache import Cache
from imagetranslation.radiomics.engine import make_engine
from imagetranslation.radiomics.roi import from_labelmap
from imagetranslation.radiomics.settings import Settings
from imagetranslation.volume import read_volume

from ..evaluating.writing import write_rows
from . import images, tables
from .images import Row

FEATURES = "pyradiomics"


def extract(
    rows: Sequence[Row],
    output: Path,
    told: Callable[[str], None] = lambda sentence: None,
    *,
    feature_set: str = FEATURES,
    workers: int = 1,
) -> tuple[tables.Table, list[str]]:
    """Features of these images (one arm of one fold) and sentences about images that have none.

    output: the table to write (CSV: patient, image_sha256, features); results are kept beside it in `kept`. A patient
    with several images has the mean of their features. InputError where an image has no region, or none is usable.
    """
    settings, engine = Settings(), make_engine(feature_set)
    kept = Cache(output.parent / "kept")
    found: list[dict[str, object]] = []
    lacking: list[str] = []
    for number, row in enumerate(rows):
        if row.region is None:
            raise InputError(
                f"{row.image} has no region, so there are no features; give one in the table of images, or choose "
                "models that learn from images."
            )
        image, mask = images.read(row)
        assert mask is not None
        region = read_volume(row.region).with_array(mask.astype(np.uint8))
        (made,) = extraction.extract(
            image, from_labelmap(region), settings, engine, shape=False, workers=workers, cache=kept
        )
        if made.refused:
            lacking.append(f"{row.patient} has no features of the arm {row.arm} ({row.fold}): {made.refused}")
        else:
            values = {name: repr(value) for name, value in made.values.items()}
            found.append({"patient": row.patient, tables.HASH: sha256_of(row.image), **values})
        told(f"Features of {output.stem}: {number + 1} of {len(rows)} images.")
    if not found:
        raise InputError(f"No image of {output.stem} has features; the first: {lacking[0]}")
    write_rows(found, output)
    return tables.read_features(output), lacking
