"""DiscoGAN: two generators without skips that reconstruct each other's input (Kim et al., ICML 2017).

The generators' terms: fooling the discriminators (cross-entropy), mean squared reconstruction, and feature matching:
real and made images shall have the same mean activations in the discriminators' hidden layers (Salimans et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from .. import losses
from .parts import PatchGAN, both_ways, weight_of_target
from .protocol import Batch, Shape, Update, masked


class DiscoGANOptions(BaseModel):
    """Weights of the generators' three terms; the defaults are the study's."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    adversarial: float = Field(default=0.1, ge=0)
    reconstruction: float = Field(default=1.0, ge=0)
    feature_matching: float = Field(default=0.9, ge=0)
    gan: Literal["bce", "lsgan"] = "bce"
    discriminator: PatchGAN = PatchGAN(norm="batch")


class DiscoGAN:
    """Discriminators first, then the generators."""

    Options: type[BaseModel] = DiscoGANOptions
    optimisers: Mapping[str, tuple[str, ...]] = {
        "discriminator": ("of_target", "of_source"),
        "generator": ("generator", "back"),
    }
    unpaired = True

    def __init__(self, options: DiscoGANOptions) -> None:
        self.options = options

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """See `both_ways`."""
        return both_ways(generator, self.options.discriminator, shape, "discogan")

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """One update of both discriminators, one of both generators."""
        options, forth, back = self.options, networks["generator"], networks["back"]
        seen, wanted = batch.weight, weight_of_target(batch)
        made_target, made_source = forth(batch.source), back(batch.target)
        pairs = (
            ("of_target", masked(batch.target, wanted), masked(made_target, seen)),
            ("of_source", masked(batch.source, seen), masked(made_source, wanted)),
        )
        judged = sum(
            losses.adversarial(networks[name](real), True, options.gan) / 2
            + losses.adversarial(networks[name](made.detach()), False, options.gan) / 2
            for name, real, made in pairs
        )
        yield Update("discriminator", judged, {"discriminator": judged.detach()})
        fooled, matching = torch.zeros(()), torch.zeros(())
        for name, real, made in pairs:
            of_made, of_real = networks[name].features(made), networks[name].features(real)
            fooled = fooled.to(made.device) + losses.adversarial(of_made[-1], True, options.gan)
            matching = matching.to(made.device) + mean_difference(of_made[:-1], of_real[:-1])
        again = losses.weighted_mse(back(made_target), batch.source, seen)
        again = again + losses.weighted_mse(forth(made_source), batch.target, wanted)
        loss = options.adversarial * fooled + options.reconstruction * again + options.feature_matching * matching
        logged = {"generator_gan": fooled.detach(), "reconstruction": again.detach(), "matching": matching.detach()}
        yield Update("generator", loss, logged)


def mean_difference(made: list[torch.Tensor], real: list[torch.Tensor]) -> torch.Tensor:
    """Squared difference of the batch's mean activations, averaged over units and summed over layers."""
    total = torch.zeros((), device=made[0].device)
    for a, b in zip(made, real):
        total = total + (a.mean(dim=0) - b.detach().mean(dim=0)).square().mean()
    return total
