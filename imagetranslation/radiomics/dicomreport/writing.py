"""The one way to the files: what can be written of a comparison, and writing all of it into one new folder."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...dicomio.marking import in_zone
from ...dicomio.modules import without_place
from ...dicomio.opening import damage_means, quiet_pydicom, text_of
from ...dicomio.writing import write_dicom_series
from ...errors import Cancelled, InputError, RunFailed
from ...files import atomic_folder, make_folder
from ...inference import voxels_sha256
from ...volume import Volume
from ..cache import image_hash
from ..engine import Cancel
from ..roi import Roi, check_grid
from .evidence import Evidence, gather, series_backing
from .meaning import Meaning
from .statements import NO_SEGMENTATION, NOT_PROVEN

if TYPE_CHECKING:
    from ..comparison import Comparison

REPORT, SEGMENTATION, SERIES = "report.dcm", "segmentation.dcm", "synthetic"
MISSING = "Writing DICOM reports needs highdicom: run pip install highdicom."


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
    try:
        _require_highdicom()
        evidence = _gathered(images, source, series)
    except InputError as error:
        return Availability(False, False, False, str(error))
    placed = evidence.base.source.positioned if evidence.backings else _placed(images["synthetic"])
    parts = ["a structured report"] + ["a segmentation"] * placed
    parts += ["the synthetic image's DICOM series, which it does not have yet"] * evidence.to_write
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
    sentences = [f"Writes {listed}.", *([] if placed else [NO_SEGMENTATION]), *evidence.sentences]
    return Availability(True, placed, evidence.to_write, " ".join(sentences))


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
    _require_highdicom()
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is in use; DICOM objects get a folder of their own. Name a new one.")
    _check_same(found, images, roi)
    evidence = _gathered(images, source, series)
    make_folder(target.resolve().parent)
    with atomic_folder(target.resolve()) as stage:
        made: list[Path] = []
        if evidence.to_write:
            made = _write_series(stage, target, images, evidence, source, series)
            evidence = evidence.with_series(series_backing(stage / SERIES, images["synthetic"]))
        _stop(cancelled)
        segmented, sentences = _write_objects(stage, found, images, roi, evidence, meaning or Meaning(), cancelled)
        _stop(cancelled)
    return Written(
        target / REPORT, target / SEGMENTATION if segmented else None,
        tuple(target / SERIES / file.name for file in made), tuple(sentences),
    )  # fmt: skip


def _placed(synthetic: Volume) -> bool:
    """Whether the series that will be written has a position in the patient."""
    nuclear = synthetic.provenance is not None and synthetic.provenance.modality == "NM"
    return not (nuclear and len(synthetic.array) == 1 and without_place(synthetic))


def _require_highdicom() -> None:
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise InputError(MISSING) from error


def _gathered(images: Mapping[str, Volume], source: Any, series: str | None) -> Evidence:
    with damage_means("The images' DICOM objects are damaged and cannot be understood; copy them again."):
        return gather(images, source, series)


def _check_same(found: Comparison, images: Mapping[str, Volume], roi: Roi) -> None:
    """InputError where the comparison is of something else than what is reported."""
    same = found.roi["sha256"] == roi.sha256 and found.results.keys() <= images.keys()
    if not same or any(found.images[role]["sha256"] != image_hash(images[role]) for role in found.results):
        raise InputError("The region or an image has changed since it was compared; compare again, then write DICOM.")
    check_grid(roi, images["source"])


def _stop(cancelled: Cancel | None) -> None:
    if cancelled is not None and cancelled():
        raise Cancelled("Cancelled; nothing was written.")


def _write_series(
    stage: Path, target: Path, images: Mapping[str, Volume], evidence: Evidence, source: Any, series: str | None
) -> list[Path]:
    """The synthetic image's own series, which names its source's very frames where the voxels prove them."""
    synthetic, about = images["synthetic"], images["source"].attributes
    if synthetic.attributes.get("format") != "DICOM" and "source" in evidence.backings:
        if about.get("format") == "DICOM" and _made_from(images):
            synthetic = replace(synthetic, attributes=about)
        elif source is None:
            source, series = list(evidence.backings["source"].source.datasets), None
    try:
        return write_dicom_series(synthetic, stage / SERIES, source=source, series=series)
    except RunFailed as error:  # the folder that a person knows, not the hidden one that all is made in
        raise RunFailed(str(error).replace(str(stage), str(target))) from error


def _made_from(images: Mapping[str, Volume]) -> bool:
    """Whether the synthetic image's record names the source's voxels."""
    record = images["synthetic"].provenance
    return record is not None and record.source_sha256 == voxels_sha256(images["source"])


def _write_objects(
    stage: Path, found: Comparison, images: Mapping[str, Volume], roi: Roi, evidence: Evidence, meaning: Meaning,
    cancelled: Cancel | None,
) -> tuple[bool, list[str]]:  # fmt: skip
    """Report and segmentation; whether there is one, and the sentences a person should see."""
    from pydicom.uid import generate_uid

    from .report import make_report
    from .segmentation import Tracking, make_segmentation

    made = in_zone(datetime.now(timezone.utc), text_of(evidence.base.first, "TimezoneOffsetFromUTC"))
    tracking = Tracking(f"{roi.name} ({made:%Y-%m-%d %H:%M})", meaning.tracking_uid or str(generate_uid()))
    sentences = list(evidence.sentences)
    if "source" in evidence.backings and not (evidence.linked or _made_from(images)):
        sentences.append(NOT_PROVEN)
    segmentation = None
    with quiet_pydicom():
        if evidence.base.source.positioned:
            segmentation = make_segmentation(evidence, roi, meaning, tracking, made)
            if not evidence.base.source.frame_of_reference():
                sentences.append("The source names no frame of reference: the segmentation has one of its own.")
            _save(segmentation, stage / SEGMENTATION)
        else:
            sentences.append(NO_SEGMENTATION)
        _stop(cancelled)
        report = make_report(found, images, roi, evidence, segmentation, meaning, tracking, made, sentences)
        _save(report, stage / REPORT)
    return segmentation is not None, sentences


def _save(dataset: Any, path: Path) -> None:
    # Encoded first: pydicom wraps what the disk says into an error of its own.
    encoded = io.BytesIO()
    dataset.save_as(encoded, enforce_file_format=True)
    path.write_bytes(encoded.getvalue())
