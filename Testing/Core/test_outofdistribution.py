"""Scans unlike the training scans: told by a score with its n, on simulated noise and on real scans of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetranslation import inference, outofdistribution
from imagetranslation.errors import InputError, ModelRefused
from imagetranslation.models import ModelPackage, check_metadata, load_package
from imagetranslation.outofdistribution import Score
from imagetranslation.volume import Volume, read_volume
from Testing.packages import make_package, metadata

WEIGHTS = {"file": "weights.safetensors", "sha256": "0" * 64, "dtype": "float16", "parameters": 1}


def smooth(seed: int, shape: tuple[int, int, int] = (12, 24, 22), blur: int = 2) -> Volume:
    """Simulated: blurred noise."""
    array = np.random.default_rng(seed).random(shape)
    for _ in range(blur):
        for axis in range(3):
            array = (array + np.roll(array, 1, axis) + np.roll(array, -1, axis)) / 3
    return Volume(array, name=f"simulated{seed}")


def described(volume: Volume, package: ModelPackage) -> dict[str, float]:
    return outofdistribution.describe(inference.as_network_sees(volume, package))


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """A tiny package that knows 12 simulated scans."""
    folder = tmp_path_factory.mktemp("models")
    plain = make_package(folder / "plain", made=metadata(field_of_view="whole"))
    made = metadata(field_of_view="whole")
    made["training"]["distribution"] = outofdistribution.fit([described(smooth(n), plain) for n in range(12)])
    return make_package(folder / "taught", made=made)


def score(volume: Volume, package: ModelPackage) -> Score:
    found = outofdistribution.score(inference.as_network_sees(volume, package), package)
    assert found is not None
    return found


def test_a_scan_like_the_others_is_let_pass_and_one_that_is_not_is_told(taught: ModelPackage) -> None:
    passed = [score(smooth(seed), taught).verdict == "like the training scans" for seed in range(100, 120)]
    assert sum(passed) >= 16  # one in 13 is beyond all of them by chance
    sharp = score(smooth(7, blur=0), taught)
    assert sharp.verdict == "unlike"
    assert (sharp.further_than, sharp.patients) == (12, 12)
    assert sharp.p == pytest.approx(1 / 13)
    assert "WARNING" in sharp.sentence()
    assert f"all 12 of them are from one another, {sharp.ratio:.1f} times the furthest" in sharp.sentence()


def test_the_score_travels_with_the_result_and_its_sentence_is_in_the_record(taught: ModelPackage) -> None:
    made = inference.translate(smooth(7, blur=0), taught, device="cpu")
    facts = made.attributes["distribution"]
    assert facts["verdict"] == "unlike"
    assert facts["n_training_scans"] == facts["further_than"] == 12
    assert any("does not look like those the model was trained on" in note for note in made.provenance.notes)
    fine = inference.translate(smooth(100), taught, device="cpu")
    assert not any("trained on" in note for note in fine.notes)


def test_conformal_p_counts_the_scans_at_least_as_far() -> None:
    assert Score(1.0, 2.0, 5, 9, 0.5).sentence() == ""
    unusual = Score(2.2, 2.0, 9, 9, 0.1)
    assert unusual.verdict == "unusual"
    assert "One good scan in 10 is, too" in unusual.sentence()
    assert Score(3.1, 2.0, 9, 9, 0.1).verdict == "unlike"


def test_gain_and_offset_that_normalisation_takes_out_change_nothing(taught: ModelPackage) -> None:
    scan = smooth(3)
    wanted = score(scan, taught).distance
    for other in (scan.array * 7 + 40, scan.array * 0.01):
        assert score(replace(scan, array=other), taught).distance == pytest.approx(wanted, rel=1e-4)


def test_the_shrinkage_is_that_of_ledoit_and_wolf() -> None:
    sklearn = pytest.importorskip("sklearn.covariance")
    table = np.random.default_rng(0).normal(size=(14, 22)) @ np.random.default_rng(1).normal(size=(22, 22))
    table -= table.mean(axis=0)
    wanted, weight = sklearn.ledoit_wolf(table, assume_centered=True)
    found, own = outofdistribution._shrunk(table)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    assert own == pytest.approx(weight, rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 20, 24), (5, 1, 24), (9, 31, 1), (1, 2, 2), (300, 6, 7), (2, 700, 650)])
def test_odd_shapes_are_described_with_finite_numbers(taught: ModelPackage, shape: tuple[int, int, int]) -> None:
    for inputs in ({}, {"resampling": {"mode": "none", "spacing": None}}):
        package = ModelPackage(taught.path, {**taught.metadata, **metadata(field_of_view="whole", **inputs)})
        values = described(Volume(np.random.default_rng(0).random(shape), name="odd"), package)
        assert tuple(values) == outofdistribution.NAMES
        assert np.isfinite(list(values.values())).all()


def test_too_few_training_scans_say_nothing(taught: ModelPackage) -> None:
    with pytest.raises(InputError, match="too few"):
        outofdistribution.fit([described(smooth(n), taught) for n in range(4)])
    plain = ModelPackage(taught.path, metadata())
    assert outofdistribution.score(inference.as_network_sees(smooth(1), plain), plain) is None


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.0]},
        {"precision": [[1.0]]},
        {"sd": [0.0] * 22},
        {"distances": [0.0, 0.0]},
        {"descriptors": ["a"] * 22},
        {"precision": (-np.eye(22)).tolist()},
        {"precision": np.triu(np.ones((22, 22))).tolist()},
        {"precision": "x"},
        {"distances": [1e999, 1.0]},
    ],
)
def test_a_broken_description_refuses_the_package(taught: ModelPackage, change: dict) -> None:
    made = {**metadata(), "format_version": 1, "weights": WEIGHTS}
    made["training"]["distribution"] = {**taught.metadata["training"]["distribution"]}
    assert check_metadata(made, "package")
    made["training"]["distribution"].update(change)
    with pytest.raises(ModelRefused, match=r"training\.distribution"):
        check_metadata(made, "package")


# --- real scans: the shipped model ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped(repository: Path) -> ModelPackage:
    return load_package(repository / "Resources" / "Models" / "us2mri-pix2pix-small")


def ultrasounds(pairs: Path, numbers: range) -> list[Volume]:
    return [replace(read_volume(pairs / "us" / f"case{number:02d}.nii.gz"), modality="US") for number in numbers]


def test_held_out_ultrasounds_are_not_warned_of(shipped: ModelPackage, prostate_pairs: Path) -> None:
    found = [score(volume, shipped) for volume in ultrasounds(prostate_pairs, range(14, 18))]
    assert [one.verdict for one in found] == ["like the training scans"] * 4
    assert {one.patients for one in found} == {14}


def inverted(array: np.ndarray) -> np.ndarray:
    return np.where(array > 0, 255 - array, 0)


def noise(array: np.ndarray) -> np.ndarray:
    return np.where(array > 0, np.random.default_rng(0).integers(1, 255, array.shape), 0)


def enlarged(array: np.ndarray) -> np.ndarray:
    """The middle, twice as large."""
    k, j, i = array.shape
    middle = array[k // 4 : k // 4 + k // 2, j // 4 : j // 4 + j // 2, i // 4 : i // 4 + i // 2]
    return np.repeat(np.repeat(np.repeat(middle, 2, 0), 2, 1), 2, 2)


def shrunk(array: np.ndarray) -> np.ndarray:
    made = np.zeros_like(array)
    small = array[::2, ::2, ::2]
    made[tuple(slice(n // 4, n // 4 + m) for n, m in zip(array.shape, small.shape))] = small
    return made


@pytest.mark.parametrize("change", [inverted, noise, enlarged, shrunk])
def test_changed_held_out_ultrasounds_are_warned_of(
    shipped: ModelPackage, prostate_pairs: Path, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    for volume in ultrasounds(prostate_pairs, range(14, 18)):
        assert "WARNING" in score(replace(volume, array=change(volume.array)), shipped).sentence()


def test_a_blank_scan_never_gets_as_far(shipped: ModelPackage, prostate_pairs: Path) -> None:
    volume = ultrasounds(prostate_pairs, range(14, 15))[0]
    with pytest.raises(InputError, match="constant"):
        inference.translate(replace(volume, array=np.zeros_like(volume.array)), shipped, device="cpu")


def test_scans_of_other_kinds_are_warned_of(shipped: ModelPackage, data_dir: Path) -> None:
    paths = [
        *sorted(data_dir.glob("prostate_mr_trus/mr/case*.nii.gz")),
        *sorted(data_dir.glob("sarcoma_ct_pet_mr/*/*_image.nii.gz")),
        *sorted(data_dir.glob("prostatex/ProstateX-0000_???.mha")),
        *sorted(data_dir.glob("pyradiomics_cases/*[0-9]_image.nrrd")),
        data_dir / "bone_scan" / "nm_whole_body.dcm",
    ]
    assert len(paths) >= 38
    passed = [path.name for path in paths if "WARNING" not in score(read_volume(path), shipped).sentence()]
    assert passed == []
