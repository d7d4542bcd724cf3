"""Pairs that do not lie exactly on each other: a registration learnt along with the translation.

The idea of RegGAN (Kong et al., NeurIPS 2021), written from the paper: misalignment is label noise; a second network
finds the smooth deformation that brings the made image onto the target, and the difference is taken after it. The
deformation is thrown away after training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional

from imagetranslation import networks as registry

from .. import losses
from .parts import PatchGAN
from .protocol import Batch, Shape, Update, masked, translated


class RegGANOptions(BaseModel):
    """correction, smoothness, adversarial: weights (20, 10 and 1 in the paper). largest: of the shifts, in voxels.

    channels: features of the registration network's levels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    correction: float = Field(default=20.0, ge=0)
    smoothness: float = Field(default=10.0, ge=0)
    adversarial: float = Field(default=1.0, ge=0)
    largest: float = Field(default=8.0, gt=0)
    channels: tuple[int, ...] = (16, 32, 32)
    gan: Literal["bce", "lsgan"] = "lsgan"
    discriminator: PatchGAN = PatchGAN()


class RegGAN:
    """Discriminator first, then generator and registration together."""

    Options: type[BaseModel] = RegGANOptions
    optimisers: Mapping[str, tuple[str, ...]] = {
        "discriminator": ("discriminator",),
        "generator": ("generator", "registration"),
    }
    unpaired = False

    def __init__(self, options: RegGANOptions) -> None:
        self.options = options

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """The generator, a discriminator of targets, and a U-Net from (made, target) to shifts, zero at first."""
        registration = registry.build(
            "unet", spatial_dims=shape.spatial_dims, in_channels=2, out_channels=shape.spatial_dims,
            channels=list(self.options.channels), units=0, norm="instance",
        )  # fmt: skip
        last = [
            m for m in registration.modules() if isinstance(m, (torch.nn.ConvTranspose2d, torch.nn.ConvTranspose3d))
        ]
        torch.nn.init.zeros_(last[-1].weight)
        torch.nn.init.zeros_(last[-1].bias)  # type: ignore[arg-type]
        judge = self.options.discriminator.build(shape)
        return {"generator": generator, "discriminator": judge, "registration": registration}

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """One update of the discriminator, one of generator and registration."""
        options, judge = self.options, networks["discriminator"]
        made = translated(networks["generator"], batch)
        shown, real = masked(made, batch.weight), masked(batch.target, batch.weight)
        judged = losses.adversarial(judge(real), True, options.gan)
        judged = (judged + losses.adversarial(judge(shown.detach()), False, options.gan)) / 2
        yield Update("discriminator", judged, {"discriminator": judged.detach()})
        shifts = options.largest * torch.tanh(networks["registration"](torch.cat([made, batch.target], dim=1)))
        correction = losses.weighted_l1(warp(made, shifts), batch.target, batch.weight)
        rough, fooled = roughness(shifts), losses.adversarial(judge(shown), True, options.gan)
        loss = options.correction * correction + options.smoothness * rough + options.adversarial * fooled
        logged = {"generator_gan": fooled.detach(), "correction": correction.detach(), "roughness": rough.detach()}
        yield Update("generator", loss, logged)


def warp(image: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """(n, c, *spatial) read at x + shift(x), linearly, edges repeated. shifts: (n, dims, *spatial) in voxels.

    The axes of `shifts` are in the order of the array's axes.
    """
    sizes = image.shape[2:]
    axes = [torch.arange(size, dtype=image.dtype, device=image.device) for size in sizes]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij")) + shifts
    scaled = [2 * place / max(size - 1, 1) - 1 for place, size in zip(places.unbind(dim=1), sizes)]
    grid = torch.stack(scaled[::-1], dim=-1)
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def roughness(shifts: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of neighbouring shifts, summed over the axes."""
    total = torch.zeros((), device=shifts.device)
    for axis in range(2, shifts.ndim):
        total = total + torch.diff(shifts, dim=axis).square().mean()
    return total
