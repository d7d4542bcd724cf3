"""The outline of a region in one slice as a single closed line, exact to the pixel, with holes and separate parts.

A 2-D region of a structured report (SCOORD, PS3.3 C.18.6) is one closed polyline and knows neither holes nor parts.
Rings along the pixels' edges are therefore joined by lines that are walked there and back: by the even-odd rule, and by
the winding rule, they enclose nothing. They run along pixel edges, so no pixel's centre lies on any of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Point = tuple[int, int]


@dataclass(frozen=True)
class Outline:
    """points: int (n, 2) of (column, row) in SCOORD's coordinates, where pixel (row 0, column 0) covers 0..1 in both;
    the last repeats the first. parts, holes: how many rings of each kind were joined.
    """

    points: np.ndarray
    parts: int
    holes: int


def outline(mask: np.ndarray) -> Outline:
    """The outline of a bool (rows, columns) mask that is not empty."""
    rings = _rings(np.pad(np.asarray(mask, bool), 1))
    areas = [_area(ring) for ring in rings]
    rings.sort(key=lambda ring: min((p[1], p[0]) for p in ring))
    path = _from_top(rings[0])
    for ring in rings[1:]:
        start = path[0]
        ring = _from_top(ring)
        # Along the row of pixel corners, then the column: never through a pixel.
        path += [*_walk(start, ring[0]), *ring[1:], *_walk(ring[0], start)]
    points = np.array(_straightened(path), dtype=np.int64) - 1
    parts = sum(area > 0 for area in areas)
    return Outline(points, parts, len(areas) - parts)


def _rings(mask: np.ndarray) -> list[list[Point]]:
    """Closed rings of corners (column, row) with the region to the right of the walk; the first corner is repeated."""
    following: dict[Point, list[Point]] = {}
    rows, columns = np.nonzero(mask)
    for r, c in zip(rows.tolist(), columns.tolist()):
        for outside, start, end in (
            (mask[r - 1, c], (c, r), (c + 1, r)), (mask[r, c + 1], (c + 1, r), (c + 1, r + 1)),
            (mask[r + 1, c], (c + 1, r + 1), (c, r + 1)), (mask[r, c - 1], (c, r + 1), (c, r)),
        ):  # fmt: skip
            if not outside:
                following.setdefault(start, []).append(end)
    rings = []
    while following:
        ring = [next(iter(following))]
        while len(ring) == 1 or ring[-1] != ring[0]:
            ends = following[ring[-1]]
            # Where two pixels touch by a corner, each keeps its own ring: turn right.
            end = ends[0] if len(ends) == 1 or len(ring) == 1 else max(ends, key=lambda e: _turn(ring[-2], ring[-1], e))
            ends.remove(end)
            if not ends:
                del following[ring[-1]]
            ring.append(end)
        rings.append(ring)
    return rings


def _turn(before: Point, here: Point, after: Point) -> int:
    """Positive for a turn to the right (rows run downwards)."""
    return (here[0] - before[0]) * (after[1] - here[1]) - (here[1] - before[1]) * (after[0] - here[0])


def _area(ring: list[Point]) -> int:
    """Twice the area, positive for the outer ring of a part, negative for a hole."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:]))


def _from_top(ring: list[Point]) -> list[Point]:
    """The same ring beginning at its topmost, then leftmost corner."""
    first = min(range(len(ring) - 1), key=lambda n: (ring[n][1], ring[n][0]))
    return [*ring[first:-1], *ring[: first + 1]]


def _walk(start: Point, end: Point) -> list[Point]:
    """From start to end by one corner; the way back by the same one."""
    corner = (end[0], start[1]) if (start[1], start[0]) <= (end[1], end[0]) else (start[0], end[1])
    return [corner, end]


def _straightened(path: list[Point]) -> list[Point]:
    """Without points in the middle of a straight stretch and repeated ones."""
    kept: list[Point] = []
    for point in path:
        if kept and point == kept[-1]:
            continue
        while len(kept) > 1 and _turn(kept[-2], kept[-1], point) == 0 and _onward(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return kept


def _onward(before: Point, here: Point, after: Point) -> bool:
    return (here[0] - before[0]) * (after[0] - here[0]) + (here[1] - before[1]) * (after[1] - here[1]) > 0
