"""Similarity metrics against hand-computed values and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from imagetranslation import similarity


@pytest.fixture
def two_volumes() -> tuple[np.ndarray, np.ndarray]:
    """A random volume and a disturbed copy, values about 0 to 100."""
    random = np.random.default_rng(4)
    first = random.uniform(0, 100, (14, 16, 18))
    return first, 0.8 * first + random.normal(0, 9, first.shape)


def test_errors_match_a_calculation_by_hand() -> None:
    a, b = np.array([[0.0, 10.0]]), np.array([[4.0, 7.0]])
    assert similarity.mae(a, b, data_range=10) == pytest.approx(3.5)
    assert similarity.mse(a, b, data_range=10) == pytest.approx(12.5)
    assert similarity.psnr(a, b, data_range=10) == pytest.approx(10 * math.log10(100 / 12.5))


def test_equal_images_score_perfectly(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    first, _ = two_volumes
    scores = similarity.compare(first, first.copy(), None, 100)
    assert scores["mae"] == 0
    assert scores["psnr"] == math.inf
    assert scores["ssim"] == pytest.approx(1)
    assert scores["ssim_uniform7"] == pytest.approx(1)


def test_the_gaussian_map_is_scikit_images(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    from skimage.metrics import structural_similarity

    _, expected = structural_similarity(
        *two_volumes, data_range=100, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    np.testing.assert_allclose(similarity.ssim_map(*two_volumes, data_range=100), expected, atol=1e-9)


def test_the_uniform_map_is_scikit_images(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    from skimage.metrics import structural_similarity

    _, expected = structural_similarity(*two_volumes, data_range=100, win_size=7, full=True)
    found = similarity.ssim_map(*two_volumes, data_range=100, window="uniform-7")
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_psnr_is_scikit_images(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    from skimage.metrics import peak_signal_noise_ratio

    expected = peak_signal_noise_ratio(*two_volumes, data_range=100)
    assert similarity.psnr(*two_volumes, data_range=100) == pytest.approx(expected)


def test_only_voxels_inside_the_mask_count(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = two_volumes
    mask = np.zeros(first.shape, bool)
    mask[4:9] = True
    ruined = np.where(mask, second, 1e6)
    assert similarity.mae(first, ruined, data_range=100, mask=mask) == similarity.mae(
        first[4:9], second[4:9], data_range=100
    )
    expected = similarity.ssim_map(first, second, data_range=100)[mask].mean()
    assert similarity.ssim(first, second, data_range=100, mask=mask) == pytest.approx(expected)


def test_a_single_slice_scores_as_its_two_dimensional_image(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = (volume[3] for volume in two_volumes)
    for window in ("gaussian", "uniform-7"):
        flat = similarity.ssim(first, second, data_range=100, window=window)
        assert similarity.ssim(first[None], second[None], data_range=100, window=window) == pytest.approx(flat)


def test_the_data_range_changes_ssim_and_has_no_default(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    assert similarity.ssim(*two_volumes, data_range=100) < similarity.ssim(*two_volumes, data_range=1000)
    with pytest.raises(TypeError):
        similarity.ssim(*two_volumes)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="positive"):
        similarity.psnr(*two_volumes, data_range=0)


def test_shapes_masks_and_windows_that_make_no_sense_are_errors(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = two_volumes
    with pytest.raises(ValueError, match="one shape"):
        similarity.mae(first, second[1:], data_range=1)
    with pytest.raises(ValueError, match="mask is empty"):
        similarity.mae(first, second, data_range=1, mask=np.zeros(first.shape, bool))
    with pytest.raises(ValueError, match="unknown SSIM window"):
        similarity.ssim(first, second, data_range=1, window="round")
