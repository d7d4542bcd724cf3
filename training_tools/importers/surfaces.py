"""Closed surfaces (STL) and the voxels inside them; whose surface it is, and in which frame, is left to others."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, index_to_lps

_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = 84  # bytes: a free text of 80 and the number of facets
MOST_BYTES = 1 << 30
# Voxel centres on an edge between two triangles would be counted twice; this shift, in voxels, keeps them off it.
_NUDGE = (3.1e-5, 4.7e-5)
# Share of the columns through a surface that may meet it an odd number of times before it counts as open.
MOST_OPEN = 0.01
_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_VERTEX = re.compile(rb"vertex\s+(" + _NUMBER + rb")\s+(" + _NUMBER + rb")\s+(" + _NUMBER + rb")")


def is_surface(path: Path) -> bool:
    """Whether the file's name says STL."""
    return path.suffix.lower() == ".stl"


def read_surface(path: Path) -> np.ndarray:
    """float64 (triangles, 3 corners, 3): the triangles of a binary or text STL file, in the file's own coordinates.

    Raises InputError where the file is missing, damaged, too large, or holds no triangle.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} has more than {MOST_BYTES >> 30} GiB; no surface of an organ is that large.")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"The surface {path} cannot be read: {error.strerror}.") from error
    count = int.from_bytes(content[80:_HEADER], "little") if len(content) >= _HEADER else -1
    if count >= 0 and len(content) == _HEADER + count * _FACET.itemsize:
        triangles = np.frombuffer(content, _FACET, count, _HEADER)["corners"].astype(np.float64)
    elif content.lstrip()[:5].lower() == b"solid":
        numbers = np.array([[float(number) for number in match] for match in _VERTEX.findall(content)])
        if len(numbers) % 3 or b"endsolid" not in content:
            raise InputError(f"The surface {path} is damaged: it ends in the middle; copy it again.")
        triangles = numbers.reshape(-1, 3, 3)
    else:
        raise InputError(f"{path} is no STL surface, or a part of one; copy it again from its source.")
    if not len(triangles) or not np.isfinite(triangles).all():
        raise InputError(f"The surface {path} holds no triangles, or ones without a place.")
    return triangles


def inside(triangles: np.ndarray, like: Volume, name: str) -> np.ndarray:
    """uint8 (k, j, i), 1 at the voxels of `like` whose centre a closed surface encloses.

    triangles: (n, 3, 3) in patient LPS millimetres. Along every row of voxels the surface is crossed in and out; which
    way its triangles face does not matter. Raises InputError where the surface is open, lies outside the image for the
    most part, or encloses no voxel centre.
    """
    to_index = np.linalg.inv(index_to_lps(like))
    corners = triangles @ to_index[:3, :3].T + to_index[:3, 3]  # (n, 3, 3), ordered (i, j, k)
    size = np.array(like.array.shape[::-1])
    centres = corners.mean(axis=1)
    within = ((centres > -1) & (centres < size)).all(axis=1).mean()
    if within < 0.5:
        raise InputError(
            f"The surface {name} lies outside its image for the most part ({1 - within:.0%} of its triangles): it "
            "belongs to another series, or is in another frame of reference."
        )
    mask = _filled(corners, like.array.shape, name)
    if not mask.any():
        raise InputError(f"The surface {name} is smaller than a voxel of its image.")
    return mask


def _filled(corners: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    places, depths = _crossings(corners, shape)
    order = np.lexsort((depths, places))
    places, depths = places[order], depths[order]
    columns, first, counts = np.unique(places, return_index=True, return_counts=True)
    odd = counts % 2 == 1
    if odd.sum() > MOST_OPEN * max(len(columns), 1):
        raise InputError(f"The surface {name} is not closed, so that no voxel is inside it for certain.")
    mask = np.zeros((shape[0] * shape[1], shape[2]), np.uint8)
    for column, start, count in zip(columns, first, counts - odd):
        for enter, leave in depths[start : start + count].reshape(-1, 2):
            mask[column, max(int(np.ceil(enter)), 0) : max(int(np.floor(leave)) + 1, 0)] = 1
    return mask.reshape(shape)


def _crossings(corners: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Where the triangles cross the rows of voxels: number of the row (k * columns + j), and i; one entry each."""
    across = corners[:, :, 1:] + _NUDGE  # (j, k) of the corners
    low = np.maximum(np.ceil(across.min(axis=1)), 0).astype(int)
    high = np.minimum(np.floor(across.max(axis=1)), (shape[1] - 1, shape[0] - 1)).astype(int)
    places, depths = [], []
    for triangle in np.flatnonzero((low <= high).all(axis=1)):
        (j0, k0), (j1, k1) = low[triangle], high[triangle]
        j, k = (axis.ravel() for axis in np.meshgrid(np.arange(j0, j1 + 1), np.arange(k0, k1 + 1)))
        a, b, c = across[triangle]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0:
            continue
        v = ((j - a[0]) * (c[1] - a[1]) - (k - a[1]) * (c[0] - a[0])) / area
        w = ((b[0] - a[0]) * (k - a[1]) - (b[1] - a[1]) * (j - a[0])) / area
        hit = (v >= 0) & (w >= 0) & (v + w <= 1)
        i = corners[triangle, :, 0]
        places.append((k * shape[1] + j)[hit])
        depths.append((i[0] + v * (i[1] - i[0]) + w * (i[2] - i[0]))[hit])
    if not places:
        return np.zeros(0, int), np.zeros(0)
    return np.concatenate(places), np.concatenate(depths)


def enclosed(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """bool (n,): whether points (n, 3) lie inside a closed surface (m, 3, 3), both in the same coordinates.

    The solid angle that the surface fills as seen from a point (Van Oosterom and Strackee, IEEE Trans Biomed Eng 1983)
    is 4 pi inside and 0 outside.
    """
    angle = np.zeros(len(points))
    for n, point in enumerate(points):
        a, b, c = np.moveaxis(triangles - point, 1, 0)
        la, lb, lc = (np.linalg.norm(edge, axis=1) for edge in (a, b, c))
        across = (a * np.cross(b, c)).sum(axis=1)
        along = la * lb * lc + (a * b).sum(axis=1) * lc + (b * c).sum(axis=1) * la + (c * a).sum(axis=1) * lb
        angle[n] = 2 * np.arctan2(across, along).sum()
    return np.abs(angle) > 2 * np.pi
