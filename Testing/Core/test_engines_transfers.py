"""Overlapping copies and computing: the order of events, on a device that only writes them down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imagetranslation.engines.transfers import overlapped


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
    device, got = Device(fails_on=2), []
    with pytest.raises(MemoryError):
        for result in overlapped(device.batches(4), device.start, device.finish):
            got.append(result)
    assert got == ["result 0", "result 1"]


def test_no_more_than_two_batches_are_held_at_once() -> None:
    device = Device()
    list(overlapped(device.batches(20), device.start, device.finish))
    held = highest = 0
    for event in device.events:
        held += event.startswith("start") - event.startswith("finish")
        highest = max(highest, held)
    assert highest == 2
