"""pix2pix: a conditional GAN on registered pairs (Isola, Zhu, Zhou, Efros, CVPR 2017), L1 and SSIM beside it.

The discriminator sees source and image together, patch by patch (PatchGAN), in two or three dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from imagetranslation import networks as registry

from .. import losses
from .protocol import Batch, Shape, Update, masked, translated


class Discriminator(BaseModel):
    """PatchGAN: features of the first layer, number of strided layers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: int = Field(default=32, ge=1)
    layers: int = Field(default=2, ge=1, le=16)


class Pix2PixOptions(BaseModel):
    """Weights of the generator's terms and the adversarial loss: "bce" (the paper) or "lsgan" (squares, Mao 2017).

    l1, ssim: of the weighted mean absolute difference and of 1 - SSIM. adversarial 0 leaves the discriminator out.
    lesion: how much more than elsewhere an L1 difference inside a known lesion counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    l1: float = Field(default=100.0, ge=0)
    ssim: float = Field(default=0.0, ge=0)
    adversarial: float = Field(default=1.0, ge=0)
    gan: Literal["bce", "lsgan"] = "bce"
    lesion: float = Field(default=0.0, ge=0)
    discriminator: Discriminator = Discriminator()


class Pix2Pix:
    """See the module; the discriminator's loss is halved as in the paper's section 3.3, and it is moved first."""

    Options: type[BaseModel] = Pix2PixOptions
    unpaired = False

    def __init__(self, options: Pix2PixOptions) -> None:
        self.options = options
        self.optimisers: Mapping[str, tuple[str, ...]] = {"generator": ("generator",)}
        if options.adversarial:
            self.optimisers = {"discriminator": ("discriminator",), **self.optimisers}

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """The generator and, where there is an adversarial term, a PatchGAN on source and image."""
        if not self.options.adversarial:
            return {"generator": generator}
        judge = registry.build(
            "patch-discriminator",
            spatial_dims=shape.spatial_dims,
            in_channels=shape.in_channels + 1,
            **self.options.discriminator.model_dump(),
        )
        return {"generator": generator, "discriminator": judge}

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """One update of the discriminator, then one of the generator."""
        options = self.options
        made = translated(networks["generator"], batch)
        # Outside the weight both discriminator inputs show background, so that it can't judge by missing tissue.
        shown, real = masked(made, batch.weight), masked(batch.target, batch.weight)
        if options.adversarial:
            judge = networks["discriminator"]
            true = losses.adversarial(judge(torch.cat([batch.source, real], dim=1)), True, options.gan)
            false = losses.adversarial(judge(torch.cat([batch.source, shown.detach()], dim=1)), False, options.gan)
            loss = (true + false) / 2
            yield Update("discriminator", loss, {"discriminator": loss.detach()})
        weight = losses.emphasised(batch.weight, batch.lesion, options.lesion)
        l1 = losses.weighted_l1(made, batch.target, weight)
        loss, logged = options.l1 * l1, {"l1": l1.detach()}
        if options.ssim:
            structural = losses.structural(made, batch.target, batch.weight)
            loss, logged["ssim_loss"] = loss + options.ssim * structural, structural.detach()
        if options.adversarial:
            logits = networks["discriminator"](torch.cat([batch.source, shown], dim=1))
            fooled = losses.adversarial(logits, True, options.gan)
            loss, logged["generator_gan"] = loss + options.adversarial * fooled, fooled.detach()
        yield Update("generator", loss, logged)
