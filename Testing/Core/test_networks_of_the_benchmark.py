"""The networks of the benchmark: the papers' layer counts, shapes, refusals, and what their objectives rely on."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from imagetranslation import networks
from imagetranslation.errors import ModelRefused

TINY: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "resnet 2-D": ("resnet", {"base": 4, "blocks": 2}, (2, 1, 16, 20)),
    "resnet 3-D": ("resnet", {"spatial_dims": 3, "base": 4, "blocks": 1}, (1, 1, 8, 8, 12)),
    "conv-deconv": ("conv-deconv", {"base": 4, "levels": 3}, (2, 1, 16, 24)),
    "autoencoder": ("autoencoder", {"channels": [4, 8]}, (2, 1, 4, 8, 12)),
    "pixelwise": ("pixelwise", {"width": 4}, (2, 1, 7, 9)),
    "residual encoder": ("residual-encoder-unet", {"channels": [4, 8], "blocks": [1, 2]}, (1, 1, 4, 8, 6)),
    "residual encoder 2.5-D": (
        "residual-encoder-unet",
        {"spatial_dims": 2, "in_channels": 5, "channels": [4, 8], "blocks": [1, 1]},
        (2, 5, 8, 10),
    ),
    "resvit": (
        "resvit",
        {"size": [16, 24], "base": 4, "blocks": 5, "reduction": 2, "inner": 8, "heads": 2},
        (2, 1, 16, 24),
    ),
    "bridge": ("bridge", {"channels": [8, 16], "steps": 2}, (2, 1, 8, 10)),
    "bridge 2.5-D": ("bridge", {"channels": [8, 16], "in_channels": 3, "steps": 2}, (2, 3, 8, 10)),
}


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.fixture(params=TINY)
def tiny(request: pytest.FixtureRequest) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    name, arguments, shape = TINY[request.param]
    return networks.build(name, **arguments), torch.randn(shape)


def test_an_image_keeps_its_grid_and_one_channel_in_range(tiny: tuple[torch.nn.Module, torch.Tensor]) -> None:
    network, image = tiny
    made = network(image)
    assert made.shape == (image.shape[0], 1, *image.shape[2:])
    assert made.abs().max() <= 1


def test_every_weight_learns(tiny: tuple[torch.nn.Module, torch.Tensor]) -> None:
    network, image = tiny
    (network(image) * torch.randn(1)).sum().backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    # Where a norm follows at once, or a norm that is the same for all, a shift has no effect.
    assert [name for name in idle if not name.endswith("bias")] == []


def test_layers_are_those_of_the_papers() -> None:
    with torch.device("meta"):
        # Zhu et al. 2017: 11.38 M for three channels with biases; one channel and none where a norm follows.
        assert parameters(networks.build("resnet", in_channels=3, out_channels=3)) == pytest.approx(11.37e6, rel=2e-3)
        # nnU-Net's "ResEncL" plan has about 102 M.
        assert parameters(networks.build("residual-encoder-unet")) == pytest.approx(102.35e6, rel=1e-3)
        study = networks.build("autoencoder")
    widths = [m.out_channels for m in study.modules() if isinstance(m, torch.nn.Conv3d)]
    assert widths == [64, 64, 128, 128, 128, 128, 64, 64, 1]


def test_a_voxel_of_the_pixelwise_network_depends_on_itself_alone() -> None:
    torch.manual_seed(0)
    network = networks.build("pixelwise").eval()
    image = torch.randn(1, 1, 6, 6)
    changed = image.clone()
    changed[0, 0, 2, 3] += 1
    assert (network(image) != network(changed)).nonzero().tolist() == [[0, 0, 2, 3]]


def test_nothing_passes_a_network_without_skips_but_its_coarsest_level() -> None:
    torch.manual_seed(0)
    network = networks.build("conv-deconv", base=4, levels=3).eval()
    coarse = network.layers[:8](torch.randn(1, 1, 16, 16))
    assert coarse.shape[2:] == (2, 2)


def test_features_of_the_residual_generator_come_in_order() -> None:
    network = networks.build("resnet", base=4, blocks=2)
    image = torch.randn(1, 1, 16, 16)
    found = network.features(image, (0, 1, 3, 5))
    assert [tuple(f.shape[1:]) for f in found] == [(1, 16, 16), (4, 16, 16), (16, 4, 4), (16, 4, 4)]
    assert network.depth() == 5
    assert found[0] is image


def test_the_transformer_sees_the_whole_image_at_once() -> None:
    torch.manual_seed(0)
    with_it = networks.build("resvit", size=[64, 64], base=4, blocks=1, reduction=4, inner=8, heads=2, layers=1).eval()
    image = torch.zeros(1, 1, 64, 64)
    changed = image.clone()
    changed[0, 0, :4, :4] = torch.randn(4, 4)
    tokens, other = (with_it.transformer(with_it.blocks[0].reduce(with_it.encoder(i))) for i in (image, changed))
    assert (tokens != other).all()


class TestTheBridge:
    @pytest.fixture
    def network(self) -> torch.nn.Module:
        torch.manual_seed(0)
        return networks.build("bridge", channels=[8, 16], steps=4, noise=0.5).eval()

    def test_it_lies_on_the_target_at_0_and_on_the_source_at_1(self, network: Any) -> None:
        source, target, noise = torch.randn(3, 2, 1, 8, 8)
        torch.testing.assert_close(network.state(source, target, torch.zeros(2), noise), target)
        torch.testing.assert_close(network.state(source, target, torch.ones(2), noise), source)

    def test_its_spread_is_that_of_a_brownian_bridge(self, network: Any) -> None:
        source = target = torch.zeros(4000, 1, 2, 2)
        state = network.state(source, target, torch.full((4000,), 0.3), torch.randn(4000, 1, 2, 2))
        assert float(state.std()) == pytest.approx(0.5 * (0.3 * 0.7) ** 0.5, rel=0.03)

    def test_a_network_that_knows_the_target_arrives_there(self, network: Any, monkeypatch: Any) -> None:
        source, target = torch.randn(2, 1, 1, 8, 8)
        seen = []

        def predict(state: torch.Tensor, source: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
            seen.append((float(time[0]), state))
            return target

        monkeypatch.setattr(network, "predict", predict)
        torch.testing.assert_close(network(source), target)
        assert [time for time, _ in seen] == [1.0, 0.75, 0.5, 0.25]
        torch.testing.assert_close(seen[2][1], 0.5 * target + 0.5 * source)

    def test_one_scan_gives_one_image(self, network: Any) -> None:
        image = torch.randn(1, 1, 8, 8)
        assert torch.equal(network(image), network(image))

    def test_time_matters(self, network: Any) -> None:
        state, source = torch.randn(2, 1, 1, 8, 8)
        early, late = (network.predict(state, source, torch.tensor([t])) for t in (0.1, 0.9))
        assert (early - late).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("name", "arguments", "shape", "said"),
    [
        ("resnet", {"base": 4, "blocks": 1}, (1, 1, 10, 16), "multiples of 4"),
        ("conv-deconv", {"base": 4, "levels": 3}, (1, 1, 12, 16), "multiples of 8"),
        ("autoencoder", {"channels": [4]}, (1, 1, 5, 8, 8), "multiples of 2"),
        ("residual-encoder-unet", {"channels": [4, 8], "blocks": [1, 1]}, (1, 1, 5, 8, 8), "multiples of 2"),
        ("resvit", {"size": [16, 16], "base": 4, "inner": 8}, (1, 1, 32, 32), r"takes images of \(16, 16\)"),
        ("bridge", {"channels": [8, 16]}, (1, 1, 9, 8), "multiples of 2"),
    ],
)
def test_a_size_that_does_not_fit_is_named(name: str, arguments: dict, shape: tuple, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        networks.build(name, **arguments)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("resnet", {"spatial_dims": 4}),
        ("resnet", {"norm": "layer"}),
        ("resnet", {"blocks": 0}),
        ("conv-deconv", {"levels": 0}),
        ("autoencoder", {"channels": []}),
        ("residual-encoder-unet", {"channels": [4, 8], "blocks": [1]}),
        ("residual-encoder-unet", {"channels": [4, 8], "blocks": [1, 0]}),
        ("resvit", {"size": [20, 16], "base": 4}),
        ("resvit", {"inner": 10, "heads": 4}),
        ("bridge", {"channels": [12, 16]}),
        ("bridge", {"steps": 0}),
        ("patch-discriminator", {"norm": "layer"}),
    ],
)
def test_arguments_that_make_no_network_are_refused(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ModelRefused):
        networks.build(name, **arguments)


def test_a_discriminator_shows_its_layers() -> None:
    judge = networks.build("patch-discriminator", base=4, layers=2, norm="instance").eval()
    image = torch.randn(1, 2, 32, 32)
    found = judge.features(image)
    assert len(found) == 4
    torch.testing.assert_close(found[-1], judge(image))
    assert any(isinstance(m, torch.nn.InstanceNorm2d) for m in judge.modules())
