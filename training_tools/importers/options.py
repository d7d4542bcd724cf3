"""The command line of `prepare`: where the pairs come from, and which importer that asks for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from imagetranslation.errors import InputError

from .. import registration
from ..aligning import BY
from ..pairs import SIDES, PairFiles, list_pairs
from ..singles import Single, list_singles


@dataclass(frozen=True)
class Found:
    """An importer's listing, and the modalities of source and target where nothing else was said.

    singles: images without a partner.
    """

    pairs: Sequence[PairFiles]
    modalities: tuple[str, str] = ("US", "MR")
    left_out: dict[str, str] = field(default_factory=dict)
    singles: Sequence[Single] = ()


def parser(description: str) -> argparse.ArgumentParser:
    """All options."""
    found = argparse.ArgumentParser(prog="python -m training_tools.prepare", description=description)
    folders = found.add_argument_group("folders of pairs")
    folders.add_argument("--source", type=Path, help="folder of source volumes (ultrasound)")
    folders.add_argument("--target", type=Path, help="folder of target volumes (MR), same file names")
    folders.add_argument("--source-labels", type=Path, help="folder of gland labels, or STL surfaces, on the sources")
    folders.add_argument("--target-labels", type=Path, help="folder of gland labels, or STL surfaces, on the targets")
    folders.add_argument("--lesions", type=Path, help="folder of lesion labels")
    alone = found.add_argument_group("images without a partner, beside pairs or alone")
    alone.add_argument("--unpaired-source", type=Path, help="folder of sources, for objectives that need no pairs")
    alone.add_argument("--unpaired-target", type=Path, help="folder of targets, of other patients, in any number")
    others = found.add_argument_group("other ways to keep pairs, one of them instead of folders")
    others.add_argument("--csv", type=Path, help="table: patient, case, source, target, source_label, ...")
    others.add_argument("--bids", type=Path, metavar="ROOT", help="BIDS folder; needs --source- and --target-suffix")
    others.add_argument("--tcia", type=Path, metavar="ROOT", help="TCIA Prostate-MRI-US-Biopsy as downloaded")
    others.add_argument("--nm", type=Path, nargs="+", metavar="FOLDER", help="planar DICOM: blood pool [and delayed]")
    bids = found.add_argument_group("BIDS")
    for what in ("source", "target", "source-label", "target-label", "lesion"):
        bids.add_argument(f"--{what}-suffix", help="end of the file's name, such as T1w or acq-axial_T2w")
    align = found.add_argument_group("alignment")
    align.add_argument(
        "--method",
        choices=registration.METHODS,
        help="none: already registered (default: scale by labels, shift by images)",
    )
    align.add_argument("--by", choices=BY, default="auto", help="what to register by (default: labels where there are)")
    align.add_argument("--spacing", type=float, nargs=3, metavar="MM", help="common grid: mm along i, j, k")
    align.add_argument("--size", type=int, nargs=3, metavar="N", help="common grid: voxels along i, j, k")
    align.add_argument("--orientation", help="common grid: where i, j and k grow, such as LPS")
    found.add_argument("--source-modality", help="US by default, NM with --nm")
    found.add_argument("--target-modality", help="MR by default, NM with --nm")
    found.add_argument("--lesions-on", choices=SIDES, help="whose grid, or frame, the lesions are in (default: source)")
    found.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    found.add_argument("--drop-suspect", action="store_true", help="leave out cases whose registration is suspect")
    found.add_argument("--leave-out-unusable", action="store_true", help="go on without cases that cannot be used")
    found.add_argument("-o", "--output", type=Path, required=True, help="folder to write")
    return found


def listing(options: argparse.Namespace) -> Found:
    """The pairs and images that the options name; InputError where they name none, or several ways to keep pairs."""
    singles = list_singles(options.unpaired_source, options.unpaired_target)
    if singles and not any((options.source, options.target, options.csv, options.bids, options.tcia, options.nm)):
        return Found([], singles=singles)
    return replace(_pairs(options), singles=singles)


def _pairs(options: argparse.Namespace) -> Found:
    ways = [way for way in ("csv", "bids", "tcia", "nm") if getattr(options, way)]
    if options.source or options.target:
        ways.append("source")
    if len(ways) != 1:
        raise InputError("Say where the pairs are with --source and --target, or one of --csv, --bids, --tcia, --nm.")
    if ways == ["csv"]:
        from .table import list_table

        return Found(list_table(options.csv))
    if ways == ["bids"]:
        from .bids import list_bids

        suffixes = {
            part: getattr(options, f"{part}_suffix")
            for part in ("source", "target", "source_label", "target_label", "lesion")
        }
        found = list_bids(options.bids, suffixes)
        return Found(found.pairs, left_out=found.left_out)
    if ways == ["tcia"]:
        from .tcia import list_tcia

        found = list_tcia(options.tcia)
        return Found(found.pairs, left_out=found.left_out)
    if ways == ["nm"]:
        from .nuclear import list_planar

        found = list_planar(options.nm)
        return Found(found.pairs, ("NM", "NM"), found.left_out)
    if not (options.source and options.target):
        raise InputError("Give both folders: --source and --target.")
    pairs = list_pairs(
        options.source, options.target, options.source_labels, options.target_labels, options.lesions,
        options.lesions_on or "source",
    )  # fmt: skip
    return Found(pairs)
