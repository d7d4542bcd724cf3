"""What an atlas is made from: a finished evaluation, a cell of a benchmark, or a benchmark's folder with all its folds.

An evaluation holds numbers, not images. Here is found which method they belong to, where its model or images lie, how
its targets were normalised, and where the cases are; anything that does not fit together is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imagetranslation.errors import InputError, ModelRefused

from ..benchmarking.cells import Plan, read_plan
from ..config import Config
from ..dataset import all_simulated, manifest
from ..evaluate import REFERENCES
from ..evaluating.measures import MEASURES
from ..evaluating.writing import read_scores

Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Part:
    """Cases that one model, or one folder of images, was tested on. weights: SHA-256 that was scored, "" if unknown."""

    config: Config
    tested: tuple[str, ...]
    place: Path
    weights: str


@dataclass(frozen=True)
class Evaluated:
    """One method of an evaluation. scores: case to measure, references: floors and ceilings likewise, by name.

    patients: of the tested cases. simulated: whether the cases come from a simulator.
    """

    method: str
    task: str
    data: Path
    parts: tuple[Part, ...]
    scores: Scores
    references: Mapping[str, Scores]
    patients: Mapping[str, str]
    simulated: bool


@dataclass(frozen=True)
class _Asked:
    """What the command was told: method, data and the place of the model or images, each where it was given."""

    method: str
    data: Path | None
    model: Path | None
    by: str


def read(
    folder: Path, task: str, *, method: str = "", data: Path | None = None, model: Path | None = None, by: str = "mae"
) -> Evaluated:
    """Read an evaluation's folder, a benchmark's cell or a benchmark.

    method: which one; by default the best in the measure `by`. data: the prepared cases, where the folder does not tell
    them. model: the package or images, where they no longer lie where they did. InputError, one sentence, for
    anything that is missing or does not fit.
    """
    asked = _Asked(method, data, model, by)
    if by not in MEASURES:
        raise InputError(f"There is no measure {by!r}; there are {', '.join(MEASURES)}.")
    if (folder / "plan.json").is_file():
        found = _benchmark(folder, asked)
    elif (folder / "cell.json").is_file():
        found = _cell(folder, asked)
    elif (folder / "evaluation.json").is_file():
        found = _evaluation(folder, asked)
    else:
        raise InputError(
            f"{folder} holds no evaluation: give a folder with evaluation.json (training_tools.evaluate), cell.json or "
            "plan.json (training_tools.benchmark)."
        )
    if found.task != task:
        raise InputError(f"{folder} is of the task {found.task}, not {task}.")
    return found


def _benchmark(folder: Path, asked: _Asked) -> Evaluated:
    plan = read_plan(folder)
    done: dict[str, list[Path]] = {}
    for name, fold in plan.cells():
        if (plan.folder(name, fold) / "cell.json").is_file():
            done.setdefault(name, []).append(plan.folder(name, fold))
    if not done:
        raise InputError(f"No network of {folder} has been run yet.")
    # A network that lacks folds was tested on other patients: it is taken only if it is asked for.
    complete = {name: cells for name, cells in done.items() if len(cells) == plan.preset.folds} or done
    gathered = {name: _joined(cells) for name, cells in complete.items()}
    name = asked.method or _best({name: found[0][name] for name, found in gathered.items()}, asked.by, folder)
    if name not in done:
        raise InputError(f"{folder} holds no finished network {name!r}; there are {', '.join(done)}.")
    scores, patients = gathered[name] if name in gathered else _joined(done[name])
    if asked.model is not None:
        raise InputError("A benchmark holds its models itself; leave --model out.")
    parts = tuple(_cell_part(cell) for cell in done[name])
    return _made(name, plan.task, asked.data or plan.data, parts, scores, patients)


def _joined(cells: Sequence[Path]) -> tuple[dict[str, Scores], dict[str, str]]:
    """Scores of all folds: method to case to measure, and patients."""
    scores: dict[str, Any] = {}
    patients: dict[str, str] = {}
    for cell in cells:
        found, owners = read_scores(cell / "scores.csv")
        patients.update(owners)
        for method, cases in found.items():
            scores.setdefault(method, {}).update(cases)
    return scores, patients


def _cell(folder: Path, asked: _Asked) -> Evaluated:
    plan = _plan_above(folder)
    record = _json(folder / "cell.json")
    name = str(record.get("network", ""))
    if asked.method not in ("", name):
        raise InputError(f"{folder} is a cell of {name}, not of {asked.method}.")
    data = asked.data or (None if plan is None else plan.data)
    if data is None:
        raise InputError(f"{folder} does not tell where the prepared cases lie; give them with --data.")
    scores, patients = read_scores(folder / "scores.csv")
    part = _cell_part(folder)
    return _made(name, part.config.task, data, (part,), scores, patients)


def _plan_above(cell: Path) -> Plan | None:
    output = cell.resolve().parent.parent
    return read_plan(output) if (output / "plan.json").is_file() else None


def _cell_part(cell: Path) -> Part:
    record, package = _json(cell / "cell.json"), cell / "package"
    training = _json(package / "model.json").get("training", {})
    tested = record.get("tested")
    if not isinstance(tested, list) or not isinstance(training, dict):
        raise InputError(f"{cell} is no finished cell of a benchmark.")
    weights = str(record.get("weights_sha256", ""))
    return Part(_config(training.get("config"), cell), tuple(map(str, tested)), package, weights)


def _evaluation(folder: Path, asked: _Asked) -> Evaluated:
    settings = _json(folder / "evaluation.json").get("settings")
    if not isinstance(settings, dict) or not isinstance(settings.get("methods"), dict):
        raise InputError(f"{folder / 'evaluation.json'} is no record of training_tools.evaluate.")
    scores, patients = read_scores(folder / "scores.csv")
    methods = {name: place for name, place in settings["methods"].items() if name in scores}
    name = asked.method or _best({method: scores[method] for method in methods}, asked.by, folder)
    if name not in methods:
        raise InputError(f"{folder} holds no method {name!r}; there are {', '.join(methods) or 'none'}.")
    place = asked.model or Path(str(methods[name]))
    if not place.is_dir():
        raise InputError(f"{name} no longer lies at {place}; say with --model where its model or its images are.")
    weights = (settings.get("weights") or {}).get(name, "")
    config = _config(settings.get("config"), folder)
    data = asked.data or (Path(str(settings["data"])) if settings.get("data") else None)
    if data is None:
        raise InputError(f"{folder} does not tell where the prepared cases lie; give them with --data.")
    part = Part(config, tuple(scores[name]), place, str(weights))
    return _made(name, config.task, data, (part,), scores, patients)


def _best(scores: Mapping[str, Scores], by: str, folder: Path) -> str:
    """The method with the best mean of a measure."""
    sign = 1 if MEASURES[by].better == "higher" else -1
    means = {}
    for name, cases in scores.items():
        values = [case[by] for case in cases.values() if by in case]
        if values:
            means[name] = sign * sum(values) / len(values)
    if not means:
        raise InputError(f"No method of {folder} has {by}.")
    return max(means, key=lambda name: means[name])


def _made(
    name: str,
    task: str,
    data: Path,
    parts: tuple[Part, ...],
    scores: Mapping[str, Scores],
    patients: Mapping[str, str],
) -> Evaluated:
    if name not in scores:
        raise InputError(f"The scores hold no method {name!r}.")
    about = manifest(data)
    known = {str(record["case"]) for record in about["cases"]}
    tested = {case for part in parts for case in part.tested}
    if strange := sorted((tested | set(scores[name])) - known):
        raise InputError(f"{data} does not hold {strange[0]}, which was tested: these are other data.")
    if unscored := sorted(tested ^ set(scores[name])):
        raise InputError(f"{unscored[0]} is tested but not scored, or scored but not tested; evaluate again.")
    references = {floor: scores[floor] for floor in REFERENCES if floor in scores}
    return Evaluated(name, task, data, parts, scores[name], references, dict(patients), all_simulated(data))


def _config(record: Any, where: Path) -> Config:
    try:
        return Config.model_validate(record)
    except (ValidationError, InputError, ModelRefused) as error:
        raise InputError(
            f"{where} was made with a configuration that this version cannot read; run it again."
        ) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read; run again what wrote it.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} must hold one JSON object.")
    return found
