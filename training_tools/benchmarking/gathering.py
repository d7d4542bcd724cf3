"""A benchmark's finished cells put together: scores of all folds, comparison, costs, and what is still missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from ..evaluate import REFERENCES
from ..evaluating import writing
from ..evaluating.comparing import Table, compare
from .cells import Plan, scored_otherwise, settings_changed, state_of
from .chosenon import chosen_on
from .costs import WALL
from .entries import PLANAR, entries, grid_seen

OTHERWISE = "not compared: it was scored with another encoder of features; remove its folder and run it again"
OUTDATED = (
    "not compared: its settings have changed since it was run, or the labels it learnt from; remove its folder and "
    "run it again"
)


@dataclass(frozen=True)
class Row:
    """One network of the table. state: "done", or in words why it has no numbers. costs: empty where not done.

    grid: that the network sees. chosen_on: how many of the tested cases its design was chosen on; where there are any
    it is not ranked.
    """

    name: str
    state: str
    costs: Mapping[str, Any]
    frechet: float | str | None = None
    grid: str = ""
    chosen_on: int = 0


@dataclass(frozen=True)
class Gathered:
    """rows: of all networks, also of those without numbers. tables: of finished networks, floors and ceilings."""

    plan: Plan
    rows: tuple[Row, ...]
    tables: tuple[Table, ...]
    references: tuple[str, ...]
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    patients: Mapping[str, str]
    machines: tuple[Mapping[str, Any], ...]
    clocks: tuple[str, ...]  # by which the budgets of finished cells were measured; see `costs.clock`


def gather(plan: Plan) -> Gathered:
    """Read what is done; networks that lack a fold are named and not compared."""
    rows: list[Row] = []
    scores: dict[str, dict[str, Mapping[str, float]]] = {}
    patients: dict[str, str] = {}
    machines: list[Mapping[str, Any]] = []
    clocks: set[str] = set()
    for name, path in entries(plan.task).items():
        if path is None:
            rows.append(Row(name, PLANAR, {}))
            continue
        states = [state_of(plan, name, fold) for fold in range(plan.preset.folds)]
        done = [record for state, record in states if state == "done"]
        for record in done:
            clocks.add(record.get("clock", WALL))
            if record["machine"] not in machines:
                machines.append(record["machine"])
        if len(done) < plan.preset.folds:
            rows.append(Row(name, _lacking(states, plan.preset.folds), {}))
            continue
        if any(settings_changed(plan, name, fold, record) for fold, record in enumerate(done)):
            rows.append(Row(name, OUTDATED, {}))
            continue
        if any(scored_otherwise(plan, fold, record) for fold, record in enumerate(done)):
            rows.append(Row(name, OTHERWISE, {}))
            continue
        rows.append(Row(name, "done", _costs(done), _frechet(done, name)))
        for record in done:
            found, owners = writing.read_scores(plan.folder(name, record["fold"]) / "scores.csv")
            patients.update(owners)
            for method, cases in found.items():
                scores.setdefault(method, {}).update(cases)
    familiar = chosen_on(plan.task, plan.data, patients) if scores else {}
    rows = [_about(plan, row, familiar) for row in rows]
    finished = [row.name for row in rows if row.state == "done"]
    competing = [name for name in finished if name not in familiar]
    order = [*finished, *(method for method in REFERENCES if method in scores)]
    ordered = {method: scores[method] for method in order}
    tables = tuple(compare(ordered, patients, competing=competing)) if finished else ()
    references = tuple(method for method in REFERENCES if method in scores)
    told = tuple(machines), tuple(sorted(clocks))
    return Gathered(plan, tuple(rows), tables, references, ordered, patients, *told)


def _about(plan: Plan, row: Row, familiar: Mapping[str, int]) -> Row:
    if row.state != "done":
        return row
    return replace(row, grid=grid_seen(plan.config(row.name, 0)), chosen_on=familiar.get(row.name, 0))


def _lacking(states: list[tuple[str, Mapping[str, Any]]], folds: int) -> str:
    failed = [record["error"] for state, record in states if state == "failed"]
    done = sum(state == "done" for state, _ in states)
    if failed:
        return f"failed: {failed[0]}"
    return "not run" if not done else f"not compared: {done} of {folds} folds are run"


def _costs(done: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over the folds."""
    keys = (
        "steps", "seconds_a_step", "training_seconds", "training_processor_seconds", "inference_seconds",
        "peak_memory_bytes",
    )  # fmt: skip
    found = {key: [record[key] for record in done if record.get(key) is not None] for key in keys}
    return {"parameters": done[0]["parameters"], **{key: median(v) if v else None for key, v in found.items()}}


def _frechet(done: list[Mapping[str, Any]], name: str) -> float | str | None:
    """Mean over the folds, whose encoders differ; the first reason where a fold has none."""
    values = [record["frechet"].get(name) for record in done]
    if reasons := [value for value in values if not isinstance(value, (int, float))]:
        return reasons[0]
    return float(sum(values) / len(values))
