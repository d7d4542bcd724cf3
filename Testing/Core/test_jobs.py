"""Jobs: what is refused before any work is done, and what a mask does."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

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
