"""`imagetranslation dicom`: a synthetic image as a DICOM series in the study of the scan it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from .console import Console
from .options import Json


def dicom(
    synthetic: Annotated[
        Path, typer.Argument(metavar="SYNTHETIC", help="The image that `translate` wrote (NRRD, NIfTI, MetaImage).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="New folder for the series.")],
    source: Annotated[
        Optional[Path],
        typer.Option(help="DICOM file or folder it was made from. Without it patient and study stay empty."),
    ] = None,
    series: Annotated[Optional[str], typer.Option(help="Which series of the source's folder: UID or number.")] = None,
    burn_in: Annotated[
        bool, typer.Option("--burn-in", help="Put the SYNTHETIC mark into the pixels, not into an overlay plane.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a synthetic MR or NM image as DICOM: a derived series, marked as synthetic, in its source's study.

    imagetranslation dicom mr.nrrd -o mr_dicom/ --source us_folder/
    """
    from pydicom import dcmread

    from ..dicomio import write_dicom_series
    from ..volume import read_volume

    volume = read_volume(synthetic)
    files = write_dicom_series(volume, output, source=source, series=series, burn_in=burn_in)
    told = dcmread(files[0], stop_before_pixels=True).DerivationDescription
    Console(as_json).series(files, output, str(told))
