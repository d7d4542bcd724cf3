"""Experimental designs: Williams squares, balanced incomplete blocks, and their allocation to readers and cases.

Treatments are numbers 0 ... m - 1 here; what they mean (an arm, a pair of arms) is `schedule`'s matter.

Williams, E. J. (1949). Experimental designs balanced for the estimation of residual effects of treatments. Australian
Journal of Scientific Research A 2, 149-168.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np

# All subsets of the treatments are listed up to so many; beyond, cyclic ones are used.
_MOST_BLOCKS = 400


def williams(m: int) -> list[tuple[int, ...]]:
    """Rows of a Williams design for m treatments: m rows where m is even, 2 m where it is odd (and m > 1).

    Each treatment stands once in each row and equally often in each column; each follows each other equally often.
    """
    first = [0]
    for step in range(1, m):
        first.append((step + 1) // 2 if step % 2 else m - step // 2)
    rows = [tuple((value + shift) % m for value in first) for shift in range(m)]
    return rows if m % 2 == 0 or m == 1 else [*rows, *(tuple(reversed(row)) for row in rows)]


def sequences(m: int, length: int) -> list[tuple[int, ...]]:
    """The orders in which one reader may see `length` of m treatments of a case.

    length = m: a Williams design. length < m: a Williams design over every subset of that size, which is a balanced
    incomplete block design; with more than 400 subsets, over the m cyclic ones {i, i + 1, ...}, balanced for
    treatments but not for pairs.
    """
    rows = williams(length)
    blocks: Any = list(itertools.islice(itertools.combinations(range(m), length), _MOST_BLOCKS + 1))
    if len(blocks) > _MOST_BLOCKS:
        blocks = [tuple((start + n) % m for n in range(length)) for start in range(m)]
    return [tuple(block[value] for value in row) for block in blocks for row in rows]


def pairs_balanced(m: int, length: int) -> bool:
    """Whether `sequences` balances pairs of treatments as well."""
    count = sum(1 for _ in itertools.islice(itertools.combinations(range(m), length), _MOST_BLOCKS + 1))
    return count <= _MOST_BLOCKS


def allocate(readers: int, cases: int, m: int, length: int, chance: random.Random) -> list[list[tuple[int, ...]]]:
    """One sequence for each reader and case, as evenly as the numbers allow.

    Each (reader, case) takes in turn the sequence whose cells were used least so far: first treatment by position
    within the reader, then treatment by case over readers, then treatment by position and carry-over (who follows
    whom) over all; ties are drawn from `chance`. Where readers x cases is a multiple of the number of sequences the
    result is a complete Williams or block design.
    """
    rows = np.asarray(sequences(m, length))
    places = np.arange(length)
    by_case = np.zeros((cases, m))
    by_place = np.zeros((length, m))
    after = np.zeros((m, m))
    result: list[list[tuple[int, ...]]] = []
    for _ in range(readers):
        own = np.zeros((length, m))
        chosen: dict[int, tuple[int, ...]] = {}
        for case in chance.sample(range(cases), cases):
            cost = 1e6 * (own[places, rows].sum(1) + own.sum(0)[rows].sum(1))
            cost += 1e4 * by_case[case][rows].sum(1) + 10 * by_place[places, rows].sum(1)
            cost += after[rows[:, :-1], rows[:, 1:]].sum(1)
            best = np.flatnonzero(cost == cost.min())
            row = rows[best[chance.randrange(len(best))]]
            own[places, row] += 1
            by_place[places, row] += 1
            by_case[case, row] += 1
            after[row[:-1], row[1:]] += 1
            chosen[case] = tuple(int(value) for value in row)
        result.append([chosen[case] for case in range(cases)])
    if length < m:
        _even_out(result, by_case, chance)
    return result


def _even_out(rows: list[list[tuple[int, ...]]], by_case: np.ndarray, chance: random.Random) -> None:
    """Exchange the sequences of two cases of one reader, in place, wherever that makes the treatments of cases over
    readers more even; everything else stays balanced as it was. by_case: (cases, treatments) counts."""
    cases = len(by_case)
    for _ in range(20 * cases if cases > 1 else 0):
        for own in rows:
            a, b = chance.sample(range(cases), 2)
            before = (by_case[[a, b]] ** 2).sum()
            trial = by_case[[a, b]].copy()
            trial[0, list(own[a])] -= 1
            trial[0, list(own[b])] += 1
            trial[1, list(own[b])] -= 1
            trial[1, list(own[a])] += 1
            if (trial**2).sum() < before:
                by_case[[a, b]] = trial
                own[a], own[b] = own[b], own[a]


def slot_orders(slots: int, count: int, chance: random.Random) -> list[tuple[int, ...]]:
    """`count` orders of the images of a trial, each image equally often in each place (to one), shuffled."""
    rows = williams(slots)
    start = chance.randrange(len(rows))
    orders = [rows[(start + n) % len(rows)] for n in range(count)]
    chance.shuffle(orders)
    return orders


def arranged(
    blocks: list[list[int]], patient: list[int], gap: int, not_before: dict[int, int], chance: random.Random
) -> list[int] | None:
    """The trials of all blocks, block after block, each block shuffled so that a patient comes again only after more
    than `gap` other places; None where no such order was found.

    blocks: trial numbers. patient: patient of each trial number. not_before: least place of some trials (repeats).
    """
    for _ in range(60):
        if (order := _attempt(blocks, patient, gap, not_before, chance)) is not None:
            return order
    return None


def _attempt(
    blocks: list[list[int]], patient: list[int], gap: int, not_before: dict[int, int], chance: random.Random
) -> list[int] | None:
    order: list[int] = []
    last: dict[int, int] = {}
    for block in blocks:
        waiting = list(block)
        left: dict[int, int] = {}
        for trial in waiting:
            left[patient[trial]] = left.get(patient[trial], 0) + 1
        while waiting:
            index = _pick(waiting, left, patient, gap, not_before, last, len(order), chance)
            if index is None:
                return None
            waiting[index], waiting[-1] = waiting[-1], waiting[index]
            trial = waiting.pop()
            last[patient[trial]] = len(order)
            left[patient[trial]] -= 1
            order.append(trial)
    return order


def _pick(
    waiting: list[int],
    left: dict[int, int],
    patient: list[int],
    gap: int,
    not_before: dict[int, int],
    last: dict[int, int],
    place: int,
    chance: random.Random,
) -> int | None:
    """Index in `waiting` of a trial that may stand at `place`: a random one, but first of a patient who would not fit
    in any more later."""

    def allowed(trial: int) -> bool:
        return place - last.get(patient[trial], -gap - 1) > gap and place >= not_before.get(trial, 0)

    most = max(left.values())
    if most > 1 and (most - 1) * (gap + 1) + 1 >= len(waiting):
        urgent = [n for n, trial in enumerate(waiting) if left[patient[trial]] == most and allowed(trial)]
        if urgent:
            return chance.choice(urgent)
    for _ in range(20):
        index = chance.randrange(len(waiting))
        if allowed(waiting[index]):
            return index
    fitting = [n for n, trial in enumerate(waiting) if allowed(trial)]
    return chance.choice(fitting) if fitting else None
