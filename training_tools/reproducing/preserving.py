"""The preservation of features by cross-fitted images: the 186 features of the first study, or what can be had of them.

The region is the gland where the data have gland labels, and else, in planar scans, what the source shows of the body.
Features, thresholds and report are `imagetranslation.radiomics`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.files import make_folder
from imagetranslation.radiomics.engine import Engine, make_engine
from imagetranslation.radiomics.preservation.definitions import SOURCE_SYNTHETIC, SYNTHETIC_TARGET, Thresholds
from imagetranslation.radiomics.preservation.pairs import Pair, write_pairs
from imagetranslation.volume import Volume, read_volume, write_volume

from ..commands import progress
from ..dataset import manifest

REPORT, PAIRS = "report", "pairs.csv"
BODY_SHARE = 0.1  # of the smoothed source's 99th percentile: what lies above is taken as body. Our choice
BODY_SMOOTHING = 2.0  # pixels


def preserve(
    cases: Path,
    images: Mapping[str, Path],
    output: Path,
    *,
    draws: int,
    seed: int,
    workers: int,
    scheduler: str = "",
    features: str = "paper186",
) -> str:
    """Write the table of pairs and the report of all cases; images: case to its synthetic image."""
    from imagetranslation.radiomics.preservation.cohort import analyse
    from imagetranslation.radiomics.preservation.extracting import extract_pairs
    from imagetranslation.radiomics.preservation.figures import require
    from imagetranslation.radiomics.preservation.perturbation import Perturbation
    from imagetranslation.radiomics.preservation.writing import write_report
    from imagetranslation.radiomics.settings import Settings

    require()
    engine = best_engine(features)
    if engine is None:
        return "neither MIRP nor PyRadiomics is installed; install one of them (pip install mirp) and start again."
    made_folder = make_folder(output)
    pairs = pairs_of(cases, images, made_folder)
    write_pairs(pairs, output / PAIRS)
    chosen, change = Settings(), Perturbation(seed=seed)
    with progress("Extracting features") as update:
        found = extract_pairs(
            pairs, chosen, engine, perturbation=change, workers=workers, scheduler=scheduler, cache=output / "cache",
            progress=update,
        )  # fmt: skip
    facts = {
        "pairs": str(output / PAIRS), "engine": found.engine, "missing": list(found.missing),
        "settings": {**chosen.to_dict(), "sha256": chosen.sha256}, "resampled_to_mask": False,
        "perturbation": change.to_dict(), "perturbation_words": change.sentence(),
    }  # fmt: skip
    report = analyse(found.table, Thresholds(draws=draws, seed=seed), facts, found.warnings)
    write_report(report, found.table, output / REPORT)
    return ""


def best_engine(wanted: str = "paper186") -> Engine | None:
    """The engine of the wanted features; PyRadiomics where that is not there; None without both."""
    for features in (wanted, "pyradiomics"):
        try:
            return make_engine(features)
        except InputError:
            continue
    return None


def pairs_of(cases: Path, images: Mapping[str, Path], output: Path) -> list[Pair]:
    """Two rows a case: synthetic against real target, and source against synthetic, under one region."""
    found: list[Pair] = []
    for record in manifest(cases)["cases"]:
        name = str(record["case"])
        if name not in images:
            raise InputError(f"There is no synthetic image of {name}.")
        source, target = (str((cases / record[part]).resolve()) for part in ("source", "target"))
        where, mask = _region(cases, record, output)
        who = str(record.get("patient") or name)
        # Two views of a patient are two regions of that patient.
        roi = where if who == name else f"{where} {name}"
        made = str(images[name].resolve())
        found.append(Pair(who, roi, made, target, mask, SYNTHETIC_TARGET))
        found.append(Pair(who, roi, source, made, mask, SOURCE_SYNTHETIC))
    return found


def _region(cases: Path, record: Mapping[str, Any], output: Path) -> tuple[str, str]:
    if "source_label" in record:
        return "gland", str((cases / record["source_label"]).resolve())
    path = output / "body" / f"{record['case']}.nrrd"
    if not path.exists():
        source = read_volume(cases / record["source"])
        write_volume(source.with_array(body(source)), _in_folder(path))
    return "body", str(path.resolve())


def _in_folder(path: Path) -> Path:
    make_folder(path.parent)
    return path


def body(source: Volume) -> np.ndarray:
    """uint8 (k, j, i): where the smoothed source lies above a tenth of its 99th percentile. From the source alone, so
    that no synthetic and no real target decides where it is measured."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(source.array.astype(np.float32), (0, BODY_SMOOTHING, BODY_SMOOTHING))
    return (smooth > BODY_SHARE * np.percentile(smooth, 99)).astype(np.uint8)


def patients_in(pairs: Sequence[Pair]) -> int:
    """How many there are."""
    return len({pair.patient for pair in pairs})
