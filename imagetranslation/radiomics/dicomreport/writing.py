"""The one way to the files: what can be written of a comparison, and writing all of it into one new folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...volume import Volume
from ..engine import Cancel
from ..roi import Roi
from .meaning import Meaning

if TYPE_CHECKING:
    from ..comparison import Comparison


@dataclass(frozen=True)
class Availability:
    """What `write_dicom` would do, for a button and its tooltip.

    report, segmentation: whether there would be one. series: whether the synthetic image's own DICOM series would be
    written too, because it has none yet. sentence: for the person, always: what will be written, or why nothing is.
    """

    report: bool
    segmentation: bool
    series: bool
    sentence: str


@dataclass(frozen=True)
class Written:
    """The files. report: report.dcm. segmentation: segmentation.dcm, None where the source has no place in the
    patient. series: the synthetic image's DICOM series where it was made here. sentences: what a person should know.
    """

    report: Path
    segmentation: Path | None
    series: tuple[Path, ...]
    sentences: tuple[str, ...]

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [self.report, *([self.segmentation] if self.segmentation else []), *self.series]


def availability(
    images: Mapping[str, Volume], *, source: str | Path | Sequence[Any] | None = None, series: str | None = None
) -> Availability:
    """What can be written of images by role; arguments as in `write_dicom`. Opens headers, changes nothing, never
    raises an InputError: its sentence is the answer's.
    """
    raise NotImplementedError


def write_dicom(
    found: Comparison,
    images: Mapping[str, Volume],
    roi: Roi,
    folder: str | Path,
    *,
    meaning: Meaning | None = None,
    source: str | Path | Sequence[Any] | None = None,
    series: str | None = None,
    cancelled: Cancel | None = None,
) -> Written:
    """Write report.dcm, segmentation.dcm and, where it has none yet, the synthetic series (synthetic/0001.dcm ...).

    found: of `images` ("source", "synthetic" and maybe "reference") under `roi`. folder: new or empty. source: the
    DICOM file or folder that the source was read from, or its pydicom datasets (headers suffice); by default what the
    source remembers. series: which one of a folder. Everything lands or nothing does.

    Raises InputError with one sentence: neither image is or can become DICOM, files are gone, patients differ, the
    folder is in use; RunFailed (disk full, not writable), Cancelled.
    """
    raise NotImplementedError
