"""Copying to and from a GPU while it computes: one batch is on its way in while another runs and a third comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch

Given = TypeVar("Given")
Started = TypeVar("Started")
Result = TypeVar("Result")


def overlapped(
    batches: Iterable[Given], start: Callable[[Given], Started], finish: Callable[[Started], Result]
) -> Iterator[Result]:
    """finish(start(batch)) for each batch in order, the next one started before the last is finished.

    start puts work on a device and returns at once; finish waits for it. When starting a batch fails (out of memory),
    what was started before is still finished and handed out first, so that the caller loses nothing but that batch.
    """
    waiting: list[Started] = []
    for batch in batches:
        try:
            started = start(batch)
        except Exception:
            if waiting:
                yield finish(waiting.pop())
            raise
        if waiting:
            yield finish(waiting.pop())
        waiting.append(started)
    if waiting:
        yield finish(waiting.pop())


class CudaLane:
    """A way onto one CUDA device and back, through pinned buffers and streams beside the one that computes."""

    def __init__(self, device: str) -> None:
        import torch

        self._device = torch.device(device)
        self._inwards, self._outwards = torch.cuda.Stream(self._device), torch.cuda.Stream(self._device)
        self._slots: list[tuple[torch.Tensor, torch.cuda.Event] | None] = [None, None]
        self._turn = 0

    def run(self, batch: np.ndarray, compute: Callable[[torch.Tensor], torch.Tensor]) -> tuple[Any, Any]:
        """Start copying, `compute` and copying back; returns what `collect` waits for."""
        import torch

        with torch.cuda.device(self._device):
            working = torch.cuda.current_stream()
            with torch.cuda.stream(self._inwards):
                inside = self._pinned(batch).to(self._device, non_blocking=True)
                arrived = torch.cuda.Event()
                arrived.record()
            self._slots[self._turn] = (self._slots[self._turn][0], arrived)  # type: ignore[index]
            self._turn = 1 - self._turn
            working.wait_event(arrived)
            # The allocator must not give memory away while another stream still reads it.
            inside.record_stream(working)
            made = compute(inside).float().contiguous()
            outside = torch.empty(made.shape, dtype=torch.float32, pin_memory=True)
            self._outwards.wait_stream(working)
            with torch.cuda.stream(self._outwards):
                outside.copy_(made, non_blocking=True)
                made.record_stream(self._outwards)
                done = torch.cuda.Event()
                done.record()
        return outside, done

    @staticmethod
    def collect(started: tuple[Any, Any]) -> np.ndarray:
        """The result of `run`, once it has come back."""
        outside, done = started
        done.synchronize()
        return outside.numpy()

    def _pinned(self, batch: np.ndarray) -> torch.Tensor:
        """The batch in pinned memory: one of two buffers in turn, once the copy that last left it has arrived."""
        import torch

        slot = self._slots[self._turn]
        if slot is not None:
            slot[1].synchronize()
        if slot is None or slot[0].shape != batch.shape:
            self._slots[self._turn] = slot = (
                torch.empty(batch.shape, dtype=torch.float32, pin_memory=True),
                torch.cuda.Event(),
            )
        slot[0].copy_(torch.from_numpy(batch))
        return slot[0]
