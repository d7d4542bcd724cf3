"""A generator after ResViT (Dalmaz, Yurt, Çukur, IEEE TMI 2022): residual convolutions and a vision transformer.

The idea, in our own arrangement: a convolutional encoder and decoder as CycleGAN's; between them aggregated residual
transformer blocks, in which a transformer sees the whole (reduced) image, its result is set beside the features it came
from and both are compressed by a convolution, followed by a residual block. The transformer's weights are shared by
all blocks that have one, as in the paper. Position embeddings are learnt for one grid: the patch size is the model's.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .resnet import ResidualBlock, _Layers


class Transformer(nn.Module):
    """Pre-norm encoder layers on the tokens of a map: (batch, width, h, w) -> the same shape."""

    def __init__(self, width: int, tokens: int, layers: int, heads: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, tokens, width))
        self.layers = nn.ModuleList(TransformerLayer(width, heads) for _ in range(layers))
        nn.init.normal_(self.position, 0.0, 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The map must have as many places as there are tokens."""
        batch, width, height, columns = x.shape
        tokens = x.flatten(2).transpose(1, 2) + self.position
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens.transpose(1, 2).reshape(batch, width, height, columns)


class TransformerLayer(nn.Module):
    """Self-attention and a two-layer perceptron, each added to what it was given: (batch, tokens, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any number of tokens."""
        batch, tokens, width = x.shape
        parts = self.mix(self.before(x)).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.perceptron(self.after(x))


class AggregatedBlock(nn.Module):
    """A transformer's view of the reduced map beside the map itself, compressed to its width, then a residual block.

    Without a transformer it is the residual block alone.
    """

    def __init__(self, make: _Layers, width: int, reduction: int, *, transforming: bool, inner: int) -> None:
        super().__init__()
        self.reduce: nn.Module | None = None
        if transforming:
            self.reduce = nn.Conv2d(width, inner, reduction, stride=reduction)
            self.enlarge = nn.ConvTranspose2d(inner, width, reduction, stride=reduction)
            self.compress = nn.Sequential(
                nn.Conv2d(2 * width, width, 1, bias=False), nn.InstanceNorm2d(width), nn.ReLU()
            )
        self.residual = ResidualBlock(make, width, 0.0)

    def forward(self, x: torch.Tensor, transformer: Transformer) -> torch.Tensor:
        """(batch, width, h, w) -> the same shape."""
        if self.reduce is not None:
            seen = self.enlarge(transformer(self.reduce(x)))
            x = self.compress(torch.cat([x, seen], dim=1))
        return self.residual(x)


class ResViTGenerator(nn.Module):
    """(batch, in_channels, H, W) -> (batch, out_channels, H, W) in [-1, 1], for one size (H, W) only.

    size: (H, W), multiples of 4 x reduction. base: features of the first convolution. blocks: in the bottleneck (9 in
    the paper); every fourth, from the first on, has the transformer. reduction: between bottleneck and transformer.
    inner: width of the transformer, a multiple of heads; layers: its depth.
    """

    def __init__(
        self,
        size: tuple[int, int] = (128, 128),
        in_channels: int = 1,
        out_channels: int = 1,
        base: int = 64,
        blocks: int = 9,
        reduction: int = 4,
        inner: int = 256,
        layers: int = 6,
        heads: int = 8,
    ) -> None:
        super().__init__()
        self.size = (int(size[0]), int(size[1]))
        if any(side < 1 or side % (4 * reduction) for side in self.size):
            raise ValueError(f"size {self.size} must be multiples of {4 * reduction}")
        if inner % heads or not 1 <= blocks <= 64:
            raise ValueError("inner must be a multiple of heads, and there must be 1 to 64 blocks")
        make, width = _Layers(2, "instance"), 4 * base
        self.encoder = nn.Sequential(
            make.wide(in_channels, base), make.halving(base, 2 * base), make.halving(2 * base, width)
        )
        tokens = (self.size[0] // (4 * reduction)) * (self.size[1] // (4 * reduction))
        self.transformer = Transformer(inner, tokens, layers, heads)
        self.blocks = nn.ModuleList(
            AggregatedBlock(make, width, reduction, transforming=number % 4 == 0, inner=inner)
            for number in range(blocks)
        )
        self.decoder = nn.Sequential(make.doubling(width, 2 * base), make.doubling(2 * base, base))
        self.head = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(base, out_channels, 7), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Translate a batch; ValueError for another size than the network's."""
        if tuple(x.shape[2:]) != self.size:
            raise ValueError(f"this network takes images of {self.size}, not {tuple(x.shape[2:])}")
        x = self.encoder(x)
        for block in self.blocks:
            x = block(x, self.transformer)
        return self.head(self.decoder(x))


def resvit(**arguments: int | tuple[int, int]) -> ResViTGenerator:
    """The registry's builder; arguments as `ResViTGenerator` takes them."""
    return ResViTGenerator(**arguments)  # type: ignore[arg-type]
