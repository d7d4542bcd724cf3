"""pix2pix-small: a U-Net generator for a few dozen patients and small images, our own design.

The study's 54 M-parameter generator cannot be learnt from eighteen blurred volumes and needs 128 or 256 pixels. This
one keeps the idea (encoder, skips, decoder, tanh) and changes what small data asks for: two 3x3 convolutions a level,
bilinear upsampling in place of transposed convolutions (no checkerboard), batch norm, and the pixel's position as two
more input channels. At most 3 M parameters by default.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


class SmallUNetGenerator(nn.Module):
    """(batch, in_channels, H, W) -> (batch, out_channels, H, W) in [-1, 1]; any size from 2**(levels - 1) pixels up.

    base: features of the first level, doubled at each next one up to 8 x base. levels: resolutions, the full one
    included.
    norm: "batch" (default) keeps the absolute brightness of a slice, which tells an empty end slice from a full
    one; "instance" rescales every slice by itself and amplifies noise in nearly empty ones. dropout: probability at
    the two coarsest levels. coordinates: append row and column positions in [-1, 1], made here, so that a package's
    input stays one channel; they let the network learn where in the fan an organ usually lies.
    A size that 2**(levels - 1) does not divide is padded by edge replication and cropped again.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        base: int = 24,
        levels: int = 5,
        norm: str = "batch",
        dropout: float = 0.3,
        coordinates: bool = True,
    ) -> None:
        super().__init__()
        if spatial_dims != 2:
            raise ValueError(f"pix2pix-small is two-dimensional; spatial_dims is {spatial_dims}")
        if norm not in _NORMS:
            raise ValueError(f"norm must be one of {', '.join(_NORMS)}, not {norm!r}")
        if levels < 2:
            raise ValueError(f"levels must be at least 2, not {levels}")
        self.coordinates = coordinates
        self.factor = 2 ** (levels - 1)
        widths = [base * min(2**level, 8) for level in range(levels)]
        before = in_channels + 2 * coordinates
        self.encoder = nn.ModuleList()
        for level, width in enumerate(widths):
            self.encoder.append(_block(before, width, norm, dropout if level >= levels - 2 else 0.0))
            before = width
        self.decoder = nn.ModuleList()
        for level in reversed(range(levels - 1)):
            self.decoder.append(_block(widths[level + 1] + widths[level], widths[level], norm, 0.0))
        self.head = nn.Conv2d(widths[0], out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate a batch of slices; see the class for shapes."""
        height, width = x.shape[-2:]
        x = functional.pad(x, (0, -width % self.factor, 0, -height % self.factor), mode="replicate")
        if self.coordinates:
            x = torch.cat([x, _positions(x, height, width)], dim=1)
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else functional.avg_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for block in self.decoder:
            up = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([up, skips.pop()], dim=1))
        return torch.tanh(self.head(x))[..., :height, :width]


class Committee(nn.Module):
    """Several generators whose outputs are averaged: with few patients, most of one network's error is its own.

    In training each member sees its own share of the batch (and draws its own gradient), so that a step costs what
    one network's step costs and members don't learn to lean on one another; in evaluation every member sees all.
    """

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate a batch; a training batch must hold at least one sample for each member."""
        if not self.training:
            return torch.stack([member(x) for member in self.members]).mean(dim=0)
        if len(x) < len(self.members):
            raise ValueError(f"a training batch of {len(x)} cannot be shared by {len(self.members)} members")
        shares = x.tensor_split(len(self.members))
        return torch.cat([member(share) for member, share in zip(self.members, shares)])


def pix2pix_small(members: int = 1, **arguments: int | float | str | bool) -> nn.Module:
    """The small generator that ships: one `SmallUNetGenerator`, or a `Committee` of `members` of them."""
    if not 1 <= members <= 64:
        raise ValueError(f"members must be 1 to 64, not {members}")
    generators: list[nn.Module] = [SmallUNetGenerator(**arguments) for _ in range(members)]  # type: ignore[arg-type]
    return generators[0] if members == 1 else Committee(generators)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance": lambda features: nn.InstanceNorm2d(features, affine=True),
}


def _block(before: int, after: int, norm: str, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for features in (before, after):
        layers += [nn.Conv2d(features, after, 3, padding=1, bias=False), _NORMS[norm](after), nn.LeakyReLU(0.1)]
    if dropout:
        layers.append(nn.Dropout2d(dropout))
    return nn.Sequential(*layers)


def _positions(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(batch, 2, H', W'): row and column, -1 at the first pixel of the unpadded image and +1 at its last."""
    rows = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype) * (2.0 / max(height - 1, 1)) - 1.0
    columns = torch.arange(x.shape[-1], device=x.device, dtype=x.dtype) * (2.0 / max(width - 1, 1)) - 1.0
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    return grid.expand(x.shape[0], -1, -1, -1)
