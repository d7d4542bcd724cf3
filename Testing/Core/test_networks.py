"""The registry and the pix2pix networks."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from imagetranslation import networks
from imagetranslation.errors import ModelRefused


def parameters(network: torch.nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in network.parameters())


def test_the_studys_generator_has_its_size() -> None:
    with torch.device("meta"):
        assert parameters(networks.build("pix2pix")) == 54_408_385
        assert parameters(networks.build("pix2pix", in_channels=3, out_channels=3)) == 54_414_531


def test_the_small_generator_stays_below_three_million() -> None:
    assert parameters(networks.build("pix2pix-small")) <= 3_000_000


@pytest.mark.parametrize("arguments", [{"base": 8, "levels": 5}, {"base": 4, "levels": 4, "spatial_dims": 3}])
def test_the_unet_keeps_shape_and_range(arguments: dict) -> None:
    torch.manual_seed(0)
    network = networks.build("pix2pix", **arguments)
    shape = (2, 1, *[32] * arguments.get("spatial_dims", 2))
    made = network(torch.randn(shape))
    assert made.shape == shape
    assert made.abs().max() <= 1


def test_the_unet_says_which_sizes_it_takes() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        networks.build("pix2pix", base=4, levels=4)(torch.zeros(1, 1, 40, 40))


def test_dropout_is_in_the_three_innermost_up_blocks_only() -> None:
    network = networks.build("pix2pix", base=4, levels=6)
    with_dropout = [any(isinstance(m, torch.nn.Dropout) for m in block.modules()) for block in network.up]
    assert with_dropout == [True, True, True, False, False]


@pytest.mark.parametrize("size", [(64, 64), (59, 44), (16, 16), (7, 33)])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_the_small_generator_takes_any_size(size: tuple[int, int], norm: str) -> None:
    network = networks.build("pix2pix-small", base=4, levels=4, norm=norm).eval()
    made = network(torch.randn(2, 1, *size))
    assert made.shape == (2, 1, *size)
    assert made.abs().max() <= 1


def test_coordinates_tell_places_apart_in_a_constant_image() -> None:
    torch.manual_seed(0)
    flat = torch.zeros(1, 1, 48, 48)
    inner = (slice(None), slice(None), slice(20, 28), slice(20, 28))
    without = networks.build("pix2pix-small", base=4, levels=2, coordinates=False).eval()(flat)[inner]
    with_them = networks.build("pix2pix-small", base=4, levels=2, coordinates=True).eval()(flat)[inner]
    assert without.std() < 1e-6
    assert with_them.std() > 1e-4


def test_a_committee_averages_its_members() -> None:
    torch.manual_seed(0)
    network = networks.build("pix2pix-small", base=4, levels=3, members=3).eval()
    image = torch.randn(2, 1, 16, 16)
    expected = sum(member(image) for member in network.members) / 3
    torch.testing.assert_close(network(image), expected)


def test_in_training_each_member_learns_from_its_own_share() -> None:
    torch.manual_seed(0)
    network = networks.build("pix2pix-small", base=4, levels=3, members=2)
    network(torch.randn(4, 1, 16, 16))[:2].sum().backward()
    first, second = ([p.grad for p in member.parameters()] for member in network.members)
    assert any(grad is not None and grad.abs().sum() > 0 for grad in first)
    assert all(grad is None or grad.abs().sum() == 0 for grad in second)
    with pytest.raises(ValueError, match="cannot be shared"):
        network(torch.randn(1, 1, 16, 16))


@pytest.fixture
def a_positioned_network() -> torch.nn.Module:
    """A tiny whole-volume network whose corrections are not zero."""
    torch.manual_seed(0)
    network = networks.build("pix2pix-small", spatial_dims=3, base=4, levels=3, members=2, points=5)
    for name, parameter in network.named_parameters():
        if "head" in name or name == "shift":
            torch.nn.init.normal_(parameter, 0, 0.1)
    return network.eval()


def test_a_volume_is_translated_as_its_positioned_slices_are(a_positioned_network: torch.nn.Module) -> None:
    volume = torch.randn(2, 1, 6, 16, 20)
    whole = a_positioned_network(volume)
    assert whole.shape == volume.shape
    for number in range(6):
        position = torch.full((2,), (number + 0.5) / 6 * 2 - 1)
        torch.testing.assert_close(whole[:, :, number], a_positioned_network(volume[:, :, number], position))


def test_a_learnt_point_shows_where_it_was_learnt(a_positioned_network: torch.nn.Module) -> None:
    torch.nn.init.zeros_(a_positioned_network.shift)
    empty = torch.zeros(1, 1, 5, 10, 15)
    before = a_positioned_network(empty)
    with torch.no_grad():
        a_positioned_network.shift[0, 0, 1, 3, 4] = 0.1
    change = (a_positioned_network(empty) - before)[0, 0].abs()
    assert change.amax(dim=(1, 2)).argmax() == 1
    assert change.amax(dim=(0, 2)).argmax() in (6, 7)
    assert change.amax(dim=(0, 1)).argmax() in (12, 13, 14)


def test_a_fresh_positioned_network_gives_the_mean_it_starts_from() -> None:
    network = networks.build("pix2pix-small", spatial_dims=3, base=4, levels=3, points=4).eval()
    mean = torch.linspace(-0.8, 0.8, 4)[:, None, None].expand(4, 8, 12)
    network.start_from(mean, torch.ones(4, 8, 12))
    made = network(torch.randn(1, 1, 4, 16, 16))
    torch.testing.assert_close(made[0, 0, :, 8, 8], mean[:, 0, 0])


def test_places_without_data_start_from_the_overall_mean() -> None:
    network = networks.build("pix2pix-small", spatial_dims=3, base=4, levels=3, points=2).eval()
    weight = torch.ones(4, 4, 4)
    weight[:2] = 0
    network.start_from(torch.full((4, 4, 4), 0.3), weight)
    torch.testing.assert_close(torch.tanh(network.mean), torch.full((1, 1, 2, 2, 2), 0.3))


def test_corrections_are_trusted_in_part(a_positioned_network: torch.nn.Module) -> None:
    image, position = torch.randn(1, 1, 16, 16), torch.zeros(1)
    half = torch.atanh(a_positioned_network(image, position))
    a_positioned_network.trust = 1.0
    torch.testing.assert_close(torch.atanh(a_positioned_network(image, position)), 2 * half, atol=1e-5, rtol=1e-4)


def test_the_paper_size_patchgan_judges_seventy_pixels() -> None:
    torch.manual_seed(0)
    network = networks.build("patch-discriminator", in_channels=2).eval()
    image = torch.randn(1, 2, 128, 128, requires_grad=True)
    logits = network(image)
    logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2].backward()
    touched = image.grad.abs().sum(dim=(0, 1)).nonzero()
    assert (touched.amax(dim=0) - touched.amin(dim=0) + 1).tolist() == [70, 70]


def test_an_unknown_network_and_impossible_arguments_are_refused() -> None:
    with pytest.raises(ModelRefused, match="Unknown network"):
        networks.build("os.system")
    with pytest.raises(ModelRefused, match="cannot be built"):
        networks.build("pix2pix", wings=2)
    with pytest.raises(ModelRefused, match="spatial_dims"):
        networks.build("pix2pix-small", spatial_dims=4)
    with pytest.raises(ModelRefused, match="trust"):
        networks.build("pix2pix-small", spatial_dims=3, trust=0)
    with pytest.raises(ModelRefused, match="members"):
        networks.build("pix2pix-small", members=1000)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="taken"):
        networks.register("pix2pix", "somewhere:else")
    assert networks.names() == sorted(networks.names())


def test_looking_up_names_does_not_import_torch() -> None:
    code = "import sys; from imagetranslation import networks; networks.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("pix2pix", {"levels": 4096}),
        ("pix2pix", {"levels": 1}),
        ("pix2pix-small", {"levels": 17}),
        ("patch-discriminator", {"layers": 4096}),
    ],
)
def test_a_network_of_absurd_depth_is_refused_before_it_is_built(name, arguments):
    with pytest.raises(ModelRefused, match="cannot be built"):
        networks.build(name, **arguments)
