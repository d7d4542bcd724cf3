"""`imagetranslation similarity`: numbers with their parameters, and sentences where there is no number."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetranslation import similarity
from imagetranslation.errors import InputError
from imagetranslation.provenance import Provenance
from imagetranslation.similarity.report import measure
from imagetranslation.volume import Volume, write_volume


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imagetranslation", "similarity", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def two_files(tmp_path: Path) -> tuple[Path, Path]:
    random = np.random.default_rng(3)
    first = random.uniform(0, 200, (13, 15, 17)).astype(np.float32)
    second = first + random.normal(0, 10, first.shape).astype(np.float32)
    spacing = (0.5, 1.0, 2.0)
    return (
        write_volume(Volume(first, spacing=spacing), tmp_path / "a.nrrd"),
        write_volume(Volume(second, spacing=spacing), tmp_path / "b.nii.gz"),
    )


def test_every_measure_is_printed_with_its_parameters(two_files) -> None:
    ran = run(*two_files, "--data-range", 255, "--json")
    assert ran.returncode == 0, ran.stderr
    scores = {score["name"]: score for score in json.loads(ran.stdout)["scores"]}
    from imagetranslation.volume import read_volume

    a, b = (read_volume(path).array for path in two_files)
    assert scores["ssim"]["value"] == pytest.approx(similarity.ssim(a, b, data_range=255))
    assert scores["ssim"]["parameters"]["window"] == "gaussian, sigma 1.5, 11 voxels"
    assert scores["psnr"]["parameters"] == {"mask": "everywhere", "data_range": 255}
    assert scores["ms_ssim"]["value"] is None
    assert "smaller than the window" in scores["ms_ssim"]["note"]
    assert "ssim_masked" not in scores
    shown = run(*two_files, "--data-range", 255).stdout
    assert all(name in shown for name in scores)


def test_a_mask_is_used_and_named(two_files, tmp_path) -> None:
    mask = np.zeros((13, 15, 17), np.uint8)
    mask[3:9, 3:9, 3:9] = 1
    path = write_volume(Volume(mask, spacing=(0.5, 1.0, 2.0)), tmp_path / "gland.nrrd")
    ran = run(*two_files, "--data-range", 255, "--mask", path, "--json")
    scores = {score["name"]: score for score in json.loads(ran.stdout)["scores"]}
    assert "gland" in scores["mae"]["parameters"]["mask"]
    assert 0 < scores["ssim_masked"]["value"] < 1


def test_equal_images_have_an_infinite_psnr_in_valid_json(two_files) -> None:
    ran = run(two_files[0], two_files[0], "--data-range", 255, "--json")
    assert {s["name"]: s["value"] for s in json.loads(ran.stdout)["scores"]}["psnr"] == "infinity"


@pytest.mark.parametrize("given", [[], ["--data-range", "0"], ["--data-range", "-3"], ["--data-range", "nan"]])
def test_without_a_range_nothing_is_computed(two_files, given) -> None:
    ran = run(*two_files, *given)
    assert ran.returncode == 2
    assert "Give the span of the intensities with --data-range" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_bad_input_is_one_sentence(two_files, tmp_path) -> None:
    other = write_volume(Volume(np.ones((3, 4, 5), np.float32)), tmp_path / "other.nrrd")
    empty = write_volume(Volume(np.zeros((13, 15, 17), np.uint8), spacing=(0.5, 1.0, 2.0)), tmp_path / "empty.nrrd")
    holes = write_volume(Volume(np.full((3, 4, 5), np.nan, np.float32)), tmp_path / "holes.nrrd")
    for arguments, words in (
        ((two_files[0], other), "is not on the grid of"),
        ((*two_files, "--mask", empty), "is empty"),
        ((other, holes), "no numbers"),
        ((two_files[0], tmp_path / "absent.nrrd"), "does not exist"),
    ):
        ran = run(*arguments, "--data-range", 1)
        assert ran.returncode == 2
        assert words in ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_map_about_an_image_is_not_compared_as_one() -> None:
    record = Provenance.from_dict({"model": "m", "quantity": {"name": "standard deviation"}})
    image = Volume(np.ones((3, 4, 5), np.float32))
    with pytest.raises(InputError, match="is a map about an image"):
        measure(image, replace(image, provenance=record), data_range=1.0)
