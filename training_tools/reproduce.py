"""A published study in one command, from the scans to a report with the published numbers beside ours.

    imagetranslation reproduce us2mri --data DIR -o OUT
    imagetranslation reproduce pool2delayed --data phantom --quick -o OUT

Steps: data, comparison of networks, cross-fitted translators, features, classification or lesions, failure atlas, a
prepared reader study, report. Stopped at any moment, even killed, and started again with the same command it goes on;
other data or options in the same folder are refused. DIR is a folder of prepared cases or what `training_tools.prepare`
reads; options for it go into --prepare. Written: `OUT/report.html`, `report.json`, the tables as CSV, and a folder for
each step.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError

from .benchmarking.entries import TASKS
from .classifying.models import MODELS
from .console import run as run_command
from .crossfitting.plan import SCHEMES
from .reproducing import data, growth, plan, possible, report, running
from .reproducing.choices import Choices, begin
from .reproducing.sizes import sizes_for


def reproduce(choices: Choices) -> Path:
    """Do all steps that are not done and write the report; returns the page's path."""
    begin(choices)
    if (choices.place("prepared") / data.ABOUT).exists():
        data.require_unchanged(choices.place("prepared"), choices.data)
    steps = plan.steps(choices)
    stamps = running.run_steps(steps, choices.output, running.say)
    begin(choices)  # again: a study whose data changed while it ran is none
    for step in steps:
        if reason := stamps[step.name].left_out:
            running.say(f"LEFT OUT: {step.title}: {reason}")
    return report.write(report.gather(choices, steps, stamps), choices.output)


def parser(program: str = "python -m training_tools.reproduce") -> argparse.ArgumentParser:
    """All options."""
    found = argparse.ArgumentParser(prog=program, description=__doc__.split("\n")[0])
    found.add_argument("task", choices=TASKS)
    found.add_argument("--data", default=data.PHANTOM, help="folder of scans or of prepared cases; default: phantom")
    found.add_argument("--quick", action="store_true", help="few patients, seconds of training: within 45 minutes")
    found.add_argument("--resume", action="store_true", help="go on where it was stopped; always so")
    found.add_argument("--prepare", default="", metavar="'OPTIONS'", help="for training_tools.prepare, in quotes")
    found.add_argument("--classifiers", nargs="+", choices=list(MODELS), help="these alone (us2mri); default: all")
    found.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; changes no result")
    found.add_argument("--positive", default="", metavar="LABEL", help="that classification looks for (us2mri)")
    found.add_argument("--alike", type=float, help="correlation above which scans are one patient's")
    found.add_argument("--scheduler", default="", help="address of a Dask scheduler, for networks and features")
    sizes = found.add_argument_group("sizes, instead of those of --quick or of the whole study")
    sizes.add_argument("--patients", type=int, help="simulated ones")
    sizes.add_argument("--preset", help="of the comparison of networks: quick, standard or full")
    sizes.add_argument("--seconds", type=float, help="of training for each of its networks and folds")
    sizes.add_argument("--only", nargs="+", metavar="NETWORK", help="compare these networks alone")
    sizes.add_argument("--translator-seconds", type=float, help="of training for each cross-fitted translator")
    sizes.add_argument("--scheme", choices=SCHEMES, help="of the cross-fit; see training_tools.crossfit")
    sizes.add_argument("--folds", type=int, help="of the cross-fit and the classification")
    sizes.add_argument("--rhos", type=float, nargs="+", metavar="RHO", help="of the sweep (simulated bone scans)")
    sizes.add_argument("--sweep-patients", type=int, help="simulated for each rho")
    sizes.add_argument("--readers", type=int, help="of the prepared reader study")
    sizes.add_argument("--read", type=int, metavar="CASES", help="of the prepared reader study")
    sizes.add_argument("--threads", type=int, help="of each network compared; its budget is seconds x threads")
    sizes.add_argument("--seed", type=int)
    found.add_argument(
        "--growth", action="store_true", help="measure what n, 2n and 4n cases (--patients) take, extrapolate, and end"
    )
    found.add_argument("-o", "--output", type=Path, required=True)
    return found


_SIZES = ("patients", "preset", "seconds", "translator_seconds", "scheme", "folds", "sweep_patients", "readers", "read",
          "seed", "threads")  # fmt: skip


def chosen(options: argparse.Namespace) -> Choices:
    """The choices that options make; InputError for impossible ones."""
    given: dict[str, Any] = {name: value for name in _SIZES if (value := getattr(options, name)) is not None}
    if options.classifiers:
        given["classifiers"] = tuple(dict.fromkeys(options.classifiers))
    if options.only:
        given["only"] = tuple(options.only)
    if options.rhos:
        given["rhos"] = tuple(options.rhos)
    _require_applying(options, given)
    if options.workers < 1:
        raise InputError("--workers must be 1 or more.")
    more = tuple(data.split_options(options.prepare))
    if options.data == data.PHANTOM and more:
        raise InputError("--prepare is for your own data; simulated ones are prepared as they are.")
    sizes = replace(sizes_for(options.task, options.quick), **given)
    least = max(2 * sizes.folds, possible.least_to_divide(sizes))
    if options.data == data.PHANTOM and not options.growth and sizes.patients < least:
        raise InputError(f"{sizes.folds} folds need {least} simulated patients or more (--patients).")
    return Choices(
        options.task, options.data, options.output, options.quick, sizes, options.workers, more, options.scheduler,
        options.positive, options.alike,
    )  # fmt: skip


def _require_applying(options: argparse.Namespace, given: Mapping[str, Any]) -> None:
    """InputError for an option that would change nothing: somebody meant something by it."""
    if options.data != data.PHANTOM:
        for name in ("patients", "rhos", "sweep_patients"):
            if name in given:
                raise InputError(f"--{name.replace('_', '-')} is for simulated patients; {options.data} has its own.")
    if options.alike is not None and (options.data == data.PHANTOM or not 0 < options.alike <= 1):
        raise InputError("--alike is for scans of your own, and lies between 0 and 1.")
    for name in ("rhos", "sweep_patients") if options.task == "us2mri" else ():
        if name in given:
            raise InputError(f"--{name.replace('_', '-')} is for simulated bone scans (pool2delayed).")
    for name in ("positive", "classifiers") if options.task != "us2mri" else ():
        if getattr(options, name):
            raise InputError(f"--{name} is for the classification of us2mri.")


def main(arguments: list[str] | None = None, program: str = "python -m training_tools.reproduce") -> int:
    """The command line; returns the exit code."""
    options = parser(program).parse_args(arguments)
    choices = chosen(options)
    if options.growth:
        points = growth.measure(choices.task, choices.sizes, choices.output, running.say)
        page = growth.write(choices.task, choices.sizes, points, choices.output)
        print(json.dumps({"growth": str(page)}))
        return 0
    made = reproduce(choices)
    there = json.loads(made.with_name("report.json").read_text(encoding="utf-8"))["steps"]
    left_out = {step["step"]: step["left_out"] for step in there if step["left_out"]}
    print(json.dumps({"report": str(made), "data": choices.data, "left_out": left_out}))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
