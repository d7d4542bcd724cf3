"""What `evaluate` found out about a package, for its `model.json` and its card; only what is about this package."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError
from imagetranslation.models import ModelPackage

from .. import leaks
from ..evaluating.writing import read_scores

MODEL = "model"
MASK = "source's field of view where the registered target has voxels; background outside in every image"


def read_evaluation(path: Path, package: ModelPackage, method: str = "") -> dict[str, Any]:
    """The numbers of an `evaluation.json` that belong to the package, its floors and its ceilings; see `section`.

    method: its name there; not needed where one method alone has the package's weights. InputError where the file is
    none, is about other weights, was made with another frame of comparison, or tested what the package was trained on.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        settings, tables, measures = record["settings"], record["tables"], record["measures"]
        weights, tested = dict(settings.get("weights", {})), list(settings["tested"])
        name = _method(path, weights, package, method)
        require_frame(settings["config"], package, str(path))
        if seen := sorted(set(tested) & leaks.seen_by(package.metadata, package.id)):
            raise InputError(
                f"{path} tests {len(seen)} cases that {package.id} was trained on or chosen by, among them {seen[0]}."
            )
        others = {*settings["methods"]} - {name}
        lower, upper = settings["config"]["target"]["value_range"]
        return {
            "method": name,
            "n": max(summary["n"] for table in tables for summary in table["summaries"]),
            "tested": tested,
            "split": Path(settings["split"]).name,
            "fold": settings["fold"],
            "mask": MASK,
            "data_range": upper - lower,
            "interval": "95 % bootstrap over patients",
            "retest_noise": settings["retest_noise"],
            "measures": {
                table["measure"]: {**measures[table["measure"]], "methods": _numbers(table, name, others)}
                for table in tables
                if name in {summary["method"] for summary in table["summaries"]}
            },
            "cases": _cases(path.with_name("scores.csv"), name, tested),
            "frechet": record["frechet"].get(name),
            "software": settings["software"],
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no evaluation.json of training_tools.evaluate.") from error


def section(found: Mapping[str, Any]) -> list[str]:
    """The card's paragraphs about the evaluation: Markdown."""
    fold = "" if found["fold"] is None else f", fold {found['fold']}"
    measures = found["measures"]
    methods = sorted({m for about in measures.values() for m in about["methods"]}, key=lambda m: m != MODEL)
    shown = [MODEL, *_in_order(measures, methods)]
    lines = ["| measure | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for about in measures.values():
        unit = f", {about['unit']}" if about["unit"] else ""
        cells = [_cell(about["methods"].get(name)) for name in shown]
        lines.append(f"| {about['label']}{unit} ({about['better']} is better) | " + " | ".join(cells) + " |")
    defined = [f"- {about['label']}: {about['parameters']}." for about in measures.values()]
    return [
        f"### Evaluation, n = {found['n']} patients that were not trained on: this package",
        f"Cases tested: {len(found['tested'])} (`{found['split']}`{fold}). Mean ± SD over patients, in "
        f"brackets the {found['interval']}. Mask: {found['mask']}. Data range {found['data_range']:g}. Beside the "
        "model: floors (the source itself, the same through one gain and offset, the mean training target) and "
        f"ceilings (the real target, and the same with noise of {found['retest_noise']:.0%} of the range added).",
        "\n".join(lines),
        "\n".join(defined),
    ]


def _method(path: Path, weights: Mapping[str, str], package: ModelPackage, asked: str) -> str:
    """The name under which the package's very weights were evaluated."""
    fitting = [name for name, digest in weights.items() if digest == package.weights_sha256]
    if asked:
        fitting = [name for name in fitting if name == asked]
    if not fitting:
        told = f"the method {asked!r}" if asked else "any method"
        raise InputError(
            f"{path} does not have the weights of {package.id} ({package.weights_sha256[:12]}...) for {told}: evaluate "
            "this package, then export it again."
        )
    if len(fitting) > 1:
        raise InputError(f"{path} has the package under the names {' and '.join(fitting)}; choose one with --method.")
    return fitting[0]


def require_frame(config: Mapping[str, Any], package: ModelPackage, what: str) -> None:
    """InputError where a package's images and an evaluation's targets are not of one frame: the target's normalisation
    and range, the field of view.

    config: the evaluation's, as JSON; what: the evaluation, or the package. Of a package that does not say how it was
    trained the range alone is known.
    """
    lower, upper = config["target"]["value_range"]
    same = [float(value) for value in package.outputs["value_range"]] == [float(lower), float(upper)]
    own = package.metadata["training"].get("config")
    if own is not None:
        target = {key: value for key, value in config["target"].items() if key in own["target"]}
        same = same and own["target"] == target
        same = same and own["source"]["field_of_view"] == config["source"]["field_of_view"]
    if not same:
        raise InputError(
            f"{what} has another normalisation, value range or field of view than what it is compared with; evaluate "
            "a model with the configuration it was trained by."
        )


def _numbers(table: Mapping[str, Any], name: str, others: set[str]) -> dict[str, Any]:
    """Mean, SD and interval of the model, floors and ceilings."""
    return {
        MODEL if s["method"] == name else s["method"]: {
            "n": s["n"], "mean": s["mean"], "sd": s["sd"], "low": s["interval"].get("low"),
            "high": s["interval"].get("high"),
        }
        for s in table["summaries"]
        if s["method"] not in others
    }  # fmt: skip


def _cases(path: Path, name: str, tested: Sequence[str]) -> list[dict[str, Any]]:
    """Every measure of the model, a row a case, where the evaluation's scores still lie beside it."""
    if not path.is_file():
        return []
    scores = read_scores(path)[0].get(name, {})
    if sorted(scores) != sorted(tested):
        raise InputError(f"{path} has other cases than the evaluation beside it; evaluate again.")
    return [{"case": case, **scores[case]} for case in tested]


def _in_order(measures: Mapping[str, Any], methods: Sequence[str]) -> list[str]:
    """Floors and ceilings in the order of the table that has most of them."""
    fullest = max(measures.values(), key=lambda about: len(about["methods"]))["methods"]
    return [name for name in fullest if name != MODEL and name in methods]


def _cell(numbers: Mapping[str, Any] | None) -> str:
    if numbers is None:
        return ""
    sd = "" if numbers["sd"] is None else f" ± {numbers['sd']:.2g}"
    interval = "" if numbers["low"] is None else f" ({numbers['low']:.4g} to {numbers['high']:.4g})"
    return f"{numbers['mean']:.4g}{sd}{interval}"
