"""Which engines there are, what each needs, and in which precisions it can run on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from . import machine, onnxengine, openvinoengine, torchengine
from .workload import has_varying_windows

if TYPE_CHECKING:
    from ..models import ModelPackage
    from ..predictors import Predictor

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Kind:
    """One engine. package: the distribution whose version counts. make: (package, device, precision) -> Predictor.
    lacks: device -> what is missing here, in one sentence, or None. precisions: by kind of device. fixed_shapes:
    whether it runs windows of one size only. quick: whether starting it takes a second or so, not many."""

    name: str
    package: str
    make: Callable[[ModelPackage, str, str], Predictor]
    lacks: Callable[[str], str | None]
    precisions: dict[str, tuple[str, ...]]
    fixed_shapes: bool = True
    quick: bool = True


# The first is preferred where others are hardly faster.
KINDS: tuple[Kind, ...] = (
    Kind(
        "torch",
        "torch",
        torchengine.TorchEngine,
        lambda device: None,
        {"cpu": PRECISIONS, "cuda": PRECISIONS, "mps": ("float32",)},
        fixed_shapes=False,
    ),
    Kind(
        "onnx",
        "onnxruntime",
        onnxengine.OnnxEngine,
        onnxengine.what_onnx_lacks,
        {"cpu": ("float32",), "cuda": ("float32",)},
    ),
    Kind(
        "openvino", "openvino", openvinoengine.OpenVinoEngine, openvinoengine.what_openvino_lacks, {"cpu": PRECISIONS}
    ),
    Kind(
        "torch-compile",
        "torch",
        torchengine.CompiledEngine,
        torchengine.what_compiling_lacks,
        {"cpu": ("float32", "bfloat16"), "cuda": PRECISIONS},
        quick=False,
    ),
)
NAMES = tuple(kind.name for kind in KINDS)


def kind_of(name: str) -> Kind:
    """The engine of that name; InputError where there is none."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise InputError(f"There is no engine called {name}; use auto, {', '.join(NAMES)}.")


def missing(kind: Kind, package: ModelPackage, device: str) -> str | None:
    """Why `kind` cannot run the package on `device` here, in one sentence, or None."""
    if lacking := kind.lacks(device):
        return lacking
    if kind.fixed_shapes and has_varying_windows(package):
        return f"{package.id} takes windows of any size, and {kind.name} is built for one; use --engine torch."
    return None


def precisions(kind: Kind, device: str) -> tuple[str, ...]:
    """The precisions `kind` has on `device`, whether or not the hardware is quick at them."""
    return kind.precisions.get(device.partition(":")[0], ())


def worth_trying(kind: Kind, device: str) -> tuple[str, ...]:
    """Those precisions in which the hardware multiplies: the rest would be slower than float32."""
    wanted = {"float32"}
    if machine.has_bfloat16(device):
        wanted.add("bfloat16")
    if device.startswith("cuda"):
        wanted.add("float16")
    return tuple(precision for precision in precisions(kind, device) if precision in wanted)
