"""The process that compares: it holds the images of the case shown, and does for the page all that takes long or opens
a file from outside.

The page's event loop never waits for it, a cancel ends what it does, and a file that brings a library down brings down
this process and not the viewer. What is asked and when is `regions`'.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import multiprocessing
import os
import signal
import tempfile
import threading
import time
import traceback
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..errors import Cancelled, ImageTranslationError, InputError, RunFailed
from ..volume import Volume

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]
# After a cancel: time to stop by itself, before the process is ended.
GRACE_S = 0.5
TICK_S = 0.05
# More volumes than this in one file are frames of something, and no regions.
MOST_VOLUMES = 32
NOT_THERE = "The process that compares has ended; try again."


async def in_thread(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """As `asyncio.to_thread`, in a thread for which the end of the program does not wait."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, fault = None, None
        try:
            result = function(*arguments, **options)
        except Exception as error:  # noqa: BLE001  raised where it is awaited
            fault = error
        # The loop may have ended meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=run, daemon=True, name="asking").start()
    return await future


class ComparingProcess:
    """Starts when it is first asked, and again after it ended. One question at a time; `ask` may be called from any
    thread. `close` ends it; at the latest it ends with this program."""

    def __init__(self) -> None:
        self._one = threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None
        self._held: object = None

    def ask(
        self,
        job: str,
        *arguments: Any,
        images: Mapping[str, Volume] | None = None,
        progress: Progress | None = None,
        cancelled: threading.Event | None = None,
    ) -> Any:
        """Do one of `JOBS` and return its answer.

        images: of the case; they are sent when they are others than the last time. Raises Cancelled when `cancelled`
        is set meanwhile, and whatever of `errors` the job raised; RunFailed where it ended without an answer.
        """
        with self._one:
            if cancelled is not None and cancelled.is_set():
                raise Cancelled("Cancelled.")
            try:
                pipe = self._started()
                if images is not None and self._held is not images:
                    pipe.send(("images", (dict(images),)))
                    self._answer(pipe, None, cancelled)
                    self._held = images
                pipe.send((job, arguments))
                return self._answer(pipe, progress, cancelled)
            except (EOFError, OSError) as error:
                self._end()
                raise RunFailed(NOT_THERE) from error

    def close(self) -> None:
        """End the process; a question that is open fails."""
        self._end()

    def _started(self) -> Connection:
        if self._pipe is None or self._process is None or not self._process.is_alive():
            self._end()
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True, name="comparing")
            self._process.start()
            theirs.close()
        return self._pipe

    def _answer(self, pipe: Connection, progress: Progress | None, cancelled: threading.Event | None) -> Any:
        asked_to_stop = 0.0
        while True:
            if cancelled is not None and cancelled.is_set():
                if not asked_to_stop:
                    asked_to_stop = time.monotonic()
                    pipe.send("cancel")
                elif time.monotonic() - asked_to_stop > GRACE_S:
                    self._end()
                    raise Cancelled("Cancelled.")
            if not pipe.poll(TICK_S):
                continue
            kind, *said = pipe.recv()
            if kind == "progress":
                if progress is not None and not asked_to_stop:
                    progress(*said)
                continue
            if asked_to_stop:
                # Whether it stopped or was just ready: the pipe is empty, and the process can be asked again.
                raise Cancelled("Cancelled.")
            if kind == "answer":
                return said[0]
            raise said[0]

    def _end(self) -> None:
        process, pipe, self._process, self._pipe, self._held = self._process, self._pipe, None, None, None
        if process is not None:
            # Asked first, so that it can end MIRP's own process.
            process.terminate()
            process.join(GRACE_S)
            process.kill()
            process.join()
        if pipe is not None:
            pipe.close()


class _Engine:
    """An engine that tells how far it is over all images."""

    def __init__(self, engine: Any, images: int, progress: Progress) -> None:
        self._engine, self._images, self._progress, self._begun = engine, images, progress, 0
        self.name, self.version, self.feature_set = engine.name, engine.version, engine.feature_set

    def extract(self, image: Volume, rois: Any, settings: Any, **options: Any) -> Any:
        before = self._begun
        self._begun += 1

        def told(done: int, total: int) -> None:
            self._progress(100 * before + 100 * done // max(total, 1), 100 * self._images)

        return self._engine.extract(image, rois, settings, **{**options, "progress": told})


class _Worker:
    """What the process knows between two questions."""

    def __init__(self) -> None:
        self.images: dict[str, Volume] = {}
        self._engines: dict[str, Any] = {}
        self._tissue: Volume | None = None

    def close(self) -> None:
        """End what engines run outside this process."""
        for engine in self._engines.values():
            if hasattr(engine, "close"):
                engine.close()

    def take(self, images: dict[str, Volume], *_: Any) -> None:
        self.images, self._tissue = images, None

    def engines(self, *_: Any) -> dict[str, str]:
        """Feature set to the sentence why it cannot be made, "" where it can."""
        from importlib.util import find_spec

        from ..radiomics.engine import FEATURE_SETS

        found = {}
        for feature_set, engine in FEATURE_SETS.items():
            try:
                if engine == "mirp" and find_spec("mirp") is None:
                    raise InputError("MIRP is not installed beside this program: run pip install mirp.")
                if engine != "mirp":
                    self._engine(feature_set)
                found[feature_set] = ""
            except InputError as error:
                found[feature_set] = str(error)
        return found

    def compare(
        self, roi: Any, feature_set: str, settings: Any, cohort: Any, progress: Progress, cancelled: Cancel
    ) -> Any:
        from ..radiomics.comparison import compare
        from ..radiomics.preprocess import estimated_tissue

        tissue = None
        if settings.normalisation != "none":
            self._tissue = tissue = self._tissue or estimated_tissue(self.images["source"])
        engine = _Engine(self._engine(feature_set), len(self.images), progress)
        try:
            return compare(self.images, roi, settings, engine, tissue=tissue, cohort=cohort, cancelled=cancelled)
        except (Cancelled, RunFailed):
            # MIRP's own process may have ended with it.
            self._engines.pop(feature_set)
            raise

    def read(self, path: str, *_: Any) -> Any:
        from ..radiomics.segmentations import ALL, read_rois

        source, where = self.images["source"], Path(path)
        volumes = _volumes_of(where)
        if volumes < 2:
            return read_rois(where, source, ALL)
        found, empty = [], None
        for number in range(volumes):
            try:
                rois = read_rois(where, source, ALL, component=number)
            except InputError as error:
                empty = error
                continue
            found += [replace(roi, name=f"volume {number + 1} label {roi.label}") for roi in rois]
        if not found and empty is not None:
            raise empty
        return found

    def cohort(self, path: str, *_: Any) -> Any:
        from ..radiomics.comparison import read_cohort

        return read_cohort(Path(path))

    def dicom_offered(self, *_: Any) -> Any:
        from ..radiomics.dicomreport import availability

        return availability(self.images)

    def dicom(self, found: Any, roi: Any, finding: str, _: Progress, cancelled: Cancel) -> tuple[bytes, Any]:
        """Report, segmentation and what belongs to them as one zip; the sentences to go with it."""
        from ..radiomics.dicomreport import Meaning, finding_called, write_dicom

        meaning = Meaning(*finding_called(finding))
        with tempfile.TemporaryDirectory(prefix="imagetranslation-") as temporary:
            folder = Path(temporary) / "dicom"
            written = write_dicom(found, self.images, roi, folder, meaning=meaning, cancelled=cancelled)
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in written.files:
                    archive.write(file, str(file.relative_to(folder)))
        return packed.getvalue(), written.sentences

    def _engine(self, feature_set: str) -> Any:
        from ..radiomics.engine import make_engine

        if feature_set not in self._engines:
            self._engines[feature_set] = make_engine(feature_set)
        return self._engines[feature_set]


def _volumes_of(path: Path) -> int:
    """How many volumes a labelmap has in its fourth dimension; 1 for any other file."""
    from ..formats import quiet_sitk
    from ..headers import inspect

    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return 1
    inspect(path)
    reader = quiet_sitk().ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return 1
    return min(reader.GetSize()[3], MOST_VOLUMES) if reader.GetDimension() == 4 else 1


JOBS: dict[str, Callable[..., Any]] = {
    "images": _Worker.take, "engines": _Worker.engines, "compare": _Worker.compare, "read": _Worker.read,
    "cohort": _Worker.cohort, "dicom_offered": _Worker.dicom_offered, "dicom": _Worker.dicom,
}  # fmt: skip


def _serve(pipe: Connection) -> None:
    """The process: one answer to every question, until the other end of the pipe is gone."""
    # Ctrl+C reaches this process too; it ends when the viewer has ended.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = _Worker()

    def end(*_: object) -> None:
        # At once: threads that wait for MIRP would hold an orderly end up.
        worker.close()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)

    def progress(done: int, total: int) -> None:
        pipe.send(("progress", done, total))

    def cancelled() -> bool:
        return bool(pipe.poll() and pipe.recv() == "cancel")

    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            question = pipe.recv()
            if question == "cancel":
                continue
            pipe.send(_done(worker, question, progress, cancelled))


def _done(worker: _Worker, question: tuple[str, tuple[Any, ...]], progress: Progress, cancelled: Cancel) -> Any:
    job, arguments = question
    try:
        return "answer", JOBS[job](worker, *arguments, progress, cancelled)
    except ImageTranslationError as error:
        return "error", type(error)(str(error))
    except (EOFError, OSError) as error:
        if isinstance(error, (EOFError, BrokenPipeError)):
            raise
        return "error", InputError(f"The file cannot be used ({error.strerror or type(error).__name__}).")
    except MemoryError:
        return "error", RunFailed("There is not enough memory; close other programs, or take a smaller region.")
    except Exception as error:  # noqa: BLE001  told by its kind; the terminal gets the rest
        traceback.print_exc()
        return "error", RunFailed(
            f"A fault in this program ({type(error).__name__}); the terminal that started the viewer says more."
        )
