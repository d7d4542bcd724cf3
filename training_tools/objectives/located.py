"""Training a `LocatedGenerator`: its locator on the organ's label, its translator in the frame that the label defines.

A label is needed in training only. The translator never waits for the locator: its volumes are moved by the label's
own centre and extent, a little wrongly on purpose, as the locator will later be wrong. What a move brings in from
outside a volume repeats its border and counts like the rest (leaving it out of the mean changed nothing measurable on
the public pairs: MAE 27.71 with it and without). A sample whose organ was moved out of the volume does not count. The
loss of the locator is cross-entropy plus soft Dice (Milletari et al., V-Net, 3DV 2016); the translator's that of
pix2pix, in three dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from pydantic import Field
from torch.nn import functional

from imagetranslation.errors import InputError
from imagetranslation.networks.located import LocatedGenerator, Moments, moments, moved

from .pix2pix import Pix2Pix, Pix2PixOptions
from .protocol import Batch, Shape, Update


class LocatedOptions(Pix2PixOptions):
    """Pix2pix's, and jitter: standard deviation of the errors that the translator's moves are given, of the centre in
    the volume's half-widths and of the extent's logarithm.
    """

    jitter: float = Field(default=0.05, ge=0)


class Located(Pix2Pix):
    """See the module."""

    Options = LocatedOptions

    def __init__(self, options: LocatedOptions) -> None:
        super().__init__(options)
        self.jitter = options.jitter

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """The generator and, where there is an adversarial term, a PatchGAN on moved volumes."""
        if not isinstance(generator, LocatedGenerator):
            raise InputError("The objective 'located' trains the network 'located' only.")
        return super().networks(generator, shape)

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """Pix2pix's updates on the moved volumes; the generator's has the locator's loss, too."""
        if batch.organ is None:
            raise InputError("The objective 'located' needs the organ's label: set sampling.region to 'organ'.")
        whole: Any = networks["generator"]
        members = len(getattr(whole.generator.generator, "members", [0]))
        if len(batch.source) % members:
            raise InputError(
                f"Each of the committee's {members} members needs volumes of its own: a process was given "
                f"{len(batch.source)} in a part of a batch; choose a batch_size that gives each process and part a "
                f"multiple of {members}."
            )
        logits = whole.find(batch.source)
        entropy = functional.binary_cross_entropy_with_logits(logits, batch.organ)
        dice = _dice(logits.sigmoid(), batch.organ)
        translating = {**networks, "generator": whole.translate}
        for update in super().updates(self._in_standard_frame(batch, whole, random), translating, random):
            if update.optimiser != "generator":
                yield update
                continue
            logged = {**update.logged, "locator": entropy.detach(), "dice": dice.detach()}
            yield Update("generator", update.loss + entropy + 1 - dice, logged)

    def _in_standard_frame(self, batch: Batch, whole: LocatedGenerator, random: torch.Generator) -> Batch:
        assert batch.organ is not None
        standard = (whole.centre.expand(len(batch.source), -1), whole.spread.expand(len(batch.source), -1))
        own = self._jittered(moments(batch.organ[:, 0]), random)
        there = batch.organ.sum(dim=(1, 2, 3, 4), keepdim=True) > 0
        weight = ((moved(batch.weight, own, standard) > 0.99) & there).to(batch.weight)
        source, target = (moved(image, own, standard) for image in (batch.source, batch.target))
        return replace(batch, source=source, target=target, weight=weight, organ=None)

    def _jittered(self, own: Moments, random: torch.Generator) -> Moments:
        centre, spread = own
        errors = self.jitter * torch.randn(2, *centre.shape, generator=random)
        wrong_centre, wrong_spread = errors.to(centre)
        return centre + wrong_centre, spread * torch.exp(wrong_spread)


def _dice(probability: torch.Tensor, organ: torch.Tensor) -> torch.Tensor:
    axes = tuple(range(1, organ.dim()))
    common = (probability * organ).sum(dim=axes)
    return ((2 * common + 1) / (probability.sum(dim=axes) + organ.sum(dim=axes) + 1)).mean()
