"""torch as an engine: eager and compiled, on CPU, CUDA and MPS, in float32 or with convolutions in bfloat16/float16."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ImageTranslationError, RunFailed
from ..predictors import OutOfMemory, checked, explained, full_float32
from . import machine, preparing, workload
from .transfers import CudaLane, overlapped

if TYPE_CHECKING:
    import torch

    from ..models import ModelPackage


class TorchEngine:
    """Eager torch on a prepared network (`preparing`). device: "cpu", "cuda:0", "mps"; precision: see `Predictor`."""

    engine = "torch"

    def __init__(self, package: ModelPackage, device: str, precision: str = "float32") -> None:
        self.package, self.device, self.precision = package, device, precision
        self.notes: tuple[str, ...] = ()
        if device.startswith("cuda"):
            full_float32()
        self._network: Any = preparing.prepare(package.network(), precision).to(device)
        self._lane = CudaLane(device) if device.startswith("cuda") else None

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """See `Predictor.predict`."""
        (result,) = self.stream([batch])
        return result

    def stream(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `predictors.stream`; on CUDA the next batch travels while this one runs."""
        if self._lane is None:
            yield from map(self._run, batches)
        else:
            yield from overlapped(batches, self._start, self._finish)

    def _run(self, batch: np.ndarray) -> np.ndarray:
        import torch

        with self._told(batch):
            result = self._forward(torch.from_numpy(batch).to(self.device)).float().cpu()
            # The caller gets plain (C-ordered) memory, whatever the network's layout.
            return checked(result.contiguous().numpy(), self.package, batch.shape)

    def _start(self, batch: np.ndarray) -> tuple[np.ndarray, Any]:
        assert self._lane is not None
        with self._told(batch):
            return batch, self._lane.run(batch, self._forward)

    def _finish(self, started: tuple[np.ndarray, Any]) -> np.ndarray:
        batch, running = started
        with self._told(batch):
            return checked(CudaLane.collect(running), self.package, batch.shape)

    def _forward(self, batch: torch.Tensor) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            return self._network(preparing.as_channels_last(batch))

    @contextlib.contextmanager
    def _told(self, batch: np.ndarray) -> Iterator[None]:
        """Errors in words; after running out of memory the GPU's cached blocks are given back."""
        try:
            yield
        except Exception as error:
            told = explained(error, self.package, self.device, batch.shape)
            if isinstance(told, OutOfMemory) and self._lane is not None:
                import torch

                torch.cuda.empty_cache()
            raise told from error


class CompiledEngine(TorchEngine):
    """torch.compile (Inductor). Shapes are static: batches are cut and filled up to one size, found from the patch.

    On CUDA it runs as CUDA graphs ("reduce-overhead") in a thread of its own, to which they belong; on the CPU, in
    reduced precision, weights are packed ahead (Inductor's freezing; not in float32, where frozen convolutions were
    measured to lose digits: 3e-4 against 5e-8). Compiling takes 5 to 60 seconds in each new process, so that only long
    runs gain by it.
    """

    engine = "torch-compile"

    def __init__(self, package: ModelPackage, device: str, precision: str = "float32") -> None:
        if missing := what_compiling_lacks(device):
            raise RunFailed(missing)
        machine.keep_compiled_code_private()
        super().__init__(package, device, precision)
        self._size = workload.usual_batch(package, device)
        self._network = _compile(self._network, device, precision)
        self._thread = ThreadPoolExecutor(1, "compiled") if device.startswith("cuda") else None

    def stream(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """See `predictors.stream`."""
        for batch in batches:
            parts = [batch[start : start + self._size] for start in range(0, len(batch), self._size)]
            made = super().stream(_filled(part, self._size) for part in parts)
            yield np.concatenate(list(made))[: len(batch)]

    def _forward(self, batch: torch.Tensor) -> torch.Tensor:
        import torch

        try:
            if self._thread is None:
                return super()._forward(batch)
            return self._thread.submit(self._graphed, batch).result()
        except (ImageTranslationError, torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".")
            raise RunFailed(f"torch.compile failed on {self.package.id}: {line}. Use --engine torch.") from error

    def _graphed(self, batch: torch.Tensor) -> torch.Tensor:
        import torch

        with torch.cuda.device(self.device):
            # A CUDA graph writes its next result into the same memory.
            return super()._forward(batch).clone()


def what_compiling_lacks(device: str) -> str | None:
    """One sentence on what torch.compile misses on this machine, or None."""
    import importlib.util

    if device == "mps":
        return "torch.compile is not offered on mps; use --engine torch."
    if device == "cpu" and machine.compiler() is None:
        return "torch.compile needs a C++ compiler on the CPU, and none was found; install g++ or use --engine torch."
    if device.startswith("cuda") and importlib.util.find_spec("triton") is None:
        return "torch.compile needs the package triton on CUDA, which is not installed; use --engine torch."
    return None


def _compile(network: Any, device: str, precision: str) -> Any:
    import torch

    if device.startswith("cuda"):
        return torch.compile(network, dynamic=False, mode="reduce-overhead")
    options: dict[str, Any] = {"freezing": precision != "float32"}
    return torch.compile(network, dynamic=False, options=options)


def _filled(part: np.ndarray, size: int) -> np.ndarray:
    """The batch grown to `size` windows by repeating its last."""
    missing = size - len(part)
    return part if not missing else np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
