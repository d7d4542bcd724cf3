"""The outline of an ultrasound fan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.fieldofview import field_of_view, ultrasound_fan
from imagetranslation.volume import Volume, read_volume


@pytest.fixture
def a_fan() -> tuple[np.ndarray, np.ndarray]:
    """Three slices of noise inside a sector with a concave inner arc, 0 outside; and the sector."""
    row, column = np.mgrid[0:60, 0:80]
    depth, angle = np.hypot(row + 10, column - 40), np.arctan2(column - 40, row + 10)
    sector = (depth > 15) & (depth < 65) & (np.abs(angle) < 0.7)
    echoes = np.random.default_rng(0).integers(20, 255, (3, 60, 80))
    return np.where(sector, echoes, 0).astype(np.uint8), np.broadcast_to(sector, (3, 60, 80))


def test_the_sector_is_found_exactly(a_fan: tuple[np.ndarray, np.ndarray]) -> None:
    image, sector = a_fan
    found = ultrasound_fan(image)
    assert np.count_nonzero(found ^ sector) <= 0.01 * sector.sum()


def test_a_black_cyst_inside_the_fan_stays_inside(a_fan: tuple[np.ndarray, np.ndarray]) -> None:
    image, _ = a_fan
    image = image.copy()
    image[1, 25:35, 35:45] = 0
    assert ultrasound_fan(image)[1, 25:35, 35:45].all()


def test_the_concave_face_of_the_probe_stays_outside(a_fan: tuple[np.ndarray, np.ndarray]) -> None:
    image, sector = a_fan
    row, column = 3, 40
    assert not sector[1, row, column]
    assert sector[1, :, column].any()
    assert not ultrasound_fan(image)[1, row, column]


def test_a_caption_beside_the_fan_is_not_fan(a_fan: tuple[np.ndarray, np.ndarray]) -> None:
    image, _ = a_fan
    image = image.copy()
    image[:, 2:5, 2:9] = 200
    assert not ultrasound_fan(image)[:, 2:5, 2:9].any()


def test_a_background_that_is_not_zero_is_recognised(a_fan: tuple[np.ndarray, np.ndarray]) -> None:
    image, sector = a_fan
    found = ultrasound_fan(np.where(sector, image, 7))
    assert np.count_nonzero(found ^ sector) <= 0.03 * sector.sum()


def test_an_image_without_a_constant_border_is_fan_everywhere() -> None:
    noise = np.random.default_rng(1).normal(size=(4, 20, 20))
    assert ultrasound_fan(noise).all()


def test_a_single_voxel_axis_is_no_obstacle(a_fan: tuple[np.ndarray, np.ndarray]) -> None:
    image, sector = a_fan
    found = ultrasound_fan(image[:1])
    assert found.shape == (1, 60, 80)
    assert np.count_nonzero(found ^ sector[:1]) <= 0.01 * sector[:1].sum()


def test_other_modalities_are_seen_whole_unless_a_fan_is_asked_for(a_fan: tuple[np.ndarray, np.ndarray]) -> None:
    image, _ = a_fan
    assert field_of_view(Volume(image, modality="MR")).all()
    assert not field_of_view(Volume(image, modality="US")).all()
    assert not field_of_view(Volume(image, modality=""), "ultrasound-fan").all()


def test_what_the_reader_knows_is_respected(a_fan: tuple[np.ndarray, np.ndarray]) -> None:
    image, _ = a_fan
    region = np.zeros(image.shape, bool)
    region[:, 20:30, 30:50] = True
    found = field_of_view(Volume(image, modality="US", field_of_view=region))
    assert found.any()
    assert not found[~region].any()


def test_a_black_image_has_no_field_of_view() -> None:
    with pytest.raises(InputError, match="empty field of view"):
        field_of_view(Volume(np.zeros((3, 8, 8)), name="black", modality="US"))


def test_every_real_fan_is_neither_nothing_nor_everything(prostate_pairs: Path) -> None:
    for path in sorted((prostate_pairs / "us").iterdir()):
        volume = read_volume(path)
        found = field_of_view(volume, "ultrasound-fan")
        assert 0.4 < found.mean() < 0.99, path.name
        assert volume.array[~found].mean() < 4, path.name
