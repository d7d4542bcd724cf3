"""The comparison as a structured report after TID 1500 (PS3.16), in a Comprehensive SR document.

Every group of measurements (`groups`) says in words and in a code what it was measured on; the synthetic image's group
that it is no measurement of the patient.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ... import __version__
from ...dicomio.marking import MANUFACTURER, add_record, encodable, line, plain, provenance_of, synthesizing_equipment
from ...dicomio.modules import MR_STORAGE
from ...dicomio.opening import text_of
from ...dicomio.source import acquisition_equipment
from ...provenance import Provenance
from ...volume import Volume
from ..comparison import Comparison
from ..roi import Roi
from .codes import SCHEMES, Code
from .evidence import Evidence, patient_and_study, series_number
from .groups import Content
from .meaning import Meaning
from .segmentation import EMPTY, Tracking, adopt, person

SERIES_STEP = 3000
# PS3.16 CID 100; anything else is an imaging procedure.
_PROCEDURES = {
    "CT": Code("25045-6", "CT unspecified body region", "LN"),
    "MR": Code("25056-3", "MRI unspecified body region", "LN"),
    "NM": Code("49118-3", "NM unspecified body region", "LN"),
    "PT": Code("44136-0", "PET unspecified body region", "LN"),
}
_ANY_PROCEDURE = Code("363679005", "Imaging procedure", "SCT")
# More points of an outline than the two length bytes of an explicit VR can count, with room to spare.
_MANY_POINTS = 8000


def make_report(
    found: Comparison, images: Mapping[str, Volume], roi: Roi, evidence: Evidence, segmentation: Any, meaning: Meaning,
    tracking: Tracking, made: datetime, sentences: Sequence[str],
) -> Any:  # fmt: skip
    """The pydicom dataset of the report. segmentation: the dataset of the region's, or None where there is none.
    sentences: what a reader should know besides. made: when, in the study's time zone.
    """
    import highdicom
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

    common: Any = pydicom.Dataset()
    said = [*sentences, *patient_and_study(evidence, common)]
    charset = common.get("SpecificCharacterSet")

    def fit(text: str) -> str:
        return plain(encodable(text, charset))

    content = Content(found, images, roi, evidence, segmentation, meaning, tracking, said, fit)
    measured = highdicom.sr.MeasurementReport(
        observation_context=_context(meaning, fit),
        procedure_reported=_PROCEDURES.get(images["source"].modality, _ANY_PROCEDURE).concept(),
        imaging_measurements=content.groups(),
    )  # fmt: skip
    objects, classes = _evidence(evidence, segmentation)
    many = any(len(each.points) > _MANY_POINTS for each in content.outlines.values())
    dataset = highdicom.sr.ComprehensiveSR(
        evidence=objects, content=measured[0], series_instance_uid=str(generate_uid()),
        series_number=series_number(evidence, SERIES_STEP), sop_instance_uid=str(generate_uid()), instance_number=1,
        manufacturer=MANUFACTURER, is_complete=True, is_final=False, is_verified=False,
        transfer_syntax_uid=ImplicitVRLittleEndian if many else ExplicitVRLittleEndian,
        manufacturer_model_name="imagetranslation", software_versions=__version__, device_serial_number=__version__,
    )  # fmt: skip
    _true_classes(dataset, classes)
    record = _record(evidence, images)
    makers = acquisition_equipment(evidence.backings["source"].source) if "source" in evidence.backings else []
    models = [] if record is None else [synthesizing_equipment(record, charset)]
    adopt(dataset, common, made, [*makers, *models])
    dataset.SeriesDescription = line(fit(f"Radiomics of {roi.name}")[:38] + " (SYNTHETIC image included)")
    dataset.CodingSchemeIdentificationSequence = [_scheme(*told) for told in SCHEMES]
    # The report holds values of a synthetic image: a search for what was acquired must not find it.
    dataset.SyntheticData = "YES"
    if record is not None:
        add_record(dataset, record)
    return dataset


def _context(meaning: Meaning, fit: Callable[[str], str]) -> Any:
    """Who observed: the person where that was told, and always this software."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    # A UID of a UUID (PS3.5 B.2), the same for the same version of this software.
    uid = f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, f'imagetranslation/{__version__}').int}"
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid, name=MANUFACTURER, manufacturer_name=MANUFACTURER, model_name=f"imagetranslation {__version__}"
    )
    software = sr.ObserverContext(codes.DCM.Device, device)
    name = person(fit(meaning.reader))
    if name is None:
        return sr.ObservationContext(observer_device_context=software)
    reader = sr.ObserverContext(codes.DCM.Person, sr.PersonObserverIdentifyingAttributes(name=name))
    return sr.ObservationContext(observer_person_context=reader, observer_device_context=software)


def _evidence(evidence: Evidence, segmentation: Any) -> tuple[list[Any], dict[str, str]]:
    """The objects that the report refers to, as highdicom takes them, and the true class of each."""
    import pydicom

    told = [(dataset, text_of(dataset, "StudyInstanceUID") or evidence.study)
            for backing in (evidence.base, *evidence.backings.values())
            for dataset in backing.objects().values()]  # fmt: skip
    if segmentation is not None:
        told.append((segmentation, evidence.study))
    objects, classes = [], {}
    for dataset, study in told:
        item: Any = pydicom.Dataset()
        # highdicom knows the modules of some classes only: it is given one it knows for all.
        item.SOPClassUID, item.SOPInstanceUID = MR_STORAGE, text_of(dataset, "SOPInstanceUID")
        item.StudyInstanceUID, item.SeriesInstanceUID = study, text_of(dataset, "SeriesInstanceUID")
        for keyword in EMPTY:
            setattr(item, keyword, None)
        objects.append(item)
        classes[str(item.SOPInstanceUID)] = text_of(dataset, "SOPClassUID")
    return objects, classes


def _true_classes(dataset: Any, classes: Mapping[str, str]) -> None:
    for name in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in dataset.get(name) or []:
            for series in study.ReferencedSeriesSequence:
                for item in series.ReferencedSOPSequence:
                    item.ReferencedSOPClassUID = classes[str(item.ReferencedSOPInstanceUID)]


def _record(evidence: Evidence, images: Mapping[str, Volume]) -> Provenance | None:
    """Where the synthetic image came from, where it or its objects say."""
    own = evidence.backings.get("synthetic")
    return images["synthetic"].provenance or (provenance_of(own.first) if own is not None else None)


def _scheme(designator: str, uid: str, name: str, organisation: str) -> Any:
    import pydicom

    item: Any = pydicom.Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName = designator, name
    if uid:
        item.CodingSchemeUID = uid
    if organisation:
        item.CodingSchemeResponsibleOrganization = organisation
    return item
