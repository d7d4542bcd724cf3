"""Training pix2pix on prepared pairs: `python -m training_tools.train --config CONFIG --data PREPARED -o RUN`.

A run folder holds `config.json` (resolved, with the cases and versions), `log.csv`, `checkpoint/` and, when done,
`generator.safetensors`: the moving average of the generator's weights. A run stopped at any moment and started again
with the same command goes on from its last checkpoint and, on the CPU, ends with the same weights as one that was
never stopped. Turning a run into a model package is `export`'s work.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from imagetranslation import __version__, networks
from imagetranslation.errors import InputError, RunFailed
from imagetranslation.files import as_sentence, atomic_path, make_folder, write_text

from . import checkpoint, losses
from .augmentation import augment, mix
from .config import Config, read_config
from .console import run as run_command
from .dataset import Case, case_names, load_cases

COLUMNS = ("step", "l1", "ssim_loss", "generator_gan", "discriminator", "rate")


def train(
    config: Config, data: Path, run: Path, cases: list[str] | None = None, *, stop_after: int | None = None
) -> Path:
    """Train on the named cases (all but the held-out ones by default); returns the final weights' path.

    stop_after: end after this many steps in all, with a checkpoint (for runs in pieces). Raises InputError for a run
    folder of another configuration or an empty training set, RunFailed when a loss stops being a number.
    """
    names = _not_held_out(case_names(data), config) if cases is None else list(cases)
    if not names:
        raise InputError("No case is left to train on.")
    claim(run, config, names)
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    trainer = Trainer(config, load_cases(data, config, names))
    with Log(run / "log.csv", trainer.resume(run / "checkpoint")) as log:
        for row in trainer.steps(min(config.steps, stop_after or config.steps)):
            log.write(row)
            if trainer.step % config.checkpoint_every == 0:
                log.flush()
                trainer.save(run / "checkpoint")
    trainer.save(run / "checkpoint")
    path = run / "generator.safetensors"
    if trainer.step >= config.steps:
        checkpoint.save_weights(trainer.average, path)
    return path


class Trainer:
    """Networks, optimisers and random states of one run; `step` counts finished steps."""

    def __init__(self, config: Config, cases: list[Case]) -> None:
        self.config = config
        self.fabric = Fabric(accelerator="auto", devices=1)
        self.fabric.seed_everything(config.seed, verbose=False)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.slices = [case.slices for case in cases]
        self.step = 0
        self.positioned = config.source.spatial_dims == 3
        generator = networks.build(config.network.name, **config.network.arguments)
        if self.positioned:
            generator.start_from(*mean_volume(self.slices))
        # The average is what is exported; it is never trained, only moved.
        self.average = copy.deepcopy(generator).eval().requires_grad_(False)
        self.network, self.optimiser = self._prepared(generator, config.optimiser.rate)
        self.average.to(self.fabric.device)
        self.judge: Any = None
        self.judge_optimiser: Any = None
        if config.loss.adversarial:
            judge = networks.build("patch-discriminator", in_channels=2, **config.discriminator.model_dump())
            self.judge, self.judge_optimiser = self._prepared(judge, config.optimiser.discriminator_rate)

    def steps(self, last: int) -> Iterator[dict[str, float]]:
        """Train up to step `last`, yielding one log row a step."""
        while self.step < last:
            row = self._one()
            self.step += 1
            for name, value in row.items():
                if not math.isfinite(value):
                    raise RunFailed(f"Training stopped at step {self.step}: {name} is {value}. Lower optimiser.rate.")
            yield {"step": self.step, **row}

    def save(self, folder: Path) -> None:
        """Write a checkpoint of everything the next step depends on."""
        state: dict[str, Any] = {
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "torch": torch.get_rng_state(),
        }
        if self.judge is not None:
            state["judge_optimiser"] = self.judge_optimiser.state_dict()
        checkpoint.save(folder, self.step, self._parts(), state)

    def resume(self, folder: Path) -> int:
        """Go on from the newest checkpoint, if there is one; returns the step it was written at."""
        found = checkpoint.load(folder, self._parts())
        if found is not None:
            self.step, state = found
            self.optimiser.load_state_dict(state["optimiser"])
            self.generator.set_state(state["generator"])
            torch.set_rng_state(state["torch"])
            if self.judge is not None:
                self.judge_optimiser.load_state_dict(state["judge_optimiser"])
        return self.step

    def _prepared(self, network: torch.nn.Module, rate: float) -> tuple[Any, Any]:
        settings = self.config.optimiser
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=rate, betas=settings.betas, weight_decay=settings.weight_decay
        )
        return self.fabric.setup(network, optimiser)

    def _parts(self) -> dict[str, torch.nn.Module]:
        parts = {"generator": self.network.module, "average": self.average}
        return parts if self.judge is None else {**parts, "discriminator": self.judge.module}

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Augmented slices (batch, 3, row, column) and their positions (batch,) in [-1, 1].

        Every patient is equally likely, whatever its number of slices.
        """
        count, settings = self.config.batch_size, self.config.augmentation
        patients = torch.randint(len(self.slices), (2, count), generator=self.generator)
        places = torch.rand(count, generator=self.generator)

        def pick(chosen: torch.Tensor) -> torch.Tensor:
            stacks = [self.slices[int(patient)] for patient in chosen]
            return torch.stack([stack[int(place * len(stack))] for stack, place in zip(stacks, places)])

        batch = augment(pick(patients[0]), settings, self.generator)
        if settings.mixup:
            other = augment(pick(patients[1]), settings, self.generator)
            batch = mix(batch, other, settings.mixup, self.generator)
        jitter = (torch.rand(count, generator=self.generator) * 2 - 1) * settings.shift
        return batch.to(self.fabric.device), (2 * places - 1 + jitter).to(self.fabric.device)

    def _one(self) -> dict[str, float]:
        weights, rate = self.config.loss, self._set_rates()
        batch, positions = self._batch()
        source, wanted, weight = batch.split(1, dim=1)
        made = self.network(source, positions) if self.positioned else self.network(source)
        # Outside the weight both discriminator inputs show background, so that it can't judge by missing tissue.
        shown, real = _masked(made, weight), _masked(wanted, weight)
        judged = self._judge(source, shown.detach(), real) if self.judge is not None else 0.0
        l1 = losses.weighted_l1(made, wanted, weight)
        ssim = losses.structural(made, wanted, weight) if weights.ssim else torch.zeros(())
        loss, fooled = weights.l1 * l1 + weights.ssim * ssim, torch.zeros(())
        if self.judge is not None:
            fooled = losses.adversarial(self.judge(torch.cat([source, shown], dim=1)), real=True)
            loss = loss + weights.adversarial * fooled
        self.optimiser.zero_grad()
        self.fabric.backward(loss)
        self.optimiser.step()
        self._move_average()
        values = (float(l1.detach()), float(ssim.detach()), float(fooled.detach()), judged, rate)
        return dict(zip(COLUMNS[1:], values))

    def _judge(self, source: torch.Tensor, made: torch.Tensor, real: torch.Tensor) -> float:
        true = losses.adversarial(self.judge(torch.cat([source, real], dim=1)), real=True)
        false = losses.adversarial(self.judge(torch.cat([source, made], dim=1)), real=False)
        loss = (true + false) / 2  # halved as in the paper, 3.3
        self.judge_optimiser.zero_grad()
        self.fabric.backward(loss)
        self.judge_optimiser.step()
        return float(loss.detach())

    def _set_rates(self) -> float:
        settings = self.config.optimiser
        rise = min(1.0, (self.step + 1) / max(settings.warmup, 1))
        factor = rise * 0.5 * (1 + math.cos(math.pi * self.step / self.config.steps))
        for optimiser, rate in ((self.optimiser, settings.rate), (self.judge_optimiser, settings.discriminator_rate)):
            for group in optimiser.param_groups if optimiser is not None else ():
                group["lr"] = rate * factor
        return settings.rate * factor

    def _move_average(self) -> None:
        # A short memory at first: the initial weights must not linger in the average.
        decay = min(self.config.average, (1 + self.step) / (10 + self.step))
        own = self.network.module.state_dict()
        for name, tensor in self.average.state_dict().items():
            if tensor.dtype.is_floating_point:
                tensor.lerp_(own[name].detach(), 1 - decay)
            else:
                tensor.copy_(own[name])


class Log:
    """`log.csv`, one row a step; on resuming, rows after the checkpoint are dropped and written again."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        kept = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as stream:
                # A killed run leaves its last row cut anywhere, so that 120 may read 12: only whole rows count.
                whole = (row for row in csv.DictReader(stream) if None not in row.values())
                kept = [row for row in whole if int(row["step"]) <= step]
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    def __enter__(self) -> Log:
        with as_sentence(self._path):
            self._stream = self._path.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._stream, COLUMNS)
        return self

    def __exit__(self, *_: object) -> None:
        with as_sentence(self._path):
            self._stream.close()

    def write(self, row: dict[str, float]) -> None:
        """Append one step."""
        with as_sentence(self._path):
            self._writer.writerow({name: f"{value:.6g}" for name, value in row.items()})

    def flush(self) -> None:
        """Let the rows reach the file before a checkpoint that counts on them."""
        with as_sentence(self._path):
            self._stream.flush()


def mean_volume(stacks: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted mean of the targets of (slice, 3, row, column) stacks of one shape, and the summed weights."""
    if len({stack.shape for stack in stacks}) != 1:
        raise InputError("A network that sees whole volumes needs resampling mode 'fit', so that all have one shape.")
    weight = torch.stack([stack[:, 2] for stack in stacks]).sum(dim=0)
    total = torch.stack([stack[:, 1] * stack[:, 2] for stack in stacks]).sum(dim=0)
    return total / weight.clamp(min=1e-6), weight


def _not_held_out(names: list[str], config: Config) -> list[str]:
    """All cases but the held-out ones; InputError for a held-out name the data don't have, which may be misspelt."""
    if unknown := sorted(set(config.held_out) - set(names)):
        raise InputError(
            f"held_out names cases that are not in the data: {', '.join(unknown)}. Mend the names, or take them out of "
            "the configuration."
        )
    return [name for name in names if name not in config.held_out]


def _masked(image: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.where(weight > 0, image, -torch.ones_like(image))


def claim(run: Path, config: Config, names: list[str]) -> None:
    """Store the resolved configuration in the run folder, or check that it is the one already there.

    The card's words are left out: they change nothing about the weights and are added by `export`.
    """
    record = {"config": config.model_dump(mode="json", exclude={"card"}), "cases": names}
    path = make_folder(run) / "config.json"
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if {key: stored.get(key) for key in record} != record:
            raise InputError(f"{run} holds a run of another configuration or other cases; choose an empty folder.")
        return
    software = {"imagetranslation": __version__, "torch": torch.__version__}
    write_text(path, json.dumps({**record, "software": software}, indent=2) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training_tools.train", description="Train pix2pix on prepared pairs."
    )
    parser.add_argument("--config", type=Path, required=True, help="JSON, see training_tools/configs")
    parser.add_argument("--data", type=Path, required=True, help="folder written by training_tools.prepare")
    parser.add_argument("-o", "--output", type=Path, required=True, help="run folder; an unfinished run is resumed")
    options = parser.parse_args(arguments)
    path = train(read_config(options.config), options.data, options.output)
    print(json.dumps({"weights": str(path)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
