"""Networks, optimisers and the average of a run: made from a configuration, moved by updates, kept in checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from imagetranslation import networks as registry
from imagetranslation.errors import InputError, RunFailed

from .. import checkpoint, objectives
from ..config import Config
from ..objectives.protocol import Objective
from .average import Average
from .cache import Stored, anatomies, mean_volume
from .precision import InFormat, laid_out
from .sampling import seeded, shape_of
from .schedule import factor
from .settings import Optimiser

GENERATOR = "generator"


class State:
    """All that training moves. networks: by name, on the device, in training mode; usable: the same, as objectives call
    them; step: how many steps are finished; best: the best validation so far, and when."""

    def __init__(self, config: Config, fabric: Fabric, cases: Sequence[Stored]) -> None:
        self.config, self.fabric = config, fabric
        self.objective = make_objective(config)
        self.step = 0
        self.history: dict[str, Any] = {}
        torch.manual_seed(seeded(config.seed, "weights"))
        generator: Any = registry.build(config.network.name, **config.network.arguments)
        if hasattr(generator, "start_from_organs"):
            _require_whole_volumes_with_organs(config)
            generator.start_from_organs(lambda: anatomies(cases))
        elif hasattr(generator, "start_from"):
            generator.start_from(*map(torch.from_numpy, mean_volume(cases)))
        self.networks = self.objective.networks(generator, shape_of(config))
        trained = {part for parts in self.objective.optimisers.values() for part in parts}
        for name, network in self.networks.items():
            network.to(fabric.device)
            if name in trained:
                network.train()
            laid_out(network, config.precision, fabric.device)
        self.average = Average(self.networks[GENERATOR], config.average)
        self.usable = self._usable()
        self.moved = {name: self._parameters(parts) for name, parts in self.objective.optimisers.items()}
        self.optimisers: dict[str, Any] = {
            name: fabric.setup_optimizers(_optimiser(parameters, config, name))
            for name, parameters in self.moved.items()
        }
        self._watched = [t for n in self.networks.values() for t in n.state_dict().values() if t.is_floating_point()]

    def set_rates(self) -> float:
        """Set the rates of the coming step; returns the generator's."""
        settings = self.config.optimiser
        by = factor(settings, self.step, self.config.steps)
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = by * _rate(settings, name)
        return by * settings.rate

    def backward(self, name: str, loss: torch.Tensor) -> None:
        """Add a loss's gradients to those of the networks of an optimiser, and to no others'."""
        self.fabric.backward(loss, inputs=self.moved[name])

    def zero(self, names: Iterable[str]) -> None:
        """Forget the gradients of these optimisers."""
        for name in names:
            self.optimisers[name].zero_grad(set_to_none=True)

    def move(self, name: str) -> None:
        """Step one optimiser with the gradients that are there, averaged over all processes."""
        parameters, clip = self.moved[name], self.config.optimiser.clip
        if self.fabric.world_size > 1:
            _share(parameters, self.fabric.world_size)
        optimiser = self.optimisers[name]
        if clip is not None:
            network = self.networks[self.objective.optimisers[name][0]]
            self.fabric.clip_gradients(network, optimiser, max_norm=clip, error_if_nonfinite=False)
        optimiser.step()

    @torch.no_grad()
    def size(self) -> torch.Tensor:
        """A scalar that is finite exactly where all weights are numbers."""
        return torch.stack(torch._foreach_norm(self._watched)).sum()

    def save(self, folder: Path) -> None:
        """Write a checkpoint of everything the next step depends on."""
        state: dict[str, Any] = {
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "history": self.history,
            "processes": self.fabric.world_size,
        }
        if (scaler := self._scaler()) is not None:
            state["scaler"] = scaler.state_dict()
        checkpoint.save(folder, self.step, self._parts(), state)

    def resume(self, folder: Path) -> int:
        """Go on from the newest checkpoint, if there is one; returns the step it was written at."""
        found = checkpoint.load(folder, self._parts())
        if found is None:
            return 0
        step, state = found
        if state["processes"] != self.fabric.world_size:
            raise RunFailed(
                f"The run in {folder.parent} was started with {state['processes']} processes; go on with as many."
            )
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
            _as_laid_out(optimiser.state)
        if (scaler := self._scaler()) is not None and "scaler" in state:
            scaler.load_state_dict(state["scaler"])
        self.step, self.history = step, state["history"]
        return step

    def _parts(self) -> dict[str, torch.nn.Module]:
        return {**self.networks, **self.average.part()}

    def _scaler(self) -> Any:
        return getattr(self.fabric._precision, "scaler", None)

    def _usable(self) -> Mapping[str, Any]:
        if self.config.precision.compute == "32":
            return self.networks
        return {name: InFormat(network, self.fabric.autocast) for name, network in self.networks.items()}

    def _parameters(self, parts: Iterable[str]) -> list[torch.nn.Parameter]:
        return [p for part in parts for p in self.networks[part].parameters() if p.requires_grad]


def _require_whole_volumes_with_organs(config: Config) -> None:
    name, sampling = config.network.name, config.sampling
    if sampling.region != "organ":
        raise InputError(f"The network {name!r} learns where the organ is: set sampling.region to 'organ'.")
    if config.source.resampling.mode != "fit" or sampling.samples != "windows":
        raise InputError(
            f"The network {name!r} sees whole volumes: set source.resampling.mode to 'fit' and sampling.samples to "
            "'windows'."
        )


def make_objective(config: Config) -> Objective:
    """The objective of a configuration, with its options."""
    options = dict(config.objective)
    kind = objectives.find(options.pop("name"))
    made: Objective = kind(kind.Options(**options))  # type: ignore[call-arg]
    return made


def _optimiser(parameters: list[torch.nn.Parameter], config: Config, name: str) -> torch.optim.Optimizer:
    settings = config.optimiser
    rate = _rate(settings, name)
    # One pass over the weights instead of a dozen. The scaler of float16 cannot clip the gradients of a fused one.
    fused = parameters[0].device.type in ("cpu", "cuda") and config.precision.compute != "16-mixed"
    if settings.name == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, alpha=settings.betas[1], weight_decay=settings.weight_decay)
    kind = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
    return kind(parameters, lr=rate, betas=settings.betas, weight_decay=settings.weight_decay, fused=fused)


def _rate(settings: Optimiser, name: str) -> float:
    return settings.rate if name == GENERATOR else settings.discriminator_rate


def _as_laid_out(state: Mapping[torch.Tensor, dict[str, Any]]) -> None:
    """Give the moments of an optimiser the memory layout of their weights again: fused steps go by position."""
    for parameter, moments in state.items():
        for key, value in moments.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                moments[key] = torch.empty_like(parameter, requires_grad=False).copy_(value)


def _share(parameters: Iterable[torch.nn.Parameter], world: int) -> None:
    """Average the gradients over all processes, in one message."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= world
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
        gradient.copy_(part.view_as(gradient))
