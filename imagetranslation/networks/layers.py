"""Layers by number of dimensions, and the checks that every family's constructor makes of it and of the norm's name."""

from __future__ import annotations

from torch import nn

# By spatial dimensions: convolution and its transpose.
CONVOLUTIONS = {2: (nn.Conv2d, nn.ConvTranspose2d), 3: (nn.Conv3d, nn.ConvTranspose3d)}
# By name, then by spatial dimensions.
NORMS: dict[str, dict[int, type[nn.Module]]] = {
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
    "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
}
MAX_POOLS = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
MEAN_POOLS = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
PADDINGS = {2: nn.ReflectionPad2d, 3: nn.ReflectionPad3d}


def require_dims(spatial_dims: int) -> None:
    """ValueError for anything but 2 and 3."""
    if spatial_dims not in CONVOLUTIONS:
        raise ValueError(f"spatial_dims must be 2 or 3, not {spatial_dims}")


def require_norm(norm: str) -> None:
    """ValueError for a name that `NORMS` lacks."""
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, not {norm!r}")
