"""`python -m Testing.Benchmarks [--rows a,b]`: run benchmarks, print their rows, keep them beside this file.

A slow result is a result: the exit code is 0 also where a goal is missed. 2: an unknown row was asked for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from .results import NotMeasured, Row, machine, merge, readable


def run(names: list[str], benchmarks: Mapping[str, Callable[[], list[Row]]], folder: Path) -> int:
    """Run the named benchmarks (all, where none is named) and merge their rows into the files of `folder`."""
    if unknown := [name for name in names if name not in benchmarks]:
        print(f"There is no benchmark called {', '.join(unknown)}; there are {', '.join(benchmarks)}.", file=sys.stderr)
        return 2
    measured_on, rows = machine(), []
    done: set[Callable[[], list[Row]]] = set()
    for name in names or benchmarks:
        if benchmarks[name] in done:  # it measures several rows and stands under each of their names
            continue
        done.add(benchmarks[name])
        print(f"{name} ...", flush=True)
        try:
            rows += benchmarks[name]()
        except NotMeasured as reason:
            print(f"{name} was not measured: {reason}", file=sys.stderr)
    merge(folder, rows, measured_on)
    print(readable([{**row.to_dict(), "machine": measured_on} for row in rows]))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run."""
    from .registry import BENCHMARKS

    parser = argparse.ArgumentParser(prog="python -m Testing.Benchmarks")
    parser.add_argument("--rows", default="", help=f"some of {', '.join(BENCHMARKS)}, with commas between")
    names = [name.strip() for name in parser.parse_args(arguments).rows.split(",") if name.strip()]
    return run(names, BENCHMARKS, Path(__file__).resolve().parent)


if __name__ == "__main__":
    sys.exit(main())
