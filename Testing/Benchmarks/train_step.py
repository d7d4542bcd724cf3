"""Training speed: images a second of our loop beside a plain pix2pix loop, float32, the study's network, on the CPU.

Both loops have the same networks, the same batch size, losses, optimiser settings and slices in
memory, and neither augments, averages weights or writes anything. The plain one is what a careful person writes:
gradients of the discriminator switched off in the generator's step, the made image detached in the discriminator's,
torch's defaults otherwise. Ours is `training_tools.training.loop` as it runs, with its checks of losses and weights.
"""

from __future__ import annotations

import contextlib
import functools
import statistics
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from .results import Row

GOAL = "ratio >= 1.5"
PIXELS, CASES, SLICES, STEPS = 128, 4, 16, 7
# The paper (Isola et al. 2017) trains with 1; the study's is not known.
BATCHES = (1, 4)
L1, RATE, DISCRIMINATOR_RATE, BETAS = 100.0, 1e-5, 1e-6, (0.5, 0.999)


def measure() -> list[Row]:
    """A row for each batch size, steps of the two loops taking turns."""
    import torch

    from training_tools.training.precision import settled

    threads = torch.get_num_threads()

    @contextlib.contextmanager
    def as_torch_comes() -> Iterator[None]:
        torch.use_deterministic_algorithms(False)
        yield

    prepare = {"ours": lambda: settled(torch.device("cpu"), threads), "plain": as_torch_comes}
    rows = []
    for batch in BATCHES:
        ours, plain = our_steps(batch), plain_steps(batch)
        steps: dict[str, Callable[[], Any]] = {"ours": functools.partial(next, ours), "plain": plain}
        times: dict[str, list[float]] = {name: [] for name in steps}
        for number in range(STEPS + 2):
            for name, step in steps.items():
                with prepare[name]():
                    began = time.perf_counter()
                    step()
                    if number >= 2:
                        times[name].append(time.perf_counter() - began)
        ours.close()
        speed = {name: batch / statistics.median(seconds) for name, seconds in times.items()}
        note = (
            f"pix2pix of the study (base 64, 7 levels, {PIXELS} x {PIXELS}) and PatchGAN, batch {batch}, float32, "
            f"{threads} threads: our training loop against a plain one, same networks, data and losses; "
            f"median of {STEPS} steps each, taking turns"
        )
        name = "train_step" if batch == BATCHES[0] else f"train_step_batch{batch}"
        rows.append(Row(name, round(speed["ours"], 3), round(speed["plain"], 3), GOAL, "images/s", note))
    return rows


def cases() -> list[Any]:
    """Random slices, stored as a run's cache holds them, in memory."""
    from training_tools.training.cache import Stored

    random, none = np.random.default_rng(0), np.empty((0, 3), dtype=int)
    made = []
    for number in range(CASES):
        arrays = random.uniform(-1, 1, (3, SLICES, PIXELS, PIXELS)).astype(np.float32)
        arrays[2] = 1
        made.append(Stored(f"case{number}", arrays, none, none))
    return made


def configuration(batch: int) -> Any:
    """The study's 2D-Pix2Pix, without augmentation and averaging."""
    from training_tools.config import Config

    settings = {
        "id": "benchmark",
        "title": "Benchmark",
        "task": "us2mri",
        "network": {"name": "pix2pix", "arguments": {"base": 64, "levels": 7}},
        "objective": {"name": "pix2pix", "l1": L1, "discriminator": {"base": 64, "layers": 3}},
        "source": {"patch_size": [PIXELS, PIXELS]},
        "augmentation": {"rotation": 0, "shift": 0, "scale": 0, "gamma": 0, "gain": 0},
        "optimiser": {
            "name": "adam",
            "rate": RATE,
            "discriminator_rate": DISCRIMINATOR_RATE,
            "betas": BETAS,
            "weight_decay": 0,
            "schedule": "constant",
            "warmup": 0,
        },
        "steps": 1_000_000,
        "batch_size": batch,
        "average": 0,
    }
    return Config.model_validate(settings)


def our_steps(batch: int) -> Generator[Any]:
    """The rows of our loop, one a step, for ever."""
    from training_tools.training.loop import Loop
    from training_tools.training.precision import make_fabric
    from training_tools.training.sampling import Sampler
    from training_tools.training.state import State

    config, stored = configuration(batch), cases()
    return Loop(State(config, make_fabric(config.precision), stored), Sampler(stored, config)).rows(config.steps)


def plain_steps(batch: int) -> Callable[[], tuple[float, float]]:
    """One step of the plain loop a call; returns both losses."""
    import torch
    from torch.nn import functional

    from imagetranslation import networks
    from training_tools.training.cache import SOURCE, TARGET

    torch.manual_seed(0)
    generator = networks.build("pix2pix", base=64, levels=7)
    judge = networks.build("patch-discriminator", base=64, layers=3, in_channels=2)
    of_generator = torch.optim.Adam(generator.parameters(), lr=RATE, betas=BETAS)
    of_judge = torch.optim.Adam(judge.parameters(), lr=DISCRIMINATOR_RATE, betas=BETAS)
    sources, targets = (
        torch.from_numpy(np.concatenate([case.arrays[part] for case in cases()]))[:, None] for part in (SOURCE, TARGET)
    )

    def crossentropy(logits: torch.Tensor, real: bool) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))

    def step() -> tuple[float, float]:
        chosen = torch.randint(len(sources), (batch,))
        source, target = sources[chosen], targets[chosen]
        made = generator(source)
        judge.requires_grad_(True)
        of_judge.zero_grad()
        true = crossentropy(judge(torch.cat([source, target], dim=1)), True)
        judged = (true + crossentropy(judge(torch.cat([source, made.detach()], dim=1)), False)) / 2
        judged.backward()  # type: ignore[no-untyped-call]
        of_judge.step()
        judge.requires_grad_(False)
        of_generator.zero_grad()
        fooled = crossentropy(judge(torch.cat([source, made], dim=1)), True)
        loss = fooled + L1 * functional.l1_loss(made, target)
        loss.backward()  # type: ignore[no-untyped-call]
        of_generator.step()
        return loss.item(), judged.item()

    return step
