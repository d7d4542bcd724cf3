"""Compressed DICOM frames that lie about their size are refused before a decoder believes them."""

from __future__ import annotations

import io
import struct
import time

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from imagetranslation.dicomio.codestreams import frame_header
from imagetranslation.errors import InputError
from imagetranslation.volume import read_volume
from Testing.Core.dicom_objects import US, image, save

SIZ = b"\xff\x4f\xff\x51"
# Where the SIZ marker segment keeps these, counted from the start of the codestream.
WIDTH, HEIGHT, LEFT, TILE_WIDTH, SAMPLES = 8, 12, 16, 24, 40


def picture(rows: int = 24, columns: int = 40, samples: int = 1) -> np.ndarray:
    """Smooth grey or colour."""
    grey = np.add.outer(np.arange(rows), 3 * np.arange(columns)).astype(np.uint8)
    return grey if samples == 1 else np.repeat(grey[..., np.newaxis], samples, axis=2)


def packed(array: np.ndarray, form: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, form, **options)
    return stream.getvalue()


def stored(frame: bytes, path, samples: int = 1):
    """`frame` in an object that states 24 rows, 40 columns and so many samples."""
    colour = {"PhotometricInterpretation": "RGB"} if samples == 3 else {}
    dataset = image(picture(samples=samples), US, "US", **colour)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    return save(dataset, path, JPEGBaseline8Bit if frame.startswith(b"\xff\xd8") else JPEG2000Lossless)


def changed(frame: bytes, place: int, value: int, size: str = ">I") -> bytes:
    at = frame.index(SIZ) + place
    return frame[:at] + struct.pack(size, value) + frame[at + struct.calcsize(size) :]


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize(
    ("form", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG2000", {}), ("JPEG2000", {"no_jp2": True}),
     ("JPEG2000", {"tile_size": (16, 16), "offset": (3, 5), "tile_offset": (1, 2)})],
)  # fmt: skip
def test_the_shape_a_frame_claims_is_read_from_its_header(form, options, samples):
    assert frame_header(packed(picture(samples=samples), form, **options)) == (24, 40, samples, 8)


def test_the_size_of_a_jpeg_ls_frame_is_read():
    assert frame_header(b"\xff\xd8\xff\xff\xf7" + struct.pack(">HBHHB", 11, 12, 512, 300, 1) + bytes(3)) == (
        512,
        300,
        1,
        12,
    )


@pytest.mark.parametrize("place", [WIDTH, HEIGHT])
@pytest.mark.parametrize("boxed", [True, False])
def test_a_jpeg_2000_frame_that_claims_a_thousand_million_pixels_is_refused_at_once(place, boxed, tmp_path):
    frame = changed(packed(picture(), "JPEG2000", no_jp2=not boxed), place, 0x40000040)
    started = time.monotonic()
    with pytest.raises(InputError, match="where 40x24, 1 of 8, are stated"):
        read_volume(stored(frame, tmp_path / "x.dcm"))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("place", "value", "size"), [(LEFT, 41, ">I"), (TILE_WIDTH, 0, ">I"), (SAMPLES, 0, ">H"), (SAMPLES, 900, ">H"),
                                 (SAMPLES + 3, 0, ">B")]
)  # fmt: skip
def test_a_jpeg_2000_grid_that_cannot_be_is_refused(place, value, size, tmp_path):
    frame = changed(packed(picture(), "JPEG2000", no_jp2=True), place, value, size)
    with pytest.raises(InputError, match="no valid header"):
        read_volume(stored(frame, tmp_path / "x.dcm"))


@pytest.mark.parametrize("form", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize("other", [picture(24, 41), picture(25, 40), picture(samples=3)], ids=["wide", "high", "rgb"])
def test_a_frame_of_another_shape_than_the_object_states_is_refused(form, other, tmp_path):
    with pytest.raises(InputError, match="are stated"):
        read_volume(stored(packed(other, form), tmp_path / "x.dcm"))


@pytest.mark.parametrize(
    ("bits", "sentence"),
    [(0, "no valid header"), (1, "no valid header"), (9, "1 of 9 bits, where 40x24, 1 of 8"), (211, "1 of 211 bits")],
)
def test_a_jpeg_frame_of_impossible_samples_is_refused_and_does_not_end_the_process(bits, sentence, tmp_path):
    frame = bytearray(packed(picture(), "JPEG"))
    frame[frame.index(b"\xff\xc0") + 4] = bits
    with pytest.raises(InputError, match=sentence):
        read_volume(stored(bytes(frame), tmp_path / "x.dcm"))


def test_a_jpeg_2000_frame_of_impossible_samples_is_refused(tmp_path):
    frame = changed(packed(picture(), "JPEG2000"), SAMPLES + 2, 0x7F, ">B")
    with pytest.raises(InputError, match="1 of 128 bits"):
        read_volume(stored(frame, tmp_path / "x.dcm"))


@pytest.mark.parametrize("form", ["JPEG", "JPEG2000"])
def test_a_frame_of_the_stated_shape_is_read(form, tmp_path):
    assert read_volume(stored(packed(picture(), form), tmp_path / "x.dcm")).array.shape == (1, 24, 40)


@pytest.mark.parametrize(
    "start", [b"", b"\xff\xd8", b"\xff\xd8\xff\xff\xff", b"\xff\xd8\xff\xe0\x00\x00", SIZ, b"GIF89a"]
)
def test_what_is_no_frame_header_claims_nothing(start):
    assert frame_header(start) is None


@pytest.mark.parametrize("form", ["JPEG", "JPEG2000"])
def test_a_frame_header_cut_anywhere_raises_nothing(form):
    whole = packed(picture(), form)
    assert {frame_header(whole[:length]) for length in range(len(whole))} == {None, (24, 40, 1, 8)}
