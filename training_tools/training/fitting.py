"""Whether a configuration's network, patch and package go together, found out before any data is read."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from imagetranslation import networks
from imagetranslation.errors import ImageTranslationError, InputError
from imagetranslation.predictors import ran_out_of_memory

from ..config import Config
from .state import make_objective

# Statistics of the whole window: another size of window gives another image.
_WINDOW_STATISTICS = (nn.InstanceNorm2d, nn.InstanceNorm3d, nn.GroupNorm, nn.LayerNorm, nn.MultiheadAttention)
# A patch of fewer of its coarsest voxels tells too little of how the network does on larger images.
LEAST_COARSE = 4
# Objectives that train networks by methods which torch.compile is not told of.
UNCOMPILED = ("bridge", "located")


def require_fit(config: Config) -> None:
    """InputError with one sentence where the network cannot be built or cannot translate the patch, or where number
    format, compilation and objective do not go together.
    """
    _require_precision(config)
    shape = (2, config.source.channels, *config.source.patch_size)
    wanted = (2, 1, *config.source.patch_size)
    try:
        with torch.device("meta"):
            network = networks.build(config.network.name, **config.network.arguments).eval()
            with torch.no_grad():
                found = tuple(network(torch.empty(shape)).shape)
    except ImageTranslationError as error:
        raise InputError(f"network: {error}") from error
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if ran_out_of_memory(error):
            raise
        raise InputError(
            f"The network {config.network.name!r} cannot translate patches of {_size(shape)}: "
            f"{str(error).splitlines()[0].rstrip('.')}. Change source.patch_size or network.arguments."
        ) from error
    if found != wanted:
        raise InputError(f"The network {config.network.name!r} turns patches of {_size(shape)} into {_size(found)}.")


def _require_precision(config: Config) -> None:
    name, precision = config.objective["name"], config.precision
    optimisers = len(make_objective(config).optimisers)
    if precision.compute == "16-mixed" and config.optimiser.accumulate > 1 and optimisers > 1:
        # The scale of float16's gradients may change with each optimiser's step; the others' still have the old one.
        raise InputError(
            f"precision.compute 16-mixed cannot add up gradients in parts for the {optimisers} optimisers of "
            f"{name!r}; set optimiser.accumulate to 1, or precision.compute to bf16-mixed."
        )
    if precision.compile and name in UNCOMPILED:
        raise InputError(
            f"precision.compile would do nothing for the objective {name!r}, whose loss does not call its network as a "
            "whole; set it to false."
        )


def whole_image_settings(config: Config) -> dict[str, Any]:
    """The part of a package's `inference` that lets it run on whole slices or volumes; empty where it may not.

    A network may if it says by which number sizes must be divisible (`factor`), its output at a voxel depends on the
    surroundings alone (no statistics of the window), and its patch was not small beside what it sees.
    """
    from imagetranslation.activations import count_bytes

    with torch.device("meta"):
        network = networks.build(config.network.name, **config.network.arguments)
    factor = getattr(network, "factor", None)
    if factor is None or any(isinstance(module, _WINDOW_STATISTICS) for module in network.modules()):
        return {}
    patch = config.source.patch_size
    if config.source.resampling.mode == "fit" or min(patch) < LEAST_COARSE * int(factor):
        return {}
    spec = {"name": config.network.name, "arguments": config.network.model_dump(mode="json")["arguments"]}
    whole = {} if len(patch) == 2 else {"whole_volume": True}
    bytes_ = round(count_bytes(spec, config.source.channels, tuple(patch)), 1)
    return {**whole, "size_multiple": int(factor), "activation_bytes": bytes_}


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} channel{'s' if shape[1] > 1 else ''} of {' x '.join(map(str, shape[2:]))}"
