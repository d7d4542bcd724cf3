"""What a compressed frame claims about itself: size, channels, bits, read from its own header before it is decoded.

A damaged JPEG 2000 header can claim a million rows, and a decoder believes it for minutes; one with samples of 211 bits
makes another end the process. JPEG and JPEG-LS: frame
header of ITU-T T.81 B.2.2 and T.87 C.2.2; JPEG 2000: SIZ marker of ITU-T T.800 A.5.1, inside a JP2 file's boxes (I.4)
or bare. Decoding is left to `pixels`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

# SOF0 to SOF15 without DHT, JPG and DAC, and the SOF55 of JPEG-LS.
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, 0xD9
_JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n"


class FrameHeader(NamedTuple):
    """Pixels, samples per pixel and bits per sample of a compressed frame."""

    rows: int
    columns: int
    samples: int
    bits: int


def frame_header(frame: bytes) -> FrameHeader | None:
    """What a JPEG, JPEG-LS or JPEG 2000 frame claims to be; None where it has no header that its standard allows.

    For JPEG 2000, size and bits are those of the largest component.
    """
    if frame.startswith(b"\xff\xd8"):
        return _jpeg_header(frame)
    codestream = _in_boxes(frame) if frame.startswith(_JP2) else frame
    return _jpeg_2000_header(codestream) if codestream.startswith(b"\xff\x4f\xff\x51") else None


def _jpeg_header(frame: bytes) -> FrameHeader | None:
    place = 2
    while place + 4 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF:  # any number of these may stand before a marker
            place += 1
            continue
        if marker in _FRAME_HEADERS and place + 10 <= len(frame):
            bits, rows, columns, samples = struct.unpack(">BHHB", frame[place + 4 : place + 10])
            return FrameHeader(rows, columns, samples, bits) if bits > 1 else None
        if marker in (_SCAN, _END):
            return None
        place += 2 + struct.unpack(">H", frame[place + 2 : place + 4])[0]
    return None


def _jpeg_2000_header(codestream: bytes) -> FrameHeader | None:
    if len(codestream) < 42:
        return None
    grid = struct.unpack(">8I", codestream[8:40])
    samples = struct.unpack(">H", codestream[40:42])[0]
    parts = codestream[42 : 42 + 3 * samples]
    if not samples or len(parts) < 3 * samples or not _allowed(grid):
        return None
    depths, across, down = parts[::3], parts[1::3], parts[2::3]
    if not all(across) or not all(down):
        return None
    width, height, left, top = grid[:4]
    columns = max(-(-width // step) + -left // step for step in across)
    rows = max(-(-height // step) + -top // step for step in down)
    return FrameHeader(rows, columns, samples, max((depth & 0x7F) + 1 for depth in depths))


def _allowed(grid: tuple[int, ...]) -> bool:
    """Whether image and first tile overlap, as T.800 B.2 and B.3 ask for."""
    ends, starts, tiles, tile_starts = (grid[n : n + 2] for n in (0, 2, 4, 6))
    return all(
        start < end and tile > 0 and tile_start <= start < tile_start + tile
        for end, start, tile, tile_start in zip(ends, starts, tiles, tile_starts)
    )


def _in_boxes(frame: bytes) -> bytes:
    """The codestream in the boxes of a JP2 file, empty where there is none."""
    return next((content for kind, content in _boxes(frame) if kind == b"jp2c"), b"")


def _boxes(frame: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(frame):
        length, kind, head = *struct.unpack(">I4s", frame[place : place + 8]), 8
        if length == 1 and place + 16 <= len(frame):
            length, head = struct.unpack(">Q", frame[place + 8 : place + 16])[0], 16
        length = length or len(frame) - place  # 0: to the end of the file
        if length < head:
            return
        yield kind, frame[place + head : place + length]
        place += length
