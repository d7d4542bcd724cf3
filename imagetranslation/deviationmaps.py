"""Maps of how far the models' answers spread, voxel by voxel: where they lie, whose they are, how their legend reads.

Making them is `uncertainty`'s work, their colours `appearance`'s. What a map means stands in its record's `quantity`:
{"name": "standard deviation", "unit": "grey values", "calibrated": bool, "patients": int, "method": str}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import InputError
from .formats import suffix_of
from .provenance import Provenance
from .volume import Volume

NAME = "standard deviation"
UNCALIBRATED = "uncalibrated spread"


def map_path(image: str | Path) -> Path:
    """Where the map of a synthetic image file lies: its stem, "_uncertainty", its suffix."""
    path = Path(image)
    suffix = suffix_of(path) or path.suffix
    return path.with_name(f"{path.name[: len(path.name) - len(suffix)]}_uncertainty{suffix}")


def remove_map(image: str | Path) -> None:
    """Remove the map (and its record) that an earlier run left beside `image`; anything else there is kept."""
    from .formats import sidecar_of
    from .volume import read_volume

    path = map_path(image)
    if not path.is_file():
        return
    try:
        record = read_volume(path).provenance
    except InputError:
        return
    if record is not None and record.quantity is not None:
        sidecar_of(path).unlink(missing_ok=True)
        path.unlink()


def map_of(given: Volume, image: Volume) -> Volume:
    """`given` if it is the map that was made together with the synthetic `image`, else InputError."""
    require_map(given.name, given.provenance, image.name, image.provenance, given.same_grid(image))
    return given


def require_map(
    name: str, record: Provenance | None, image_name: str, image_record: Provenance | None, same_grid: bool
) -> None:
    """InputError unless a record says that its voxels are the uncertainty map of an image with that other record."""
    if record is None or _quantity_of(record).get("name") != NAME:
        raise InputError(f"{name} does not say that it is an uncertainty map; translate again with uncertainty.")
    if not same_grid:
        raise InputError(f"The uncertainty map {name} is not on the grid of {image_name}; translate again.")
    if image_record is None:
        return
    if image_record.source_sha256 and record.source_sha256 != image_record.source_sha256:
        raise InputError(f"The uncertainty map {name} was made from another scan than {image_name}.")
    if image_record.weights_sha256 and record.weights_sha256 != image_record.weights_sha256:
        raise InputError(f"The uncertainty map {name} was made by another model than {image_name}.")
    if image_record.created and record.created != image_record.created:
        raise InputError(f"The uncertainty map {name} was made at another time than {image_name}; translate again.")


def legend_title(given: Volume) -> str:
    """Heading of the legend of a map; see `title`."""
    return title(given.provenance)


def title(record: Provenance | None) -> str:
    """Heading of the legend: "standard deviation, grey values", or "uncalibrated spread, grey values"."""
    quantity = _quantity_of(record)
    name = NAME if quantity.get("calibrated") is True else UNCALIBRATED
    unit = str(quantity.get("unit", ""))
    return f"{name}, {unit}" if unit else name


def legend_sentence(given: Volume) -> str:
    """What the colours mean and what they do not, for people."""
    return sentence(given.provenance)


def sentence(record: Provenance | None) -> str:
    """The sentence of `legend_sentence` from a map's record."""
    quantity = _quantity_of(record)
    if quantity.get("calibrated") is True:
        return (
            f"Scaled on {quantity.get('patients', 'an unknown number of')} patients whose real image is known, so that "
            "errors are about this large on average. It cannot show an error that all the model's answers share."
        )
    return (
        "How far the model's answers spread when the scan is changed a little. Not calibrated: a low value does not "
        "say that the image is right."
    )


def _quantity_of(record: Provenance | None) -> dict[str, Any]:
    return record.quantity if record is not None and record.quantity is not None else {}
