"""What is compared with what, and what counts as preserved: relations, thresholds and the words for both."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...errors import InputError

PRESERVED, DEGRADED, LOST, UNDEFINED = "preserved", "degraded", "lost", "undefined"
STATUSES = (PRESERVED, DEGRADED, LOST, UNDEFINED)


@dataclass(frozen=True)
class Relation:
    """One question. reference: side ("a" or "b") against which the other is held. agreement: whether it may be asked.

    kind: "result", "floor" or "ceiling". words: of the reference and of the other side.
    """

    key: str
    title: str
    reference: str
    agreement: bool
    kind: str
    words: tuple[str, str]
    note: str

    @property
    def other(self) -> str:
        """The side that is not the reference."""
        return "b" if self.reference == "a" else "a"


SYNTHETIC_TARGET, SOURCE_SYNTHETIC = "synthetic-target", "source-synthetic"
SOURCE_REFERENCE, TEST_RETEST, PERTURBED = "source-reference", "test-retest", "reference-perturbed"
RELATIONS = {
    relation.key: relation
    for relation in (
        Relation(
            SYNTHETIC_TARGET, "Synthetic image against the real target", "b", True, "result", ("target", "synthetic"),
            "The headline: does the synthetic image carry the values of the image it stands for?",
        ),
        Relation(
            SOURCE_SYNTHETIC, "Source against the synthetic image", "a", False, "result", ("source", "synthetic"),
            "Rank only: does the synthetic image order the patients as their source does? Agreement is refused, "
            "because the two modalities measure different quantities.",
        ),
        Relation(
            SOURCE_REFERENCE, "Floor: the source itself against the reference", "b", True, "floor",
            ("reference", "source"),
            "What would be reached without translating: the source's values are taken as if they were the "
            "reference's. A translation is worth what it adds to this.",
        ),
        Relation(
            TEST_RETEST, "Ceiling: test against retest", "a", True, "ceiling", ("test", "retest"),
            "What a second scan of the same patient reaches; no translation can be asked for more.",
        ),
        Relation(
            PERTURBED, "Ceiling: the reference against itself, perturbed", "a", True, "ceiling",
            ("reference", "perturbed reference"),
            "The real target with noise added and moved by a part of a voxel. It is a computed stand-in for a second "
            "scan, and kinder than one.",
        ),
    )
}  # fmt: skip
# A person's table of pairs may name these; the perturbed reference is made here.
GIVEN = (SYNTHETIC_TARGET, SOURCE_SYNTHETIC, SOURCE_REFERENCE, TEST_RETEST)


@dataclass(frozen=True)
class Thresholds:
    """When a feature counts as preserved, and how intervals are made. All are choices, printed with the result.

    rank: preserved where rho >= `rho` and q < `q`; degraded where rho >= `rho_degraded` and q < `q`; else lost.
    agreement: preserved where the lower end of ICC(A,1) >= `icc`; degraded where ICC(A,1) >= `icc_degraded`; else lost.
    twins: |rho| between two features above which they count as one. patients: below this there is no headline.
    draws, seed, level: of the bootstrap and of every interval.
    """

    rho: float = 0.8
    q: float = 0.05
    rho_degraded: float = 0.5
    icc: float = 0.75
    icc_degraded: float = 0.5
    twins: float = 0.95
    patients: int = 20
    draws: int = 1000
    seed: int = 1
    level: float = 0.95

    def __post_init__(self) -> None:
        between = {name: getattr(self, name) for name in ("rho", "q", "rho_degraded", "icc", "icc_degraded", "twins")}
        for name, value in between.items():
            if not 0 < value <= 1:
                raise InputError(f"The threshold {name} is {value:g}; a number above 0 and up to 1 was expected.")
        if self.rho_degraded > self.rho or self.icc_degraded > self.icc:
            raise InputError("The threshold for degraded must not lie above the one for preserved.")
        if not 100 <= self.draws <= 10_000:
            raise InputError(f"There are to be {self.draws} bootstrap draws; 100 to 10000 were expected.")
        if not 0.5 < self.level < 1:
            raise InputError(f"The level of the intervals is {self.level:g}; between 0.5 and 1 was expected.")

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """The definitions as they are printed."""
        return [
            f"Rank: preserved means Spearman's rho >= {self.rho:g} and q < {self.q:g} (Benjamini-Hochberg over the "
            f"features of the table); degraded means rho >= {self.rho_degraded:g} and q < {self.q:g}; anything else "
            "is lost.",
            f"Agreement: preserved means that the lower end of the {self.level:.0%} interval of ICC(A,1) is "
            f">= {self.icc:g}; degraded means ICC(A,1) >= {self.icc_degraded:g}; anything else is lost.",
            "Undefined means that the feature is constant in one of the two images over the cohort, or has fewer than "
            f"three pairs of values; where the table has {self.patients} patients or more, also that the feature has "
            "values of fewer.",
            f"Twins: features whose |rho| with each other is at least {self.twins:g} in the reference images form one "
            "cluster (complete linkage); a cluster is preserved where more than half of its features are.",
        ]
