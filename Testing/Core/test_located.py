"""The network that finds the organ first, and how it is trained: its frame, its moves, its two lessons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from imagetranslation import networks
from imagetranslation.errors import InputError, ModelRefused
from imagetranslation.networks.located import LocatedGenerator, moments, moved
from training_tools.objectives.located import Located, LocatedOptions
from training_tools.objectives.protocol import Batch
from training_tools.train import train
from training_tools.training.cache import REGION, fingerprints, open_cases

from .training_runs import prepared_pairs, tiny_config


class Positive(torch.nn.Module):
    """A locator that sees the organ where the image is positive."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 20 * x


def ellipsoids(shape: tuple[int, int, int], centre: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
    """(batch, D, H, W): 1 inside; centres and radii (batch, 3) in [-1, 1] coordinates of depth, row, column."""
    axes = [(torch.arange(size) + 0.5) / size * 2 - 1 for size in shape]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    apart = (places - centre[:, :, None, None, None]) / radii[:, :, None, None, None]
    return ((apart**2).sum(dim=1) < 1).float()


@pytest.fixture
def two_organs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Volumes of two ellipsoids, their centres and their radii."""
    middles = torch.tensor([[0.1, -0.2, 0.3], [-0.2, 0.1, 0.0]])
    radii = torch.tensor([[0.5, 0.6, 0.4], [0.6, 0.4, 0.5]])
    return ellipsoids((44, 32, 36), middles, radii), middles, radii


@pytest.fixture
def a_network() -> LocatedGenerator:
    """With a locator that knows, and a translator that changes nothing: its images are the source's."""
    network = networks.build("located", base=4, levels=3, points=4, locate_trust=0.5, share=1.0)
    assert isinstance(network, LocatedGenerator)
    network.locator, network.generator = Positive(), torch.nn.Identity()  # type: ignore[assignment]
    network.spread.fill_(0.2)
    return network.eval()


def test_moments_tell_an_ellipsoids_place_and_extent(two_organs: tuple) -> None:
    volume, middles, radii = two_organs
    centre, spread = moments(0.7 * volume)
    torch.testing.assert_close(centre, middles, atol=0.005, rtol=0)
    # The variance of a solid ellipsoid along an axis is its radius squared over five.
    torch.testing.assert_close(spread, radii / 5**0.5, atol=0.005, rtol=0)


def test_the_moments_of_nothing_are_numbers() -> None:
    centre, spread = moments(torch.zeros(1, 8, 8, 8))
    assert centre.tolist() == [[0, 0, 0]]
    assert (spread > 0).all()


def test_a_moved_organ_has_the_moments_asked_for_and_comes_back(two_organs: tuple) -> None:
    volume, middles, radii = two_organs
    own, standard = (middles, radii / 5**0.5), (torch.zeros(2, 3), torch.full((2, 3), 0.25))
    there = moved(volume[:, None], own, standard)
    for found, wanted in zip(moments(there[:, 0]), standard):
        torch.testing.assert_close(found, wanted, atol=0.01, rtol=0)
    assert (moved(there, standard, own)[:, 0] - volume).abs().mean() < 0.02


def test_moving_is_what_torchs_own_sampling_does(two_organs: tuple) -> None:
    volume, middles, radii = two_organs
    own, standard = (middles, radii), (torch.tensor([[0.05, 0.0, -0.1]] * 2), torch.tensor([[0.3, 0.4, 0.5]] * 2))
    scale, offset = own[1] / standard[1], own[0] - standard[0] * own[1] / standard[1]
    matrix = torch.zeros(2, 3, 4)
    for axis in range(3):  # affine_grid counts column, row, depth
        matrix[:, axis, axis], matrix[:, axis, 3] = scale[:, 2 - axis], offset[:, 2 - axis]
    grid = torch.nn.functional.affine_grid(matrix, [2, 1, 44, 32, 36], align_corners=False)
    wanted = torch.nn.functional.grid_sample(volume[:, None], grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(moved(volume[:, None], own, standard), wanted, atol=1e-4, rtol=0)


def test_it_works_in_the_standard_frame_and_moves_the_result_back(
    two_organs: tuple, a_network: LocatedGenerator
) -> None:
    volume, middles, radii = two_organs
    image = (2 * volume - 1)[:, None]
    centre, spread = a_network.locate(image)
    torch.testing.assert_close(centre, middles / 2, atol=0.005, rtol=0)
    torch.testing.assert_close(spread, (0.2 * radii / 5**0.5).sqrt(), atol=0.005, rtol=0)
    assert (a_network(image) - image).abs().mean() < 0.05
    a_network.locate_trust, seen = 1.0, []
    a_network.generator.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    a_network(image)
    for found, wanted in zip(moments((seen[0][:, 0] + 1) / 2), (0.0, 0.2)):
        torch.testing.assert_close(found, torch.full((2, 3), wanted), atol=0.01, rtol=0)


def test_what_does_not_move_with_the_organ_is_the_mean_of_the_unmoved_volumes(
    two_organs: tuple, a_network: LocatedGenerator
) -> None:
    image = (2 * two_organs[0] - 1)[:, None]
    alone = a_network(image)
    a_network.share = 0.25
    a_network.unmoved.fill_(0.5)
    wanted = 0.25 * alone + 0.75 * torch.tanh(torch.tensor(0.5))
    torch.testing.assert_close(a_network(image), wanted, atol=1e-5, rtol=0)


def test_a_volume_in_which_no_organ_is_found_is_given_the_average_one() -> None:
    network = networks.build("located", base=4, levels=3, points=4).eval()
    assert isinstance(network, LocatedGenerator)
    network.centre.copy_(torch.tensor([0.1, 0.0, -0.2]))
    network.spread.copy_(torch.tensor([0.2, 0.3, 0.25]))
    torch.nn.init.constant_(network.locator.head.bias, -1000.0)
    empty = torch.full((1, 1, 32, 32, 32), -1.0)
    centre, spread = network.locate(empty)
    torch.testing.assert_close(centre[0], network.centre, atol=0.01, rtol=0)
    torch.testing.assert_close(spread[0], network.spread, atol=0.01, rtol=0)
    assert torch.isfinite(network(empty)).all()


def test_a_sample_whose_organ_left_the_volume_does_not_count(two_organs: tuple) -> None:
    organ = two_organs[0][:, None].clone()
    organ[1] = 0
    network = networks.build("located", base=4, levels=3, points=4)
    assert isinstance(network, LocatedGenerator)
    batch = Batch(2 * organ - 1, 1 - 2 * organ, torch.ones_like(organ), organ=organ)
    seen = Located(LocatedOptions())._in_standard_frame(batch, network, torch.Generator())
    assert seen.weight[0].mean() > 0.5
    assert seen.weight[1].max() == 0


def test_both_means_are_sharp_where_each_belongs(two_organs: tuple) -> None:
    volume, middles, radii = two_organs
    network = networks.build("located", base=4, levels=3, points=12, share=1.0).eval()
    assert isinstance(network, LocatedGenerator)
    targets = 1.6 * volume - 0.8
    network.start_from_organs(lambda: [(t, torch.ones_like(t), organ) for t, organ in zip(targets, volume)])
    torch.testing.assert_close(network.centre, middles.mean(dim=0), atol=0.005, rtol=0)
    torch.testing.assert_close(network.spread, radii.mean(dim=0) / 5**0.5, atol=0.005, rtol=0)
    plain, in_frame = network.unmoved.tanh(), network.generator.mean.tanh()

    # Where organs lie alike their mean is one or the other; where they lie apart it is often in between.
    def undecided(mean: torch.Tensor) -> float:
        return float((mean.abs() < 0.4).float().mean())

    assert undecided(in_frame) < 0.6 * undecided(plain)
    network.locator = Positive()  # type: ignore[assignment]
    network.locate_trust = 1.0
    made = network((2 * volume - 1)[:, None])[:, 0]
    assert (made - targets).abs().mean() < (plain.mean() - targets).abs().mean() / 3


@pytest.mark.parametrize(
    ("arguments", "why"),
    [({"spatial_dims": 2}, "whole volumes"), ({"locate_trust": 0}, "locate_trust"), ({"share": 1.5}, "share")],
)
def test_impossible_arguments_are_refused(arguments: dict, why: str) -> None:
    with pytest.raises(ModelRefused, match=why):
        networks.build("located", **arguments)


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    return prepared_pairs(tmp_path / "data")


def test_the_organs_label_comes_to_the_network_on_its_own_grid(own_data: Path) -> None:
    config = tiny_config("located")
    (stored,) = open_cases(own_data, config, fingerprints(own_data, ["case0"], "organ"))
    organ, target = stored.arrays[REGION], stored.arrays[1]
    assert 0.02 < organ.mean() < 0.5
    assert target[organ > 0.9].mean() > target[organ < 0.1].mean() + 0.5  # the gland is bright in the target
    assert not len(stored.lesion)


def test_training_it_teaches_the_locator(own_data: Path, tmp_path: Path) -> None:
    network = tiny_config("located").network.model_dump()
    network["arguments"]["locator_base"] = 4
    calm = {"augmentation": {"elastic": 0}, "optimiser": {"rate": 0.02}}
    config = tiny_config("located", steps=80, checkpoint_every=80, network=network, **calm)
    train(config, own_data, tmp_path / "run")
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    dice = [float(line.split(",")[log[0].split(",").index("dice")]) for line in log[1:]]
    assert sum(dice[-10:]) / 10 > 0.55 > 0.3 > sum(dice[:10]) / 10


def test_a_case_without_a_label_is_named_and_nothing_is_written(own_data: Path, tmp_path: Path) -> None:
    (own_data / "source_label" / "case1.nrrd").unlink()
    with pytest.raises(InputError, match=r"1 of 3 cases have no label of the organ .* among them case1;"):
        train(tiny_config("located"), own_data, tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_case_to_validate_on_needs_no_label(own_data: Path, tmp_path: Path) -> None:
    (own_data / "source_label" / "case1.nrrd").unlink()
    train(tiny_config("located", validation={"cases": ("case1",), "every": 6}), own_data, tmp_path / "run")
    assert (tmp_path / "run" / "best.safetensors").exists()


def test_a_changed_label_is_changed_data_for_this_network_only(own_data: Path, tmp_path: Path) -> None:
    train(tiny_config("located"), own_data, tmp_path / "run", stop_after=2)
    train(tiny_config(), own_data, tmp_path / "other", stop_after=2)
    label = own_data / "source_label" / "case1.nrrd"
    label.write_bytes((own_data / "source_label" / "case2.nrrd").read_bytes())
    with pytest.raises(InputError, match="case1 have changed"):
        train(tiny_config("located"), own_data, tmp_path / "run")
    train(tiny_config(), own_data, tmp_path / "other")


def test_a_run_from_before_there_was_a_region_goes_on_and_another_one_is_refused(
    own_data: Path, tmp_path: Path
) -> None:
    train(tiny_config(), own_data, tmp_path / "run", stop_after=2)
    path = tmp_path / "run" / "config.json"
    record = json.loads(path.read_text())
    del record["config"]["sampling"]["region"]
    path.write_text(json.dumps(record))
    train(tiny_config(), own_data, tmp_path / "run")
    record["config"]["steps"] = 7
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="another configuration"):
        train(tiny_config(), own_data, tmp_path / "run")


def test_the_network_and_its_objective_need_one_another_and_the_label(own_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"set sampling\.region to 'organ'"):
        train(tiny_config("located", sampling={}), own_data, tmp_path / "a")
    with pytest.raises(InputError, match="trains the network 'located' only"):
        train(tiny_config("located", dims=3, **_unet()), own_data, tmp_path / "b")
    source = {"spatial_dims": 3, "patch_size": [10, 20, 18], "resampling": {"mode": "none"}}
    with pytest.raises(InputError, match=r"set source\.resampling\.mode to 'fit'"):
        train(tiny_config("located", source=source), own_data, tmp_path / "c")
    with pytest.raises(InputError, match="Each of the committee's 2 members needs volumes of its own"):
        train(tiny_config("located", batch_size=3), own_data, tmp_path / "d")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"sampling": {"region": "organ", "lesion": 0.5}}, "region is not the lesion"),
        ({"augmentation": {"mixup": 0.5}}, "would blend two organs"),
        ({"objective": {"lesion": 2}}, "objective.lesion has none"),
    ],
)
def test_settings_that_an_organ_has_no_use_for_are_refused(settings: dict, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        tiny_config("located", **settings)


def test_the_translator_is_taught_in_the_standard_frame(two_organs: tuple) -> None:
    volume, _, _ = two_organs
    network = networks.build("located", base=4, levels=3, points=4)
    assert isinstance(network, LocatedGenerator)
    network.centre.copy_(torch.tensor([0.1, 0.0, -0.1]))
    network.spread.copy_(torch.tensor([0.2, 0.3, 0.25]))
    organ = volume[:, None]
    batch = Batch(2 * organ - 1, 1 - 2 * organ, organ, organ=organ)
    seen = Located(LocatedOptions(jitter=0))._in_standard_frame(batch, network, torch.Generator())
    for found in ((seen.source + 1) / 2, (1 - seen.target) / 2):
        centre, spread = moments(found[:, 0])
        torch.testing.assert_close(centre, network.centre.expand(2, -1), atol=0.01, rtol=0)
        torch.testing.assert_close(spread, network.spread.expand(2, -1), atol=0.01, rtol=0)
    assert set(seen.weight.unique().tolist()) == {0.0, 1.0}
    assert (seen.weight <= (seen.source > 0.9).float()).all()
    jittered = Located(LocatedOptions(jitter=0.1))._in_standard_frame(batch, network, torch.Generator())
    assert (jittered.source - seen.source).abs().max() > 0.1


def test_a_mirrored_volume_has_its_organ_found_in_the_mirrored_place(two_organs: tuple) -> None:
    network = networks.build("located", base=4, levels=3, points=4, locator_base=2, mirrored=True).eval()
    assert isinstance(network, LocatedGenerator)
    image = (2 * two_organs[0] - 1)[:, None]
    centre, spread = network.locate(image)
    other_centre, other_spread = network.locate(image.flip(-1))
    torch.testing.assert_close(other_centre, centre * torch.tensor([1.0, 1.0, -1.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(other_spread, spread, atol=1e-5, rtol=0)


def _unet() -> dict:
    return {"network": tiny_config(dims=3).network.model_dump()}
