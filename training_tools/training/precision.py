"""Devices, number formats and memory layouts of a run, by Lightning Fabric. The mathematics is the objectives'."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric import Fabric

from imagetranslation.errors import InputError

from .convolutions import as_products, is_product
from .settings import Precision


@dataclass(frozen=True)
class Hardware:
    """What a run is given: accelerator ("auto", "cpu", "cuda", "mps"), devices of each machine, machines.

    Under `torchrun` and SLURM their own numbers are taken.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1

    def found(self) -> Hardware:
        """The same, with what torchrun or SLURM say in place of the two numbers."""
        told = os.environ
        if "WORLD_SIZE" in told and "LOCAL_WORLD_SIZE" in told:
            local = int(told["LOCAL_WORLD_SIZE"])
            return Hardware(self.accelerator, local, int(told["WORLD_SIZE"]) // local)
        if "SLURM_PROCID" in told and int(told.get("SLURM_NTASKS", "1")) > 1:
            nodes = int(told.get("SLURM_NNODES", "1"))
            return Hardware(self.accelerator, int(told["SLURM_NTASKS"]) // nodes, nodes)
        return self


def make_fabric(settings: Precision, hardware: Hardware | None = None) -> Fabric:
    """Fabric for these settings, its processes launched; InputError where the machine lacks what is asked for."""
    asked = (hardware or Hardware()).found()
    if settings.compute == "16-mixed" and (asked.accelerator == "cpu" or not torch.cuda.is_available()):
        raise InputError("precision.compute 16-mixed needs a GPU; on a CPU take bf16-mixed or 32.")
    several = asked.devices * asked.nodes > 1
    compute = "32-true" if settings.compute == "32" else settings.compute
    try:
        fabric = Fabric(
            accelerator=asked.accelerator,
            devices=asked.devices,
            num_nodes=asked.nodes,
            strategy="ddp" if several else "auto",
            precision=compute,  # type: ignore[arg-type]
        )
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{asked.nodes} x {asked.devices} devices ({asked.accelerator}) cannot be used: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return fabric


@contextmanager
def settled(device: torch.device, threads: int) -> Iterator[None]:
    """Threads, determinism (on the CPU: the same bits in every repetition) and the fast paths that keep results.

    The processor's way with the smallest numbers is put back at the end: other code of the process counts on it.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(device.type == "cpu", warn_only=True)
    # Meant for finding reads of memory that nothing was written to; it writes all memory twice.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    # Numbers below 1e-38 carry nothing, and some processors compute with them a hundred times slower.
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class InFormat:
    """A network that computes in a run's number format and gives float32, by whichever method it is called."""

    def __init__(self, network: torch.nn.Module, autocast: Callable[[], AbstractContextManager[Any]]) -> None:
        self._network, self._autocast = network, autocast

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        with self._autocast():
            return _full(self._network(*arguments, **named))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._network, name)
        if not callable(found) or isinstance(found, torch.nn.Module):
            return found

        def called(*arguments: Any, **named: Any) -> Any:
            with self._autocast():
                return _full(found(*arguments, **named))

        return called


def laid_out(network: torch.nn.Module, settings: Precision, device: torch.device) -> None:
    """Put a network into the memory layout of the settings, and compile it if they say so."""
    if device.type == "cpu" and settings.compute == "32":
        as_products(network)
    if settings.channels_last:
        dims = {tensor.dim() for tensor in network.parameters()}
        # Volumes' convolutions have five dimensions; a network that has both kinds is left as it is.
        if 5 in dims and 4 not in dims:
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        elif 4 in dims and 5 not in dims:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for module in network.modules():
            if is_product(module):
                module.weight.data = module.weight.data.contiguous()  # type: ignore[operator,union-attr]
    if settings.compile:
        network.compile()


def _full(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _full(item) for key, item in value.items()}
    return type(value)(_full(item) for item in value) if isinstance(value, (list, tuple)) else value
