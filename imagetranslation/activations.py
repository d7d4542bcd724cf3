"""How much memory a network takes while it runs, and how many voxels of windows a machine therefore runs at once.

The answer depends on the package, the machine and the precision, never on what happens to be free: a run that is
repeated on the same machine forms the same batches and gives the same bits.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from .errors import ModelRefused

if TYPE_CHECKING:
    from .models import ModelPackage
    from .predictors import Predictor

# On a CPU more than this brings no more speed; a batch of all cores' work is far smaller.
CPU_MOST = 512 << 20
CPU_SHARE, GPU_SHARE = 1 / 16, 0.5
# What is assumed of a network whose activations cannot be counted: 64 features in 32 bits, four times.
UNKNOWN_BYTES = 1024.0
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def most_voxels(package: ModelPackage, predictor: Predictor) -> int:
    """Voxels of windows that `predictor` may hold at once on this machine; at least one."""
    precision = _BYTES.get(getattr(predictor, "precision", "float32"), 4)
    return max(1, int(_budget(predictor.device) / (bytes_per_voxel(package) * precision / 4)))


def bytes_per_voxel(package: ModelPackage) -> float:
    """Bytes of 32-bit activations held at the worst moment for each voxel of a window of the package's patch size.

    The package's own `inference.activation_bytes`, or else counted while the network runs without numbers.
    """
    stated = package.metadata["inference"].get("activation_bytes")
    if stated is not None:
        return float(stated)
    patch = tuple(int(n) for n in package.inputs["patch_size"])
    return _counted(_frozen(package.metadata["network"]), int(package.inputs["num_channels"]), patch)


def _budget(device: str) -> float:
    if device.startswith("cuda"):
        import torch

        return GPU_SHARE * torch.cuda.get_device_properties(device).total_memory
    return min(CPU_MOST, CPU_SHARE * _total_memory())


def _total_memory() -> int:
    try:
        import psutil
    except ImportError:  # inside Slicer
        return 8 << 30
    return int(psutil.virtual_memory().total)


def _frozen(network: Any) -> tuple[str, tuple[tuple[str, Any], ...]]:
    arguments = ((k, tuple(v) if isinstance(v, list) else v) for k, v in sorted(network["arguments"].items()))
    return str(network["name"]), tuple(arguments)


@functools.lru_cache(maxsize=32)
def _counted(network: tuple[str, tuple[tuple[str, Any], ...]], channels: int, patch: tuple[int, ...]) -> float:
    """Peak bytes of all tensors alive while the network runs on torch's meta device, for each voxel of the patch."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from . import networks

    alive = {"now": 0, "peak": 0}
    known: set[int] = set()

    def gone(key: int, size: int) -> None:
        alive["now"] -= size
        known.discard(key)

    class Counting(TorchDispatchMode):
        """Counts every storage once, from the operation that makes it until it is let go."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            for tensor in made if isinstance(made, (tuple, list)) else (made,):
                if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in known:
                    known.add(storage._cdata)
                    alive["now"] += storage.nbytes()
                    alive["peak"] = max(alive["peak"], alive["now"])
                    weakref.finalize(storage, gone, storage._cdata, storage.nbytes())
            return made

    name, arguments = network
    try:
        with torch.device("meta"):
            built = networks.build(name, **dict(arguments)).eval()
            image = torch.empty(1, channels, *patch)
        with torch.inference_mode(), Counting():
            built(image)
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError, ModelRefused):
        return UNKNOWN_BYTES  # what is wrong with the package is said when its network runs
    return max(8.0, (alive["peak"] + 8 * image.numel()) / (image.numel() / channels))
