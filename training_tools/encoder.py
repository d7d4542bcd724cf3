"""A small convolutional encoder whose features measure how alike two images look: trained here, never downloaded.

It learns on a training set's target images alone, by restoring slices to which noise was added (Vincent et al., ICML
2008), and is kept as a folder with `encoder.json` and `weights.safetensors`. Perceptual losses and distances compare
its features as Johnson et al. (ECCV 2016) and Zhang et al. (CVPR 2018) do those of networks trained on photographs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.files import atomic_folder

from . import leaks, splits
from .config import Config, read_config
from .console import run as run_command
from .dataset import case_names
from .training.cache import TARGET, WEIGHT, fingerprints, open_cases

NAME, WEIGHTS = "encoder.json", "weights.safetensors"
CHANNELS = (16, 32, 64, 64)
NOISE = 0.3  # SD of what is added in training, of images in [-1, 1]
MOST_SLICES = 4096  # held in memory for the training
EPSILON = 1e-10  # keeps the unit length of an empty feature finite


class Encoder(nn.Module):
    """Slices (n, 1, H, W) in [-1, 1] -> one (n, channels, h, w) a level, each half as large as the one before."""

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        self.channels = tuple(int(width) for width in channels)
        self.levels = nn.ModuleList(_pair(a, b) for a, b in zip((1, *self.channels), self.channels))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features of every level; a level that a small image does not reach is left out."""
        found = []
        for level in self.levels:
            if found:
                if min(x.shape[2:]) < 2:
                    break
                x = functional.avg_pool2d(x, 2)
            x = level(x)
            found.append(x)
        return found


class _Restorer(nn.Module):
    """The encoder with a way back, for its training."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        widths = encoder.channels
        self.up = nn.ModuleList(_pair(a + b, b) for a, b in zip(widths[:0:-1], widths[-2::-1]))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *finer, x = self.encoder(x)
        for block, skip in zip(self.up, reversed(finer)):
            x = block(torch.cat([functional.interpolate(x, size=skip.shape[2:], mode="nearest"), skip], dim=1))
        restored: torch.Tensor = self.head(x)
        return restored


def distance(encoder: Encoder, first: torch.Tensor, second: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """How differently two images (n, 1, [D,] H, W) in [-1, 1] look: 0 where they are equal, a scalar with a graph.

    Features of unit length at each place are compared by the squared length of their difference, averaged over the
    weight and the levels. Volumes are compared slice by slice.
    """
    first, second, weight = (as_slices(image) for image in (first, second, weight))
    total = torch.zeros((), device=first.device)
    levels = list(zip(encoder(first), encoder(second)))
    for a, b in levels:
        difference = (_unit(a) - _unit(b)).square().sum(dim=1, keepdim=True)
        where = functional.adaptive_avg_pool2d(weight, a.shape[2:])
        total = total + (difference * where).sum() / where.sum().clamp(min=1e-6)
    return total / len(levels)


def as_slices(images: torch.Tensor) -> torch.Tensor:
    """(n, 1, D, H, W) as (n D, 1, H, W); slices as they are."""
    return images.transpose(1, 2).flatten(0, 1) if images.ndim == 5 else images


def fit(
    slices: torch.Tensor,
    *,
    steps: int = 500,
    batch: int = 16,
    seed: int = 0,
    rate: float = 1e-3,
    channels: Sequence[int] = CHANNELS,
) -> Encoder:
    """Train an encoder on target slices (n, 1, H, W) in [-1, 1]; the same seed gives the same one on the CPU."""
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        restorer = _Restorer(Encoder(channels))
    optimiser = torch.optim.AdamW(restorer.parameters(), lr=rate)
    for _ in range(steps):
        chosen = slices[torch.randint(len(slices), (min(batch, len(slices)),), generator=random)]
        noise = NOISE * torch.randn(chosen.shape, generator=random)
        loss = functional.mse_loss(restorer(chosen + noise), chosen)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return restorer.encoder.eval().requires_grad_(False)


def save(encoder: Encoder, folder: Path, about: dict[str, Any]) -> None:
    """Write the encoder's folder; `about` says on what it was trained."""
    from safetensors.torch import save as to_bytes

    data = to_bytes({name: tensor.contiguous() for name, tensor in encoder.state_dict().items()})
    record = {"channels": list(encoder.channels), "sha256": hashlib.sha256(data).hexdigest(), **about}
    record["software"] = {"imagetranslation": __version__, "torch": torch.__version__}
    with atomic_folder(folder) as temporary:
        (temporary / WEIGHTS).write_bytes(data)
        (temporary / NAME).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def load(folder: str | Path, *, trained: Sequence[str] | None = None) -> Encoder:
    """Read an encoder's folder; InputError where it is none or its weights are not those it was written with.

    trained: cases of the training set; an encoder that learnt on others, or does not say on whom, is refused.
    """
    from safetensors.torch import load as from_bytes

    folder = Path(folder)
    try:
        record = json.loads((folder / NAME).read_text(encoding="utf-8"))
        data = (folder / WEIGHTS).read_bytes()
        channels = [int(width) for width in record["channels"]]
        if hashlib.sha256(data).hexdigest() != record["sha256"]:
            raise InputError(f"The weights in {folder} have changed since they were written; train the encoder again.")
        if not all(1 <= width <= 1024 for width in channels) or not 1 <= len(channels) <= 8:
            raise ValueError("channels")
        encoder = Encoder(channels)
        encoder.load_state_dict(from_bytes(data))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{folder} holds no encoder of features ({NAME} and {WEIGHTS}); make one with training_tools.encoder."
        ) from error
    if trained is not None:
        leaks.require_within(f"The encoder {folder.name}", _cases(record, folder), trained)
    return encoder.eval().requires_grad_(False)


def origin(folder: str | Path) -> dict[str, Any]:
    """SHA-256 and training cases of an encoder (`sha256`, `cases`), for the record of what was trained against it."""
    try:
        record = json.loads((Path(folder) / NAME).read_text(encoding="utf-8"))
        return {"sha256": str(record["sha256"]), "cases": _cases(record, Path(folder))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} holds no encoder of features; make one with training_tools.encoder.") from error


def _cases(record: Mapping[str, Any], folder: Path) -> list[str]:
    found = record.get("cases")
    if not isinstance(found, list):
        raise InputError(
            f"The encoder {folder.name} does not say on which cases it was trained, so it may have seen the tested "
            "ones; make it again with training_tools.encoder."
        )
    return [str(case) for case in found]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.encoder", description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="how targets are brought to the network's grid")
    parser.add_argument("--data", type=Path, required=True, help="folder written by training_tools.prepare")
    parser.add_argument(
        "--split", type=Path, help="file written by training_tools.splits; without it, all but the held-out cases"
    )
    parser.add_argument("--fold", type=int, help="of a cross-validation's split")
    parser.add_argument("--alike", type=float, help="without a split: see training_tools.splits")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the encoder")
    options = parser.parse_args(arguments)
    config = read_config(options.config)
    if options.split is None:
        cases = [case for case in case_names(options.data) if case not in config.held_out]
        leaks.check_sides(options.data, {"training": cases, "held out": config.held_out}, options.alike)
    else:
        split = splits.read_split(options.split, options.data)
        leaks.check(options.data, split)
        cases = split.train_and_test(options.fold)[0]
    fit_on(options.data, config, cases, options.output, steps=options.steps, seed=options.seed)
    print(json.dumps({"encoder": str(options.output), "cases": len(cases)}))
    return 0


def fit_on(
    data: Path,
    config: Config,
    cases: Sequence[str],
    output: Path,
    *,
    steps: int = 500,
    seed: int = 0,
    channels: Sequence[int] = CHANNELS,
) -> Encoder:
    """Train an encoder on slices of these cases' targets, evenly taken from all, and write its folder.

    Slices of different sizes are cut to the smallest of them, from the middle.
    """
    stored = open_cases(data, config, fingerprints(data, list(cases)))
    shown = [case for case in stored if case.side != "source"]  # of unpaired cases those with a target
    places = [(case, k) for case in shown for k in np.flatnonzero(case.arrays[WEIGHT].any(axis=(1, 2)))]
    if not places:
        raise InputError("No slice of these cases holds a target, so no encoder can be trained on them.")
    chosen = np.unique(np.linspace(0, len(places) - 1, min(len(places), MOST_SLICES)).astype(int))
    slices = [places[n][0].arrays[TARGET, places[n][1]] for n in chosen]
    rows, columns = (min(part.shape[axis] for part in slices) for axis in (0, 1))
    cut = np.stack([_middle(part, rows, columns) for part in slices])
    clock, worked = time.monotonic(), time.process_time()
    encoder = fit(torch.from_numpy(cut)[:, None], steps=steps, seed=seed, channels=channels)
    cost = {"seconds": time.monotonic() - clock, "processor_seconds": time.process_time() - worked}
    cost = {name: round(value, 2) for name, value in cost.items()}
    save(encoder, output, {"cases": list(cases), "steps": steps, "seed": seed, "noise": NOISE, **cost})
    return encoder


def _middle(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return image[top : top + rows, left : left + columns]


def _pair(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1), nn.ReLU()
    )


def _unit(features: torch.Tensor) -> torch.Tensor:
    return features / (features.square().sum(dim=1, keepdim=True) + EPSILON).sqrt()


if __name__ == "__main__":
    raise SystemExit(run_command(main))
