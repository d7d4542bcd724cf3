"""CUT: one-sided unpaired translation that keeps the content of each patch (Park, Efros, Zhang, Zhu, ECCV 2020).

A patch of the made image shall look, to the generator's own encoder, more like the same place of the source than like
other places of it (InfoNCE); the same term on targets keeps the generator from changing them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.nn import functional

from imagetranslation.errors import InputError

from .. import losses
from .parts import PatchGAN, one_channel, weight_of_target
from .protocol import Batch, Shape, Update, masked


class CUTOptions(BaseModel):
    """contrast, identity: weights of the contrastive terms on sources and on targets (both 1 in the paper).

    layers: of the generator's encoder (0: the image). patches: places compared an image and layer. width: of the
    projected features. temperature: of the softmax.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    contrast: float = Field(default=1.0, ge=0)
    identity: float = Field(default=1.0, ge=0)
    layers: tuple[int, ...] = (0, 2, 3, 4, 8)
    patches: int = Field(default=256, ge=2, le=4096)
    width: int = Field(default=256, ge=2)
    temperature: float = Field(default=0.07, gt=0)
    gan: Literal["bce", "lsgan"] = "lsgan"
    discriminator: PatchGAN = PatchGAN()


class Projection(nn.Module):
    """A two-layer perceptron for each layer, to vectors of length 1: (places, features) -> (places, width)."""

    def __init__(self, features: Sequence[int], width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(count, width), nn.ReLU(), nn.Linear(width, width)) for count in features
        )

    def forward(self, chosen: list[torch.Tensor]) -> list[torch.Tensor]:
        """One (places, features) a layer."""
        return [functional.normalize(head(part), dim=-1) for head, part in zip(self.heads, chosen)]


class CUT:
    """Discriminator first, then generator and projection together."""

    Options: type[BaseModel] = CUTOptions
    optimisers: Mapping[str, tuple[str, ...]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator", "projection"),
    }
    unpaired = True

    def __init__(self, options: CUTOptions) -> None:
        self.options = options

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """The generator, a discriminator, the projection. InputError for a generator that shows no features."""
        one_channel(shape, "cut")
        if not hasattr(generator, "features") or max(self.options.layers) > generator.depth():  # type: ignore[operator]
            raise InputError(
                "The objective cut needs a generator of residual blocks (resnet) with all of its `layers`."
            )
        with torch.no_grad():
            found = generator.features(torch.zeros(1, 1, *shape.patch), self.options.layers)  # type: ignore[operator]
        projection = Projection([part.shape[1] for part in found], self.options.width)
        judge = self.options.discriminator.build(shape)
        return {"generator": generator, "discriminator": judge, "projection": projection}

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """One update of the discriminator, one of generator and projection."""
        options, generator, judge = self.options, networks["generator"], networks["discriminator"]
        wanted = weight_of_target(batch)
        made = generator(batch.source)
        shown, real = masked(made, batch.weight), masked(batch.target, wanted)
        judged = losses.adversarial(judge(real), True, options.gan)
        judged = (judged + losses.adversarial(judge(shown.detach()), False, options.gan)) / 2
        yield Update("discriminator", judged, {"discriminator": judged.detach()})
        fooled = losses.adversarial(judge(shown), True, options.gan)
        contrast = self._contrast(networks, batch.source, made, random)
        loss, logged = fooled + options.contrast * contrast, {"generator_gan": fooled.detach()}
        logged["contrast"] = contrast.detach()
        if options.identity:
            same = self._contrast(networks, batch.target, generator(batch.target), random)
            loss, logged["identity"] = loss + options.identity * same, same.detach()
        yield Update("generator", loss, logged)

    def _contrast(
        self, networks: Mapping[str, nn.Module], image: torch.Tensor, made: torch.Tensor, random: torch.Generator
    ) -> torch.Tensor:
        options, generator, projection = self.options, networks["generator"], networks["projection"]
        of_made = generator.features(made, options.layers)  # type: ignore[operator]
        with torch.no_grad():
            of_image = generator.features(image, options.layers)  # type: ignore[operator]
        places = [torch.randperm(part[0, 0].numel(), generator=random)[: options.patches] for part in of_made]
        queries = projection([_at(part, where) for part, where in zip(of_made, places)])
        keys = projection([_at(part, where) for part, where in zip(of_image, places)])
        terms = [contrastive(q, k.detach(), len(image), options.temperature) for q, k in zip(queries, keys)]
        return torch.stack(terms).mean()


def contrastive(queries: torch.Tensor, keys: torch.Tensor, images: int, temperature: float) -> torch.Tensor:
    """InfoNCE of (images x places, width) unit vectors: each query's own key against the other places of its image."""
    q, k = (part.reshape(images, -1, part.shape[-1]) for part in (queries, keys))
    logits = q @ k.transpose(1, 2) / temperature
    own = torch.arange(logits.shape[1], device=logits.device).expand(images, -1)
    return functional.cross_entropy(logits.flatten(0, 1), own.flatten())


def _at(features: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(n, c, *spatial) at flat places (p,): (n p, c)."""
    chosen = features.flatten(2)[:, :, places.to(features.device)]
    return chosen.transpose(1, 2).flatten(0, 1)
