"""Convolutions as matrix products: the same images and gradients as torch's own, the same weights and names."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from imagetranslation import networks
from training_tools.training.convolutions import ProductConv2d, ProductConvTranspose2d, as_products, is_product
from training_tools.training.precision import laid_out
from training_tools.training.settings import Precision

LAYERS = {
    "down": lambda: nn.Conv2d(6, 256, 4, stride=2, padding=1),
    "same": lambda: nn.Conv2d(6, 256, 3, padding=1, bias=False),
    "uneven": lambda: nn.Conv2d(6, 256, (3, 5), stride=(2, 1), padding=(0, 2)),
    "up": lambda: nn.ConvTranspose2d(256, 6, 4, stride=2, padding=1),
    "up without bias": lambda: nn.ConvTranspose2d(256, 6, 3, stride=2, padding=1, bias=False),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("size", [(4, 4), (3, 5), (40, 44)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_product_gives_the_image_and_the_gradients_of_the_convolution(
    name: str, size: tuple[int, int], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    plain = LAYERS[name]()
    product = copy.deepcopy(plain)
    as_products(product)
    assert is_product(product)
    image = torch.randn(2, plain.in_channels, *size).to(memory_format=layout)
    first, second = image.clone().requires_grad_(), image.clone().requires_grad_()
    expected, found = plain(first), product(second)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    slope = torch.randn_like(expected)
    expected.backward(slope)
    found.backward(slope)
    torch.testing.assert_close(second.grad, first.grad, atol=1e-3, rtol=1e-3)
    for (key, one), (other, two) in zip(plain.named_parameters(), product.named_parameters()):
        assert key == other
        torch.testing.assert_close(two.grad, one.grad, atol=1e-2, rtol=1e-3)


def test_products_are_taken_where_positions_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = LAYERS["down"]()
    as_products(layer)
    taken = []
    real = nn.functional.unfold
    monkeypatch.setattr(nn.functional, "unfold", lambda *a, **k: taken.append(a[0].shape) or real(*a, **k))
    layer(torch.zeros(1, 6, 64, 64))
    assert taken == []
    layer(torch.zeros(1, 6, 8, 8))
    assert len(taken) == 1


def test_what_a_product_cannot_do_is_left_as_it_is() -> None:
    others = nn.Sequential(
        nn.Conv2d(256, 256, 3, groups=2),
        nn.Conv2d(6, 256, 3, dilation=2),
        nn.Conv2d(6, 256, 3, padding="same"),
        nn.Conv2d(6, 256, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(6, 8, 3),
        nn.Conv2d(6, 256, 1),
        nn.ConvTranspose2d(256, 6, 3, stride=2, output_padding=1),
    )
    as_products(others)
    assert not any(is_product(module) for module in others)


def test_a_network_keeps_its_names_weights_and_outputs_also_as_a_copy() -> None:
    torch.manual_seed(0)
    network = networks.build("pix2pix", base=32, levels=4).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    image = torch.rand(1, 1, 32, 32)
    expected = network(image).detach()
    laid_out(network, Precision(), torch.device("cpu"))
    kinds = {type(module) for module in copy.deepcopy(network).modules()}
    assert {ProductConv2d, ProductConvTranspose2d} <= kinds
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    torch.testing.assert_close(copy.deepcopy(network)(image), expected, atol=1e-4, rtol=1e-4)
    graphics = networks.build("pix2pix", base=32, levels=4)
    laid_out(graphics, Precision(), torch.device("cuda"))
    assert not any(is_product(module) for module in graphics.modules())
