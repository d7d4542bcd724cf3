"""Windows over a volume: equal to the plain way of doing it, whatever batch, size or order; and what gives way."""

from __future__ import annotations

import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from imagetranslation import sliding
from imagetranslation.errors import Cancelled
from imagetranslation.inference import run_windows, translate
from imagetranslation.models import ModelPackage
from imagetranslation.predictors import OutOfMemory, TorchPredictor
from imagetranslation.sliding import ArraySource, plan_for, slide
from imagetranslation.volume import Volume
from Testing.packages import an_ultrasound, make_package, metadata

AS_IT_IS = {"mode": "none", "spacing": None}
SOLID = {"name": "unet", "arguments": {"channels": [4, 4, 4], "units": 1}}
FLAT = {"name": "unet", "arguments": {"channels": [4, 4, 4], "units": 1, "spatial_dims": 2}}
SHAPES = [(9, 20, 33), (1, 40, 16), (1, 1, 1), (30, 5, 17), (16, 16, 16), (3, 16, 50)]


@pytest.fixture(scope="module")
def solid(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """Three-dimensional windows of 8 x 16 x 16."""
    return make_package(tmp_path_factory.mktemp("models") / "solid", made=a_description(SOLID, [8, 16, 16]))


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """Slices in windows of 16 x 12."""
    return make_package(tmp_path_factory.mktemp("models") / "flat", made=a_description(FLAT, [16, 12]))


def a_description(network: dict, patch: list[int], **inference: object) -> dict:
    inputs = {"spatial_dims": len(patch), "patch_size": patch, "resampling": AS_IT_IS, "field_of_view": "whole"}
    return metadata(network=network, inference=inference, **inputs)


def changed(package: ModelPackage, **inference: object) -> ModelPackage:
    """The same package with other settings under `inference`."""
    made = {**package.metadata, "inference": {**package.metadata["inference"], **inference}}
    return ModelPackage(package.path, made)


def an_image(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def the_plain_way(image: np.ndarray, package: ModelPackage, gaussian: bool = True, most: int = 1) -> np.ndarray:
    """Padded copy, one window at a time, weights and their sum as volumes, in 64 bits."""
    plan = plan_for(image.shape, package, most)
    padded = np.pad(image, [(0, n - m) for n, m in zip(plan.padded_shape, image.shape)], mode="edge")
    total, weight = np.zeros(padded.shape), np.zeros(padded.shape)
    blob = np.ones(plan.patch)
    for axis, size in enumerate(plan.patch if gaussian else ()):
        bell = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / (0.125 * size)) ** 2)
        blob *= np.maximum(bell, 1e-3).reshape([-1 if n == axis else 1 for n in range(3)])
    predictor = TorchPredictor(package, "cpu")
    solid = package.inputs["spatial_dims"] == 3
    for window in plan.windows:
        part = padded[window]
        made = predictor.predict(np.ascontiguousarray(part[None, None] if solid else part[None])).reshape(plan.patch)
        total[window] += blob * made
        weight[window] += blob
    return np.clip(total / weight, -1, 1)[tuple(slice(0, n) for n in image.shape)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["solid", "flat"])
@pytest.mark.parametrize("blending", ["gaussian", "constant"])
def test_it_gives_what_the_plain_way_gives(request, kind: str, shape: tuple, blending: str) -> None:
    package = changed(request.getfixturevalue(kind), blending=blending)
    image = an_image(shape)
    found = run_windows(image, package, TorchPredictor(package, "cpu"))
    np.testing.assert_allclose(found, the_plain_way(image, package, blending == "gaussian"), atol=2e-6)


@pytest.mark.parametrize("kind", ["solid", "flat"])
def test_batches_of_any_size_give_the_same(request, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = request.getfixturevalue(kind)
    image, predictor = an_image((11, 40, 37)), TorchPredictor(request.getfixturevalue(kind), "cpu")
    wanted = run_windows(image, package, predictor)
    for most in (1, 3000, 10_000):
        monkeypatch.setattr(sliding, "BATCH_VOXELS", most)
        np.testing.assert_allclose(run_windows(image, package, predictor), wanted, atol=2e-6)


def test_the_same_run_twice_is_identical_to_the_last_bit(solid: ModelPackage) -> None:
    image = an_image((21, 40, 37))
    first, second = (run_windows(image, solid, TorchPredictor(solid, "cpu")) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_package_that_allows_it_sees_the_whole_volume_at_once(solid: ModelPackage, shape: tuple) -> None:
    package = changed(solid, whole_volume=True, size_multiple=4)
    image = an_image(shape)
    padded = np.pad(image, [(0, -n % 4) for n in shape], mode="edge")
    wanted = TorchPredictor(solid, "cpu").predict(padded[None, None])[0, 0][tuple(slice(0, n) for n in shape)]
    assert len(plan_for(shape, package, 1 << 20)) == 1
    found = run_windows(image, package, TorchPredictor(solid, "cpu"))
    np.testing.assert_allclose(found, np.clip(wanted, -1, 1), atol=1e-6)


def test_a_package_that_allows_it_sees_whole_slices(flat: ModelPackage) -> None:
    package = changed(flat, whole_slice=True, size_multiple=4)
    assert plan_for((5, 30, 40), package, 1 << 20).patch == (1, 32, 40)
    assert plan_for((5, 30, 40), changed(package, whole_slice=False), 1 << 20).patch == (1, 16, 12)


def test_without_a_size_multiple_windows_keep_the_patch(flat: ModelPackage) -> None:
    assert plan_for((5, 30, 40), changed(flat, whole_slice=True), 1 << 20).patch == (1, 16, 12)


class Recording:
    """Gives back the middle channel, and keeps what it was given."""

    device = "cpu"

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def predict(self, batch: np.ndarray) -> np.ndarray:
        self.batches.append(batch.copy())
        return batch[:, batch.shape[1] // 2][:, None].copy()


def test_neighbouring_slices_are_channels_and_the_outer_ones_repeat(flat: ModelPackage) -> None:
    package = changed(flat, context_slices=2, whole_slice=True, size_multiple=1)
    image = np.arange(6, dtype=np.float32)[:, None, None] / 10 + np.zeros((6, 8, 8), np.float32)
    recording = Recording()
    np.testing.assert_allclose(run_windows(image, package, recording), image, atol=1e-6)
    given = np.concatenate(recording.batches)[:, :, 0, 0]
    rows = [[0, 0, 0, 1, 2], [0, 0, 1, 2, 3], [0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5, 5], [3, 4, 5, 5, 5]]
    np.testing.assert_allclose(given, np.array(rows) / 10, atol=1e-6)


def test_a_network_of_neighbouring_slices_translates(tmp_path: Path) -> None:
    network = {"name": "unet", "arguments": {"channels": [4, 4, 4], "spatial_dims": 2, "in_channels": 3}}
    made = a_description(network, [16, 16], context_slices=1)
    made["network_data_format"]["inputs"]["image"]["num_channels"] = 3
    package = make_package(tmp_path / "m", made=made)
    source = Volume(an_image((5, 20, 24)), modality="MR")
    first = translate(source, package, device="cpu").array
    assert first.shape == source.array.shape
    source.array[4] += 1  # the last slice's neighbour changes, the first's doesn't
    again = translate(source, package, device="cpu")
    assert again.array.shape == first.shape


def test_windows_outside_the_field_of_view_are_not_run(tmp_path: Path) -> None:
    for resampling in (AS_IT_IS, {"mode": "spacing", "spacing": [0.7, 1.3, 1.0]}):
        made = a_description(SOLID, [8, 16, 16])
        made["network_data_format"]["inputs"]["image"].update(field_of_view="ultrasound-fan", resampling=resampling)
        package = make_package(tmp_path / "m", made=made)
        source = an_ultrasound((20, 90, 60))
        source.array[:, :60] = 0
        everywhere, steps = translated(source, package, False)
        inside, fewer_steps = translated(source, package, True)
        np.testing.assert_array_equal(everywhere, inside)
        assert steps[-1][0] == steps[-1][1]
        assert fewer_steps[-1][0] == fewer_steps[-1][1] < steps[-1][1]


def translated(source: Volume, package: ModelPackage, skip: bool) -> tuple[np.ndarray, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    made = translate(
        source, changed(package, skip_background=skip), device="cpu", progress=lambda *step: seen.append(step)
    )
    return made.array, seen


class Small:
    """A device whose memory holds `most` voxels at once, and which is not the CPU."""

    def __init__(self, package: ModelPackage, most: int, device: str = "mps") -> None:
        self._inner, self._most, self.device = TorchPredictor(package, "cpu"), most, device
        self.sizes: list[int] = []

    def predict(self, batch: np.ndarray) -> np.ndarray:
        self.sizes.append(batch.size)
        if batch.size > self._most:
            raise OutOfMemory("no more room")
        return self._inner.predict(batch)


def slid(package: ModelPackage, image: np.ndarray, predictor: object) -> tuple[np.ndarray, tuple[str, ...]]:
    target = np.full(image.shape, np.nan, np.float32)
    return target, slide(ArraySource(image), target, package, predictor)  # type: ignore[arg-type]


def test_when_memory_runs_out_batches_shrink_and_the_result_stays(solid: ModelPackage) -> None:
    image = an_image((30, 40, 40))
    wanted, nothing = slid(solid, image, Small(solid, 1 << 30))
    found, notes = slid(solid, image, Small(solid, 2 * 8 * 16 * 16))
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    assert nothing == ()
    assert "batches were made smaller, 2 windows of 8 x 16 x 16 at once" in notes[-1]


def test_when_one_large_window_is_too_much_windows_shrink_where_that_is_allowed(solid: ModelPackage) -> None:
    package = changed(solid, whole_volume=True, size_multiple=4)
    image = an_image((32, 40, 40))
    small = Small(package, 20_000)
    found, notes = slid(package, image, small)
    assert small.sizes[0] == 32 * 40 * 40
    assert "windows were made smaller" in notes[0]
    assert "32 x 40 x 40" in notes[0]
    assert all("CPU" not in note for note in notes)
    assert 8 * 16 * 16 < np.prod(plan_for(image.shape, package, 25_600).patch) <= 20_000
    np.testing.assert_allclose(np.clip(found, -1, 1), the_plain_way(image, package, most=25_600), atol=2e-6)


def test_when_not_even_one_window_fits_the_cpu_takes_over_and_it_is_said(solid: ModelPackage) -> None:
    image = an_image((20, 20, 40))
    wanted, _ = slid(solid, image, Small(solid, 1 << 30))
    found, notes = slid(solid, image, Small(solid, 100))
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    assert "computed on the CPU" in notes[-1]


def test_when_the_cpus_own_memory_is_too_small_the_run_fails(solid: ModelPackage) -> None:
    with pytest.raises(OutOfMemory):
        slid(solid, an_image((20, 20, 40)), Small(solid, 100, "cpu"))


def test_what_gave_way_stands_in_the_results_notes(solid: ModelPackage) -> None:
    made = translate(Volume(an_image((20, 20, 40)), modality="MR"), solid, predictor=Small(solid, 100))
    assert any("computed on the CPU" in note for note in made.notes)


def test_a_batch_under_way_is_left_at_the_networks_next_layer(solid: ModelPackage) -> None:
    import torch

    class Slow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            layers.append(time.monotonic())
            time.sleep(0.1)
            return x

    class Layered(Small):
        engine = "torch"

        def predict(self, batch: np.ndarray) -> np.ndarray:
            return network(torch.from_numpy(batch)).numpy()

    layers: list[float] = []
    network = torch.nn.Sequential(*[Slow() for _ in range(100)])
    started = time.monotonic()
    beats: list[float] = []
    with pytest.raises(Cancelled):
        run_windows(
            an_image((8, 16, 16)),
            solid,
            Layered(solid, 0),
            lambda done, total: beats.append(time.monotonic() - started),
            lambda: time.monotonic() - started > 1.3,
        )
    assert time.monotonic() - started < 2.3
    assert beats
    assert beats[0] < 1.1
    stopped = len(layers)
    time.sleep(0.25)
    assert len(layers) == stopped
    assert threading.active_count() < 10


@pytest.mark.parametrize("kind", ["uint8", "float32"])
@pytest.mark.parametrize(
    "resampling", [AS_IT_IS, {"mode": "spacing", "spacing": [1.25, 1.25, 1.25]}], ids=["as is", "resampled"]
)
def test_memory_is_input_result_and_a_few_windows(tmp_path: Path, kind: str, resampling: dict) -> None:
    class Echo(Small):
        def predict(self, batch: np.ndarray) -> np.ndarray:
            return batch.copy()

    made = a_description(SOLID, [8, 32, 32])
    made["network_data_format"]["inputs"]["image"]["resampling"] = resampling
    package = make_package(tmp_path / "m", made=made)
    source = Volume((an_image((96, 192, 192)) * 100 + 100).astype(kind), modality="MR")
    echo = Echo(package, 0, "cpu")
    translate(source, package, predictor=echo)
    tracemalloc.start()
    translate(source, package, predictor=echo)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    result = 4 * source.array.size
    on_the_models_grid = 0 if resampling is AS_IT_IS else result / 1.25**3
    assert peak < result + on_the_models_grid + (14 << 20)
