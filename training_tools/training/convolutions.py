"""Two-dimensional convolutions over few positions as matrix products: the same numbers, several times as fast on a CPU.

The innermost layers of a U-Net have many features and few pixels. What they cost is reading and writing their weights;
a library's convolution reorders them beside, in every call. A product with the weights as they lie does not. Weights,
their names and gradients stay those of the layer.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# A product is taken where positions (of the whole batch) are fewer than this share of the weights' first axis; beyond,
# the copies that it needs cost more than they save (measured at 4 x 4 kernels, 128 to 1024 features).
SHARE = 0.25


class ProductConv2d(nn.Conv2d):
    """As nn.Conv2d."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, in_channels, H, W) -> (n, out_channels, h, w)."""
        sizes = [
            (have + 2 * around - kernel) // stride + 1
            for have, around, kernel, stride in zip(x.shape[2:], _pair(self.padding), self.kernel_size, self.stride)
        ]
        if not _few(len(x) * sizes[0] * sizes[1], self.weight):
            return super().forward(x)
        patches = functional.unfold(x, _pair(self.kernel_size), padding=_pair(self.padding), stride=_pair(self.stride))
        rows = patches.transpose(1, 2).reshape(-1, patches.shape[1])
        made = functional.linear(rows, self.weight.flatten(1), self.bias)
        return made.reshape(len(x), -1, made.shape[1]).transpose(1, 2).reshape(len(x), -1, *sizes)


class ProductConvTranspose2d(nn.ConvTranspose2d):
    """As nn.ConvTranspose2d, without output_size."""

    def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, H, W)."""
        count, features, height, width = x.shape
        if output_size is not None or not _few(count * height * width, self.weight):
            return super().forward(x, output_size)
        rows = x.permute(0, 2, 3, 1).reshape(-1, features) @ self.weight.flatten(1)
        patches = rows.reshape(count, height * width, -1).transpose(1, 2)
        zipped = zip((height, width), self.stride, _pair(self.padding), self.kernel_size, self.output_padding)
        sizes = tuple((size - 1) * step - 2 * around + kernel + more for size, step, around, kernel, more in zipped)
        made = functional.fold(
            patches, sizes, _pair(self.kernel_size), padding=_pair(self.padding), stride=_pair(self.stride)
        )
        return made if self.bias is None else made + self.bias.reshape(1, -1, 1, 1)


def as_products(network: nn.Module) -> None:
    """Let the wide convolutions of a network take products where positions are few; the network stays what it is."""
    for module in network.modules():
        if type(module) is nn.Conv2d and _can(module):
            module.__class__ = ProductConv2d
        elif type(module) is nn.ConvTranspose2d and _can(module) and not any(module.output_padding):
            module.__class__ = ProductConvTranspose2d


def is_product(module: nn.Module) -> bool:
    """Whether the weights of a layer must lie in their plain order."""
    return isinstance(module, (ProductConv2d, ProductConvTranspose2d))


def _can(module: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    plain = module.groups == 1 and set(module.dilation) == {1} and module.padding_mode == "zeros"
    wide = module.weight.shape[0] * SHARE >= 64 and max(module.kernel_size) > 1
    return plain and wide and not isinstance(module.padding, str)


def _few(positions: int, weight: torch.Tensor) -> bool:
    return positions <= SHARE * weight.shape[0]


def _pair(value: tuple[int, ...] | str) -> tuple[int, int]:
    return int(value[0]), int(value[1])
