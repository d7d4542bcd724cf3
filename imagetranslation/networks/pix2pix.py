"""The U-Net generator of pix2pix, written from Isola, Zhu, Zhou, Efros, CVPR 2017, section 6.1.1.

In the paper's notation the encoder is C64-C128-C256-C512-C512-C512-C512-C512 and the decoder
CD512-CD512-CD512-C512-C256-C128-C64, 4x4 convolutions of stride 2, skips between mirrored levels. Losses and training
are left to the tools; the small variant that ships is in `pix2pix_small`.
"""

from __future__ import annotations

import torch
from torch import nn

from .layers import CONVOLUTIONS, NORMS

DROPOUT_BLOCKS = 3  # the innermost up-blocks with dropout 0.5
LARGEST_MULTIPLE = 8  # features stop growing at 8 x base


class UNetGenerator(nn.Module):
    """Encoder-decoder with skips: (batch, in_channels, [D,] H, W) -> (batch, out_channels, [D,] H, W) in [-1, 1].

    spatial_dims: 2 or 3. base: features of the first level (64 in the paper; 54.4 M parameters with 8 levels in 2D).
    levels: number of downsamplings; every spatial size must be a multiple of 2**levels (8 suits 256 pixels, 7 suits
    128; the paper's own bottleneck is one pixel). dropout: probability in the three innermost up-blocks.
    Input is expected in [-1, 1]. Raises ValueError for a size that does not divide.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        base: int = 64,
        levels: int = 8,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims must be 2 or 3, not {spatial_dims}")
        if not 2 <= levels <= 16:
            raise ValueError(f"levels must be 2 to 16, not {levels}")
        self.factor = 2**levels
        features = [base * min(2**level, LARGEST_MULTIPLE) for level in range(levels)]
        self.down = nn.ModuleList()
        for level, width in enumerate(features):
            before = in_channels if level == 0 else features[level - 1]
            # The first block has no normalisation (paper), nor has the one-pixel bottleneck, where a norm would
            # leave only its bias.
            self.down.append(_down(spatial_dims, before, width, norm=0 < level < levels - 1, activate=level > 0))
        self.up = nn.ModuleList()
        for step, level in enumerate(reversed(range(1, levels))):
            before = features[level] if step == 0 else 2 * features[level]
            probability = dropout if step < DROPOUT_BLOCKS else 0.0
            self.up.append(_up(spatial_dims, before, features[level - 1], probability))
        last = CONVOLUTIONS[spatial_dims][1](2 * features[0], out_channels, 4, stride=2, padding=1)
        self.head = nn.Sequential(nn.ReLU(), last, nn.Tanh())
        self.apply(_initialise)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate a batch; see the class for shapes."""
        if any(size % self.factor for size in x.shape[2:]):
            raise ValueError(f"sizes {tuple(x.shape[2:])} must be multiples of {self.factor}")
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = skips.pop()
        for block in self.up:
            x = torch.cat([block(x), skips.pop()], dim=1)
        return self.head(x)


def pix2pix(**arguments: int | float) -> UNetGenerator:
    """The study's 2D-Pix2Pix generator: base 64, eight levels, batch norm, dropout 0.5, tanh."""
    return UNetGenerator(**arguments)  # type: ignore[arg-type]


def _down(dims: int, before: int, after: int, *, norm: bool, activate: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.LeakyReLU(0.2)] if activate else []
    layers.append(CONVOLUTIONS[dims][0](before, after, 4, stride=2, padding=1, bias=not norm))
    if norm:
        layers.append(NORMS["batch"][dims](after))
    return nn.Sequential(*layers)


def _up(dims: int, before: int, after: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.ReLU(),
        CONVOLUTIONS[dims][1](before, after, 4, stride=2, padding=1, bias=False),
        NORMS["batch"][dims](after),
    ]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02) (paper, 6.2); batch-norm scales from N(1, 0.02)."""
    if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
