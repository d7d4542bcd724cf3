"""What can be known of a study as soon as its cases are prepared, so that nothing is refused after hours of training.

Whether the folds can be divided, and how patients would be classified: by which label, with which classifiers, and who
is left out by name. The steps themselves ask here, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from imagetranslation.errors import InputError

from ..classifying.models import IMAGES, find
from ..classifying.tables import LEAST_OF_A_CLASS
from ..crossfitting.plan import NESTED, Scheme
from ..dataset import case_names, patients
from . import data
from .sizes import Sizes


@dataclass(frozen=True)
class Classifiable:
    """labels: of the patients who are classified. positive: that is looked for. models: classifiers that these data
    allow. left: sentences about who and what is left out, by name. reason: why nobody can be classified, or "".
    """

    labels: Mapping[str, str]
    positive: str
    models: tuple[str, ...]
    left: tuple[str, ...]
    reason: str


def require(cases: Path, task: str, sizes: Sizes, positive: str) -> None:
    """InputError where folds cannot be divided, or where a label is looked for that nobody has."""
    count, least = len(set(patients(cases).values())), least_to_divide(sizes)
    if count < least:
        raise InputError(
            f"{cases} holds {count} patients; {sizes.folds} folds ({sizes.scheme}) need {least} or more. Give fewer "
            "--folds, in an empty folder; cases that are prepared can be named with --data."
        )
    if task == "us2mri":
        classifiable(cases, sizes, positive)


def classifiable(cases: Path, sizes: Sizes, positive: str) -> Classifiable:
    """How patients are classified. positive: the label that is looked for, or "". InputError for one nobody has."""
    labels, left = data.labels(cases), list(data.without_label(cases))
    reason = unclassifiable(labels, sizes)
    wanted = ""
    if not reason:
        wanted, reason = looked_for(set(labels.values()), positive)
    models = sizes.classifiers
    if lacking := [case for case in case_names(cases) if not (cases / "source_label" / f"{case}.nrrd").is_file()]:
        models = tuple(name for name in models if find(name).learns_from == IMAGES)
        if others := [name for name in sizes.classifiers if name not in models]:
            left.append(
                f"{len(lacking)} cases have no gland drawn (source_label), among them {lacking[0]}: classifiers of "
                f"features are left out ({', '.join(others)})."
            )
        if not models:
            reason = reason or "no classifier is left that could do without a drawn gland (source_label)."
    return Classifiable(labels, wanted, models, tuple(left), reason)


def least_to_divide(sizes: Sizes) -> int:
    """The fewest patients of whom folds, and of a nested cross-fit the parts within them, can be drawn."""
    if sizes.scheme != NESTED:
        return sizes.folds
    inner, count = Scheme(sizes.scheme, sizes.folds).inner, sizes.folds
    while count - -(-count // sizes.folds) < inner:
        count += 1
    return count


def unclassifiable(labels: Mapping[str, str], sizes: Sizes) -> str:
    """Why patients with these labels cannot be classified; "" where they can."""
    if not labels:
        return "the data name no label; give every case the fact 'label' (a column of that name) to classify."
    counted, least = Counter(labels.values()), max(least_to_divide(sizes), LEAST_OF_A_CLASS)
    told = ", ".join(f"{label}: {count}" for label, count in sorted(counted.items()))
    if len(counted) != 2 or min(counted.values()) < least:
        return f"two kinds of labels with {least} patients each are needed; the data have {told}."
    return ""


# Labels of which the second is beyond doubt the one that is looked for.
_PLAIN = ({"0", "1"}, {"no", "yes"}, {"negative", "positive"}, {"absent", "present"}, {"false", "true"},
          {"benign", "malignant"})  # fmt: skip


def looked_for(kinds: Set[str], positive: str) -> tuple[str, str]:
    """The label that is looked for, and why it is not known ("" where it is). InputError for a label nobody has."""
    if positive:
        if positive not in kinds:
            raise InputError(
                f"--positive {positive}: no patient has that label; there are {' and '.join(sorted(kinds))}."
            )
        return positive, ""
    told = sorted(kinds, key=str.casefold)
    if {kind.casefold() for kind in kinds} in _PLAIN:
        return told[-1], ""
    return "", (
        f"which label is looked for, {' or '.join(told)}? Sensitivity and precision depend on it. Give the same "
        f"command with --positive {told[0]} or --positive {told[-1]}, and this step is done."
    )
