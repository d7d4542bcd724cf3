"""A network over a volume: windows cut, run in batches, and added into the result where they belong.

Nothing here is as large as the volume: windows are cut from a source that makes them when they are asked for, and what
comes back is added, already weighted, to an array that the caller gives. While one batch is computed the next is cut
and the previous one added. A batch that does not fit into the memory is made smaller, then its windows, then the CPU
takes over; each step is said. Which windows there are is `windows`' affair, how many at once `activations`'.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import activations, windows
from .errors import Cancelled, ModelRefused
from .predictors import OutOfMemory, Predictor, TorchPredictor, stream

if TYPE_CHECKING:
    from .models import ModelPackage
    from .windows import Plan, Window

Progress = Callable[[int, int], None]
# Voxels in a batch beyond which a CPU is not faster, and a GPU is not either.
BATCH_VOXELS, GPU_BATCH_VOXELS = 1 << 19, 1 << 23
# Seconds between looks at whether to stop, and between signs of life while one batch is computed.
POLL, HEARTBEAT = 0.1, 0.9
CANCELLED = "Cancelled; nothing was written."


class Source(Protocol):
    """An image on the model's grid, made where it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(slice, row, column)."""
        ...

    def read(self, window: Window) -> np.ndarray:
        """float32 voxels of a window inside `shape`, in memory of their own."""
        ...


class ArraySource:
    """An array (slice, row, column) as a source."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.shape = array.shape

    def read(self, window: Window) -> np.ndarray:
        """See `Source.read`."""
        return np.array(self._array[window], dtype=np.float32, order="C")


def plan_for(shape: tuple[int, ...], package: ModelPackage, most_voxels: int) -> Plan:
    """The windows of a package for a volume of `shape`, none of more than `most_voxels` unless its patch is."""
    patch, settings = tuple(package.inputs["patch_size"]), package.metadata["inference"]
    multiple, overlap = settings.get("size_multiple"), float(settings["overlap"])
    whole = settings["whole_slice"] if len(patch) == 2 else settings.get("whole_volume", False)
    if whole and multiple:
        return windows.largest_plan(shape, patch, overlap, int(multiple), most_voxels)
    return windows.plan(shape, patch, overlap, int(multiple or 1))


def slide(
    source: Source,
    target: np.ndarray,
    package: ModelPackage,
    predictor: Predictor,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    wanted: Callable[[Window], bool] | None = None,
) -> tuple[str, ...]:
    """Run the network over `source` and leave the blended output in `target`; returns sentences about what gave way.

    target: float32 of the source's shape, or a view; what is in it is lost, and what comes is as the network gives it,
    not clipped. progress: called with (windows done,
    windows in all), at least every second. cancelled: polled ten times a second; Cancelled is raised once it returns
    true. wanted: whether a window needs to be run; where none was, `target` is 0.
    Raises Cancelled, ModelRefused, RunFailed.
    """
    run = _Run(source, target, package, predictor, wanted)
    while True:
        try:
            run.go(progress, cancelled)
            return tuple(run.notes.values())
        except OutOfMemory as error:
            run.give_way(error)


class _Run:
    """One volume under way: its windows, how many are done, and how many go at once."""

    def __init__(
        self,
        source: Source,
        target: np.ndarray,
        package: ModelPackage,
        predictor: Predictor,
        wanted: Callable[[Window], bool] | None,
    ) -> None:
        # The last of each kind: what came of it, not every step on the way.
        self.notes: dict[str, str] = {}
        self._source, self._target, self._package = source, target, package
        self._predictor, self._wanted = predictor, wanted
        self._context = int(package.metadata["inference"].get("context_slices", 0))
        self._use(plan_for(source.shape, package, activations.most_voxels(package, predictor)))

    def _use(self, plan: Plan) -> None:
        """Begin anew with these windows."""
        self._plan = plan
        self._weights = plan.weights(str(self._package.metadata["inference"]["blending"]))
        self._windows = [w for w in plan.windows if self._wanted is None or self._wanted(_inside(w, plan.shape))]
        self._done = 0
        self._size = self._batch_size()
        self._target[...] = 0

    def _batch_size(self) -> int:
        voxels = math.prod(self._plan.patch)
        most = activations.most_voxels(self._package, self._predictor)
        enough = GPU_BATCH_VOXELS if self._predictor.device.startswith("cuda") else BATCH_VOXELS
        return max(1, min(min(most, enough) // voxels, len(self._windows) - self._done))

    def go(self, progress: Progress | None, cancelled: Callable[[], bool] | None) -> None:
        """Run the windows that are not done yet."""
        total = len(self._windows)
        batches = [self._windows[n : n + self._size] for n in range(self._done, total, self._size)]

        def alive() -> None:
            if cancelled is not None and cancelled():
                raise Cancelled(CANCELLED)

        def beat() -> None:
            if progress is not None:
                progress(self._done, total)

        alive()
        with ThreadPoolExecutor(1, "windows") as cutter, _worker(self._predictor) as worker:
            results = stream(self._predictor, _ahead(cutter, self._cut, batches))
            pending = worker.submit(next, results)
            for number, chosen in enumerate(batches):
                made = _awaited(pending, alive, beat)
                if number + 1 < len(batches):
                    pending = worker.submit(next, results)
                self._add(chosen, made)
                del made  # not kept while the next batch is waited for
                beat()
                alive()

    def give_way(self, error: OutOfMemory) -> None:
        """Make the next attempt smaller; raises `error` where nothing is left to make smaller."""
        where = f"The memory of {self._predictor.device} ran out"
        patch = " x ".join(str(n) for n in self._plan.patch)
        if self._size > 1:
            self._size //= 2
            many = f"{self._size} window{'s' if self._size > 1 else ''}"
            self.notes["batch"] = f"{where}: batches were made smaller, {many} of {patch} at once."
            return
        smaller = plan_for(self._source.shape, self._package, math.prod(self._plan.patch) // 2)
        if math.prod(smaller.patch) < math.prod(self._plan.patch):
            now = " x ".join(str(n) for n in smaller.patch)
            self.notes["patch"] = f"{where}: windows were made smaller, {now} instead of {patch}."
            self._use(smaller)
            return
        if self._predictor.device == "cpu":
            raise error
        self.notes["cpu"] = f"{where} even with one window of {patch}: the rest was computed on the CPU, in float32."
        moved = getattr(self._predictor, "on_cpu", None)
        self._predictor = TorchPredictor(self._package, "cpu") if moved is None else moved()
        self._size = self._batch_size()

    def _cut(self, chosen: list[Window]) -> np.ndarray:
        """float32 (n, channels, *patch); beyond the edge of the volume the edge is repeated."""
        shape, patch = self._source.shape, self._plan.patch
        if len(self._package.inputs["patch_size"]) == 3:
            blocks = [_padded(self._source.read(_inside(window, shape)), patch) for window in chosen]
            return (blocks[0][np.newaxis] if len(blocks) == 1 else np.stack(blocks))[:, np.newaxis]
        parts = []
        for _, run in itertools.groupby(enumerate(chosen), lambda pair: (pair[1][0].start - pair[0], pair[1][1:])):
            parts.append(self._slices([window for _, window in run]))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _slices(self, chosen: list[Window]) -> np.ndarray:
        """Windows of neighbouring slices, each with `context_slices` more on either side as channels."""
        depth, reach = self._source.shape[0], self._context
        wanted = np.arange(chosen[0][0].start, chosen[-1][0].stop)[:, np.newaxis] + np.arange(-reach, reach + 1)
        wanted = np.clip(wanted, 0, depth - 1)
        first, last = int(wanted.min()), int(wanted.max())
        block = self._source.read((slice(first, last + 1), *_inside(chosen[0], self._source.shape)[1:]))
        block = _padded(block, (len(block), *self._plan.patch[1:]))
        return block[:, np.newaxis] if reach == 0 else block[wanted - first]

    def _add(self, chosen: list[Window], made: np.ndarray) -> None:
        """Add what the network made of the windows, (n, 1, *patch), each with its weights."""
        if not (np.isfinite(made.min()) and np.isfinite(made.max())):
            raise ModelRefused(
                f"{self._package.id} produced values that are not numbers on this volume; its weights are unusable."
            )
        made = made if made.flags.writeable else made.copy()
        for window, values in zip(chosen, made):
            place = _inside(window, self._plan.shape)
            values = values.reshape(self._plan.patch)[tuple(slice(0, p.stop - p.start) for p in place)]
            for axis, table in enumerate(self._weights):
                if table is not None:
                    weight = table[window[axis].start][: values.shape[axis]]
                    values *= weight.reshape([-1 if n == axis else 1 for n in range(3)])
            if not any(self._weights):
                self._target[place] = values
            else:
                self._target[place] += values
        self._done += len(chosen)


def _inside(window: Window, shape: tuple[int, ...]) -> Window:
    return tuple(slice(s.start, min(s.stop, size)) for s, size in zip(window, shape))


def _padded(block: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Grow to `shape` by repeating the edge."""
    if block.shape == shape:
        return block
    return np.pad(block, [(0, want - have) for have, want in zip(block.shape, shape)], mode="edge")


def _ahead(pool: ThreadPoolExecutor, make: Callable[[Any], np.ndarray], items: Iterable[Any]) -> Iterator[np.ndarray]:
    """`make` of each item, the next one being made by `pool` while the caller works on this one.

    The pool is the caller's to close: an iterator left half-way is cleared away in any thread, which may not wait.
    """
    pending: Future[np.ndarray] | None = None
    for item in items:
        coming = pool.submit(make, item)
        if pending is not None:
            yield pending.result()
        pending = coming
    if pending is not None:
        yield pending.result()


def _awaited(pending: Future[np.ndarray], alive: Callable[[], None], beat: Callable[[], None]) -> np.ndarray:
    """The result, while `alive` is asked every `POLL` seconds and `beat` called every `HEARTBEAT`."""
    last = time.monotonic()
    while not wait([pending], POLL).done:
        alive()
        if time.monotonic() - last > HEARTBEAT:
            beat()
            last = time.monotonic()
    return pending.result()


_stops = threading.local()


def _stop_between_layers(module: Any, inputs: Any) -> None:
    if getattr(_stops, "event", None) is not None and _stops.event.is_set():
        raise Cancelled(CANCELLED)


@contextlib.contextmanager
def _worker(predictor: Predictor) -> Iterator[ThreadPoolExecutor]:
    """A thread for the network. Left by an error, a network of torch's ends at its next layer; any other engine is
    left to end its batch."""
    layered = getattr(predictor, "engine", "") == "torch"
    stop = threading.Event()
    pool = ThreadPoolExecutor(1, "network", initializer=setattr, initargs=(_stops, "event", stop))
    hook = None
    if layered:
        from torch.nn.modules.module import register_module_forward_pre_hook

        hook = register_module_forward_pre_hook(_stop_between_layers)
    try:
        yield pool
    finally:
        stop.set()
        pool.shutdown(wait=layered, cancel_futures=True)
        if hook is not None:
            hook.remove()
