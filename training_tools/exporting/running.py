"""What a bundle's `configs/inference.json` calls: one translation from file to file, with the network it gives.

Reading, grid, normalisation, field of view, blending, marking and writing are those of every other translation
(`imagetranslation.jobs`), so that a bundle makes the same image.
"""

from __future__ import annotations

from typing import Any

from imagetranslation.jobs import Job, run_job
from imagetranslation.models import ModelPackage
from imagetranslation.predictors import TorchPredictor, full_float32


class Inferer(TorchPredictor):
    """Runs windows through the bundle's network; see `imagetranslation.predictors.Predictor`.

    network: a torch module; device: "cpu", "cuda:0", "mps".
    """

    def __init__(self, package: ModelPackage, network: Any, device: str) -> None:
        self.package, self.device = package, device
        if device.startswith("cuda"):
            full_float32()
        self._network = network.to(device).eval()

    def __call__(self, image: str, output: str, overwrite: bool = False) -> dict[str, Any]:
        """Translate a file (or a folder of DICOM) to a new file, marked as synthetic; returns what the run says.

        Raises InputError, ModelRefused or RunFailed.
        """
        job = Job(
            str(image), str(output), str(self.package.path), self.device, engine="torch", precision="float32",
            overwrite=overwrite,
        )  # fmt: skip
        return run_job(job, runner=self)
