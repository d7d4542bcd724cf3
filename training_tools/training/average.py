"""The moving average of a generator's weights: what is validated and exported. It is never trained, only moved."""

from __future__ import annotations

import copy

import torch


class Average:
    """An exponential average of `network`'s weights and buffers, with decay `decay`; 0: simply its latest weights."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self._network = network
        self._copy = copy.deepcopy(network).eval().requires_grad_(False) if decay else None
        if self._copy is not None:
            self._own, self._others = self._pairs(floating=True), self._pairs(floating=False)

    @torch.no_grad()
    def move(self, step: int) -> None:
        """Follow the network after its step `step` (from 0)."""
        if self._copy is None:
            return
        # A short memory at first: the initial weights must not linger in the average.
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_([a for a, _ in self._own], [b for _, b in self._own], 1 - decay)
        for mine, theirs in self._others:
            mine.copy_(theirs)

    def module(self) -> torch.nn.Module:
        """The averaged network in evaluation mode, for use before the next step; not to be changed."""
        if self._copy is not None:
            return self._copy
        return copy.deepcopy(self._network).eval().requires_grad_(False)

    def part(self) -> dict[str, torch.nn.Module]:
        """What a checkpoint must hold beside the network itself."""
        return {} if self._copy is None else {"average": self._copy}

    def _pairs(self, *, floating: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
        assert self._copy is not None
        own = self._network.state_dict()
        pairs = [(mine, own[name]) for name, mine in self._copy.state_dict().items()]
        return [pair for pair in pairs if pair[0].is_floating_point() == floating]
