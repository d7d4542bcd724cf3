"""TraVeLGAN: one-sided unpaired translation that keeps differences between images (Amodio & Krishnaswamy, CVPR 2019).

A siamese network S maps images to vectors; the vector from one source to another shall be the vector between their
translations. S learns the same, and to keep different sources apart. There is no cycle and no second generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.nn import functional

from imagetranslation.errors import InputError
from imagetranslation.networks.layers import CONVOLUTIONS

from .. import losses
from .parts import PatchGAN, weight_of_target
from .protocol import Batch, Shape, Update, masked


class Siamese(nn.Module):
    """(n, 1, *spatial) -> (n, length): convolutions of stride 2, their mean over the image, a dense layer."""

    def __init__(self, spatial_dims: int, base: int, levels: int, length: int) -> None:
        super().__init__()
        convolution, before = CONVOLUTIONS[spatial_dims][0], 1
        layers: list[nn.Module] = []
        for level in range(levels):
            after = base * min(2**level, 8)
            layers += [convolution(before, after, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            before = after
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(before, length)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any size."""
        vectors: torch.Tensor = self.head(self.layers(x).flatten(2).mean(dim=2))
        return vectors


class TravelGANOptions(BaseModel):
    """travel, margin: weights of the two terms. apart: how far S shall keep sources from each other.

    length: of the vectors. base, levels: of S. The defaults are our choice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    travel: float = Field(default=10.0, ge=0)
    margin: float = Field(default=10.0, ge=0)
    apart: float = Field(default=10.0, gt=0)
    length: int = Field(default=256, ge=2)
    base: int = Field(default=32, ge=1)
    levels: int = Field(default=5, ge=1, le=8)
    gan: Literal["bce", "lsgan"] = "bce"
    discriminator: PatchGAN = PatchGAN(norm="batch")


class TravelGAN:
    """Discriminator first, then generator and siamese network together."""

    Options: type[BaseModel] = TravelGANOptions
    optimisers: Mapping[str, tuple[str, ...]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator", "siamese"),
    }
    unpaired = True

    def __init__(self, options: TravelGANOptions) -> None:
        self.options = options

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """The generator, a discriminator of targets, and S; InputError for several channels, as S takes both sides."""
        if shape.in_channels != 1:
            raise InputError("The objective travelgan compares source and target and needs a source of one channel.")
        options = self.options
        siamese = Siamese(shape.spatial_dims, options.base, options.levels, options.length)
        return {"generator": generator, "discriminator": options.discriminator.build(shape), "siamese": siamese}

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """One update of the discriminator, one of generator and S."""
        options, judge = self.options, networks["discriminator"]
        made = networks["generator"](batch.source)
        shown, real = masked(made, batch.weight), masked(batch.target, weight_of_target(batch))
        judged = losses.adversarial(judge(real), True, options.gan)
        judged = (judged + losses.adversarial(judge(shown.detach()), False, options.gan)) / 2
        yield Update("discriminator", judged, {"discriminator": judged.detach()})
        fooled = losses.adversarial(judge(shown), True, options.gan)
        siamese = networks["siamese"]
        before = journeys(siamese(masked(batch.source, batch.weight)))
        travel, margin = travelled(before, journeys(siamese(shown))), kept_apart(before, options.apart)
        loss = fooled + options.travel * travel + options.margin * margin
        logged = {"generator_gan": fooled.detach(), "travel": travel.detach(), "margin": margin.detach()}
        yield Update("generator", loss, logged)


def journeys(vectors: torch.Tensor) -> torch.Tensor:
    """From each of n vectors to each later one: (n (n - 1) / 2, length); InputError for a batch of one."""
    if len(vectors) < 2:
        raise InputError("The objective travelgan compares the images of a batch: choose a batch_size of 2 or more.")
    first, second = torch.triu_indices(len(vectors), len(vectors), offset=1, device=vectors.device)
    return vectors[second] - vectors[first]


def travelled(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Mean over journeys of the squared distance per dimension and of 1 - the cosine between them."""
    cosine = functional.cosine_similarity(before, after, dim=1)
    return functional.mse_loss(after, before) + (1 - cosine).mean()


def kept_apart(before: torch.Tensor, apart: float) -> torch.Tensor:
    """Mean over journeys of how much shorter than `apart` they are."""
    return functional.relu(apart - before.norm(dim=1)).mean()
