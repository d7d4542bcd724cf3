"""What a run tells about itself while it goes on: `log.csv`, TensorBoard's log, and a line of progress on stderr."""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError
from imagetranslation.files import as_sentence, atomic_path

# Seconds between lines of progress, on a screen and in a file.
ON_SCREEN, IN_FILE = 0.5, 30.0


class Log:
    """A CSV with one row a step; on resuming, rows after the checkpoint are dropped and written again."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        self._stream: Any = None
        self._writer: Any = None
        self._columns: list[str] = []
        if not path.exists():
            return
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            self._columns = list(reader.fieldnames or ())
            # A killed run leaves its last row cut anywhere, so that 120 may read 12: only whole rows count.
            whole = (row for row in reader if None not in row.values() and None not in row)
            kept = [row for row in whole if int(float(row["step"])) <= step]
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, self._columns)
            writer.writeheader()
            writer.writerows(kept)

    def __enter__(self) -> Log:
        with as_sentence(self._path):
            self._stream = self._path.open("a", newline="", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        with as_sentence(self._path):
            self._stream.close()

    def write(self, row: dict[str, float]) -> None:
        """Append one step."""
        with as_sentence(self._path):
            if self._writer is None:
                self._writer = csv.DictWriter(self._stream, self._columns or list(row))
                if not self._columns:
                    self._writer.writeheader()
            self._writer.writerow(
                {name: f"{value:.0f}" if name == "step" else f"{value:.6g}" for name, value in row.items()}
            )

    def flush(self) -> None:
        """Let the rows reach the file before a checkpoint that counts on them."""
        with as_sentence(self._path):
            self._stream.flush()


class TensorBoard:
    """The same numbers for TensorBoard, in the run's folder `tensorboard`; nothing where it is not wanted."""

    def __init__(self, folder: Path, wanted: bool, step: int) -> None:
        self._writer: Any = None
        if wanted:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise InputError(
                    "reporting.tensorboard needs the package tensorboard: pip install 'imagetranslation[training]', or "
                    "set it to false; log.csv holds the same numbers."
                ) from error
            self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, row: dict[str, float], group: str) -> None:
        """The numbers of a step; `group`: "training" or "validation"."""
        if self._writer is not None:
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(f"{group}/{name}", value, int(row["step"]))


class Progress:
    """A line on stderr now and then: step, share, the first loss, time that remains."""

    def __init__(self, first: int, last: int, *, silent: bool = False) -> None:
        self._first, self._last, self._silent = first, last, silent
        self._began = self._said = time.monotonic()
        self._screen = sys.stderr.isatty()

    def show(self, row: dict[str, float]) -> None:
        """Tell of a finished step, if it is time to."""
        now, step = time.monotonic(), int(row["step"])
        due = now - self._said >= (ON_SCREEN if self._screen else IN_FILE)
        if self._silent or not (due or step == self._last):
            return
        self._said = now
        left = (now - self._began) / max(1, step - self._first) * (self._last - step)
        name, value = next((pair for pair in row.items() if pair[0] not in ("step", "rate")), ("rate", row["rate"]))
        line = f"step {step} of {self._last} ({100 * step // self._last} %), {name} {value:.4g}, {spoken(left)} left"
        end = "\n" if not self._screen or step == self._last else "\r"
        print(f"{line:<78}", end=end, file=sys.stderr, flush=True)


def spoken(seconds: float) -> str:
    """A duration for people: "40 s", "12 min", "3 h 20 min", "2 d 4 h"."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 36 else f"{hours // 24} d {hours % 24} h"
