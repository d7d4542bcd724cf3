"""Jobs: what is refused before any work is done, and what a mask does."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from imagetranslation.deviationmaps import map_of, map_path
from imagetranslation.errors import ImageTranslationError, InputError, RunFailed
from imagetranslation.jobs import Job, run_job
from imagetranslation.volume import Volume, read_volume, write_volume
from Testing.packages import an_ultrasound, make_package


@pytest.fixture
def a_job(tmp_path: Path) -> Job:
    source = write_volume(an_ultrasound(spacing=(0.5, 0.5, 2.0)), tmp_path / "us.nrrd")
    return Job(str(source), str(tmp_path / "out" / "mr.nrrd"), str(make_package(tmp_path / "tiny").path), "cpu")


def test_a_volume_larger_than_the_memory_is_one_sentence(a_job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is free: whichever part of the run notices first says so in one sentence."""
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10, total=10))
    with pytest.raises(ImageTranslationError, match="memory"):
        run_job(a_job)
    assert not Path(a_job.output).parent.exists()


def test_a_volume_that_fits_as_a_file_but_not_in_work_is_refused(
    a_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for the model and for the voxels themselves, not for what translating them takes."""
    large = an_ultrasound((40, 64, 64))
    source = write_volume(large, tmp_path / "large.nrrd")
    room = 8 * large.array.size
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=room, total=room))
    with pytest.raises(RunFailed, match="Crop it"):
        run_job(replace(a_job, input=str(source)))


def test_a_mask_limits_what_is_synthesised(a_job: Job, tmp_path: Path) -> None:
    source = read_volume(a_job.input)
    inside = np.zeros(source.array.shape, np.uint8)
    inside[1:4, 8:12, 8:14] = 1
    mask = write_volume(source.with_array(inside), tmp_path / "mask.nrrd")
    report = run_job(replace(a_job, mask=str(mask)))
    made = read_volume(report["output"]).array
    assert (made[inside == 0] == 0).all()
    assert made[inside == 1].max() > 0
    assert any("inside the mask" in note for note in report["notes"])


def test_a_mask_on_another_grid_is_refused(a_job: Job, tmp_path: Path) -> None:
    mask = write_volume(Volume(np.ones(an_ultrasound().array.shape, np.uint8)), tmp_path / "mask.nrrd")
    with pytest.raises(InputError, match="not on the grid"):
        run_job(replace(a_job, mask=str(mask)))


def test_a_sealed_folder_is_refused_before_any_work(a_job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """os.access stands in for the sealed folder, because the super-user may write anywhere."""
    worked: list[int] = []
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunFailed, match="no permission"):
        run_job(a_job, progress=lambda *step: worked.append(1))
    assert worked == []


def test_a_map_of_the_uncertainty_lies_beside_an_image_that_is_the_same_without_it(a_job: Job, tmp_path: Path) -> None:
    plain = read_volume(run_job(a_job)["output"]).array
    report = run_job(replace(a_job, output=str(tmp_path / "sure.nrrd"), uncertainty="tta", samples=3))
    image, deviation = read_volume(report["output"]), read_volume(report["uncertainty"])
    assert report["uncertainty"] == str(tmp_path / "sure_uncertainty.nrrd")
    np.testing.assert_array_equal(image.array, plain)
    assert deviation.array.std() > 0
    assert map_of(deviation, image) is deviation
    assert (report["calibrated"], report["uncertainty_samples"]) == (False, 3)
    assert any("uncalibrated spread" in note for note in report["uncertainty_notes"])


def test_a_file_in_the_place_of_the_map_is_kept(a_job: Job) -> None:
    in_its_place = map_path(a_job.output)
    in_its_place.parent.mkdir()
    write_volume(Volume(np.ones((3, 4, 5), np.float32)), in_its_place)
    before = in_its_place.read_bytes()
    with pytest.raises(InputError, match="exists and is not a synthetic image"):
        run_job(replace(a_job, uncertainty="tta"))
    assert in_its_place.read_bytes() == before
    assert not Path(a_job.output).exists()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"engine": "abacus"}, "abacus"),
        ({"precision": "int2"}, "precision called int2"),
        ({"uncertainty": "guess"}, "no way to uncertainty called guess"),
        ({"uncertainty": "tta", "samples": 1}, "2 to 64 samples"),
    ],
)
def test_settings_that_do_not_exist_are_named_and_nothing_is_written(a_job: Job, setting: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_job(replace(a_job, **setting))
    assert not Path(a_job.output).exists()


def test_the_report_says_what_computed_it(a_job: Job) -> None:
    report = run_job(replace(a_job, engine="torch", precision="float32"))
    assert (report["engine"], report["precision"]) == ("torch", "float32")


def test_a_map_of_an_earlier_run_does_not_stay_beside_an_image_made_without_one(a_job: Job) -> None:
    first = run_job(replace(a_job, uncertainty="tta", samples=2))
    again = run_job(a_job)
    assert "uncertainty" not in again
    assert not Path(first["uncertainty"]).exists()
    assert not Path(first["uncertainty"]).with_suffix(".json").exists()


def test_a_real_scan_in_the_place_of_a_map_stays(a_job: Job) -> None:
    place = map_path(a_job.output)
    place.parent.mkdir()
    write_volume(Volume(np.ones((3, 4, 5), np.float32)), place)
    run_job(a_job)
    assert place.exists()


def test_a_map_made_at_another_time_is_not_this_images(a_job: Job, tmp_path: Path) -> None:
    image = read_volume(run_job(replace(a_job, created="2026-01-01T00:00:00Z"))["output"])
    made = run_job(replace(a_job, output=str(tmp_path / "b.nrrd"), uncertainty="tta", samples=2))
    with pytest.raises(InputError, match="at another time"):
        map_of(read_volume(made["uncertainty"]), image)


def test_models_named_as_members_make_an_ensemble(a_job: Job, tmp_path: Path) -> None:
    other = make_package(tmp_path / "other", seed=5)
    report = run_job(replace(a_job, uncertainty="auto", members=(str(other.path),)))
    assert (report["uncertainty_method"], report["uncertainty_samples"]) == ("ensemble", 2)
    with pytest.raises(InputError, match="as many samples as it has members"):
        run_job(replace(a_job, uncertainty="ensemble", samples=5))
    with pytest.raises(InputError, match="members are ids or paths"):
        Job.from_dict({"input": "a", "output": "b", "members": [3]})


def test_the_record_says_what_computed_the_image(a_job: Job) -> None:
    record = read_volume(run_job(replace(a_job, engine="torch", precision="float32"))["output"]).provenance
    assert record is not None
    assert (record.engine, record.precision, record.device) == ("torch", "float32", "cpu")
