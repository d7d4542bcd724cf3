"""Which patients are trained on and which are tested: drawn once, by patient, and kept in a file with hashes.

    python -m training_tools.splits --data PREPARED --folds 5 --stratify site -o splits.json

A split names cases, but it is drawn over patients (or over whole sites or scanners, with `by`), so that none is on two
sides. The file holds a hash of every case's images: `read_split` refuses it for data that have changed since. That
nothing else leaks is `leaks`'s to check.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imagetranslation import __version__
from imagetranslation.errors import InputError
from imagetranslation.files import write_text

from .console import run as run_command
from .dataset import BOTH, manifest, patients
from .training.cache import fingerprints

PARTS = ("train", "validation", "test")
STUDY_SHARES = (0.75, 0.10, 0.15)  # of the ultrasound-to-MRI study


@dataclass(frozen=True)
class Subject:
    """One prepared case. patient: the case's own name where the data name none. facts: site, scanner, label ..."""

    case: str
    patient: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """Disjoint sets of cases. folds: test sets of a cross-validation that cover all cases; else parts by name.

    subjects: of all cases, by case. hashes: of each case's images.
    """

    folds: tuple[tuple[str, ...], ...]
    parts: Mapping[str, tuple[str, ...]]
    subjects: Mapping[str, Subject]
    hashes: Mapping[str, str]
    settings: Mapping[str, Any]

    def sides(self) -> dict[str, tuple[str, ...]]:
        """The disjoint sets by name: "fold 0" and so on, or the parts."""
        return {f"fold {n}": cases for n, cases in enumerate(self.folds)} or dict(self.parts)

    def train_and_test(self, fold: int | None = None) -> tuple[list[str], list[str], list[str]]:
        """Cases to train on, to validate on (none in a cross-validation) and to test on."""
        if self.folds:
            if fold is None or not 0 <= fold < len(self.folds):
                raise InputError(f"There is no fold {fold}: the {len(self.folds)} folds count from 0.")
            kept = [case for number, cases in enumerate(self.folds) if number != fold for case in cases]
            return sorted(kept), [], sorted(self.folds[fold])
        return tuple(sorted(self.parts.get(part, ())) for part in PARTS)  # type: ignore[return-value]


def subjects(data: Path) -> dict[str, Subject]:
    """The prepared cases and what is known of them, by case."""
    facts = {record["case"]: record.get("facts", {}) for record in manifest(data)["cases"]}
    alone = {record["case"]: record["side"] for record in manifest(data)["cases"] if "side" in record}
    if alone:
        facts = {case: {**about, "side": alone.get(case, BOTH)} for case, about in facts.items()}
    return {
        case: Subject(case, patient, {key: str(value) for key, value in facts[case].items()})
        for case, patient in sorted(patients(data).items())
    }


def draw_folds(
    known: Mapping[str, Subject], count: int, *, seed: int = 0, stratify: Sequence[str] = (), by: str = "patient"
) -> list[list[str]]:
    """`count` test sets that cover all cases and share no group.

    stratify: facts whose values are spread evenly over the folds (a group counts with its most frequent value). by:
    "patient", or a fact such as "site", whose every value stays on one side. InputError where there are too few groups.
    """
    if count < 2:
        raise InputError("A cross-validation needs 2 folds or more.")
    folds: list[list[str]] = [[] for _ in range(count)]
    groups = _groups(known, by)
    if len(groups) < count:
        raise InputError(f"{count} folds need at least {count} groups of cases ({by}); there are {len(groups)}.")
    for group in _in_order(groups, known, seed, stratify):
        # The fold with the fewest cases of this stratum takes the group; of equals, the one with fewest in all.
        stratum = _stratum(groups[group], known, stratify)
        place = min(folds, key=lambda fold: (_held(fold, known, stratify, stratum), len(fold)))
        place.extend(groups[group])
    return [sorted(fold) for fold in folds]


def draw_parts(
    known: Mapping[str, Subject],
    shares: Sequence[float] = STUDY_SHARES,
    *,
    seed: int = 0,
    stratify: Sequence[str] = (),
    by: str = "patient",
) -> dict[str, list[str]]:
    """Train, validation and test sets with about these shares of the cases; see `draw_folds`.

    InputError for shares that do not sum to 1, and where a part with a share would stay empty.
    """
    if len(shares) != len(PARTS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise InputError("The shares of training, validation and test must not be negative and must sum to 1.")
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    groups = _groups(known, by)
    for group in _in_order(groups, known, seed, stratify):
        stratum = _stratum(groups[group], known, stratify)
        wanted = [part for part, share in zip(PARTS, shares) if share]

        def filled(part: str, stratum: tuple[str, ...] = stratum) -> tuple[float, float]:
            share = shares[PARTS.index(part)]
            return _held(parts[part], known, stratify, stratum) / share, len(parts[part]) / share

        parts[min(wanted, key=filled)].extend(groups[group])
    if empty := [part for part, share in zip(PARTS, shares) if share and not parts[part]]:
        raise InputError(f"{len(groups)} groups of cases ({by}) are too few: nothing is left for {empty[0]}.")
    return {part: sorted(cases) for part, cases in parts.items()}


def make_split(
    data: Path,
    *,
    folds: int = 0,
    shares: Sequence[float] = STUDY_SHARES,
    seed: int = 0,
    stratify: Sequence[str] = (),
    by: str = "patient",
    alike: float | None = None,
) -> Split:
    """A split of prepared data: `folds` test sets, or (folds 0) three parts; alike: see `leaks.check`.

    Where some cases are unpaired, each side's patients are spread evenly, as if `stratify` named it ("side").

    InputError for a fact that some cases lack.
    """
    known = subjects(data)
    if any("side" in subject.facts for subject in known.values()):
        stratify = ("side", *(fact for fact in stratify if fact != "side"))
    for fact in {*stratify, *({by} - {"patient"})}:
        if lacking := [case for case, subject in known.items() if not subject.facts.get(fact)]:
            raise InputError(f"The data do not tell the {fact} of {', '.join(lacking[:5])}; leave it out, or add it.")
    if alike is not None and not 0 < alike <= 1:
        raise InputError("--alike is a correlation: above 0, at most 1.")
    settings = {"seed": seed, "stratify": list(stratify), "by": by, "shares": None if folds else list(shares)}
    settings["alike"] = alike
    prints = fingerprints(data, list(known))
    if folds:
        drawn = draw_folds(known, folds, seed=seed, stratify=stratify, by=by)
        return Split(tuple(map(tuple, drawn)), {}, known, prints, settings)
    parts = draw_parts(known, shares, seed=seed, stratify=stratify, by=by)
    return Split((), {part: tuple(cases) for part, cases in parts.items()}, known, prints, settings)


def one_sided(split: Split) -> list[str]:
    """Where a side of the split lacks a value of a fact that it is stratified by, in words."""
    found = []
    for fact in split.settings.get("stratify", ()):
        held = {
            side: {split.subjects[case].facts.get(fact, "") for case in cases} for side, cases in split.sides().items()
        }
        every = sorted(set().union(*held.values()))
        if len(every) == 1:
            found.append(f"every case has the {fact} {every[0]}, so there is nothing to spread.")
        for side, values in held.items():
            if lacking := " or ".join(value for value in every if value not in values):
                found.append(f"{side} has no case with the {fact} {lacking}: nothing about it can be said there.")
    return found


def write_split(split: Split, path: Path) -> None:
    """Write the split's file."""
    cases = {
        case: {"patient": subject.patient, "facts": dict(subject.facts), "images": split.hashes[case]}
        for case, subject in split.subjects.items()
    }
    record = {
        "folds": [list(cases) for cases in split.folds],
        "parts": {part: list(cases) for part, cases in split.parts.items()},
        "cases": cases,
        "settings": dict(split.settings),
        "software": {"imagetranslation": __version__},
    }
    write_text(path, json.dumps(record, indent=2) + "\n")


def read_split(path: Path, data: Path) -> Split:
    """Read a split and hold it against the data; InputError where it is none, is inconsistent, or the data changed."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        known = {
            case: Subject(case, str(about["patient"]), {k: str(v) for k, v in about["facts"].items()})
            for case, about in record["cases"].items()
        }
        hashes = {case: str(about["images"]) for case, about in record["cases"].items()}
        folds = tuple(tuple(map(str, cases)) for cases in record["folds"])
        parts = {str(part): tuple(map(str, cases)) for part, cases in record["parts"].items()}
        split = Split(folds, parts, known, hashes, dict(record.get("settings", {})))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no split (a file written by training_tools.splits).") from error
    _check(split, path)
    _compare(split, path, data)
    return split


def _check(split: Split, path: Path) -> None:
    named = [case for cases in split.sides().values() for case in cases]
    if bool(split.folds) == bool(split.parts) or sorted(named) != sorted(split.subjects):
        raise InputError(f"{path} does not put each of its cases on exactly one side; draw the split again.")
    sides: dict[str, set[str]] = defaultdict(set)
    for side, cases in split.sides().items():
        for case in cases:
            sides[split.subjects[case].patient].add(side)
    if shared := sorted(patient for patient, where in sides.items() if len(where) > 1):
        where = " and ".join(sorted(sides[shared[0]]))
        raise InputError(
            f"{path} has {len(shared)} patients on two sides, among them {shared[0]} ({where}); draw it again."
        )


def _compare(split: Split, path: Path, data: Path) -> None:
    now = subjects(data)
    if missing := sorted(set(split.subjects) - set(now)):
        raise InputError(f"{path} names {missing[0]}, which {data} does not hold.")
    if new := sorted(set(now) - set(split.subjects)):
        raise InputError(f"{data} holds {new[0]}, which {path} puts on no side; draw the split again.")
    if moved := sorted(case for case in now if now[case].patient != split.subjects[case].patient):
        raise InputError(f"{moved[0]} belongs to another patient than when {path} was drawn; draw the split again.")
    prints = fingerprints(data, list(now))
    if changed := sorted(case for case, print_ in prints.items() if split.hashes[case] != print_):
        raise InputError(
            f"The images of {len(changed)} cases have changed since {path} was drawn, among them {changed[0]}; "
            "draw the split again, and train again what was trained on the old one."
        )


def _groups(known: Mapping[str, Subject], by: str) -> dict[str, list[str]]:
    """Cases that must stay together; patients that share a value of `by` stay with it."""
    if not known:
        raise InputError("There is no case to split.")
    groups: dict[str, list[str]] = defaultdict(list)
    for case, subject in known.items():
        groups[subject.patient if by == "patient" else subject.facts.get(by, "")].append(case)
    if by != "patient":
        _require_one_value(known, by)
    return dict(sorted(groups.items()))


def _require_one_value(known: Mapping[str, Subject], by: str) -> None:
    values: dict[str, set[str]] = defaultdict(set)
    for subject in known.values():
        values[subject.patient].add(subject.facts.get(by, ""))
    if several := sorted(patient for patient, found in values.items() if len(found) > 1):
        raise InputError(
            f"{several[0]} has cases of more than one {by}, so a split by {by} would cut the patient in two."
        )


def _in_order(
    groups: Mapping[str, list[str]], known: Mapping[str, Subject], seed: int, stratify: Sequence[str]
) -> list[str]:
    """Large groups first, equals in an order that the seed alone decides, whatever their number or names' order."""

    def place(group: str) -> tuple[int, str]:
        return -len(groups[group]), hashlib.sha256(f"{seed}\n{group}".encode()).hexdigest()

    return sorted(groups, key=lambda group: (_stratum(groups[group], known, stratify), *place(group)))


def _stratum(cases: Sequence[str], known: Mapping[str, Subject], stratify: Sequence[str]) -> tuple[str, ...]:
    found = []
    for fact in stratify:
        values = [known[case].facts.get(fact, "") for case in cases]
        found.append(max(sorted(set(values)), key=values.count))
    return tuple(found)


def _held(cases: Sequence[str], known: Mapping[str, Subject], stratify: Sequence[str], stratum: tuple[str, ...]) -> int:
    return sum(_stratum([case], known, stratify) == stratum for case in cases)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    from .leaks import check

    parser = argparse.ArgumentParser(prog="python -m training_tools.splits", description="Draw a split by patient.")
    parser.add_argument("--data", type=Path, required=True, help="folder written by training_tools.prepare")
    parser.add_argument("--folds", type=int, default=0, help="of a cross-validation; without it, three parts")
    parser.add_argument("--shares", type=float, nargs=3, default=STUDY_SHARES, metavar=("TRAIN", "VALIDATION", "TEST"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stratify", nargs="+", default=(), metavar="FACT", help="spread evenly: site, scanner, label")
    parser.add_argument("--by", default="patient", help="what must stay on one side: patient, or a fact such as site")
    parser.add_argument("--alike", type=float, help="correlation from which on images of two patients count as one")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the split's file, JSON")
    options = parser.parse_args(arguments)
    split = make_split(
        options.data, folds=options.folds, shares=options.shares, seed=options.seed, stratify=options.stratify,
        by=options.by, alike=options.alike,
    )  # fmt: skip
    report = check(options.data, split)
    for remark in one_sided(split):
        print(f"warning: {remark}", file=sys.stderr)
    write_split(split, options.output)
    sizes = {side: len(cases) for side, cases in split.sides().items()}
    print(json.dumps({"sides": sizes, "closest": report.closest, "split": str(options.output)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
