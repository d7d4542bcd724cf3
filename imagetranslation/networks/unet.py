"""U-Net with residual units, in two or three dimensions, for sliding windows or whole volumes.

The encoder-decoder of Ronneberger et al. (MICCAI 2015; 3D: Çiçek et al., MICCAI 2016) with strided convolutions in
place of pooling and, at each level, residual units (He et al., CVPR 2016) in the arrangement of Kerfoot et al.
(STACOM 2018), which is the arrangement of MONAI's `UNet`: weights trained there fit, in their order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .layers import CONVOLUTIONS, NORMS, require_dims, require_norm


class UNet(nn.Module):
    """(batch, in_channels, *size) -> (batch, out_channels, *size); sizes are multiples of 2**(levels - 1).

    channels: features at each level, finest first; there are as many levels. Each level but the last halves the image.
    units: residual units' convolutions on the way down (0: one plain convolution a level, on both ways). norm: "batch"
    or "instance"; with the first the output at a voxel depends on its surroundings only, so that windows of any size
    agree, while instance statistics are those of the window. dropout: probability after each normalisation. bounded:
    end with tanh; without it the output is any number.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[float] = (32, 64, 128, 256),
        units: int = 2,
        norm: str = "batch",
        dropout: float = 0.0,
        bounded: bool = False,
    ) -> None:
        super().__init__()
        require_dims(spatial_dims)
        if not 2 <= len(channels) <= 8 or not all(1 <= c <= 2048 and c == int(c) for c in channels):
            raise ValueError(f"channels must be 2 to 8 whole numbers from 1 to 2048, not {channels}")
        if not 0 <= units <= 8:
            raise ValueError(f"units must be 0 to 8, not {units}")
        require_norm(norm)
        make = _Layers(spatial_dims, NORMS[norm][spatial_dims], dropout)
        widths = [int(c) for c in channels]
        self.factor = 2 ** (len(widths) - 1)
        before = [in_channels, *widths[:-2]]
        self.down = nn.ModuleList(make.level(a, b, 2, units) for a, b in zip(before, widths[:-1]))
        self.bottom = make.level(widths[-2], widths[-1], 1, units)
        self.up = nn.ModuleList()
        for level in reversed(range(len(widths) - 1)):
            deeper = widths[-1] if level == len(widths) - 2 else widths[level]
            after = out_channels if level == 0 else widths[level - 1]
            self.up.append(make.expanding(deeper + widths[level], after, refined=units > 0, last=level == 0))
        self.bounded = bounded

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate a batch; see the class for shapes."""
        if any(size % self.factor for size in x.shape[2:]):
            raise ValueError(f"sizes {tuple(x.shape[2:])} must be multiples of {self.factor}")
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = self.bottom(x)
        for block in self.up:
            x = block(torch.cat([skips.pop(), x], dim=1))
        return torch.tanh(x) if self.bounded else x


class Residual(nn.Module):
    """Convolutions, with what they were given added to what they make (through `shortcut`, where shapes differ)."""

    def __init__(self, convolutions: nn.Sequential, shortcut: nn.Module) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape that the convolutions take."""
        return self.convolutions(x) + self.shortcut(x)


class _Layers:
    """Makes the blocks of one network: dimensions, norm and dropout are the same everywhere."""

    def __init__(self, dims: int, norm: type[nn.Module], dropout: float) -> None:
        self._convolution, self._transposed = CONVOLUTIONS[dims]
        self._norm, self._dropout = norm, dropout

    def level(self, before: int, after: int, stride: int, units: int) -> nn.Module:
        if units == 0:
            return self._finished(self._convolution(before, after, 3, stride, 1), after)
        first = self._finished(self._convolution(before, after, 3, stride, 1), after)
        others = [self._finished(self._convolution(after, after, 3, 1, 1), after) for _ in range(units - 1)]
        kernel = 3 if stride > 1 else 1
        same = stride == 1 and before == after
        shortcut = nn.Identity() if same else self._convolution(before, after, kernel, stride, kernel // 2)
        return Residual(nn.Sequential(first, *others), shortcut)

    def expanding(self, before: int, after: int, *, refined: bool, last: bool) -> nn.Module:
        """Twice the size; `refined` by a residual unit; the `last` convolution of a network is a bare one."""
        enlarged = self._transposed(before, after, 3, 2, 1, output_padding=1)
        if not refined:
            return nn.Sequential(enlarged) if last else self._finished(enlarged, after)
        again = self._convolution(after, after, 3, 1, 1)
        inner = nn.Sequential(again) if last else self._finished(again, after)
        return nn.Sequential(self._finished(enlarged, after), Residual(inner, nn.Identity()))

    def _finished(self, convolution: nn.Module, features: int) -> nn.Sequential:
        layers: list[nn.Module] = [convolution, self._norm(features)]
        if self._dropout:
            layers.append(nn.Dropout(self._dropout))
        return nn.Sequential(*layers, nn.PReLU())


def unet(**arguments: int | float | str | bool | Sequence[float]) -> UNet:
    """The registry's builder; arguments as `UNet` takes them."""
    return UNet(**arguments)  # type: ignore[arg-type]
