"""Schedules: balanced as designed, the same patient kept apart, repeats hidden and far, each reader's row its own."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.balance import balance, tables
from imagetranslation.readerstudy.definition import study_from
from imagetranslation.readerstudy.designs import sequences, williams
from imagetranslation.readerstudy.key import new_key
from imagetranslation.readerstudy.schedule import PlannedTrial, Schedule, build_schedule, from_json, to_json
from Testing.studies import a_document


def scheduled(**more: Any) -> tuple[Schedule, dict[str, Any]]:
    more.setdefault("schedule", {})
    study = study_from(a_document(**more), "study.json")
    made = build_schedule(study)
    return made, balance(study, made)


def scored(row: tuple[PlannedTrial, ...]) -> list[PlannedTrial]:
    return [trial for trial in row if not trial.training and trial.repeat_of is None]


@pytest.mark.parametrize("m", [2, 3, 4, 5, 6, 7])
def test_a_williams_design_balances_position_and_carry_over(m: int) -> None:
    rows = williams(m)
    assert len(rows) == (m if m % 2 == 0 else 2 * m)
    assert all(sorted(row) == list(range(m)) for row in rows)
    for column in zip(*rows):
        assert set(Counter(column).values()) == {len(rows) // m}
    follows = Counter(pair for row in rows for pair in zip(row, row[1:]))
    assert set(follows) == set(itertools.permutations(range(m), 2))
    assert len(set(follows.values())) == 1


@pytest.mark.parametrize(("m", "length"), [(3, 2), (4, 2), (4, 3), (5, 2), (6, 3)])
def test_an_incomplete_design_balances_treatments_and_pairs(m: int, length: int) -> None:
    rows = sequences(m, length)
    assert len(set(Counter(value for row in rows for value in row).values())) == 1
    pairs = Counter(frozenset(pair) for row in rows for pair in itertools.combinations(row, 2))
    assert len(pairs) == m * (m - 1) // 2
    assert len(set(pairs.values())) == 1


def test_eighteen_cases_of_three_arms_for_seven_readers_are_perfectly_balanced() -> None:
    _, made = scheduled(cases=18, readers=7, arms=3)
    assert all(count == 18 for row in made["arm_by_reader"].values() for count in row.values())
    assert {count for row in made["arm_by_block"].values() for count in row.values()} == {42}
    assert set(made["carry_over"].values()) == {42}
    assert made["notes"] == []


@pytest.mark.parametrize(
    ("readers", "arms", "cases"), [(1, 1, 1), (1, 2, 5), (2, 3, 7), (3, 4, 10), (5, 5, 11), (13, 2, 4)]
)
def test_any_numbers_are_as_even_as_they_can_be_and_it_says_where_not(readers: int, arms: int, cases: int) -> None:
    _, made = scheduled(cases=cases, readers=readers, arms=arms)
    assert all(count == cases for row in made["arm_by_reader"].values() for count in row.values())
    for block in range(arms):
        counts = [row.get(str(block + 1), 0) for row in made["arm_by_block"].values()]
        assert max(counts) - min(counts) <= max(1, readers)
    if (readers * cases) % len(sequences(arms, arms)):
        assert any("not perfectly" in note for note in made["notes"])


def test_with_fewer_arms_a_case_each_reader_still_sees_every_arm_equally_often() -> None:
    made, counts = scheduled(cases=12, readers=6, arms=4, schedule={"arms_per_case": 2})
    assert {count for row in counts["arm_by_reader"].values() for count in row.values()} == {6}
    for row in made.rows.values():
        assert set(Counter(trial.case for trial in scored(row)).values()) == {2}
    by_case = Counter((trial.case, trial.arms) for row in made.rows.values() for trial in scored(row))
    assert max(by_case.values()) - min(by_case.values()) <= 1


@pytest.mark.parametrize("kind", ["pair", "forced_choice"])
def test_left_and_right_are_balanced_within_each_reader(kind: str) -> None:
    made, _ = scheduled(cases=10, readers=3, arms=2, kind=kind)
    for row in made.rows.values():
        left = [trial.arms[0] for trial in scored(row)]
        assert left.count("scanner") == 5
        assert left not in (sorted(left), sorted(left, reverse=True))


def test_a_ranking_shows_all_arms_each_equally_often_in_each_place() -> None:
    made, counts = scheduled(cases=12, readers=2, arms=3, kind="ranking")
    assert all(sorted(t.arms) == ["model1", "model2", "scanner"] for row in made.rows.values() for t in row)
    assert {count for row in counts["arm_by_slot"].values() for count in row.values()} == {8}


def test_the_same_patient_never_comes_within_the_gap() -> None:
    document = a_document(cases=12, readers=4, arms=3, schedule={"min_gap": 3, "repeat_minimum": 10})
    for n, case in enumerate(document["cases"]):
        case["patient"] = f"p{n // 2}"  # two cases a patient
    with pytest.raises(InputError, match="6 trials apart"):
        build_schedule(study_from(document | {"schedule": {"min_gap": 6}}, "x"))
    made = build_schedule(study_from(document, "x"))
    for row in made.rows.values():
        last: dict[str, int] = {}
        for n, trial in enumerate(row):
            assert n - last.get(trial.patient, -99) > 3
            last[trial.patient] = n


def test_hidden_repeats_are_ten_or_a_tenth_and_far_from_their_originals() -> None:
    made, counts = scheduled(cases=18, readers=3, arms=2)
    assert set(counts["repeats"].values()) == {10}
    assert counts["distances"]["repeat"] > counts["distances"]["patient"]
    many, counts = scheduled(cases=60, readers=1, arms=2)
    assert set(counts["repeats"].values()) == {12}
    for row in (*made.rows.values(), *many.rows.values()):
        originals = {trial.position: trial for trial in row}
        for trial in row:
            if trial.repeat_of:
                assert originals[trial.repeat_of].treatment == trial.treatment
                assert originals[trial.repeat_of].case == trial.case
                assert originals[trial.repeat_of].repeat_of is None


def test_too_few_cases_for_repeats_are_said() -> None:
    _, made = scheduled(cases=4, readers=1, arms=2)
    assert any("refused below 10" in note for note in made["notes"])


def test_training_comes_first_and_sessions_hold_whole_blocks() -> None:
    made, _ = scheduled(cases=6, readers=2, arms=2, training=2, sessions={"count": 2, "washout_days": 14})
    for row in made.rows.values():
        assert [trial.training for trial in row] == [True] * 2 + [False] * (len(row) - 2)
        assert [trial.session for trial in row] == sorted(trial.session for trial in row)
        first = [trial.case for trial in scored(row) if trial.session == 1]
        assert sorted(first) == sorted(set(first))
        assert len(first) == 6


@pytest.mark.parametrize(("arms", "sessions", "cases"), [(2, 2, 18), (3, 3, 12), (2, 4, 18), (2, 2, 4), (2, 5, 9)])
def test_with_a_session_for_each_arm_no_two_arms_of_a_case_meet_in_one(arms: int, sessions: int, cases: int) -> None:
    """Neither in first readings nor through hidden repeats, and there are as many of these as can be."""
    made, _ = scheduled(cases=cases, readers=3, arms=arms, sessions={"count": sessions, "washout_days": 28})
    for row in made.rows.values():
        met: dict[tuple[int, str], set[tuple[str, ...]]] = {}
        for trial in row:
            met.setdefault((trial.session, trial.case), set()).add(trial.treatment)
        assert {len(treatments) for treatments in met.values()} == {1}
        assert {trial.session for trial in row} == set(range(1, sessions + 1))
        assert [trial.session for trial in row] == sorted(trial.session for trial in row)
        repeats = [trial for trial in row if trial.repeat_of]
        assert len(repeats) == min(10, cases)
        assert len({trial.treatment for trial in repeats}) == arms


def test_a_schedule_depends_on_the_seed_and_a_row_on_its_reader_alone() -> None:
    again, _ = scheduled(cases=8, readers=3, arms=2)
    made, _ = scheduled(cases=8, readers=3, arms=2)
    other, _ = scheduled(cases=8, readers=3, arms=2, seed=6)
    assert made == again
    assert made.rows["R1"] != other.rows["R1"]
    assert [t.case for t in made.rows["R1"]] != [t.case for t in made.rows["R2"]]
    # The allocation goes reader by reader, so that a reader more leaves the rows before as they are.
    more, _ = scheduled(cases=8, readers=4, arms=2)
    assert more.rows["R1"] == made.rows["R1"]


def test_a_schedule_survives_the_key_file() -> None:
    made, _ = scheduled(cases=5, readers=2, arms=3, kind="pair", training=1)
    assert from_json(to_json(made)) == made


def test_tokens_tell_nothing_and_differ_from_key_to_key() -> None:
    study = study_from(a_document(cases=6, readers=3), "x")
    made = build_schedule(study)
    one, two = new_key(study, made), new_key(study, made)
    assert len(one.trials) == sum(len(row) for row in made.rows.values())
    assert not set(one.trials) & set(two.trials)
    assert all(len(token) == 32 for token in one.trials)


def test_the_balance_prints_as_tables() -> None:
    _, made = scheduled(cases=6, readers=2, arms=3, kind="pair")
    titles = [title for title, _, _ in tables(made)]
    assert len(titles) == 5
    for _, header, rows in tables(made):
        assert rows
        assert all(len(row) == len(header) for row in rows)
