"""What an objective is to the training loop: networks to be trained, and losses that move them, one after another.

The loop (`training_tools.training`) owns optimisers, precision, clipping, averages and checkpoints; an objective owns
the mathematics of one paper and never calls `backward` or `step` itself. An objective holds no state of its own: what
has to outlive a step (a pool of earlier images, a fixed encoder of features) is a network with persistent buffers, so
that a run can be stopped and resumed.
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
    positions: (n,) of the slice along the volume in [-1, 1] for networks that ask for it, or None. paired: whether
    target and source are one patient's, in register; otherwise the target is another patient's and may be used as a
    sample of the target modality only, `weight` is the source's and `target_weight` the target's own (None where
    paired: it is the same). progress: share of the run's steps that is done, in [0, 1), for what changes in its course.
    organ: (n, 1, *spatial) in [0, 1], the organ's label in the source, where `sampling.region` asks for it.
    """

    source: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    lesion: torch.Tensor | None = None
    positions: torch.Tensor | None = None
    paired: bool = True
    target_weight: torch.Tensor | None = None
    progress: float = 0.0
    organ: torch.Tensor | None = None


@dataclass(frozen=True)
class Update:
    """One optimiser step that the loop shall make: `loss` (a scalar with a graph) moves the networks of `optimiser`.

    Gradients are taken for these networks' parameters alone, so others in the graph (the discriminator of a
    generator's loss) need not be frozen. logged: numbers for the log, named alike in every step; tensors (scalars)
    rather than floats, which would wait for the device.
    """

    optimiser: str
    loss: torch.Tensor
    logged: Mapping[str, float | torch.Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """One way to train a generator. Its options are a pydantic model (`Options`), unknown keys refused.

    optimisers: name of each optimiser to the names of the networks that it moves; the optimiser called "generator"
    has the configuration's `rate`, all others its `discriminator_rate`. Networks that no optimiser names are moved to
    the device and kept in checkpoints. unpaired: whether it may be given batches that are not paired.
    """

    Options: type[BaseModel]
    optimisers: Mapping[str, tuple[str, ...]]
    unpaired: bool

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """All networks by name, with fresh weights; "generator" is the one given, source to target, to be exported."""
        ...

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """The updates of one step, in order. When the iterator is resumed, the optimiser has been stepped.

        Networks take and give float32, whatever they compute in (also by methods other than `forward`); those that an
        optimiser names are in training mode. Draw from `random` only (a CPU generator, seeded anew for each step from
        the run's seed, the step and the process), so that a run can be repeated.
        """
        ...


def translated(network: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """(n, 1, *spatial): what a generator makes of a batch's source, told the slices' positions where there are any."""
    made: torch.Tensor = network(batch.source) if batch.positions is None else network(batch.source, batch.positions)
    return made


def masked(image: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The image with background (-1) where the weight is 0: no discriminator shall judge by what was not recorded."""
    return torch.where(weight > 0, image, torch.full_like(image, -1.0))
