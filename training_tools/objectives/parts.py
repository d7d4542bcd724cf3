"""What several objectives share: a second generator, a pool of earlier images, a PatchGAN's options."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from imagetranslation import networks as registry
from imagetranslation.errors import InputError

from .protocol import Batch, Shape


class PatchGAN(BaseModel):
    """A discriminator of single images: features of the first layer, strided layers, normalisation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: int = Field(default=64, ge=1)
    layers: int = Field(default=3, ge=1, le=16)
    norm: Literal["batch", "instance"] = "instance"

    def build(self, shape: Shape) -> nn.Module:
        """With fresh weights, for images of one channel."""
        return registry.build(
            "patch-discriminator", spatial_dims=shape.spatial_dims, in_channels=1, **self.model_dump()
        )


class Pool(nn.Module):
    """Earlier images, so that a discriminator does not forget (Shrivastava et al., CVPR 2017; 50 in CycleGAN).

    They are buffers: a run that is resumed has the same ones.
    """

    images: torch.Tensor
    held: torch.Tensor

    def __init__(self, size: int, patch: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(max(size, 1), 1, *patch))
        self.register_buffer("held", torch.zeros((), dtype=torch.int64))

    def swap(self, made: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """(n, 1, *patch) images to judge: half of the time an earlier one, in whose place the new one is kept."""
        if not self.size:
            return made
        shown = made.clone()
        for number in range(len(made)):
            held = int(self.held)
            if held < self.size:
                self.images[held] = made[number]
                self.held += 1
            elif float(torch.rand((), generator=random)) < 0.5:
                place = int(torch.randint(self.size, (), generator=random))
                shown[number] = self.images[place]
                self.images[place] = made[number]
        return shown


def fresh_like(network: nn.Module) -> nn.Module:
    """A network of the same form whose weights are drawn anew: each tensor's own values, shuffled.

    That keeps the distribution they were drawn from, whatever it was, without knowing how the network was built.
    """
    other = copy.deepcopy(network)
    with torch.no_grad():
        for weight in other.parameters():
            weight.copy_(weight.flatten()[torch.randperm(weight.numel())].reshape(weight.shape))
    return other


def both_ways(generator: nn.Module, judge: PatchGAN, shape: Shape, name: str) -> dict[str, nn.Module]:
    """The networks of an objective that translates back: "back" makes sources of targets, one judge for each side.

    InputError where the source has several channels.
    """
    one_channel(shape, name)
    judges = {side: judge.build(shape) for side in ("of_target", "of_source")}
    return {"generator": generator, "back": fresh_like(generator), **judges}


def one_channel(shape: Shape, name: str) -> None:
    """Raise InputError where the source has several channels, which an objective that translates back cannot make."""
    if shape.in_channels != 1:
        raise InputError(f"The objective {name} translates back to the source and needs a source of one channel.")


def weight_of_target(batch: Batch) -> torch.Tensor:
    """Where the batch's target was recorded."""
    return batch.weight if batch.target_weight is None else batch.target_weight
