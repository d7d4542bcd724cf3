"""The 2D pix2pix U-Net-256 (54.4 M parameters) over 64 slices of 256 x 256: ours against plain torch, slice by slice.

The network is trained first, on simulated prostates and for `STEPS` steps, because rounding hurts a trained network
otherwise than random weights; it is kept in the person's data folder, so that only the first run takes the time.
Ours is what a translation runs: `inference.run_windows` with the predictor that `engines.make_predictor` chooses.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .results import Row

ROUNDS, SLICES, STEPS, BATCH, SIZE = 5, 64, 500, 2, 256
TRAINING_CASES, HELD_OUT_CASE, SLICES_A_CASE = 8, 1000, 32
# Pixels so small that the fan fills a slice of SIZE of them, mm (i, j, k).
SPACING = (0.29, 0.38, 1.5)


@dataclass(frozen=True)
class Recipe:
    """What is trained: arguments of the network, steps, slice size."""

    arguments: dict[str, Any]
    steps: int = STEPS
    size: int = SIZE


FULL = Recipe({"spatial_dims": 2, "base": 64, "levels": 8, "dropout": 0.5})


def measure() -> list[Row]:
    """Rows translate2d (any precision that passes the gate) and translate2d_fp32."""
    from imagetranslation.resources import user_folder

    package = trained(FULL, user_folder() / "benchmarks" / f"pix2pix-256-{STEPS}", print)
    return compare(package, held_out_slices(SLICES, SIZE), ROUNDS)


def compare(package: Any, image: np.ndarray, rounds: int) -> list[Row]:
    """The two rows for float32 slices (n, rows, columns) in [-1, 1]; `rounds` interleaved runs after one to warm up."""
    from imagetranslation.engines import make_predictor
    from imagetranslation.engines.trial import Trial
    from imagetranslation.inference import run_windows

    # Anew, because figures of a busier hour may have been kept.
    Trial(package, "cpu").measure_all(slow=False)
    best = make_predictor(package, device="cpu")
    exact = make_predictor(package, device="cpu", precision="float32")
    plain = _slice_by_slice(package)
    runs: dict[str, Callable[[], np.ndarray]] = {
        "plain": lambda: plain(image),
        "best": lambda: run_windows(image, package, best),
        "exact": lambda: run_windows(image, package, exact),
    }
    times, made = _interleaved(runs, rounds)
    theirs = statistics.median(times["plain"])
    return [
        Row("translate2d", round(statistics.median(times["best"]), 3), round(theirs, 3), "ratio <= 0.333", "s",
            f"{_how(package, image, best, rounds)}; {_difference(made['plain'], made['best'])}; gate: {_gate(best)}; "
            f"{_bfloat16()}"),
        Row("translate2d_fp32", round(statistics.median(times["exact"]), 3), round(theirs, 3),
            "ratio <= 0.588, largest error < 1e-5", "s",
            f"{_how(package, image, exact, rounds)}; {_difference(made['plain'], made['exact'])}"),
    ]  # fmt: skip


def trained(recipe: Recipe, folder: Path, say: Callable[[str], Any]) -> Any:
    """The model package in `folder`, trained there first if it is not there yet."""
    from imagetranslation.errors import ModelRefused
    from imagetranslation.models import load_package, verify, write_package

    try:
        package = load_package(folder)
        verify(package)
    except ModelRefused:
        say(f"training {recipe.steps} steps on simulated prostates, once, into {folder}")
        write_package(folder, _metadata(recipe), _train(recipe, say), "# Trained for a benchmark on simulated data.\n")
        package = load_package(folder)
    return package


def held_out_slices(count: int, size: int) -> np.ndarray:
    """float32 (count, size, size) in [-1, 1]: simulated ultrasound of prostates that no training saw."""
    cases = -(-count // SLICES_A_CASE)
    return np.concatenate([_pairs(HELD_OUT_CASE + case, size)[0] for case in range(cases)])[:count]


def _slice_by_slice(package: Any) -> Callable[[np.ndarray], np.ndarray]:
    """What the usual code does: the network as it is, eager, float32, one slice at a time, the same threads."""
    import torch

    network = package.network()

    def run(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return np.concatenate([network(torch.from_numpy(s[None, None])).numpy()[0] for s in image])

    return run


def _interleaved(
    runs: dict[str, Callable[[], np.ndarray]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, np.ndarray]]:
    """Seconds of each run, taken in turn, and what the last of each made."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    made: dict[str, np.ndarray] = {}
    for number in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            made[name] = run()
            if number:
                times[name].append(time.perf_counter() - began)
    return times, made


def _how(package: Any, image: np.ndarray, predictor: Any, rounds: int) -> str:
    import torch

    threads = torch.get_num_threads()
    return (
        f"{package.metadata['weights']['parameters'] / 1e6:.1f} M parameters, {' x '.join(map(str, image.shape))}, "
        f"trained {package.metadata['training']['steps']} steps on simulated data; ours: engine {predictor.engine}, "
        f"{predictor.precision}, chosen by trial; theirs: plain torch float32, slice by slice; {threads} "
        f"thread{'s' if threads > 1 else ''} both; medians of {rounds} interleaved runs"
    )


def _difference(reference: np.ndarray, made: np.ndarray) -> str:
    error = np.abs(reference - made)
    often = np.percentile(error, 99.9)
    return f"largest difference {error.max():.1e}, 99.9th percentile {often:.1e}, of outputs in [-1, 1]"


def _gate(predictor: Any) -> str:
    return "passed" if predictor.precision != "float32" else "not needed, " + " ".join(predictor.notes)


def _bfloat16() -> str:
    from imagetranslation.engines import machine

    have = sorted(machine.processor()[1].intersection(machine.BFLOAT16_FLAGS))
    if not machine.has_bfloat16("cpu"):
        return "this processor lacks bfloat16, so that float32 is used"
    return f"bfloat16 in hardware: {', '.join(have) or 'yes'}"


def _metadata(recipe: Recipe) -> dict[str, Any]:
    from Testing.packages import metadata

    made = metadata(network={"name": "pix2pix", "arguments": recipe.arguments}, patch_size=[recipe.size, recipe.size])
    made["id"], made["title"] = "benchmark-pix2pix-256", "Trained for a benchmark on simulated data; of no use else"
    made["training"].update(data="simulated prostates", licence="none needed: no patient", steps=recipe.steps)
    return made


def _train(recipe: Recipe, say: Callable[[str], Any]) -> dict[str, Any]:
    """State of the generator after `recipe.steps` steps of Adam on the mean absolute error; the seed is fixed."""
    import torch

    from imagetranslation import networks
    from imagetranslation.engines import machine

    torch.manual_seed(0)
    sources, targets = (np.concatenate(part) for part in zip(*(_pairs(n, recipe.size) for n in range(TRAINING_CASES))))
    network = networks.build("pix2pix", **recipe.arguments).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    random, began = np.random.default_rng(0), time.monotonic()
    quick = machine.has_bfloat16("cpu")
    for step in range(1, recipe.steps + 1):
        chosen = random.integers(0, len(sources), BATCH)
        source, target = (torch.from_numpy(part[chosen][:, None]) for part in (sources, targets))
        with torch.autocast("cpu", torch.bfloat16, enabled=quick):
            made = network(source.contiguous(memory_format=torch.channels_last))
        loss = (made.float() - target).abs().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if step % 25 == 0 or step == recipe.steps:
            say(f"step {step} of {recipe.steps}, mean absolute error {loss.item():.4f}, "
                f"{time.monotonic() - began:.0f} s")  # fmt: skip
    return network.eval().state_dict()


def _pairs(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 (SLICES_A_CASE, size, size) twice, in [-1, 1]: simulated ultrasound and T2 MR of one prostate."""
    from . import ellipsoids

    random = np.random.default_rng(seed)
    anatomy = ellipsoids.invent(random)
    scale = SIZE / size
    spacing = (SPACING[0] * scale, SPACING[1] * scale, SPACING[2])
    points = ellipsoids.grid_points((size, size, SLICES_A_CASE), spacing)
    tissue, field = ellipsoids.tissues(anatomy, points), ellipsoids.texture(anatomy, points)
    echo = ellipsoids.ultrasound(tissue, field, points, random)
    signal = ellipsoids.magnetic_resonance(tissue, field, random)
    first, second = (image.astype(np.float32) / 127.5 - 1 for image in (echo, signal))
    return first, second


if __name__ == "__main__":
    # Only the training, for a machine that should have it before it is measured.
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    from imagetranslation.resources import user_folder

    trained(FULL, user_folder() / "benchmarks" / f"pix2pix-256-{STEPS}", lambda line: print(line, flush=True))
    sys.exit(0)
