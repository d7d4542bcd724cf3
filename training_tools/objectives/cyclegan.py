"""CycleGAN: unpaired translation with two generators that undo each other (Zhu, Park, Isola, Efros, ICCV 2017).

Least-squares GAN, cycle consistency, identity terms, a pool of earlier images. The cycle term may be mixed from L1 and
1 - SSIM, as the study's three-dimensional variant has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from .. import losses
from .parts import PatchGAN, Pool, both_ways, weight_of_target
from .protocol import Batch, Shape, Update, masked


class CycleGANOptions(BaseModel):
    """cycle, identity: weights of the terms; identity is relative to nothing else (5 is half of the cycle's 10).

    cycle_ssim: share of 1 - SSIM in the cycle term, the rest is L1. pool: earlier images kept for the discriminators.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cycle: float = Field(default=10.0, ge=0)
    identity: float = Field(default=5.0, ge=0)
    cycle_ssim: float = Field(default=0.0, ge=0, le=1)
    gan: Literal["bce", "lsgan"] = "lsgan"
    pool: int = Field(default=50, ge=0, le=1000)
    discriminator: PatchGAN = PatchGAN()


class CycleGAN:
    """Generators first, then discriminators, as in the paper's algorithm."""

    Options: type[BaseModel] = CycleGANOptions
    optimisers: Mapping[str, tuple[str, ...]] = {
        "generator": ("generator", "back"),
        "discriminator": ("of_target", "of_source"),
    }
    unpaired = True

    def __init__(self, options: CycleGANOptions) -> None:
        self.options = options

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """See `both_ways`; with a pool of earlier images for each side."""
        pools = {name: Pool(self.options.pool, shape.patch) for name in ("made_targets", "made_sources")}
        return {**both_ways(generator, self.options.discriminator, shape, "cyclegan"), **pools}

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """One update of both generators, one of both discriminators."""
        options, forth, back = self.options, networks["generator"], networks["back"]
        source, target, seen, wanted = batch.source, batch.target, batch.weight, weight_of_target(batch)
        made_target, made_source = forth(source), back(target)
        cycle = self._cycle(back(made_target), source, seen) + self._cycle(forth(made_source), target, wanted)
        shown_target, shown_source = masked(made_target, seen), masked(made_source, wanted)
        fooled = losses.adversarial(networks["of_target"](shown_target), True, options.gan)
        fooled = fooled + losses.adversarial(networks["of_source"](shown_source), True, options.gan)
        loss = fooled + options.cycle * cycle
        logged = {"generator_gan": fooled.detach(), "cycle": cycle.detach()}
        if options.identity:
            same = losses.weighted_l1(forth(target), target, wanted) + losses.weighted_l1(back(source), source, seen)
            loss, logged["identity"] = loss + options.identity * same, same.detach()
        yield Update("generator", loss, logged)
        earlier = networks["made_targets"].swap(shown_target.detach(), random)
        judged = self._judged(networks["of_target"], masked(target, wanted), earlier)
        earlier = networks["made_sources"].swap(shown_source.detach(), random)
        judged = judged + self._judged(networks["of_source"], masked(source, seen), earlier)
        yield Update("discriminator", judged, {"discriminator": judged.detach()})

    def _cycle(self, again: torch.Tensor, image: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        share, l1 = self.options.cycle_ssim, losses.weighted_l1(again, image, weight)
        return (1 - share) * l1 + share * losses.structural(again, image, weight) if share else l1

    def _judged(self, judge: torch.nn.Module, real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        true = losses.adversarial(judge(real), True, self.options.gan)
        return (true + losses.adversarial(judge(made), False, self.options.gan)) / 2
