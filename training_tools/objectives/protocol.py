"""What an objective is to the training loop: networks to be trained, and losses that move them, one after another.

The loop (`training_tools.training`) owns optimisers, precision, clipping, averages and checkpoints; an objective owns
the mathematics of one paper and never calls `backward` or `step` itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from pydantic import BaseModel


@dataclass(frozen=True)
class Shape:
    """What the networks will see: 2 or 3 dimensions, the source's channels (several for 2.5-D), the patch in voxels."""

    spatial_dims: int
    in_channels: int
    patch: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """n training samples, (n, channel, *spatial) float32.

    source, target: in [-1, 1]; the target has one channel. weight: (n, 1, *spatial) in [0, 1], 0 where source or
    target holds nothing that was recorded. lesion: (n, 1, *spatial) in [0, 1], or None where no lesion is known.
    positions: (n,) of the slice along the volume in [-1, 1], or None. paired: whether target and source are one
    patient's, in register; otherwise the target is another patient's and may be used as a sample of the target
    modality only.
    """

    source: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    lesion: torch.Tensor | None = None
    positions: torch.Tensor | None = None
    paired: bool = True


@dataclass(frozen=True)
class Update:
    """One optimiser step that the loop shall make: `loss` (a scalar with a graph) moves the networks of `optimiser`.

    logged: numbers for the log, named alike in every step.
    """

    optimiser: str
    loss: torch.Tensor
    logged: Mapping[str, float | torch.Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """One way to train a generator. Its options are a pydantic model (`Options`), unknown keys refused.

    optimisers: name of each optimiser to the names of the networks that it moves; the optimiser called "generator"
    has the configuration's `rate`, all others its `discriminator_rate`. unpaired: whether it may be given batches
    that are not paired.
    """

    Options: type[BaseModel]
    optimisers: Mapping[str, tuple[str, ...]]
    unpaired: bool

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """All networks by name, with fresh weights; "generator" is the one given, source to target, to be exported."""

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """The updates of one step, in order. When the iterator is resumed, the optimiser has been stepped.

        Draw from `random` only (a CPU generator; its state is kept in checkpoints), so that a run can be repeated.
        """
