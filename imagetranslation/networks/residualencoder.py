"""The residual-encoder U-Net of nnU-Net (Isensee et al., MICCAI 2024), for regression of one image from another.

Residual blocks (He et al., CVPR 2016: convolution-norm-ReLU-convolution-norm, added, ReLU) on the way down, many at the
coarse stages; one plain block a stage on the way up; instance normalisation and leaky ReLU throughout.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .layers import CONVOLUTIONS, MEAN_POOLS, NORMS, require_dims, require_norm

SLOPE = 0.01  # of the leaky ReLU


class ResidualEncoderUNet(nn.Module):
    """(batch, in_channels, *size) -> (batch, out_channels, *size); sizes are multiples of 2**(stages - 1).

    channels: features of each stage, finest first (32, 64, 128, 256, 320, 320 in nnU-Net). blocks: residual blocks of
    each stage of the encoder (1, 3, 4, 6, 6, 6). norm: "instance" (nnU-Net) or "batch". bounded: end with tanh.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[float] = (32, 64, 128, 256, 320, 320),
        blocks: Sequence[float] = (1, 3, 4, 6, 6, 6),
        norm: str = "instance",
        bounded: bool = True,
    ) -> None:
        super().__init__()
        require_dims(spatial_dims)
        require_norm(norm)
        if not 2 <= len(channels) == len(blocks) <= 8:
            raise ValueError("channels and blocks must name the same 2 to 8 stages")
        if not all(1 <= count <= 32 for count in blocks):
            raise ValueError(f"every stage must have 1 to 32 blocks, not {blocks}")
        make = _Layers(spatial_dims, norm)
        widths = [int(width) for width in channels]
        self.stem = make.finished(in_channels, widths[0])
        self.down = nn.ModuleList()
        for stage, (before, after, count) in enumerate(zip([widths[0], *widths], widths, blocks)):
            first = Residual(make, before, after, stride=1 if stage == 0 else 2)
            self.down.append(nn.Sequential(first, *(Residual(make, after, after) for _ in range(int(count) - 1))))
        pairs = list(zip(widths[:0:-1], widths[-2::-1]))
        self.enlarge = nn.ModuleList(CONVOLUTIONS[spatial_dims][1](a, b, 2, stride=2) for a, b in pairs)
        self.up = nn.ModuleList(make.finished(2 * b, b) for _, b in pairs)
        self.head = make.convolution(widths[0], out_channels, 1)
        self.factor, self.bounded = 2 ** (len(widths) - 1), bounded

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate a batch; ValueError for a size that does not divide."""
        if any(size % self.factor for size in x.shape[2:]):
            raise ValueError(f"sizes {tuple(x.shape[2:])} must be multiples of {self.factor}")
        x, skips = self.stem(x), []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        skips.pop()
        for enlarge, block in zip(self.enlarge, self.up):
            x = block(torch.cat([enlarge(x), skips.pop()], dim=1))
        x = self.head(x)
        return torch.tanh(x) if self.bounded else x


class Residual(nn.Module):
    """Two 3-convolutions with norm; the shortcut is pooled and mapped by a 1-convolution where shapes differ."""

    def __init__(self, make: _Layers, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.first = make.finished(before, after, stride)
        self.second = nn.Sequential(make.convolution(after, after, 3, padding=1, bias=False), make.norm(after))
        shortcut: list[nn.Module] = [make.pool(stride)] if stride > 1 else []
        if before != after:
            shortcut += [make.convolution(before, after, 1, bias=False), make.norm(after)]
        self.shortcut = nn.Sequential(*shortcut)
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any size that the stride divides."""
        return self.activation(self.second(self.first(x)) + self.shortcut(x))


class _Layers:
    """Makes the layers of one network: dimensions and norm are the same everywhere."""

    def __init__(self, dims: int, norm: str) -> None:
        self.convolution = CONVOLUTIONS[dims][0]
        self.pool = MEAN_POOLS[dims]
        self._norm = NORMS[norm][dims]

    def norm(self, width: int) -> nn.Module:
        return self._norm(width, affine=True)

    def finished(self, before: int, after: int, stride: int = 1) -> nn.Sequential:
        """Convolution, norm, activation."""
        convolution = self.convolution(before, after, 3, stride=stride, padding=1, bias=False)
        return nn.Sequential(convolution, self.norm(after), nn.LeakyReLU(SLOPE))


def residual_encoder(**arguments: int | str | bool | Sequence[float]) -> ResidualEncoderUNet:
    """The registry's builder; arguments as `ResidualEncoderUNet` takes them."""
    return ResidualEncoderUNet(**arguments)  # type: ignore[arg-type]
