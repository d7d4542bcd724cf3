"""pix2pix with perceptual and feature-matching terms, as the scintigraphy study trained it.

Perceptual: features of a fixed encoder (`training_tools.encoder`, trained on target images here) shall agree (Johnson
et al., ECCV 2016). Feature matching: so shall the discriminator's own (Wang et al., pix2pixHD, CVPR 2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from pydantic import BaseModel, Field

from .. import encoder as encoders
from .. import losses
from .pix2pix import Pix2Pix, Pix2PixOptions
from .protocol import Batch, Shape, Update, masked, translated


class PerceptualOptions(Pix2PixOptions):
    """Beside pix2pix's: weights of the two terms, and the folder of the encoder (written by training_tools.encoder).

    adversarial must be above 0 where feature_matching is.
    """

    adversarial: float = Field(default=1.0, gt=0)
    perceptual: float = Field(default=10.0, gt=0)
    feature_matching: float = Field(default=10.0, ge=0)
    encoder: str = Field(min_length=1)


class PerceptualPix2Pix(Pix2Pix):
    """The discriminator first, then the generator."""

    Options: type[BaseModel] = PerceptualOptions

    def __init__(self, options: PerceptualOptions) -> None:
        super().__init__(options)
        self.options: PerceptualOptions = options

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """pix2pix's, and the fixed encoder."""
        return {**super().networks(generator, shape), "encoder": encoders.load(self.options.encoder)}

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """One update of the discriminator, one of the generator."""
        options, judge = self.options, networks["discriminator"]
        made = translated(networks["generator"], batch)
        shown, real = masked(made, batch.weight), masked(batch.target, batch.weight)
        true = judge(torch.cat([batch.source, real], dim=1))
        false = judge(torch.cat([batch.source, shown.detach()], dim=1))
        judged = losses.adversarial(true, True, options.gan) + losses.adversarial(false, False, options.gan)
        yield Update("discriminator", judged / 2, {"discriminator": judged.detach() / 2})
        # Both of the discriminator as it is now, so that the term is 0 where the image is the target.
        of_made = judge.features(torch.cat([batch.source, shown], dim=1))  # type: ignore[operator]
        with torch.no_grad():
            of_real = judge.features(torch.cat([batch.source, real], dim=1))  # type: ignore[operator]
        l1 = losses.weighted_l1(made, batch.target, losses.emphasised(batch.weight, batch.lesion, options.lesion))
        fooled = losses.adversarial(of_made[-1], True, options.gan)
        encoder: encoders.Encoder = networks["encoder"]  # type: ignore[assignment]
        perceptual = encoders.distance(encoder, made, batch.target, batch.weight)
        matching = matched(of_made[:-1], of_real[:-1])
        terms = {"l1": l1, "generator_gan": fooled, "perceptual": perceptual, "matching": matching}
        weights = (options.l1, options.adversarial, options.perceptual, options.feature_matching)
        loss = sum(weight * term for weight, term in zip(weights, terms.values()))
        if options.ssim:
            terms["ssim_loss"] = losses.structural(made, batch.target, batch.weight)
            loss = loss + options.ssim * terms["ssim_loss"]
        yield Update("generator", loss, {name: term.detach() for name, term in terms.items()})


def matched(made: list[torch.Tensor], real: list[torch.Tensor]) -> torch.Tensor:
    """Mean absolute difference of the discriminator's hidden activations, averaged over its layers."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(made, real)]).mean()
