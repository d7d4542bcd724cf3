"""The learning rate over a run, as a function of the step: nothing of it need be kept in a checkpoint."""

from __future__ import annotations

import math

from .settings import Optimiser


def factor(settings: Optimiser, step: int, steps: int) -> float:
    """What the rates are multiplied by in step `step` (from 0) of `steps`; see `Optimiser`."""
    rise = min(1.0, (step + 1) / max(settings.warmup, 1))
    done = step / steps
    if settings.schedule == "cosine":
        return rise * 0.5 * (1 + math.cos(math.pi * done))
    if settings.schedule == "linear" and done > settings.decay_from:
        return rise * (1 - done) / (1 - settings.decay_from)
    return rise
