"""Reading NRRD, NIfTI and MetaImage: what is in a file arrives, and false, hostile or cut files are refused."""

from __future__ import annotations

import gzip
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, read_volume, write_volume

SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")
META = "ObjectType = Image\nNDims = 3\nDimSize = {size}\nElementType = MET_SHORT\nElementSpacing = 1 1 1\n{more}"


@pytest.fixture
def ramp() -> Volume:
    """60 different values."""
    return Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), (0.5, 2.0, 7.0), (10.0, -20.0, 30.0), name="ramp")


def nifti(
    array: np.ndarray, qform: tuple[int, tuple[float, ...]], sform: tuple[int, tuple[float, ...]], datatype: int = 4
) -> bytes:
    """A NIfTI-1 file made byte by byte: (code, quaternion and offset), (code, twelve numbers)."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, datatype, 8 * array.itemsize)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    header[123] = 2
    struct.pack_into("<2h", header, 252, qform[0], sform[0])
    struct.pack_into("<6f", header, 256, *qform[1])
    struct.pack_into("<12f", header, 280, *sform[1])
    header[344:348] = b"n+1\0"
    return bytes(header) + array.tobytes()


STRAIGHT = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
NO_TURN = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("missing", ["nothing.nrrd", "nothing.nii.gz", "nothing.dcm", "folder/nothing", "nothing.mhd"])
def test_a_path_that_does_not_exist_is_refused(missing, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_volume(tmp_path / missing)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_text_file_under_an_image_name_is_refused(suffix, tmp_path, capfd):
    path = tmp_path / f"letter{suffix}"
    path.write_text("Dear colleague,\n\nthank you for referring this patient.\n" * 20)
    with pytest.raises(InputError, match=f"letter{suffix} is"):
        read_volume(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".dcm", ""])
def test_an_empty_file_is_refused(suffix, tmp_path):
    (tmp_path / f"empty{suffix}").touch()
    with pytest.raises(InputError, match="is empty"):
        read_volume(tmp_path / f"empty{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kept", [0.3, 0.97])
def test_voxels_cut_short_are_refused(suffix, kept, ramp, tmp_path):
    write_volume(ramp, tmp_path / f"ramp{suffix}")
    for file in tmp_path.iterdir():
        if file.suffix not in (".nhdr", ".mhd"):
            file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    with pytest.raises(InputError, match=r"truncated|damaged|not a"):
        read_volume(tmp_path / f"ramp{suffix}")


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_header_without_its_voxel_file_is_refused(suffix, ramp, tmp_path):
    write_volume(ramp, tmp_path / f"ramp{suffix}")
    (tmp_path / f"ramp{suffix}").rename(tmp_path / f"alone{suffix}")
    for voxels in tmp_path.glob("ramp*"):
        voxels.unlink()
    with pytest.raises(InputError, match="beside it, and that is not there"):
        read_volume(tmp_path / f"alone{suffix}")


@pytest.mark.parametrize("escape", ["../secret.raw", "/etc/passwd", "sub/../../secret.raw", "..\\x.raw", "C:\\x.raw"])
@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_a_header_pointing_out_of_its_folder_is_refused(suffix, escape, tmp_path):
    (tmp_path / "secret.raw").write_bytes(bytes(16))
    inner = tmp_path / "inner"
    (inner / "sub").mkdir(parents=True)
    if suffix == ".mhd":
        text = META.format(size="2 2 2", more=f"ElementDataFile = {escape}\n")
    else:
        text = (
            f"NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nendian: little\nencoding: raw\ndata file: {escape}\n"
        )
    (inner / f"x{suffix}").write_text(text)
    with pytest.raises(InputError, match="outside its own folder"):
        read_volume(inner / f"x{suffix}")


@pytest.mark.parametrize("name", ["LIST", "slice%03d.raw 1 2 1"])
def test_a_metaimage_spread_over_files_is_refused(name, tmp_path):
    (tmp_path / "x.mhd").write_text(META.format(size="2 2 2", more=f"ElementDataFile = {name}\n"))
    with pytest.raises(InputError, match="several files"):
        read_volume(tmp_path / "x.mhd")


@pytest.mark.parametrize(
    "size", ["100000 100000 100000", "0 2 2", "-2 2 2", "2 2", "a b c", "99999999999999999999 1 1"]
)
def test_a_metaimage_with_a_false_size_is_refused_before_memory_is_taken(size, tmp_path):
    (tmp_path / "x.mha").write_bytes(META.format(size=size, more="ElementDataFile = LOCAL\n").encode() + bytes(16))
    with pytest.raises(InputError, match=r"header is false|damaged"):
        read_volume(tmp_path / "x.mha")


def test_a_small_compressed_file_that_claims_terabytes_is_refused(tmp_path):
    more = "CompressedData = True\nElementDataFile = LOCAL\n"
    content = META.format(size="100000 100000 1000", more=more).encode() + zlib.compress(bytes(1 << 20))
    (tmp_path / "bomb.mha").write_bytes(content)
    with pytest.raises(InputError, match=r"20\.0 TB of voxels are declared"):
        read_volume(tmp_path / "bomb.mha")


def test_a_size_stated_twice_means_the_same_to_the_check_and_to_the_reader(tmp_path):
    more = "DimSize = 2 2 2\nElementDataFile = LOCAL\n"
    (tmp_path / "x.mha").write_bytes(META.format(size="200 200 200", more=more).encode() + bytes(range(16)))
    assert read_volume(tmp_path / "x.mha").array.shape == (2, 2, 2)


def test_an_image_larger_than_the_free_memory_is_refused(ramp, tmp_path, monkeypatch):
    psutil = pytest.importorskip("psutil")
    write_volume(ramp, tmp_path / "ramp.nrrd")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 200})())
    with pytest.raises(InputError, match="only 200 bytes of memory is free"):
        read_volume(tmp_path / "ramp.nrrd")


def test_a_raw_file_longer_than_declared_is_refused(ramp, tmp_path):
    write_volume(ramp, tmp_path / "ramp.mha")
    (tmp_path / "x.mha").write_bytes(META.format(size="2 2 2", more="ElementDataFile = LOCAL\n").encode() + bytes(20))
    with pytest.raises(InputError, match="more voxel data"):
        read_volume(tmp_path / "x.mha")


def test_a_compressed_nifti_is_not_read_from_the_uncompressed_file_beside_it(ramp, tmp_path):
    write_volume(ramp, tmp_path / "x.nii.gz")
    write_volume(ramp.with_array(ramp.array + 100), tmp_path / "x.nii")
    assert read_volume(tmp_path / "x.nii.gz").array[0, 0, 0] == 0
    assert read_volume(tmp_path / "x.nii").array[0, 0, 0] == 100


def test_a_compressed_nifti_under_a_plain_name_is_refused(ramp, tmp_path):
    write_volume(ramp, tmp_path / "x.nii.gz")
    (tmp_path / "x.nii.gz").rename(tmp_path / "x.nii")
    with pytest.raises(InputError, match=r"gzip-compressed, unlike its name"):
        read_volume(tmp_path / "x.nii")


def test_nifti_transforms_that_disagree_are_told(tmp_path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    moved = (1.0, 0.0, 0.0, 12.5, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    (tmp_path / "x.nii").write_bytes(nifti(array, (1, NO_TURN), (1, moved)))
    volume = read_volume(tmp_path / "x.nii")
    assert any("disagree by up to 12.5 mm" in note for note in volume.notes)
    used = "sform" if volume.origin[0] == -12.5 else "qform"
    assert any(f"the {used} was used" in note for note in volume.notes)


def test_nifti_transforms_that_agree_bring_no_note(tmp_path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    (tmp_path / "x.nii").write_bytes(nifti(array, (1, NO_TURN), (1, STRAIGHT)))
    assert read_volume(tmp_path / "x.nii").notes == ()


def test_a_nifti_without_transforms_says_its_orientation_is_a_guess(tmp_path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    (tmp_path / "x.nii").write_bytes(nifti(array, (0, NO_TURN), (0, STRAIGHT)))
    assert any("orientation is a guess" in note for note in read_volume(tmp_path / "x.nii").notes)


def test_a_sheared_nifti_is_refused(tmp_path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    sheared = (1.0, 0.3, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    (tmp_path / "x.nii").write_bytes(nifti(array, (0, NO_TURN), (1, sheared)))
    with pytest.raises(InputError, match=r"perpendicular|orthonormal"):
        read_volume(tmp_path / "x.nii")


def test_a_sheared_nrrd_is_refused(ramp, tmp_path):
    text = "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
    text += "space directions: (1,0,0) (0.3,1,0) (0,0,1)\nendian: little\nencoding: raw\nspace origin: (0,0,0)\n\n"
    (tmp_path / "x.nrrd").write_bytes(text.encode() + bytes(16))
    with pytest.raises(InputError, match="not perpendicular"):
        read_volume(tmp_path / "x.nrrd")


@pytest.mark.parametrize("datatype", [32, 1792])
def test_complex_numbers_are_refused(datatype, tmp_path):
    array = np.zeros((2, 2, 2), np.complex64 if datatype == 32 else np.complex128)
    (tmp_path / "x.nii").write_bytes(nifti(array, (1, NO_TURN), (0, STRAIGHT), datatype))
    with pytest.raises(InputError, match="complex numbers"):
        read_volume(tmp_path / "x.nii")


def test_a_nifti_2_file_is_refused_by_name(tmp_path):
    header = bytearray(600)
    struct.pack_into("<i", header, 0, 540)
    header[4:12] = b"n+2\0\r\n\x1a\n"
    (tmp_path / "x.nii").write_bytes(header)
    with pytest.raises(InputError, match="NIfTI-2"):
        read_volume(tmp_path / "x.nii")


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii.gz"])
def test_colour_is_turned_to_grey_with_a_note(suffix, channels, tmp_path):
    colours = np.zeros((2, 3, 4, channels), np.uint8)
    colours[0, 0, 0, :3] = (255, 0, 0)
    colours[0, 0, 1, :3] = (0, 255, 0)
    colours[0, 0, 2, :3] = (0, 0, 255)
    sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), str(tmp_path / f"x{suffix}"))
    volume = read_volume(tmp_path / f"x{suffix}")
    assert volume.array.shape == (2, 3, 4)
    np.testing.assert_array_equal(volume.array[0, 0], [76, 150, 29, 0])  # BT.601: 0.299, 0.587, 0.114 of 255
    assert any("turned to grey" in note for note in volume.notes)
    assert read_volume(tmp_path / f"x{suffix}", component=1).array[0, 0, 1] == 255


def test_a_vector_field_needs_a_component(tmp_path):
    field = np.random.default_rng(0).normal(size=(2, 3, 4, 3)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(field, isVector=True), str(tmp_path / "x.nrrd"))
    with pytest.raises(InputError, match=r"3 numbers per voxel.*component=0 to component=2"):
        read_volume(tmp_path / "x.nrrd")
    np.testing.assert_array_equal(read_volume(tmp_path / "x.nrrd", component="2").array, field[..., 2])


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii"])
def test_four_dimensions_need_a_component(suffix, tmp_path):
    series = np.random.default_rng(0).integers(0, 99, (3, 2, 4, 5)).astype(np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(series, isVector=False), str(tmp_path / f"x{suffix}"))
    with pytest.raises(InputError, match=r"3 volumes .*component=0 to component=2"):
        read_volume(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(read_volume(tmp_path / f"x{suffix}", component=1).array, series[1])


@pytest.mark.parametrize("component", [1, "anterior", -1])
def test_a_component_of_an_ordinary_volume_is_refused_unless_it_is_the_first(component, ramp, tmp_path):
    write_volume(ramp, tmp_path / "ramp.nrrd")
    with pytest.raises(InputError, match="leave component out"):
        read_volume(tmp_path / "ramp.nrrd", component=component)
    assert read_volume(tmp_path / "ramp.nrrd", component=0).array.shape == (3, 4, 5)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii.gz"])
def test_a_two_dimensional_image_is_one_slice_with_a_note(suffix, tmp_path):
    picture = sitk.GetImageFromArray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    picture.SetSpacing((0.5, 0.25))
    picture.SetOrigin((5.0, 6.0))
    sitk.WriteImage(picture, str(tmp_path / f"x{suffix}"))
    volume = read_volume(tmp_path / f"x{suffix}")
    assert volume.array.shape == (1, 3, 4)
    assert volume.spacing == pytest.approx((0.5, 0.25, 1.0))
    assert volume.origin == pytest.approx((5.0, 6.0, 0.0))
    assert any("one slice" in note for note in volume.notes)


def test_geometry_in_other_units_than_millimetres_is_refused(tmp_path):
    text = "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\nencoding: raw\n"
    text += 'space directions: (1,0,0) (0,1,0) (0,0,1)\nspace units: "cm" "cm" "cm"\nspace origin: (0,0,0)\n\n'
    (tmp_path / "x.nrrd").write_bytes(text.encode() + bytes(8))
    with pytest.raises(InputError, match="in 'cm'; expected mm"):
        read_volume(tmp_path / "x.nrrd")


def test_a_file_without_spacing_says_that_it_is_assumed(tmp_path):
    text = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n\n"
    (tmp_path / "x.nrrd").write_bytes(text.encode() + bytes(range(8)))
    volume = read_volume(tmp_path / "x.nrrd")
    assert volume.spacing == (1.0, 1.0, 1.0)
    assert any("1 mm is assumed" in note for note in volume.notes)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_volume_is_named_by_its_file_and_never_by_its_folder(suffix, ramp, tmp_path):
    volume = read_volume(write_volume(ramp, tmp_path / f"case.07{suffix}"))
    assert volume.name == "case.07"
    assert volume.attributes["path"] == str(tmp_path / f"case.07{suffix}")
    assert volume.provenance is None


def test_a_series_cannot_be_chosen_in_a_file_that_has_none(ramp, tmp_path):
    with pytest.raises(InputError, match="is not DICOM"):
        read_volume(write_volume(ramp, tmp_path / "ramp.nrrd"), series="1")


def test_a_frame_spacing_for_a_file_with_geometry_is_noted_and_not_used(ramp, tmp_path):
    volume = read_volume(write_volume(ramp, tmp_path / "ramp.nrrd"), frames_as_slices=3.0)
    assert volume.spacing == ramp.spacing
    assert any("was not used" in note for note in volume.notes)


def test_a_modality_the_header_states_is_read_and_none_is_guessed(ramp, tmp_path):
    assert read_volume(write_volume(ramp, tmp_path / "ramp.mha")).modality == ""
    header = META.format(size="2 2 2", more="Modality = MET_MOD_MR\nElementDataFile = LOCAL\n")
    (tmp_path / "stated.mha").write_bytes(header.encode() + bytes(range(16)))
    assert read_volume(tmp_path / "stated.mha").modality == "MR"


def test_a_pipe_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.nrrd")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        read_volume(tmp_path / "pipe.nrrd")


def test_a_file_that_may_not_be_read_is_refused_with_the_reason(ramp, tmp_path, monkeypatch):
    path = write_volume(ramp, tmp_path / "ramp.nrrd")

    def refuse(*arguments, **keywords):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("imagetranslation.reading.read_file", refuse)
    with pytest.raises(InputError, match=r"ramp\.nrrd cannot be read: Permission denied"):
        read_volume(path)


def test_reading_leaves_nothing_in_the_temporary_folder(ramp, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    read_volume(write_volume(ramp, tmp_path / "ramp.nii.gz"))
    assert list(scratch.iterdir()) == []


def test_an_image_may_lie_under_a_name_with_spaces_and_letters_beyond_ascii(ramp, tmp_path):
    folder = tmp_path / "Prüfung Ω 1"
    folder.mkdir()
    for suffix in SUFFIXES:
        path = write_volume(ramp, folder / f"größe {suffix[1:2]}{suffix}")
        np.testing.assert_array_equal(read_volume(path).array, ramp.array)


def test_gzip_damage_behind_the_voxels_is_noticed(ramp, tmp_path):
    path = write_volume(ramp, tmp_path / "ramp.nii.gz")
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF  # the checksum at the end of the stream
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="cannot be unpacked"):
        read_volume(path)


def test_a_nifti_that_ends_in_padding_is_read(ramp, tmp_path):
    path = write_volume(ramp, tmp_path / "ramp.nii.gz")
    padded = tmp_path / "padded.nii.gz"
    with gzip.open(padded, "wb") as stream:
        stream.write(gzip.decompress(path.read_bytes()) + bytes(1000))
    np.testing.assert_array_equal(read_volume(padded).array, ramp.array)


def test_a_detached_header_of_a_bzip2_file_is_read(data_dir, tmp_path):
    shutil.copy(data_dir / "odd_nrrd/BallBinary30x30x30_bz2.nrrd", tmp_path / "both.nrrd")
    header, _, voxels = Path(tmp_path / "both.nrrd").read_bytes().partition(b"\n\n")
    (tmp_path / "ball.raw.bz2").write_bytes(voxels)
    (tmp_path / "ball.nhdr").write_bytes(header + b"\ndata file: ball.raw.bz2\n")
    np.testing.assert_array_equal(
        read_volume(tmp_path / "ball.nhdr").array, read_volume(data_dir / "odd_nrrd/BallBinary30x30x30.nrrd").array
    )


@pytest.mark.parametrize("extra", [1, 2, 4])
def test_a_decimal_nifti_with_trailing_axes_of_one_is_a_volume(extra, tmp_path):
    array = np.arange(24, dtype="<f4").reshape(2, 3, 4)
    path = nifti_of_rank(tmp_path / "float.nii", array, 3 + extra)
    assert np.array_equal(read_volume(path).array, array)


def nifti_of_rank(path: Path, array: np.ndarray, rank: int) -> Path:
    """A float32 NIfTI-1 file that counts trailing axes of one, as FSL writes it."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, rank, *array.shape[::-1], 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 16, 32)
    struct.pack_into("<8f", header, 76, *(8 * [1.0]))
    struct.pack_into("<f", header, 108, 352.0)
    header[344:348] = b"n+1\0"
    path.write_bytes(bytes(header) + array.tobytes())
    return path


def test_a_component_in_foreign_digits_is_refused_and_not_a_crash(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 2, 4, 5), np.int16), isVector=False), tmp_path / "four.nrrd")
    with pytest.raises(InputError, match="choose one"):
        read_volume(tmp_path / "four.nrrd", component="²")
