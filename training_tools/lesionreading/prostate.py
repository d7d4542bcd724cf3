"""Ultrasound to MR of the prostate, lesion by lesion: contrast, CNR, Dice of a stated detector, missed and invented.

Here: options and the way through. A case's rows are made by `prostate_rows`, what all say together by `prostate_page`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.statistics.bootstrap import Resampling
from imagetranslation.readerstudy.statistics.versions import versions

from . import prostate_page, prostate_rule
from .cases import Cohort, from_folder
from .prostate_rows import BY_RULE, BY_TABLE, TRUTH, Rows, rows_of
from .prostate_view import load
from .synthetics import Synthetics, find, made_by
from .task import FOUND, MISSED, Reading, Task

SIZES = (8.0, 12.0, 15.0)  # mm
SIMULATION = "simulation.json"  # beside a simulator's zones; says which number is which


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this task."""
    cases = parser.add_argument_group("cases")
    folder: dict[str, Any] = {"type": Path, "metavar": "FOLDER"}
    table: dict[str, Any] = {"type": Path, "metavar": "TABLE"}
    cases.add_argument(
        "--data", required=True, **folder, help="of training_tools.prepare, made with labels of the gland and --lesions"
    )
    cases.add_argument(
        "--synthetic", required=True, **folder,
        help="images named after their cases, a model package, or a folder of fold-*/package (of a benchmark's network "
        "or a cross-validation)",
    )  # fmt: skip
    cases.add_argument(
        "--zones", **folder, help="label images on the ultrasound's grid, named after the cases (simulator: us_zones)"
    )
    cases.add_argument(
        "--peripheral", type=int, metavar="LABEL",
        help=f"of the peripheral zone in them; default: as {SIMULATION} beside them says, else 1",
    )  # fmt: skip
    cases.add_argument(
        "--lesions", **table,
        help=f"what is known of lesions: case, lesion (number), {TRUTH}, and the column of --group (the simulator's "
        "lesions.csv)",
    )  # fmt: skip
    cases.add_argument("--group", default="grade", metavar="COLUMN", help="column of that table to group lesions by")
    cases.add_argument(
        "--truth", choices=(BY_RULE, BY_TABLE), default=BY_RULE,
        help=f"what is seen in truth: by the rule on the real image, or by the table's {TRUTH}",
    )  # fmt: skip
    prostate_rule.add_options(parser)
    shown = parser.add_argument_group("results")
    shown.add_argument("--size-bands", type=float, nargs="+", default=list(SIZES), metavar="MM")
    shown.add_argument("--draws", type=int, default=2000, help="of the bootstrap over patients")
    shown.add_argument("--seed", type=int, default=1, help="of the bootstrap")


def read(options: argparse.Namespace) -> Reading:
    """Read every lesion of every case that has a synthetic image; what cannot be read is listed by name."""
    rule, resampling = prostate_rule.from_options(options), _resampling(options)
    if (
        any(low >= high for low, high in zip(options.size_bands, options.size_bands[1:]))
        or min(options.size_bands) <= 0
    ):
        raise InputError(f"--size-bands must rise from above 0; got {options.size_bands}.")
    cohort = from_folder(options.data, lesions=options.lesions)
    if not any(case.lesion for case in cohort.cases):
        raise InputError(f"{options.data} marks no lesion; prepare it with --lesions (and --lesions-on target for MR).")
    if options.truth == BY_TABLE and not cohort.known:
        raise InputError("--truth table needs a table of lesions; name it with --lesions.")
    synthetics = find(cohort, options.synthetic)
    made, excluded, notes = _through(cohort, synthetics, rule, options)
    lesions = [row for rows in made for row in rows.lesions]
    notes = [*synthetics.notes, *notes]
    notes += [f"{row['case']}, lesion {row['lesion']}: {row['refused']}; it is not counted." for row in lesions
              if row["refused"]]  # fmt: skip
    notes += _unknown(cohort, lesions, made)
    record = {
        "task": "us2mri", "settings": _settings(options, rule, resampling),
        "rule": rule.sentences(options.zones is not None), "zones": options.zones is not None, "software": versions(),
        "synthetic": made_by(synthetics.about, [rows.image for rows in made]),
        "simulated": cohort.simulated, "cases": len(made),
        "patients": len({rows.image["patient"] for rows in made}), "excluded": excluded, "notes": notes,
        "results": prostate_page.results(made, options.size_bands, resampling, options.truth),
    }  # fmt: skip
    title = "Prostate lesions in synthetic T2 images"
    failures = [failure for rows in made for failure in rows.failures]
    return Reading(
        lesions, [rows.image for rows in made], [row for rows in made for row in rows.marks], record, title,
        prostate_page.parts(title, record, lesions, failures), _summary(record, lesions),
    )  # fmt: skip


def _through(
    cohort: Cohort, synthetics: Synthetics, rule: prostate_rule.Rule, options: argparse.Namespace
) -> tuple[list[Rows], list[str], list[str]]:
    """Rows of every case that can be read; sentences on those that cannot, and on what is odd of the others."""
    made: list[Rows] = []
    excluded, models, unreadable = [], Counter[tuple[str, str]](), []
    cases = [case for case in cohort.cases if case.name in synthetics.makers]
    peripheral = _peripheral(options.zones, options.peripheral)
    for number, case in enumerate(cases, 1):
        try:
            maker = synthetics.makers[case.name]
            view = load(case, maker, options.data, options.zones, peripheral, rule)
            made.append(rows_of(view, cohort.known, options.group, options.truth))
        except InputError as error:
            excluded.append(str(error))
            continue
        models[view.model] += 1
        if view.unreadable:
            unreadable.append(f"{case.name}: {view.unreadable}; its lesions count as not seen.")
        print(f"Read {case.name} ({number} of {len(cases)}).", file=sys.stderr)
    if not made:
        raise InputError(f"No case can be read. {excluded[0]}")
    if len(named := sorted(" ".join(model) for model in models if any(model))) > 1:
        raise InputError(f"The images were made by different models or versions: {', '.join(named)}; read them apart.")
    if named and models[("", "")]:
        unreadable.append(f"{models[('', '')]} of the images do not say which model made them.")
    return made, excluded, unreadable


def _peripheral(zones: Optional[Path], given: Optional[int]) -> int:
    """The label of the peripheral zone: as given, as the simulator's record says, or 1."""
    if given is not None or zones is None:
        return 1 if given is None else given
    path = zones.parent / SIMULATION
    if not path.is_file():
        return 1
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["zones"]["peripheral zone"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not say the label of the peripheral zone; give it with --peripheral.") from error


def _unknown(cohort: Cohort, lesions: Sequence[Mapping[str, Any]], made: Sequence[Rows]) -> list[str]:
    """Lesions of the table that no label holds, in cases that were read."""
    read_cases = {rows.image["case"] for rows in made}
    there = {(row["case"], row["lesion"]) for row in lesions}
    lost = sorted(key for key in cohort.known if key[0] in read_cases and key not in there)
    return [f"{case}, lesion {label}: no voxel has this number, so it is not read." for case, label in lost]


def _resampling(options: argparse.Namespace) -> Resampling:
    try:
        return Resampling(draws=options.draws, seed=options.seed)
    except ValueError as error:
        raise InputError(f"--draws {options.draws}: {error}.") from error


def _settings(options: argparse.Namespace, rule: prostate_rule.Rule, resampling: Resampling) -> dict[str, Any]:
    paths = {name: getattr(options, name) for name in ("data", "synthetic", "zones", "lesions")}
    return {
        **{name: None if path is None else str(path) for name, path in paths.items()},
        "peripheral": _peripheral(options.zones, options.peripheral), "group": options.group, "truth": options.truth,
        "rule": rule.as_dict(), "size_bands_mm": options.size_bands, "resampling": resampling.as_dict(),
    }  # fmt: skip


def _summary(record: Mapping[str, Any], lesions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines for the terminal."""
    found = record["results"]
    counts = Counter(row["outcome"] for row in lesions)
    rate = found["false_positives_per_image"]
    lines = [
        f"{counts[FOUND]} of {counts[FOUND] + counts[MISSED]} lesions that the real images show are seen in the "
        "synthetic ones",
        f"{rate['total']} false positives in {rate['n']} images ({rate['value']:.2f} an image)",
    ]
    if record["simulated"]:
        lines.append("Simulated images: not comparable with results on patients.")
    return [*lines, *(f"Not read: {text}" for text in record["excluded"]), *record["notes"]]


TASK = Task("us2mri", "prostate ultrasound and T2-weighted MR: contrast of every lesion", add_options, read)
