"""The server the tests talk to: real ultrasound, real MR, and a stand-in for the synthetic image.

Run as `python -m Testing.Browser.serving FOLDER-OF-PAIRS`; prints the address and serves until it is ended. Without a
folder it shows one made-up case.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from imagetranslation.browser.app import serve
from imagetranslation.browser.cases import Case, LoadedCase
from imagetranslation.errors import InputError
from imagetranslation.provenance import Provenance
from imagetranslation.volume import Volume, read_volume

from .conftest import QUANTITY, a_loaded_case, a_lopsided_volume

NOTE = "A stand-in: the MR smoothed, not a translation."


def the_ultrasound(pairs: Path, name: str) -> Volume:
    return replace(read_volume(pairs / "us" / f"{name}.nii.gz"), modality="US", name=name)


def the_mr_on_the_ultrasound_grid(pairs: Path, name: str) -> Volume:
    fixed, moving = (sitk.ReadImage(str(pairs / kind / f"{name}.nii.gz")) for kind in ("us", "mr"))
    centred = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    moved = sitk.Resample(moving, fixed, centred, sitk.sitkLinear, 0.0)
    return the_ultrasound(pairs, name).with_array(sitk.GetArrayFromImage(moved), modality="MR", name=f"{name} MR")


def a_stand_in(pairs: Path, name: str) -> Volume:
    reference = the_mr_on_the_ultrasound_grid(pairs, name)
    image = sitk.GetImageFromArray(reference.array.astype(np.float32))
    smooth = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, 1.5))
    record = Provenance(
        model="stand-in", version="0.0.1", weights_sha256="ab" * 32, task="us2mri", modality="MR", source=name,
        source_sha256="cd" * 32, created="2026-01-01T00:00:00Z", software="test", notes=(NOTE,),
    )  # fmt: skip
    return reference.with_array(smooth, provenance=record, name=f"SYNTHETIC MR of {name}")


def a_stand_in_map(pairs: Path, name: str) -> Volume:
    """How far stand-in and MR differ: a map to look at, not one that a model made."""
    synthetic = a_stand_in(pairs, name)
    deviation = np.abs(synthetic.array - the_mr_on_the_ultrasound_grid(pairs, name).array).astype(np.float32)
    record = replace(synthetic.provenance, quantity={**QUANTITY, "calibrated": True, "patients": 18})
    return synthetic.with_array(deviation, provenance=record, name=f"{name} uncertainty")


def a_broken_file() -> Volume:
    raise InputError("broken.nrrd ends before its last voxel; copy it again.")


def a_fault_in_reading() -> Volume:
    raise ZeroDivisionError("of Miller John")


class Unshowable(Case):
    """Can be read, but lacks the record that the page needs to show it: a fault that nobody foresaw."""

    def load(self) -> LoadedCase:
        case = a_loaded_case(a_lopsided_volume())
        return replace(case, name=self.name, synthetic=replace(case.synthetic, provenance=None))


def the_cases(pairs: Path) -> list[Case]:
    """case16 with a reference, case17 without, three broken ones, one apart, and enough others for a search box."""

    def case(name: str, shown: str, with_reference: bool) -> Case:
        reference = (lambda: the_mr_on_the_ultrasound_grid(pairs, name)) if with_reference else None
        deviation = (lambda: a_stand_in_map(pairs, name)) if with_reference else None
        return Case(shown, lambda: the_ultrasound(pairs, name), lambda: a_stand_in(pairs, name), reference, deviation)

    # Its reference lies on a grid of its own, as a scan before registration does.
    apart = Case(
        "apart", lambda: the_ultrasound(pairs, "case16"), lambda: a_stand_in(pairs, "case16"),
        lambda: replace(read_volume(pairs / "mr" / "case16.nii.gz"), modality="MR"),
    )  # fmt: skip
    others = [case(f"case{n:02d}", f"case{n:02d}", True) for n in range(7)]
    broken = Case("/home/Miller John/broken.nrrd", a_broken_file, a_broken_file)
    unreadable = Case("unreadable", a_fault_in_reading, a_fault_in_reading)
    unshowable = Unshowable("unshowable", a_fault_in_reading, a_fault_in_reading)
    good = [case("case16", "case16", True), case("case17", "case17", False)]
    return [*good, broken, unreadable, unshowable, apart, *others]


def a_made_up_case() -> Case:
    case = a_loaded_case(a_lopsided_volume())
    return Case(case.name, case.source, case.synthetic, case.reference)


if __name__ == "__main__":
    serve(the_cases(Path(sys.argv[1])) if sys.argv[1:] else [a_made_up_case()], port=0)
