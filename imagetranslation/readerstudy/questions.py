"""The questions of a reading form: their types, what each accepts as an answer, which are shown, what a key means.

No widget and no file: the two faces of a reading (Slicer, browser) and the exports all ask here. An answer is plain
JSON, see `Question`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ..errors import InputError

TYPES = (
    "likert",
    "yes_no",
    "choice",
    "multi_choice",
    "vas",
    "ranking",
    "number",
    "text",
    "place",
    "roi",
)  # fmt: skip
# The answer of a reader who cannot answer, where the question allows it; never a value among the others.
CANNOT_ASSESS: dict[str, Any] = {"cannot_assess": True}
OPERATORS = ("equals", "in", "includes", "at_least", "at_most")
_MOST_POINTS, _LONGEST_TEXT, _FARTHEST_MM = 5000, 20_000, 1e5


@dataclass(frozen=True)
class Option:
    """One thing to choose: `id` is stored, `text` is shown."""

    id: str
    text: str


@dataclass(frozen=True)
class Condition:
    """Shown only if the answer to an earlier `question` fulfils `operator` (see `OPERATORS`) with `value`."""

    question: str
    operator: str
    value: Any


@dataclass(frozen=True)
class Question:
    """One question. Its answers, as JSON, by type:

    likert: the step, an integer from `first` to `first + len(anchors) - 1`. yes_no: true or false. choice: an option's
    id. multi_choice: list of option ids in the order of the options, possibly empty ("none of these"). vas: number 0
    to 100. ranking: list of all option ids, best first. number: finite number within `minimum` and `maximum`. text:
    string. place: list of {"image": slot, "point": [x, y, z]}, LPS mm of the shown image. roi: list of {"image": slot,
    "points": [[x, y, z], ...]}, closed outlines of at least three points, LPS mm.

    Any of them may be `CANNOT_ASSESS` where `cannot_assess` is set, and None means not answered.
    each_image: asked once for every blinded image of the trial. images_are_options: the options are the trial's
    blinded images (forced choice, ranking), ids "A", "B", ... ends: the texts at 0 and 100 of a vas.
    """

    id: str
    type: str
    text: str
    required: bool = True
    each_image: bool = False
    cannot_assess: bool = False
    help: str = ""
    anchors: tuple[str, ...] = ()
    first: int = 1
    options: tuple[Option, ...] = ()
    images_are_options: bool = False
    ends: tuple[str, str] = ("", "")
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    unit: str = ""
    show_if: Optional[Condition] = None


@dataclass(frozen=True)
class Item:
    """One line of a trial's form: `key` names the answer in the journal ("realism", or "realism@B" for image B)."""

    key: str
    question: Question
    slot: str = ""
    options: tuple[Option, ...] = ()


def items(questions: Sequence[Question], slots: Sequence[str]) -> tuple[Item, ...]:
    """The whole form of a trial with those blinded images (slots "A", "B", ...), shown or not.

    Per-image questions follow each other image by image only where they are neighbours, so that the form keeps the
    order of the study file.
    """
    made: list[Item] = []
    for question in questions:
        options = tuple(Option(s, f"Image {s}") for s in slots) if question.images_are_options else question.options
        if question.each_image and len(slots) > 1:
            made += [Item(f"{question.id}@{slot}", question, slot, options) for slot in slots]
        else:
            made.append(Item(question.id, question, slots[0] if len(slots) == 1 else "", options))
    return tuple(made)


def visible(form: Sequence[Item], answers: Mapping[str, Any]) -> tuple[Item, ...]:
    """The items whose conditions hold for these answers; what hangs on a hidden question is hidden too."""
    shown: dict[str, Item] = {}
    for item in form:
        condition = item.question.show_if
        if condition is None:
            shown[item.key] = item
            continue
        asked = [key for key in (f"{condition.question}@{item.slot}", condition.question) if key in shown]
        if asked and holds(condition, answers.get(asked[0])):
            shown[item.key] = item
    return tuple(shown.values())


def holds(condition: Condition, answer: Any) -> bool:
    """Whether an answer fulfils a condition; no answer and "cannot assess" never do."""
    if answer is None or answer == CANNOT_ASSESS:
        return False
    value = condition.value
    if condition.operator == "equals":
        return bool(answer == value) and isinstance(answer, bool) == isinstance(value, bool)
    if condition.operator == "in":
        return any(holds(Condition("", "equals", one), answer) for one in value)
    if condition.operator == "includes":
        return value in answer
    return bool(answer >= value if condition.operator == "at_least" else answer <= value)


def steps(question: Question) -> tuple[int, ...]:
    """The steps of a Likert question, lowest first."""
    return tuple(range(question.first, question.first + len(question.anchors)))


def checked(item: Item, value: Any, slots: Sequence[str]) -> Any:
    """The answer as it is stored (numbers plain, lists ordered), or InputError with one sentence; None takes it back.

    slots: every image of the trial on which something can be marked ("source" included).
    """
    question = item.question
    if value is None:
        return None
    if value == CANNOT_ASSESS and isinstance(value, Mapping):
        if question.cannot_assess:
            return dict(CANNOT_ASSESS)
        raise InputError(f'"{question.text}" must be answered; "cannot assess" is not offered there.')
    try:
        return _CHECKS[question.type](item, value, slots)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        raise InputError(f'{_short(value)} is no answer to "{question.text}": {wanted(item)}.') from None


def wanted(item: Item) -> str:
    """What the question accepts, for a sentence."""
    question = item.question
    if question.type == "likert":
        return f"a whole number from {steps(question)[0]} to {steps(question)[-1]} is expected"
    if question.type in ("choice", "multi_choice", "ranking"):
        what = {"choice": "one", "multi_choice": "any", "ranking": "all, best first,"}[question.type]
        return f"{what} of {', '.join(option.id for option in item.options)} is expected"
    if question.type == "number":
        low = "" if question.minimum is None else f" from {question.minimum:g}"
        high = "" if question.maximum is None else f" up to {question.maximum:g}"
        return f"a number{low}{high} is expected"
    return {
        "yes_no": "yes or no is expected",
        "vas": "a number from 0 to 100 is expected",
        "text": f"text of at most {_LONGEST_TEXT} characters is expected",
        "place": "a list of marked points is expected",
        "roi": "a list of outlines of three or more points is expected",
    }[question.type]


def label(item: Item, value: Any) -> str:
    """An answer in words, for audit logs and summaries."""
    question = item.question
    if value is None:
        return "no answer"
    if value == CANNOT_ASSESS:
        return "cannot assess"
    names = {option.id: option.text for option in item.options}
    if question.type == "likert":
        return f"{value} ({question.anchors[value - question.first]})"
    if question.type == "yes_no":
        return "yes" if value else "no"
    if question.type == "choice":
        return names.get(value, str(value))
    if question.type in ("multi_choice", "ranking"):
        joint = " > " if question.type == "ranking" else ", "
        return joint.join(names.get(one, str(one)) for one in value) or "none of these"
    if question.type in ("place", "roi"):
        what = "point" if question.type == "place" else "outline"
        return f"{len(value)} {what}{'' if len(value) == 1 else 's'}"
    return f"{value:g}{' ' + question.unit if question.unit else ''}" if question.type == "number" else str(value)


def answer_for_key(item: Item, key: str) -> Any:
    """The answer a number key gives: the Likert step, the n-th option, 1 = yes and 2 = no; None where it gives none."""
    if not key.isascii() or not key.isdigit():
        return None
    number, question = int(key), item.question
    if question.type == "likert":
        return number if number in steps(question) else None
    if question.type == "yes_no":
        return {1: True, 2: False}.get(number)
    if question.type == "choice" and 1 <= number <= len(item.options):
        return item.options[number - 1].id
    return None


def _likert(item: Item, value: Any, _: Sequence[str]) -> int:
    if isinstance(value, bool) or int(value) != value or int(value) not in steps(item.question):
        raise ValueError
    return int(value)


def _yes_no(_: Item, value: Any, __: Sequence[str]) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _choice(item: Item, value: Any, _: Sequence[str]) -> str:
    if value not in [option.id for option in item.options]:
        raise ValueError
    return str(value)


def _multi_choice(item: Item, value: Any, _: Sequence[str]) -> list[str]:
    known = [option.id for option in item.options]
    if isinstance(value, str) or len(set(value)) != len(value) or not set(value) <= set(known):
        raise ValueError
    return [one for one in known if one in value]


def _ranking(item: Item, value: Any, _: Sequence[str]) -> list[str]:
    if isinstance(value, str) or sorted(value) != sorted(option.id for option in item.options):
        raise ValueError
    return [str(one) for one in value]


def _number(item: Item, value: Any, _: Sequence[str]) -> float:
    question = item.question
    number = _finite(value)
    low = -math.inf if question.minimum is None else question.minimum
    high = math.inf if question.maximum is None else question.maximum
    if not low <= number <= high:
        raise ValueError
    return number


def _vas(_: Item, value: Any, __: Sequence[str]) -> float:
    number = _finite(value)
    if not 0 <= number <= 100:
        raise ValueError
    return number


def _text(_: Item, value: Any, __: Sequence[str]) -> str | None:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise ValueError
    value.encode("utf-8")  # half a surrogate pair cannot be written
    return value if value.strip() else None


def _place(_: Item, value: Any, slots: Sequence[str]) -> list[dict[str, Any]]:
    if isinstance(value, (str, Mapping)) or not 0 < len(value) <= _MOST_POINTS:
        raise ValueError
    return [{"image": _slot(mark["image"], slots), "point": _point(mark["point"])} for mark in value]


def _roi(_: Item, value: Any, slots: Sequence[str]) -> list[dict[str, Any]]:
    if isinstance(value, (str, Mapping)) or not value or sum(len(mark["points"]) for mark in value) > _MOST_POINTS:
        raise ValueError
    if any(len(mark["points"]) < 3 for mark in value):
        raise ValueError
    return [
        {"image": _slot(mark["image"], slots), "points": [_point(point) for point in mark["points"]]} for mark in value
    ]


def _slot(name: Any, slots: Sequence[str]) -> str:
    if name not in slots:
        raise ValueError
    return str(name)


def _point(values: Any) -> list[float]:
    x, y, z = (_finite(value) for value in values)
    if max(abs(x), abs(y), abs(z)) > _FARTHEST_MM:
        raise ValueError
    return [x, y, z]


def _finite(value: Any) -> float:
    if isinstance(value, (bool, str)) or not math.isfinite(value):
        raise ValueError
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_CHECKS = {
    "likert": _likert,
    "yes_no": _yes_no,
    "choice": _choice,
    "multi_choice": _multi_choice,
    "ranking": _ranking,
    "number": _number,
    "vas": _vas,
    "text": _text,
    "place": _place,
    "roi": _roi,
}
