"""When a place in the prostate counts as dark on T2, and how dark regions are looked for. All numbers are our choice.

No published rule for synthetic MR is among the facts that we have; every number is an option of the command and stands
in its record.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, fields
from typing import Any

from imagetranslation.errors import InputError

HELP = {
    "seen_cnr": "contrast to noise, below 0 by this much, from which a known lesion counts as seen",
    "mark_cnr": "the same from which a dark region that the detector found is a mark",
    "around_mm": "how far the surroundings of a place reach, inside its own zone",
    "margin_mm": "what lies nearer than this to the gland's border is neither surroundings nor looked at (capsule)",
    "smooth_mm": "standard deviation of the smoothing before dark regions are looked for",
    "level_mm": "standard deviation of the smoothing that gives the zone's local level",
    "dark_z": "robust standard deviations below the local level from which a minimum is a dark region",
    "apart_mm": "least distance of two minima",
    "reach_mm": "how far a dark region reaches from its minimum",
    "least_ml": "smallest dark region",
    "least_dice": "Dice of a dark region and a lesion from which the region means the lesion",
}


@dataclass(frozen=True)
class Rule:
    """Distances in mm, volumes in mL, the rest without unit; what each is for: `HELP`."""

    seen_cnr: float = 0.75
    mark_cnr: float = 1.0
    around_mm: float = 8.0
    margin_mm: float = 2.0
    smooth_mm: float = 2.0
    level_mm: float = 20.0
    dark_z: float = 1.25
    apart_mm: float = 5.0
    reach_mm: float = 12.0
    least_ml: float = 0.1
    least_dice: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.seen_cnr <= self.mark_cnr <= 20 or not 0 < self.dark_z <= 10:
            raise InputError(
                "The rule's contrasts to noise lie above 0, that of marks is not below that of lesions, and dark_z "
                "lies above 0 and at most at 10."
            )
        if not 0 <= self.margin_mm <= 20 or not all(
            0 < mm <= 100 for mm in (self.around_mm, self.smooth_mm, self.apart_mm, self.reach_mm)
        ):
            raise InputError("The distances of the rule lie above 0 and within 100 mm, the margin within 20 mm.")
        if not self.smooth_mm < self.level_mm <= 100 or not 0 < self.least_ml <= 50 or not 0 < self.least_dice <= 1:
            raise InputError(
                "The rule's level_mm lies above smooth_mm, least_ml within 50 mL and least_dice above 0, at most at 1."
            )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def sentences(self, zones: bool) -> list[str]:
        """The rule in words. zones: whether the peripheral zone is known."""
        zone = "the peripheral zone and the rest of the gland apart" if zones else "the gland as one zone"
        return [
            f"Contrast to noise (CNR): mean of a place less the mean around it, over the standard deviation around it; "
            f"around is its own zone within {self.around_mm:g} mm, {self.margin_mm:g} mm off the gland's border and "
            f"without lesions ({zone}). Contrast: the same difference in standard deviations of the gland without "
            "lesions. Both compare images of any unit.",
            f"Seen: a CNR of -{self.seen_cnr:g} or less. The lesions are the same in every image of a case.",
            f"Detector: minima of the image (smoothed by {self.smooth_mm:g} mm) at least {self.dark_z:g} robust "
            f"standard deviations below the local level of their zone (smoothed by {self.level_mm:g} mm) and "
            f"{self.apart_mm:g} mm apart; a region is the connected voxels around one with half of its depth, within "
            f"{self.reach_mm:g} mm, at least {self.least_ml:g} mL; a mark from a CNR of -{self.mark_cnr:g}. A region "
            f"means a lesion from a Dice of {self.least_dice:g}; the lesion's Dice is that of the best region.",
            "Invented: a mark of the synthetic image that means no seen lesion, where the real image has a CNR above "
            f"-{self.seen_cnr:g}. Ordinary dark nodules of the real image are therefore no invention. A mark of the "
            "real image itself can only be called false where a table says which lesions are seen in truth.",
        ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """An option for every number of the rule."""
    group = parser.add_argument_group("rule")
    for each in fields(Rule):
        name = f"--{each.name.replace('_', '-')}"
        help_text = f"{HELP[each.name]} ({each.default})"
        group.add_argument(name, type=float, default=each.default, metavar="N", help=help_text)


def from_options(options: argparse.Namespace) -> Rule:
    """The rule of a command line."""
    return Rule(**{each.name: getattr(options, each.name) for each in fields(Rule)})
