"""The definition of a reader study (`study.json`): read, checked, hashed, written.

Everything the statistics need to know beforehand stands here: cases, arms, questions, readers, primary endpoint. A file
that is not sound is refused in one sentence. Which reader sees what when is `schedule`'s matter.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from ..files import write_text
from .questions import OPERATORS, Condition, Option, Question
from .soundness import canonical, one_line, parse_json, schema_fault
from .wording import check_questions

FILE = "study.json"
FORMAT_VERSION = 1
KINDS = ("single", "pair", "source_synthetic", "forced_choice", "ranking")
SLOTS = "ABCDEFGHIJKL"
_LARGEST = 32 << 20
# Names that Windows keeps for devices, whatever follows behind a full stop.
_RESERVED = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]", re.IGNORECASE)


@dataclass(frozen=True)
class Arm:
    """One kind of image that is compared. kind: "real" or "synthetic". model: id and version of what made it. unmarked:
    the coordinator knows that files of this synthetic arm do not say so."""

    id: str
    kind: str
    label: str = ""
    model: str = ""
    unmarked: bool = False


@dataclass(frozen=True)
class Case:
    """images: arm id to path. source: path or "". truth: 1 finding present, 0 absent, None not known."""

    id: str
    patient: str
    source: str
    images: Mapping[str, str]
    truth: Optional[int] = None


@dataclass(frozen=True)
class Hypothesis:
    """What is tested, named before the first answer. question: id; arms: those compared (empty: all)."""

    question: str
    analysis: str
    hypothesis: str
    arms: tuple[str, ...] = ()
    margin: Optional[float] = None


@dataclass(frozen=True)
class Study:
    """A sound study. `document` is the JSON it was read from; the attributes are what the rest of the code uses.

    kind: see KINDS. treatments: the groups of arms shown in one trial: one arm each ("single", "source_synthetic"), a
    pair ("pair", "forced_choice"), or all of them ("ranking"). not_before: one date or None per session.
    min_gap, arms_per_case: None where the schedule chooses. percentiles: see the schema. idle_after_s: seconds.
    """

    document: Mapping[str, Any]
    id: str
    version: int
    title: str
    instructions: str
    seed: int
    kind: str
    show_source: bool
    layout: str
    inverted: bool
    source_modality: str
    target_modality: str
    arms: tuple[Arm, ...]
    treatments: tuple[tuple[str, ...], ...]
    cases: tuple[Case, ...]
    training: tuple[Case, ...]
    readers: tuple[str, ...]
    questions: tuple[Question, ...]
    sessions: int
    washout_days: float
    not_before: tuple[Optional[datetime.date], ...]
    min_gap: Optional[int]
    arms_per_case: Optional[int]
    repeat_fraction: float
    repeat_minimum: int
    percentiles: tuple[float, float]
    field_of_view: str
    outside_folders: tuple[str, ...]
    allow_back: bool
    idle_after_s: float
    alpha: float
    primary: Hypothesis
    hypotheses: tuple[Hypothesis, ...] = field(default=())

    @property
    def sha256(self) -> str:
        """Hex digest of the whole definition; layout and order of keys in the file do not matter."""
        return hashlib.sha256(canonical(self.document).encode("utf-8")).hexdigest()

    def arm(self, id_: str) -> Arm:
        """The arm of that id; KeyError where there is none."""
        return next(arm for arm in self.arms if arm.id == id_)

    def case(self, id_: str) -> Case:
        """The case (or training case) of that id."""
        return next(case for case in (*self.cases, *self.training) if case.id == id_)


def load_study(path: str | Path) -> Study:
    """Read `study.json` (or the folder it lies in); InputError with one sentence for anything unsound."""
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    return study_from(read_document(file), str(file))


def read_document(file: Path) -> Any:
    """The JSON in a file, refused in one sentence where it is too large, not text, not JSON, or names a key twice."""
    try:
        if file.stat().st_size > _LARGEST:
            raise InputError(f"{file} is larger than {_LARGEST >> 20} MiB; that is no study file.")
        return parse_json(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from error


def save_study(document: Mapping[str, Any], folder: str | Path) -> Study:
    """Check the document, write it as `study.json` (indented, see `keep_private`) and return the study."""
    study = study_from(document, FILE)
    keep_private(write_text(Path(folder) / FILE, json.dumps(document, indent=1, ensure_ascii=False) + "\n"))
    return study


def keep_private(file: Path) -> None:
    """Let nobody but its owner read a study file: its seed draws the schedule, and so tells what the key tells.

    Where that is not ours to change the audit says so.
    """
    with contextlib.suppress(OSError):
        file.chmod(0o600)


def study_from(document: Any, where: str) -> Study:
    """The study a JSON document describes; InputError with one sentence naming the first fault."""
    version = document.get("format_version") if isinstance(document, dict) else None
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT_VERSION:
        raise InputError(
            f"{where} is a study of format {version}; this version reads format {FORMAT_VERSION}. "
            "Update imagetranslation."
        )
    if fault := schema_fault(document):
        raise InputError(f"{where} is not a sound study: {fault}.")
    try:
        study = _built(document)
        _check(study)
    except InputError as error:
        raise InputError(f"{where} is not a sound study: {error}") from None
    return study


def _built(document: Mapping[str, Any]) -> Study:
    display, image = document["display"], document.get("image", {})
    sessions, schedule = document.get("sessions", {}), document.get("schedule", {})
    options = document.get("options", {})
    arms = tuple(
        Arm(a["id"], a["kind"], a.get("label", a["id"]), a.get("model", ""), bool(a.get("unmarked", False)))
        for a in document["arms"]
    )  # fmt: skip
    count = int(sessions.get("count", 1))
    dates = [None if d is None else _date(d) for d in sessions.get("not_before", [])]
    if len(dates) > count:
        raise InputError(f"sessions.not_before has {len(dates)} dates for {count} session{'s' if count > 1 else ''}.")
    gap, per_case = schedule.get("min_gap"), schedule.get("arms_per_case")
    low, high = image.get("percentiles", (0.5, 99.5))
    return Study(
        document=document,
        id=document["id"],
        version=int(document["version"]),
        title=document["title"],
        instructions=document.get("instructions", ""),
        seed=int(document["seed"]),
        kind=display["kind"],
        show_source=bool(display.get("show_source", display["kind"] == "source_synthetic")),
        layout=display.get("layout", "Axial"),
        inverted=bool(display.get("inverted", False)),
        source_modality=document.get("source", {}).get("modality", ""),
        target_modality=document.get("target", {}).get("modality", ""),
        arms=arms,
        treatments=_treatments(display, arms),
        cases=tuple(_case(c) for c in document["cases"]),
        training=tuple(_case(c) for c in document.get("training", [])),
        readers=tuple(document["readers"]),
        questions=tuple(question_from(q) for q in document["questions"]),
        sessions=count,
        washout_days=float(sessions.get("washout_days", 0)),
        not_before=tuple(dates + [None] * (count - len(dates))),
        min_gap=None if gap is None else int(gap),
        arms_per_case=None if per_case is None else int(per_case),
        repeat_fraction=float(schedule.get("repeat_fraction", 0.1)),
        repeat_minimum=int(schedule.get("repeat_minimum", 10)),
        percentiles=(float(low), float(high)),
        field_of_view=image.get("field_of_view", "auto"),
        outside_folders=tuple(document.get("outside_folders", ())),
        allow_back=bool(options.get("allow_back", True)),
        idle_after_s=float(options.get("idle_after_s", 60)),
        alpha=float(document.get("alpha", 0.05)),
        primary=_hypothesis(document["primary"]),
        hypotheses=tuple(_hypothesis(h) for h in document.get("hypotheses", [])),
    )


def _case(made: Mapping[str, Any]) -> Case:
    truth = made.get("truth")
    return Case(
        made["id"],
        made.get("patient", made["id"]),
        made.get("source", ""),
        dict(made["images"]),
        None if truth is None else int(truth),
    )


def _hypothesis(made: Mapping[str, Any]) -> Hypothesis:
    return Hypothesis(
        made["question"], made["analysis"], made["hypothesis"], tuple(made.get("arms", ())), made.get("margin")
    )


def question_from(made: Mapping[str, Any]) -> Question:
    """A question from its JSON, which follows the schema."""
    options = tuple(Option(o["id"], o["text"]) for o in made.get("options", ()))
    condition = None
    if (given := made.get("show_if")) is not None:
        named = [operator for operator in OPERATORS if operator in given]
        if len(named) != 1:
            raise InputError(f"question {made['id']}: show_if needs one of {', '.join(OPERATORS)}.")
        condition = Condition(given["question"], named[0], given[named[0]])
    ends = made.get("ends", ("", ""))
    return Question(
        id=made["id"],
        type=made["type"],
        text=made["text"],
        required=bool(made.get("required", True)),
        each_image=bool(made.get("each_image", False)),
        cannot_assess=bool(made.get("cannot_assess", False)),
        help=made.get("help", ""),
        anchors=tuple(made.get("anchors", ())),
        first=int(made.get("first", 1)),
        options=options,
        images_are_options=bool(made.get("images_are_options", made["type"] == "ranking" and not options)),
        ends=(ends[0], ends[1]),
        minimum=made.get("minimum"),
        maximum=made.get("maximum"),
        unit=made.get("unit", ""),
        show_if=condition,
    )


def _treatments(display: Mapping[str, Any], arms: tuple[Arm, ...]) -> tuple[tuple[str, ...], ...]:
    names = [arm.id for arm in arms]
    kind = display["kind"]
    if kind not in ("pair", "forced_choice") and "pairs" in display:
        raise InputError(f'display.pairs belongs to "pair" and "forced_choice", not to "{kind}".')
    if kind in ("single", "source_synthetic"):
        return tuple((name,) for name in names)
    if len(arms) < 2:
        raise InputError(f'a display of kind "{kind}" needs two arms or more; there is {len(arms)}.')
    if kind == "ranking":
        return (tuple(names),)
    if given := display.get("pairs"):
        if unknown := sorted({name for pair in given for name in pair} - set(names)):
            raise InputError(f"display.pairs names {unknown[0]}, which is no arm.")
        if any(a == b for a, b in given) or len({frozenset(pair) for pair in given}) != len(given):
            raise InputError("display.pairs must be different pairs of two different arms.")
        return tuple((a, b) for a, b in given)
    kinds = {arm.id: arm.kind for arm in arms}
    mixed = [(a, b) for a, b in itertools.combinations(names, 2) if kinds[a] != kinds[b]]
    return tuple(mixed or itertools.combinations(names, 2))


def _check(study: Study) -> None:
    _unique("arm", (arm.id for arm in study.arms))
    _unique("case", (case.id for case in (*study.cases, *study.training)))
    _unique("reader", study.readers)
    if odd := [code for code in study.readers if _RESERVED.fullmatch(code)]:
        raise InputError(f"a reader cannot be called {odd[0]}: Windows takes no file of that name for the journal.")
    shared = {case.patient for case in study.cases} & {case.patient for case in study.training}
    if shared:
        raise InputError(f"patient {min(shared)} is in the training cases and in the study.")
    names = {arm.id for arm in study.arms}
    for case in (*study.cases, *study.training):
        if set(case.images) != names:
            odd = sorted(set(case.images) ^ names)
            raise InputError(f"case {case.id} must have one image of each arm; {odd[0]} is missing or unknown.")
        if study.show_source and not case.source:
            raise InputError(f"case {case.id} has no source image, which this study shows.")
        files = [*case.images.values(), *([case.source] if case.source else [])]
        if len(set(files)) != len(files):
            raise InputError(f"case {case.id} names one file for two images.")
    if study.arms_per_case is not None and study.arms_per_case > len(study.treatments):
        raise InputError(
            f"schedule.arms_per_case is {study.arms_per_case}, and there are {len(study.treatments)} to show."
        )
    if not study.percentiles[0] < study.percentiles[1]:
        raise InputError("image.percentiles must rise.")
    if [date for date in study.not_before if date] != sorted(date for date in study.not_before if date):
        raise InputError("sessions.not_before must not go back in time.")
    check_questions(study.questions, study.kind)
    _check_hypotheses(study, names)


def _check_hypotheses(study: Study, names: set[str]) -> None:
    asked = {question.id: question for question in study.questions}
    truths = {case.truth for case in study.cases}
    for hypothesis in (study.primary, *study.hypotheses):
        if hypothesis.question not in asked:
            raise InputError(f"a hypothesis is about question {one_line(hypothesis.question)}, which is not asked.")
        if unknown := sorted(set(hypothesis.arms) - names):
            raise InputError(f"a hypothesis compares {unknown[0]}, which is no arm.")
        if hypothesis.analysis == "mrmc" and truths != {0, 1}:
            raise InputError("an mrmc hypothesis needs truth 0 or 1 for every case, and cases of both.")
        if hypothesis.analysis == "mrmc" and asked[hypothesis.question].type not in ("likert", "vas", "number"):
            raise InputError(f"an mrmc hypothesis needs a rating; {hypothesis.question} is none.")


def _unique(what: str, names: Iterable[str]) -> None:
    # Names become file names, and some file systems do not tell "r1" from "R1".
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise InputError(f"two {what}s are called {name}{'' if seen[name.lower()] == name else ' (case ignored)'}.")
        seen[name.lower()] = name


def _date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text} is no date.") from None
