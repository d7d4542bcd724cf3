"""What runs a network on a batch of windows. One protocol; today torch in float32 on CPU, CUDA or MPS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from .errors import InputError, ModelRefused, RunFailed

if TYPE_CHECKING:
    import numpy as np

    from .models import ModelPackage


class Predictor(Protocol):
    """Runs batches of windows through one network; windows must not depend on one another."""

    device: str

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """float32 (n, channels, *patch) in, float32 (n, out channels, *patch) out."""


class TorchPredictor:
    """Eager torch in float32. device: "cpu", "cuda:0", "mps"."""

    def __init__(self, package: ModelPackage, device: str) -> None:
        self.device = device
        self.package = package
        self._network = package.network().to(device)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """See `Predictor.predict`."""
        import torch

        try:
            with torch.inference_mode():
                result = self._network(torch.from_numpy(batch).to(self.device)).float().cpu().numpy()
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
                raise RunFailed(
                    f"The memory of {self.device} is too small for {self.package.id}; use --device cpu or free some."
                ) from error
            raise ModelRefused(
                f"{self.package.id} cannot run on windows of {batch.shape[1:]}: its network and its model.json "
                f"contradict each other ({str(error).strip().splitlines()[0][:120].rstrip('.')})."
            ) from error
        if result.shape != batch.shape:
            raise ModelRefused(f"{self.package.id} turns windows of {batch.shape[1:]} into {result.shape[1:]}.")
        return result


def choose_device(wanted: str = "auto") -> str:
    """The torch device for "auto", "cpu", "cuda", "cuda:n" or "mps"; InputError when this machine hasn't got it."""
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = wanted.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and re.fullmatch(r"[0-9]{1,4}", index))):
        raise InputError(f"There is no device called {wanted}; use auto, cpu, cuda, cuda:0 (1, 2, ...) or mps.")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InputError(f"Device {wanted} is not there: torch finds {count} CUDA device(s). Use --device cpu.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError("Device mps is not there: torch finds no Apple GPU. Use --device cpu.")
    return f"cuda:{index or 0}" if kind == "cuda" else kind
