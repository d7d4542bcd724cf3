"""Patient-level cross-validation: `python -m training_tools.crossval --config CONFIG --data PREPARED -o FOLDER`.

The folds are those of `--split`, a file of `training_tools.splits`; without it the configuration's number of folds,
every so manieth patient in the order of their names. Either way the leak check is run.
Every fold's network is trained from scratch by the configuration as it stands on the other folds' patients, exported
as a package and run through `imagetranslation.inference`, as the shipped model is. Each fold's rows are kept, so that
a run that was stopped goes on; `scores.json` appears when all folds are there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError
from imagetranslation.files import make_folder, sha256_of, write_text

from . import evaluation, leaks
from .config import Config, read_config
from .console import run as run_command
from .dataset import LazyCases, case_names, patients, require_pairs
from .export import describe, score_cases, write
from .splits import read_split
from .train import claim, divide, shaped_by, train


def folds(names: list[str], count: int, owners: Mapping[str, str] | None = None) -> list[list[str]]:
    """`count` disjoint test sets that cover all names: every count-th of the sorted patients, so nothing is drawn.

    owners: the patient of each case; its own name by default.
    """
    of = {name: (owners or {}).get(name, name) for name in names}
    everyone = sorted(set(of.values()))
    if len(everyone) < count:
        raise InputError(f"{count} folds need at least {count} patients; there are {len(everyone)}.")
    return [sorted(name for name in names if of[name] in everyone[start::count]) for start in range(count)]


def drawn(config: Config, data: Path, split: Path | None = None) -> list[list[str]]:
    """The test sets: of a split's file, which is checked for leaks, or `folds`. InputError where it has other folds."""
    if split is None:
        return folds(case_names(data), config.folds, patients(data))
    found = read_split(split, data)
    if len(found.folds) != config.folds:
        raise InputError(
            f"{split} has {len(found.folds)} folds and the configuration asks for {config.folds}; draw the split with "
            f"--folds {config.folds}, or set folds."
        )
    leaks.check(data, found)
    return [sorted(cases) for cases in found.folds]


def run_fold(
    config: Config, data: Path, output: Path, number: int, tests: Sequence[Sequence[str]] | None = None
) -> list[dict[str, Any]]:
    """Train and score one fold (0-based), or read its rows if they are already there. tests: of all folds, `drawn`."""
    names = case_names(data)
    owners = patients(data)
    tested = (drawn(config, data) if tests is None else tests)[number]
    kept = [name for name in names if name not in tested]
    run, done = output / f"fold-{number}", output / f"fold-{number}.json"
    learnt, watched = divide(kept, config, patients=owners)
    claim(run, config, learnt, data, watched)  # rows of another configuration must not be taken for this one's
    if done.exists():
        return list(json.loads(done.read_text(encoding="utf-8")))
    weights = train(config, data, run, kept)
    cases = LazyCases(data, config, kept)
    package = write(run / "package", describe(config, cases, shaped=shaped_by(run)), config, weights, {})
    rows = score_cases(package, config, cases, LazyCases(data, config, tested))
    rows = [{"fold": number, **row} for row in rows]
    write_text(done, json.dumps(rows, indent=2) + "\n")
    return rows


def summarise(rows: list[dict[str, Any]], config: Config, split: Path | None = None) -> dict[str, Any]:
    """What goes into a package's `scores.cross_validation`: settings, one row a patient, summary."""
    lower, upper = config.target.value_range
    return {
        "config_sha256": config.digest(),
        "folds": config.folds,
        **({} if split is None else {"split": split.name, "split_sha256": sha256_of(split)}),
        "data_range": upper - lower,
        "mask": "source's field of view where the registered target has voxels; background outside in every image",
        "reference": "target registered to the source, normalised per volume inside the mask",
        "interval": "95 % Student t over patients, paired differences",
        "cases": sorted(rows, key=lambda row: str(row["case"])),
        **evaluation.summarise(rows),
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training_tools.crossval", description="Cross-validate a configuration."
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder written by training_tools.prepare")
    parser.add_argument("--split", type=Path, help="file written by training_tools.splits --folds N")
    parser.add_argument("--alike", type=float, help="without a split: see training_tools.splits")
    parser.add_argument("--only", type=int, nargs="+", help="folds to run now (0-based), for several processes")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    config = read_config(options.config)
    require_pairs(options.data, "A cross-validation")
    if wrong := [number for number in options.only or () if not 0 <= number < config.folds]:
        raise InputError(f"There is no fold {wrong[0]}: the {config.folds} folds count from 0.")
    tests = drawn(config, options.data, options.split)
    if options.split is None:
        leaks.check_sides(options.data, {f"fold {number}": cases for number, cases in enumerate(tests)}, options.alike)
    make_folder(options.output)
    for number in options.only if options.only is not None else range(config.folds):
        run_fold(config, options.data, options.output, number, tests)
    if all((options.output / f"fold-{number}.json").exists() for number in range(config.folds)):
        found = [run_fold(config, options.data, options.output, number, tests) for number in range(config.folds)]
        result = summarise([row for rows in found for row in rows], config, options.split)
        write_text(options.output / "scores.json", json.dumps(result, indent=2) + "\n")
        print(json.dumps({"n": result["n"], "differences": result["differences"]}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
