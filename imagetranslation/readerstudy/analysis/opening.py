"""What a report says before and after its results: who read what, what is missing, and how it was computed."""

from __future__ import annotations

from collections.abc import Sequence

from ..statistics.versions import versions
from .blocks import EXPLORATORY, Block, More, Section, Table, Text
from .gathering import Gathered, Progress
from .plan import MRMC, Task, Work

_STATUS = {
    "final": "Final analysis: every reader has finished.",
    "closed": "Final analysis of a reading that was closed before every reader had finished.",
    "interim": "Interim analysis: reading goes on.",
}
_MOST_NAMED = 400


def head(gathered: Gathered) -> list[str]:
    """The lines under the title."""
    study = gathered.study
    return [
        f"Reader study \u201c{study.id}\u201d, version {study.version}. {_STATUS[gathered.status]}",
        f"Definition SHA-256 {study.sha256}",
    ]


def opening(work: Work, gathered: Gathered) -> Section:
    """What was read, reader by reader, and everything that is missing, counted and named."""
    study = gathered.study
    patients = len({case.patient for case in study.cases})
    truths = [case.truth for case in study.cases if case.truth is not None]
    text = (
        f"{len(study.cases)} cases of {patients} patients, {len(study.arms)} arms "
        f"({', '.join(work.arm(arm.id) for arm in study.arms)}), {len(study.readers)} readers."
    )
    if truths:
        text += f" Truth: {sum(truths)} cases with the finding, {len(truths) - sum(truths)} without."
    section = Section("What was read", blocks=[Text(text), _progress_table(gathered.progress)])
    for one in gathered.progress:
        work.records.add(
            "completeness", reader=one.reader, done=one.done, planned=one.total, sessions_done=one.sessions_done,
            sessions=one.sessions, repeats_done=one.repeats_done, repeats=one.repeats, half_filled=one.half_filled,
            cannot_assess=one.cannot_assess, optional_empty=one.empty, answers_changed=one.changed,
        )  # fmt: skip
    section.blocks += _missing(work, gathered.progress)
    return section


def _progress_table(progress: Sequence[Progress]) -> Table:
    rows = [
        [one.reader, f"{one.done} of {one.total}", f"{one.sessions_done} of {one.sessions}",
         f"{one.repeats_done} of {one.repeats}", str(one.total - one.done), str(one.half_filled),
         str(one.cannot_assess), str(one.empty), str(one.changed)]
        for one in progress
    ]  # fmt: skip
    columns = ["Reader", "Cases handed in", "Sessions complete", "Hidden repeats", "Cases missing",
               "of these begun", "\u201cCannot assess\u201d", "Optional left empty", "Answers changed"]  # fmt: skip
    note = "Without training cases. Answers in cases that were begun but not handed in are kept and not analysed."
    return Table("What each reader read", columns, rows, note, ["Reader"])


def _missing(work: Work, progress: Sequence[Progress]) -> list[Block]:
    behind = [one for one in progress if one.not_done]
    if not behind:
        return [Text("Nothing is missing.", "note")]
    count = sum(len(one.not_done) for one in behind)
    rows = []
    for one in behind:
        for place, case, arm in one.not_done:
            work.records.add("missing", reader=one.reader, trial=place, case=case, arm=arm)
            rows.append([one.reader, str(place), case, work.arm(arm)])
    said = ", ".join(f"{one.reader} ({len(one.not_done)})" for one in behind)
    text = f"{count} cases were not handed in, by {said}. They are left out; nothing is filled in for them."
    note = "" if count <= _MOST_NAMED else f"The first {_MOST_NAMED} of {count}; all are in missing.csv."
    columns = ["Reader", "Place in the reader's order", "Case", "Arm"]
    table = Table("Cases not handed in", columns, rows[:_MOST_NAMED], note, ["Reader", "Case", "Arm"])
    return [Text(text), More("Each of them by name", [table])]


def methods(work: Work, gathered: Gathered, planned: Sequence[Task]) -> Section:
    """How it was done, with what, and what was frozen."""
    study, settings = work.study, work.settings
    told = versions()
    declared = sum(task.role != EXPLORATORY for task in planned)
    lines = [
        f"Primary endpoint and {declared - 1} secondary hypotheses stand in the study's definition, which the first "
        "answer froze; every other analysis is exploratory and proves nothing by itself.",
        "Patients are the units of all tests: differences within reader and case are averaged over each patient's "
        "cases and readers before they are ranked. p-values are two-sided and corrected by Holm's method within three "
        "families: primary, secondary, exploratory. A test that could not have reached the level even with its "
        "smallest attainable p is refused, and still counts in its family.",
        f"Bootstrap intervals resample patients with all their images, arms and models, {settings.draws} draws, seed "
        f"{settings.seed}, level {100 * settings.level:g}%; \u201creaders in general\u201d resample readers too, which "
        "needs three readers.",
        "Training cases are left out. Hidden repeats serve the agreement of readers with themselves and nothing else. "
        "Missing answers are not filled in; \u201ccannot assess\u201d counts as no answer in every statistic and is "
        "shown in the distributions.",
    ]
    if {case.truth for case in study.cases} == {0, 1} and not any(task.analysis == MRMC for task in planned):
        lines.append(
            "The study has truth, but no hypothesis of it names the rating that says how suspicious an image is "
            "(analysis mrmc), so there is no multi-reader multi-case analysis."
        )
    if len(study.treatments) > (study.arms_per_case or len(study.treatments)):
        lines.append(
            f"Each reader saw {study.arms_per_case} of {len(study.treatments)} presentations of a case; paired "
            "comparisons use the cases that one reader saw in both arms."
        )
    rows = [
        ["Definition (study.json)", f"version {study.version}, SHA-256 {study.sha256}"],
        ["Reading set (manifest)", f"SHA-256 {gathered.reading.sha256}"],
        ["Frozen at the first answer", gathered.frozen or "not frozen"],
        ["Seed of the study's schedule", str(study.seed)],
        ["Resampling", f"{settings.draws} draws, seed {settings.seed}"],
        *([name, version] for name, version in told.items()),
    ]
    digests = [[reader, digest or "no entry"] for reader, digest in gathered.last_digests.items()]
    tables: list[Block] = [
        Table("Settings and versions", ["What", "Value"], rows, words=["What", "Value"]),
        More(
            "Last entry of each journal",
            [Table("Digests", ["Reader", "SHA-256"], digests, words=["Reader", "SHA-256"])],
        ),
    ]
    return Section("Methods and settings", blocks=[*(Text(line) for line in lines), *tables])
