"""Discriminators: MONAI's PatchGAN under our names. Losses are left to the training tools."""

from __future__ import annotations

import torch
from torch import nn


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al. 2017): (batch, in_channels, [D,] H, W) -> logits (batch, 1, [d,] h, w), one a patch.

    MONAI's network gives the features of every layer; adversarial training here uses the last. With base 64 and
    layers 3 each logit sees 70 x 70 pixels, as in the paper. in_channels counts source and target together. norm:
    "batch" or "instance".
    """

    def __init__(
        self, spatial_dims: int = 2, in_channels: int = 2, base: int = 64, layers: int = 3, norm: str = "batch"
    ) -> None:
        super().__init__()
        if not 1 <= layers <= 16:
            raise ValueError(f"layers must be 1 to 16, not {layers}")
        if norm not in ("batch", "instance"):
            raise ValueError(f"norm must be batch or instance, not {norm!r}")
        from monai.networks.nets import PatchDiscriminator as MonaiPatchDiscriminator

        self.network = MonaiPatchDiscriminator(
            spatial_dims=spatial_dims,
            channels=base,
            in_channels=in_channels,
            out_channels=1,
            num_layers_d=layers,
            norm=norm.upper(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of one batch."""
        return self.network(x)[-1]

    def features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What each layer makes of one batch, first to last; the last are the logits."""
        return list(self.network(x))


def patch_discriminator(**arguments: int | str) -> PatchDiscriminator:
    """The PatchGAN discriminator with MONAI's layers."""
    return PatchDiscriminator(**arguments)  # type: ignore[arg-type]
