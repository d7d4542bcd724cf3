"""Writing is all or nothing, and a synthetic image says so in its header and beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.provenance import Provenance
from imagetranslation.volume import Volume, read_volume, write_volume

SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")
NOISE = np.random.default_rng(0).integers(-3000, 3000, (20, 40, 50)).astype(np.int16)

# Writes noise over `old` with files limited to so many bytes, and prints the sentence of the refusal.
LIMITED = """
import resource, sys
import numpy as np
from imagetranslation.errors import RunFailed
from imagetranslation.volume import Volume, write_volume
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_volume(Volume(np.random.default_rng(1).integers(0, 3000, (20, 40, 50)).astype(np.int16)), sys.argv[1])
except RunFailed as error:
    print(error)
"""


@pytest.fixture
def record() -> Provenance:
    """Where a synthetic MR image came from, in letters beyond ASCII too."""
    return Provenance(
        "us2mri-pix2pix-small", "1.0.0", "ab" * 32, "us2mri", "MR", "Prüfung 17.nrrd", "cd" * 32,
        "2026-01-02T03:04:05+00:00", "imagetranslation 0.1", ('He said "background \\ outside"', "second note"),
    )  # fmt: skip


@pytest.fixture
def real() -> Volume:
    """A scan."""
    return Volume(NOISE, (0.5, 0.6, 0.7), (1.0, 2.0, 3.0), name="scan")


@pytest.fixture
def synthetic(real, record) -> Volume:
    """An image made by a model."""
    return real.with_array(NOISE[::-1].copy(), provenance=record)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_writing_leaves_the_image_and_nothing_else(suffix, real, tmp_path):
    assert write_volume(real, str(tmp_path / f"x{suffix}")) == tmp_path / f"x{suffix}"
    expected = {".nhdr": {"x.nhdr", "x.raw.gz"}, ".mhd": {"x.mhd", "x.zraw"}}.get(suffix, {f"x{suffix}"})
    assert {f.name for f in tmp_path.iterdir()} == expected


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_provenance_survives_in_every_format(suffix, synthetic, record, tmp_path):
    back = read_volume(write_volume(synthetic, tmp_path / f"x{suffix}"))
    assert back.synthetic
    assert back.provenance == record
    assert back.modality == "MR"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_header_alone_says_synthetic_with_model_and_version(suffix, synthetic, record, tmp_path):
    write_volume(synthetic, tmp_path / f"x{suffix}")
    (tmp_path / "x.json").unlink()
    back = read_volume(tmp_path / f"x{suffix}")
    assert back.provenance is not None
    assert (back.provenance.model, back.provenance.version) == (record.model, record.version)
    if ".nii" not in suffix:
        assert back.provenance == record


def test_the_sidecar_is_json_headed_by_synthetic(synthetic, tmp_path):
    write_volume(synthetic, tmp_path / "x.nii.gz")
    mapping = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert mapping["synthetic"] is True
    assert mapping["weights_sha256"] == "ab" * 32
    assert mapping["file"] == "x.nii.gz"


def test_image_and_sidecar_renamed_together_keep_the_whole_record(synthetic, record, tmp_path):
    write_volume(synthetic, tmp_path / "x.nii.gz")
    (tmp_path / "x.nii.gz").rename(tmp_path / "y.nii.gz")
    (tmp_path / "x.json").rename(tmp_path / "y.json")
    assert read_volume(tmp_path / "y.nii.gz").provenance == record


def test_a_real_image_beside_a_synthetic_one_of_the_same_stem_stays_real(real, synthetic, tmp_path):
    write_volume(synthetic, tmp_path / "x.nii.gz")
    write_volume(real, tmp_path / "x.nrrd")
    assert not read_volume(tmp_path / "x.nrrd").synthetic
    assert read_volume(tmp_path / "x.nii.gz").synthetic


def test_a_real_image_written_over_a_synthetic_one_takes_its_mark_away(real, synthetic, tmp_path):
    write_volume(synthetic, tmp_path / "x.nii.gz")
    write_volume(real, tmp_path / "x.nii.gz")
    assert {f.name for f in tmp_path.iterdir()} == {"x.nii.gz"}
    assert not read_volume(tmp_path / "x.nii.gz").synthetic


def test_someone_elses_json_of_the_same_stem_is_left_alone(real, tmp_path):
    (tmp_path / "x.json").write_text('{"EchoTime": 0.03}')
    write_volume(real, tmp_path / "x.nii.gz")
    assert (tmp_path / "x.json").read_text() == '{"EchoTime": 0.03}'
    assert not read_volume(tmp_path / "x.nii.gz").synthetic


def test_a_synthetic_image_does_not_replace_someone_elses_json(synthetic, tmp_path):
    (tmp_path / "x.json").write_text('{"EchoTime": 0.03}')
    with pytest.raises(InputError, match=r"x\.json beside it belongs to something else"):
        write_volume(synthetic, tmp_path / "x.nii.gz")
    assert set(contents(tmp_path)) == {"x.json"}


@pytest.mark.parametrize(("name", "voxels"), [("x.mhd", "x.zraw"), ("x.nhdr", "x.raw.gz")])
def test_a_detached_header_does_not_take_another_images_voxel_file(name, voxels, synthetic, tmp_path):
    (tmp_path / voxels).write_bytes(b"of another image")
    with pytest.raises(InputError, match="belongs to another image"):
        write_volume(synthetic, tmp_path / name)
    assert contents(tmp_path) == {voxels: b"of another image"}
    (tmp_path / voxels).unlink()
    for _ in range(2):
        write_volume(synthetic, tmp_path / name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_sidecar_about_another_models_image_is_not_believed(suffix, synthetic, record, tmp_path):
    write_volume(synthetic, tmp_path / f"x{suffix}")
    other = replace(synthetic, provenance=replace(record, model="another-model"))
    write_volume(other, tmp_path / ("x.mha" if suffix != ".mha" else "x.nrrd"))
    back = read_volume(tmp_path / f"x{suffix}")
    assert back.provenance is not None
    assert back.provenance.model == record.model


@pytest.mark.parametrize("damage", ["{", "[]", "[" * 5000, '{"synthetic": "perhaps"}', "\x00\xff"])
def test_a_damaged_sidecar_does_not_stop_reading(damage, synthetic, tmp_path):
    write_volume(synthetic, tmp_path / "x.nrrd")
    (tmp_path / "x.json").write_text(damage)
    assert read_volume(tmp_path / "x.nrrd").synthetic


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_notes_too_long_for_a_header_are_whole_in_the_sidecar(suffix, synthetic, record, tmp_path):
    long = replace(record, notes=tuple(f"note {n}: " + "x" * 500 for n in range(100)))
    back = read_volume(write_volume(replace(synthetic, provenance=long), tmp_path / f"x{suffix}"))
    assert back.provenance == long


@pytest.mark.parametrize("limit", [200, 3000, 30000])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_the_old_image_whole_and_nothing_new(suffix, limit, synthetic, tmp_path, repository):
    write_volume(synthetic, tmp_path / f"x{suffix}")
    before = contents(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / f"x{suffix}"), str(limit)],
        cwd=repository, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "The disk is full" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert contents(tmp_path) == before


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small disk needs root")
@pytest.mark.parametrize("suffix", [".nii.gz", ".mhd"])
def test_a_disk_that_is_really_full_leaves_nothing_and_prints_nothing(suffix, real, tmp_path, capfd):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this machine does not allow mounting a small disk")
    try:
        with pytest.raises(RunFailed, match="The disk is full"):
            write_volume(real, small / f"x{suffix}")
        assert contents(small) == {}
        assert capfd.readouterr() == ("", "")
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_header_and_voxels_land_together_or_not_at_all(suffix, real, synthetic, tmp_path, monkeypatch):
    write_volume(real, tmp_path / f"x{suffix}")
    before = contents(tmp_path)
    genuine = os.replace

    def failing(source, target):
        if Path(target).name == f"x{suffix}":
            raise OSError(28, "No space left on device")
        genuine(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(RunFailed, match="The disk is full"):
        write_volume(synthetic, tmp_path / f"x{suffix}")
    monkeypatch.undo()
    assert contents(tmp_path) == before
    np.testing.assert_array_equal(read_volume(tmp_path / f"x{suffix}").array, NOISE)


def test_an_old_voxel_file_keeps_its_name_until_the_new_one_takes_it(real, synthetic, tmp_path, monkeypatch):
    write_volume(real, tmp_path / "x.mhd")
    seen = []
    genuine = os.replace

    def watching(source, target):
        seen.append((tmp_path / "x.zraw").exists())
        genuine(source, target)

    monkeypatch.setattr(os, "replace", watching)
    write_volume(synthetic, tmp_path / "x.mhd")
    assert seen
    assert all(seen)
    assert {f.name for f in tmp_path.iterdir()} == {"x.mhd", "x.zraw", "x.json"}


def test_voxels_that_read_back_differently_are_not_left_behind(real, tmp_path, monkeypatch):
    import imagetranslation.writing as writing

    genuine = writing.read_file
    monkeypatch.setattr(writing, "read_file", lambda path, **_: (v := genuine(path)).with_array(v.array + 1))
    with pytest.raises(RunFailed, match="read back differently"):
        write_volume(real, tmp_path / "x.nrrd")
    assert contents(tmp_path) == {}


def test_a_folder_that_is_not_there_is_refused(real, tmp_path):
    with pytest.raises(RunFailed, match="is not a folder"):
        write_volume(real, tmp_path / "nowhere" / "x.nrrd")


def test_a_folder_that_may_not_be_written_is_refused(real, tmp_path, monkeypatch):
    def refuse(*arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.mkdir", refuse)
    with pytest.raises(RunFailed, match="no permission"):
        write_volume(real, tmp_path / "x.nrrd")
    assert contents(tmp_path) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(real, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunFailed, match="no permission"):
        write_volume(real, tmp_path / "x.nrrd")


def test_a_target_that_is_a_folder_is_refused_and_kept(real, tmp_path):
    (tmp_path / "x.nrrd").mkdir()
    with pytest.raises(RunFailed, match=r"x\.nrrd cannot be written"):
        write_volume(real, tmp_path / "x.nrrd")
    assert [f.name for f in tmp_path.iterdir()] == ["x.nrrd"]


@pytest.mark.parametrize("name", ["x.png", "x.dcm", "x", "x.nii.bz2", "nrrd"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(name, real, tmp_path):
    with pytest.raises(InputError, match=r"must end in one of \.nii\.gz"):
        write_volume(real, tmp_path / name)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("array", [np.zeros((2, 2, 2), np.complex64), np.zeros((0, 2, 2)), np.zeros((1, 1, 1), "U3")])
def test_what_no_format_holds_is_refused(array, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_volume(Volume(array), tmp_path / "x.nrrd")
    assert contents(tmp_path) == {}
