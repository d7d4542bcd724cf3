"""Synthetic volumes for the tests of DICOM out: a scan's grid with other voxels and a full provenance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from imagetranslation.provenance import Provenance, display_name
from imagetranslation.volume import Volume

from .dicom_objects import ENHANCED_US, NM, frame_groups, image, item, save, shared_groups

OBLIQUE = (0.8, 0.6, 0.0, -0.48, 0.64, 0.6)


def a_record(modality: str = "MR", **changes: Any) -> Provenance:
    """Where an image came from, with letters beyond ASCII and everything else a record may hold."""
    record = Provenance(
        "us2mri-pix2pix-small", "1.0.0", "ab" * 32, "us2mri", modality, "Prüfung 17", "cd" * 32,
        "2026-01-02T03:04:05+00:00", "imagetranslation 0.1.0", ('He said "background \\ outside"', "second note"),
    )  # fmt: skip
    return replace(record, **changes)


def made_from(scan: Volume, modality: str = "MR", whole: bool = False, **changes: Any) -> Volume:
    """The synthetic image of a scan: noise from 0 to 255 on its grid, whole numbers if asked."""
    noise = np.random.default_rng(7).uniform(0, 255, scan.array.shape).astype(np.float32)
    record = a_record(modality)
    return replace(
        scan,
        array=np.rint(noise) if whole else noise,
        name=display_name(record),
        modality=modality,
        field_of_view=None,
        provenance=record,
        **changes,
    )


def a_3d_ultrasound(path: Path, orientation: tuple[float, ...] = OBLIQUE) -> Path:
    """A 3-D ultrasound object of five oblique frames 2 mm apart, in the frame of reference 1.2.3.9."""
    normal = np.cross(orientation[:3], orientation[3:])
    positions = [[float(v) for v in np.array([5.0, -7.0, 30.0]) + 2.0 * n * normal] for n in range(5)]
    frames = np.random.default_rng(1).integers(0, 255, (5, 12, 10)).astype(np.uint8)
    return save(
        image(
            frames,
            ENHANCED_US,
            "US",
            PerFrameFunctionalGroupsSequence=frame_groups(positions, volume=True),
            SharedFunctionalGroupsSequence=shared_groups(orientation, volume=True),
        ),
        path,
    )


def a_whole_body_scan(path: Path) -> Path:
    """An NM whole-body object with an anterior and a posterior view of 128 x 32 counts."""
    counts = np.random.default_rng(2).poisson(5, (2, 128, 32)).astype(np.uint16)
    views = [
        item(ViewCodeSequence=[item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)])
        for value, meaning in (("255549009", "Anterior"), ("255551008", "Posterior"))
    ]
    return save(
        image(
            counts,
            NM,
            "NM",
            ImageType=["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"],
            PixelSpacing=[2.4, 2.4],
            FrameIncrementPointer=[0x00540010, 0x00540020],
            EnergyWindowVector=[1, 1],
            DetectorVector=[1, 2],
            NumberOfEnergyWindows=1,
            NumberOfDetectors=2,
            DetectorInformationSequence=views,
        ),
        path,
    )


def datasets(files: list[Path]) -> list[Any]:
    """The objects in these files."""
    return [pydicom.dcmread(file) for file in files]
