"""Translation: the exact grid back, 48 axis orders alike, background outside the fan, seams without steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagetranslation.checks import look_of, ranges_of
from imagetranslation.errors import Cancelled, InputError, ModelRefused
from imagetranslation.inference import run_windows, translate, voxels_sha256
from imagetranslation.models import ModelPackage
from imagetranslation.volume import Volume, index_to_lps
from Testing.Core.reorienting import all_axis_orders
from Testing.packages import an_ultrasound, make_package, metadata

OBLIQUE = {
    "spacing": (0.3, 0.45, 1.7),
    "origin": (-31.0, 12.5, 80.25),
    "direction": (0.8, -0.6, 0.0, 0.48, 0.64, -0.6, 0.36, 0.48, 0.8),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return make_package(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def tiny_oriented(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    made = metadata(orientation="LPS", slice_axis="j", patch_size=[8, 8], resampling={"mode": "none", "spacing": None})
    return make_package(tmp_path_factory.mktemp("models") / "oriented", made=made)


class Echo:
    """A predictor that gives back what it gets: every step around it must then be undone exactly."""

    device = "cpu"

    def __init__(self) -> None:
        self.batches: list[tuple[int, ...]] = []

    def predict(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(batch.shape)
        return batch.copy()


@pytest.mark.parametrize("shape", [(5, 20, 24), (1, 20, 24), (5, 1, 24), (9, 31, 1), (1, 2, 2), (3, 200, 7)])
def test_the_result_has_exactly_the_grid_of_its_input(tiny: ModelPackage, shape: tuple[int, int, int]) -> None:
    array = np.random.default_rng(0).integers(1, 200, shape).astype(np.int16)
    source = Volume(array, name="case", modality="US", **OBLIQUE)
    made = translate(source, tiny, device="cpu")
    assert made.array.shape == source.array.shape
    assert (made.spacing, made.origin, made.direction) == (source.spacing, source.origin, source.direction)
    assert made.array.dtype == np.float32
    assert np.isfinite(made.array).all()


def test_the_result_says_what_it_is(tiny: ModelPackage) -> None:
    source = an_ultrasound()
    made = translate(source, tiny, device="cpu")
    record = made.provenance
    assert made.synthetic
    assert record is not None
    assert made.name.startswith("SYNTHETIC")
    assert (record.model, record.version, record.weights_sha256) == ("tiny", "1.2.3", tiny.weights_sha256)
    assert (record.source, record.source_sha256) == (source.name, voxels_sha256(source))


@pytest.mark.parametrize("fov", ["ultrasound-fan", "whole"])
def test_all_48_axis_orders_give_the_same_physical_image(tiny_oriented: ModelPackage, fov: str) -> None:
    source = an_ultrasound((9, 12, 11), **OBLIQUE)
    inputs = tiny_oriented.metadata["network_data_format"]["inputs"]["image"]
    inputs["field_of_view"] = fov
    wanted = translate(source, tiny_oriented, device="cpu")
    assert wanted.array.std() > 0.1
    expected = dict(zip(map(tuple, np.round(_positions(wanted), 4)), wanted.array.ravel()))
    for turned in all_axis_orders(source):
        made = translate(turned, tiny_oriented, device="cpu")
        found = np.array([expected[tuple(place)] for place in np.round(_positions(made), 4)])
        np.testing.assert_allclose(made.array.ravel(), found, atol=1e-3)


def _positions(volume: Volume) -> np.ndarray:
    k, j, i = np.indices(volume.array.shape).reshape(3, -1)
    return (np.stack([i, j, k, np.ones_like(i)], axis=1) @ index_to_lps(volume).T)[:, :3] + 0.0


def test_nothing_is_synthesised_outside_the_field_of_view(tiny: ModelPackage) -> None:
    source = an_ultrasound()
    made = translate(source, tiny, device="cpu")
    assert (made.array[source.array == 0] == 0).all()
    seen = np.zeros(source.array.shape, bool)
    seen[:, 8:12, 8:12] = True
    narrowed = translate(Volume(source.array, modality="US", field_of_view=seen), tiny, device="cpu")
    assert (narrowed.array[~seen] == 0).all()
    assert narrowed.array[seen].max() > 0


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("blending", ["gaussian", "constant"])
def test_windows_blend_back_to_what_they_were_cut_from(tmp_path: Path, flat: bool, blending: str) -> None:
    dims, patch = (2, [16, 16]) if flat else (3, [4, 16, 16])
    package = make_package(
        tmp_path / "m", made=metadata(spatial_dims=dims, patch_size=patch, inference={"blending": blending})
    )
    image = np.random.default_rng(5).uniform(-1, 1, (7, 40, 9)).astype(np.float32)
    np.testing.assert_allclose(run_windows(image, package, Echo()), image, atol=1e-6)


def test_2d_and_3d_networks_get_channels_first(tmp_path: Path) -> None:
    image = np.zeros((6, 20, 20), np.float32)
    flat, solid = Echo(), Echo()
    run_windows(image, make_package(tmp_path / "a"), flat)
    run_windows(image, make_package(tmp_path / "b", made=metadata(spatial_dims=3, patch_size=[4, 16, 16])), solid)
    assert {s[1:] for s in flat.batches} == {(1, 16, 16)}
    assert {s[1:] for s in solid.batches} == {(1, 4, 16, 16)}


def test_the_order_of_slices_in_a_batch_does_not_matter(tiny: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    source = an_ultrasound((9, 20, 24))
    wanted = translate(source, tiny, device="cpu").array
    monkeypatch.setattr("imagetranslation.sliding.BATCH_VOXELS", 1)
    np.testing.assert_allclose(translate(source, tiny, device="cpu").array, wanted, atol=1e-3)


def test_the_same_run_twice_is_identical(tiny: ModelPackage) -> None:
    source = an_ultrasound()
    first, second = (translate(source, tiny, device="cpu").array for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_progress_counts_up_to_the_total(tiny: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagetranslation.sliding.BATCH_VOXELS", 512)
    seen: list[tuple[int, int]] = []
    translate(an_ultrasound(), tiny, device="cpu", progress=lambda *step: seen.append(step))
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_cancelling_stops_between_batches(tiny: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagetranslation.sliding.BATCH_VOXELS", 1)
    seen: list[int] = []
    with pytest.raises(Cancelled):
        translate(
            an_ultrasound(),
            tiny,
            device="cpu",
            progress=lambda done, total: seen.append(done),
            cancelled=lambda: len(seen) == 2,
        )
    assert seen == [1, 2]


def test_a_synthetic_image_is_not_translated_again_unless_forced(tiny: ModelPackage) -> None:
    made = translate(an_ultrasound(), tiny, device="cpu")
    with pytest.raises(InputError, match="made by a model"):
        translate(made, tiny, device="cpu")
    assert translate(made, tiny, device="cpu", allow_synthetic=True).synthetic


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.full((3, 9, 9), np.nan), "NaN"),
        (np.where(np.eye(9) > 0, np.inf, 1.0)[None], "infinite"),
        (np.zeros((3, 9, 9), np.int32), "constant"),
        (np.full((3, 9, 9), 7.5), "constant"),
    ],
)
def test_an_unusable_image_is_refused(tiny: ModelPackage, array: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        translate(Volume(array, modality="US"), tiny, device="cpu")


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">i2", ">f4"])
def test_voxels_of_any_width_are_translated_alike(tiny: ModelPackage, kind: str) -> None:
    values = (an_ultrasound().array // 2).astype(kind)
    wanted = translate(Volume(an_ultrasound().array // 2, modality="US"), tiny, device="cpu").array
    np.testing.assert_allclose(translate(Volume(values, modality="US"), tiny, device="cpu").array, wanted, atol=1e-3)


def test_weights_that_give_no_numbers_are_refused(tiny: ModelPackage) -> None:
    class Broken(Echo):
        def predict(self, batch: np.ndarray) -> np.ndarray:
            return np.full_like(batch, np.nan)

    with pytest.raises(ModelRefused, match="not numbers"):
        translate(an_ultrasound(), tiny, predictor=Broken())


def test_a_device_that_is_not_there_is_refused(tiny: ModelPackage) -> None:
    for wanted in ("cuda:99", "tpu", "cpu:1", "cuda:x"):
        with pytest.raises(InputError):
            translate(an_ultrasound(), tiny, device=wanted)


def test_warnings_name_modality_orientation_spacing_and_intensities(tmp_path: Path) -> None:
    trained = [an_ultrasound(seed=n, spacing=(0.4, 0.4, 0.4)) for n in range(6)]
    made = metadata()
    made["training"]["ranges"] = ranges_of([look_of(v, v.array > 0) for v in trained])
    package = make_package(tmp_path / "m", made=made)
    fine = translate(an_ultrasound(seed=77, spacing=(0.4, 0.4, 0.4)), package, device="cpu")
    assert not [note for note in fine.notes if "WARNING" in note]
    skewed = (an_ultrasound().array / 255.0) ** 12
    odd = Volume(skewed, name="ct", modality="CT", spacing=(3, 3, 9), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1))
    notes = " ".join(translate(odd, package, device="cpu").notes)
    for word in ("CT image", "axes run RAS", "voxel spacing", "intensity histogram"):
        assert word in notes


class Unused(Echo):
    """A predictor that must not be asked."""

    def predict(self, batch: np.ndarray) -> np.ndarray:
        raise AssertionError("the network was run")


@pytest.mark.parametrize(
    ("image", "free_gib"),
    [
        ({"patch_size": [2048, 2048]}, 2),
        ({"patch_size": [2048, 2048], "resampling": {"mode": "none", "spacing": None}}, 0.02),
        ({"resampling": {"mode": "spacing", "spacing": [0.001, 0.001, 0.001]}}, 8),
        ({"spatial_dims": 3, "patch_size": [2048, 2048, 2048]}, 8),
    ],
    ids=["fit", "one window", "spacing", "a cube"],
)
def test_a_package_whose_grid_exceeds_the_memory_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: dict, free_gib: float
) -> None:
    monkeypatch.setattr("imagetranslation.inference.free_memory", lambda: int(free_gib * 2**30))
    package = make_package(tmp_path / "m", made=metadata(**image))
    with pytest.raises(ModelRefused, match=rf"tiny sees this volume as .* {free_gib:.1f} GiB is free"):
        translate(an_ultrasound((200, 20, 24)), package, predictor=Unused())


def test_a_package_that_asks_for_millions_of_windows_is_refused(tmp_path: Path) -> None:
    image = {"patch_size": [1, 1], "resampling": {"mode": "none", "spacing": None}}
    package = make_package(tmp_path / "m", made=metadata(**image))
    with pytest.raises(ModelRefused, match="2,080,000 windows of 1 x 1"):
        translate(an_ultrasound((130, 160, 100)), package, predictor=Unused())
    assert translate(an_ultrasound(), package, predictor=Echo()).synthetic
