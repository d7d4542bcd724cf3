"""Which reader sees which image of which case when: made once by `study new`, stored in the key, and its balance.

The allocation of arms to readers, cases and blocks is a Williams or balanced incomplete block design drawn from the
study's seed. SHA-256 of the seed and a reader's code draws the order within that reader's own row and nothing else.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ..errors import InputError
from .definition import SLOTS, Case, Study
from .designs import allocate, arranged, pairs_balanced, sequences, slot_orders

# The farthest that patients are kept apart where the study file leaves it open.
_USUAL_GAP = 10


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of one reader, with its truth.

    position: 1, 2, ... in the reader's order, training included. session: 1, 2, ... block: which of the readings of a
    case (1, 2, ...; 0 for training). arms: arm of each slot, slot "A" first. repeat_of: position of the trial that is
    shown again, or None.
    """

    position: int
    session: int
    training: bool
    case: str
    patient: str
    block: int
    treatment: tuple[str, ...]
    arms: tuple[str, ...]
    repeat_of: Optional[int] = None

    @property
    def slots(self) -> dict[str, str]:
        """Slot to arm, e.g. {"A": "real", "B": "model"}."""
        return dict(zip(SLOTS, self.arms))


@dataclass(frozen=True)
class Schedule:
    """rows: reader to trials in order. gap: least number of other trials between two of one patient. notes: sentences
    on what could not be had (perfect balance, enough repeats)."""

    rows: Mapping[str, tuple[PlannedTrial, ...]]
    gap: int
    notes: tuple[str, ...] = ()


def build_schedule(study: Study) -> Schedule:
    """The schedule of a study: the same for the same study file. InputError where `min_gap` cannot be kept."""
    length = study.arms_per_case or len(study.treatments)
    chance = _chance(study, "allocation")
    allocated = allocate(len(study.readers), len(study.cases), len(study.treatments), length, chance)
    gaps = [study.min_gap] if study.min_gap is not None else range(_largest_gap(study), -1, -1)
    for gap in gaps:
        rows = {
            reader: _row(study, reader, own, length, gap) for reader, own in zip(study.readers, allocated)
        }  # fmt: skip
        made = {reader: row for reader, row in rows.items() if row is not None}
        if len(made) == len(rows):
            return Schedule(made, gap, tuple(_notes(study, length, made, gap)))
    raise InputError(
        f"The same patient cannot be kept {study.min_gap} trials apart with {_patients(study)} patients; "
        "lower schedule.min_gap, or leave it out to have the largest feasible."
    )


def repeats_wanted(study: Study) -> int:
    """Number of hidden repeats for each reader: the larger of the fraction and the minimum."""
    trials = len(study.cases) * (study.arms_per_case or len(study.treatments))
    return max(math.ceil(study.repeat_fraction * trials - 1e-9), study.repeat_minimum)


def _row(
    study: Study, reader: str, own: list[tuple[int, ...]], length: int, gap: int
) -> tuple[PlannedTrial, ...] | None:
    """One reader's trials in order; None where the gap cannot be kept."""
    chance = _chance(study, "reader", reader)
    blocks = [[(case, own[case][period]) for case in range(len(study.cases))] for period in range(length)]
    units = [unit for block in blocks for unit in block]
    numbered, start = [], 0
    for block in blocks:
        numbered.append(list(range(start, start + len(block))))
        start += len(block)
    names = {name: n for n, name in enumerate(sorted({case.patient for case in study.cases}))}
    patient = [names[study.cases[case].patient] for case, _ in units]
    base = arranged(numbered, patient, gap, {}, chance)
    if base is None:
        return None
    order, repeats = _with_repeats(study, base, units, patient, length, gap, chance)
    if order is None:
        return None
    return _trials(study, order, repeats, units, length, chance)


def _with_repeats(
    study: Study,
    base: list[int],
    units: list[tuple[int, int]],
    patient: list[int],
    length: int,
    gap: int,
    chance: random.Random,
) -> tuple[list[int] | None, dict[int, int]]:
    """The order with hidden repeats among its last trials, and repeat number to the number of what it repeats.

    The tail is the last block, and what is repeated comes from before it, spread over the treatments. Where there is
    one block only, or each has sessions of its own, it is the second half of the last block, and what is repeated the
    first: from an earlier session a repeat would meet the case's other arm. A repeat stands a third of all trials
    behind its original where that is possible.
    """
    wanted = repeats_wanted(study)
    if not wanted:
        return base, {}
    cases = len(study.cases)
    start, head = 0, cases * (length - 1)
    if study.sessions >= length:
        start, head = head, head + min(max(wanted, (cases + 1) // 2), cases)
    pool: dict[int, list[int]] = {}
    for trial in chance.sample(base[start:head], head - start):
        pool.setdefault(units[trial][1], []).append(trial)
    chosen: list[int] = []
    count = min(wanted, head - start)
    while len(chosen) < count:
        chosen += [trials.pop() for trials in pool.values() if trials]
    chosen = chosen[:count]
    place = {trial: n for n, trial in enumerate(base)}
    far = max(gap + 1, len(base) // 3)
    repeats = {len(base) + n: trial for n, trial in enumerate(chosen)}
    tail = [*base[head:], *repeats]
    people = [*patient, *(patient[trial] for trial in repeats.values())]
    while far > gap:
        earliest = {number: place[trial] + far for number, trial in repeats.items()}
        # The head keeps its order: its blocks hold one trial each.
        order = arranged([*([trial] for trial in base[:head]), tail], people, gap, earliest, chance)
        if order is not None:
            return order, repeats
        far -= max(1, far // 8)
    return None, {}


def _trials(
    study: Study,
    order: list[int],
    repeats: dict[int, int],
    units: list[tuple[int, int]],
    length: int,
    chance: random.Random,
) -> tuple[PlannedTrial, ...]:
    size = len(study.treatments[0])
    orders: dict[int, tuple[int, ...]] = {}
    for treatment in range(len(study.treatments)):
        own = [trial for trial in order if trial not in repeats and units[trial][1] == treatment]
        orders.update(zip(own, slot_orders(size, len(own), chance)))
    orders.update(zip(repeats, slot_orders(size, len(repeats), chance)))
    trials = _training(study, size, chance)
    offset = len(trials)
    position = {trial: n + 1 + offset for n, trial in enumerate(order)}
    for number, trial in enumerate(order):
        origin = repeats.get(trial)
        case, treatment = units[trial if origin is None else origin]
        arms = study.treatments[treatment]
        trials.append(
            PlannedTrial(
                position=position[trial],
                session=_session(study, number, len(order), len(study.cases), length),
                training=False,
                case=study.cases[case].id,
                patient=study.cases[case].patient,
                block=min(number // len(study.cases), length - 1) + 1,
                treatment=arms,
                arms=tuple(arms[n] for n in orders[trial]),
                repeat_of=None if origin is None else position[origin],
            )
        )
    return tuple(trials)


def _training(study: Study, size: int, chance: random.Random) -> list[PlannedTrial]:
    """Each training case once, the treatments in turn."""
    cases: list[Case] = chance.sample(study.training, len(study.training))
    orders = slot_orders(size, len(cases), chance)
    made = []
    for n, case in enumerate(cases):
        arms = study.treatments[n % len(study.treatments)]
        shown = tuple(arms[place] for place in orders[n])
        made.append(PlannedTrial(n + 1, 1, True, case.id, case.patient, 0, arms, shown))
    return made


def _session(study: Study, number: int, total: int, cases: int, length: int) -> int:
    """1, 2, ...: whole blocks, or equal parts of each where there are more sessions; repeats are in the last block."""
    block = min(number // cases, length - 1)
    first, after = block * study.sessions // length, (block + 1) * study.sessions // length
    if after <= first + 1:
        return first + 1
    size = cases if block < length - 1 else total - block * cases
    return first + (number - block * cases) * (after - first) // size + 1


def _patients(study: Study) -> int:
    return len({case.patient for case in study.cases})


def _largest_gap(study: Study) -> int:
    return max(0, min(_USUAL_GAP, (_patients(study) - 1) // 2))


def _chance(study: Study, *what: str) -> random.Random:
    """A stream of random numbers that depends on the study's seed and `what` alone."""
    text = "|".join((str(study.seed), *what))
    return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


def _notes(study: Study, length: int, rows: Mapping[str, tuple[PlannedTrial, ...]], gap: int) -> list[str]:
    notes = []
    m, readers, cases = len(study.treatments), len(study.readers), len(study.cases)
    count = len(sequences(m, length))
    if m > 1 and (readers * cases) % count:
        notes.append(
            f"{readers} (readers) x {cases} (cases) is no multiple of the {count} sequences of "
            "the design: carry-over and position are balanced as nearly as possible, not perfectly."
        )
    if m > 1 and cases % m:
        notes.append(f"The number of cases, {cases}, is no multiple of {m}: blocks hold some of the arms once more.")
    if not pairs_balanced(m, length):
        notes.append("With so many combinations pairs of arms are not balanced within cases.")
    if any(len(arms) > 1 for arms in study.treatments) and cases % len(study.treatments[0]):
        notes.append("The number of cases does not divide by the places on the screen: left and right differ by one.")
    got = min(sum(trial.repeat_of is not None for trial in row) for row in rows.values())
    if got < (wanted := repeats_wanted(study)):
        notes.append(f"{wanted} hidden repeats were wanted; the study has cases for {got} of a reader.")
    if 0 < got < 10:
        notes.append(f"{got} hidden repeats a reader are too few: agreement with oneself is refused below 10.")
    if study.min_gap is None and gap < 3:
        notes.append(f"With so few patients the same one comes again after {gap} other trial{'s' if gap != 1 else ''}.")
    return notes


def to_json(schedule: Schedule) -> dict[str, Any]:
    """The schedule as JSON for the key."""
    rows = {
        reader: [{**vars(trial), "treatment": list(trial.treatment), "arms": list(trial.arms)} for trial in row]
        for reader, row in schedule.rows.items()
    }
    return {"rows": rows, "gap": schedule.gap, "notes": list(schedule.notes)}


def from_json(made: Mapping[str, Any]) -> Schedule:
    """Inverse of `to_json`; KeyError or TypeError where it is none."""
    rows = {
        reader: tuple(
            PlannedTrial(**{**trial, "treatment": tuple(trial["treatment"]), "arms": tuple(trial["arms"])})
            for trial in row
        )
        for reader, row in made["rows"].items()
    }
    return Schedule(rows, int(made["gap"]), tuple(made["notes"]))
