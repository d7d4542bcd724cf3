"""Uncertainty: the image unchanged, the right mean and deviation, only what is allowed, the same result every time."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from imagetranslation import deviationmaps, inference
from imagetranslation.errors import Cancelled, InputError, ModelRefused, RunFailed
from imagetranslation.models import ModelPackage, load_package
from imagetranslation.uncertainty import Settings, map_path, translate_with_uncertainty, write
from imagetranslation.uncertainty.augmentations import AugmentedImage, Variant, allowed_by, draw
from imagetranslation.uncertainty.spread import Spread
from imagetranslation.volume import Volume, read_volume
from Testing.packages import an_ultrasound, make_package, metadata

ODD_GRID = {
    "spacing": (0.3, 0.45, 1.7),
    "origin": (-31.0, 12.5, 80.25),
    "direction": (0, -1, 0, 0.8, 0, -0.6, 0.6, 0, 0.8),
}
ARGUMENTS = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "base": 4, "levels": 3}


def a_package(folder: Path, seed: int = 0, arguments: dict | None = None, **changes) -> ModelPackage:
    """A tiny network; changes: of the metadata's top level, or of the input image where they belong there."""
    top = {name: changes.pop(name) for name in ("uncertainty", "task", "id") if name in changes}
    made = metadata(network={"arguments": {**ARGUMENTS, **(arguments or {})}}, **changes)
    made.update(top)
    return make_package(folder, seed, made)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return a_package(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def committee(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """Three members with dropout layers in them."""
    return a_package(tmp_path_factory.mktemp("models") / "three", arguments={"members": 3, "dropout": 0.4})


class Scripted:
    """A predictor whose n-th pass answers the n-th constant."""

    device, engine, precision, notes = "cpu", "torch", "float32", ()

    def __init__(self, package: ModelPackage, answers: list[float], windows: int) -> None:
        self.package, self.answers, self.windows, self.seen = package, answers, windows, 0

    def predict(self, batch: np.ndarray) -> np.ndarray:
        answer = self.answers[self.seen // self.windows]
        self.seen += len(batch)
        return np.full_like(batch, answer)


@pytest.mark.parametrize("method", ["tta", "ensemble", "dropout"])
@pytest.mark.parametrize("shape", [(5, 20, 24), (1, 9, 13), (7, 31, 5)])
def test_the_image_is_the_same_to_the_bit_and_the_map_lies_on_its_grid(
    committee: ModelPackage, method: str, shape: tuple[int, int, int]
) -> None:
    array = np.random.default_rng(0).integers(1, 200, shape).astype(np.int16)
    source = Volume(array, name="case", modality="US", **ODD_GRID)
    plain = inference.translate(source, committee, device="cpu")
    result = translate_with_uncertainty(source, committee, settings=Settings(method), device="cpu")
    assert np.array_equal(result.synthetic.array, plain.array)
    made = result.deviation
    assert (made.spacing, made.origin, made.direction) == (source.spacing, source.origin, source.direction)
    assert made.array.shape == shape
    assert made.array.dtype == np.float32
    assert made.array.max() > 0
    assert np.isfinite(made.array).all()


def test_the_deviation_is_that_of_the_answers(tiny: ModelPackage) -> None:
    source = an_ultrasound()
    answers = [0.2, -0.4, 0.5, 0.1]
    runner = Scripted(tiny, answers, windows=source.array.shape[0])
    made = translate_with_uncertainty(source, tiny, settings=Settings("tta", 4), predictor=runner)
    grey = (np.array(answers) + 1) / 2 * 255
    inside = source.array > 0
    np.testing.assert_allclose(made.synthetic.array[inside], grey[0], rtol=1e-5)
    np.testing.assert_allclose(made.deviation.array[inside], np.std(grey, ddof=1), rtol=1e-4)
    assert (made.deviation.array[~inside] == 0).all() or (made.synthetic.array[made.deviation.array == 0] == 0).all()
    assert (made.method, made.samples) == ("tta", 4)


def test_a_running_spread_equals_numpys() -> None:
    images = np.random.default_rng(1).normal(1000, 3, (9, 4, 5, 6)).astype(np.float32)
    spread = Spread(images.shape[1:])
    for image in images:
        spread.add(image)
    np.testing.assert_allclose(spread.deviation(), images.astype(float).std(axis=0, ddof=1), rtol=1e-3)
    with pytest.raises(ValueError, match="no spread"):
        Spread((1, 1, 1)).deviation()


def test_a_network_that_always_says_the_same_is_given_no_deviation(tiny: ModelPackage) -> None:
    source = an_ultrasound()
    runner = Scripted(tiny, [0.3] * 8, windows=source.array.shape[0])
    assert not translate_with_uncertainty(source, tiny, predictor=runner).deviation.array.any()


def test_variants_are_moved_back_to_where_they_came_from(tmp_path: Path) -> None:
    """What a variant moved, `undo` moves back, but for the rim that fell off the edge."""
    package = a_package(tmp_path / "m", resampling={"mode": "none", "spacing": None})
    image = inference.as_network_sees(
        Volume(np.random.default_rng(2).random((6, 17, 15)) + 0.1, modality="US"), package
    )
    whole = tuple(slice(0, n) for n in image.shape)
    plain = image.read(whole)
    for flip in (None, 0, 1, 2):
        for shift in [(0, 0, 0), (2, -1, 1), (-2, 1, -1)]:
            changed = AugmentedImage(
                image.model_grid, image.array, image.scaling, image.seen, Variant(shift, flip=flip)
            )
            moved = changed.read(whole)
            assert (flip is None and not any(shift)) == np.allclose(moved, plain, atol=1e-6)
            part = (slice(1, 4), slice(3, 9), slice(2, 15))
            assert np.array_equal(changed.read(part), moved[part])
            changed.undo(moved)
            inner = (slice(2, -2),) * 3
            np.testing.assert_allclose(moved[inner], plain[inner], atol=1e-6)


def test_gain_and_gamma_leave_black_black_and_stay_in_range() -> None:
    image = np.array([-1.0000001, -1, -0.5, 0, 0.9, 1], np.float32)
    made = Variant(gain=1.1, gamma=1.3).brightness(image.copy())
    assert made[0] == made[1] == -1
    assert made.max() == 1
    np.testing.assert_allclose(made[3], 2 * 1.1 * 0.5**1.3 - 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("listed", "orientation", "shift", "gain", "gamma", "flip"),
    [
        (None, "unknown", (0, 1, 1), 0.05, 0.1, None),
        ({}, "LPS", (0, 0, 0), 0, 0, None),
        ({"shift_voxels": [3, 2, 0]}, "unknown", (0, 2, 0), 0, 0, None),
        ({"flip": "left-right"}, "unknown", (0, 0, 0), 0, 0, None),
        ({"flip": "left-right", "gamma": 0.2}, "LPS", (0, 0, 0), 0, 0.2, 2),
        ({"flip": "left-right"}, "PSR", (0, 0, 0), 0, 0, 0),
    ],
)
def test_only_what_the_package_lists_is_ever_applied(
    tmp_path: Path, listed: dict | None, orientation: str, shift: tuple, gain: float, gamma: float, flip: int | None
) -> None:
    top = {} if listed is None else {"uncertainty": {"augmentations": listed}}
    package = a_package(tmp_path / "m", orientation=orientation, **top)
    allowed = allowed_by(package)
    assert (allowed.shift, allowed.gain, allowed.gamma, allowed.flip) == (shift, gain, gamma, flip)
    drawn = draw(allowed, 200, seed=5)
    assert max(np.abs([v.shift for v in drawn]).max(axis=0) - shift) == 0
    assert all(abs(np.log(v.gain)) <= gain and abs(np.log(v.gamma)) <= gamma for v in drawn)
    assert {v.flip for v in drawn} == ({None} if flip is None else {None, flip})


def test_a_package_that_allows_no_change_has_no_augmentation(tmp_path: Path) -> None:
    package = a_package(tmp_path / "m", uncertainty={"augmentations": {}})
    with pytest.raises(ModelRefused, match="allows no change"):
        translate_with_uncertainty(an_ultrasound(), package, settings=Settings("tta"), device="cpu")


@pytest.mark.parametrize("method", ["tta", "dropout", "ensemble"])
def test_the_same_seed_gives_the_same_map_and_another_seed_another(committee: ModelPackage, method: str) -> None:
    def run(seed: int) -> np.ndarray:
        return translate_with_uncertainty(
            an_ultrasound(), committee, settings=Settings(method, 0 if method == "ensemble" else 4, seed), device="cpu"
        ).deviation.array

    first = run(7)
    assert np.array_equal(first, run(7))
    assert np.array_equal(first, run(8)) == (method == "ensemble")


def test_dropout_does_not_depend_on_how_slices_are_batched(
    committee: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings("dropout", 3)
    whole = translate_with_uncertainty(an_ultrasound(), committee, settings=settings, device="cpu")
    monkeypatch.setattr("imagetranslation.sliding.BATCH_VOXELS", 16 * 16)
    single = translate_with_uncertainty(an_ultrasound(), committee, settings=settings, device="cpu")
    np.testing.assert_allclose(single.deviation.array, whole.deviation.array, atol=1e-3)


def test_a_network_without_dropout_or_members_says_so(tiny: ModelPackage, tmp_path: Path) -> None:
    plain = a_package(tmp_path / "m", arguments={"dropout": 0.0})
    with pytest.raises(ModelRefused, match="no dropout layer"):
        translate_with_uncertainty(an_ultrasound(), plain, settings=Settings("dropout"), device="cpu")
    with pytest.raises(ModelRefused, match="single network"):
        translate_with_uncertainty(an_ultrasound(), tiny, settings=Settings("ensemble"), device="cpu")


def test_the_members_of_a_network_are_asked_one_by_one(committee: ModelPackage) -> None:
    made = translate_with_uncertainty(an_ultrasound(), committee, settings=Settings("ensemble"), device="cpu")
    assert made.samples == 3
    again = translate_with_uncertainty(an_ultrasound(), committee, settings=Settings("auto", 4), device="cpu")
    assert again.method == "tta"


def test_packages_with_other_grids_make_an_ensemble(tiny: ModelPackage, tmp_path: Path) -> None:
    source = an_ultrasound()
    others = [
        a_package(tmp_path / "a", 1, slice_axis="j", patch_size=[8, 8]),
        a_package(tmp_path / "b", 2, resampling={"mode": "none", "spacing": None}),
    ]
    images = [inference.translate(source, package, device="cpu").array for package in (tiny, *others)]
    settings = Settings(packages=tuple(str(package.path) for package in others))
    made = translate_with_uncertainty(source, tiny, settings=settings, device="cpu")
    assert np.array_equal(made.synthetic.array, images[0])
    np.testing.assert_allclose(made.deviation.array, np.std(np.array(images, float), axis=0, ddof=1), atol=1e-2)
    assert (made.method, made.samples, made.calibrated) == ("ensemble", 3, False)


def test_packages_whose_answers_mean_something_else_are_refused(tiny: ModelPackage, tmp_path: Path) -> None:
    other = a_package(tmp_path / "a", 1, task="pool2delayed")
    with pytest.raises(InputError, match="its task is pool2delayed, not us2mri"):
        translate_with_uncertainty(an_ultrasound(), tiny, settings=Settings(packages=(str(other.path),)), device="cpu")
    with pytest.raises(InputError, match="stands twice"):
        translate_with_uncertainty(an_ultrasound(), tiny, settings=Settings(packages=(str(tiny.path),)), device="cpu")


@pytest.mark.parametrize(
    "settings",
    [{"method": "guess"}, {"samples": 1}, {"samples": 65}, {"seed": -1}, {"method": "tta", "packages": ("x",)}],
)
def test_settings_that_cannot_be_are_refused(settings: dict) -> None:
    with pytest.raises(InputError):
        Settings(**settings)


def test_progress_counts_every_pass_and_cancelling_ends_the_run(tiny: ModelPackage) -> None:
    told: list[tuple[int, int]] = []
    settings = Settings("tta", 4)
    translate_with_uncertainty(
        an_ultrasound(), tiny, settings=settings, device="cpu", progress=lambda *pair: told.append(pair)
    )
    assert told[-1] == (400, 400)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {done // 100 for done, _ in told} >= {1, 2, 3, 4}
    seen: list[int] = []
    with pytest.raises(Cancelled):
        translate_with_uncertainty(
            an_ultrasound(),
            tiny,
            settings=settings,
            device="cpu",
            progress=lambda done, total: seen.append(done),
            cancelled=lambda: bool(seen) and seen[-1] >= 200,
        )
    assert seen[-1] < 300


def test_memory_does_not_grow_with_the_number_of_samples(tiny: ModelPackage) -> None:
    source = an_ultrasound((40, 160, 170))

    def peak(samples: int) -> float:
        """In volumes of the result's size; 0 samples for a translation without uncertainty."""
        runner = Scripted(tiny, [0.1] * max(samples, 1), windows=len(source.array))
        tracemalloc.start()
        if samples:
            translate_with_uncertainty(source, tiny, settings=Settings("tta", samples), predictor=runner)
        else:
            inference.translate(source, tiny, predictor=runner)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found / (4 * source.array.size)

    plain, few, many = peak(0), peak(2), peak(12)
    assert many < few + 0.2
    # While an answer is made there are, beside it: the image, the map and the mean.
    assert many < plain + 3.3


def test_the_map_says_what_it_is_wherever_it_goes(tiny: ModelPackage, tmp_path: Path) -> None:
    made = translate_with_uncertainty(an_ultrasound(), tiny, settings=Settings(samples=3), device="cpu")
    path = write(made, tmp_path / "case.nii.gz")
    assert path == map_path(tmp_path / "case.nii.gz")
    assert path.name == "case_uncertainty.nii.gz"
    back = read_volume(path)
    assert np.array_equal(back.array, made.deviation.array)
    assert back.synthetic
    assert back.provenance.quantity == {
        "name": "standard deviation",
        "unit": "grey values",
        "range": [0.0, 255.0],
        "calibrated": False,
        "patients": None,
        "method": "tta",
        "samples": 3,
    }
    assert "uncalibrated spread" in back.provenance.notes[0]
    assert back.provenance.weights_sha256 == tiny.weights_sha256
    assert made.deviation.name == "SYNTHETIC standard deviation of MR of ultrasound"


def test_a_volume_whose_map_does_not_fit_is_refused_before_any_work(
    tiny: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagetranslation.uncertainty.estimate.free_memory", lambda: 10_000)
    runner = Scripted(tiny, [0.1], windows=1)
    with pytest.raises(RunFailed, match="with uncertainty takes"):
        translate_with_uncertainty(an_ultrasound(), tiny, predictor=runner)
    assert runner.seen == 0


def test_uncertainty_of_a_synthetic_image_is_refused_as_its_translation_is(tiny: ModelPackage) -> None:
    made = inference.translate(an_ultrasound(), tiny, device="cpu")
    with pytest.raises(InputError, match="made by a model"):
        translate_with_uncertainty(made, tiny, device="cpu")


def test_the_shipped_model_is_calibrated_on_a_real_scan(repository: Path, prostate_pairs: Path) -> None:
    package = load_package(repository / "Resources" / "Models" / "us2mri-pix2pix-small")
    source = read_volume(prostate_pairs / "us" / "case17.nii.gz")
    source = Volume(source.array, source.spacing, source.origin, source.direction, name="case17", modality="US")
    plain = inference.translate(source, package, device="cpu")
    for method in ("tta", "ensemble"):
        made = translate_with_uncertainty(source, package, settings=Settings(method), device="cpu")
        assert np.array_equal(made.synthetic.array, plain.array)
        assert made.calibrated
        assert made.patients == 18
        inside = made.deviation.array > 0
        assert 25 < made.deviation.array[inside].mean() < 50


def test_a_scan_unlike_the_training_scans_is_given_no_calibrated_deviation(
    repository: Path, prostate_pairs: Path
) -> None:
    package = load_package(repository / "Resources" / "Models" / "us2mri-pix2pix-small")
    source = read_volume(prostate_pairs / "mr" / "case17.nii.gz")
    made = translate_with_uncertainty(source, package, settings=Settings("ensemble"), device="cpu")
    assert not made.calibrated
    assert made.patients is None
    assert "uncalibrated spread, because the scan does not look like those" in made.notes[0]
    assert deviationmaps.legend_title(made.deviation).startswith("uncalibrated spread")
