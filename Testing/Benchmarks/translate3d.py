"""A 3D U-Net over 128 x 256 x 256 voxels on the CPU: ours against MONAI's SlidingWindowInferer.

Theirs: the network as it is, float32, windows of 64 x 128 x 128, overlap 0.25, Gaussian. Ours is what a translation
runs (`inference.run_windows` with the predictor that `engines.make_predictor` chooses), once with the plan that the
package allows and once with windows of the same size. The seam error is how far a result lies from one float32 pass
over the whole volume, in bands around all windows' borders, theirs and ours.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from . import unet3d
from .results import NotMeasured, Row
from .sidebyside import interleaved

ROUNDS = 5
# Voxels on either side of a window's border that count as its seam.
BAND = 4


def measure() -> list[Row]:
    """Rows translate3d (own plan), translate3d_patch (their windows) and translate3d_fp32 (own plan in float32)."""
    return compare(unet3d.package(), unet3d.held_out(), ROUNDS)


def compare(package: Any, image: np.ndarray, rounds: int) -> list[Row]:
    """The three rows for float32 (slice, row, column) in [-1, 1]."""
    from imagetranslation.engines import make_predictor
    from imagetranslation.engines.trial import Trial
    from imagetranslation.inference import run_windows

    # Anew, because figures of a busier hour may have been kept.
    Trial(package, "cpu").measure_all(slow=False)
    best, exact = make_predictor(package, device="cpu"), make_predictor(package, device="cpu", precision="float32")
    kept = unet3d.keeping_patch(package)
    times, made = interleaved(
        {
            "monai": monai_inferer(package, image),
            "own": lambda: run_windows(image, package, best),
            "patch": lambda: run_windows(image, kept, best),
            "exact": lambda: run_windows(image, package, exact),
        },
        rounds,
    )
    seams = _Seams(package, image, [plan_of(image, package, best), plan_of(image, kept, best)])
    theirs = statistics.median(times["monai"])
    described = f"theirs {seams.error(made['monai'])}; {_how(package, image, rounds)}"

    def row(name: str, run: str, predictor: Any, described_plan: str) -> Row:
        ours = statistics.median(times[run])
        note = (
            f"{theirs / ours:.2f} times as fast; ours: {described_plan}, engine {predictor.engine}, "
            f"{predictor.precision}; seam error (RMS, largest) ours {seams.error(made[run])}, {described}"
        )
        return Row(name, round(ours, 3), round(theirs, 3), "ratio <= 0.25, seam error no larger", "s", note)

    return [
        row("translate3d", "own", best, words(plan_of(image, package, best))),
        row("translate3d_patch", "patch", best, words(plan_of(image, kept, best))),
        row("translate3d_fp32", "exact", exact, words(plan_of(image, package, exact))),
    ]


def monai_inferer(package: Any, image: np.ndarray, device: str = "cpu") -> Callable[[], np.ndarray]:
    """MONAI's sliding windows over `image` with the package's network as it is, one window at a time."""
    import torch

    try:
        from monai.inferers import SlidingWindowInferer
    except ImportError as error:
        raise NotMeasured("monai is not installed.") from error
    network = package.network().to(device)
    inferer = SlidingWindowInferer(unet3d.PATCH, 1, unet3d.OVERLAP, mode="gaussian")

    def run() -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(inferer(torch.from_numpy(image[None, None]).to(device), network)[0, 0].cpu())

    return run


def plan_of(image: np.ndarray, package: Any, predictor: Any) -> Any:
    """The windows that a translation uses."""
    from imagetranslation import activations
    from imagetranslation.sliding import plan_for

    return plan_for(image.shape, package, activations.most_voxels(package, predictor))


class _Seams:
    """One float32 pass over the whole volume, and the bands around the borders of all windows."""

    def __init__(self, package: Any, image: np.ndarray, plans: list[Any]) -> None:
        import torch
        from monai.data.utils import dense_patch_slices

        with torch.inference_mode():
            self._whole = package.network()(torch.from_numpy(image[None, None])).numpy()[0, 0]
        steps = [int(n * (1 - unet3d.OVERLAP)) for n in unet3d.PATCH]
        windows = [*dense_patch_slices(image.shape, unet3d.PATCH, steps), *(w for plan in plans for w in plan.windows)]
        self._bands = np.zeros(image.shape, bool)
        for axis, size in enumerate(image.shape):
            borders = {end for window in windows for end in (window[axis].start, window[axis].stop)} - {0, size}
            for border in borders:
                self._bands[(slice(None),) * axis + (slice(max(0, border - BAND), border + BAND),)] = True

    def error(self, made: np.ndarray) -> str:
        """Root mean square and largest deviation inside the bands, of outputs in [-1, 1]."""
        off = made[self._bands] - self._whole[self._bands]
        return f"{np.sqrt(np.mean(np.square(off, dtype=np.float64))):.1e}, {np.abs(off).max():.1e}"


def words(plan: Any) -> str:
    """A plan in words: how many windows of which size."""
    return f"{len(plan)} window{'s' if len(plan) > 1 else ''} of {' x '.join(map(str, plan.patch))}"


def _how(package: Any, image: np.ndarray, rounds: int) -> str:
    import torch

    threads = torch.get_num_threads()
    return (
        f"in bands of {BAND} voxels around all borders; theirs: MONAI's SlidingWindowInferer, "
        f"{' x '.join(map(str, unet3d.PATCH))}, overlap {unet3d.OVERLAP}, gaussian, plain torch float32; U-Net of "
        f"{package.metadata['weights']['parameters'] / 1e6:.1f} M parameters with batch norm, trained "
        f"{package.metadata['training']['steps']} steps on simulated data, {' x '.join(map(str, image.shape))} voxels, "
        f"{threads} thread{'s' if threads > 1 else ''} both, medians of {rounds} interleaved runs"
    )
