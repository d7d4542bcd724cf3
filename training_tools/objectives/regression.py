"""Direct regression on registered pairs: weighted L1, L2 and SSIM inside the mask, lesions counting more.

The study's 3-D auto-encoder and U-Net (mean squared error) and one-step regression are settings of this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .. import losses
from .protocol import Batch, Shape, Update, translated


class RegressionOptions(BaseModel):
    """Weights of the terms, each averaged where source and target were recorded.

    l1, mse: mean absolute and mean squared difference of images in [-1, 1]; ssim: 1 - SSIM (Gaussian window of sigma
    1.5, in as many dimensions as the samples have). lesion: how much more than elsewhere a difference inside a known
    lesion counts, in l1 and mse.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    l1: float = Field(default=1.0, ge=0)
    mse: float = Field(default=0.0, ge=0)
    ssim: float = Field(default=0.0, ge=0)
    lesion: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _something_is_asked(self) -> RegressionOptions:
        if not self.l1 + self.mse + self.ssim:
            raise ValueError("one of l1, mse and ssim must be above 0")
        return self


class Regression:
    """One network, one loss."""

    Options: type[BaseModel] = RegressionOptions
    optimisers: Mapping[str, tuple[str, ...]] = {"generator": ("generator",)}
    unpaired = False

    def __init__(self, options: RegressionOptions) -> None:
        self.options = options

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """The generator alone."""
        return {"generator": generator}

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """One update of the generator."""
        made = translated(networks["generator"], batch)
        weight = losses.emphasised(batch.weight, batch.lesion, self.options.lesion)
        terms = {
            "l1": (losses.weighted_l1, weight),
            "mse": (losses.weighted_mse, weight),
            "ssim": (losses.structural, batch.weight),
        }
        loss: Any = 0.0
        logged = {}
        for name, (term, where) in terms.items():
            if share := getattr(self.options, name):
                value = term(made, batch.target, where)
                loss, logged["ssim_loss" if name == "ssim" else name] = loss + share * value, value.detach()
        yield Update("generator", loss, logged)
