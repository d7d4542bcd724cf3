"""How much memory a network takes while it runs, and how many voxels of windows a machine therefore runs at once.

The answer depends on the package, the machine and the precision, never on what happens to be free: a run that is
repeated on the same machine forms the same batches and gives the same bits.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import ModelPackage
    from .predictors import Predictor

# On a CPU more than this brings no more speed; a batch of all cores' work is far smaller.
CPU_MOST = 512 << 20
CPU_SHARE, GPU_SHARE = 1 / 16, 0.5
# What is assumed of a network that doesn't say: 64 features in 32 bits, four times.
UNKNOWN_BYTES = 1024.0
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# Beside what runs: the window that comes next, the one that was made last, and a copy of either on its way, in 32 bits.
_IN_FLIGHT = 16


def most_voxels(package: ModelPackage, predictor: Predictor) -> int:
    """Voxels of windows that `predictor` may hold at once on this machine; at least one."""
    precision = _BYTES.get(getattr(predictor, "precision", "float32"), 4)
    each = stated_bytes(package) or UNKNOWN_BYTES
    return max(1, int(_budget(predictor.device) / (each * precision / 4 + _IN_FLIGHT)))


def stated_bytes(package: ModelPackage) -> float | None:
    """The package's `inference.activation_bytes`: what `count_bytes` said of its network when it was made."""
    stated = package.metadata["inference"].get("activation_bytes")
    return None if stated is None else float(stated)


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


def count_bytes(network: Mapping[str, Any], channels: int, patch: tuple[int, ...]) -> float:
    """Bytes of 32-bit activations alive at the worst moment for each voxel of a window, input and output included.

    network: `name` and `arguments` as in a package. The network runs on torch's meta device, without numbers; what a
    library needs to compute a layer comes on top. For whoever writes a package: the first call loads much of torch.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    from . import networks

    alive = {"now": 0, "peak": 0}
    known: set[int] = set()

    def gone(key: int, size: int) -> None:
        alive["now"] -= size
        known.discard(key)

    class Counting(TorchFunctionMode):
        """Counts every storage once, from the function that makes it until it is let go."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            for tensor in made if isinstance(made, (tuple, list)) else (made,):
                if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in known:
                    known.add(storage._cdata)
                    alive["now"] += storage.nbytes()
                    alive["peak"] = max(alive["peak"], alive["now"])
                    weakref.finalize(storage, gone, storage._cdata, storage.nbytes())
            return made

    with torch.device("meta"):
        built = networks.build(network["name"], **network["arguments"]).eval()
        image = torch.empty(1, channels, *patch)
    with torch.inference_mode(), Counting():
        built(image)
    voxels = image.numel() // channels
    return (alive["peak"] + 4 * channels * voxels) / voxels
