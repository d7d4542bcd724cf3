"""Parts of an analysis on answers written down by hand: pairing, families of tests, few readers, and the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.analysis import (
    agreements,
    detections,
    differences,
    distributions,
    preferences,
    truthstudies,
)
from imagetranslation.readerstudy.analysis.answers import Answers, collect
from imagetranslation.readerstudy.analysis.blocks import EXPLORATORY, PRIMARY, Figure, More, Table, Text
from imagetranslation.readerstudy.analysis.figures import Bar, Point, forest, stacked
from imagetranslation.readerstudy.analysis.gathering import gather
from imagetranslation.readerstudy.analysis.page import page
from imagetranslation.readerstudy.analysis.plan import Task, Work, tasks
from imagetranslation.readerstudy.analysis.report import Report, analyse
from imagetranslation.readerstudy.analysis.writing import write_report
from imagetranslation.readerstudy.definition import Study, study_from
from imagetranslation.readerstudy.exports import COLUMNS
from imagetranslation.readerstudy.session import open_session
from imagetranslation.readerstudy.statistics.bootstrap import Resampling
from Testing.studies import ARTIFACTS, COMMENT, REALISM, a_document, a_study, read_everything

QUICK = Resampling(draws=200, seed=3)
NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>\"&'"


def a_row(reader: str, case: str, arm: str, question: str, value: Any, **more: Any) -> dict[str, Any]:
    """A row as `exports.answer_rows` makes it, of a trial that was handed in."""
    usual = dict.fromkeys(COLUMNS, "")
    numbers = dict.fromkeys(("training", "cannot_assess", "changes"), 0)
    label = "" if value == "" else str(value)
    return {
        **usual,
        **numbers,
        "reader": reader,
        "token": f"{reader}-{case}-{arm}",
        "case": case,
        "patient": case,
        "arm": arm,
        "arms": f"A={arm}",
        "slot": "A",
        "question": question,
        "value": value,
        "label": label,
        "trial": 1,
        "reading_s": 10.0,
        "idle_s": 0.0,
        "done": 1,
        **more,
    }


def a_work(rows: Sequence[Mapping[str, Any]], study: Study | None = None, **more: Any) -> Work:
    made = study or study_from(a_document(cases=12, readers=4, **more), "test")
    return Work(collect(made, rows), QUICK)


def ratings(values: Mapping[str, Sequence[tuple[Any, Any]]], question: str = "realism") -> list[dict[str, Any]]:
    """reader -> [(answer to scanner, answer to model1) of patient0, of patient1, ...]; "" is no answer."""
    return [
        a_row(reader, f"patient{n}", arm, question, value)
        for reader, pairs in values.items()
        for n, pair in enumerate(pairs)
        for arm, value in zip(("scanner", "model1"), pair)
        if value is not None
    ]


def the_task(work: Work, question: str, analysis: str, **more: Any) -> Task:
    asked = next(q for q in work.study.questions if q.id == question)
    return Task(PRIMARY, analysis, asked, **more)


def texts(blocks: Sequence[Any]) -> str:
    """Everything a reader of the blocks would read."""
    said = []
    for block in blocks:
        if isinstance(block, Text):
            said.append(block.text)
        elif isinstance(block, Table):
            said += [block.title, *block.columns, *(cell for row in block.rows for cell in row), block.note]
        elif isinstance(block, Figure):
            said += [block.caption, block.svg]
        elif isinstance(block, More):
            said.append(texts(block.blocks))
    return "\n".join(said)


def test_pairs_are_made_within_reader_and_case_and_the_difference_is_second_less_first() -> None:
    rows = ratings({"R1": [(1, 3), (2, 4), (5, "")], "R2": [(3, 3), ("", 1), (4, 5)]})
    work = a_work(rows)
    grid = work.answers.of(work.study.questions[0])
    one, other, patients = grid.paired("scanner", "model1")
    assert patients == ("patient0", "patient1", "patient2")
    assert np.isnan(one[2, 0])
    assert np.isnan(other[1, 1])
    found = differences.mean_difference(work, grid, "scanner", "model1")
    assert found.value == pytest.approx(np.mean([2, 2, 0, 1]))
    assert found.n == {"patients": 3, "readers": 2, "answers": 4}


def test_what_is_unsound_or_not_handed_in_or_training_or_a_repeat_does_not_count() -> None:
    rows = [
        a_row("R1", "patient0", "scanner", "realism", 4),
        a_row("R1", "patient1", "scanner", "realism", 9),
        a_row("R1", "patient2", "scanner", "realism", 2, done=0),
        a_row("R1", "patient3", "scanner", "realism", 2, training=1),
        a_row("R1", "patient4", "scanner", "realism", 2, repeat_of=3),
        a_row("R1", "patient5", "scanner", "realism", "", cannot_assess=1),
    ]
    answers = a_work(rows).answers
    grid = answers.of(answers.study.questions[0])
    assert [image.case for image in grid.images] == ["patient0", "patient1", "patient5"]
    assert np.isfinite(grid.values).sum() == 1
    assert [image.case for image in answers.repeats_of(answers.study.questions[0]).images] == ["patient4"]


def test_a_test_that_could_not_reach_the_level_is_refused_with_its_smallest_p() -> None:
    rows = ratings({"R1": [(1, 3)] * 5, "R2": [(1, 2)] * 5})
    work = a_work(rows)
    [test] = differences.tests(work, the_task(work, "realism", "difference"))
    assert test.smallest_p == test.p == 2 / 2**5
    report = a_report(work)
    assert "the smallest p these data could give is 0.0625" in page(report)
    assert any(row["refused"] and row["smallest_p"] == 2 / 2**5 for row in report.records.tables["tests"])


def model_of(values: Mapping[str, Sequence[tuple[Any, Any]]]) -> tuple[list[Any], str, list[dict[str, Any]]]:
    """Blocks, words and recorded effects of the cumulative-link model of realism."""
    work = a_work(ratings(values))
    task = the_task(work, "realism", "difference")
    blocks = differences._model(work, task, work.answers.of(task.question))
    return blocks, texts(blocks), work.records.tables.get("models", [])


MIXED = [(2, 3), (3, 3), (2, 4), (4, 5), (3, 2), (1, 3), (2, 2), (4, 4), (3, 5), (2, 3)]


def test_a_reader_who_always_gives_the_same_answer_does_not_take_the_effect_of_arms_away() -> None:
    moved = [(min(5, a + 1), b) for a, b in MIXED]
    blocks, _, recorded = model_of({"R1": MIXED, "R2": moved, "R3": [(5, 5)] * 10})
    assert isinstance(blocks[0], Text)
    assert "refused" in blocks[0].text
    assert isinstance(blocks[1], Table)
    assert "without R3 (one answer throughout)" in blocks[1].title
    assert [row["effect"] for row in recorded] == ["arm model1", "reader R1"]
    alone, _, without = model_of({"R1": MIXED, "R2": moved})
    assert len(alone) == 1
    assert recorded[0]["log_odds"] == pytest.approx(without[0]["log_odds"], abs=1e-6)


def test_the_model_says_how_it_takes_what_readers_of_one_image_have_in_common() -> None:
    moved = [(min(5, a + 1), b) for a, b in MIXED]
    [table], _, _ = model_of({"R1": MIXED, "R2": moved})
    assert "standard errors are taken over patients" in table.note
    assert "patients like these" in table.note
    assert "9 degrees of freedom" in table.note
    [alone], _, _ = model_of({"R1": MIXED})
    assert "standard errors are taken over patients" not in alone.note


def test_arms_that_separate_the_answers_completely_are_counted_where_no_model_can_be_had() -> None:
    _, said, recorded = model_of({"R1": [(1, 4), (2, 5)] * 5, "R2": [(2, 4), (1, 5), (2, 3), (1, 4), (2, 5)] * 2})
    assert recorded == []
    assert said.count("refused") == 2
    assert "of 20 pairs of answers by one reader to one case, model1 got the higher one in 20, the same in 0" in said


def test_readers_who_saw_one_arm_each_are_never_taken_as_alike() -> None:
    values = {"R1": [(a, "") for a, _ in MIXED], "R2": [("", b) for _, b in MIXED]}
    _, said, recorded = model_of(values)
    assert recorded == []
    assert "cannot be told apart" in said
    assert "alike" not in said


def a_report(work: Work) -> Report:
    """The report of a work without journals: the sections of the declared and exploratory questions."""
    from imagetranslation.readerstudy.analysis import report as module
    from imagetranslation.readerstudy.statistics.versions import versions

    planned = tasks(work.study)
    tested = module._families(work, planned, work.study.alpha)
    sections = module._exploratory(work, [t for t in planned if t.role == EXPLORATORY], tested, set(), lambda _: None)
    first = module.Section("Primary", PRIMARY)
    first.blocks += module._in_one_line(work, planned[0], tested[planned[0]])
    first.blocks += module._body(work, planned[0], tested[planned[0]])
    facts = {"versions": versions(), "made_utc": ""}
    return Report(work.study.title, [], [], [first, *sections], work.records, facts)


def test_one_two_and_three_readers_get_what_so_many_can_carry() -> None:
    pairs = [(n % 5 + 1, (n * 2) % 5 + 1) for n in range(12)]
    more = [(min(5, a + (n % 3 == 0)), b) for n, (a, b) in enumerate(pairs)]
    third = [(a, max(1, b - (n % 4 == 0))) for n, (a, b) in enumerate(pairs)]
    one, two, three = (
        a_work(ratings(dict(zip(("R1", "R2", "R3"), all_)))) for all_ in ([pairs], [pairs, more], [pairs, more, third])
    )
    said = texts(agreements.blocks(one, the_task(one, "realism", "agreement")))
    assert "there is one rater only" in said
    said = texts(agreements.blocks(two, the_task(two, "realism", "agreement")))
    assert "2 readers cannot stand for readers in general; at least 3 are needed" in said
    said = texts(differences.blocks(two, the_task(two, "realism", "difference"), []))
    assert "2 readers cannot stand for readers in general" in said
    said = texts(differences.blocks(three, the_task(three, "realism", "difference"), []))
    assert "cannot stand for" not in said


def test_the_scale_of_agreement_is_the_declared_one_also_where_steps_were_never_used() -> None:
    pairs = [(3 + n % 2, 3) for n in range(12)]
    work = a_work(ratings({"R1": pairs, "R2": [(3, b) for _, b in pairs]}))
    agreements.blocks(work, the_task(work, "realism", "agreement"))
    rows = [r for r in work.records.tables["estimates"] if r["key"] == "gwet_ac1" and r["subset"] == "all arms"]
    assert {row["method"] for row in rows} == {"scale declared: 1, 2, 3, 4, 5, missing ratings used pairwise"}
    shares = np.array([42 / 48, 6 / 48])  # of steps 3 and 4 among all ratings; 18 of 24 images agree
    chance = (shares * (1 - shares)).sum() / (5 - 1)
    assert rows[0]["value"] == pytest.approx((18 / 24 - chance) / (1 - chance))


def test_agreement_with_oneself_is_refused_below_ten_repeats_and_given_from_ten_on() -> None:
    def work(count: int) -> Work:
        pairs = [(n % 5 + 1, 5 - n % 5) for n in range(12)]
        rows = ratings({"R1": pairs, "R2": pairs})
        rows += [
            a_row("R1", f"patient{n}", "scanner", "realism", n % 5 + 1, repeat_of=n + 1, token=f"again{n}")
            for n in range(count)
        ]
        return a_work(rows)

    nine, ten = work(9), work(10)
    said = texts(agreements.blocks(nine, the_task(nine, "realism", "agreement")))
    assert "9 cases were read twice; intra-reader agreement needs at least 10" in said
    agreements.blocks(ten, the_task(ten, "realism", "agreement"))
    own = [r for r in ten.records.tables["estimates"] if r["about"] == "agreement with oneself"]
    assert {r["value"] for r in own if r["key"] == "percent_agreement"} == {1.0}


def test_the_margin_is_judged_by_the_interval_and_not_by_the_mean() -> None:
    rows = ratings({r: [(3, 3 + (n % 4 == 0) - (n % 4 == 2)) for n in range(12)] for r in ("R1", "R2", "R3")})
    work = a_work(rows)
    close = texts(differences.blocks(work, the_task(work, "realism", "difference", margin=1.0), []))
    assert "lies within \u00b11: equivalent by this margin" in close
    narrow = texts(differences.blocks(work, the_task(work, "realism", "difference", margin=0.1), []))
    assert "neither equivalence nor non-inferiority is shown" in narrow


def test_ranks_and_choices_follow_the_arms_and_not_the_places_on_the_screen() -> None:
    question = {"id": "best", "type": "choice", "text": "Which?", "images_are_options": True}
    document = a_document(cases=12, readers=2, kind="forced_choice", questions=[question])
    document["primary"] = {"question": "best", "analysis": "preference", "hypothesis": "One is preferred."}
    rows = []
    for n in range(12):
        arms, place = ("A=scanner;B=model1", "B") if n % 2 else ("A=model1;B=scanner", "A")
        for reader in ("R1", "R2"):
            winner = "model1" if n else "scanner"
            slot = place if n else ("B" if place == "A" else "A")
            rows.append(a_row(reader, f"patient{n}", "", "best", slot, arms=arms, slot="", value_arm=winner))
    work = a_work(rows, study_from(document, "test"))
    task = tasks(work.study)[0]
    preferences.blocks(work, task)
    [share, *_] = [r for r in work.records.tables["estimates"] if r["key"] == "preference"]
    assert share["value"] == pytest.approx(11 / 12)
    [test] = preferences.tests(work, task)
    assert test.label == "best: model1 chosen over scanner"
    assert test.p is not None
    assert test.p < 0.01


def test_choices_among_three_images_count_for_a_pair_only_where_one_of_the_two_was_chosen() -> None:
    question = {"id": "best", "type": "choice", "text": "Which?", "images_are_options": True}
    document = a_document(cases=12, readers=1, arms=3, kind="ranking", questions=[question])
    document["primary"] = {"question": "best", "analysis": "preference", "hypothesis": "One is preferred."}
    winners = ["model2"] * 4 + ["model1"] * 6 + ["scanner"] * 2
    arms = "A=scanner;B=model1;C=model2"
    rows = [
        a_row("R1", f"patient{n}", "", "best", "A", arms=arms, slot="", value_arm=winner)
        for n, winner in enumerate(winners)
    ]
    work = a_work(rows, study_from(document, "test"))
    preferences.blocks(work, tasks(work.study)[0])
    shares = {r["label"]: (r["value"], r["n_answers"]) for r in work.records.tables["estimates"]}
    assert shares["model1 over scanner"] == (pytest.approx(6 / 8), 8)
    assert shares["model2 over scanner"] == (pytest.approx(4 / 6), 6)


def test_a_ranking_of_three_is_tested_by_friedman_and_pairs() -> None:
    question = {"id": "order", "type": "ranking", "text": "Order?"}
    document = a_document(cases=12, readers=2, arms=3, kind="ranking", questions=[question])
    document["primary"] = {"question": "order", "analysis": "preference", "hypothesis": "Ranks differ."}
    arms = "A=scanner;B=model1;C=model2"
    rows = [
        a_row(r, f"patient{n}", "", "order", "A|C|B", arms=arms, slot="", value_arm="scanner|model2|model1")
        for r in ("R1", "R2")
        for n in range(12)
    ]
    work = a_work(rows, study_from(document, "test"))
    found = preferences.tests(work, tasks(work.study)[0])
    assert [test.statistic for test in found] == ["chi-square", "W+", "W+", "W+"]
    assert found[0].value == pytest.approx(24.0)  # 12 patients x (3 - 1) x Kendall's W of 1
    said = texts(preferences.blocks(work, tasks(work.study)[0]))
    assert re.search(r"scanner\n1\.00\n", said)
    assert re.search(r"model1\n3\.00\n", said)


def test_always_answering_synthetic_is_no_better_than_chance_however_many_synthetic_images_there_are() -> None:
    options = [{"id": "real", "text": "Real"}, {"id": "synthetic", "text": "Synthetic"}]
    question = {"id": "origin", "type": "choice", "text": "Real or not?", "options": options}
    document = a_document(cases=12, readers=2, arms=3, questions=[question])
    document["primary"] = {"question": "origin", "analysis": "detection", "hypothesis": "They can."}
    rows = [
        a_row("R1", f"patient{n}", arm, "origin", "synthetic")
        for n in range(12)
        for arm in ("scanner", "model1", "model2")
    ]
    work = a_work(rows, study_from(document, "test"))
    [test] = detections.tests(work, tasks(work.study)[0])
    assert test.refused == "none of the 12 pairs differ, so there is nothing to test"
    said = texts(detections.blocks(work, tasks(work.study)[0]))
    assert "there is no question origin_confidence" in said


def test_gaps_in_a_crossed_study_take_out_the_reader_or_case_that_misses_most() -> None:
    gaps = np.zeros((2, 4, 20))
    gaps[:, 3, 5:] = np.nan
    gaps[0, 1, 7] = np.nan
    readers, cases = truthstudies._complete(gaps)
    assert readers == [0, 1, 2]
    assert cases == [n for n in range(20) if n != 7]


def test_comments_and_names_never_become_html(tmp_path: Path) -> None:
    document = a_document(cases=6, readers=2, questions=[{**REALISM, "text": NASTY}, ARTIFACTS, COMMENT])
    document["title"] = NASTY
    document["arms"][0]["label"] = NASTY
    document["primary"]["hypothesis"] = NASTY
    study = a_study(tmp_path / "study", document)
    for reader in document["readers"]:
        with open_session(study, reader) as session:
            session.answer("comment", "=HYPERLINK(1)" + NASTY)
            read_everything(session)
    gathered = gather(study)
    written = write_report(analyse(gathered, draws=100), gathered, tmp_path / "report")
    seen = Elements(written.read_text())
    assert seen.tags.isdisjoint({"script", "img", "link", "iframe", "object", "embed", "base", "form", "image", "use"})
    assert not {name for name in seen.attributes if name.startswith("on")}
    assert "alert(1)" in seen.text
    for file in (tmp_path / "report" / "figures").iterdir():
        ElementTree.fromstring(file.read_text())
    cells = (tmp_path / "report" / "tables" / "answers.csv").read_text()
    assert "'=HYPERLINK" in cells


class Elements(HTMLParser):
    """What a browser would find in a page: tags, names of attributes, addresses, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses |= {str(value) for name, value in attrs if name in ("href", "src", "xlink:href", "action")}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_from_elsewhere() -> None:
    rows = ratings({r: [(n % 5 + 1, (n + 1) % 5 + 1) for n in range(12)] for r in ("R1", "R2", "R3")})
    text = page(a_report(a_work(rows)))
    seen = Elements(text)
    assert all(address.startswith("#") for address in seen.addresses)
    assert "default-src 'none'" in text
    assert re.findall(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text) == []


def test_stacked_bars_add_up_and_name_their_counts() -> None:
    drawn = stacked("T", ["low", "high"], ["#b35806", "#542788"], [Bar("All", "arm", [3, 9]), Bar("R1", "arm", [0, 0])])
    root = ElementTree.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    wide = [float(r.get("width", 0)) for r in root.iter(f"{space}rect") if r.find(f"{space}title") is not None]
    assert wide[1] == pytest.approx(3 * wide[0], abs=0.2)
    assert "high: 9 of 12" in drawn
    assert "none" in drawn


def test_a_refused_interval_is_drawn_as_none_and_said() -> None:
    drawn = forest("T", [Point("a", 0.5, None, None), Point("b", None, None, None)], "x", 0.0)
    assert "0.50 (interval refused)" in drawn
    assert ">refused<" in drawn


def test_conditional_questions_say_how_often_they_were_asked() -> None:
    document = a_document(cases=12, readers=2)
    rows = [
        row
        for n in range(12)
        for row in (
            a_row("R1", f"patient{n}", "scanner", "artifacts", int(n < 4)),
            *([a_row("R1", f"patient{n}", "scanner", "severity", 1)] if n < 4 else []),
        )
    ]
    work = a_work(rows, study_from(document, "test"))
    severity = next(q for q in work.study.questions if q.id == "severity")
    assert "4 of 12 times" in texts(distributions.describe(work, severity))


def test_cannot_assess_is_shown_and_is_no_answer() -> None:
    document = a_document(cases=12, readers=2, questions=[{**REALISM, "cannot_assess": True}])
    rows = [a_row("R1", f"patient{n}", "scanner", "realism", 3) for n in range(9)]
    rows += [a_row("R1", f"patient{n}", "scanner", "realism", "", cannot_assess=1) for n in range(9, 12)]
    work = a_work(rows, study_from(document, "test"))
    said = texts(distributions.describe(work, work.study.questions[0]))
    assert "Cannot assess: 3 of 12" in said
    assert "3 (3\u20133); 9" in said


def test_nothing_handed_in_is_a_sentence(tmp_path: Path) -> None:
    study = a_study(tmp_path / "study")
    with pytest.raises(InputError, match="No case was handed in yet"):
        gather(study, interim=True)


def test_conditions_on_lists_do_not_stop_the_plan() -> None:
    severity = {**ARTIFACTS, "show_if": {"question": "realism", "in": [1, 2]}}
    study = study_from(a_document(cases=12, readers=2, questions=[REALISM, severity]), "test")
    assert {task: task.role for task in tasks(study)}


def test_an_answers_object_knows_only_readers_who_handed_something_in() -> None:
    answers: Answers = a_work(ratings({"R2": [(1, 2)]})).answers
    assert answers.readers == ("R2",)
