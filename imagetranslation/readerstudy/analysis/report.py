"""The report of a study: every analysis in its place, tests in their families, settings and versions beside them.

Primary endpoint first, secondary hypotheses next, all else labelled exploratory. How it looks is left to `page`, what
is written where to `writing`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import Cancelled
from ..statistics.bootstrap import Resampling
from ..statistics.comparisons import TestResult, family
from ..statistics.versions import versions
from . import agreements, detections, differences, preferences, truthstudies
from .blocks import EXPLORATORY, PRIMARY, SECONDARY, Block, Figure, Records, Section, Table, Text, number, p_text
from .distributions import describe
from .gathering import Gathered
from .opening import head, methods, opening
from .plan import (
    AGREEMENT,
    DETECTION,
    DIFFERENCE,
    DISTRIBUTION,
    MRMC,
    PREFERENCE,
    Task,
    Work,
    tasks,
)  # fmt: skip
from .readingtimes import blocks as time_blocks

_TESTS: dict[str, Callable[[Work, Task], list[TestResult]]] = {
    DIFFERENCE: differences.tests,
    DETECTION: detections.tests,
    PREFERENCE: preferences.tests,
    MRMC: truthstudies.tests,
}
_NAMES = {
    DIFFERENCE: "difference between arms",
    AGREEMENT: "agreement",
    DETECTION: "telling synthetic from real",
    PREFERENCE: "preference",
    MRMC: "multi-reader multi-case analysis",
    DISTRIBUTION: "distribution of the answers",
}
_FAMILIES = {
    PRIMARY: "the tests of the primary endpoint",
    SECONDARY: "all tests of secondary hypotheses",
    EXPLORATORY: "all exploratory tests",
}


@dataclass(frozen=True)
class Report:
    """title, lead (lines under it), alarms (what must be known before anything is read), sections, and the records and
    facts that go to CSV and JSON."""

    title: str
    lead: Sequence[str]
    alarms: Sequence[str]
    sections: Sequence[Section]
    records: Records
    facts: dict[str, Any]


def analyse(
    gathered: Gathered,
    *,
    draws: int = 2000,
    seed: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Report:
    """Every analysis of a study. seed: of the resampling, by default the study's own. progress: (analyses done, all).

    The level of the intervals is 1 - alpha of the study. Raises Cancelled.
    """
    study = gathered.study
    settings = Resampling(draws, study.seed if seed is None else seed, 1 - study.alpha)
    work = Work(gathered.answers, settings)
    planned = tasks(study)
    tested = _families(work, planned, study.alpha)
    sections = [opening(work, gathered)]
    described: set[str] = set()
    count = len(planned) + 1

    def step(done: int) -> None:
        if cancelled():
            raise Cancelled("Cancelled; no report was written.")
        progress(done, count)

    for done, task in enumerate(one for one in planned if one.role != EXPLORATORY):
        step(done)
        section = Section(task.question.text, task.role)
        section.blocks += [Text(f"Hypothesis, named before the first answer: {task.hypothesis}")]
        section.blocks += _in_one_line(work, task, tested[task])
        section.blocks += _described(work, task, described)
        section.blocks += _body(work, task, tested[task])
        sections.append(section)
    sections += _exploratory(work, planned, tested, described, step)
    times = Section("Reading time", EXPLORATORY, time_blocks(work))
    method = methods(work, gathered, planned)
    step(count)
    return Report(
        title=f"INTERIM: {study.title}" if gathered.status == "interim" else study.title,
        lead=head(gathered),
        alarms=_alarms(gathered),
        sections=[*sections, times, method],
        records=work.records,
        facts=_facts(gathered, settings),
    )


def _families(work: Work, planned: Sequence[Task], alpha: float) -> dict[Task, list[TestResult]]:
    """The tests of every task after Holm's correction within primary, secondary and exploratory ones."""
    made: dict[Task, list[TestResult]] = {}
    for role in (PRIMARY, SECONDARY, EXPLORATORY):
        own = [task for task in planned if task.role == role]
        raw = {task: _TESTS[task.analysis](work, task) if task.analysis in _TESTS else [] for task in own}
        finished = family([test for task in own for test in raw[task]], alpha)
        place = 0
        for task in own:
            made[task] = finished[place : place + len(raw[task])]
            place += len(raw[task])
            for test in made[task]:
                work.records.test(test, role, task.question.id, len(finished))
    return made


def _in_one_line(work: Work, task: Task, tested: Sequence[TestResult]) -> list[Block]:
    """What came out of the declared test, in words that claim no more than it does."""
    said: list[Block] = []
    for one in tested:
        if one.refused:
            said.append(Text(f"{one.label}: not tested, because {one.refused}.", "refused"))
        elif one.holm_p is not None:
            verdict = "significant" if one.holm_p <= work.study.alpha else "not significant"
            said.append(
                Text(f"{one.label}: p {p_text(one.holm_p)} after Holm's correction, {verdict} at {work.study.alpha:g}.")
            )
    return said


def _described(work: Work, task: Task, described: set[str]) -> list[Block]:
    if task.question.id in described:
        return []
    described.add(task.question.id)
    return describe(work, task.question)


def _body(work: Work, task: Task, tested: Sequence[TestResult]) -> list[Block]:
    made: list[Block] = []
    if tested:
        made.append(_test_table(work, task, tested))
    if task.analysis == DIFFERENCE:
        made += differences.blocks(work, task, list(tested))
    elif task.analysis == AGREEMENT:
        made += agreements.blocks(work, task)
    elif (task.analysis == DETECTION and task.question.images_are_options) or task.analysis == PREFERENCE:
        made += preferences.blocks(work, task)
    elif task.analysis == DETECTION:
        made += detections.blocks(work, task)
    elif task.analysis == MRMC:
        made += truthstudies.blocks(work, task)
    return made


def _test_table(work: Work, task: Task, tested: Sequence[TestResult]) -> Table:
    rows = []
    for one in tested:
        smallest = "continuous" if one.smallest_p == 0 else f"{one.smallest_p:.2g}" if one.n else ""
        value = "refused" if one.value is None else f"{one.statistic} = {number(one.value, 1)}"
        rows.append([one.label, value, _counts(one.n), smallest, p_text(one.p), p_text(one.holm_p)])
    columns = ["Test", "Statistic", "n", "Smallest\nattainable p", "p", "p (Holm)"]
    note = f"{'; '.join(dict.fromkeys(one.method for one in tested))}. Holm's family: {_FAMILIES[task.role]}."
    if any(one.refused for one in tested):
        note += " A refused test counts in the family."
    return Table(f"Tests of \u201c{task.question.text}\u201d", columns, rows, note, columns[:1])


def _counts(n: dict[str, int]) -> str:
    """ "18 pairs, 17 differ", or whatever was counted."""
    words = {"nonzero": "differ", "left_out": "left out"}
    return ", ".join(f"{count} {words.get(name, name)}" for name, count in n.items() if count or name != "left_out")


def _exploratory(
    work: Work,
    planned: Sequence[Task],
    tested: dict[Task, list[TestResult]],
    described: set[str],
    step: Callable[[int], None],
) -> list[Section]:
    sections = []
    own = [task for task in planned if task.role == EXPLORATORY]
    offset = len(planned) - len(own)
    for question in work.study.questions:
        section = Section(question.text, EXPLORATORY)
        if question.id not in described:
            described.add(question.id)
            section.blocks += describe(work, question)
        for task in (one for one in own if one.question.id == question.id):
            step(offset + own.index(task))
            section.blocks.append(Text(f"Exploratory: {_NAMES[task.analysis]}", "lead"))
            section.blocks += _refusals(tested[task])
            section.blocks += _body(work, task, tested[task])
        if section.blocks:
            sections.append(section)
    return sections


def _refusals(tested: Sequence[TestResult]) -> list[Block]:
    return [Text(f"{one.label}: not tested, because {one.refused}.", "refused") for one in tested if one.refused]


def _alarms(gathered: Gathered) -> list[str]:
    made = []
    if gathered.simulated:
        made.append("The answers were given by a program, not by physicians: everything below is simulated.")
    if gathered.status == "interim":
        made.append(
            "INTERIM ANALYSIS: reading goes on. Nothing below is a result; whoever has seen it should not decide who "
            "reads on, when reading ends, or what the primary endpoint is."
        )
    if gathered.status == "closed":
        made.append(f"Reading was declared closed although it is incomplete: {gathered.closed_because.rstrip('.')}.")
    if gathered.errors:
        made.append("Journals, images or answers are not in order; what stands behind a broken chain does not count:")
    return [*made, *gathered.errors, *gathered.warnings]


def _facts(gathered: Gathered, settings: Resampling) -> dict[str, Any]:
    study, reading = gathered.study, gathered.reading
    return {
        "study": study.id,
        "version": study.version,
        "title": study.title,
        "status": gathered.status,
        "closed_because": gathered.closed_because,
        "simulated_answers": gathered.simulated,
        "definition_sha256": study.sha256,
        "manifest_sha256": reading.sha256,
        "frozen_manifest_sha256": gathered.frozen,
        "study_seed": study.seed,
        "alpha": study.alpha,
        "resampling": settings.as_dict(),
        "primary": dict(study.document["primary"]),
        "hypotheses": [dict(one) for one in study.document.get("hypotheses", [])],
        "journals": [dict(row) for row in gathered.found],
        "last_entries": dict(gathered.last_digests),
        "versions": versions(),
        "made_utc": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def figures_of(report: Report) -> list[Figure]:
    """All figures in the order in which they appear."""
    return [block for section in report.sections for block in section.blocks if isinstance(block, Figure)]
