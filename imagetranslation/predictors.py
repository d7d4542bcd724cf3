"""What runs a network on a batch of windows: the protocol, and eager torch in float32, which every other engine
(`engines`) is measured against. On CPU, CUDA or MPS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from .errors import InputError, ModelRefused, RunFailed

if TYPE_CHECKING:
    import numpy as np

    from .models import ModelPackage

# How engines say that memory ran out where they have no exception of their own for it.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|(?:allocate|allocating) .{0,40}memory|memory allocation|bad_?alloc|failed to allocate|"
    r"CUDNN_STATUS_ALLOC_FAILED|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)


class OutOfMemory(RunFailed):
    """A batch does not fit into the memory of the device; a smaller one may."""


class Predictor(Protocol):
    """Runs batches of windows through one network; windows must not depend on one another.

    device: "cpu", "cuda:0", "mps". engine: "torch", "torch-compile", "onnx" or "openvino". precision: "float32",
    "bfloat16" or "float16", what the network computes in. notes: sentences about how engine and precision came about,
    for the record of a result. A predictor may also have `stream` (see the function of that name).
    """

    package: ModelPackage
    device: str
    engine: str
    precision: str
    notes: tuple[str, ...]

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """float32 (n, channels, *patch) in, float32 (n, out channels, *patch) out; OutOfMemory where it won't fit."""


class TorchPredictor:
    """Eager torch in float32. device: "cpu", "cuda:0", "mps"."""

    engine = "torch"
    precision = "float32"
    notes: tuple[str, ...] = ()

    def __init__(self, package: ModelPackage, device: str) -> None:
        self.device = device
        self.package = package
        if device.startswith("cuda"):
            full_float32()
        self._network = package.network().to(device)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """See `Predictor.predict`."""
        import torch

        try:
            with torch.inference_mode():
                result = self._network(torch.from_numpy(batch).to(self.device)).float().cpu().numpy()
        except Exception as error:
            raise explained(error, self.package, self.device, batch.shape) from error
        return checked(result, self.package, batch.shape)


def stream(predictor: Predictor, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The results of `batches` in their order, one held at a time.

    A predictor with a `stream` method of its own overlaps copying, computing and the making of the next batch; with
    any other this is `predict` on one batch after another.
    """
    own = getattr(predictor, "stream", None)
    yield from map(predictor.predict, batches) if own is None else own(batches)


def ran_out_of_memory(error: Exception) -> bool:
    """Whether an error of torch or another engine says that the device's memory is too small."""
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


def explained(error: Exception, package: ModelPackage, device: str, shape: tuple[int, ...]) -> Exception:
    """What a person can act on for what a network raised on a batch of `shape`; any other error is given back."""
    if ran_out_of_memory(error):
        return OutOfMemory(
            f"The memory of {device} is too small for {package.id} with {shape[0]} windows of "
            f"{' x '.join(str(n) for n in shape[2:])} at once; use --device cpu or free some."
        )
    if isinstance(error, (RuntimeError, ValueError, TypeError, IndexError)):
        return ModelRefused(
            f"{package.id} cannot run on windows of {shape[1:]}: its network and its model.json contradict each other "
            f"({_line(error)})."
        )
    return error


def checked(result: np.ndarray, package: ModelPackage, shape: tuple[int, ...]) -> np.ndarray:
    """The same result if it has the windows of a batch of `shape`; ModelRefused otherwise."""
    if result.shape != (shape[0], package.outputs["num_channels"], *shape[2:]):
        raise ModelRefused(f"{package.id} turns windows of {shape[1:]} into {result.shape[1:]}.")
    return result


def _line(error: Any) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:120].rstrip(".")


def full_float32() -> None:
    """Make float32 on CUDA mean float32: no TensorFloat-32 (10 bits), and the same algorithm every time."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


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
