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


def test_ssim_is_monais_where_only_whole_windows_count(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    import torch
    from monai.metrics import SSIMMetric

    first, second = (torch.from_numpy(image.astype(np.float32))[None, None] for image in two_volumes)
    expected = float(SSIMMetric(3, data_range=100.0)(first, second))
    assert similarity.ssim(*two_volumes, data_range=100, edges="valid") == pytest.approx(expected, abs=1e-5)


def test_ssim_is_torchmetrics_where_edges_are_reflected(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    first, second = (torch.from_numpy(image.astype(np.float32))[None, None] for image in two_volumes)
    expected = float(structural_similarity_index_measure(first, second, data_range=100.0))
    assert similarity.ssim(*two_volumes, data_range=100, edges="reflect") == pytest.approx(expected, abs=1e-5)


def test_the_map_is_the_same_however_it_falls_into_tiles(monkeypatch, two_volumes) -> None:
    from imagetranslation.similarity import moments

    whole = similarity.ssim_map(*two_volumes, data_range=100)
    monkeypatch.setattr(moments, "TILE", (3, 5, 7))
    np.testing.assert_allclose(similarity.ssim_map(*two_volumes, data_range=100), whole, atol=1e-12)
    assert similarity.ssim(*two_volumes, data_range=100) == pytest.approx(whole.mean(), abs=1e-9)


def test_multi_scale_ssim_is_monais() -> None:
    import torch
    from monai.metrics import MultiScaleSSIMMetric

    random = np.random.default_rng(1)
    first = random.uniform(0, 1, (64, 64, 64))
    second = np.clip(first + random.normal(0, 0.1, first.shape), 0, 1)
    weights = (0.3, 0.4, 0.3)
    metric = MultiScaleSSIMMetric(3, data_range=1.0, weights=weights)
    expected = float(metric(*(torch.from_numpy(image.astype(np.float32))[None, None] for image in (first, second))))
    assert similarity.ms_ssim(first, second, data_range=1, weights=weights) == pytest.approx(expected, abs=1e-5)


def test_images_too_small_for_the_scales_are_refused(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="smaller than the window"):
        similarity.ms_ssim(*two_volumes, data_range=100)


def test_synthrads_ssim_is_its_definition_by_scikit_image(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    from skimage.metrics import structural_similarity

    first, second = (image - 40 for image in two_volumes)
    mask = np.zeros(first.shape, bool)
    mask[2:12, 4:14, 5:16] = True
    lower, upper = -30.0, 50.0
    filled = [np.where(mask, np.clip(image, lower, upper), lower) - lower for image in (first, second)]
    _, full = structural_similarity(*filled, data_range=upper - lower, full=True)
    core = (slice(3, -3),) * 3
    expected = full[core][mask[core]].mean()
    found = similarity.synthrad_ssim(first, second, value_range=(lower, upper), mask=mask)
    assert found == pytest.approx(expected, abs=1e-9)


def test_what_lies_outside_the_mask_changes_the_masked_ssim_by_nothing(two_volumes) -> None:
    first, second = two_volumes
    mask = np.zeros(first.shape, bool)
    mask[3:11, 4:12, 2:15] = True
    score = similarity.masked_ssim(first, second, data_range=100, mask=mask)
    changed = np.where(mask, first, -1e3)
    assert similarity.masked_ssim(changed, second, data_range=100, mask=mask) == pytest.approx(score, abs=1e-12)
    assert abs(similarity.ssim(changed, second, data_range=100, mask=mask) - score) > 0.05


def test_the_masked_ssim_of_everything_is_the_mean_over_windows_cut_off_at_the_edge(two_volumes) -> None:
    first, second = two_volumes
    everything = np.ones(first.shape, bool)
    masked = similarity.masked_ssim(first, second, data_range=100, mask=everything)
    inner = (slice(6, -6),) * 3
    values = similarity.ssim_map(first, second, data_range=100)
    assert abs(masked - values.mean()) < 0.02
    assert np.isfinite(values[inner]).all()


def test_mutual_information_is_scikit_images(two_volumes: tuple[np.ndarray, np.ndarray]) -> None:
    from skimage.metrics import normalized_mutual_information

    expected = normalized_mutual_information(*two_volumes, bins=100)
    assert similarity.nmi(*two_volumes, data_range=100) == pytest.approx(expected, abs=1e-9)
    assert similarity.nmi(two_volumes[0], 3 * two_volumes[0] - 7, data_range=100) == pytest.approx(2)


def test_gradients_are_in_millimetres_and_alike_for_a_scaled_image() -> None:
    ramp = np.broadcast_to(np.arange(8.0) ** 2, (5, 6, 8)).copy()
    spacing = (1.0, 1.0, 2.0)
    assert similarity.gradient_mae(ramp, 2 * ramp, data_range=1, spacing=spacing) == pytest.approx(
        np.gradient(np.arange(8.0) ** 2, 2.0).mean()
    )
    assert similarity.gradient_correlation(ramp, 2 * ramp, data_range=1, spacing=spacing) == pytest.approx(1)
    assert math.isnan(similarity.gradient_correlation(ramp, 0 * ramp, data_range=1, spacing=spacing))


def test_clipped_psnr_ignores_what_lies_beyond_the_range() -> None:
    a, b = np.array([[0.0, 10.0, 500.0]]), np.array([[4.0, 7.0, 900.0]])
    found = similarity.psnr_clipped(a, b, value_range=(0, 10))
    assert found == pytest.approx(10 * math.log10(100 / (25 / 3)))
    with pytest.raises(ValueError, match="must rise"):
        similarity.psnr_clipped(a, b, value_range=(10, 0))
