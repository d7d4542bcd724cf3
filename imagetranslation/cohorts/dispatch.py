"""Who of the crew gets which case, and what becomes of a case whose worker died.

Each worker has a case to compute and, as long as there are more cases than workers, a second one to read meanwhile; the
last ones are kept for whoever is free first. A worker that dies (out of memory, a crash in a library) takes up to two
cases with it: both are done once more, each alone on a worker, so that the one at fault fails and the other does not.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import Cancelled, RunFailed
from ..jobs import Job
from . import remote
from .cases import Case
from .crew import IN_HAND, Crew, Member, connection_kept
from .remote import Ticket
from .watcher import Watcher
from .work import failure

_LOOK_EVERY = 1.0
_TICK = 0.2
# How long workers get to stop at the next batch of windows after Ctrl+C.
_STOPPING_SECONDS = 10.0
# Without one worker of this machine for so long, none will come.
_STARTING_SECONDS = 60.0
_MOST_DEATHS = 2


@dataclass(frozen=True)
class _Hand:
    """A case in the hands of a worker."""

    case: Case
    job: Job
    address: str
    member: Member
    future: Any
    alone: bool


class Dispatch:
    """One run of a crew through the cases of a cohort. ticket: what every case is sent with, but job and worker."""

    def __init__(self, crew: Crew, ticket: Ticket, watcher: Watcher, stopped: Callable[[], bool]) -> None:
        self._crew, self._client, self.ticket = crew, crew.client, ticket
        self._watcher, self._stopped = watcher, stopped
        self._waiting: deque[tuple[Case, Job]] = deque()
        self._suspects: deque[tuple[Case, Job]] = deque()
        self._deaths: dict[int, int] = {}
        self._hands: dict[str, _Hand] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._members: dict[str, Member] = {}
        self._looked, self._seen_one, self._told = 0.0, time.monotonic(), False

    def settle(self, job: Job) -> dict[str, Any]:
        """What "auto" becomes on the first worker; see `work.facts`. Raises what loading the model raises there."""
        self.wait_for_members()
        address, member = next(iter(self._members.items()))
        ticket = replace(self.ticket, job=asdict(_on_device(job, member)), worker=member.name)
        with connection_kept():
            future = self._client.submit(remote.settle_here, ticket, workers=[address], pure=False)
        while not future.done():
            if self._stopped():
                raise Cancelled("Cancelled; nothing was written.")
            time.sleep(_TICK)
        return dict(future.result())

    def run(self, cases: list[tuple[Case, Job]]) -> Iterator[tuple[Case, dict[str, Any]]]:
        """Do the cases; yields each with its row as it ends."""
        self._waiting.extend(cases)
        self._client.subscribe_topic(self.ticket.cohort, self._hear)
        try:
            while self._waiting or self._suspects or self._hands:
                if self._stopped():
                    yield from self._stop()
                    return
                yield from self._look_after_members()
                self._hand_out()
                yield from self._collect(_TICK)
        finally:
            self._clear_up()

    def wait_for_members(self) -> None:
        """Until there is a worker; raises Cancelled when the person does not want to wait."""
        while not self._members:
            if self._stopped():
                raise Cancelled("Cancelled; nothing was written.")
            for _ in self._look_after_members():
                pass
            time.sleep(0 if self._members else _TICK)

    def _look_after_members(self) -> Iterator[tuple[Case, dict[str, Any]]]:
        """See who is there; the cases of those who left are done again or have failed."""
        if time.monotonic() - self._looked < _LOOK_EVERY:
            return
        self._members = self._crew.members()
        self._looked = time.monotonic()
        if self._members:
            self._seen_one = self._looked
        elif self._crew.is_local and self._looked - self._seen_one > _STARTING_SECONDS:
            raise RunFailed("The worker processes of this machine do not come up. Use --workers 1 to do without them.")
        elif not self._crew.is_local and not self._told:
            self._told = True
            self._watcher.note("Waiting for workers to join the scheduler.")
        for hand in list(self._hands.values()):
            if hand.address not in self._members:
                yield from self._lost(hand)

    def _hand_out(self) -> None:
        held = {address: [h for h in self._hands.values() if h.address == address] for address in self._members}
        for address, member in self._members.items():
            if not held[address] and (self._suspects or self._waiting):
                alone = bool(self._suspects)
                case, job = (self._suspects if alone else self._waiting).popleft()
                held[address].append(self._give(case, job, address, member, alone))
        for address, member in self._members.items():
            mine = held[address]
            if 0 < len(mine) < IN_HAND and not mine[0].alone and len(self._waiting) >= len(self._members):
                self._give(*self._waiting.popleft(), address, member, False)

    def _give(self, case: Case, job: Job, address: str, member: Member, alone: bool) -> _Hand:
        ticket = replace(self.ticket, job=asdict(_on_device(job, member)), worker=member.name)
        key = f"{self.ticket.cohort}-{case.number}-{self._deaths.get(case.number, 0)}"
        with connection_kept():
            future = self._client.submit(
                remote.translate_case, ticket, key=key, workers=[address], pure=False, retries=0
            )
        hand = _Hand(case, job, address, member, future, alone)
        self._hands[key] = hand
        future.add_done_callback(lambda done: self._ended.put(done.key))
        return hand

    def _collect(self, timeout: float) -> Iterator[tuple[Case, dict[str, Any]]]:
        """What has ended, waiting at most `timeout` seconds for the first."""
        with contextlib.suppress(queue.Empty):
            while True:
                hand = self._hands.get(self._ended.get(timeout=timeout))
                timeout = 0
                if hand is not None:
                    yield from self._end(hand)

    def _end(self, hand: _Hand) -> Iterator[tuple[Case, dict[str, Any]]]:
        if hand.future.status != "finished":
            error = hand.future.exception() if hand.future.status == "error" else None
            if error is None or type(error).__name__ in ("KilledWorker", "CancelledError", "FutureCancelledError"):
                yield from self._lost(hand)
            else:
                yield self._close(hand, failure(hand.job, error))
            return
        with connection_kept():
            row = hand.future.result(timeout=_STOPPING_SECONDS)
        yield self._close(hand, row)

    def _lost(self, hand: _Hand) -> Iterator[tuple[Case, dict[str, Any]]]:
        """The worker of a case is gone: once more, alone, or failed for good."""
        deaths = self._deaths[hand.case.number] = self._deaths.get(hand.case.number, 0) + 1
        if deaths < _MOST_DEATHS:
            del self._hands[hand.future.key]
            hand.future.cancel()
            self._suspects.append((hand.case, hand.job))
            return
        sentence = (
            "The worker process died on this case, twice: the memory was too small for it, or a library crashed on it. "
            "Try it alone with --workers 1."
        )
        yield self._close(hand, failure(hand.job, RunFailed(sentence)))

    def _close(self, hand: _Hand, row: dict[str, Any]) -> tuple[Case, dict[str, Any]]:
        del self._hands[hand.future.key]
        hand.future.release()
        return hand.case, {**row, "worker": hand.member.name}

    def _stop(self) -> Iterator[tuple[Case, dict[str, Any]]]:
        """Tell the workers to stop and take in what they still deliver; what they do not is given up."""
        self._tell_all(remote.stop)
        until = time.monotonic() + _STOPPING_SECONDS
        while self._hands and time.monotonic() < until:
            yield from self._collect(_TICK)
        for hand in list(self._hands.values()):
            hand.future.cancel()
            yield self._close(hand, failure(hand.job, Cancelled("Cancelled; nothing was written.")))

    def _clear_up(self) -> None:
        for hand in self._hands.values():
            hand.future.cancel()
        if not self._crew.is_local:
            self._tell_all(remote.forget)
        with contextlib.suppress(Exception):
            self._client.unsubscribe_topic(self.ticket.cohort)

    def _tell_all(self, message: Callable[[str], None]) -> None:
        """Call a function in every worker; one that is gone need not hear it."""
        with contextlib.suppress(Exception):
            self._client.run(message, self.ticket.cohort, workers=list(self._members), on_error="ignore")

    def _hear(self, event: tuple[float, Any]) -> None:
        """A worker's message on how far it is."""
        message = event[1]
        if "begun" in message:
            self._watcher.begun(message["from"], message["begun"])
        elif "windows" in message:
            self._watcher.windows(message["from"], *message["windows"])


def _on_device(job: Job, member: Member) -> Job:
    """The job on the device a worker was given, where the person has not named one."""
    return replace(job, device=member.device) if member.device and job.device in ("auto", "cuda") else job
