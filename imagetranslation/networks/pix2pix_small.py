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
    bounded: end with tanh; without it the output is a correction that starts at zero everywhere.
    A size that 2**(levels - 1) does not divide is padded by edge replication and cropped again.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        base: int = 24,
        levels: int = 5,
        norm: str = "batch",
        dropout: float = 0.3,
        coordinates: bool = True,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        if norm not in _NORMS:
            raise ValueError(f"norm must be one of {', '.join(_NORMS)}, not {norm!r}")
        if not 2 <= levels <= 16:
            raise ValueError(f"levels must be 2 to 16, not {levels}")
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
        self.bounded = bounded
        if not bounded:
            for parameter in self.head.parameters():
                nn.init.zeros_(parameter)

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
        made = self.head(x)[..., :height, :width]
        return torch.tanh(made) if self.bounded else made


class Committee(nn.Module):
    """Several generators whose outputs are averaged: with few patients, most of one network's error is its own.

    In training each member sees its own share of the batch (and draws its own gradient), so that a step costs what
    one network's step costs and members don't learn to lean on one another; in evaluation every member sees all.
    only: in evaluation the one member that answers, to see how far they differ; None for all.
    """

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.only: int | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate a batch; a training batch must hold at least one sample for each member."""
        if not self.training:
            if self.only is not None:
                return self.members[self.only](x)
            return torch.stack([member(x) for member in self.members]).mean(dim=0)
        if len(x) < len(self.members):
            raise ValueError(f"a training batch of {len(x)} cannot be shared by {len(self.members)} members")
        shares = x.tensor_split(len(self.members))
        return torch.cat([member(share) for member, share in zip(self.members, shares)])


class PositionedGenerator(nn.Module):
    """A slice-wise generator that knows where its slice lies in the volume, and what lies there on average.

    One slice doesn't tell its depth in the body, and with few patients the average anatomy is the best first guess.
    So the convolutions stay two-dimensional, but the network is given a whole volume: the slice's position is one
    more input channel, and what the convolutions say is a correction, before the final tanh, to the mean of the
    training volumes (`start_from`; a fixed grid of `points` along each axis, trilinear). A second such grid is learnt
    and corrects the mean where augmentation or position call for it.

    trust: in evaluation both corrections are multiplied by it: learnt from few patients, they are taken for part of
    the truth only, and the rest is left to the mean (shrinkage). In training they count in full.

    generator: (n, in_channels + 1, H, W) -> (n, 1, H, W) without the tanh. forward: a volume
    (batch, in_channels, D, H, W) -> (batch, 1, D, H, W); or, for training, slices (n, in_channels, H, W) with their
    `positions` (n,), -1 at the volume's first face and +1 at its last.
    """

    mean: torch.Tensor
    # Adam moves every parameter at one pace; the learnt grid is in units of the output and needs a faster one.
    PACE = 10.0

    def __init__(self, generator: nn.Module, points: int, trust: float) -> None:
        super().__init__()
        if not 0 < trust <= 1:
            raise ValueError(f"trust must lie in (0, 1], not {trust}")
        self.generator = generator
        self.trust = trust
        self.register_buffer("mean", torch.zeros(1, 1, points, points, points))
        self.shift = nn.Parameter(torch.zeros(1, 1, points, points, points))

    def start_from(self, average: torch.Tensor, weight: torch.Tensor) -> None:
        """Take the mean of the training volumes as the first guess.

        average: (D, H, W) in [-1, 1]. weight: the same shape, how much data is behind each voxel; where there is
        none the overall mean is put.
        """
        self.mean.copy_(mean_grid(average, weight, self.mean.shape[-1]))

    def forward(self, x: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
        """Translate a volume or positioned slices; see the class."""
        if positions is not None:
            return self._slices(x, positions)
        batch, channels, depth, height, width = x.shape
        places = centres(depth, x).repeat(batch)
        slices = x.transpose(1, 2).reshape(batch * depth, channels, height, width)
        return self._slices(slices, places).reshape(batch, depth, 1, height, width).transpose(1, 2)

    def _slices(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2:]
        places = positions.to(x)
        axes = (places, centres(height, x), centres(width, x))
        guess, shift = (sampled(grid, axes) for grid in (self.mean, self.PACE * self.shift))
        place = places.reshape(-1, 1, 1, 1).expand(-1, 1, height, width)
        correction = shift + self.generator(torch.cat([x, place], dim=1))
        return torch.tanh(guess + (1.0 if self.training else self.trust) * correction)


def pix2pix_small(
    spatial_dims: int = 2,
    in_channels: int = 1,
    members: int = 1,
    points: int = 12,
    trust: float = 0.5,
    **arguments: int | float | str | bool,
) -> nn.Module:
    """The small generator: `members` of `SmallUNetGenerator` (a `Committee` of them where more than one).

    spatial_dims: 2 for single slices; 3 for whole volumes, still with two-dimensional convolutions, each slice
    knowing its position (`PositionedGenerator`, which explains `points` and `trust`).
    """
    if spatial_dims not in (2, 3):
        raise ValueError(f"spatial_dims must be 2 or 3, not {spatial_dims}")
    if not 1 <= members <= 64:
        raise ValueError(f"members must be 1 to 64, not {members}")
    if not 2 <= points <= 64:
        raise ValueError(f"points must be 2 to 64, not {points}")
    positioned = spatial_dims == 3
    extra = {"bounded": False} if positioned else {}
    generators: list[nn.Module] = [
        SmallUNetGenerator(in_channels=in_channels + positioned, **arguments, **extra)  # type: ignore[arg-type]
        for _ in range(members)
    ]
    generator = generators[0] if members == 1 else Committee(generators)
    return PositionedGenerator(generator, points, trust) if positioned else generator


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


def mean_grid(average: torch.Tensor, weight: torch.Tensor, points: int) -> torch.Tensor:
    """(1, 1, points, points, points): a volume (D, H, W) in [-1, 1] on a coarse grid, before the final tanh.

    weight: the same shape, how much data is behind each voxel; where there is none the overall mean is put.
    """
    total = functional.adaptive_avg_pool3d((average * weight)[None, None], points)
    behind = functional.adaptive_avg_pool3d(weight[None, None], points)
    overall = (average * weight).sum() / weight.sum()
    mean = torch.where(behind > 0, total / behind.clamp(min=1e-6), overall)
    return torch.atanh(mean.clamp(-0.95, 0.95))


def sampled(grid: torch.Tensor, axes: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """(1, 1, p, p, p) at n slice, H row and W column positions in [-1, 1], trilinear: (n, 1, H, W).

    One axis after the other: the places form a grid, and matrices are what every engine can run.
    """
    slices, rows, columns = (towards(positions, grid.shape[-1]) for positions in axes)
    planes = (slices @ grid[0, 0].flatten(1)).reshape(-1, 1, *grid.shape[3:])
    return rows @ planes @ columns.transpose(0, 1)


def towards(positions: torch.Tensor, points: int) -> torch.Tensor:
    """(..., points) linear weights of `points` equal parts of [-1, 1] at positions; beyond the outer centres theirs."""
    places = (((positions + 1) * points - 1) / 2).clamp(0, points - 1)
    numbers = torch.arange(points, device=places.device, dtype=places.dtype)
    return (1 - (places[..., None] - numbers).abs()).clamp(min=0)


def centres(size: int, like: torch.Tensor) -> torch.Tensor:
    """(size,) centres of `size` equal parts of [-1, 1]."""
    return (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) * (2.0 / size) - 1.0


def _positions(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(batch, 2, H', W'): row and column, -1 at the first pixel of the unpadded image and +1 at its last."""
    rows = torch.arange(x.shape[-2], device=x.device, dtype=x.dtype) * (2.0 / max(height - 1, 1)) - 1.0
    columns = torch.arange(x.shape[-1], device=x.device, dtype=x.dtype) * (2.0 / max(width - 1, 1)) - 1.0
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    return grid.expand(x.shape[0], -1, -1, -1)
