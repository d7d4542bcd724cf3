"""The layouts other programs read: iMRMC and RJafroc for studies with truth, a REDCap data dictionary of the form.

Chakraborty, D. P.: RJafroc, data format of ROC files. Gallas, B. D.: iMRMC (FDA), raw data of a study.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import InputError
from .questions import Item, steps
from .readingset import ReadingSet, Trial
from .replay import form

IMRMC_TRUTH_READER = "-1"
_RATING = {"reader": "reader", "test": "arm", "case": "case", "truth": "truth", "rating": "value"}
_REDCAP = (
    "Variable / Field Name", "Form Name", "Section Header", "Field Type", "Field Label",
    "Choices, Calculations, OR Slider Labels", "Field Note", "Text Validation Type OR Show Slider Number",
    "Text Validation Min", "Text Validation Max", "Identifier?", "Branching Logic (Show field only if...)",
    "Required Field?", "Custom Alignment", "Question Number (surveys only)", "Matrix Group Name", "Matrix Ranking?",
    "Field Annotation",
)  # fmt: skip


def to_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """CSV text with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def safe(row: Mapping[str, Any]) -> dict[str, Any]:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, CSV injection)."""
    return {name: f"'{v}" if isinstance(v, str) and v[:1] in "=+-@\t\r" and v else v for name, v in row.items()}


def ratings(rows: Iterable[Mapping[str, Any]], question: str) -> list[dict[str, Any]]:
    """(reader, test, case, truth, rating) of the scored trials, for analyses with truth: neither training nor repeats.

    test: the arm. InputError where the question has no numbers, or truth or key is absent.
    """
    made = []
    for row in rows:
        if row["question"] != question or row["training"] or row["repeat_of"] or row["value"] == "":
            continue
        if row["truth"] == "" or row["arm"] == "":
            raise InputError("Truth (0 or 1 for every case), one arm a trial and the key are needed for this layout.")
        if isinstance(row["value"], str):
            raise InputError(f"The answers to {question} are no ratings; name a likert, vas or number question.")
        made.append({name: row[column] for name, column in _RATING.items()})
    if not made:
        raise InputError(f"There is no scored answer to {question}.")
    return made


def imrmc(made: Sequence[Mapping[str, Any]], description: str) -> str:
    """The input file of iMRMC (FDA; didsr.github.io/iMRMC): description, sizes, then reader,case,modality,score with
    the truth as reader -1."""
    truths = {row["case"]: row["truth"] for row in made}
    lines = [
        description,
        f"N0: {sum(t == 0 for t in truths.values())}",
        f"N1: {sum(t == 1 for t in truths.values())}",
        f"NR: {len({row['reader'] for row in made})}",
        f"NM: {len({row['test'] for row in made})}",
        "BEGIN DATA:",
    ]
    lines += [f"{IMRMC_TRUTH_READER},{case},truth,{truth}" for case, truth in truths.items()]
    lines += [f"{row['reader']},{row['case']},{row['test']},{row['rating']}" for row in made]
    return "\n".join(lines) + "\n"


def rjafroc(made: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The three worksheets of an RJafroc ROC data file as CSV (TRUTH, FP, TP) and the numbers given to names (IDS)."""
    names = {what: list(dict.fromkeys(row[what] for row in made)) for what in ("reader", "test", "case")}
    numbers = {what: {name: n for n, name in enumerate(known, 1)} for what, known in names.items()}
    truths = {row["case"]: row["truth"] for row in made}
    readers = ",".join(str(n) for n in numbers["reader"].values())
    tests = ",".join(str(n) for n in numbers["test"].values())
    all_read = {"ReaderID": readers, "ModalityID": tests, "Paradigm": "ROC"}
    truth_rows = [
        {"CaseID": numbers["case"][case], "LesionID": truth, "Weight": truth, **all_read}
        for case, truth in truths.items()
    ]

    def sheet(truth: int, rating: str, extra: Mapping[str, Any]) -> str:
        columns = {"ReaderID": "reader", "ModalityID": "test", "CaseID": "case"}
        rows = [
            {**{c: numbers[what][row[what]] for c, what in columns.items()}, **extra, rating: row["rating"]}
            for row in made
            if row["truth"] == truth
        ]
        return to_csv(rows, [*columns, *extra, rating])

    ids = [{"kind": what, "number": n, "name": name} for what, known in numbers.items() for name, n in known.items()]
    return {
        "TRUTH": to_csv(truth_rows, list(truth_rows[0])),
        "FP": sheet(0, "FP_Rating", {}),
        "TP": sheet(1, "TP_Rating", {"LesionID": 1}),
        "IDS": to_csv(ids, ["kind", "number", "name"]),
    }


def redcap_dictionary(reading: ReadingSet) -> str:
    """A REDCap data dictionary (CSV to upload) of the form as its widest trial has it."""
    slots = max((t.slots for reader in reading.readers for t in reading.trials(reader)), key=len)
    items = form(reading, Trial("", 1, 1, False, dict.fromkeys(slots, "")))
    first = _redcap_row("record_id", "text", "Record: reader and trial")
    return to_csv([first, *(_redcap_item(item) for item in items)], _REDCAP)


def _redcap_item(item: Item) -> dict[str, str]:
    question = item.question
    which = f" (image {item.slot})" if "@" in item.key else ""
    row = _redcap_row(_redcap_name(item.key), "text", question.text + which)
    row["Field Note"] = question.help
    row["Required Field?"] = "y" if question.required else ""
    extra = "; not assessable is coded -99" if question.cannot_assess else ""
    if question.type == "likert":
        choices = [f"{step}, {text}" for step, text in zip(steps(question), question.anchors)]
        choices += ["-99, cannot assess"] if question.cannot_assess else []
        row.update({"Field Type": "radio", _REDCAP[5]: " | ".join(choices)})
    elif question.type == "yes_no":
        row.update({"Field Type": "radio", _REDCAP[5]: "1, Yes | 0, No" + (" | -99, cannot assess" if extra else "")})
    elif question.type in ("choice", "multi_choice"):
        kind = "radio" if question.type == "choice" else "checkbox"
        row.update({"Field Type": kind, _REDCAP[5]: " | ".join(f"{o.id}, {o.text}" for o in item.options)})
    elif question.type == "vas":
        row.update(
            {"Field Type": "slider", _REDCAP[5]: f"{question.ends[0]} | | {question.ends[1]}", _REDCAP[7]: "number"}
        )
    elif question.type == "number":
        low, high = ("" if b is None else f"{b:g}" for b in (question.minimum, question.maximum))
        row.update({_REDCAP[7]: "number", _REDCAP[8]: low, _REDCAP[9]: high})
    elif question.type in ("text", "place", "roi"):
        row["Field Type"] = "notes"
    row["Field Annotation"] = f"{question.type}{extra}"
    row[_REDCAP[11]] = _branching(item)
    return row


def _branching(item: Item) -> str:
    condition = item.question.show_if
    if condition is None:
        return ""
    name = _redcap_name(f"{condition.question}@{item.slot}" if "@" in item.key else condition.question)
    if condition.operator == "includes":
        return f"[{name}({condition.value})] = '1'"
    sign = {"equals": "=", "in": "=", "at_least": ">=", "at_most": "<="}[condition.operator]
    values = condition.value if condition.operator == "in" else [condition.value]
    return " or ".join(f"[{name}] {sign} '{int(v) if isinstance(v, bool) else v}'" for v in values)


def _redcap_name(key: str) -> str:
    return key.replace("@", "_").lower()


def _redcap_row(name: str, kind: str, text: str) -> dict[str, str]:
    row = dict.fromkeys(_REDCAP, "")
    row.update({_REDCAP[0]: name, "Form Name": "reading", "Field Type": kind, "Field Label": text})
    return row
