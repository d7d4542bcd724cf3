"""The balance of a schedule in four tables, which `study new` prints: what a reviewer of the design asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from .definition import SLOTS, Study
from .schedule import PlannedTrial, Schedule


def balance(study: Study, schedule: Schedule) -> dict[str, Any]:
    """Counts over the scored trials without hidden repeats (those are counted apart), ready for JSON.

    arm_by_reader, arm_by_block: treatment to {reader or block: trials}. carry_over: "a > b" to how often b is the next
    treatment of the same case after a, over all readers. arm_by_slot: arm to {slot: trials} where several images are
    shown at once. repeats: reader to number. distances: least numbers of trials between two of one patient (gap) and
    between a repeat and its original. trials: reader to all trials, training included.
    """
    names = {treatment: label(treatment) for treatment in study.treatments}
    scored = {r: [t for t in row if not t.training and t.repeat_of is None] for r, row in schedule.rows.items()}
    by_reader = _counted((names[t.treatment], r) for r, row in scored.items() for t in row)
    by_block = _counted((names[t.treatment], str(t.block)) for row in scored.values() for t in row)
    by_slot = _counted((arm, slot) for row in scored.values() for t in row for slot, arm in t.slots.items())
    carry: Counter[str] = Counter()
    for a in names.values():
        carry.update({f"{a} > {b}": 0 for b in names.values() if a != b})
    for row in scored.values():
        previous: dict[str, str] = {}
        for trial in row:
            if trial.case in previous:
                carry[f"{previous[trial.case]} > {names[trial.treatment]}"] += 1
            previous[trial.case] = names[trial.treatment]
    rows = schedule.rows
    return {
        "arm_by_reader": by_reader,
        "arm_by_block": by_block,
        "carry_over": dict(carry),
        "arm_by_slot": by_slot if len(study.treatments[0]) > 1 else {},
        "repeats": {r: sum(t.repeat_of is not None for t in row) for r, row in rows.items()},
        "distances": {
            "patient": min((_nearest(row) for row in rows.values()), default=0),
            "repeat": min((t.position - t.repeat_of for row in rows.values() for t in row if t.repeat_of), default=0),
        },
        "trials": {r: len(row) for r, row in rows.items()},
        "sessions": {r: dict(Counter(str(t.session) for t in row)) for r, row in rows.items()},
        "notes": list(schedule.notes),
    }  # fmt: skip


def label(treatment: tuple[str, ...]) -> str:
    """A treatment in words: its arms joined by " + "."""
    return " + ".join(treatment)


def tables(made: Mapping[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """`balance` as tables for printing: (title, header, rows)."""
    printed = [
        _table("Trials of each arm by reader", "arm", made["arm_by_reader"]),
        _table("Trials of each arm by block (first, second, ... reading of a case)", "arm", made["arm_by_block"]),
    ]
    if made["carry_over"]:
        rows = [[pair, str(count)] for pair, count in made["carry_over"].items()]
        printed.append(("Carry-over: which arm of a case follows which", ["first > next", "times"], rows))
    if made["arm_by_slot"]:
        printed.append(_table("Trials of each arm by place on the screen", "arm", made["arm_by_slot"]))
    repeats = [[reader, str(n), str(made["repeats"][reader])] for reader, n in made["trials"].items()]
    printed.append(("Trials and hidden repeats", ["reader", "trials", "repeats"], repeats))
    return printed


def _table(title: str, first: str, counts: Mapping[str, Mapping[str, int]]) -> tuple[str, list[str], list[list[str]]]:
    columns = list(dict.fromkeys(key for row in counts.values() for key in row))
    columns.sort(key=lambda c: (not c.isdigit(), int(c) if c.isdigit() else 0))
    if set(columns) <= set(SLOTS):
        columns.sort()
    return title, [first, *columns], [[name, *(str(row.get(c, 0)) for c in columns)] for name, row in counts.items()]


def _counted(pairs: Any) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for row, column in pairs:
        table.setdefault(row, {}).setdefault(column, 0)
        table[row][column] += 1
    return dict(sorted(table.items()))


def _nearest(row: tuple[PlannedTrial, ...]) -> int:
    """Least number of other trials between two of one patient; the row's length where nobody comes twice."""
    last: dict[str, int] = {}
    least = len(row)
    for n, trial in enumerate(row):
        if trial.patient in last:
            least = min(least, n - last[trial.patient] - 1)
        last[trial.patient] = n
    return least
