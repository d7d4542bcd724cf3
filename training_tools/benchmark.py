"""All networks trained and compared on the same patients, and the page that says how they did.

    python -m training_tools.benchmark --task us2mri --data PREPARED --preset quick -o OUT

Stopped at any moment and started again with the same command, it goes on; finished cells (a network on a fold) are
kept. Every cell is a process of its own. On a cluster: `--cells` lists them, `--cell N` (by default
$SLURM_ARRAY_TASK_ID) runs one, `--scheduler ADDRESS` spreads them over a Dask cluster that sees the folder, `--page`
writes the page from what is done. Written: `OUT/index.html`, `leaderboard.csv`, `summary.csv`, `scores.csv`, and a
folder for each cell.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from imagetranslation.cohorts.lock import CohortLock
from imagetranslation.errors import Cancelled, InputError, RunFailed
from imagetranslation.files import make_folder, write_text

from . import leaks
from .benchmarking import cells, costs
from .benchmarking.cells import Plan, read_plan
from .benchmarking.entries import TASKS, preset
from .benchmarking.gathering import Gathered, gather
from .benchmarking.page import page
from .console import run as run_command
from .console import terminated_as_interrupted
from .dataset import require_pairs
from .evaluating import comparing, writing
from .splits import Split, make_split, one_sided, write_split

# What a cell takes beside its training: budget, packaging, scoring. Replaced by what finished cells took.
OVERHEAD_SECONDS = 40.0


def start(plan: Plan, stratify: Sequence[str] = (), alike: float | None = None) -> None:
    """Write the plan, the split and the folds' encoders, or check that the folder holds this very benchmark."""
    record = {
        "task": plan.task, "data": str(plan.data.resolve()), "preset": plan.preset.name,
        "seconds": plan.preset.seconds, "threads": plan.threads, "seed": plan.seed,
    }  # fmt: skip
    require_pairs(plan.data, "The benchmark")
    path = make_folder(plan.output) / "plan.json"
    if path.exists():
        _require_same(path, record)
    else:
        write_text(path, json.dumps(record, indent=2) + "\n")
    if (plan.output / "splits.json").exists():
        split = plan.split()
        _require_drawn_so(plan, split, {"stratify": list(stratify), "alike": alike})
    else:
        split = make_split(plan.data, folds=plan.preset.split_folds, seed=plan.seed, stratify=stratify, alike=alike)
        leaks.check(plan.data, split)
        write_split(split, plan.output / "splits.json")
    for remark in one_sided(split):
        _say(f"warning: {remark}")
    for fold in range(plan.preset.folds):
        cells.make_encoders(plan, fold)


def _require_same(path: Path, record: dict[str, Any]) -> None:
    stored = json.loads(path.read_text(encoding="utf-8"))
    if differing := [key for key, value in record.items() if key in stored and stored[key] != value]:
        key = differing[0]
        raise InputError(
            f"{path.parent} holds another benchmark: its {key} is {stored[key]}, not {record[key]}; choose an empty "
            "folder, or go on with the old settings."
        )


def _require_drawn_so(plan: Plan, split: Split, asked: dict[str, Any]) -> None:
    """InputError where the folder's split was drawn with other settings than are given now, of those that are."""
    for name, value in asked.items():
        if value and split.settings.get(name) != value:
            raise InputError(
                f"{plan.output / 'splits.json'} was drawn with {name} {split.settings.get(name) or 'not given'}, not "
                f"{value}; choose an empty folder, or leave --{name} as it was."
            )


def remaining(plan: Plan, only: Sequence[str] = ()) -> list[int]:
    """Numbers of the cells that are not done."""
    found = plan.cells()
    if unknown := sorted(set(only) - {name for name, _ in found}):
        raise InputError(f"{unknown[0]} is no network that {plan.task} can run; see --cells.")
    return [
        number for number, (name, fold) in enumerate(found)
        if (not only or name in only) and cells.state_of(plan, name, fold)[0] != "done"
    ]  # fmt: skip


def run_all(plan: Plan, numbers: Sequence[int], watts: float) -> None:
    """Run cells one after another, each in its own process; a failure is written down and the others go on.

    Cancelled on Ctrl-C and SIGTERM, once the cell under way has written its checkpoint.
    """
    took = [plan.preset.seconds + OVERHEAD_SECONDS]
    for done, number in enumerate(numbers):
        name, fold = plan.cells()[number]
        left = costs.estimate([mean(took)] * (len(numbers) - done), 1, watts)
        _say(f"{name}, fold {fold}: {done + 1} of {len(numbers)}; about {60 * left['hours']:.0f} minutes left.")
        began = time.monotonic()
        try:
            with terminated_as_interrupted():
                run_apart(plan.output, number)
        except KeyboardInterrupt as error:
            raise Cancelled("Stopped; what is done is kept. Start the same command to go on.") from error
        if done == 0:
            took.clear()
        took.append(time.monotonic() - began)


def run_apart(output: Path, number: int) -> None:
    """Run one cell in a process of its own; what went wrong is left in its folder."""
    plan = read_plan(output)
    folder = make_folder(plan.folder(*plan.cells()[number]))
    (folder / "error.txt").unlink(missing_ok=True)
    command = [sys.executable, "-m", "training_tools.benchmark", "-o", str(output), "--cell", str(number)]
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        # In a session of its own: Ctrl-C reaches this process alone, which asks the cell for a checkpoint.
        process = subprocess.Popen(
            [*command, "--parent", str(os.getpid())], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code and not (folder / "error.txt").exists():
        write_text(folder / "error.txt", f"its process ended with code {code}; see log.txt in the cell's folder\n")
    if code:
        _say(f"  failed: {(folder / 'error.txt').read_text(encoding='utf-8').strip()}")


def run_one(plan: Plan, number: int) -> None:
    """Run a cell in this process; what went wrong is left in its folder, too. InputError where another process runs it.

    Raises what training and scoring raise.
    """
    if not 0 <= number < len(plan.cells()):
        raise InputError(f"There is no cell {number}: the {len(plan.cells())} cells count from 0.")
    name, fold = plan.cells()[number]
    folder = make_folder(plan.folder(name, fold))
    with CohortLock(folder, "cell.lock"):
        try:
            cells.run_cell(plan, name, fold)
        except Cancelled:
            raise
        except Exception as error:
            write_text(folder / "error.txt", f"{error or type(error).__name__}\n")
            raise


def _end_with(parent: int) -> None:
    """Ask this process to stop once its parent is gone, so that nobody runs a cell twice."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def run_on_cluster(plan: Plan, numbers: Sequence[int], scheduler: str) -> None:
    """Run cells on a Dask cluster, one at a time on each of its workers; these must have one thread each."""
    from dask.distributed import Client

    try:
        client = Client(scheduler, timeout=20)
    except OSError as error:
        raise RunFailed(
            f"The Dask scheduler {scheduler} does not answer; start it, or leave --scheduler out."
        ) from error
    with client:
        if several := [address for address, threads in client.nthreads().items() if threads > 1]:
            raise InputError(f"The Dask worker {several[0]} runs several cells at once; start it with --nthreads 1.")
        calls = [client.submit(run_apart, plan.output.resolve(), number, pure=False) for number in numbers]
        client.gather(calls, errors="skip")  # the page says which cells are missing


def write_page(plan: Plan) -> Gathered:
    """Write page and tables from what is done."""
    gathered = gather(plan)
    rows: list[dict[str, Any]] = comparing.as_rows(gathered.tables)
    writing.write_rows(rows, plan.output / "summary.csv")
    writing.write_scores(gathered.scores, gathered.patients, plan.output / "scores.csv")
    writing.write_rows(_leaderboard(gathered), plan.output / "leaderboard.csv")
    write_text(plan.output / "index.html", page(gathered))
    return gathered


def _leaderboard(gathered: Gathered) -> list[dict[str, Any]]:
    tables = {table.measure: {s.method: s for s in table.summaries} for table in gathered.tables}
    keys = (
        "parameters", "steps", "training_seconds", "training_processor_seconds", "inference_seconds",
        "peak_memory_bytes",
    )  # fmt: skip
    found = []
    for row in gathered.rows:
        line: dict[str, Any] = {"network": row.name, "state": row.state, "grid": row.grid}
        line["chosen_on_tested_cases"] = row.chosen_on
        for measure, summaries in tables.items():
            summary = summaries.get(row.name)
            line[measure] = None if summary is None else summary.mean
            line[f"{measure}_sd"] = None if summary is None else summary.sd
        found.append({**line, **{key: row.costs.get(key) for key in keys}})
    return found


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _estimate(plan: Plan, numbers: Sequence[int], watts: float) -> None:
    each = plan.preset.seconds + OVERHEAD_SECONDS
    found = costs.estimate([each] * len(numbers), 1, watts)
    _say(
        f"{len(numbers)} of {len(plan.cells())} cells are to be run: about {found['hours']:.1f} hours one after "
        f"another on a machine that does nothing else, and {found['kilowatt_hours']:.2f} kWh at {watts:g} W."
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("--task", choices=TASKS)
    parser.add_argument("--data", type=Path, help="folder written by training_tools.prepare, or by `phantom`")
    parser.add_argument(
        "--preset", default="quick", help="quick, standard (for a processor) or full (published sizes, for a GPU)"
    )
    parser.add_argument("--seconds", type=float, help="of training a network and fold; on a CPU each thread's work")
    parser.add_argument("--only", nargs="+", default=(), metavar="NETWORK", help="run these networks now")
    parser.add_argument("--stratify", nargs="+", default=(), metavar="FACT", help="spread over the folds: site, group")
    parser.add_argument("--alike", type=float, help="see training_tools.splits")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch, for each network")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--watts", type=float, default=costs.CPU_WATTS, help="of the machine, for the energy estimate")
    parser.add_argument("--cells", action="store_true", help="list the cells and end")
    parser.add_argument("--cell", type=int, default=None, help="run one cell of a started benchmark and end")
    parser.add_argument("--scheduler", default="", help="address of a Dask scheduler")
    parser.add_argument("--page", action="store_true", help="write the page from what is done and end")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--parent", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.parent is not None:
        _end_with(options.parent)
    task_id = os.environ.get("SLURM_ARRAY_TASK_ID") if options.task is None and not options.page else None
    if options.cell is not None or task_id is not None:
        run_one(read_plan(options.output), int(task_id or 0) if options.cell is None else options.cell)
        return 0
    if options.page:
        gathered = write_page(read_plan(options.output))
    else:
        plan = _plan(options)
        start(plan, options.stratify, options.alike)
        if options.cells:
            print("\n".join(f"{n}: {name}, fold {fold}" for n, (name, fold) in enumerate(plan.cells())))
            return 0
        numbers = remaining(plan, options.only)
        _estimate(plan, numbers, options.watts)
        if options.scheduler:
            run_on_cluster(plan, numbers, options.scheduler)
        else:
            run_all(plan, numbers, options.watts)
        gathered = write_page(plan)
    states = [row.state for row in gathered.rows]
    print(json.dumps({"page": str(options.output / "index.html"), "done": states.count("done"), "rows": len(states)}))
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    if options.task is None or options.data is None:
        raise InputError("Give --task and --data, or --page or --cell for a benchmark that was started.")
    chosen = preset(options.task, options.preset)
    if options.seconds is not None:
        if not options.seconds > 0:
            raise InputError("--seconds must be above 0.")
        chosen = replace(chosen, seconds=options.seconds)
    return Plan(options.task, options.data, chosen, options.output, options.threads, options.seed)


if __name__ == "__main__":
    raise SystemExit(run_command(main))
