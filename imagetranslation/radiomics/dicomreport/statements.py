"""What a report says in whole sentences: what a group of values was measured on, and what a reader must know of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .groups import Content

NO_SEGMENTATION = (
    "The source has no position in the patient: the region stands in the report as an outline on its image, along the "
    "edges of its pixels, and there is no segmentation object."
)
NOT_PROVEN = "Nothing proves that the synthetic image was made from this source; the person who compared them said so."
OF_A_SYNTHETIC_IMAGE = (
    "These values were measured on a SYNTHETIC image that a model made from the source: they are no measurement of the "
    "patient and not for diagnosis."
)
OF_A_DIFFERENCE = (
    "The synthetic image was made by a model: a difference that involves it is no measurement of the patient and not "
    "for diagnosis."
)
SHAPE_ONCE = "Features of shape depend on the region alone; they stand once, with the source's values."
NOT_SUBTRACTED = (
    "Differences of features in units of intensity are left out: the two images measure different quantities."
)


def of_image(content: Content, role: str) -> list[str]:
    """Of the values of one image."""
    about, result = content.found.images[role], content.found.results[role]
    said = [f"{OF_A_SYNTHETIC_IMAGE} {about['mark']}".strip()] if role == "synthetic" else []
    if role not in content.evidence.backings:
        said.append(f"{about['name']} is no DICOM image; SHA-256 of its voxels and geometry: {about['sha256']}.")
    if role == "source":
        said += [*content.found.roi["notes"], *_of_outline(content), *result.missing]
        said += [f"{feature.name}: {feature.note}" for feature in result.features if feature.note]
    elif len(result.features) < len(content.found.rows):
        said.append(SHAPE_ONCE)
    return [*said, *_undefined(content, role), *result.warnings]


def of_difference(content: Content) -> list[str]:
    """Of the differences, and of the report as a whole."""
    said = [f"Values are synthetic minus {content.found.against}. {OF_A_DIFFERENCE}", *content.found.notes]
    said += [] if content.subtractable else [NOT_SUBTRACTED]
    return [*said, *_undefined(content, "difference"), *content.sentences]


def _undefined(content: Content, role: str) -> list[str]:
    names = [f"{row.name} ({row.key})" for row, value in content.values(role) if not math.isfinite(value)]
    return [f"Not defined here, and so without a value: {', '.join(names)}."] if names else []


def _of_outline(content: Content) -> list[str]:
    """How rings were joined into the one line that a 2-D region can be."""
    outlines = content.outlines.values()
    if all(each.parts + each.holes == 1 for each in outlines):
        return []
    parts, holes = sum(each.parts for each in outlines), sum(each.holes for each in outlines)
    return [
        f"The region has {_counted(parts, 'separate part')} and {_counted(holes, 'hole')}, counted slice by slice: its "
        "outline is one closed line in each image, whose rings are joined by lines of no width; the even-odd rule "
        "gives the exact pixels."
    ]


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
