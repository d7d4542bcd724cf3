"""Encoder-decoders without skips: DiscoGAN's, and the study's 3-D autoencoder.

DiscoGAN: Kim et al., ICML 2017, section 3.1: 4x4 convolutions of stride 2 with leaky ReLU, mirrored by transposed ones.
Autoencoder: 3x3 convolutions in pairs with max pooling between (64-64-pool-128-128-pool in the study, mirrored).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .layers import CONVOLUTIONS, MAX_POOLS, NORMS, require_dims


class ConvDeconvGenerator(nn.Module):
    """(batch, in_channels, *size) -> (batch, out_channels, *size) in [-1, 1]; sizes are multiples of 2**levels.

    base: features of the first level, doubled at each next one up to 8 x base. levels: downsamplings; everything the
    output holds passes the coarsest of them.
    """

    def __init__(
        self, spatial_dims: int = 2, in_channels: int = 1, out_channels: int = 1, base: int = 64, levels: int = 4
    ) -> None:
        super().__init__()
        _check(spatial_dims, levels)
        down, up = CONVOLUTIONS[spatial_dims]
        norm = NORMS["batch"][spatial_dims]
        widths = [base * min(2**level, 8) for level in range(levels)]
        layers: list[nn.Module] = [down(in_channels, base, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for before, after in zip(widths, widths[1:]):
            layers += [down(before, after, 4, 2, 1, bias=False), norm(after), nn.LeakyReLU(0.2)]
        for before, after in zip(widths[::-1], widths[-2::-1]):
            layers += [up(before, after, 4, 2, 1, bias=False), norm(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, up(base, out_channels, 4, 2, 1), nn.Tanh())
        self.factor = 2**levels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate a batch; ValueError for a size that does not divide."""
        _check_size(x, self.factor)
        return self.layers(x)


class AutoEncoder(nn.Module):
    """(batch, in_channels, *size) -> (batch, out_channels, *size); sizes are multiples of 2**len(channels).

    channels: features of each pair of convolutions before a pooling, mirrored on the way back with nearest-neighbour
    enlargement. bounded: end with tanh.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[int] = (64, 128),
        bounded: bool = True,
    ) -> None:
        super().__init__()
        _check(spatial_dims, len(channels))
        widths = [int(width) for width in channels]
        self.down = nn.ModuleList(
            _pair(spatial_dims, a, b) for a, b in zip([in_channels, *widths], widths)
        )  # each is followed by a pooling
        self.pool = MAX_POOLS[spatial_dims](2)
        back = widths[::-1]
        self.up = nn.ModuleList(_pair(spatial_dims, a, b) for a, b in zip([back[0], *back], back))
        self.head = CONVOLUTIONS[spatial_dims][0](back[-1], out_channels, 3, padding=1)
        self.factor, self.bounded = 2 ** len(widths), bounded

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate a batch; ValueError for a size that does not divide."""
        _check_size(x, self.factor)
        for block in self.down:
            x = self.pool(block(x))
        for block in self.up:
            x = block(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        x = self.head(x)
        return torch.tanh(x) if self.bounded else x


class PixelwiseGenerator(nn.Module):
    """(batch, in_channels, *size) -> (batch, out_channels, *size) in [-1, 1], each voxel from its own values alone.

    A dense network of `layers` hidden layers of `width` units with ReLU, as the study's 2D-DualGAN used it: a learnt
    curve of brightness. It can recolour an image and nothing else.
    """

    def __init__(
        self, spatial_dims: int = 2, in_channels: int = 1, out_channels: int = 1, width: int = 64, layers: int = 3
    ) -> None:
        super().__init__()
        _check(spatial_dims, layers)
        convolution = CONVOLUTIONS[spatial_dims][0]
        hidden: list[nn.Module] = []
        for before in (in_channels, *[width] * (layers - 1)):
            hidden += [convolution(before, width, 1), nn.ReLU()]
        self.layers = nn.Sequential(*hidden, convolution(width, out_channels, 1), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any size."""
        return self.layers(x)


def conv_deconv(**arguments: int) -> ConvDeconvGenerator:
    """The registry's builder; arguments as `ConvDeconvGenerator` takes them."""
    return ConvDeconvGenerator(**arguments)


def autoencoder(**arguments: int | bool | Sequence[int]) -> AutoEncoder:
    """The registry's builder; arguments as `AutoEncoder` takes them."""
    return AutoEncoder(**arguments)  # type: ignore[arg-type]


def pixelwise(**arguments: int) -> PixelwiseGenerator:
    """The registry's builder; arguments as `PixelwiseGenerator` takes them."""
    return PixelwiseGenerator(**arguments)


def _pair(dims: int, before: int, after: int) -> nn.Sequential:
    convolution = CONVOLUTIONS[dims][0]
    return nn.Sequential(
        convolution(before, after, 3, padding=1), nn.ReLU(), convolution(after, after, 3, padding=1), nn.ReLU()
    )


def _check(dims: int, levels: int) -> None:
    require_dims(dims)
    if not 1 <= levels <= 8:
        raise ValueError(f"there must be 1 to 8 levels, not {levels}")


def _check_size(x: torch.Tensor, factor: int) -> None:
    if any(size % factor for size in x.shape[2:]):
        raise ValueError(f"sizes {tuple(x.shape[2:])} must be multiples of {factor}")
