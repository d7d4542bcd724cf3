"""Training a network on prepared pairs: `python -m training_tools.train --config CONFIG --data PREPARED -o RUN`.

A run folder holds `config.json` (resolved, with the cases, hashes of their images and versions), `log.csv`,
`checkpoint/`, with validation `validation.csv` and `best.safetensors`, and, when done, `generator.safetensors` (the
moving average of the generator's weights, the best one where there is validation) and `result.json`. A run stopped at
any moment and started again with the same command goes on from its last checkpoint and, on the CPU, ends with the same
weights as one that was never stopped. Turning a run into a model package is `export`'s work.

Several devices: `--devices N`, or `torchrun --nproc_per_node N -m training_tools.train ...`, or `srun`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.rank_zero import rank_zero_only

from imagetranslation import __version__
from imagetranslation.errors import Cancelled, InputError, RunFailed
from imagetranslation.files import atomic_path, make_folder, write_text

from . import checkpoint, leaks
from .config import Config, read_config, stored_config
from .console import run as run_command
from .dataset import BOTH, case_names, patients, sides
from .splits import read_split
from .training import validation
from .training.cache import Stored, fingerprints, open_cases, require_organs
from .training.fitting import require_fit
from .training.loop import Loop
from .training.precision import Hardware, make_fabric, settled
from .training.reporting import Log, Progress, TensorBoard
from .training.sampling import Process, Sampler, require_sides, seeded
from .training.sheets import write_sheet
from .training.state import State
from .training.stopping import Stop

WEIGHTS, BEST = "generator.safetensors", "best.safetensors"


def train(
    config: Config,
    data: Path,
    run: Path,
    cases: Sequence[str] | None = None,
    *,
    validated: Sequence[str] | None = None,
    stop_after: int | None = None,
    hardware: Hardware | None = None,
    cache: Path | None = None,
) -> Path:
    """Train on the named cases (all but the held-out ones by default); returns the final weights' path.

    validated: cases for validation instead of those that the configuration names or takes from `cases`. stop_after:
    end after this many steps in all, with a checkpoint (for runs in pieces). cache: folder of prepared arrays, `cache`
    in the data by default. Raises InputError for a run folder of another configuration or of other data, settings that
    do not go together or an empty training set, RunFailed when a loss stops being a number, memory or disk run out,
    Cancelled (after a checkpoint) on Ctrl-C or SIGTERM.
    """
    owners = patients(data)
    names = _not_held_out(case_names(data), config, owners) if cases is None else list(cases)
    learnt, watched = divide(names, config, validated, owners)
    known = sides(data)
    require_sides([known.get(name, BOTH) for name in learnt], learnt, config, [owners[name] for name in learnt])
    # A translation can be judged beside its own target only.
    if watched and not (watched := [name for name in watched if known.get(name, BOTH) == BOTH]):
        raise InputError("No case to validate on is a pair; set validation.every to 0.")
    require_fit(config)
    require_encoder_of(config, [*learnt, *watched])
    prints = fingerprints(data, [*learnt, *watched], config.sampling.region)
    fabric = make_fabric(config.precision, hardware)
    if fabric.global_rank == 0:
        if (run / "config.json").exists():
            claim(run, config, learnt, data, watched, prints)
        checked = open_cases(data, config, prints, cache)
        if config.sampling.region == "organ":
            require_organs(checked[: len(learnt)])
        claim(run, config, learnt, data, watched, prints)  # last: cases that cannot be used leave no run behind
    fabric.barrier()
    stored = open_cases(data, config, prints, cache, build=False)
    task = Run(config, run, fabric, stored[: len(learnt)], stored[len(learnt) :])
    with settled(fabric.device, config.threads):
        return task.go(min(config.steps, stop_after or config.steps))


@dataclass
class Run:
    """One run in its folder. cases: trained on; watched: validated on, may be empty."""

    config: Config
    folder: Path
    fabric: Fabric
    cases: list[Stored]
    watched: list[Stored]

    def go(self, last: int) -> Path:
        """Train up to step `last`; see `train`."""
        sampler = Sampler(self.cases, self.config, Process(self.fabric.global_rank, self.fabric.world_size))
        self.state = state = State(self.config, self.fabric, self.cases)
        first = state.resume(self.folder / "checkpoint")
        self._first = self.fabric.global_rank == 0
        spent = {"seconds": time.monotonic, "processor_seconds": time.process_time}
        began = {name: now() - float(state.history.get(name, 0.0)) for name, now in spent.items()}
        loop = Loop(state, sampler)
        if first < last and not state.history.get("ended"):
            with self._reports(first, last), Stop(self.fabric) as stop, closing(loop.rows(last)) as steps:
                for rows in steps:
                    self._tell(rows)
                    state.history.update({name: round(now() - began[name], 3) for name, now in spent.items()})
                    ended = self._look(loop)
                    asked = stop.asked()
                    if ended or asked or state.step == last or state.step % self.config.checkpoint_every == 0:
                        self._save(loop)
                    if asked and state.step < last:
                        raise Cancelled(
                            f"Stopped at step {state.step}; the checkpoint is kept. Start the same command to go on."
                        )
                    if ended:
                        break
        path = self.folder / WEIGHTS
        if self._first and (state.step >= self.config.steps or state.history.get("ended")):
            self._finish(path)
        self.fabric.barrier()
        return path

    def _reports(self, first: int, last: int) -> ExitStack:
        stack = ExitStack()
        if self._first:
            self.log = stack.enter_context(Log(self.folder / "log.csv", first))
            self.validations = Log(self.folder / "validation.csv", first) if self.watched else None
            if self.validations is not None:
                stack.enter_context(self.validations)
            wanted = self.config.reporting.tensorboard
            self.board = stack.enter_context(TensorBoard(self.folder / "tensorboard", wanted, first))
            self.progress = Progress(first, last)
        return stack

    def _tell(self, rows: list[dict[str, float]]) -> None:
        for row in rows if self._first else []:
            self.log.write(row)
            self.board.write(row, "training")
            self.progress.show(row)

    def _look(self, loop: Loop) -> bool:
        """Validation and sample sheets, where this step has any; returns whether the run has ended early."""
        state, config = self.state, self.config
        every, sheets = config.validation.every, config.reporting.sheet_every
        due = bool(self.watched and every) and (state.step % every == 0 or state.step == config.steps)
        drawn = bool(sheets) and state.step % sheets == 0
        if not due and not drawn:
            return False
        self._tell(loop.finished())
        network, device = state.average.module(), self.fabric.device

        def look() -> dict[str, float]:
            if drawn:
                shown = [case for case in self.watched or self.cases if case.side != "target"]
                shown = shown[: config.reporting.sheet_cases]
                write_sheet(self.folder / "sheets", state.step, shown, network, config, device)
            return validation.validate(self.watched, network, config, device) if due else {}

        # Every process has the same weights; the first one's numbers are everyone's.
        found = self._of_first(loop, look)
        if not due:
            return False
        if validation.judge(state.history, state.step, found, config) and self._first:
            checkpoint.save_weights(network, self.folder / BEST)
        if self._first and self.validations is not None:
            row = {"step": float(state.step), **found}
            self.validations.write(row)
            self.validations.flush()
            self.board.write(row, "validation")
        return bool(state.history["ended"])

    def _of_first(self, loop: Loop, work: Callable[[], dict[str, float]]) -> dict[str, float]:
        """What the first process finds; its failure ends all of them, which would otherwise wait for it."""
        found: dict[str, float] = {}
        if self._first:
            try:
                with loop.explaining("looking at the results after"):
                    found = work()
            except Exception as error:
                self.fabric.broadcast(({}, f"The first process failed: {error}"))
                raise
        found, fault = self.fabric.broadcast((found, ""))
        if fault:
            raise RunFailed(fault)
        return found

    def _save(self, loop: Loop) -> None:
        self._tell(loop.finished())
        if self._first:
            self.log.flush()
            self.state.save(self.folder / "checkpoint")
        self.fabric.barrier()

    def _finish(self, path: Path) -> None:
        state = self.state
        if self.watched:
            with atomic_path(path) as temporary:
                shutil.copyfile(self.folder / BEST, temporary)
        else:
            checkpoint.save_weights(state.average.module(), path)
        device = self.fabric.device
        memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        result = {
            "steps": state.step,
            "samples": state.step * self.config.batch_size,
            # On the clock, and of the first process on all its threads together; a resumed run adds them up.
            "seconds": float(state.history.get("seconds", 0.0)),
            "processor_seconds": float(state.history.get("processor_seconds", 0.0)),
            "ended_early": bool(state.history.get("ended", False)),
            "best": {key: state.history[key] for key in ("best", "best_step") if key in state.history},
            "metric": self.config.validation.metric if self.watched else None,
            "processes": self.fabric.world_size,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "peak_device_memory_bytes": memory,
        }
        write_text(self.folder / "result.json", json.dumps(result, indent=2) + "\n")


def divide(
    names: Sequence[str],
    config: Config,
    validated: Sequence[str] | None = None,
    patients: Mapping[str, str] | None = None,
) -> tuple[list[str], list[str]]:
    """Cases to train on and cases to validate on, each in the order of `names`; no patient has cases in both.

    The configuration's share is drawn over patients by its seed. patients: of each case; its own name by default.
    InputError where a named case is not there, none is left, or a patient would be cut in two.
    """
    settings = config.validation
    of = {name: (patients or {}).get(name, name) for name in (*names, *(validated or ()))}
    chosen = set(settings.cases if validated is None else validated)
    if validated is None and settings.share:
        everyone = sorted({of[name] for name in names}, key=lambda who: seeded(config.seed, "validation", who))
        watched = set(everyone[: max(1, round(settings.share * len(everyone)))])
        chosen = {name for name in names if of[name] in watched}
    if validated is None and (unknown := sorted(chosen - set(names))):
        raise InputError(f"validation names cases that are not to be trained on: {', '.join(unknown)}.")
    learnt = [name for name in names if name not in chosen]
    if not learnt:
        raise InputError("No case is left to train on.")
    if shared := sorted({of[name] for name in learnt} & {of[name] for name in chosen}):
        raise InputError(f"{shared[0]} has cases to train on and cases to validate on; put all of them on one side.")
    return learnt, sorted(chosen) if config.validation.every else []


def _not_held_out(names: list[str], config: Config, owners: Mapping[str, str]) -> list[str]:
    """All cases but the held-out ones; InputError for a held-out name the data don't have, which may be misspelt, and
    for a patient some of whose cases are held out.
    """
    if unknown := sorted(set(config.held_out) - set(names)):
        raise InputError(
            f"held_out names cases that are not in the data: {', '.join(unknown)}. Mend the names, or take them out of "
            "the configuration."
        )
    kept = [name for name in names if name not in config.held_out]
    if shared := sorted({owners[name] for name in kept} & {owners[name] for name in config.held_out}):
        raise InputError(f"Some cases of {shared[0]} are held out and others are not; name all of them in held_out.")
    return kept


def check_drawn(
    config: Config, data: Path, cases: Sequence[str] | None, validated: Sequence[str] | None, alike: float | None
) -> None:
    """The leak check between the sides that no split's file holds: trained on, validated on, held out; see `train`."""
    owners = patients(data)
    names = _not_held_out(case_names(data), config, owners) if cases is None else list(cases)
    learnt, watched = divide(names, config, validated, owners)
    if validated is None:
        kept = config.held_out if cases is None else ()
        leaks.check_sides(data, {"training": learnt, "validation": watched, "held out": kept}, alike)


def require_encoder_of(config: Config, cases: Sequence[str]) -> None:
    """InputError where the objective's encoder learnt on cases that are not trained or validated on."""
    from . import encoder as encoders

    if "encoder" in config.objective:
        encoders.load(config.objective["encoder"], trained=cases)


def shaped_by(run: Path) -> dict[str, Any]:
    """What besides its training cases shaped a run's weights, for `training` of a package.

    validated: the cases that its best weights were chosen on; encoder: SHA-256 and cases of the one in its loss. Each
    is left out where there is none.
    """
    record = _record(run / "config.json")
    found = {"validated": list(record.get("validated", [])), "encoder": record.get("encoder") or _encoder_of(record)}
    return {name: value for name, value in found.items() if value}


def _encoder_of(record: Mapping[str, Any]) -> dict[str, Any]:
    from . import encoder as encoders

    folder = record.get("config", {}).get("objective", {}).get("encoder")
    return encoders.origin(folder) if folder else {}


def claim(
    run: Path,
    config: Config,
    names: Sequence[str],
    data: Path,
    watched: Sequence[str] = (),
    prints: dict[str, str] | None = None,
) -> None:
    """Store the resolved configuration and what it is trained on in the run folder, or check that it is there already.

    prints: hashes of the cases' images, found in `data` where not given. The card's words are left out: they change
    nothing about the weights and are added by `export`. InputError where another run is there, or the data changed.
    """
    record: dict[str, Any] = {
        "config": config.model_dump(mode="json", exclude={"card", "origins"}),
        "cases": list(names),
        "validated": list(watched),
    }
    prints = fingerprints(data, [*names, *watched], config.sampling.region) if prints is None else prints
    encoder = _encoder_of(record)
    path = make_folder(run) / "config.json"
    if path.exists():
        stored = _record(path)
        if {**{key: stored.get(key) for key in record}, "config": _as_now(stored)} != record:
            raise InputError(f"{run} holds a run of another configuration or other cases; choose an empty folder.")
        _require_same(run, stored, prints)
        if stored.get("encoder", encoder) != encoder:
            raise InputError(
                f"{run} was begun with another encoder of features; bring it back, or choose a new folder."
            )
        return
    software = {"imagetranslation": __version__, "torch": torch.__version__}
    whole = {
        **record,
        **({"encoder": encoder} if encoder else {}),
        "data": prints,
        "origins": config.origins,
        "software": software,
    }
    write_text(path, json.dumps(whole, indent=2) + "\n")


def _as_now(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration as this version writes it; empty where there is none that it takes."""
    try:
        told = stored_config(stored["config"])
    except (ValueError, KeyError, TypeError):
        return {}
    return told.model_dump(mode="json", exclude={"card", "origins"})


def require_unchanged_data(run: Path, data: Path) -> None:
    """InputError where the images of a run's patients are not those it was trained on."""
    stored = _record(run / "config.json")
    names = [*stored.get("cases", []), *stored.get("validated", [])]
    region = stored.get("config", {}).get("sampling", {}).get("region", "lesion")
    _require_same(run, stored, fingerprints(data, names, region))


def _require_same(run: Path, stored: dict[str, Any], prints: dict[str, str]) -> None:
    known = stored.get("data", {})
    if changed := sorted(name for name, print_ in prints.items() if known.get(name) != print_):
        raise InputError(
            f"The images of {', '.join(changed[:5])}{' and others' if len(changed) > 5 else ''} have changed since "
            f"{run} was begun; choose an empty folder, or bring the old images back."
        )


def _record(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}; choose an empty folder for the run.") from error


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.train", description="Train a network.")
    parser.add_argument("--config", type=Path, required=True, help="JSON, see training_tools/configs")
    parser.add_argument("--data", type=Path, required=True, help="folder written by training_tools.prepare")
    parser.add_argument("-o", "--output", type=Path, required=True, help="run folder; an unfinished run is resumed")
    parser.add_argument("--split", type=Path, help="file written by training_tools.splits; its training cases are used")
    parser.add_argument("--fold", type=int, help="of a cross-validation's split")
    parser.add_argument("--alike", type=float, help="without a split: see training_tools.splits")
    parser.add_argument("--accelerator", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument("--devices", type=int, default=1, help="of this machine; torchrun and srun say it themselves")
    parser.add_argument("--nodes", type=int, default=1, help="machines")
    parser.add_argument("--cache", type=Path, help="folder for prepared arrays (default: cache in the data)")
    options = parser.parse_args(arguments)
    hardware = Hardware(options.accelerator, options.devices, options.nodes)
    config = read_config(options.config)
    cases, validated, split = None, None, None
    if options.split is not None:
        split = read_split(options.split, options.data)
        leaks.check(options.data, split)
        cases, validation_cases, _ = split.train_and_test(options.fold)
        validated = validation_cases or None
        if kept := sorted(set(config.held_out) & {*cases, *validation_cases}):
            raise InputError(
                f"{options.split} trains on {kept[0]}, which {options.config} holds out: take held_out out of the "
                "configuration, since the split says what is tested, or draw another split."
            )
    check_drawn(config, options.data, cases, validated, options.alike if split is None else split.settings.get("alike"))
    path = train(
        config, options.data, options.output, cases, validated=validated, hardware=hardware, cache=options.cache
    )
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        print(json.dumps({"weights": str(path)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
