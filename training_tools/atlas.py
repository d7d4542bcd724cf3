"""The failure atlas of a translation: worst patients, vanished and invented lesions, and whether its doubts tell.

    python -m training_tools.atlas --task us2mri --evaluation DIR [--lesions DIR] -o OUT

DIR is a folder of `training_tools.evaluate` (with --data PREPARED), a cell of `training_tools.benchmark`, or a
benchmark's folder with all its folds. Uncertainty maps and likeness to the training scans are made here from the
evaluated package, or read from files of `imagetranslation translate --uncertainty` (--maps). Written, whole or not at
all: OUT/atlas.html (needs nothing else), atlas.csv (one row a case) and atlas.json (settings and all that the page
says).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from imagetranslation.files import atomic_folder, make_folder, write_text
from imagetranslation.uncertainty import METHODS

from .atlases import images, lesions
from .atlases.evaluations import read
from .atlases.making import Atlas, make
from .atlases.page import page
from .atlases.telling import record, rows
from .benchmarking.entries import TASKS
from .console import run as run_command
from .evaluating.measures import MEASURES
from .evaluating.writing import write_rows
from .lesionreading.task import refuse_existing


def write(atlas: Atlas, output: Path) -> None:
    """Write the three files; `output` must not exist or be an empty folder."""
    refuse_existing(output)
    make_folder(output.absolute().parent)
    with atomic_folder(output) as folder:
        write_rows(rows(atlas), folder / "atlas.csv")
        write_text(folder / "atlas.json", json.dumps(record(atlas), indent=2) + "\n")
        write_text(folder / "atlas.html", page(atlas, rows(atlas)))


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.atlas", description=__doc__.split("\n")[0])
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--evaluation", type=Path, required=True, help="of evaluate, a benchmark's cell, a benchmark")
    parser.add_argument("--method", default="", help="network or method; default: the best in the measure --by")
    parser.add_argument("--data", type=Path, help="prepared cases, where the evaluation does not tell them")
    parser.add_argument("--model", type=Path, help="package or images, where they no longer lie where they did")
    parser.add_argument("--lesions", type=Path, help="folder written by training_tools.lesions")
    parser.add_argument("--maps", type=Path, help="images and maps of `imagetranslation translate --uncertainty`")
    parser.add_argument("--uncertainty", choices=("auto", *METHODS, images.NONE), default="auto")
    parser.add_argument("--samples", type=int, default=0, help="answers a case; default: the model's own number")
    parser.add_argument("--by", choices=tuple(MEASURES), default="mae", help="the measure that says which is worst")
    parser.add_argument("--cases", type=int, default=20, help="patients with pictures")
    parser.add_argument("--device", default="auto")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write; must not be there yet")
    options = parser.parse_args(arguments)
    refuse_existing(options.output)
    evaluated = read(
        options.evaluation, options.task, method=options.method, data=options.data, model=options.model, by=options.by
    )
    weights = [part.weights for part in evaluated.parts]
    reading = None
    if options.lesions is not None:
        reading = lesions.read(options.lesions, options.task, [*evaluated.scores], weights)
    atlas = make(
        evaluated, reading=reading, by=options.by, shown=options.cases, uncertainty=options.uncertainty,
        samples=options.samples, maps=options.maps, device=options.device,
        told=lambda sentence: print(sentence, file=sys.stderr),
    )  # fmt: skip
    write(atlas, options.output)
    print(json.dumps({"page": str(options.output / "atlas.html"), "method": evaluated.method}))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
