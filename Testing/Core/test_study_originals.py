"""Mix-ups in a list of cases: acquired images in a synthetic column, one file listed twice, names no disk takes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.provenance import Provenance
from imagetranslation.readerstudy.building import build
from imagetranslation.readerstudy.definition import study_from
from imagetranslation.volume import Volume, read_volume, write_volume
from Testing.studies import a_document, write_images

RECORD = Provenance(
    "tiny", "1.0.0", "0" * 64, "us2mri", "MR", "us.nii", "1" * 64, "2026-01-02T03:04:05+00:00", "imagetranslation"
)  # fmt: skip


def a_study(folder: Path, marked: tuple[int, ...] = (), **more: Any) -> tuple[Path, dict[str, Any]]:
    """A study with images that is not built yet; the synthetic images of the cases in `marked` say what they are."""
    document = a_document(cases=4, readers=1, **more)
    write_images(folder, document)
    for n in marked:
        file = folder / document["cases"][n]["images"]["model1"]
        write_volume(dataclasses.replace(read_volume(file), provenance=RECORD), file)
    return folder, document


def remarks(folder: Path, document: dict[str, Any]) -> str:
    (folder / "study.json").write_text(json.dumps(document))
    return "\n".join(build(folder).remarks)


def test_a_synthetic_arm_without_a_mark_is_remarked_unless_it_is_stated(tmp_path: Path) -> None:
    folder, document = a_study(tmp_path)
    assert "No image of model1 says that a model made it" in remarks(folder, document)
    document["arms"][1]["unmarked"] = True
    assert remarks(folder, document) == ""


def test_a_synthetic_arm_that_is_marked_needs_no_remark(tmp_path: Path) -> None:
    assert remarks(*a_study(tmp_path, marked=(0, 1, 2, 3))) == ""


def test_an_unmarked_image_among_marked_ones_is_refused_by_its_case_unless_it_is_stated(tmp_path: Path) -> None:
    folder, document = a_study(tmp_path, marked=(0, 1, 3))
    with pytest.raises(InputError, match=r"model1: 1 of 4 images .* \(cases patient2\)"):
        remarks(folder, document)
    assert not (folder / "reading").exists()
    document["arms"][1]["unmarked"] = True
    assert remarks(folder, document) == ""


def same_voxels(folder: Path, one: str, other: str) -> None:
    """The image of `one` in the file of `other`, as another program would write it: other numbers, another place."""
    volume = read_volume(folder / one)
    moved = Volume(np.asarray(volume.array, np.float64), volume.spacing, volume.origin, volume.direction)
    write_volume(moved, folder / other)


def test_one_image_in_two_arms_of_a_case_is_refused(tmp_path: Path) -> None:
    folder, document = a_study(tmp_path)
    images = document["cases"][2]["images"]
    same_voxels(folder, images["scanner"], images["model1"])
    with pytest.raises(InputError, match="Case patient2: model1 has the same voxels as scanner of case patient2"):
        remarks(folder, document)


def test_one_image_in_the_cases_of_two_patients_is_refused_and_in_two_of_one_patient_remarked(tmp_path: Path) -> None:
    folder, document = a_study(tmp_path)
    document["arms"][1]["unmarked"] = True
    first, second = document["cases"][0], document["cases"][3]
    same_voxels(folder, first["images"]["scanner"], second["images"]["scanner"])
    with pytest.raises(InputError, match="patient3: scanner has the same voxels as scanner of case patient0, who is"):
        remarks(folder, document)
    second["patient"] = first["id"]
    assert remarks(folder, document).count("the same voxels as scanner of case patient0") == 1


@pytest.mark.parametrize("code", ["CON", "nul", "Aux", "prn", "COM1", "lpt9"])
def test_a_reader_is_not_called_what_windows_keeps_for_devices(code: str) -> None:
    with pytest.raises(InputError, match=f"cannot be called {code}"):
        study_from({**a_document(), "readers": ["R1", code]}, "study.json")
    assert study_from({**a_document(), "readers": ["CONNY", f"R{code}"]}, "study.json").readers[0] == "CONNY"


@pytest.mark.parametrize("folder", ["/", "../../../../../../../../../../../../../.."])
def test_a_whole_disk_is_no_folder_of_images(tmp_path: Path, folder: str) -> None:
    place, document = a_study(tmp_path)
    with pytest.raises(InputError, match="whole disk"):
        remarks(place, {**document, "outside_folders": [folder]})
    (tmp_path.parent / "beside").mkdir(exist_ok=True)
    remarks(place, {**document, "outside_folders": ["../beside"]})
