"""Which translators a cross-fit needs, whom each learns from, and whose images it makes; kept as `plan.json`.

Simple: one division of all patients into K parts; each translator learns from all parts but one and makes that part's
images. Nested: within every outer fold one translator learns from all its training patients and makes the images of
the tested ones, and J translators, each without one part of the training patients, make the images of these; so K
(J + 1) translators a repeat. Patients kept for one last test are seen by no translator at all; their images come from
one more, of everybody else. Training and translating is `making`'s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.errors import InputError
from imagetranslation.files import write_text

from ..classifying.crossfit import ALL, NESTED, SIMPLE, TEST
from ..classifying.crossvalidation import Folds

SCHEMES = (SIMPLE, NESTED)
NAME = "plan.json"


@dataclass(frozen=True)
class Translator:
    """name: of its folder. fold: in which its images are used. trained_on, makes: patients; they share none."""

    name: str
    fold: str
    trained_on: tuple[str, ...]
    makes: tuple[str, ...]


@dataclass(frozen=True)
class Scheme:
    """What is asked for. folds: K. inner: J. test: patients kept for one last test."""

    kind: str = NESTED
    folds: int = 5
    inner: int = 3
    repeats: int = 1
    seed: int = 0
    test: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in SCHEMES:
            raise InputError(f"Unknown scheme {self.kind!r}; there are {' and '.join(SCHEMES)}.")
        if self.folds < 2 or self.inner < 2 or self.repeats < 1:
            raise InputError("A cross-fit needs 2 folds, 2 inner parts and 1 repeat, or more.")
        if self.kind == SIMPLE and self.repeats > 1:
            raise InputError("A simple cross-fit makes one image of each patient; --repeats is for the nested one.")


@dataclass(frozen=True)
class Plan:
    """A cross-fit's folder in full.

    tested: outer fold to the patients it tests, empty for a simple one. labelled: whether the division is stratified.
    prints: hash of each case's images. steps: of every training. created: the time that all images bear. seconds,
    alike: as they were asked for, or None.
    """

    scheme: Scheme
    config_sha256: str
    steps: int
    seconds_a_step: float
    created: str
    labelled: bool
    prints: Mapping[str, str]
    tested: Mapping[str, tuple[str, ...]]
    translators: tuple[Translator, ...]
    notes: tuple[str, ...] = field(default=())
    seconds: float | None = None
    alike: float | None = None

    def made_from(self, cases: Mapping[str, Sequence[str]], translator: Translator) -> str:
        """Hash of all that decides about a translator and its images. cases: of each patient."""
        names = sorted(case for who in (*translator.trained_on, *translator.makes) for case in cases[who])
        content = {
            "config": self.config_sha256, "steps": self.steps, "created": self.created,
            "translator": asdict(translator), "cases": {name: self.prints[name] for name in names},
        }  # fmt: skip
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def draw(
    patients: Sequence[str], labels: Mapping[str, Any] | None, scheme: Scheme
) -> tuple[dict[str, tuple[str, ...]], tuple[Translator, ...], tuple[str, ...]]:
    """Tested patients of each outer fold, the translators, and sentences about who takes no part.

    labels: patient to label, by which folds are stratified; patients who are not in it teach every translator and get
    no image, those whose label is None are spread over the folds and get images like all others. Folds are those that
    `training_tools.classify --plan` draws. InputError for labels of unknown patients, too few patients for the folds,
    and unknown test patients.
    """
    everyone = sorted(patients)
    notes: list[str] = []
    if unknown := sorted(set(scheme.test) - set(everyone)):
        raise InputError(f"{unknown[0]} is to be tested last, but the data do not hold that patient.")
    if labels is not None and (stranger := sorted(set(labels) - set(everyone))):
        notes.append(f"{len(stranger)} patients have a label and no images, and take no part: {', '.join(stranger)}.")
    known = {who: labels[who] if labels is not None else 0 for who in everyone if labels is None or who in labels}
    teaching = [who for who in everyone if who not in known]
    if teaching:
        notes.append(
            f"{len(teaching)} patients have no label: they teach all translators and get no images: "
            f"{', '.join(teaching)}."
        )
    unlabelled = [who for who in known if known[who] is None]
    if unlabelled:
        notes.append(
            f"{len(unlabelled)} patients have no label: they are spread over the folds, and get images: "
            f"{', '.join(unlabelled)}."
        )
    if lost := sorted(set(scheme.test) & {*teaching, *unlabelled}):
        raise InputError(f"{lost[0]} is to be tested last, but has no label.")
    kept = [who for who in known if who not in scheme.test]
    translators: list[Translator] = []
    tested: dict[str, tuple[str, ...]] = {}

    def crossed(fold: str, among: Sequence[str], count: int, seed: int, name: str) -> None:
        """Translators that make the images of `among`, each part's by one that saw the others."""
        for number, part in enumerate(_parts(among, known, count, seed)):
            learnt = sorted({*among, *teaching} - set(part))
            translators.append(Translator(f"{name}-{number}", fold, tuple(learnt), tuple(part)))

    def whole(fold: str, learnt: Sequence[str], makes: Sequence[str]) -> None:
        translators.append(Translator(f"{fold}-whole", fold, tuple(sorted({*learnt, *teaching})), tuple(sorted(makes))))

    if scheme.kind == SIMPLE:
        crossed(ALL, kept, scheme.folds, scheme.seed, ALL)
        if scheme.test:
            whole(ALL, kept, scheme.test)
        return {}, tuple(translators), tuple(notes)
    for repeat in range(scheme.repeats):
        for number, part in enumerate(_parts(kept, known, scheme.folds, scheme.seed + 1000 * repeat)):
            fold = f"{repeat}-{number}"
            others = [who for who in kept if who not in part]
            tested[fold] = tuple(part)
            whole(fold, others, part)
            crossed(fold, others, scheme.inner, scheme.seed + 1000 * repeat + number, fold)
    if scheme.test:
        whole(TEST, kept, scheme.test)
        crossed(TEST, kept, scheme.inner, scheme.seed, TEST)
    return tested, tuple(translators), tuple(notes)


def _parts(patients: Sequence[str], labels: Mapping[str, Any], count: int, seed: int) -> list[list[str]]:
    """`count` disjoint parts that cover the patients, stratified by label, or at random where all labels are one."""
    order = [who for who in sorted(patients) if labels[who] is not None]
    others = [who for who in sorted(patients) if labels[who] is None]
    values = [labels[who] for who in order]
    classes = sorted(set(values))
    if len(classes) == 2:
        truth = np.array([int(value == classes[-1]) for value in values])
        parts = [[order[n] for n in tested] for _, _, _, tested in Folds(count, 1, seed).divide(truth)]
        return [sorted([*part, *more]) for part, more in zip(parts, _dealt(others, count, seed))]
    if len(patients) < count:
        raise InputError(f"{count} folds need at least {count} patients; there are {len(patients)}.")
    return _dealt(sorted(patients), count, seed)


def _dealt(names: Sequence[str], count: int, seed: int) -> list[list[str]]:
    """Names at random into parts whose sizes differ by one at most."""
    mixed = np.random.default_rng(seed).permutation(len(names))
    return [sorted(names[n] for n in mixed[start::count]) for start in range(count)]


def write(plan: Plan, folder: Path) -> None:
    """Keep the plan."""
    write_text(folder / NAME, json.dumps(asdict(plan), indent=1) + "\n")


def read(folder: Path) -> Plan:
    """The plan of a cross-fit's folder; InputError where there is none."""
    try:
        record = json.loads((folder / NAME).read_text(encoding="utf-8"))
        scheme = Scheme(**{**record["scheme"], "test": tuple(record["scheme"]["test"])})
        translators = tuple(
            Translator(t["name"], t["fold"], tuple(t["trained_on"]), tuple(t["makes"])) for t in record["translators"]
        )
        tested = {fold: tuple(patients) for fold, patients in record["tested"].items()}
        rest = {**record, "scheme": scheme, "translators": translators, "tested": tested}
        return Plan(**{**rest, "notes": tuple(record["notes"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} holds no cross-fit ({NAME}); choose an empty folder.") from error
