"""The same work on several cores or machines: joblib's processes, or a Dask cluster that the person has.

The order of results is that of the items, and a result does not depend on where it was computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..errors import Cancelled, InputError

Item = TypeVar("Item")
Result = TypeVar("Result")
Cancel = Callable[[], bool]
Progress = Callable[[int, int], None]


def run(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int = 1,
    *,
    scheduler: str = "",
    progress: Progress | None = None,
    cancelled: Cancel | None = None,
) -> list[Result]:
    """`function` of every item, in order.

    workers: processes on this machine; 1 works in this one. scheduler: address of a Dask scheduler, which then does the
    work instead. progress: (done, all) after each. Raises Cancelled where `cancelled` says so between two items, and
    InputError where a scheduler cannot be reached.
    """
    if scheduler:
        results = _dask(function, items, scheduler)
    elif workers > 1 and len(items) > 1:
        import joblib

        pool = joblib.Parallel(min(workers, len(items)), return_as="generator", batch_size=_batch(len(items), workers))
        results = pool(joblib.delayed(function)(item) for item in items)
    else:
        results = (function(item) for item in items)
    done: list[Result] = []
    try:
        while True:
            if cancelled is not None and cancelled():
                raise Cancelled("Cancelled; nothing was written.")
            try:
                done.append(next(results))
            except StopIteration:
                return done
            if progress is not None:
                progress(len(done), len(items))
    finally:
        results.close()


def _batch(count: int, workers: int) -> int:
    """Items sent at once: few enough that all workers end at about the same time."""
    return max(1, min(8, count // (4 * workers)))


def _dask(function: Callable[[Item], Result], items: Sequence[Item], scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError("Working on a Dask cluster needs distributed: run pip install 'dask[distributed]'.") from error
    try:
        client = Client(scheduler, timeout=5)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(f"No Dask scheduler answers at {scheduler}: check its address.") from error
    with client:
        futures = client.map(function, list(items), pure=False)
        try:
            for future in futures:
                yield future.result()
        finally:
            client.cancel(futures)
