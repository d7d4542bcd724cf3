"""ONNX Runtime as an engine (optional): float32, on the CPU or on CUDA where its CUDA build is installed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import RunFailed
from ..predictors import checked, explained
from . import machine
from .exporting import onnx_bytes

if TYPE_CHECKING:
    from ..models import ModelPackage


class OnnxEngine:
    """The package's ONNX export in an ONNX Runtime session with as many threads as torch has."""

    engine = "onnx"

    def __init__(self, package: ModelPackage, device: str, precision: str = "float32") -> None:
        if missing := what_onnx_lacks(device):
            raise RunFailed(missing)
        onnxruntime = _runtime()
        self.package, self.device, self.precision = package, device, precision
        self.notes: tuple[str, ...] = ()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = machine.threads()
        options.log_severity_level = 3
        providers: list[Any] = ["CPUExecutionProvider"]
        if device.startswith("cuda"):
            settings = {"device_id": int(device.partition(":")[2] or 0), "use_tf32": "0"}
            providers.insert(0, ("CUDAExecutionProvider", settings))
        try:
            self._session = onnxruntime.InferenceSession(onnx_bytes(package), options, providers=providers)
        except Exception as error:
            if not _from_the_runtime(error):
                raise
            raise RunFailed(f"ONNX Runtime cannot run {package.id} ({_line(error)}); use --engine torch.") from error

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """See `Predictor.predict`."""
        try:
            (result,) = self._session.run(None, {"windows": np.ascontiguousarray(batch, np.float32)})
        except Exception as error:
            known = RuntimeError(str(error)) if _from_the_runtime(error) else error
            raise explained(known, self.package, self.device, batch.shape) from error
        return checked(np.asarray(result), self.package, batch.shape)


def what_onnx_lacks(device: str) -> str | None:
    """One sentence on what ONNX Runtime misses for `device` on this machine, or None."""
    if "onnxruntime" not in machine.versions():
        return "ONNX Runtime is not installed: run pip install 'imagetranslation[engines]', or use --engine torch."
    if device == "mps":
        return "ONNX Runtime is not offered on mps; use --engine torch."
    if device.startswith("cuda") and "CUDAExecutionProvider" not in _runtime().get_available_providers():
        return f"The ONNX Runtime installed here is without CUDA; use --engine torch on {device}."
    return None


def _runtime() -> Any:
    """The module onnxruntime, kept from reporting its use.

    Its builds for Windows and, from 1.31 on, for Linux ask Microsoft's servers and leave a number for this machine in
    the home folder, from the moment they are imported: `disable_telemetry_events` comes too late for that. Patients'
    images are nobody's statistics.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _from_the_runtime(error: Exception) -> bool:
    """Whether it is one of ONNX Runtime's own exceptions, which share no base but Exception."""
    return type(error).__module__.startswith("onnxruntime")


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".")
