"""GcGAN: one-sided unpaired translation that commutes with a rotation (Fu et al., CVPR 2019).

The image turned by 90 degrees and translated shall be the translated image turned by 90 degrees. Two discriminators
judge the upright and the turned images; one generator serves both, as in the paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from .. import losses
from .parts import PatchGAN, one_channel, weight_of_target
from .protocol import Batch, Shape, Update, masked


class GcGANOptions(BaseModel):
    """consistency, identity: weights of the terms beside the two adversarial ones (consistency 20 in the paper)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    consistency: float = Field(default=20.0, ge=0)
    identity: float = Field(default=0.0, ge=0)
    gan: Literal["bce", "lsgan"] = "lsgan"
    discriminator: PatchGAN = PatchGAN()


class GcGAN:
    """Discriminators first, then the generator."""

    Options: type[BaseModel] = GcGANOptions
    optimisers: Mapping[str, tuple[str, ...]] = {"discriminator": ("upright", "turned"), "generator": ("generator",)}
    unpaired = True

    def __init__(self, options: GcGANOptions) -> None:
        self.options = options

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """The generator and a discriminator for either pose."""
        if self.options.identity:
            one_channel(shape, "gcgan with an identity term")
        judges = {name: self.options.discriminator.build(shape) for name in ("upright", "turned")}
        return {"generator": generator, **judges}

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """One update of both discriminators, one of the generator."""
        options, generator = self.options, networks["generator"]
        weight, wanted = batch.weight, weight_of_target(batch)
        made, made_turned = generator(batch.source), generator(turn(batch.source))
        target = masked(batch.target, wanted)
        poses = (
            ("upright", target, masked(made, weight)),
            ("turned", turn(target), masked(made_turned, turn(weight))),
        )
        judged = sum(
            losses.adversarial(networks[name](real), True, options.gan) / 2
            + losses.adversarial(networks[name](shown.detach()), False, options.gan) / 2
            for name, real, shown in poses
        )
        yield Update("discriminator", judged, {"discriminator": judged.detach()})
        fooled = sum(losses.adversarial(networks[name](shown), True, options.gan) for name, _, shown in poses)
        consistency = losses.weighted_l1(turn(made), made_turned, turn(weight))
        loss = fooled + options.consistency * consistency
        logged = {"generator_gan": fooled.detach(), "consistency": consistency.detach()}
        if options.identity:
            same = losses.weighted_l1(generator(batch.target), batch.target, wanted)
            loss, logged["identity"] = loss + options.identity * same, same.detach()
        yield Update("generator", loss, logged)


def turn(images: torch.Tensor) -> torch.Tensor:
    """(n, c, [D,] H, W) turned by 90 degrees in the plane of the last two axes: (n, c, [D,] W, H)."""
    return torch.rot90(images, 1, (-2, -1))
