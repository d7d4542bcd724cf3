"""From a finished run to a model package.

Run: python -m training_tools.export RUN --config CONFIG --data PREPARED --scores CV/scores.json
         --calibration CALIBRATION/calibration.json --evaluation EVALUATION/evaluation.json -o PACKAGE

Weights are stored as float16; the held-out cases are scored with the very package that is written, through
`imagetranslation.inference`. Cross-validated scores (`--scores`) come from `crossval`, what calibrates the uncertainty
from `calibration`, the words from the `card` of the configuration.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from imagetranslation import networks
from imagetranslation.errors import InputError
from imagetranslation.inference import translate
from imagetranslation.models import ModelPackage, write_package

from . import evaluation, leaks
from .card import render
from .config import Card, Config, read_config
from .console import run as run_command
from .dataset import BOTH, Case, LazyCases, names_of, sides
from .exporting import evaluated
from .exporting.trainingscans import of_scans
from .train import require_unchanged_data, shaped_by
from .training.fitting import whole_image_settings

UNSAID = "Not stated in the configuration."


def read_calibration(path: Path) -> dict[str, Any]:
    """The records by method of a `calibration.json`; InputError when it is none."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["calibration"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a calibration.json of training_tools.calibration.") from error


def read_run(run: Path) -> tuple[Config, list[str], Path]:
    """Configuration, training cases and weights of a finished run; InputError when it isn't one."""
    try:
        record = json.loads((run / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{run} is not a training run: it has no readable config.json.") from error
    weights = run / "generator.safetensors"
    if not weights.is_file():
        raise InputError(f"The run {run} is not finished: it has no {weights.name}; start the same training again.")
    try:
        settings = {**record["config"], "origins": record.get("origins", {})}
        return Config.model_validate(settings), list(record["cases"]), weights
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run} was trained by another version of these tools; train it again.") from error


def read_scores(path: Path) -> dict[str, Any]:
    """What `training_tools.crossval` wrote; InputError when it is none."""
    try:
        scores = dict(json.loads(path.read_text(encoding="utf-8")))
        if not all(isinstance(scores[part], kind) for part, kind in (("cases", list), ("methods", dict), ("n", int))):
            raise ValueError("parts")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a scores.json of training_tools.crossval.") from error
    return scores


def require_scores_of(scores: dict[str, Any], config: Config, names: list[str]) -> None:
    """InputError where cross-validated scores are another configuration's, or do not cover a run's patients."""
    if scores.get("config_sha256") != config.digest():
        raise InputError(
            "The scores are of another configuration than the run; cross-validate the run's own, or leave --scores out."
        )
    if missing := sorted(set(names) - {str(row["case"]) for row in scores["cases"]}):
        raise InputError(f"The scores leave out cases that the run was trained on: {', '.join(missing[:5])}.")


def card_of(config: Config, run: Path) -> Card | None:
    """The card of a configuration; InputError where the run was trained with other settings than its words are of.

    Names, the cases held out and the place of an encoder are no settings of the training.
    """
    told, trained = _trained_with(config), _trained_with(read_run(run)[0])
    if config.card is not None and told != trained:
        key = next(key for key, value in told.items() if trained[key] != value)
        raise InputError(
            f"The card's words are of another training than {run}: their {key} differ. Give the run's own "
            "configuration."
        )
    return config.card


def _trained_with(config: Config) -> dict[str, Any]:
    told = config.model_dump(mode="json", exclude={"card", "origins", "id", "version", "title", "held_out"})
    told["objective"].pop("encoder", None)
    return told


def export(
    run: Path,
    data: Path,
    output: Path,
    *,
    scores: dict[str, Any] | None = None,
    calibration: dict[str, Any] | None = None,
    card: Card | None = None,
    evaluation_file: Path | None = None,
    method: str = "",
) -> ModelPackage:
    """Write the package of a run; held-out scores are added here.

    scores: what `crossval` wrote, or None. calibration: what `calibration` wrote, by method, or None. evaluation_file,
    method: `evaluation.json` of these weights and their name in it; see `exporting.evaluated`.
    """
    config, names, weights = read_run(run)
    if scores is not None:
        require_scores_of(scores, config, names)
    require_unchanged_data(run, data)
    config = config.model_copy(update={"card": card})
    train = LazyCases(data, config, names, unpaired=config.sampling.unpaired)
    metadata = describe(config, train, shaped=shaped_by(run))
    seen = leaks.seen_by(metadata, f"The run {run}")
    if calibration is not None:
        metadata["uncertainty"]["calibration"] = calibration
    numbers: dict[str, Any] = {} if scores is None else {"cross_validation": scores}
    with tempfile.TemporaryDirectory(prefix="imagetranslation-") as folder:
        package = write(Path(folder), metadata, config, weights, {})
        if evaluation_file is not None:
            numbers["evaluation"] = evaluated.read_evaluation(evaluation_file, package, method)
        tested, learnt = (_pairs_among(data, some) for some in (config.held_out, names))
        if shared := sorted(seen & set(config.held_out)):
            raise InputError(
                f"{shared[0]} is held out by the configuration, and the run was trained or validated on it, or its "
                "encoder was: train without it, or take it out of held_out."
            )
        if tested and learnt:
            rows = score_cases(package, config, LazyCases(data, config, learnt), LazyCases(data, config, tested))
            numbers["held_out"] = {"cases": rows, **evaluation.summarise(rows)}
    return write(output, metadata, config, weights, numbers)


def _pairs_among(data: Path, names: Sequence[str]) -> list[str]:
    """The cases that have both images, which scores and floors need."""
    known = sides(data)
    return [name for name in names if known.get(name, BOTH) == BOTH]


def write(
    folder: Path, metadata: dict[str, Any], config: Config, weights: Path, scores: dict[str, Any]
) -> ModelPackage:
    """Write the package folder with these scores in `model.json` and in the card."""
    complete = {**metadata, "scores": scores}
    return write_package(folder, complete, load_file(weights), render(config, complete))


def describe(
    config: Config,
    train: Sequence[Case],
    scans: Mapping[str, Any] | None = None,
    *,
    shaped: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`model.json` without scores and the weights' checksum. scans: `of_scans` of the training cases, if at hand.

    shaped: `train.shaped_by` of the run.
    """
    card, learnt = config.card, names_of(train)
    network = networks.build(config.network.name, **config.network.arguments)
    commands = list(card.commands) if card else []
    return {
        "id": (card.id if card else "") or config.id,
        "version": config.version,
        "title": (card.title if card else "") or config.title,
        "description": card.description if card else UNSAID,
        "authors": card.authors if card else UNSAID,
        "licence": card.licence if card else UNSAID,
        "created": datetime.now(timezone.utc).date().isoformat(),
        "task": config.task,
        "network": config.network.model_dump(mode="json"),
        "network_data_format": {"inputs": {"image": config.inputs()}, "outputs": {"image": config.outputs()}},
        "inference": {**config.inference_settings(), **whole_image_settings(config)},
        "training": {
            "data": card.data if card else UNSAID,
            "licence": card.data_licence if card else UNSAID,
            "cases": learnt,
            **(shaped or {}),
            "held_out": sorted(set(config.held_out) - set(learnt)),
            "config": config.published(),
            "command": "\n".join(commands) or UNSAID,
            "seed": config.seed,
            **(of_scans(train, config) if scans is None else scans),
        },
        "uncertainty": config.uncertainty.model_dump(mode="json", exclude={"samples"}),
        "intended_use": card.intended_use if card else "Research only; not for clinical use.",
        "limits": list(card.limits) if card else [],
        "citation": list(card.citation) if card else [],
        "weights": {"dtype": "float16", "parameters": sum(p.numel() for p in network.parameters())},
    }


def score_cases(
    package: ModelPackage, config: Config, train: Sequence[Case], tested: Sequence[Case]
) -> list[dict[str, Any]]:
    """One row a tested case: the model's scores and each floor's, fitted on the training cases."""
    evaluation.require_apart(train, tested)
    floors = evaluation.Floors(train, config)
    rows = []
    for case in tested:
        made = translate(case.source, package, device="cpu").array
        row: dict[str, Any] = {"case": case.name, evaluation.MODEL: evaluation.score(made, case, config)}
        for floor, image in floors.images(case).items():
            row[floor] = evaluation.score(image, case, config)
        rows.append(row)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training_tools.export", description="Write a run's model package.")
    parser.add_argument("run", type=Path, help="finished run folder of training_tools.train")
    parser.add_argument("--config", type=Path, help="the run's configuration, for the words of its card")
    parser.add_argument("--data", type=Path, required=True, help="folder written by training_tools.prepare")
    parser.add_argument("--scores", type=Path, help="scores.json written by training_tools.crossval")
    parser.add_argument("--evaluation", type=Path, help="evaluation.json written by training_tools.evaluate")
    parser.add_argument("--method", default="", help="the run's name in it, where it stands there more than once")
    parser.add_argument("--calibration", type=Path, help="calibration.json written by training_tools.calibration")
    parser.add_argument("-o", "--output", type=Path, required=True, help="package folder")
    options = parser.parse_args(arguments)
    scores = read_scores(options.scores) if options.scores else None
    calibration = read_calibration(options.calibration) if options.calibration else None
    card = card_of(read_config(options.config), options.run) if options.config else None
    package = export(
        options.run, options.data, options.output, scores=scores, calibration=calibration, card=card,
        evaluation_file=options.evaluation, method=options.method,
    )  # fmt: skip
    print(json.dumps({"package": str(package.path), "weights_sha256": package.weights_sha256}))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
