"""The training objectives: what each asks of its networks, and the mathematics that is its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from imagetranslation import networks as registry
from imagetranslation.errors import InputError
from training_tools import encoder as encoders
from training_tools import objectives
from training_tools.objectives import cut, discogan, dualgan, gcgan, parts, perceptual, reggan, travelgan
from training_tools.objectives.protocol import Batch, Shape

JUDGE = {"discriminator": {"base": 4, "layers": 1}}
OPTIONS: dict[str, dict[str, Any]] = {
    "pix2pix": {"ssim": 1.0, **JUDGE},
    "perceptual-pix2pix": JUDGE,
    "regression": {"ssim": 1.0},
    "cyclegan": {"cycle_ssim": 0.5, "pool": 2, **JUDGE},
    "discogan": JUDGE,
    "dualgan": {"critic_steps": 2, "critic": JUDGE["discriminator"]},
    "gcgan": {"identity": 1.0, **JUDGE},
    "travelgan": {"base": 4, "levels": 2, "length": 8, **JUDGE},
    "cut": {"layers": (0, 1, 2), "patches": 8, "width": 8, **JUDGE},
    "reggan": {"channels": (4, 8), **JUDGE},
    "bridge": {},
    "located": {"ssim": 1.0, **JUDGE},
}
GENERATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "bridge": ("bridge", {"channels": [8, 16], "steps": 2}),
    "located": ("located", {"base": 4, "levels": 2, "points": 4, "locator_base": 2}),
}
VOLUMES_ONLY = ("located",)
TRIED = [(name, dims) for name in OPTIONS for dims in (2, 3) if dims == 3 or name not in VOLUMES_ONLY]
USUAL = ("resnet", {"base": 4, "blocks": 1, "downsamplings": 1})


@pytest.fixture(scope="module")
def an_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "encoder"
    torch.manual_seed(0)
    encoders.save(encoders.Encoder((4, 8)), folder, {"data": "none"})
    return folder


def an_objective(name: str, an_encoder: Path, **more: Any) -> Any:
    class_ = objectives.find(name)
    options = {**OPTIONS[name], **more}
    if name == "perceptual-pix2pix":
        options["encoder"] = str(an_encoder)
    return class_(class_.Options(**options))  # type: ignore[call-arg]


def a_generator(name: str, dims: int = 2) -> torch.nn.Module:
    network, arguments = GENERATORS.get(name, USUAL)
    return registry.build(network, spatial_dims=dims, **arguments)


def a_batch(dims: int = 2, count: int = 2, *, paired: bool = True, size: int = 16) -> Batch:
    random = torch.Generator().manual_seed(3)
    shape = (count, 1, *[size] * dims)
    source = torch.rand(shape, generator=random) * 2 - 1
    weight = torch.ones(shape)
    weight[:, :, 0] = 0
    other = None if paired else weight.flip(2)
    return Batch(source, -source, weight, paired=paired, target_weight=other, organ=(source > 0).float())


def step(objective: Any, nets: Mapping[str, torch.nn.Module], batch: Batch, optimisers: dict, random: Any) -> dict:
    """What the training loop does in one step."""
    logged: dict[str, float] = {}
    for update in objective.updates(batch, nets, random):
        own = [p for name in objective.optimisers[update.optimiser] for p in nets[name].parameters()]
        for parameter, gradient in zip(own, torch.autograd.grad(update.loss, own, allow_unused=True)):
            parameter.grad = gradient
        optimisers[update.optimiser].step()
        logged.update({key: float(value) for key, value in update.logged.items()})
    return logged


def train(objective: Any, generator: torch.nn.Module, batch: Batch, steps: int, rate: float = 2e-3) -> list[dict]:
    nets = objective.networks(generator, Shape(batch.source.ndim - 2, 1, tuple(batch.source.shape[2:])))
    optimisers = {
        key: torch.optim.Adam([p for name in names for p in nets[name].parameters()], lr=rate)
        for key, names in objective.optimisers.items()
    }
    random = torch.Generator().manual_seed(0)
    return [step(objective, nets, batch, optimisers, random) for _ in range(steps)]


def test_every_objective_is_tried_here() -> None:
    assert set(objectives.names()) == set(OPTIONS)
    with pytest.raises(InputError, match="Unknown objective 'pix3pix'"):
        objectives.find("pix3pix")


@pytest.mark.parametrize(("name", "dims"), TRIED)
def test_a_step_moves_every_network_that_has_an_optimiser(name: str, dims: int, an_encoder: Path) -> None:
    torch.manual_seed(0)
    objective = an_objective(name, an_encoder)
    batch = a_batch(dims, paired=not objective.unpaired)
    nets = objective.networks(a_generator(name, dims), Shape(dims, 1, tuple(batch.source.shape[2:])))
    assert set(sum(objective.optimisers.values(), ())) <= set(nets)
    optimisers = {
        key: torch.optim.SGD([p for n in names for p in nets[n].parameters()], lr=0.1)
        for key, names in objective.optimisers.items()
    }
    before = {name: [p.detach().clone() for p in net.parameters()] for name, net in nets.items()}
    logged = step(objective, nets, batch, optimisers, torch.Generator().manual_seed(0))
    moved = {name for name, net in nets.items() if any((p != q).any() for p, q in zip(net.parameters(), before[name]))}
    assert moved == set(sum(objective.optimisers.values(), ()))
    assert logged
    assert all(math.isfinite(value) for value in logged.values())


@pytest.mark.parametrize("name", OPTIONS)
def test_a_step_repeats_itself(name: str, an_encoder: Path) -> None:
    logs = []
    for _ in range(2):
        torch.manual_seed(0)
        objective = an_objective(name, an_encoder)
        dims = 3 if name in VOLUMES_ONLY else 2
        logs.append(train(objective, a_generator(name, dims), a_batch(dims, paired=not objective.unpaired), 2))
    assert logs[0] == logs[1]
    assert set(logs[0][0]) == set(logs[0][1])


@pytest.mark.parametrize("name", ["pix2pix", "perceptual-pix2pix", "regression", "reggan", "bridge"])
def test_a_pair_is_learnt(name: str, an_encoder: Path) -> None:
    torch.manual_seed(0)
    generator, batch = a_generator(name), a_batch()
    before = (generator(batch.source) - batch.target).abs()[batch.weight > 0].mean()
    train(an_objective(name, an_encoder), generator, batch, 60)
    after = (generator(batch.source) - batch.target).abs()[batch.weight > 0].mean()
    assert after < 0.7 * before


@pytest.mark.parametrize("name", OPTIONS)
def test_unknown_options_and_impossible_values_are_refused(name: str, an_encoder: Path) -> None:
    with pytest.raises(ValueError, match="colour"):
        an_objective(name, an_encoder, colour=1)


@pytest.mark.parametrize("name", ["cyclegan", "discogan", "dualgan", "travelgan", "cut"])
def test_what_needs_a_source_of_one_channel_says_so(name: str, an_encoder: Path) -> None:
    with pytest.raises(InputError, match="one channel"):
        an_objective(name, an_encoder).networks(a_generator(name), Shape(2, 3, (16, 16)))


class TestParts:
    def test_a_second_generator_has_the_firsts_distribution_and_other_values(self) -> None:
        torch.manual_seed(0)
        first = a_generator("cyclegan")
        second = parts.fresh_like(first)
        for a, b in zip(first.parameters(), second.parameters()):
            assert torch.equal(a.flatten().sort().values, b.flatten().sort().values)
        assert not torch.equal(first(a_batch().source), second(a_batch().source))

    def test_a_pool_gives_back_earlier_images_half_of_the_time(self) -> None:
        pool, random = parts.Pool(10, (1, 1)), torch.Generator().manual_seed(0)
        seen = [float(pool.swap(torch.full((1, 1, 1, 1), float(n)), random)) for n in range(1010)]
        assert seen[:10] == list(map(float, range(10)))
        earlier = sum(value != number for number, value in enumerate(seen)) / 1000
        assert earlier == pytest.approx(0.5, abs=0.05)
        assert all(value <= number for number, value in enumerate(seen))

    def test_a_pool_is_kept_with_the_networks(self) -> None:
        pool = parts.Pool(2, (1, 1))
        pool.swap(torch.ones(1, 1, 1, 1), torch.Generator())
        other = parts.Pool(2, (1, 1))
        other.load_state_dict(pool.state_dict())
        assert int(other.held) == 1
        assert torch.equal(other.images, pool.images)

    def test_a_pool_of_nothing_shows_what_it_is_given(self) -> None:
        made = torch.ones(1, 1, 2, 2)
        assert parts.Pool(0, (2, 2)).swap(made, torch.Generator()) is made


class TestMathematics:
    def test_a_shift_moves_the_image_against_itself(self) -> None:
        image = torch.zeros(1, 1, 5, 6)
        image[0, 0, 2, 3] = 1
        shifts = torch.zeros(1, 2, 5, 6)
        shifts[:, 0], shifts[:, 1] = 1, -2
        assert reggan.warp(image, shifts)[0, 0].nonzero().tolist() == [[1, 5]]
        torch.testing.assert_close(reggan.warp(image, torch.zeros(1, 2, 5, 6)), image)

    def test_a_volume_is_warped_along_its_own_axes(self) -> None:
        volume = torch.rand(1, 1, 3, 4, 5)
        shifts = torch.zeros(1, 3, 3, 4, 5)
        shifts[:, 0] = 1
        torch.testing.assert_close(reggan.warp(volume, shifts)[:, :, :2], volume[:, :, 1:])

    def test_a_registration_absorbs_a_misalignment(self) -> None:
        torch.manual_seed(0)
        axis = torch.linspace(-1, 1, 32)
        source = torch.exp(-((axis[:, None] ** 2 + axis[None] ** 2) / 0.1))[None, None] * 2 - 1
        batch = Batch(source, torch.roll(source, 3, dims=3), torch.ones_like(source))
        options = reggan.RegGANOptions(adversarial=0, smoothness=0.1, channels=(8, 16), discriminator={"base": 4})
        generator = registry.build("pixelwise", width=8)  # cannot move anything by itself
        logged = train(reggan.RegGAN(options), generator, batch, 150, rate=5e-3)
        assert logged[-1]["correction"] < 0.5 * logged[0]["correction"]

    def test_a_constant_shift_is_smooth_and_a_ramp_is_not(self) -> None:
        assert reggan.roughness(torch.full((1, 2, 4, 4), 3.0)) == 0
        ramp = torch.arange(4.0).expand(1, 2, 4, 4)
        assert reggan.roughness(ramp) == 1

    def test_contrast_is_least_where_each_place_finds_itself(self) -> None:
        places = torch.eye(4)
        own = cut.contrastive(places, places, 1, 0.07)
        assert float(own) == pytest.approx(math.log(1 + 3 * math.exp(-1 / 0.07)), abs=1e-6)
        chance = cut.contrastive(torch.ones(4, 4) / 2, places, 1, 0.07)
        assert float(chance) == pytest.approx(math.log(4))

    def test_contrast_compares_places_of_one_image_only(self) -> None:
        same = torch.eye(2).repeat(3, 1)  # three images with the same two places
        assert float(cut.contrastive(same, same, 3, 0.07)) < 1e-5

    def test_journeys_connect_every_two_images_once(self) -> None:
        vectors = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
        found = travelgan.journeys(vectors)
        assert found.tolist() == [[1, 0], [0, 2], [-1, 2]]
        assert float(travelgan.travelled(found, found)) == pytest.approx(0, abs=1e-6)
        assert float(travelgan.travelled(found, -found)) > 2
        assert float(travelgan.kept_apart(found, 1.0)) == 0
        assert float(travelgan.kept_apart(found, 3.0)) == pytest.approx((2 + 1 + 3 - math.sqrt(5)) / 3)
        with pytest.raises(InputError, match="batch_size of 2"):
            travelgan.journeys(vectors[:1])

    def test_a_quarter_turn_is_one(self) -> None:
        image = torch.rand(1, 1, 2, 3)
        turned = gcgan.turn(image)
        assert turned.shape == (1, 1, 3, 2)
        torch.testing.assert_close(gcgan.turn(gcgan.turn(gcgan.turn(turned))), image)

    def test_a_generator_that_ignores_pose_is_consistent(self, an_encoder: Path) -> None:
        objective, batch = an_objective("gcgan", an_encoder), a_batch()
        nets = objective.networks(registry.build("pixelwise", width=4), Shape(2, 1, (16, 16)))
        *_, last = objective.updates(batch, nets, torch.Generator())
        assert float(last.logged["consistency"]) == 0

    def test_critics_are_clipped_after_each_of_their_steps(self, an_encoder: Path) -> None:
        objective, batch = an_objective("dualgan", an_encoder), a_batch()
        nets = objective.networks(a_generator("dualgan"), Shape(2, 1, (16, 16)))
        kinds = []
        for update in objective.updates(batch, nets, torch.Generator()):
            kinds.append(update.optimiser)
        assert kinds == ["critic", "critic", "generator"]
        largest = max(float(p.detach().abs().max()) for p in nets["of_target"].parameters())
        assert largest == pytest.approx(0.01)
        dualgan.clip(nets["of_target"], 0.005)
        assert max(float(p.detach().abs().max()) for p in nets["of_target"].parameters()) == pytest.approx(0.005)

    def test_matching_is_of_means(self) -> None:
        a, b = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [1.0]])
        assert float(discogan.mean_difference([a], [b])) == 0
        assert float(discogan.mean_difference([a], [b + 1])) == 1
        assert float(perceptual.matched([a], [b])) == 1

    def test_an_image_that_is_the_target_matches_the_discriminator_as_it_is_then(self, an_encoder: Path) -> None:
        objective = an_objective("perceptual-pix2pix", an_encoder)
        nets = objective.networks(torch.nn.Identity(), Shape(2, 1, (16, 16)))
        batch = a_batch()
        batch = Batch(batch.source, batch.source, batch.weight)
        for update in objective.updates(batch, nets, torch.Generator()):
            if update.optimiser == "discriminator":  # moved as an optimiser would
                for weight in nets["discriminator"].parameters():
                    weight.data += 0.1 * torch.sin(torch.arange(weight.numel()).reshape(weight.shape))
        assert float(update.logged["matching"]) == 0
        assert float(update.logged["perceptual"]) == 0

    def test_a_perfect_cycle_costs_nothing(self, an_encoder: Path) -> None:
        objective, batch = an_objective("cyclegan", an_encoder), a_batch(paired=False)
        nets = objective.networks(a_generator("cyclegan"), Shape(2, 1, (16, 16)))
        nets["generator"] = nets["back"] = torch.nn.Identity()
        first = next(objective.updates(batch, nets, torch.Generator()))
        assert float(first.logged["cycle"]) == pytest.approx(0, abs=1e-6)
        assert float(first.logged["identity"]) == 0


class TestEncoder:
    def test_equal_images_are_at_no_distance_and_different_ones_apart(self, an_encoder: Path) -> None:
        encoder, batch = encoders.load(an_encoder), a_batch(size=32)
        same = encoders.distance(encoder, batch.source, batch.source, batch.weight)
        near = encoders.distance(encoder, batch.source, batch.source + 0.05, batch.weight)
        far = encoders.distance(encoder, batch.source, -batch.source, batch.weight)
        assert 0 == float(same) < float(near) < float(far)

    def test_what_lies_outside_the_weight_does_not_count(self, an_encoder: Path) -> None:
        encoder, image = encoders.load(an_encoder), torch.rand(1, 1, 64, 64)
        weight = torch.zeros_like(image)
        weight[..., :16] = 1
        other = image.clone()
        other[..., 40:] = 0
        assert float(encoders.distance(encoder, image, other, weight)) == 0

    def test_volumes_are_compared_slice_by_slice(self, an_encoder: Path) -> None:
        encoder, volume = encoders.load(an_encoder), torch.rand(2, 1, 3, 16, 16)
        weight, slices = torch.ones_like(volume), encoders.as_slices(volume)
        assert slices.shape == (6, 1, 16, 16)
        whole = encoders.distance(encoder, volume, volume.flip(4), weight)
        torch.testing.assert_close(whole, encoders.distance(encoder, slices, slices.flip(3), torch.ones_like(slices)))

    def test_training_restores_slices_and_repeats_itself(self) -> None:
        axis = torch.linspace(-1, 1, 24)
        slices = torch.stack([torch.sin(4 * axis[:, None] + n) * torch.cos(3 * axis[None]) for n in range(8)])[:, None]
        first, second = (encoders.fit(slices, steps=3, batch=4, seed=5) for _ in range(2))
        for a, b in zip(first.parameters(), second.parameters()):
            assert torch.equal(a, b)
        assert not any(p.requires_grad for p in first.parameters())

    def test_changed_weights_and_other_folders_are_refused(self, an_encoder: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="holds no encoder"):
            encoders.load(tmp_path)
        copy = tmp_path / "copy"
        copy.mkdir()
        for path in an_encoder.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        data = bytearray((copy / "weights.safetensors").read_bytes())
        data[-1] ^= 1
        (copy / "weights.safetensors").write_bytes(bytes(data))
        with pytest.raises(InputError, match="have changed"):
            encoders.load(copy)
