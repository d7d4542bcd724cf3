"""The residual generator of CycleGAN, in two or three dimensions, after Johnson et al. (ECCV 2016).

In the notation of Zhu et al. (ICCV 2017, appendix 7.2) c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-1, with
reflection padding and instance normalisation. `features` gives what contrastive objectives compare.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .layers import CONVOLUTIONS, NORMS, PADDINGS, require_dims, require_norm


class ResNetGenerator(nn.Module):
    """(batch, in_channels, *size) -> (batch, out_channels, *size) in [-1, 1]; sizes are multiples of 2**downsamplings.

    base: features of the first layer, doubled at each downsampling. blocks: residual blocks (9 in the paper from 256
    pixels on, 6 below). norm: "instance" (paper) or "batch". dropout: probability inside the residual blocks.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        base: int = 64,
        blocks: int = 9,
        downsamplings: int = 2,
        norm: str = "instance",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_dims(spatial_dims)
        require_norm(norm)
        if not (1 <= blocks <= 64 and 1 <= downsamplings <= 6):
            raise ValueError(f"blocks must be 1 to 64 and downsamplings 1 to 6, not {blocks} and {downsamplings}")
        make = _Layers(spatial_dims, norm)
        widths = [base * 2**level for level in range(downsamplings + 1)]
        self.factor = 2**downsamplings
        self.encoder = nn.ModuleList([make.wide(in_channels, base)])
        self.encoder.extend(make.halving(a, b) for a, b in zip(widths, widths[1:]))
        self.blocks = nn.ModuleList(ResidualBlock(make, widths[-1], dropout) for _ in range(blocks))
        self.decoder = nn.ModuleList(make.doubling(a, b) for a, b in zip(widths[::-1], widths[-2::-1]))
        self.head = nn.Sequential(PADDINGS[spatial_dims](3), make.convolution(base, out_channels, 7), nn.Tanh())
        self.apply(_initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate a batch; see the class for shapes. ValueError for a size that does not divide."""
        if any(size % self.factor for size in x.shape[2:]):
            raise ValueError(f"sizes {tuple(x.shape[2:])} must be multiples of {self.factor}")
        for block in (*self.encoder, *self.blocks, *self.decoder):
            x = block(x)
        return self.head(x)

    def features(self, x: torch.Tensor, layers: Sequence[int]) -> list[torch.Tensor]:
        """What the numbered layers of encoder and residual blocks make of x, in the order of the numbers.

        Layer 0 is the image itself; 1 the first convolution; then downsamplings, then residual blocks.
        """
        found, wanted = [x] if 0 in layers else [], max(layers)
        for number, block in enumerate((*self.encoder, *self.blocks), start=1):
            if number > wanted:
                break
            x = block(x)
            if number in layers:
                found.append(x)
        return found

    def depth(self) -> int:
        """Number of the last layer that `features` knows."""
        return len(self.encoder) + len(self.blocks)


class ResidualBlock(nn.Module):
    """Two 3-convolutions with normalisation, added to what they were given."""

    def __init__(self, make: _Layers, width: int, dropout: float) -> None:
        super().__init__()
        middle = [nn.Dropout(dropout)] if dropout else []
        self.layers = nn.Sequential(*make.same(width), nn.ReLU(), *middle, *make.same(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any size of at least two voxels."""
        return x + self.layers(x)


class _Layers:
    """Makes the layers of one network. A convolution before a norm needs no bias: the norm takes it out again."""

    def __init__(self, dims: int, norm: str) -> None:
        self.convolution, self._transposed = CONVOLUTIONS[dims]
        self._norm, self._padding = NORMS[norm][dims], PADDINGS[dims]

    def wide(self, before: int, after: int) -> nn.Sequential:
        padded = (self._padding(3), self.convolution(before, after, 7, bias=False))
        return nn.Sequential(*padded, self._norm(after), nn.ReLU())

    def halving(self, before: int, after: int) -> nn.Sequential:
        strided = self.convolution(before, after, 3, stride=2, padding=1, bias=False)
        return nn.Sequential(strided, self._norm(after), nn.ReLU())

    def doubling(self, before: int, after: int) -> nn.Sequential:
        enlarged = self._transposed(before, after, 3, stride=2, padding=1, output_padding=1, bias=False)
        return nn.Sequential(enlarged, self._norm(after), nn.ReLU())

    def same(self, width: int) -> tuple[nn.Module, ...]:
        return self._padding(1), self.convolution(width, width, 3, bias=False), self._norm(width)


def resnet(**arguments: int | float | str) -> ResNetGenerator:
    """The registry's builder; arguments as `ResNetGenerator` takes them."""
    return ResNetGenerator(**arguments)  # type: ignore[arg-type]


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02) (paper, appendix 7.1)."""
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
