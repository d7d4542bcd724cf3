"""What a training sample is, how samples are drawn, and the cache that they are drawn from."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from imagetranslation.errors import InputError
from imagetranslation.intensity import normalise
from imagetranslation.volume import Volume, read_volume, write_volume
from training_tools.augmentation import _grid, augment
from training_tools.config import Config
from training_tools.dataset import load_case
from training_tools.training import cache
from training_tools.training.cache import REGION, SOURCE, TARGET, WEIGHT, Stored, fingerprints, open_cases
from training_tools.training.sampling import Process, Sampler
from training_tools.training.settings import Augmentation

from .training_runs import prepared_pairs, tiny_config

STILL = {"rotation": 0, "shift": 0, "scale": 0, "gamma": 0, "gain": 0}


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("tiny-sampling"))


@pytest.fixture
def own_data(tiny_data: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(tiny_data, tmp_path / "data"))


def a_case(name: str, shape: tuple[int, int, int], value: float = 0.0) -> Stored:
    """Every voxel of the source tells its slice, row and column; the target is `value`; the weight is 1."""
    places = np.stack(np.indices(shape)).astype(np.float32)
    source = (places * np.array([1, 1 / 32, 1 / 1024]).reshape(3, 1, 1, 1)).sum(axis=0) / 32 - 1
    arrays = np.stack([source, np.full(shape, value), np.ones(shape), np.zeros(shape)]).astype(np.float32)
    arrays[REGION, 1, 2, 3] = 1
    return Stored(name, arrays, np.array([[0, 0, 0]]), np.array([[1, 2, 3]]))


def a_sampler(config: Config, cases: list[Stored]) -> Sampler:
    return Sampler(cases, config)


def test_a_sample_of_slices_is_a_slice_and_of_volumes_a_patch() -> None:
    cases = [a_case("a", (10, 20, 18)), a_case("b", (12, 20, 18))]
    plane = a_sampler(tiny_config(augmentation=STILL), cases).batch(0)
    assert plane.source.shape == plane.target.shape == plane.weight.shape == (4, 1, 16, 16)
    volume = a_sampler(tiny_config(dims=3, augmentation=STILL), cases).batch(0)
    assert volume.source.shape == (4, 1, 8, 16, 16)
    steps = volume.source[0, 0].diff(dim=0)
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / 32))


def test_neighbouring_slices_become_channels_as_in_inference_and_repeat_at_the_ends() -> None:
    case = a_case("a", (3, 16, 16))
    network = {"name": "pix2pix-small", "arguments": {"base": 4, "levels": 3, "in_channels": 5}}
    config = tiny_config(
        network=network, source={"patch_size": [16, 16], "context_slices": 2}, augmentation=STILL, batch_size=16
    )
    batch = a_sampler(config, [case]).batch(0)
    assert batch.source.shape == (16, 5, 16, 16)
    found = ((batch.source[:, :, 0, 0] + 1) * 32).round().int()
    seen = {tuple(row) for row in found.tolist()}
    assert seen == {(0, 0, 0, 1, 2), (0, 0, 1, 2, 2), (0, 1, 2, 2, 2)}


def test_every_patient_is_equally_likely_whatever_its_size() -> None:
    cases = [a_case("small", (8, 16, 16), -0.5), a_case("large", (80, 16, 16), 0.5)]
    sampler = a_sampler(tiny_config(augmentation=STILL, batch_size=64), cases)
    targets = torch.cat([sampler.batch(step).target[:, 0, 0, 0] for step in range(10)])
    count = Counter(targets.tolist())
    assert 0.42 < count[0.5] / len(targets) < 0.58


def test_asked_to_all_samples_hold_a_voxel_of_the_lesion_and_not_always_in_the_middle() -> None:
    cases = [a_case("a", (10, 40, 40))]
    for dims in (2, 3):
        config = tiny_config(dims=dims, augmentation=STILL, sampling={"lesion": 1.0}, batch_size=16)
        batch = a_sampler(config, cases).batch(0)
        assert batch.lesion is not None
        assert (batch.lesion.flatten(1).sum(dim=1) == 1).all()
        assert len({int(at) for at in batch.lesion.flatten(1).argmax(dim=1)}) > 2
    without = a_sampler(tiny_config(augmentation=STILL, batch_size=16), cases).batch(0)
    assert without.lesion is not None
    assert (without.lesion.flatten(1).sum(dim=1) < 1).any()


def test_lesions_asked_for_where_none_is_known_are_a_sentence() -> None:
    case = a_case("a", (10, 20, 20))
    bare = Stored("a", case.arrays[:3], case.foreground, np.empty((0, 3), dtype=int))
    assert a_sampler(tiny_config(), [bare]).batch(0).lesion is None
    with pytest.raises(InputError, match="no training case has a known lesion"):
        a_sampler(tiny_config(sampling={"lesion": 0.5}), [bare])


def test_unpaired_samples_take_the_target_from_another_patient() -> None:
    cases = [a_case(str(n), (10, 16, 16), value) for n, value in enumerate((-0.5, 0.0, 0.5))]
    for n, case in enumerate(cases):
        case.arrays[SOURCE] = (n - 1) / 2
    settings = {"sampling": {"unpaired": True}, "augmentation": STILL, "batch_size": 64}
    batch = a_sampler(tiny_config("cyclegan", **settings), cases).batch(0)
    assert not batch.paired
    assert batch.target_weight is not None
    pairs = {(float(a), float(b)) for a, b in zip(batch.source[:, 0, 0, 0], batch.target[:, 0, 0, 0])}
    assert pairs == {(a, b) for a in (-0.5, 0.0, 0.5) for b in (-0.5, 0.0, 0.5) if a != b}
    with pytest.raises(InputError, match="at least two patients"):
        a_sampler(tiny_config("cyclegan", **settings), cases[:1])


def of_patient(patient: str, name: str, value: float, side: str = "both") -> Stored:
    case = a_case(name, (10, 16, 16), value)
    case.arrays[SOURCE] = value
    return replace(case, patient=patient, side=side)


def test_a_patient_of_many_cases_is_drawn_no_more_often_and_never_as_its_own_partner() -> None:
    cases = [of_patient("a", f"a{n}", -0.5 + n / 100) for n in range(8)]
    cases += [of_patient("b", "b", 0.25), of_patient("c", "c", 0.5)]
    paired = a_sampler(tiny_config(augmentation=STILL, batch_size=256), cases).batch(0).target[:, 0, 0, 0]
    assert 0.23 < float((paired < 0).float().mean()) < 0.43
    assert len(set(paired.tolist())) == len(cases)
    settings = {"sampling": {"unpaired": True}, "augmentation": STILL, "batch_size": 256}
    mixed = [*cases[:9], of_patient("a", "a8", -0.6, "source"), of_patient("d", "d", 0.75, "target")]
    for those in (cases, mixed):
        batch = a_sampler(tiny_config("cyclegan", **settings), those).batch(0)
        sources, targets = batch.source[:, 0, 0, 0], batch.target[:, 0, 0, 0]
        assert not ((sources < 0) & (targets < 0)).any()
        assert {value < 0 for value in targets.tolist()} == {True, False}
    with pytest.raises(InputError, match="at least two patients"):
        a_sampler(tiny_config("cyclegan", **settings), cases[:8])
    lonely = [of_patient("a", "a0", -0.5), of_patient("b", "b", 0.5, "source")]
    with pytest.raises(InputError, match="all targets to train on are one patient's, a, who has sources"):
        a_sampler(tiny_config("cyclegan", **settings), lonely)


def test_a_patch_larger_than_the_volume_repeats_its_edge_without_weight() -> None:
    batch = a_sampler(tiny_config(dims=3, augmentation=STILL), [a_case("a", (5, 16, 20))]).batch(0)
    assert batch.source.shape == (4, 1, 8, 16, 16)
    assert (batch.weight[:, :, 5:] == 0).all()
    assert (batch.weight[:, :, :5] == 1).all()
    torch.testing.assert_close(batch.source[:, :, 5:], batch.source[:, :, 4:5].expand(-1, -1, 3, -1, -1))


def test_a_batch_depends_on_its_step_alone_and_processes_have_shares_of_their_own() -> None:
    cases = [a_case(str(n), (10, 20, 20), n / 4) for n in range(4)]
    sampler = a_sampler(tiny_config(), cases)
    stream = sampler.batches(3)
    ahead = [next(stream) for _ in range(4)]
    stream.close()
    torch.testing.assert_close(ahead[2][0].source, sampler.batch(5).source, rtol=0, atol=0)
    shares = [Sampler(cases, tiny_config(), Process(rank, 2)).batch(5).source for rank in range(2)]
    assert [len(share) for share in shares] == [2, 2]
    assert not torch.equal(*shares)
    with pytest.raises(InputError, match="multiple of 3"):
        Sampler(cases, tiny_config(), Process(0, 3))


def test_a_turned_image_is_turned_and_not_sheared_where_it_is_not_square() -> None:
    """The places that a rotation takes voxels from keep their distances."""
    settings = Augmentation(rotation=40, shift=0, scale=0, gamma=0, gain=0)
    for shape in ((16, 64), (4, 12, 30)):
        sizes = torch.tensor(shape[::-1], dtype=torch.float32)
        grid = _grid(torch.zeros(3, 3, *shape), settings, torch.Generator().manual_seed(0)) * sizes / 2
        sides = torch.stack([grid.diff(dim=axis).flatten(1, -2)[:, 0] for axis in range(1, len(shape) + 1)], dim=1)
        products = sides @ sides.transpose(1, 2)
        torch.testing.assert_close(products, torch.eye(len(shape)).expand_as(products), atol=1e-4, rtol=0)
        assert (sides[:, 0, -2] < 0.99).any()


def test_augmented_volumes_move_together_and_stay_in_range() -> None:
    pattern = torch.zeros(4, 1, 12, 24, 24)
    pattern[:, :, 3:8, 8:16, 10:18] = 1
    batch = torch.cat([pattern * 2 - 1, pattern * 2 - 1, pattern * 2 - 1, torch.ones_like(pattern), pattern], dim=1)
    settings = Augmentation(rotation=20, shift=0.1, scale=0.2, elastic=0.05, gamma=0, gain=0, mirror="slices")
    moved = augment(batch, settings, torch.Generator().manual_seed(0), sources=2)
    torch.testing.assert_close(moved[:, 0], moved[:, 2])
    torch.testing.assert_close((moved[:, 2] + 1) / 2, moved[:, 4])
    assert (moved[:, 0] != batch[:, 0]).any()
    assert set(moved[:, 3].unique().tolist()) <= {0.0, 1.0}
    assert moved.abs().max() <= 1


def test_the_cache_holds_what_inference_would_see(tiny_data: Path) -> None:
    config = tiny_config(source={"patch_size": [16, 16], "resampling": {"mode": "none"}})
    (stored,) = open_cases(tiny_data, config, fingerprints(tiny_data, ["case1"]))
    case = load_case(tiny_data, config, "case1")
    expected, _ = normalise(case.source.array, case.seen, config.source.normalisation)
    np.testing.assert_array_equal(stored.arrays[SOURCE], expected)
    np.testing.assert_array_equal(stored.arrays[TARGET], case.wanted)
    np.testing.assert_array_equal(stored.arrays[WEIGHT] > 0, case.valid)
    np.testing.assert_array_equal(stored.arrays[REGION] > 0, case.lesion)
    assert isinstance(stored.arrays, np.memmap)
    assert all(case.lesion[tuple(place)] for place in stored.lesion)
    assert len(stored.lesion) == min(case.lesion.sum(), cache.MOST_POINTS)


def test_the_cache_is_made_once_and_again_where_it_is_damaged(
    own_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, prints = tiny_config(), fingerprints(own_data, ["case0", "case1"])
    shutil.rmtree(own_data / "cache", ignore_errors=True)
    made = []
    real = cache.load_any
    monkeypatch.setattr(cache, "load_any", lambda *arguments: made.append(arguments[2]) or real(*arguments))
    first = open_cases(own_data, config, prints)
    expected = np.array(first[1].arrays)
    open_cases(own_data, config, prints)
    assert made == ["case0", "case1"]
    file = Path(first[1].arrays.filename)
    del first
    spoilt = bytearray(file.read_bytes())
    spoilt[-100] ^= 1
    file.write_bytes(spoilt)
    again = open_cases(own_data, config, prints)
    assert made == ["case0", "case1", "case1"]
    assert "damaged" in capsys.readouterr().err
    np.testing.assert_array_equal(again[1].arrays, expected)
    facts = json.loads(file.with_suffix(".json").read_text())
    file.with_suffix(".json").write_text(json.dumps({**facts, "lesion": [[99, 99, 99]]}))
    open_cases(own_data, config, prints)
    assert made[3:] == ["case1"]


def test_other_data_or_other_settings_make_another_cache_file(own_data: Path) -> None:
    config = tiny_config()
    before = fingerprints(own_data, ["case0"])
    first = open_cases(own_data, config, before)[0].arrays
    other = config.model_copy(update={"target": config.target.model_copy(update={"normalisation": {"name": "minmax"}})})
    assert not np.array_equal(open_cases(own_data, other, before)[0].arrays[TARGET], first[TARGET])
    path = own_data / "target" / "case0.nrrd"
    volume = read_volume(path)
    write_volume(volume.with_array(volume.array[::-1].copy()), path)
    after = fingerprints(own_data, ["case0"])
    assert after != before
    assert not np.array_equal(open_cases(own_data, config, after)[0].arrays[TARGET], first[TARGET])


def test_parts_on_different_grids_are_refused(own_data: Path) -> None:
    write_volume(Volume(np.zeros((3, 4, 5), np.float32)), own_data / "lesion" / "case0.nrrd")
    with pytest.raises(InputError, match="case0: lesion and source are on different grids"):
        load_case(own_data, tiny_config(), "case0")
    (own_data / "valid" / "case1.nrrd").unlink()
    with pytest.raises(InputError, match=r"valid/case1.nrrd is missing"):
        load_case(own_data, tiny_config(), "case1")
