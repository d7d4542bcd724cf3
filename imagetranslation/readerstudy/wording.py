"""Whether a form's questions make sense together: types have what they need, conditions ask what can be answered."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from .questions import Condition, Item, Question, checked

SEVERAL_IMAGES = ("pair", "forced_choice", "ranking")
_COMPARED = {"at_least": ("likert", "vas", "number"), "at_most": ("likert", "vas", "number")}
_ASKED_FOR = {
    "equals": ("likert", "yes_no", "choice", "vas", "number"),
    "in": ("likert", "yes_no", "choice"),
    "includes": ("multi_choice",),
    **_COMPARED,
}


def check_questions(questions: Sequence[Question], kind: str) -> None:
    """InputError with one sentence at the first question that cannot be asked in a display of that kind."""
    before: dict[str, Question] = {}
    for question in questions:
        if question.id in before:
            raise InputError(f"two questions are called {question.id}.")
        _check_parts(question, kind)
        if question.show_if is not None:
            _check_condition(question, question.show_if, before, kind)
        before[question.id] = question
    if not any(question.required for question in questions):
        raise InputError("no question is required, so an empty form could be handed in.")


def _check_parts(question: Question, kind: str) -> None:
    name, type_ = question.id, question.type
    if (type_ == "likert") != bool(question.anchors):
        raise InputError(f"question {name}: anchors (a text for every step) belong to likert, which needs them.")
    if type_ != "likert" and question.first != 1:
        raise InputError(f"question {name}: first belongs to likert.")
    chooses = type_ in ("choice", "multi_choice", "ranking")
    if question.images_are_options:
        if not chooses or question.options:
            raise InputError(f"question {name}: images_are_options replaces the options of a choice or a ranking.")
        if kind not in SEVERAL_IMAGES or question.each_image:
            raise InputError(f"question {name} chooses among the images of a trial, and this display shows one.")
    elif chooses != bool(question.options):
        raise InputError(f"question {name}: options belong to choice, multi_choice and ranking, which need them.")
    for what in ("id", "text"):
        listed = [getattr(option, what).lower() for option in question.options]
        if len(set(listed)) != len(listed):
            raise InputError(f"question {name} has two options with the same {what}.")
    if type_ != "vas" and question.ends != ("", ""):
        raise InputError(f"question {name}: ends belong to a vas.")
    bounds = [bound for bound in (question.minimum, question.maximum) if bound is not None]
    if (bounds or question.unit) and type_ != "number":
        raise InputError(f"question {name}: minimum, maximum and unit belong to number.")
    if len(bounds) == 2 and not bounds[0] < bounds[1]:
        raise InputError(f"question {name}: minimum must be below maximum.")


def _check_condition(question: Question, condition: Condition, before: dict[str, Question], kind: str) -> None:
    name = question.id
    if (asked := before.get(condition.question)) is None:
        raise InputError(f"question {name} depends on {condition.question[:60]}, which is not asked before it.")
    if asked.each_image and not question.each_image and kind in SEVERAL_IMAGES:
        raise InputError(f"question {name} is asked once, but depends on {asked.id}, which is asked for each image.")
    if asked.type not in _ASKED_FOR[condition.operator]:
        raise InputError(f'question {name}: "{condition.operator}" cannot be asked of {asked.id} ({asked.type}).')
    if asked.images_are_options:
        raise InputError(f"question {name} depends on which image was chosen, which tells nothing while blinded.")
    values = condition.value if condition.operator == "in" else [condition.value]
    values = [[value] for value in values] if condition.operator == "includes" else values
    for value in values:
        try:
            checked(Item(asked.id, asked, "", asked.options), value, ())
        except InputError:
            raise InputError(f"question {name} waits for an answer that {asked.id} cannot have.") from None
