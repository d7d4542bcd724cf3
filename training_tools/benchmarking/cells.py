"""One cell of a benchmark: one network on one fold, from its budget to its scores; what is done is not done again.

A cell's folder holds `budget.json` (steps for the preset's seconds, measured here), `run/` (training), `package/`,
`scores.csv`, `evaluation/`, `pictures/` and, last, `cell.json` with what it cost. A cell that fails leaves `error.txt`
and is tried again next time. Cells know nothing of each other but what
`sharing` keeps for those of a fold: any machine that sees the folder can run one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.files import make_folder, write_text

from .. import encoder as encoders
from .. import leaks
from ..config import Config, stored_config
from ..dataset import Case, LazyCases
from ..evaluate import evaluate, settings_of, sides
from ..evaluate import write as write_evaluation
from ..evaluating import writing
from ..export import describe, write
from ..splits import Split, read_split
from ..train import require_unchanged_data, shaped_by, train
from . import costs, sharing
from .entries import Preset, configured, entries, preset
from .pictures import write_picture

PICTURED = 2  # tested cases of each fold that are drawn
# Of the encoder that scores: other sizes and another seed than the one that a network's loss may use.
SCORING_CHANNELS = (12, 24, 48, 48)
SCORING_SEED = 1  # added to the plan's


@dataclass(frozen=True)
class Plan:
    """A benchmark's folder and what is run in it; kept there as `plan.json`."""

    task: str
    data: Path
    preset: Preset
    output: Path
    threads: int
    seed: int

    def split(self) -> Split:
        """The split that all cells share."""
        return read_split(self.output / "splits.json", self.data)

    def cells(self) -> list[tuple[str, int]]:
        """(network, fold) of every cell that the task allows, fold by fold."""
        names = [name for name, path in entries(self.task).items() if path is not None]
        return [(name, fold) for fold in range(self.preset.folds) for name in names]

    def folder(self, name: str, fold: int) -> Path:
        """Of a cell."""
        return self.output / name / f"fold-{fold}"

    def encoder(self, fold: int) -> Path:
        """Folder of the encoder of features that losses use on a fold; the whole path, since runs remember it."""
        return self.output.resolve() / "encoders" / f"fold-{fold}"

    def scoring_encoder(self, fold: int) -> Path:
        """Folder of the encoder that networks are scored with on a fold, and that none is trained against."""
        return self.output.resolve() / "encoders" / f"scoring-fold-{fold}"

    def config(self, name: str, fold: int, **settings: Any) -> Config:
        """A network's configuration under the preset."""
        path = entries(self.task).get(name)
        if path is None:
            raise InputError(f"{name} is no network of {self.task}.")
        return configured(path, self.preset, self.encoder(fold), threads=self.threads, seed=self.seed, **settings)


def read_plan(output: Path) -> Plan:
    """The plan of a benchmark's folder; InputError where there is none."""
    try:
        record = json.loads((output / "plan.json").read_text(encoding="utf-8"))
        chosen = preset(record["task"], record["preset"])
        chosen = replace(chosen, seconds=float(record.get("seconds", chosen.seconds)))
        return Plan(record["task"], Path(record["data"]), chosen, output, int(record["threads"]), int(record["seed"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{output} holds no benchmark (plan.json); start one with --task, --data and --preset."
        ) from error


def run_cell(plan: Plan, name: str, fold: int) -> None:
    """Train, package and score one network on one fold; the cell's folder then holds `cell.json`."""
    folder = make_folder(plan.folder(name, fold))
    if (folder / "cell.json").exists():
        return
    split = plan.split()
    leaks.check(plan.data, split)
    seen, tested = sides(split, fold)
    encoder = encoders.load(plan.scoring_encoder(fold), trained=seen)
    budget = _budget(plan, name, fold, seen)
    config = plan.config(name, fold, steps=budget["steps"])
    if "encoder" in config.objective:
        encoders.load(plan.encoder(fold), trained=seen)  # refused where it saw a tested case
    weights = train(config, plan.data, folder / "run", seen)
    about_scans = sharing.scans(plan, split, config, seen)
    shaped = shaped_by(folder / "run")
    about_package = describe(config, LazyCases(plan.data, config, seen), about_scans, shaped=shaped)
    package = write(folder / "package", about_package, config, weights, {})
    timed = _Timed(folder / "package", seen)
    patients = {case: subject.patient for case, subject in split.subjects.items()}
    floors = sharing.floors(plan, split, config, seen)
    result = evaluate(plan.data, config, {name: timed}, seen, tested, patients, encoder=encoder, floors=floors)
    writing.write_scores(result.scores, result.patients, folder / "scores.csv")
    about = settings_of(
        config, plan.output / "splits.json", fold, tested, plan.scoring_encoder(fold), {name: folder / "package"}
    )
    write_evaluation(result, folder / "evaluation", about)
    for case in LazyCases(plan.data, config, sorted(tested)[:PICTURED]):
        write_picture(folder / "pictures", case, timed.images[case.name], config)
    record = {
        "network": name, "fold": fold, "tested": list(tested), "steps": budget["steps"],
        "seconds_a_step": budget["seconds_a_step"], "clock": budget.get("clock", costs.WALL),
        **_training(folder / "run"),
        "inference_seconds": timed.seconds(), "parameters": package.metadata["weights"]["parameters"],
        "peak_memory_bytes": _peak_memory(), "frechet": result.frechet, "machine": costs.machine(),
        "weights_sha256": package.weights_sha256, "scoring_encoder_sha256": _sha256_of(plan.scoring_encoder(fold)),
    }  # fmt: skip
    (folder / "error.txt").unlink(missing_ok=True)
    write_text(folder / "cell.json", json.dumps(record, indent=2) + "\n")


def make_encoders(plan: Plan, fold: int) -> None:
    """Train a fold's two encoders of features on its training cases, unless they are there.

    One is for losses, the other scores: whoever was trained against a measure would be favoured by it.
    """
    kinds = (
        (plan.encoder(fold), plan.seed, encoders.CHANNELS),
        (plan.scoring_encoder(fold), plan.seed + SCORING_SEED, SCORING_CHANNELS),
    )
    for place, seed, channels in kinds:
        if (place / encoders.NAME).exists():
            continue
        seen, _ = sides(plan.split(), fold)
        config = plan.config("2D-Regression", fold, steps=1)
        make_folder(place.parent)
        steps = plan.preset.encoder_steps
        encoders.fit_on(plan.data, config, seen, place, steps=steps, seed=seed, channels=channels)


def about_encoder(place: Path) -> dict[str, Any]:
    """An encoder's record; empty where there is none."""
    try:
        return dict(json.loads((place / encoders.NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def scored_otherwise(plan: Plan, fold: int, record: Mapping[str, Any]) -> bool:
    """Whether a finished cell was scored with another encoder than the fold's."""
    return bool(record.get("scoring_encoder_sha256") != _sha256_of(plan.scoring_encoder(fold)))


def _sha256_of(encoder: Path) -> str:
    return str(about_encoder(encoder).get("sha256"))


def settings_changed(plan: Plan, name: str, fold: int, record: Mapping[str, Any]) -> bool:
    """Whether a finished cell, `record`, was trained with other settings than the preset now gives its network.

    Or on organs' labels that have changed since: the split's own hashes are of the images.
    """
    words = {"card", "origins", "title"}
    try:
        text = (plan.folder(name, fold) / "run" / "config.json").read_text(encoding="utf-8")
        then = stored_config(json.loads(text)["config"]).model_dump(mode="json", exclude=words)
    except (OSError, ValueError, KeyError, TypeError):
        return True
    now = plan.config(name, fold, steps=record["steps"]).model_dump(mode="json", exclude=words)
    for config in (then, now):
        config["objective"].pop("encoder", None)  # its place; the benchmark's folder may have been moved
    if then["sampling"]["region"] == "organ":
        try:
            require_unchanged_data(plan.folder(name, fold) / "run", plan.data)
        except InputError:
            return True
    return bool(then != now)


def state_of(plan: Plan, name: str, fold: int) -> tuple[str, Mapping[str, Any]]:
    """ "done" with its record, "failed" with the sentence, or "not run"."""
    folder = plan.folder(name, fold)
    if (folder / "cell.json").exists():
        return "done", json.loads((folder / "cell.json").read_text(encoding="utf-8"))
    if (folder / "error.txt").exists():
        return "failed", {"error": (folder / "error.txt").read_text(encoding="utf-8").strip()}
    return "not run", {}


class _Timed:
    """The cell's package as a method that remembers its images and how long each took, loading left out."""

    def __init__(self, path: Path, seen: Sequence[str]) -> None:
        from imagetranslation.engines import make_predictor
        from imagetranslation.inference import translate
        from imagetranslation.models import load_package

        package = load_package(path)
        what = f"The model {path.parent.name}"
        leaks.require_within(what, leaks.seen_by(package.metadata, what), seen)
        self._predictor = make_predictor(package, engine="torch", precision="float32")
        self._translate = lambda case: translate(case.source, package, predictor=self._predictor).array
        self.images: dict[str, np.ndarray] = {}
        self._times: list[float] = []

    def __call__(self, case: Case) -> np.ndarray:
        began = time.perf_counter()
        image: np.ndarray = self._translate(case)
        self._times.append(time.perf_counter() - began)
        self.images[case.name] = image
        return image

    def seconds(self) -> float:
        """Median of a case."""
        return float(np.median(self._times))


def _budget(plan: Plan, name: str, fold: int, seen: Sequence[str]) -> dict[str, Any]:
    """Steps that fit into the preset's seconds, measured once and kept, so that a stopped cell goes on with them."""
    path = plan.folder(name, fold) / "budget.json"
    if path.exists():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    a_step, clock = costs.seconds_a_step(plan.config(name, fold, steps=1000), plan.data, seen)
    record = {"steps": costs.steps_for(plan.preset.seconds, a_step), "seconds_a_step": a_step, "clock": clock}
    write_text(path, json.dumps({**record, "machine": costs.machine()}, indent=2) + "\n")
    return record


def _training(run: Path) -> dict[str, float | None]:
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    keys = {"training_seconds": "seconds", "training_processor_seconds": "processor_seconds"}
    return {name: result.get(key) for name, key in keys.items()}


def _peak_memory() -> int | None:
    """Bytes that this process has held at most, where the system tells (Linux, macOS)."""
    try:
        import resource
        import sys
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
