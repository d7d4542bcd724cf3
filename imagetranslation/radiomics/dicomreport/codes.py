"""Codes of features and units: IBSI's where the standard has one, else private ones of ours; units in UCUM.

IBSI is a coding scheme of DICOM (PS3.16 chapter 8); that a feature was aggregated over directions or slices is said as
its method, with IBSI's own code. A feature of a filtered image gets a private code, so that nobody takes it for the
same feature of the image itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..comparison import Row

IBSI, OURS = "IBSI", "99IMGTRANS"
MEANING_LENGTH = 64
# PS3.16 table 8-1 for IBSI; ours as PS3.3 C.12.1 asks of private schemes.
SCHEMES = (
    (IBSI, "1.2.840.10008.2.16.13", "Image Biomarker Standardisation Initiative", ""),
    (OURS, "", "SlicerImageTranslation: features and statements without a public code", "SlicerImageTranslation"),
)
# IBSI reference manual, chapter 3, "Aggregating features" and the sections on each kind of matrix.
AGGREGATIONS = {
    "2D, averaged": "BTW3", "2D, slice-merged": "SUJT", "2.5D, direction-merged": "JJUI", "2.5D, merged": "ZW7Z",
    "3D, averaged": "ITBB", "3D, merged": "IAZD", "2D": "8QNN", "2.5D": "62GR", "3D": "KOBO",
}  # fmt: skip
# Features of the intensity-volume histogram: one code for all fractions, which our names hold.
_WITH_FRACTION = {
    "BC2M": "Volume at intensity fraction", "GBPN": "Intensity at volume fraction",
    "DDTU": "Volume fraction difference between intensity fractions",
    "CNV2": "Intensity difference between volume fractions",
}  # fmt: skip
_LENGTHS = {"mm": "mm", "mm^2": "mm2", "mm^3": "mm3", "1/mm": "/mm"}


@dataclass(frozen=True)
class Code:
    """A coded concept: value, meaning (at most 64 characters) and the scheme that defines it."""

    value: str
    meaning: str
    scheme: str

    def concept(self) -> Any:
        """As highdicom takes it."""
        from highdicom.sr import CodedConcept

        return CodedConcept(self.value, self.scheme, self.meaning[:MEANING_LENGTH])


NO_UNIT = Code("1", "no units", "UCUM")
_BY_MODALITY = {
    "CT": Code("[hnsf'U]", "Hounsfield unit", "UCUM"),
    "NM": Code("{counts}", "counts", "UCUM"),
}
ARBITRARY = Code("[arb'U]", "arbitrary unit", "UCUM")
DEVIATIONS = Code("{SD}", "standard deviations over the tissue", "UCUM")
BECQUEREL = Code("Bq/ml", "becquerel per millilitre", "UCUM")


def feature_code(row: Row) -> Code:
    """What a row measures."""
    if row.ibsi and row.image_type == "original":
        return Code(row.ibsi, _WITH_FRACTION.get(row.ibsi, row.name), IBSI)
    shown = row.name if row.image_type == "original" else f"{row.name} [{row.image_type}]"
    return Code(row.key[:MEANING_LENGTH], shown[:MEANING_LENGTH], OURS)


def method_code(row: Row) -> Code | None:
    """How it was taken: IBSI's aggregation, or the fractions of an intensity-volume histogram; None if there is no
    choice.
    """
    if row.ibsi in _WITH_FRACTION and row.image_type == "original":
        return Code(row.key[:MEANING_LENGTH], row.name[:MEANING_LENGTH], OURS)
    if not row.aggregation:
        return None
    known = AGGREGATIONS.get(row.aggregation)
    return Code(known, row.aggregation, IBSI) if known else Code(row.aggregation, row.aggregation, OURS)


def intensity_unit(modality: str, settings: dict[str, Any], stated: str = "") -> Code:
    """The unit of an image's intensities. settings: of the extraction. stated: PET's Units (0054,1001) if it has one.

    MR, ultrasound and whatever states nothing are in arbitrary units; after normalisation nothing else is left.
    """
    if settings.get("normalisation") == "z-score":
        return DEVIATIONS
    if ((settings.get("parameters") or {}).get("setting") or {}).get("normalize"):
        return NO_UNIT
    if modality == "PT" and stated == "BQML":
        return BECQUEREL
    return _BY_MODALITY.get(modality, ARBITRARY)


def unit_code(unit: str, intensity: Code) -> Code:
    """A feature's unit ("", "mm^2", "intensity*mm^3" ...) in UCUM, with `intensity` for the image's own."""
    if not unit:
        return NO_UNIT
    if unit in _LENGTHS:
        return Code(_LENGTHS[unit], unit, "UCUM")
    values, meanings = [], []
    for factor in unit.split("*"):
        name, _, power = factor.partition("^")
        if name != "intensity":
            values.append(_LENGTHS.get(factor, factor))
            meanings.append(factor)
        elif intensity != NO_UNIT:
            values.append(_power(intensity.value, power))
            meanings.append(f"({intensity.meaning})^{power}" if power else intensity.meaning)
    return Code(".".join(values), " ".join(meanings)[:MEANING_LENGTH], "UCUM") if values else NO_UNIT


def _power(unit: str, power: str) -> str:
    """UCUM has exponents on single units only; others are multiplied out."""
    if not power:
        return unit
    return (
        unit + power
        if re.fullmatch(r"\[[^\]]+\]", unit)
        else ".".join([f"({unit})" if "/" in unit else unit] * int(power))
    )
