"""A diffusion bridge from source to target that samples in a few steps.

The process is the Brownian bridge between the pair (Li et al., BBDM, CVPR 2023; Liu et al., I2SB, ICML 2023): at time t
in [0, 1] the image is (1 - t) target + t source + s sqrt(t (1 - t)) noise. The network is told the state, the source
and t, and answers the target. Sampling starts at the source, t = 1, and goes to 0 in equal steps along the mean of the
bridge, without fresh noise, so that one scan always gives one image. The network is a U-Net whose residual blocks are
scaled and shifted by the time (Dhariwal & Nichol, NeurIPS 2021); MONAI's would ask Slicer for two more packages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from .layers import CONVOLUTIONS, require_dims

GROUPS = 8  # of the group norms
FREQUENCIES = 32  # of the time's embedding
FASTEST = 1000.0  # radians over the whole of time, for the fastest of them


class BridgeGenerator(nn.Module):
    """(batch, in_channels, *size) -> (batch, out_channels, *size) in [-1, 1]; sizes are multiples of 2**(levels - 1).

    channels: features of each level, finest first, multiples of 8. blocks: residual blocks a level on each way. steps:
    network evaluations of one sampling. noise: s above, at training time. The bridge starts from the source's middle
    channel.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[float] = (32, 64, 128, 256),
        blocks: int = 2,
        steps: int = 4,
        noise: float = 0.5,
    ) -> None:
        super().__init__()
        require_dims(spatial_dims)
        if not (1 <= steps <= 100 and 1 <= blocks <= 8):
            raise ValueError(f"steps must be 1 to 100 and blocks 1 to 8, not {steps} and {blocks}")
        if not 2 <= len(channels) <= 8 or any(width % GROUPS or width < GROUPS for width in channels):
            raise ValueError(f"channels must be 2 to 8 multiples of {GROUPS}, not {channels}")
        widths = [int(width) for width in channels]
        self.network = TimedUNet(spatial_dims, in_channels + out_channels, out_channels, widths, blocks)
        self.middle, self.out_channels, self.factor = in_channels // 2, out_channels, 2 ** (len(widths) - 1)
        self.steps, self.noise = steps, noise

    def predict(self, state: torch.Tensor, source: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """The target that the network sees behind a state (n, out_channels, *size) at times (n,) in [0, 1]."""
        return torch.tanh(self.network(torch.cat([state, source], dim=1), time))

    def start(self, source: torch.Tensor) -> torch.Tensor:
        """The bridge's end at t = 1: the middle channel of the source for each channel of the output."""
        return source[:, self.middle : self.middle + 1].expand(-1, self.out_channels, *[-1] * (source.ndim - 2))

    def state(
        self, source: torch.Tensor, target: torch.Tensor, time: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """The bridge between a pair at times (n,); noise: standard normal, of the target's shape."""
        t = time.reshape(-1, *[1] * (target.ndim - 1))
        return (1 - t) * target + t * self.start(source) + self.noise * torch.sqrt(t * (1 - t)) * noise

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Sample: from t = 1 to 0 in `steps` equal steps. ValueError for a size that does not divide."""
        if any(size % self.factor for size in x.shape[2:]):
            raise ValueError(f"sizes {tuple(x.shape[2:])} must be multiples of {self.factor}")
        state = found = self.start(x)
        for number in range(self.steps, 0, -1):
            time = torch.full((x.shape[0],), number / self.steps, dtype=x.dtype, device=x.device)
            found = self.predict(state, x, time)
            # The mean of the bridge between the state and the answer, one step on.
            state = found + ((number - 1) / number) * (state - found)
        return found


class TimedUNet(nn.Module):
    """(n, before, *size), times (n,) in [0, 1] -> (n, after, *size), any numbers."""

    def __init__(self, dims: int, before: int, after: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        convolution, transposed = CONVOLUTIONS[dims]
        self.clock = nn.Sequential(nn.Linear(2 * FREQUENCIES, widths[-1]), nn.SiLU(), nn.Linear(widths[-1], widths[-1]))
        self.stem = convolution(before, widths[0], 3, padding=1)

        self.down = nn.ModuleList(TimedLevel(dims, width, width, widths[-1], blocks) for width in widths)
        self.halve = nn.ModuleList(convolution(a, b, 3, stride=2, padding=1) for a, b in zip(widths, widths[1:]))
        self.enlarge = nn.ModuleList(transposed(a, b, 2, stride=2) for a, b in zip(widths[:0:-1], widths[-2::-1]))
        self.up = nn.ModuleList(TimedLevel(dims, 2 * width, width, widths[-1], blocks) for width in widths[-2::-1])
        self.head = nn.Sequential(
            nn.GroupNorm(GROUPS, widths[0]), nn.SiLU(), convolution(widths[0], after, 3, padding=1)
        )

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """See the class."""
        clock, x, skips = self.clock(_waves(time)), self.stem(x), []
        for number, level in enumerate(self.down):
            x = level(x, clock)
            if number < len(self.halve):
                skips.append(x)
                x = self.halve[number](x)
        for enlarge, level in zip(self.enlarge, self.up):
            x = level(torch.cat([enlarge(x), skips.pop()], dim=1), clock)
        return self.head(x)


class TimedLevel(nn.Module):
    """Blocks one after another, at one resolution."""

    def __init__(self, dims: int, before: int, after: int, clock: int, blocks: int) -> None:
        super().__init__()
        sizes = [before, *[after] * (blocks - 1)]
        self.blocks = nn.ModuleList(TimedBlock(dims, size, after, clock) for size in sizes)

    def forward(self, x: torch.Tensor, clock: torch.Tensor) -> torch.Tensor:
        """As a block's."""
        for block in self.blocks:
            x = block(x, clock)
        return x


class TimedBlock(nn.Module):
    """Norm, SiLU and convolution twice, scaled and shifted by the time in between, added to what came in."""

    def __init__(self, dims: int, before: int, after: int, clock: int) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[dims][0]
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, before), nn.SiLU(), convolution(before, after, 3, padding=1))
        self.norm, self.timing = nn.GroupNorm(GROUPS, after), nn.Linear(clock, 2 * after)
        self.second = nn.Sequential(nn.SiLU(), convolution(after, after, 3, padding=1))
        self.shortcut = nn.Identity() if before == after else convolution(before, after, 1)

    def forward(self, x: torch.Tensor, clock: torch.Tensor) -> torch.Tensor:
        """x: (n, before, *size); clock: (n, width) of the time."""
        scale, shift = self.timing(clock).reshape(x.shape[0], -1, *[1] * (x.ndim - 2)).chunk(2, dim=1)
        return self.shortcut(x) + self.second(self.norm(self.first(x)) * (1 + scale) + shift)


def bridge(**arguments: int | float | Sequence[float]) -> BridgeGenerator:
    """The registry's builder; arguments as `BridgeGenerator` takes them."""
    return BridgeGenerator(**arguments)  # type: ignore[arg-type]


def _waves(time: torch.Tensor) -> torch.Tensor:
    """Sines and cosines of times (n,), from slow to fast: (n, 2 x FREQUENCIES)."""
    exponents = torch.arange(FREQUENCIES, dtype=time.dtype, device=time.device) / (FREQUENCIES - 1)
    angles = time[:, None] * torch.exp(math.log(FASTEST) * exponents)
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
