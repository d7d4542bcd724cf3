"""What a model card says about uncertainty: its calibration by patient, and how unlike scans are told."""

from __future__ import annotations

from typing import Any

from imagetranslation.outofdistribution import FAR
from imagetranslation.uncertainty import LEAST_PATIENTS

NAMES = {"tta": "test-time augmentation", "ensemble": "the network's members", "dropout": "dropout at test time"}


def sections(metadata: dict[str, Any]) -> list[str]:
    """Markdown parts for the `uncertainty` and `training.distribution` of a `model.json`; none where it has neither."""
    uncertainty = metadata.get("uncertainty", {})
    parts = []
    if uncertainty:
        parts += ["## Uncertainty", _how(uncertainty)]
        for method, record in uncertainty.get("calibration", {}).items():
            parts += [f"### {_heading(method, record, uncertainty)}", *_record(record)]
        if not uncertainty.get("calibration"):
            parts.append("Not calibrated: the map is an uncalibrated spread.")
    if "distribution" in metadata["training"]:
        parts += ["## Scans unlike the training scans", _distribution(metadata["training"]["distribution"])]
    return parts


def _how(uncertainty: dict[str, Any]) -> str:
    allowed = uncertainty.get("augmentations", {})
    across, down, along = allowed.get("shift_voxels", (0, 0, 0))
    mirror = "; mirrored left-right" if allowed.get("flip") else ""
    return (
        "A standard deviation is given for every voxel: the spread of several answers, rescaled to the size of errors "
        "in patients seen by none of the networks that were asked (a piecewise linear map that never falls, from raw "
        "spread to root mean square error; calibrated in the sense of Levi et al. 2022, Sensors 22, 5540). Test-time "
        f"augmentation may change a scan by shifts of up to {across}, {down} and {along} voxels of the network's grid "
        f"(slice, row, column), its brightness by a factor exp(±{allowed.get('gain', 0):g}) and a power "
        f"exp(±{allowed.get('gamma', 0):g}){mirror}. The spread shows only where the answers differ: an error that all "
        f"of them share is in its scale alone. With fewer than {LEAST_PATIENTS} patients, or other settings than those "
        "calibrated, the map is called an uncalibrated spread."
    )


def _heading(method: str, record: dict[str, Any], uncertainty: dict[str, Any]) -> str:
    default = " (what `auto` takes)" if method == uncertainty.get("default") else ""
    return f"{NAMES[method].capitalize()}, {record['samples']} answers, n = {record['n_patients']}{default}"


def _record(record: dict[str, Any]) -> list[str]:
    parts = [f"Residuals: {record['residuals']}."]
    if "scale" in record:
        parts += [_scale(record["scale"]), _coverage(record)]
    else:
        parts.append(f"Fewer than {LEAST_PATIENTS} patients: nothing is rescaled.")
    return [*parts, _bins(record), _sparsification(record)]


def _scale(scale: dict[str, Any]) -> str:
    raw, calibrated = scale["raw"], scale["calibrated"]
    text = (
        f"A raw spread of {raw[0]:.3g} to {raw[-1]:.3g} becomes {calibrated[0]:.3g} to {calibrated[-1]:.3g} grey values"
    )
    if "places" not in scale:
        return f"{text}."
    factor, points = scale["places"]["factor"], scale["places"]["points"]
    return (
        f"{text}, times how much larger errors are at that place of the network's frame than elsewhere "
        f"({min(factor):.2g} to {max(factor):.2g}, on a grid of {points} x {points} x {points}): where patients "
        "differ, the answers of one network to one scan do not show it."
    )


def _coverage(record: dict[str, Any]) -> str:
    lines = ["| band | voxels inside, mean over patients [95 % interval] | n |", "|---|---|---|"]
    rows = [
        ("", record),
        *([(", this package on the held-out cases", record["held_out"])] if "held_out" in record else []),
    ]
    for words, found in rows:
        for band in ("80", "95"):
            seen = found[f"coverage{band}"]
            share = f"{100 * seen['mean']:.1f} % [{100 * seen['low']:.1f}, {100 * seen['high']:.1f}]"
            lines.append(f"| {band} % (±{1.28 if band == '80' else 1.96} SD){words} | {share} | {seen['n']} |")
    text = "Each patient by a scale fitted on the others."
    if "held_out" in record:
        text += f" Held out: {record['held_out']['residuals']}."
    return "\n".join([text, "", *lines])


def _bins(record: dict[str, Any]) -> str:
    lines = [
        "Error against predicted deviation, in bins of equal weight (root mean squares, output units):",
        "",
        "| predicted SD | observed error |",
        "|---|---|",
    ]
    lines += [f"| {row['predicted']:.1f} | {row['observed']:.1f} |" for row in record["bins"]]
    return "\n".join(lines)


def _sparsification(record: dict[str, Any]) -> str:
    curve, rank = record["sparsification"], record["rank_correlation"]
    shown = [n for n, removed in enumerate(curve["removed"]) if round(10 * removed) % 2 == 0]
    gain = curve["gain"]
    verdict = (
        "Within a patient, the map says little about where the errors are: read it as their size, not their place."
        if gain["mean"] < 0.25 * curve["gain_of_oracle"]
        else "Within a patient, errors are larger where the map is higher, with many exceptions."
    )
    return "\n".join(
        [
            "Sparsification (Ilg et al. 2018): error left, as a fraction, without the voxels of largest SD.",
            "",
            "| removed | " + " | ".join(f"{100 * curve['removed'][n]:.0f} %" for n in shown) + " |",
            "|---" * (len(shown) + 1) + "|",
            "| by SD | " + " | ".join(f"{curve['model'][n]:.2f}" for n in shown) + " |",
            "| by the errors themselves | " + " | ".join(f"{curve['oracle'][n]:.2f}" for n in shown) + " |",
            "",
            f"Area between the curves (AUSE) {_interval(curve['ause'])}; gain over removal at random {_interval(gain)} "
            f"of at most {curve['gain_of_oracle']:.2f}; rank correlation of SD and absolute error within a patient "
            f"{_interval(rank)}, of the raw spread alone {_interval(record['rank_correlation_raw'])}; n = {rank['n']}. "
            f"{verdict}",
        ]
    )


def _distribution(record: dict[str, Any]) -> str:
    distances = record["distances"]
    return (
        f"A scan is described by {len(record['descriptors'])} numbers of what the network sees of it (grey levels, "
        "texture by scale, sharpness, noise, form of the field of view, where it is bright) and compared with the "
        f"{len(distances)} training scans by Mahalanobis distance, the covariance shrunk (Ledoit and Wolf 2004; weight "
        f"{record['shrinkage']:.2f}). Each training scan's own distance from the others is kept: "
        f"{', '.join(f'{value:.2f}' for value in distances)}. A scan beyond all of them is called unusual (one good "
        f"scan in {len(distances) + 1} is, by chance), one more than {FAR:g} times beyond unlike the training scans; "
        "both are a warning and stop nothing. Gain and offset that normalisation takes out are not seen, and a "
        "mirrored or turned scan of the same kind can pass."
    )


def _interval(found: dict[str, float]) -> str:
    return f"{found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
