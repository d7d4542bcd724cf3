"""Predictors whose answers differ from one pass to the next: the members of a committee, and dropout at test time.

Both need the network's own layers, so they run in eager torch, float32, whatever engine made the image itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ModelRefused
from ..predictors import TorchPredictor

if TYPE_CHECKING:
    from ..models import ModelPackage


class MemberPredictor(TorchPredictor):
    """One member of the committee inside a network at a time; `member` says which (0-based)."""

    def __init__(self, package: ModelPackage, device: str) -> None:
        from ..networks.pix2pix_small import Committee

        super().__init__(package, device)
        self._committees = [part for part in self._network.modules() if isinstance(part, Committee)]
        self.members = len(self._committees[0].members) if len(self._committees) == 1 else 1
        if self.members < 2:
            raise ModelRefused(
                f"{package.id} is a single network, so it is no ensemble; name another package of the same task "
                "with --member, or take test-time augmentation."
            )

    def choose(self, member: int) -> None:
        """Let this member answer alone."""
        self._committees[0].only = member

    def on_cpu(self) -> MemberPredictor:
        """The same member on the CPU, where the device's memory ran out."""
        moved = MemberPredictor(self.package, "cpu")
        moved._committees[0].only = self._committees[0].only
        return moved


class DropoutPredictor(TorchPredictor):
    """Monte Carlo dropout (Gal and Ghahramani 2016): in each pass some of the network's features are switched off.

    Only layers that are dropout in training are used; everything else, batch norm above all, stays in evaluation. One
    draw holds for a whole pass, so that it is one network that answers: neighbouring slices and windows agree, and the
    result depends neither on the size of a batch nor on the device.
    """

    def __init__(self, package: ModelPackage, device: str) -> None:
        from torch import nn

        super().__init__(package, device)
        kinds = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
        layers = [part for part in self._network.modules() if isinstance(part, kinds) and part.p > 0]
        if not layers:
            raise ModelRefused(f"{package.id} has no dropout layer; take test-time augmentation or an ensemble.")
        self._masks: dict[tuple[int, tuple[int, ...]], Any] = {}
        self._seed = (0, 0)
        for number, layer in enumerate(layers):
            layer.register_forward_hook(self._hook(number))

    def choose(self, seed: int, sample: int) -> None:
        """Draw the features that are off anew; the same two numbers give the same ones."""
        self._seed = (seed, sample)
        self._masks.clear()

    def on_cpu(self) -> DropoutPredictor:
        """The same draw on the CPU, where the device's memory ran out."""
        moved = DropoutPredictor(self.package, "cpu")
        moved.choose(*self._seed)
        return moved

    def _hook(self, number: int) -> Any:
        from torch import nn

        def switch_off(layer: Any, inputs: Any, output: Any) -> Any:
            # Dropout1d to 3d take whole channels, plain dropout single values.
            ones = [1] * (output.ndim - 2)
            shape = (1, *output.shape[1:]) if isinstance(layer, nn.Dropout) else (1, output.shape[1], *ones)
            key = (number, shape)
            if key not in self._masks:
                self._masks[key] = self._mask(number, shape, float(layer.p)).to(output)
            return output * self._masks[key]

        return switch_off

    def _mask(self, number: int, shape: tuple[int, ...], probability: float) -> Any:
        import numpy as np
        import torch

        kept = np.random.default_rng((*self._seed, number)).random(shape) >= probability
        return torch.from_numpy(kept.astype(np.float32) / max(1 - probability, 1e-6))
