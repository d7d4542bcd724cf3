"""The diffusion bridge's objective: see the target behind a noisy mixture of target and source.

For the network `bridge` (its docstring has the process and the papers): a time is drawn for each sample, the pair is
mixed accordingly, and the answer is compared with the target inside the mask, in L1 as for other regressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from pydantic import BaseModel, ConfigDict, Field

from imagetranslation.errors import InputError

from .. import losses
from .protocol import Batch, Shape, Update


class BridgeOptions(BaseModel):
    """l1, ssim: weights of the terms. at_start: share of samples at the source's end, where every sampling begins."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    l1: float = Field(default=1.0, gt=0)
    ssim: float = Field(default=0.0, ge=0)
    lesion: float = Field(default=0.0, ge=0)
    at_start: float = Field(default=0.25, ge=0, le=1)


class Bridge:
    """One network, one loss."""

    Options: type[BaseModel] = BridgeOptions
    optimisers: Mapping[str, tuple[str, ...]] = {"generator": ("generator",)}
    unpaired = False

    def __init__(self, options: BridgeOptions) -> None:
        self.options = options

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """The generator alone; InputError for another network than a bridge."""
        if not hasattr(generator, "predict") or not hasattr(generator, "state"):
            raise InputError("The objective bridge trains the network bridge and no other.")
        return {"generator": generator}

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """One update of the generator."""
        options, bridge = self.options, networks["generator"]
        time, noise = self._drawn(batch.target, random)
        state = bridge.state(batch.source, batch.target, time, noise)  # type: ignore[operator]
        made = bridge.predict(state, batch.source, time)  # type: ignore[operator]
        weight = losses.emphasised(batch.weight, batch.lesion, options.lesion)
        l1 = losses.weighted_l1(made, batch.target, weight)
        loss, logged = options.l1 * l1, {"l1": l1.detach()}
        if options.ssim:
            structural = losses.structural(made, batch.target, batch.weight)
            loss, logged["ssim_loss"] = loss + options.ssim * structural, structural.detach()
        yield Update("generator", loss, logged)

    def _drawn(self, target: torch.Tensor, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Times (n,) in (0, 1] and standard normal noise."""
        count = len(target)
        time = 1 - torch.rand(count, generator=random)
        time[torch.rand(count, generator=random) < self.options.at_start] = 1.0
        noise = torch.randn(target.shape, generator=random)
        return time.to(target.device), noise.to(target.device)
