"""The groups of measurements of a report: one for each image, and one for the difference (TID 1410, TID 1411, TID 300).

What a group says in words is in `statements`, codes and units in `codes`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ...dicomio.opening import text_of
from ...volume import Volume
from ..comparison import ROLES, Comparison, Row
from ..names import MORPHOLOGY
from ..roi import Roi
from . import codes, statements
from .codes import OURS, Code
from .contours import Outline, outline
from .evidence import Backing, Evidence, Reference
from .meaning import Meaning
from .segmentation import SEGMENT_NUMBER, Tracking

DIFFERENCE = "difference"
MEASURED_ON = Code("measured-on", "What was measured on", OURS)
KINDS = {
    "source": Code("source-image", "Source image that was translated", OURS),
    "synthetic": Code("synthetic-image", "SYNTHETIC image made by a model, not the patient", OURS),
    "reference": Code("real-target", "Real image of the target modality", OURS),
    DIFFERENCE: Code("difference", "Difference that involves a SYNTHETIC image", OURS),
}
_COMMENT = Code("121106", "Comment", "DCM")
_SOURCE_OF_MEASUREMENT = Code("121112", "Source of Measurement", "DCM")


@dataclass(frozen=True)
class Content:
    """What all groups of one report are made from. segmentation: its dataset, None where there is none. sentences: on
    the report as a whole. fit: text as the character set can hold it.
    """

    found: Comparison
    images: Mapping[str, Volume]
    roi: Roi
    evidence: Evidence
    segmentation: Any
    meaning: Meaning
    tracking: Tracking
    sentences: Sequence[str]
    fit: Callable[[str], str]

    @cached_property
    def outlines(self) -> dict[int, Outline]:
        """By slice, in the whole grid's columns and rows; of slices that the region has; none with a segmentation."""
        if self.segmentation is not None:
            return {}
        first, row, column = self.roi.start
        found = {k: outline(mask) for k, mask in enumerate(self.roi.mask, first) if mask.any()}
        return {k: replace(each, points=np.add(each.points, (column, row))) for k, each in found.items()}

    def values(self, role: str) -> list[tuple[Row, float]]:
        """The features of an image, or of the difference. Shape is the region's alone and was taken once."""
        own = self.found.results["synthetic" if role == DIFFERENCE else role].values
        rows = [row for row in self.found.rows if row.key in own or row.family != MORPHOLOGY]
        if role != DIFFERENCE:
            return [(row, row.values[role]) for row in rows]
        return [(row, row.difference) for row in rows if self.subtractable or "intensity" not in row.unit]

    def groups(self) -> list[Any]:
        """The images' in their order, then the difference's."""
        return [_group(self, role) for role in (*(role for role in ROLES if role in self.found.results), DIFFERENCE)]

    def intensity(self, role: str) -> Code:
        """The unit of an image's intensities."""
        backing = self.evidence.backings.get(role)
        stated = text_of(backing.first, "Units") if backing else ""
        return codes.intensity_unit(self.images[role].modality, self.found.results[role].settings, stated)

    @property
    def subtractable(self) -> bool:
        """Whether intensities can be subtracted: of one unit and, where that is arbitrary, of one modality."""
        against = self.found.against
        if self.intensity("synthetic") != self.intensity(against):
            return False
        same = self.images["synthetic"].modality == self.images[against].modality
        return same or self.intensity(against) != codes.ARBITRARY


def _group(content: Content, role: str) -> Any:
    """The measurements of one image, or of the difference."""
    from highdicom import sr

    tracking = sr.TrackingIdentifier(content.tracking.uid, content.fit(content.tracking.identifier))
    shared = {
        "tracking_identifier": tracking, "finding_category": content.meaning.category.concept(),
        "finding_type": content.meaning.kind.concept(), "algorithm_id": _algorithm(content, role),
        "measurements": _measurements(content, role),
        "qualitative_evaluations": [sr.QualitativeEvaluation(MEASURED_ON.concept(), KINDS[role].concept())],
    }  # fmt: skip
    base, backings = content.evidence.base, content.evidence.backings
    slices = range(*content.roi.box[0])
    made: Any
    if content.segmentation is not None:
        segment = _segment(content, base.references(slices))
        made = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **shared)
    elif len(regions := _regions(content, backings.get(role, base))) == 1:
        made = sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=regions[0], **shared)
    else:
        made = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_regions=regions, **shared)
    for each in ("synthetic", content.found.against) if role == DIFFERENCE else (role,):
        if each in backings:
            made[0].ContentSequence.extend(_images(backings[each].references(slices)))
    said = statements.of_difference(content) if role == DIFFERENCE else statements.of_image(content, role)
    made[0].ContentSequence.extend(_comments(content, said))
    return made


def _segment(content: Content, references: Sequence[Reference]) -> Any:
    from highdicom import sr

    images = [sr.SourceImageForSegmentation(each.sop_class, each.uid, _frames(each)) for each in references]
    drawn = content.segmentation
    return sr.ReferencedSegment(drawn.SOPClassUID, drawn.SOPInstanceUID, SEGMENT_NUMBER, source_images=images)


def _regions(content: Content, backing: Backing) -> list[Any]:
    """The outline in every slice that the region has, on that slice's image."""
    from highdicom import sr

    made = []
    for k, drawn in content.outlines.items():
        image = backing.references([k])[0]
        source = sr.SourceImageForRegion(image.sop_class, image.uid, _frames(image))
        made.append(sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, drawn.points.astype(float), source))
    return made


def _images(references: Sequence[Reference]) -> list[Any]:
    """The images that were measured."""
    from highdicom.sr import ImageContentItem

    name = _SOURCE_OF_MEASUREMENT.concept()
    return [
        ImageContentItem(name, each.sop_class, each.uid, _frames(each), relationship_type="CONTAINS")
        for each in references
    ]


def _frames(reference: Reference) -> list[int] | None:
    return list(reference.frames) or None


def _comments(content: Content, said: Sequence[str]) -> list[Any]:
    from highdicom.sr import TextContentItem

    name = _COMMENT.concept()
    return [TextContentItem(name, content.fit(sentence), "CONTAINS") for sentence in dict.fromkeys(said) if sentence]


def _algorithm(content: Content, role: str) -> Any:
    """Engine and version with every setting and their hash (TID 4019)."""
    from highdicom.sr import AlgorithmIdentification

    result = content.found.results["synthetic" if role == DIFFERENCE else role]
    told = {
        "settings SHA-256": result.settings["sha256"], "region SHA-256": content.found.roi["sha256"],
        "feature set": result.feature_set,
        **{key: value for key, value in result.settings.items() if key != "sha256" and value is not None},
    }  # fmt: skip
    return AlgorithmIdentification(
        name=content.fit(result.engine), version=content.fit(result.engine_version),
        parameters=[content.fit(f"{key} = {value if isinstance(value, str) else json.dumps(value)}")
                    for key, value in told.items()],
    )  # fmt: skip


def _measurements(content: Content, role: str) -> list[Any]:
    """The values that are defined; the others are named in words, since readers fail on an empty value."""
    against = content.found.against
    derivation = Code(f"minus-{against}", f"Synthetic minus {against}", OURS) if role == DIFFERENCE else None
    unit = content.intensity("synthetic" if role == DIFFERENCE else role)
    values = [(row, value) for row, value in content.values(role) if math.isfinite(value)]
    return [_measurement(row, value, unit, derivation) for row, value in values]


def _measurement(row: Row, value: float, intensity: Code, derivation: Code | None) -> Any:
    from highdicom.sr import Measurement

    method = codes.method_code(row)
    return Measurement(
        name=codes.feature_code(row).concept(), value=float(value),
        unit=codes.unit_code(row.unit, intensity).concept(), method=None if method is None else method.concept(),
        derivation=None if derivation is None else derivation.concept(),
    )  # fmt: skip
