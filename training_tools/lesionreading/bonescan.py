"""Blood pool to delayed bone scan: the second study's reading, lesion by lesion. Here: options and the way through.

The rows of a view are made by `views`, what all of them say together by `boneresults`, the page by `bonepage`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.statistics.bootstrap import Resampling
from imagetranslation.readerstudy.statistics.versions import versions

from . import bonepage, planar, rules
from .boneresults import results
from .calls import Calls, read_calls
from .calls import settings as settings_of_calls
from .cases import Cohort, from_folder, from_table
from .synthetics import Synthetics, find, made_by
from .task import Reading, Task
from .views import BY_RULE, BY_TABLE, RULE, Rows, rows_of

# Per cent; Park et al., Nucl Med Mol Imaging 2023, doi 10.1007/s13139-022-00786-y. "About" as published.
PUBLISHED = {
    "inflammatory arthritis": "77.8%", "osteomyelitis": "about 44%", "CRPS": "87.5%", "cellulitis": "about 44%",
    "recent bone injury": "6.3%",
}  # fmt: skip
SIZES, CONTRASTS = (10.0, 20.0, 40.0), (1.5, 2.0, 3.0)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this task."""
    cases = parser.add_argument_group("cases")
    cases.add_argument("--data", type=Path, help="folder of training_tools.prepare or of the simulator")
    cases.add_argument("--cases", type=Path, metavar="TABLE", help="or a table: patient, group, view, source, target, "
                       "synthetic, lesion, hyperaemia, mirrored; paths relative to it")  # fmt: skip
    cases.add_argument("--synthetic", type=Path, metavar="FOLDER", help="images named after their cases, a model "
                       "package, or a folder of fold-*/package (of a benchmark or a cross-validation)")  # fmt: skip
    cases.add_argument("--group", default="group", metavar="COLUMN", help="fact or column with the disease group")
    cases.add_argument("--lesions", type=Path, metavar="TABLE", help="what is known of lesions: case, lesion (label), "
                       "increased, hyperaemic, place, cause; default: lesions.csv of --data")  # fmt: skip
    cases.add_argument("--automatic", action="store_true", help="look for lesions even where regions are given")
    cases.add_argument("--truth", choices=(BY_RULE, BY_TABLE), default=BY_RULE,
                       help="what is increased in truth: by the rule on the real image, or by the table")  # fmt: skip
    cases.add_argument("--simulated", action="store_true", help="the images of --cases are no patients'")
    calls = parser.add_argument_group("a reader in place of the rule")
    calls.add_argument("--calls", type=Path, metavar="FILE", help="table of calls, or answers.csv of a reader study")
    calls.add_argument("--calls-synthetic", default="", metavar="ARM", help="the study's arm of these images")
    calls.add_argument("--calls-real", default="", metavar="ARM", help="its arm of real images: the reader's own truth")
    calls.add_argument("--calls-key", type=Path, metavar="KEY", help="the study's key: where the shown images lay")
    rules.add_options(parser)
    shown = parser.add_argument_group("results")
    shown.add_argument("--size-bands", type=float, nargs="+", default=list(SIZES), metavar="MM")
    shown.add_argument("--contrast-bands", type=float, nargs="+", default=list(CONTRASTS), metavar="RATIO")
    shown.add_argument("--draws", type=int, default=2000, help="of the bootstrap over patients")
    shown.add_argument("--seed", type=int, default=1, help="of the bootstrap")


def read(options: argparse.Namespace) -> Reading:
    """Read every lesion of every case that has a synthetic image; what cannot be read is listed by name."""
    rule, resampling = rules.from_options(options), _resampling(options)
    for name, edges in (("--size-bands", options.size_bands), ("--contrast-bands", options.contrast_bands)):
        if any(low >= high for low, high in zip(edges, edges[1:])) or min(edges) <= 0:
            raise InputError(f"{name} must rise from above 0; got {edges}.")
    cohort = _cohort(options)
    if options.truth == BY_TABLE and not cohort.known:
        raise InputError("--truth table needs a table of lesions; name it with --lesions.")
    synthetics = find(cohort, options.synthetic)
    calls = None
    if options.calls is not None:
        calls = read_calls(options.calls, cohort, options.calls_synthetic, options.calls_real, options.calls_key)
    made, excluded, notes = _through(cohort, synthetics, rule, options, calls)
    notes = [*cohort.notes, *synthetics.notes, *notes]
    lesions = [row for rows in made for row in rows.lesions]
    notes += [f"{_name(row)}: {row['refused']}; it is not counted." for row in lesions if row["refused"]]
    notes += _unknown(cohort, lesions, excluded, synthetics, calls)
    notes += _unread(made)
    failures = [failure for rows in made for failure in rows.failures]
    record = {
        "task": "pool2delayed", "settings": _settings(options, rule, resampling, calls), "rule": rule.sentences(),
        "software": versions(), "simulated": cohort.simulated,
        "synthetic": made_by(synthetics.about, [rows.images[0] for rows in made]),
        "cases": len(made), "patients": len({row["patient"] for rows in made for row in rows.images}),
        "excluded": excluded, "notes": notes, "published": PUBLISHED,
        "unreadable": sum(rows.unreadable for rows in made),
        "false_positives_by": sorted({row["false_positives_by"] for rows in made for row in rows.images} - {""}),
        "alike": {words: sum(words in rows.images[0]["note"] for rows in made) for words in planar.ALIKE},
        "results": results(made, options.size_bands, options.contrast_bands, resampling, options.truth),
    }  # fmt: skip
    images, marks = ([row for rows in made for row in getattr(rows, part)] for part in ("images", "marks"))
    title = "Lesions in synthetic delayed bone scans"
    return Reading(lesions, images, marks, record, title, bonepage.parts(title, record, lesions, failures),
                   _summary(record))  # fmt: skip


def _through(
    cohort: Cohort, synthetics: Synthetics, rule: rules.Rule, options: argparse.Namespace, calls: Optional[Calls]
) -> tuple[list[Rows], list[str], list[str]]:
    """Rows of every view that can be read; sentences on those that cannot, and on what is odd of the others."""
    made, excluded, models = [], [], Counter[tuple[str, str]]()
    said: dict[str, list[str]] = {}
    cases = [case for case in cohort.cases if case.name in synthetics.makers]
    for number, case in enumerate(cases, 1):
        try:
            view = planar.load(case, synthetics.makers[case.name], rule, options.automatic)
            made.append(rows_of(view, cohort.known, options.truth, calls))
        except InputError as error:
            excluded.append(str(error))
            continue
        models[view.model] += 1
        for note in (*view.notes, *([f"{view.unreadable} Its lesions count as not found."] if view.unreadable else [])):
            said.setdefault(note, []).append(case.name)
        print(f"Read {case.name} ({number} of {len(cases)}).", file=sys.stderr)
    notes = [f"{note[:1].upper()}{note[1:]} ({len(names)}: {', '.join(names)})" for note, names in said.items()]
    if not made:
        raise InputError(f"No case can be read. {excluded[0]}")
    if len(named := sorted(" ".join(model) for model in models if any(model))) > 1:
        raise InputError(f"The images were made by different models or versions: {', '.join(named)}; read them apart.")
    if any(models) and models[("", "")] and named:
        notes.append(f"{models[('', '')]} of the images do not say which model made them.")
    return made, excluded, notes


def _unknown(
    cohort: Cohort,
    lesions: Sequence[Mapping[str, Any]],
    excluded: Sequence[str],
    synthetics: Synthetics,
    calls: Optional[Calls],
) -> list[str]:
    """Lesions of tables that no region holds, in cases that were read."""
    out = {text.partition(":")[0] for text in excluded}
    read_cases = {name for name in synthetics.makers if name not in out}
    there = {(row["case"], row["lesion"]) for row in lesions}
    named = set(cohort.known) | {key[2:] for key in (calls.said if calls else ())}
    lost = sorted(key for key in named if key[0] in read_cases and key not in there)
    return [f"{case}, lesion {label}: no region has this label, so it is not read." for case, label in lost]


def _unread(made: Sequence[Rows]) -> list[str]:
    """A sentence on each reader who did not read all images: no false positive is known of the others."""
    images = [row for rows in made for row in rows.images]
    missing: dict[str, list[str]] = {}
    for row in images:
        if row["false_positives"] == "":
            missing.setdefault(str(row["reader"]), []).append(str(row["case"]))
    return [
        f"{reader} did not read {len(names)} of {len(made)} views: their lesions have no call and are not counted, nor "
        f"are false positives of theirs ({', '.join(names)})."
        for reader, names in missing.items()
    ]


def _cohort(options: argparse.Namespace) -> Cohort:
    if (options.data is None) == (options.cases is None):
        raise InputError("Give the cases with --data FOLDER or with --cases TABLE, one of them.")
    if options.data is not None:
        return from_folder(options.data, options.group, options.lesions)
    return from_table(options.cases, options.group, options.lesions, options.simulated)


def _resampling(options: argparse.Namespace) -> Resampling:
    try:
        return Resampling(draws=options.draws, seed=options.seed)
    except ValueError as error:
        raise InputError(f"--draws {options.draws}: {error}.") from error


def _settings(
    options: argparse.Namespace, rule: rules.Rule, resampling: Resampling, calls: Optional[Calls]
) -> dict[str, Any]:
    paths = {name: getattr(options, name) for name in ("data", "cases", "synthetic", "lesions")}
    return {
        **{name: None if path is None else str(path) for name, path in paths.items()},
        "group": options.group, "automatic": options.automatic, "truth": options.truth, "rule": rule.as_dict(),
        "size_bands_mm": options.size_bands, "contrast_bands": options.contrast_bands,
        "resampling": resampling.as_dict(), "calls": settings_of_calls(calls, options.calls),
    }  # fmt: skip


def _summary(record: Mapping[str, Any]) -> list[str]:
    """Lines for the terminal."""
    lines = []
    for reader, own in record["results"]["readers"].items():
        who = "" if reader == RULE else f"{reader}: "
        for row in own["sensitivity_hyperaemic"]:
            if row["n"]:
                ends = f"Wilson {row['wilson']['low']:.1%} to {row['wilson']['high']:.1%}"
                told = f"{row['k']} of {row['n']} hyperaemic lesions found ({row['value']:.1%}, {ends})"
                lines.append(f"{who}{row['of']}: {told}")
        images = own["false_positives_per_image"][-1]
        if images["n"]:
            rate = f"{images['value']:.2f} an image"
            lines.append(f"{who}{images['total']} false positives in {images['n']} images ({rate})")
    if record["simulated"]:
        lines.append("Simulated images: not comparable with results on patients.")
    return [*lines, *(f"Not read: {text}" for text in record["excluded"]), *record["notes"]]


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['case']}, lesion {row['lesion']}"


TASK = Task("pool2delayed", "blood pool and delayed bone scans: uptake ratio of every lesion", add_options, read)
