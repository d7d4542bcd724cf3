"""The model card: the configuration's words and the measured numbers, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import uncertaintycard
from .config import Config
from .evaluation import FLOORS, METRICS, MODEL
from .exporting import evaluated

# Of the one network that is named after the study's.
SMALLER = (
    " The study it follows used a 2D-Pix2Pix of 54.4 M parameters; that network is in the registry as `pix2pix`, but "
    "this package is a small variant and its scores say nothing about the study's."
)
HEADINGS = {"mae": "MAE", "psnr": "PSNR (dB)", "ssim": "SSIM", "ssim_uniform7": "SSIM, uniform 7"}


def render(config: Config, metadata: dict[str, Any]) -> str:
    """The text of MODEL_CARD.md for a package with this `model.json` (weights' checksum not needed)."""
    card, training = config.card, metadata["training"]
    parameters = metadata["weights"]["parameters"]
    parts = [
        f"# {metadata['title']}",
        f"`{metadata['id']}` {metadata['version']}. **Not for clinical use.** {metadata['intended_use']}",
        metadata["description"],
        "## Network",
        f"`{metadata['network']['name']}` with {parameters / 1e6:.2f} M parameters, stored as "
        f"{metadata['weights']['dtype']}.{SMALLER if metadata['network']['name'] == 'pix2pix-small' else ''}",
        _bullets(card.design if card else ()),
        "## Data",
        f"{training['data']} Licence: {training['licence']}.",
        f"Trained on {len(training['cases'])} cases: {', '.join(training['cases'])}. "
        f"Held out of this package's training: {_held_out(metadata)}.{_shaped(training)}",
        f"Tuning: {card.tuning}" if card else "",
        "## Training",
        f"```\n{training['command']}\n```",
        _scoring(config, metadata["scores"]) if metadata["scores"] else "## Scores\n\nNot measured yet.",
        *_sections(metadata["scores"]),
        *uncertaintycard.sections(metadata),
        "## Limits",
        _bullets(metadata["limits"]),
        "## Cite",
        _bullets(metadata["citation"]),
        f"Licence of the weights: {metadata['licence']}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _held_out(metadata: Mapping[str, Any]) -> str:
    named, evaluation = metadata["training"]["held_out"], metadata["scores"].get("evaluation")
    if named or not evaluation:
        return ", ".join(named) or "none"
    return f"the {len(evaluation['tested'])} cases that it is evaluated on below"


def _shaped(training: Mapping[str, Any]) -> str:
    """Whom else the weights owe something to."""
    told = ""
    if validated := training.get("validated"):
        told += f" The best weights were chosen on {len(validated)} cases: {', '.join(validated)}."
    if encoder := training.get("encoder"):
        told += f" The encoder of features in the loss was trained on {len(encoder['cases'])} cases"
        told += f": {', '.join(encoder['cases'])} (SHA-256 {encoder['sha256'][:12]}...)."
    return told


def _scoring(config: Config, scores: Mapping[str, Any]) -> str:
    """The frame of the numbers. An evaluation says of each measure itself what it is, see `evaluated.section`."""
    lower, upper = config.target.value_range
    spec = config.target.normalisation
    if set(scores) == {"evaluation"}:
        return (
            "## Scores\n\n"
            "Reference: the prepared target, on the source's grid. Its intensities differ between patients, so each "
            f"volume is normalised ({_words(spec)} inside the mask become {lower:g} and {upper:g}, clipped). One "
            "number a patient, computed on the whole volume."
        )
    return (
        "## Scores\n\n"
        "Reference: the target registered to the source by `training_tools.prepare`, resampled to the source's grid. "
        f"Its intensities have no unit and vary between patients, so each volume is normalised ({_words(spec)} inside "
        f"the mask become {lower:g} and {upper:g}, clipped); data range {upper - lower:g}. Mask: the source's field of "
        "view where the registered target has voxels; outside it every image is set to background. One number a "
        "patient, computed on the whole volume. SSIM: Wang 2004, Gaussian sigma 1.5, three-dimensional; 'uniform 7' "
        "is SynthRAD2023's window. Intervals: 95 % Student t over patients, paired. Floors: the source itself "
        "(normalised as the reference is), the same through one least-squares gain and offset fitted on the "
        "training cases, and the voxelwise mean of the training cases' references in the same frame."
    )


def _words(spec: dict[str, Any]) -> str:
    if spec["name"] == "percentile":
        return f"percentiles {spec['lower']:g} and {spec['upper']:g}"
    if spec["name"] == "zscore":
        return f"its mean minus and plus {spec['width']:g} standard deviations"
    return f"its {spec['name']} bounds"


def _sections(scores: dict[str, Any]) -> list[str]:
    titles = {
        "cross_validation": "### {folds}-fold cross-validation by patient, n = {n}: every fold trained from scratch",
        "held_out": "### Held-out cases, n = {n}: this package",
    }
    parts = []
    for key, title in titles.items():
        if key in scores:
            result = scores[key]
            parts += [
                title.format(n=result["n"], folds=result.get("folds")),
                _table(result),
                _verdict(result),
                _cases(result),
            ]
    return parts + (evaluated.section(scores["evaluation"]) if "evaluation" in scores else [])


def _table(result: dict[str, Any]) -> str:
    lines = ["| | " + " | ".join(HEADINGS[m] for m in METRICS) + " |", "|---" * (len(METRICS) + 1) + "|"]
    for method in (MODEL, *FLOORS):
        cells = [_mean(result["methods"][method][metric]) for metric in METRICS]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    for floor in FLOORS:
        cells = [_interval(result["differences"][floor][metric]) for metric in METRICS]
        lines.append(f"| model minus {floor} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _verdict(result: dict[str, Any]) -> str:
    """Which floors are beaten on MAE and SSIM with the interval excluding zero, and which are not."""
    missed = [
        f"{floor} on {HEADINGS[metric]}"
        for floor in FLOORS
        for metric in ("mae", "ssim")
        if not result["differences"][floor][metric]["beaten"]
    ]
    if not missed:
        return "Every floor is beaten on MAE and SSIM, the interval excluding zero."
    return f"Not beaten with the interval excluding zero: {'; '.join(missed)}."


def _cases(result: dict[str, Any]) -> str:
    lines = [
        "| case | MAE model | MAE identity | MAE mean image | SSIM model | SSIM identity | SSIM mean image |",
        "|---" * 7 + "|",
    ]
    for row in result["cases"]:
        cells = [f"{row[method]['mae']:.1f}" for method in (MODEL, "identity", "mean image")]
        cells += [f"{row[method]['ssim']:.3f}" for method in (MODEL, "identity", "mean image")]
        lines.append(f"| {row['case']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(value: dict[str, Any]) -> str:
    return f"{value['mean']:.4g}" + ("" if value["sd"] is None else f" ± {value['sd']:.2g}")


def _interval(value: dict[str, Any]) -> str:
    text = f"{value['mean']:+.3g}"
    if value["low"] is not None:
        text += f" [{value['low']:+.3g}, {value['high']:+.3g}]"
    return f"{text}; better in {value['better_in']}/{value['n']}"


def _bullets(sentences: tuple[str, ...] | list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
