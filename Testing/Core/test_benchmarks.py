"""The runner of the benchmarks: what it writes and what it refuses. How fast anything is, is no test's business."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from Testing.Benchmarks.__main__ import main, run
from Testing.Benchmarks.footprint import in_child, watched
from Testing.Benchmarks.registry import BENCHMARKS
from Testing.Benchmarks.results import NotMeasured, Row
from Testing.Benchmarks.sidebyside import interleaved

KEYS = ["row", "ours", "theirs", "ratio", "goal", "unit", "note"]


def trivial(ours: float = 2.0) -> list[Row]:
    return [Row("trivial", ours, 4.0, "ratio <= 1", "s", "two against four")]


def alone() -> list[Row]:
    return [Row("alone", 70.0, None, "<= 100", "ms", "nothing to compare with")]


def absent() -> list[Row]:
    raise NotMeasured("there is no such machine here.")


def test_results_are_written_for_machines_and_for_people(tmp_path: Path) -> None:
    assert run([], {"trivial": trivial, "alone": alone}, tmp_path) == 0
    first, second = json.loads((tmp_path / "results.json").read_text())
    assert list(first)[: len(KEYS)] == KEYS
    assert (first["row"], first["ours"], first["theirs"], first["ratio"]) == ("trivial", 2.0, 4.0, 0.5)
    assert (second["theirs"], second["ratio"]) == (None, None)
    page = (tmp_path / "RESULTS.md").read_text()
    assert "| trivial | 2 s | 4 s | 0.5 | ratio <= 1 | two against four |" in page
    assert "torch" in page.split("**Machine:**")[1].splitlines()[0]


def test_a_second_run_of_some_rows_renews_those_and_keeps_the_others(tmp_path: Path) -> None:
    run([], {"trivial": trivial, "alone": alone}, tmp_path)
    run(["trivial"], {"trivial": lambda: trivial(3.0), "alone": alone}, tmp_path)
    rows = json.loads((tmp_path / "results.json").read_text())
    assert [(row["row"], row["ours"]) for row in rows] == [("trivial", 3.0), ("alone", 70.0)]


def test_a_missed_goal_is_a_result(tmp_path: Path) -> None:
    assert run([], {"trivial": lambda: trivial(400.0)}, tmp_path) == 0


def test_what_cannot_be_measured_here_is_said_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([], {"absent": absent, "trivial": trivial}, tmp_path) == 0
    assert "absent was not measured: there is no such machine here." in capsys.readouterr().err
    assert [row["row"] for row in json.loads((tmp_path / "results.json").read_text())] == ["trivial"]


def test_memory_that_a_run_takes_and_gives_back_is_seen() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux says how much memory of a process is its own")

    def run() -> None:
        held = np.ones(8 << 20)
        time.sleep(0.1)
        del held

    figures = watched(run)
    assert 60 < figures["peak_mib"] < 80
    assert figures["seconds"] > 0.1


def test_a_run_of_its_own_process_that_fails_is_said() -> None:
    with pytest.raises(NotMeasured, match="growing ended with"):
        in_child("growing", shape=[8, 8, 8], package="nowhere")


def test_runs_are_taken_in_turn_and_the_first_turn_does_not_count() -> None:
    order: list[str] = []
    times, made = interleaved({"a": lambda: order.append("a") or 1, "b": lambda: order.append("b") or 2}, rounds=2)
    assert order == ["a", "b"] * 3
    assert (len(times["a"]), len(times["b"]), made) == (2, 2, {"a": 1, "b": 2})


def test_an_unknown_row_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rows", "overhead,speed of light"]) == 2
    said = capsys.readouterr().err
    assert "There is no benchmark called speed of light; there are " in said
    assert all(name in said for name in BENCHMARKS)


def test_the_committed_results_are_well_formed(repository: Path) -> None:
    folder = repository / "Testing" / "Benchmarks"
    rows = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert len({row["row"] for row in rows}) == len(rows) > 0
    page = (folder / "RESULTS.md").read_text(encoding="utf-8")
    for row in rows:
        assert set(KEYS) <= set(row)
        assert f"| {row['row']} |" in page


def test_a_measurement_of_several_rows_runs_once_under_all_its_names(tmp_path: Path) -> None:
    runs: list[int] = []

    def both() -> list[Row]:
        runs.append(1)
        return [*trivial(), *alone()]

    assert run(["trivial", "alone"], {"trivial": both, "alone": both}, tmp_path) == 0
    assert runs == [1]
