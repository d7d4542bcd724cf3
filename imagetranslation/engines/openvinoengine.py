"""OpenVINO as an engine (optional): the CPU, in float32 or with reduced precision where the processor has it."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import RunFailed
from ..predictors import checked, explained
from . import machine
from .exporting import onnx_bytes

if TYPE_CHECKING:
    from ..models import ModelPackage

_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


class OpenVinoEngine:
    """The package's ONNX export compiled for the CPU with as many threads as torch has.

    One request at a time with all threads: several requests in flight (the throughput hint) were measured to gain
    nothing on two cores (38 ms a slice either way, pix2pix 256) and would make batches wait for one another.
    """

    engine = "openvino"

    def __init__(self, package: ModelPackage, device: str, precision: str = "float32") -> None:
        if missing := what_openvino_lacks(device):
            raise RunFailed(missing)
        openvino = _openvino()
        self.package, self.device, self.precision = package, device, precision
        self.notes: tuple[str, ...] = ()
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": machine.threads(),
        }
        try:
            core = openvino.Core()
            # From memory: the bytes that were checked, with nowhere to look for other files.
            model = core.read_model(io.BytesIO(onnx_bytes(package)))
            self._compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160].rstrip(".")
            raise RunFailed(f"OpenVINO cannot run {package.id} ({line}); use --engine torch.") from error
        self._request = self._compiled.create_infer_request()

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """See `Predictor.predict`."""
        try:
            made = self._request.infer([np.ascontiguousarray(batch, np.float32)])[0]
        except Exception as error:
            raise explained(error, self.package, self.device, batch.shape) from error
        return checked(np.asarray(made, np.float32), self.package, batch.shape)


def _openvino() -> Any:
    """The module openvino, kept from reporting its use.

    Importing it sends an event to Google Analytics and leaves a number for this machine in the home folder, unless its
    reporting package cannot be imported, which it provides for.
    """
    reporting: Any = sys.modules
    reporting.setdefault("openvino_telemetry", None)
    import openvino

    return openvino


def what_openvino_lacks(device: str) -> str | None:
    """One sentence on what OpenVINO misses for `device` on this machine, or None."""
    if "openvino" not in machine.versions():
        return "OpenVINO is not installed: run pip install 'imagetranslation[engines]', or use --engine torch."
    if device != "cpu":
        return f"OpenVINO is offered on the CPU only; use --engine torch on {device}."
    return None
