"""Voxels taken straight from a file are those that ITK reads; a mapped file is noticed when it changes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from imagetranslation import rawvoxels
from imagetranslation.errors import InputError, RunFailed
from imagetranslation.headers import inspect
from imagetranslation.inference import translate
from imagetranslation.rawvoxels import raw_voxels
from imagetranslation.volume import Volume, read_volume, write_volume
from Testing.packages import an_ultrasound, make_package

KINDS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
NAMES = {"u1": "uchar", "i1": "int8", "u2": "ushort", "i2": "short", "u4": "uint", "i4": "int", "u8": "uint64",
         "i8": "longlong", "f4": "float", "f8": "double"}  # fmt: skip
META = {"u1": "UCHAR", "i1": "CHAR", "u2": "USHORT", "i2": "SHORT", "u4": "UINT", "i4": "INT", "u8": "ULONG_LONG",
        "i8": "LONG_LONG", "f4": "FLOAT", "f8": "DOUBLE"}  # fmt: skip


@pytest.fixture(autouse=True)
def map_small_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rawvoxels, "MAP_FROM", 1)


def an_image(kind: str) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 100, (4, 5, 6)).astype(kind)


def an_nrrd(path: Path, kind: str, order: str, skip: int, behind: str = "") -> np.ndarray:
    array = an_image(kind)
    endian = f"endian: {'little' if order == '<' else 'big'}\n"
    text = f"NRRD0004\ntype: {NAMES[kind]}\ndimension: 3\nsizes: 6 5 4\nencoding: raw\n{endian}{behind}"
    padding = b"" if skip == 0 else b"\1" * 7
    text += f"byte skip: {skip}\n" if skip else ""
    path.write_bytes(text.encode() + b"\n" + padding + array.astype(order + kind).tobytes())
    return array


def a_metaimage(path: Path, kind: str, order: str, skip: int) -> np.ndarray:
    array = an_image(kind)
    text = f"NDims = 3\nDimSize = 6 5 4\nElementType = MET_{META[kind]}\nElementByteOrderMSB = {order == '>'}\n"
    text += f"HeaderSize = {skip}\n" if skip else ""
    padding = b"" if skip == 0 else b"\1" * 7
    path.with_suffix(".raw").write_bytes(padding + array.astype(order + kind).tobytes())
    path.write_text(text + f"ElementDataFile = {path.with_suffix('.raw').name}\n")
    return array


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("skip", [0, 7, -1])
@pytest.mark.parametrize("make", [an_nrrd, a_metaimage])
def test_they_are_the_voxels_that_itk_reads(tmp_path: Path, make, kind: str, order: str, skip: int) -> None:
    path = tmp_path / ("x.nrrd" if make is an_nrrd else "x.mhd")
    wanted = make(path, kind, order, skip)
    found = raw_voxels(inspect(path), (6, 5, 4))
    assert found is not None
    assert found.mappable() == (np.dtype(order + kind).isnative)
    np.testing.assert_array_equal(found.map(), wanted)
    array = found.read()
    np.testing.assert_array_equal(array, wanted)
    assert array.dtype == np.dtype(kind)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), wanted)
    np.testing.assert_array_equal(read_volume(path, mapped=True).array, wanted)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha", ".mhd"])
def test_a_mapped_volume_equals_one_in_memory(tmp_path: Path, suffix: str) -> None:
    image = sitk.GetImageFromArray(an_image("f4"))
    image.SetSpacing((0.5, 0.6, 2.0))
    path = tmp_path / f"x{suffix}"
    sitk.WriteImage(image, str(path))
    mapped, held = read_volume(path, mapped=True), read_volume(path)
    assert rawvoxels.MAPPED in mapped.attributes
    assert rawvoxels.MAPPED not in held.attributes
    np.testing.assert_array_equal(mapped.array, held.array)
    assert not mapped.array.flags.writeable
    assert mapped.same_grid(held)


@pytest.mark.parametrize("name", ["scaled.nii", "packed.nii.gz", "packed.nrrd", "packed.mha", "flat.mha"])
def test_what_does_not_lie_in_the_file_as_it_is_is_read(tmp_path: Path, name: str) -> None:
    path, array = tmp_path / name, an_image("i2")
    sitk.WriteImage(sitk.GetImageFromArray(array[0] if "flat" in name else array), str(path), "packed" in name)
    if "scaled" in name:
        content = bytearray(path.read_bytes())
        content[112:120] = np.array([2, 5], "<f4").tobytes()
        path.write_bytes(content)
    volume = read_volume(path, mapped=True)
    assert rawvoxels.MAPPED not in volume.attributes
    wanted = array * 2.0 + 5 if "scaled" in name else array[:1] if "flat" in name else array
    np.testing.assert_array_equal(volume.array, wanted)


def test_an_nrrd_whose_axes_are_no_space_is_left_to_itk(tmp_path: Path) -> None:
    an_nrrd(tmp_path / "x.nrrd", "i2", "<", 0, "kinds: domain domain list\n")
    assert raw_voxels(inspect(tmp_path / "x.nrrd"), (6, 5, 4)) is None


def test_a_file_cut_short_after_it_was_checked_is_refused(tmp_path: Path) -> None:
    an_nrrd(tmp_path / "x.nrrd", "i2", "<", 0)
    found = raw_voxels(inspect(tmp_path / "x.nrrd"), (6, 5, 4))
    assert found is not None
    os.truncate(tmp_path / "x.nrrd", 120)
    for look in (found.read, found.map):
        with pytest.raises(InputError, match="cut short"):
            look()


def test_a_file_that_changes_under_a_translation_is_noticed(tmp_path: Path) -> None:
    package = make_package(tmp_path / "m")
    path = write_volume(an_ultrasound(), tmp_path / "scan.nii")
    scan = read_volume(path, mapped=True)
    again = translate(Volume(scan.array, modality="US", attributes=scan.attributes), package, device="cpu")
    assert rawvoxels.MAPPED not in again.attributes
    with open(path, "r+b") as stream:
        stream.seek(400)
        stream.write(b"\7")
    os.utime(path, ns=(1, 1))
    with pytest.raises(RunFailed, match=r"scan\.nii was changed while it was being used"):
        translate(Volume(scan.array, modality="US", attributes=scan.attributes), package, device="cpu")


def test_a_file_that_is_deleted_or_replaced_does_no_harm(tmp_path: Path) -> None:
    path = write_volume(an_ultrasound(), tmp_path / "scan.nii")
    scan = read_volume(path, mapped=True)
    wanted = an_ultrasound().array
    write_volume(an_ultrasound(seed=9), path)
    rawvoxels.require_unchanged(scan)
    np.testing.assert_array_equal(scan.array, wanted)
    path.unlink()
    rawvoxels.require_unchanged(scan)
    np.testing.assert_array_equal(scan.array, wanted)
