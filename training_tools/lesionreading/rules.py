"""The rule by which a place counts as increased: every number of it adjustable, said in words, and our choice."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, fields
from typing import Any

from imagetranslation.errors import InputError

CONTRALATERAL, BACKGROUND = "contralateral", "background"
AGAINST = ("auto", CONTRALATERAL, BACKGROUND, "both")
MOST_RATIO = 8.0  # beyond this what lies opposite is air, not the other side: our choice
HELP = {
    "increased": "uptake ratio from which a known place counts as increased in the delayed image",
    "hyperaemic": "the same ratio in the blood pool from which a place counts as hyperaemic, where no region says so",
    "mark_from": "uptake ratio from which the detector marks a local maximum",
    "against": "what a place is compared with: auto is the mirrored place, or the surroundings where that is not free",
    "mirror_mm": "how far from its mirror image the other side's counterpart is looked for",
    "around_mm": "how far the surroundings reach",
    "gap_mm": "what lies nearer than this belongs to neither a place nor its surroundings",
    "around_percentile": "percentile of the smoothed surroundings that stands for them",
    "smooth_mm": "standard deviation of the smoothing before local maxima are looked for",
    "apart_mm": "least distance of two local maxima",
    "least": "share of the image's 99.9th percentile below which a local maximum is no candidate",
    "match_mm": "how far from a place a mark may lie and still mean it",
}


@dataclass(frozen=True)
class Rule:
    """Ratios without unit, distances in mm; what each is for: `HELP`."""

    increased: float = 1.25
    hyperaemic: float = 1.25
    mark_from: float = 1.5
    against: str = "auto"
    mirror_mm: float = 8.0
    around_mm: float = 50.0
    gap_mm: float = 4.0
    around_percentile: float = 98.0
    smooth_mm: float = 3.0
    apart_mm: float = 10.0
    least: float = 0.1
    match_mm: float = 8.0

    def __post_init__(self) -> None:
        if self.against not in AGAINST:
            raise InputError(f"A place is compared with one of {', '.join(AGAINST)}; not {self.against!r}.")
        if not 1 < min(self.increased, self.hyperaemic, self.mark_from) <= max(self.increased, self.mark_from) <= 100:
            raise InputError("The ratios of the rule lie above 1 and at most at 100.")
        lengths = (self.mirror_mm, self.gap_mm, self.smooth_mm, self.apart_mm, self.match_mm)
        if not all(0 < length <= 200 for length in lengths) or not self.gap_mm < self.around_mm <= 500:
            raise InputError("The distances of the rule lie above 0 and within 200 mm; surroundings beyond the gap.")
        if not 0 <= self.least < 1 or not 50 <= self.around_percentile <= 100:
            raise InputError("The least share lies within 0 to 1, the percentile of the surroundings within 50 to 100.")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """The rule in words."""
        mirrored = (
            f"the mean of its mirror image on the other side, at the brightest place within {self.mirror_mm:g} mm of it"
        )
        around = (
            f"the {self.around_percentile:g}th percentile of what surrounds it between {self.gap_mm:g} and "
            f"{self.around_mm:g} mm (smoothed by {self.smooth_mm:g} mm, no other lesion in it)"
        )
        compared = {
            "auto": f"{mirrored}; where that lies outside the image, in air (a ratio above {MOST_RATIO:g}) or on "
            f"another lesion, {around}",
            CONTRALATERAL: mirrored,
            BACKGROUND: around,
            "both": f"the greater of {mirrored}, and {around}",
        }[self.against]
        return [
            f"Uptake ratio: the mean counts of a place over {compared}. The regions are found on the real delayed "
            "image and are the same in every image of the case.",
            f"Increased: a ratio of {self.increased:g} or more. Hyperaemic: {self.hyperaemic:g} or more in the blood "
            "pool, where no region or table says so.",
            f"Detector: local maxima of the image smoothed by {self.smooth_mm:g} mm, at least {self.apart_mm:g} mm "
            f"apart and above {self.least:g} of the 99.9th percentile, each compared in the same way with the greatest "
            f"value within {self.mirror_mm:g} mm of its mirror image (else with its surroundings); marked from "
            f"{self.mark_from:g}.",
            f"A mark of the detector is a false positive where it lies farther than {self.match_mm:g} mm from every "
            f"increased lesion and the real image has no place there with a ratio of {self.increased:g}; in the real "
            "image itself that can only be told where a table says which lesions are increased.",
            "A lesion on both sides alike cannot be told from its mirror image: its surroundings are then the only "
            "measure, and a normal joint may pass it.",
        ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """An option for every number of the rule."""
    group = parser.add_argument_group("rule")
    for each in fields(Rule):
        name = f"--{each.name.replace('_', '-')}"
        kind: dict[str, Any] = {"choices": AGAINST} if each.name == "against" else {"type": float, "metavar": "N"}
        group.add_argument(name, default=each.default, help=f"{HELP[each.name]} ({each.default})", **kind)


def from_options(options: argparse.Namespace) -> Rule:
    """The rule of a command line."""
    return Rule(**{each.name: getattr(options, each.name) for each in fields(Rule)})
