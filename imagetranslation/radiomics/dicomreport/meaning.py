"""What a drawn region stands for and how it was drawn, in the codes that DICOM asks of a segment and of a finding."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError
from .codes import Code

TISSUE = Code("85756007", "Tissue", "SCT")
ANATOMY = Code("123037004", "Anatomical Structure", "SCT")
ABNORMALITY = Code("49755003", "Morphologically Abnormal Structure", "SCT")
# What a panel offers; any other code may be given (PS3.16 CID 7150 and CID 7166).
CATEGORIES = (ABNORMALITY, ANATOMY, TISSUE)
TYPES = (
    Code("52988006", "Lesion", "SCT"), Code("108369006", "Neoplasm", "SCT"), Code("41216001", "Prostate", "SCT"),
    Code("272673000", "Bone", "SCT"), TISSUE,
)  # fmt: skip
_CATEGORY_OF = {TYPES[0]: ABNORMALITY, TYPES[1]: ABNORMALITY, TISSUE: TISSUE}
# PS3.3 C.8.20.2: by hand, with a tool's help, by a program alone.
ALGORITHM_TYPES = ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC")


@dataclass(frozen=True)
class Meaning:
    """category, kind: of the segment and the finding, a lesion by default. algorithm_type: one of ALGORITHM_TYPES;
    algorithm_name, algorithm_version: of the tool, whose name is needed unless MANUAL. reader: name of the person who
    drew ("Family, Given"), "" where it is not told. tracking_uid: the region's, where it was given one before; a new
    one by default.
    """

    category: Code = ABNORMALITY
    kind: Code = TYPES[0]
    algorithm_type: str = "MANUAL"
    algorithm_name: str = ""
    algorithm_version: str = ""
    reader: str = ""
    tracking_uid: str = ""

    def __post_init__(self) -> None:
        if self.algorithm_type not in ALGORITHM_TYPES:
            raise InputError(
                f"A region is drawn {', '.join(ALGORITHM_TYPES[:-1])} or {ALGORITHM_TYPES[-1]}, not "
                f"{self.algorithm_type!r}."
            )
        if self.algorithm_type != "MANUAL" and not self.algorithm_name.strip():
            raise InputError(f"A region drawn {self.algorithm_type} needs the name of the tool that drew it.")


def finding_called(name: str) -> tuple[Code, Code]:
    """Category and kind by a kind's name, "lesion" or "prostate"; InputError listing them for any other."""
    for kind in TYPES:
        if kind.meaning.lower() == name.strip().lower():
            return _CATEGORY_OF.get(kind, ANATOMY), kind
    known = ", ".join(kind.meaning.lower() for kind in TYPES)
    raise InputError(f"There is no code for a finding {name[:60]!r} here; choose one of {known}.")
