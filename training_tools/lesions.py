"""Which lesions survive a translation, which vanish, which are invented: known places and a detector, by stated rules.

    python -m training_tools.lesions pool2delayed --data PREPARED --synthetic FOLDER -o OUT

Writes OUT/lesions.csv (one row a lesion), OUT/images.csv (one row an image), OUT/marks.csv (one row a mark of the
detector, or of a reader), OUT/lesions.json and OUT/lesions.html, whole or not at all. What is read and how:
`lesionreading`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .console import run as run_command
from .lesionreading.task import refuse_existing, write
from .lesionreading.tasks import TASKS


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.lesions", description=__doc__.split("\n")[0])
    named = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for task in TASKS.values():
        own = named.add_parser(task.name, help=task.summary, description=task.summary)
        task.add_options(own)
        own.add_argument("-o", "--output", type=Path, required=True, help="folder to write; must not be there yet")
    options = parser.parse_args(arguments)
    refuse_existing(options.output)
    reading = TASKS[options.task].read(options)
    write(reading, options.output)
    for line in reading.summary:
        print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
