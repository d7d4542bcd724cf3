"""Copies of an image are told from other patients' images, whatever was done to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from imagetranslation.volume import read_volume
from training_tools import leaks, likeness

SHAPE, SPACING = (40, 56, 52), (0.6, 0.4, 0.4)


def a_fan(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """An ultrasound as a probe makes it: black around a fan, the anatomy that all share, tissue of one's own; uint8."""
    random = np.random.default_rng(seed)
    points = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    shared = 60 * np.exp(-2 * (points**2).sum(axis=0)) + 25 * (np.abs(points[1] - 0.2) < 0.15)
    wide = [1.5 if n > 1 else 0 for n in shape]
    own = ndimage.gaussian_filter(random.standard_normal(shape), wide)
    found = np.clip(80 + shared + 25 * own / own.std() + random.normal(0, 5, shape), 12, 255)
    inside = (np.abs(points[2]) < 0.25 + 0.3 * (points[1] + 1)) & (points[1] < 0.8) & (points[1] > -0.85)
    return np.where(inside, found, 0).astype(np.uint8)


def changed(array: np.ndarray, change: str) -> tuple[np.ndarray, tuple[float, ...]]:
    """A copy and its spacing."""
    random = np.random.default_rng(7)
    copy, spacing = array.astype(np.float32), SPACING
    across = 0 if array.shape[0] == 1 else 3
    if change == "first voxel":
        copy[0, 0, 0] += 1
    elif change == "grey values":
        copy += random.integers(-1, 2, copy.shape)
    elif change == "noise":
        copy = np.clip(copy + random.normal(0, 5, copy.shape), 0, 255)
    elif change == "cropped":
        copy = copy[across : len(copy) - across, 3:-3, 3:-3]
    elif change == "shifted":
        copy = np.roll(copy, (0, 3, 3), (0, 1, 2))
    elif change == "between voxels":
        copy = ndimage.shift(copy, (0.5 if across else 0, 1.5, -2.4), order=1)
    elif change == "resampled":
        copy = ndimage.zoom(copy, (1 if not across else 0.8, 0.8, 0.8), order=1, grid_mode=True, mode="nearest")
        spacing = tuple(s * n / m for s, n, m in zip(SPACING, array.shape, copy.shape))
    elif change == "padded":
        copy = np.pad(copy, ((across, 2 * across), (9, 2), (0, 7)))
    elif change == "no spacing":
        spacing = (1.0, 1.0, 1.0)
    return copy, spacing


CHANGES = (
    "first voxel", "grey values", "noise", "cropped", "shifted", "between voxels", "resampled", "padded", "no spacing",
)  # fmt: skip


def between(first: tuple[np.ndarray, tuple[float, ...]], second: tuple[np.ndarray, tuple[float, ...]]) -> float:
    cell = likeness.cell_size([first[0].shape], [first[1]])
    found = likeness.closest([likeness.signature(*one, cell) for one in (first, second)], ["a", "b"])
    assert found is not None
    return found[2]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_of_an_ultrasound_is_told_from_other_patients(change: str) -> None:
    own = a_fan(0)
    assert between((own, SPACING), changed(own, change)) > leaks.NEAR_DUPLICATE
    assert between((own, SPACING), changed(a_fan(1), change)) < leaks.NEAR_DUPLICATE


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_of_a_single_slice_is_told_from_other_patients(change: str) -> None:
    own = a_fan(0, (1, 240, 256))
    assert between((own, SPACING), changed(own, change)) > leaks.NEAR_DUPLICATE_PLANAR
    assert between((own, SPACING), changed(a_fan(1, own.shape), change)) < leaks.NEAR_DUPLICATE_PLANAR


def test_a_public_ultrasound_is_known_again_and_others_are_not_taken_for_it(data_dir: Path) -> None:
    paths = sorted((data_dir / "prostate_mr_trus" / "us").iterdir())[:4]
    images = [(v.array, v.spacing[::-1]) for v in map(read_volume, paths)]
    own, spacing = images[0]
    cell = likeness.cell_size([array.shape for array, _ in images], [about for _, about in images])
    cropped, shifted = own[3:-3, 3:-3, 3:-3], np.roll(own, (0, 3, 3), (0, 1, 2))
    told = [likeness.signature(array, about, cell) for array, about in images]
    assert likeness.closest(told, list("abcd"))[2] < leaks.NEAR_DUPLICATE  # type: ignore[index]
    for copy in (cropped, shifted, own + np.uint8(1)):
        found = likeness.closest([*told, likeness.signature(copy, spacing, cell)], list("abcde"))
        assert found is not None
        assert found[:2] == (0, 4)
        assert found[2] > leaks.NEAR_DUPLICATE


def test_a_copy_is_found_among_more_cases_than_are_compared_at_all_shifts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "PARTNERS", 3)
    images = [a_fan(n, (20, 28, 26)) for n in range(12)]
    images.append(np.roll(images[5], (1, 2, -2), (0, 1, 2))[2:-1, 1:-2, 1:])
    cell = likeness.cell_size([images[0].shape], [SPACING])
    told = [likeness.signature(array, SPACING, cell) for array in images]
    pairs = sum(len(columns) for _, columns in likeness._partners(told, ~np.eye(len(told), dtype=bool)))
    assert pairs < len(told) * (len(told) - 1) / 2
    found = likeness.closest(told, [str(n) for n in range(len(told))])
    assert found is not None
    assert found[:2] == (5, len(images) - 1)
    sides = [str(n % 7) for n in range(len(told))]
    sides[-1] = sides[5]
    assert likeness.closest(told, sides)[2] < found[2]  # type: ignore[index]
    assert likeness.closest(told, ["one"] * len(told)) is None


def test_images_of_one_value_are_like_nothing() -> None:
    flat = np.full(SHAPE, 7, np.int16)
    assert between((flat, SPACING), (flat + 1, SPACING)) <= 0
    assert between((flat, SPACING), (a_fan(0), SPACING)) <= 0
    broken = a_fan(0).astype(np.float32)
    broken[3, 30:34, 20:24] = np.nan
    assert between((a_fan(0), SPACING), (broken, SPACING)) > leaks.NEAR_DUPLICATE
