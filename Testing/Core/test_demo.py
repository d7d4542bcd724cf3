"""The demo and its example: downloaded once and checked, simulated without a network, one's own volume by path."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from imagetranslation import cli, samples
from imagetranslation.errors import InputError, RunFailed
from imagetranslation.files import sha256_of
from imagetranslation.volume import read_volume, write_volume
from Testing.packages import an_ultrasound, make_package


@pytest.fixture
def a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def a_sample(tmp_path: Path, a_home: Path) -> samples.Sample:
    """A sample whose address is a file on this machine."""
    file = write_volume(an_ultrasound(), tmp_path / "public.nrrd")
    return samples.Sample("Case", "us2mri", "source", "case.nrrd", file.as_uri(), sha256_of(file), "MIT", "nobody")


def run_demo(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["imagetranslation", "demo", "--no-browser", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code if isinstance(end.value.code, int) else 0


def test_a_sample_is_downloaded_once_and_checked(a_sample: samples.Sample, a_home: Path) -> None:
    path = samples.fetch(a_sample)
    assert path == a_home / "samples" / "case.nrrd"
    stamp = path.stat().st_mtime_ns
    assert samples.fetch(replace(a_sample, url="file:///gone")) == path
    assert path.stat().st_mtime_ns == stamp


def test_a_sample_that_is_another_file_is_not_kept(a_sample: samples.Sample, a_home: Path) -> None:
    with pytest.raises(InputError, match="another file"):
        samples.fetch(replace(a_sample, sha256="0" * 64))
    assert list((a_home / "samples").iterdir()) == []


def test_a_damaged_download_is_replaced(a_sample: samples.Sample) -> None:
    path = samples.fetch(a_sample)
    path.write_bytes(b"damaged")
    assert sha256_of(samples.fetch(a_sample)) == a_sample.sha256


def test_the_listed_samples_are_complete(repository: Path) -> None:
    listed = samples.samples()
    assert listed[0].role == "source"
    for sample in listed:
        assert sample.url.startswith("https://")
        assert len(sample.sha256) == 64
        assert sample.licence
        assert sample.citation


def test_the_listed_samples_are_held_out_cases_of_the_real_data(prostate_pairs: Path) -> None:
    source, reference = samples.samples()
    assert sha256_of(prostate_pairs / "us" / "case17.nii.gz") == source.sha256
    assert sha256_of(prostate_pairs / "mr" / "case17.nii.gz") == reference.sha256


@pytest.mark.parametrize(
    "trouble", [OSError("no network"), InputError("a portal's own page"), RunFailed("no room")], ids=str
)
def test_without_a_network_the_demo_simulates_a_case(
    a_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], trouble: Exception
) -> None:
    def no_network(sample: samples.Sample) -> Path:
        raise trouble

    monkeypatch.setattr(samples, "fetch", no_network)
    package = make_package(tmp_path / "tiny")
    assert run_demo(monkeypatch, "-o", tmp_path / "out", "-m", package.path) == 0
    assert "simul" in capfd.readouterr().err
    made = list((tmp_path / "out").glob("*.nii.gz"))
    assert sorted("uncertainty" in file.name for file in made) == [False, True]
    source = read_volume(next((tmp_path / "out" / "simulated_case").glob("*-us.nrrd")))
    assert all(read_volume(file).same_grid(source) for file in made)
    with Image.open(tmp_path / "out" / "side_by_side.png") as sheet:
        assert min(sheet.size) > 300


def test_the_demo_takes_ones_own_volume(a_sample: samples.Sample, tmp_path: Path, monkeypatch) -> None:
    package = make_package(tmp_path / "tiny")
    own = tmp_path / "public.nrrd"
    for _ in range(2):
        assert run_demo(monkeypatch, "--input", own, "-o", tmp_path / "out", "-m", package.path) == 0
    assert read_volume(tmp_path / "out" / "public_synthetic-mr.nii.gz").synthetic
    assert run_demo(monkeypatch, "--input", tmp_path / "none.nrrd", "-o", tmp_path / "out", "-m", package.path) == 2
