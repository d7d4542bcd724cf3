"""Run in the worker's Python: one synthetic image as a DICOM series, from a JSON job file, answering in JSON lines.

A process of its own, because encoding, writing and comparing some hundred objects takes seconds. The series itself
is `dicomio`'s matter.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ImageTranslationError, RunFailed
from ..jobs import load_job


def export(image: str, folder: str, source_files: list[str], burn_in: bool) -> dict[str, Any]:
    """Write `image`, a synthetic image file, into the new `folder`; returns how many files and what they say.

    source_files: the DICOM files of the scan it was made from; without them the series gets a study of its own.
    Raises what `dicomio.write_dicom_series` raises.
    """
    from ..dicomio import write_dicom_series
    from ..volume import read_volume

    volume = read_volume(image)
    if source_files:
        # As if the scan itself had been read from these files: what the writer then checks is where its slices lie.
        volume = replace(volume, attributes={**volume.attributes, "format": "DICOM", "files": source_files})
    try:
        written = write_dicom_series(volume, folder, burn_in=burn_in)
    except ModuleNotFoundError as error:
        raise RunFailed(f"The Python package {error.name} is needed to write DICOM and is not installed.") from error
    return {"files": len(written), "folder": folder, "told": _derivation(written[0])}


def main(job: str) -> int:
    """Run the job file; returns the exit code of `errors`."""
    events = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            report = export(**load_job(job))
    except ImageTranslationError as error:
        _emit(events, event="error", code=error.code, message=str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the panel must get a sentence, whatever went wrong here
        import traceback

        traceback.print_exc()
        _emit(events, event="error", code="bug", message=f"Unexpected {type(error).__name__}: {error}")
        return 4
    _emit(events, event="result", **report)
    return 0


def _derivation(path: Path) -> str:
    from pydicom import dcmread

    return str(dcmread(path, stop_before_pixels=True).DerivationDescription)


def _emit(events: Any, **fields: Any) -> None:
    print(json.dumps(fields), file=events, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
