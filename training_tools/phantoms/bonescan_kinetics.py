"""Where Tc-99m HMDP is at a time after injection: blood, extravascular fluid, bone, urine, and the decay.

Four compartments with first-order exchange; the exact solution is a matrix exponential. The rate constants are least
squares fits by us to what the product information of a Tc-99m oxidronate (HMDP) kit gives for man (Osteocis, HPRA
2020): 10, 5, 3, 1.5 and 1 % of the activity in whole blood at 30, 60, 120, 180 and 240 min, and 30, 48 and 60 % in the
urine at 60, 120 and 360 min. Two constants these data do not determine: the exchange from blood to fluid (our choice)
and the return from bone, which is the slow whole-body half-time of 44 h measured with MDP (Calcif Tissue Int 1989;
44:322), as none for HMDP was found. What tissues hold of each compartment is `bonescan_anatomy`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from imagetranslation.errors import InputError

HALF_LIFE_MIN = 6.0067 * 60.0
LABEL_BLOOD = ((30.0, 0.10), (60.0, 0.05), (120.0, 0.03), (180.0, 0.015), (240.0, 0.01))
LABEL_URINE = ((60.0, 0.30), (120.0, 0.48), (360.0, 0.60))
# Clearance to bone differs between healthy women with an SD of 17 to 20 % of its mean (Blake, J Nucl Med 2002; 43:338,
# MDP). Those who come for a bone scan are older and iller than volunteers: lower means and wider spreads for bone and
# kidney, and the spread of the exchange with fluid, are our choice. They take in the one real scan we have.
SPREAD = {"to_bone": 0.30, "to_urine": 0.30, "to_fluid": 0.10}
CLINICAL = {"to_bone": 0.75, "to_urine": 0.75, "to_fluid": 1.0}


@dataclass(frozen=True)
class Rates:
    """First-order rate constants, per minute; from_bone is the return from bone to fluid."""

    to_fluid: float = 0.30
    from_fluid: float = 0.0482
    to_urine: float = 0.0465
    to_bone: float = 0.00577
    from_bone: float = float(np.log(2.0) / (44.0 * 60.0))

    def __post_init__(self) -> None:
        values = (self.to_fluid, self.from_fluid, self.to_urine, self.to_bone, self.from_bone)
        if not all(np.isfinite(v) and 0 <= v <= 10 for v in values):
            raise InputError(f"A rate constant of the bone tracer lies outside 0 to 10 per minute: {values}.")

    def matrix(self) -> np.ndarray:
        """(4, 4) of d(blood, fluid, bone, urine)/dt; its columns sum to 0, so that nothing is lost."""
        return np.array(
            [
                [-(self.to_fluid + self.to_urine), self.from_fluid, 0.0, 0.0],
                [self.to_fluid, -(self.from_fluid + self.to_bone), self.from_bone, 0.0],
                [0.0, self.to_bone, -self.from_bone, 0.0],
                [self.to_urine, 0.0, 0.0, 0.0],
            ]
        )


@dataclass(frozen=True)
class Content:
    """Fractions of the injected activity, decay-corrected: they sum to 1. urine: all that the kidneys let through."""

    blood: float
    fluid: float
    bone: float
    urine: float


def content(rates: Rates, minutes: float) -> Content:
    """The compartments `minutes` after a bolus into the blood. Raises InputError outside 0 to 1440 min."""
    if not 0 <= minutes <= 1440:
        raise InputError(f"{minutes:g} min after injection lies outside 0 to 1440 min.")
    return Content(*(float(v) for v in _exponential(rates.matrix() * minutes)[:, 0]))


def decay(minutes: float) -> float:
    """The share of Tc-99m that is left after so many minutes (half-life 6.0067 h)."""
    return float(0.5 ** (minutes / HALF_LIFE_MIN))


def _exponential(matrix: np.ndarray) -> np.ndarray:
    """The exponential of a small matrix by scaling, Taylor's series and squaring.

    SciPy's starts threads for these four by four numbers, which on a busy machine takes longer than the image.
    """
    halvings = max(int(np.ceil(np.log2(max(float(np.abs(matrix).sum(axis=0).max()), 1e-12)))) + 2, 0)
    scaled = matrix / 2.0**halvings
    total, term = np.eye(len(matrix)), np.eye(len(matrix))
    for n in range(1, 14):
        term = term @ scaled / n
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total


def individual(random: np.random.Generator, rates: Rates | None = None) -> Rates:
    """One patient's constants: log-normal about `rates` times `CLINICAL`, with `SPREAD` as coefficients of variation.

    The two constants of the exchange between blood and fluid vary together, so that their volumes stay.
    """
    mean = rates or Rates()
    factors = {
        name: CLINICAL[name] * float(np.exp(random.normal(0.0, np.sqrt(np.log1p(cv**2)))))
        for name, cv in SPREAD.items()
    }
    return replace(
        mean,
        to_bone=mean.to_bone * factors["to_bone"],
        to_urine=mean.to_urine * factors["to_urine"],
        to_fluid=mean.to_fluid * factors["to_fluid"],
        from_fluid=mean.from_fluid * factors["to_fluid"],
    )
