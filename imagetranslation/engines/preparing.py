"""A network made faster: batch norms folded, channels last, and convolutions in bfloat16 or float16 where asked for.

Measured on a two-core Xeon with AMX, pix2pix of 54 M parameters, 256 x 256, milliseconds a slice: plain float32 one by
one 107, eight at once 68, channels last 57, folded 52; bfloat16 17.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

_LAYOUTS = {4: "channels_last", 5: "channels_last_3d"}


def prepare(network: nn.Module, precision: str) -> nn.Module:
    """The same network, changed in place, for inference in `precision` ("float32", "bfloat16" or "float16")."""
    import torch

    fold_batch_norms(network)
    convolutions: list[Any] = [module for module in network.modules() if _convolves(module)]
    for convolution in convolutions:
        if (layout := _LAYOUTS.get(convolution.weight.ndim)) is not None:
            convolution.to(memory_format=getattr(torch, layout))
    if precision != "float32":
        reduce_convolutions(network, getattr(torch, precision))
    return network.eval()


def fold_batch_norms(network: nn.Module) -> int:
    """Multiply each batch norm that directly follows a convolution in a Sequential into it; returns how many.

    In evaluation a batch norm is a fixed scale and offset a channel, so that the result differs by rounding only.
    """
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    folded = 0
    for module in network.modules():
        if type(module) is not nn.Sequential:
            continue
        for index in range(len(module) - 1):
            first: Any = module[index]
            second: Any = module[index + 1]
            if _convolves(first) and isinstance(second, nn.modules.batchnorm._BatchNorm) and second.track_running_stats:
                turned = isinstance(first, nn.modules.conv._ConvTransposeNd)
                if turned and first.groups > 1:
                    continue
                module[index] = fuse_conv_bn_eval(first, second, transpose=turned)
                module[index + 1] = nn.Identity()
                folded += 1
    return folded


def reduce_convolutions(network: nn.Module, dtype: torch.dtype) -> None:
    """Hold the weights of convolutions, linear layers and PReLUs in `dtype` and give them their inputs in it.

    Autocast would cast the weights again with every batch, and also the few matrix products that place a window in its
    volume, which need their digits. What lies between convolutions runs in whatever type they hand on.
    """

    def cast(_: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0].to(dtype), *inputs[1:])

    from torch import nn

    for module in network.modules():
        if _convolves(module) or isinstance(module, (nn.Linear, nn.PReLU)):
            module.to(dtype)
            module.register_forward_pre_hook(cast)


def as_channels_last(batch: torch.Tensor) -> torch.Tensor:
    """A batch (n, c, H, W) or (n, c, D, H, W) laid out with its channels last."""
    import torch

    return batch.contiguous(memory_format=getattr(torch, _LAYOUTS[batch.ndim]))


def _convolves(module: nn.Module) -> bool:
    from torch import nn

    return isinstance(module, nn.modules.conv._ConvNd)
