"""Overlapping copies and computing: the order of events, on devices that are made up (no GPU is needed)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.engines import torchengine, transfers
from imagetranslation.engines.transfers import overlapped
from imagetranslation.predictors import OutOfMemory, TorchPredictor
from Testing.packages import make_package


class Device:
    """Writes down what happens."""

    def __init__(self, fails_on: int | None = None) -> None:
        self.events: list[str] = []
        self._fails_on = fails_on

    def batches(self, count: int) -> Iterator[int]:
        for number in range(count):
            self.events.append(f"cut {number}")
            yield number

    def start(self, batch: int) -> int:
        if batch == self._fails_on:
            raise MemoryError(batch)
        self.events.append(f"start {batch}")
        return batch

    def finish(self, batch: int) -> str:
        self.events.append(f"finish {batch}")
        return f"result {batch}"


def test_results_come_in_order_and_the_next_batch_starts_before_the_last_is_waited_for() -> None:
    device = Device()
    results = list(overlapped(device.batches(3), device.start, device.finish))
    assert results == ["result 0", "result 1", "result 2"]
    assert device.events == [
        "cut 0", "start 0", "cut 1", "start 1", "finish 0", "cut 2", "start 2", "finish 1", "finish 2",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1])
def test_few_batches_are_no_exception(count: int) -> None:
    device = Device()
    assert len(list(overlapped(device.batches(count), device.start, device.finish))) == count


def test_what_was_started_before_a_failure_is_still_handed_out() -> None:
    device, got = Device(fails_on=2), list[str]()
    with pytest.raises(MemoryError):
        got.extend(overlapped(device.batches(4), device.start, device.finish))
    assert got == ["result 0", "result 1"]


def test_no_more_than_two_batches_are_held_at_once() -> None:
    device = Device()
    list(overlapped(device.batches(20), device.start, device.finish))
    held = highest = 0
    for event in device.events:
        held += event.startswith("start") - event.startswith("finish")
        highest = max(highest, held)
    assert highest == 2


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """torch.cuda's streams and events made up on the CPU, where copies are done at once; what is asked of them."""
    import torch

    asked: list[str] = []

    class Stream:
        def __init__(self, *_: Any) -> None:
            pass

        def wait_event(self, _: Any) -> None:
            asked.append("wait for the copy in")

        def wait_stream(self, _: Any) -> None:
            asked.append("wait for the network")

    class Event:
        def record(self, *_: Any) -> None:
            asked.append("record")

        def synchronize(self) -> None:
            asked.append("synchronise")

    empty = torch.empty
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream())
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: asked.append("give memory back"))
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **rest: empty(*size, **rest))
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, stream: asked.append("keep"), raising=False)
    return asked


@pytest.fixture
def engine(streams: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torchengine.TorchEngine:
    """An engine on the CPU that takes the CUDA lane."""
    made = torchengine.TorchEngine(make_package(tmp_path / "tiny"), "cpu")
    monkeypatch.setattr(made, "_lane", transfers.CudaLane("cpu"))
    return made


def windows(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 1, 16, 16)).astype(np.float32)


def test_the_cuda_lane_hands_each_batch_its_own_result(engine: torchengine.TorchEngine, streams: list[str]) -> None:
    batches = [windows(seed, count) for seed, count in enumerate((3, 3, 3, 3, 1))]
    plain = TorchPredictor(engine.package, "cpu")
    results = list(engine.stream(iter(batches)))
    for batch, result in zip(batches, results):
        np.testing.assert_allclose(result, plain.predict(batch), atol=1e-6)
    first = streams[: streams.index("wait for the network") + 1]
    assert first == ["record", "wait for the copy in", "keep", "wait for the network"]


def test_memory_of_a_gpu_is_given_back_when_it_ran_out(
    engine: torchengine.TorchEngine, streams: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(engine, "_network", full)
    with pytest.raises(OutOfMemory):
        engine.predict(windows(0, 2))
    assert streams[-1] == "give memory back"
