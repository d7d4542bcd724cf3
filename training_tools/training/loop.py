"""The steps of a training run: batches in, updates made, rows of numbers out, a stop wherever something is wrong.

What is moved is `state`'s, what it learns from is `sampling`'s, when a run is saved or ended is `run`'s.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import torch

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.predictors import ran_out_of_memory

from ..objectives.protocol import Batch, Update
from .sampling import Process, Sampler, moved, seeded
from .state import State

Row = dict[str, float]
# Rows held back before their numbers are asked of a GPU, which would have to finish all its work first.
HELD_BACK = 20
_COMPILER = ("torch._dynamo", "torch._inductor")


class Loop:
    """Trains a `State` with the batches of a `Sampler`."""

    def __init__(self, state: State, sampler: Sampler) -> None:
        self.state, self.sampler = state, sampler
        self._device = state.fabric.device
        self._pending: list[dict[str, Any]] = []

    def rows(self, last: int) -> Generator[list[Row]]:
        """Train up to step `last`; after every step the finished rows, which may be none or those of several steps.

        Raises RunFailed, with the step, where a loss or a weight is no number or the memory runs out.
        """
        state = self.state
        first = state.step
        with closing(self.sampler.batches(first)) as batches:
            while state.step < last:
                with self.explaining():
                    self._pending.append(self._step(next(batches)))
                state.step += 1
                held = HELD_BACK if self._device.type == "cuda" else 1
                yield self.finished() if len(self._pending) >= held or state.step == last else []

    def finished(self) -> list[Row]:
        """The rows of all steps that were made since the last call, checked."""
        rows = []
        for row in self._pending:
            numbers = {name: float(value) for name, value in row.items()}
            step, size = int(numbers["step"]), numbers.pop("size")
            for name, value in [*numbers.items(), ("a weight", size)]:
                if not math.isfinite(value):
                    self._pending.clear()
                    raise RunFailed(
                        f"Training stopped at step {step}: {name} is {value}. The last checkpoint is kept; lower "
                        "optimiser.rate or set optimiser.clip."
                    )
            rows.append(numbers)
        self._pending.clear()
        return rows

    def _step(self, parts: list[Batch]) -> dict[str, Any]:
        state = self.state
        rate = state.set_rates()
        here = Process(state.fabric.global_rank, state.fabric.world_size)
        torch.manual_seed(seeded(state.config.seed, "layers", state.step, here.rank))
        random = torch.Generator().manual_seed(seeded(state.config.seed, "objective", state.step, here.rank))
        layout = state.config.precision.channels_last
        batches = (moved(part, self._device, layout) for part in parts)
        row = self._together(next(batches), random) if len(parts) == 1 else self._in_parts(batches, len(parts), random)
        state.average.move(state.step)
        return {"step": state.step + 1, **row, "rate": rate, "size": state.size()}

    def _together(self, batch: Batch, random: torch.Generator) -> dict[str, Any]:
        """Every update is made before the objective goes on to its next."""
        state = self.state
        row: dict[str, Any] = {}
        for update in state.objective.updates(batch, state.usable, random):
            state.zero([update.optimiser])
            state.backward(update.optimiser, update.loss)
            state.move(update.optimiser)
            row.update(update.logged)
        return row

    def _in_parts(self, batches: Iterator[Batch], parts: int, random: torch.Generator) -> dict[str, Any]:
        """Gradients of all parts are added up at the same weights; then every optimiser is stepped."""
        state = self.state
        state.zero(state.optimisers)
        order: list[str] = []
        rows: list[Mapping[str, Any]] = []
        for batch in batches:
            row: dict[str, Any] = {}
            order = []
            for update in state.objective.updates(batch, state.usable, random):
                self._require_single(update, order)
                state.backward(update.optimiser, update.loss / parts)
                row.update(update.logged)
            rows.append(row)
        for name in order:
            state.move(name)
        return {name: sum(row[name] for row in rows) / parts for name in rows[0]}

    def _require_single(self, update: Update, order: list[str]) -> None:
        if update.optimiser in order:
            raise InputError(
                f"The objective {self.state.config.objective['name']!r} steps its {update.optimiser} several times for "
                "one batch, which cannot be computed in parts; set optimiser.accumulate to 1 and lower batch_size."
            )
        order.append(update.optimiser)

    @contextmanager
    def explaining(self, looking: str = "") -> Iterator[None]:
        """Errors of torch that a person can do something about, as a sentence. looking: what is done besides a step."""
        config = self.state.config
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if config.precision.compile and type(error).__module__.startswith(_COMPILER):
                raise RunFailed(
                    f"The networks cannot be compiled ({str(error).splitlines()[0][:160]}); install a C++ compiler "
                    "or set precision.compile to false."
                ) from error
            if not ran_out_of_memory(error):
                raise
            patch = " x ".join(map(str, config.source.patch_size))
            if looking:
                raise RunFailed(
                    f"The memory of {self._device} ran out {looking} step {self.state.step}; the last checkpoint is "
                    f"kept. Lower source.patch_size (now {patch}), or set validation.every and reporting.sheet_every "
                    "to 0 and evaluate after the training."
                ) from error
            raise RunFailed(
                f"The memory of {self._device} ran out at step {self.state.step + 1}: lower batch_size (now "
                f"{config.batch_size}), or raise optimiser.accumulate (now {config.optimiser.accumulate}); then lower "
                f"source.patch_size (now {patch}), or set precision.compute to bf16-mixed."
            ) from error
