"""Registry of network architectures: a model package names one, and can name nothing else.

`register` ties a name to "module:function"; the module is imported when the network is built, so that looking up
names costs nothing. Each family of networks has its own file here; weights are `models`' affair.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..errors import ModelRefused

if TYPE_CHECKING:
    import torch

_BUILDERS: dict[str, str] = {}


def register(name: str, builder: str) -> None:
    """Make `name` buildable; builder: "package.module:function", a function that returns a torch.nn.Module."""
    if name in _BUILDERS and _BUILDERS[name] != builder:
        raise ValueError(f"the network name {name!r} is taken by {_BUILDERS[name]}")
    _BUILDERS[name] = builder


def names() -> list[str]:
    """All registered names, sorted."""
    return sorted(_BUILDERS)


def build(name: str, **arguments: Any) -> torch.nn.Module:
    """The network `name` with fresh weights, in training mode.

    Raises ModelRefused for a name that is not registered and for arguments the architecture does not take.
    """
    if name not in _BUILDERS:
        raise ModelRefused(f"Unknown network {name!r}; this version knows {', '.join(names())}.")
    module, function = _BUILDERS[name].split(":")
    builder = getattr(importlib.import_module(module), function)
    try:
        return builder(**arguments)
    except (TypeError, ValueError) as error:
        raise ModelRefused(f"The network {name!r} cannot be built with {arguments}: {error}.") from error


register("pix2pix", f"{__name__}.pix2pix:pix2pix")
register("pix2pix-small", f"{__name__}.pix2pix_small:pix2pix_small")
register("located", f"{__name__}.located:located")
register("unet", f"{__name__}.unet:unet")
register("resnet", f"{__name__}.resnet:resnet")
register("conv-deconv", f"{__name__}.convdeconv:conv_deconv")
register("autoencoder", f"{__name__}.convdeconv:autoencoder")
register("pixelwise", f"{__name__}.convdeconv:pixelwise")
register("residual-encoder-unet", f"{__name__}.residualencoder:residual_encoder")
register("resvit", f"{__name__}.resvit:resvit")
register("bridge", f"{__name__}.bridge:bridge")
register("patch-discriminator", f"{__name__}.discriminators:patch_discriminator")
