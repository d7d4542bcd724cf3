"""Maps of how far the models' answers spread, voxel by voxel: where they lie, whose they are, how their legend reads.

Making them is `uncertainty`'s work, their colours `appearance`'s. What a map means stands in its record's `quantity`:
{"name": "standard deviation", "unit": "grey values", "calibrated": bool, "patients": int, "method": str}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import InputError
from .formats import suffix_of
from .volume import Volume

NAME = "standard deviation"
UNCALIBRATED = "uncalibrated spread"


def map_path(image: str | Path) -> Path:
    """Where the map of a synthetic image file lies: its stem, "_uncertainty", its suffix."""
    path = Path(image)
    suffix = suffix_of(path) or path.suffix
    return path.with_name(f"{path.name[: len(path.name) - len(suffix)]}_uncertainty{suffix}")


def map_of(given: Volume, image: Volume) -> Volume:
    """`given` if it is the map that was made together with the synthetic `image`, else InputError."""
    if _quantity(given).get("name") != NAME or given.provenance is None:
        raise InputError(
            f"{given.name} does not say that it is an uncertainty map; translate again with --uncertainty auto."
        )
    if not given.same_grid(image):
        raise InputError(f"The uncertainty map {given.name} is not on the grid of {image.name}; translate again.")
    record = image.provenance
    if record is not None and record.source_sha256 and given.provenance.source_sha256 != record.source_sha256:
        raise InputError(f"The uncertainty map {given.name} was made from another scan than {image.name}.")
    if record is not None and record.weights_sha256 and given.provenance.weights_sha256 != record.weights_sha256:
        raise InputError(f"The uncertainty map {given.name} was made by another model than {image.name}.")
    return given


def legend_title(given: Volume) -> str:
    """Heading of the legend: "standard deviation, grey values", or "uncalibrated spread, grey values"."""
    quantity = _quantity(given)
    name = NAME if quantity.get("calibrated") is True else UNCALIBRATED
    unit = str(quantity.get("unit", ""))
    return f"{name}, {unit}" if unit else name


def legend_sentence(given: Volume) -> str:
    """What the colours mean and what they do not, for people."""
    quantity = _quantity(given)
    if quantity.get("calibrated") is True:
        return (
            f"Scaled on {quantity.get('patients', 'an unknown number of')} patients whose real image is known, so that "
            "errors are about this large on average. It cannot show an error that all the model's answers share."
        )
    return (
        "How far the model's answers spread when the scan is changed a little. Not calibrated: a low value does not "
        "say that the image is right."
    )


def _quantity(given: Volume) -> dict[str, Any]:
    record = given.provenance
    return record.quantity if record is not None and record.quantity is not None else {}
