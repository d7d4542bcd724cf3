"""From `study new` to the report: simulated readers read whole studies, and the report finds what was planted in them.

Seeds are fixed: a sound 95% interval misses the planted value once in twenty seeds.
"""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from imagetranslation.cli import app
from imagetranslation.inference import translate
from imagetranslation.models import load_package
from imagetranslation.readerstudy.definition import load_study
from imagetranslation.readerstudy.statistics.roc import delong_test
from imagetranslation.volume import Volume, read_volume, write_volume
from Testing.simulated_lesions import a_lesion_study
from Testing.simulated_readers import Planted, read_study

PLANTED = Planted(dropout={"R7": 20}, cannot_assess=0.03)
AREAS = {"standard": 0.80, "revised": 0.92}
LEFT = "R7 left after 20 cases (planted)"


def run(*arguments: object) -> tuple[int, str]:
    ran = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ran.exception is None or isinstance(ran.exception, (SystemExit, Exception))
    return ran.exit_code, ran.output + (str(ran.exception) if ran.exception else "")


def table(report: Path, name: str) -> list[dict[str, str]]:
    with open(report / "tables" / f"{name}.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def estimate(report: Path, **wanted: str) -> dict[str, str]:
    """The one row of estimates.csv with these cells; `interval` may be the beginning of the method."""
    begins = wanted.pop("interval", "")
    rows = [
        row
        for row in table(report, "estimates")
        if all(row[name] == value for name, value in wanted.items()) and row["interval"].startswith(begins)
    ]
    assert len(rows) == 1, [row["interval"] for row in rows]
    return rows[0]


def holds(row: dict[str, str], value: float) -> bool:
    return float(row["low"]) <= value <= float(row["high"])


@pytest.fixture(scope="module")
def a_quick_disk() -> Iterator[None]:
    """Power losses are tested elsewhere; here thousands of answers would wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


def stand_in(target: Volume) -> Volume:
    """A blurred copy of the real target: NOT a synthetic image, it only stands where one would."""
    from scipy.ndimage import gaussian_filter

    blurred = gaussian_filter(np.asarray(target.array, dtype=np.float32), 1.5)
    return Volume(blurred, target.spacing, target.origin, target.direction)


def new_study(folder: Path, pairs: Path, make: Any, name: str) -> Path:
    """`study new` on the 18 real pairs with the us2mri template and seven readers."""
    (folder / "synthetic").mkdir(parents=True)
    lines = [f"case,patient,source,real,{name}"]
    for n in range(18):
        case = f"case{n:02d}"
        source, target = pairs / "us" / f"{case}.nii.gz", pairs / "mr" / f"{case}.nii.gz"
        made = folder / "synthetic" / f"{case}.nii.gz"
        write_volume(make(source, target), made)
        lines.append(f"{case},{case},{source},{target},{made}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    title = "Simulated reading of 18 prostate pairs"
    options = ["--template", "us2mri", "--cases", folder / "cases.csv", "--readers", 7, "--seed", 5, "--title", title]
    options += ["--sessions", 1]
    code, said = run("study", "new", folder / "study", *options)
    assert code == 0, said
    return folder / "study"


@pytest.fixture(scope="module")
def real_pairs_study(prostate_pairs: Path, tmp_path_factory: pytest.TempPathFactory, a_quick_disk: None) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    study = new_study(folder, prostate_pairs, lambda _, target: stand_in(read_volume(target)), "stand-in-blurred")
    read_study(study, PLANTED, seed=2)
    return study


@pytest.fixture(scope="module")
def report(real_pairs_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("out") / "report"
    code, said = run("study", "analyze", real_pairs_study, "-o", target, "--closed", LEFT, "--draws", 300)
    assert code == 0, said
    return target


@pytest.fixture(scope="module")
def lesion_study(tmp_path_factory: pytest.TempPathFactory, a_quick_disk: None) -> Path:
    study = a_lesion_study(tmp_path_factory.mktemp("lesions") / "study")
    read_study(study, Planted(areas=AREAS), seed=2)
    return study


@pytest.fixture(scope="module")
def lesion_report(lesion_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("out") / "report"
    code, said = run("study", "analyze", lesion_study, "-o", target, "--draws", 300)
    assert code == 0, said
    return target


def test_the_planted_bias_is_in_the_models_interval_and_the_primary_test_sees_it(report: Path) -> None:
    [arm] = [r for r in table(report, "models") if r["question"] == "realism" and r["effect"].startswith("arm ")]
    assert arm["effect"] == "arm stand-in-blurred"
    assert arm["role"] == "primary"
    assert holds(arm, PLANTED.bias)
    assert float(arm["high"]) < 0
    [test] = [row for row in table(report, "tests") if row["role"] == "primary"]
    assert float(test["holm_p"]) < 0.05
    assert 0 < float(test["smallest_p"]) <= float(test["p"])
    assert (
        float(estimate(report, question="realism", key="mean_difference", subset="all readers", interval="BCa")["high"])
        < 0
    )


def test_the_planted_agreement_is_in_its_intervals(report: Path) -> None:
    for key in ("krippendorff_nominal", "fleiss"):
        for interval in ("linearised", "BCa", "percentile"):
            row = estimate(report, question="interpretability", subset="all arms", key=key, interval=interval)
            assert holds(row, PLANTED.agreement), (key, row)
    other = estimate(report, question="realism", subset="all arms", key="krippendorff_nominal", interval="BCa")
    assert not holds(other, PLANTED.agreement)


def test_readers_agree_with_themselves_as_planted_and_the_one_without_repeats_is_refused(report: Path) -> None:
    expected = PLANTED.consistency + (1 - PLANTED.consistency) / 5
    common = {"question": "interpretability", "about": "agreement with oneself", "key": "percent_agreement"}
    rows = [r for r in table(report, "estimates") if all(r[k] == v for k, v in common.items())]
    known = {r["subset"]: float(r["value"]) for r in rows if r["value"]}
    assert "reader R7" not in known
    assert abs(np.mean(list(known.values())) - expected) < 3 * math.sqrt(expected * (1 - expected) / (10 * len(known)))


def test_telling_synthetic_from_real_is_found_as_planted(report: Path) -> None:
    accuracy = 0.5 * math.erfc(-PLANTED.d_prime / 2 / math.sqrt(2))
    area = 0.5 * math.erfc(-PLANTED.d_prime / 2)
    for key, planted in (("accuracy", accuracy), ("d_prime", PLANTED.d_prime), ("criterion", 0.0), ("auc", area)):
        for interval in ("BCa", "percentile"):
            row = estimate(report, question="origin", subset="mean of the readers", key=key, interval=interval)
            assert holds(row, planted), (key, row)


def test_answers_are_counted_beside_each_reader_because_all_weigh_alike_in_the_mean(report: Path) -> None:
    rows = [row for row in table(report, "answers") if row["question"] == "origin" and row["value"]]
    scored = [row for row in rows if row["done"] == "1" and row["training"] == "0" and not row["repeat_of"]]
    shown = (report / "report.html").read_text(encoding="utf-8").partition("Telling synthetic from real")[2]
    for reader in ("R1", "R7"):
        count = sum(row["reader"] == reader for row in scored)
        assert re.search(rf">{reader}</t[dh]><td[^>]*>{count}</td>", shown), (reader, count)
    assert "In the mean every reader weighs alike" in shown


def test_the_dropout_is_counted_and_every_missing_case_named(report: Path) -> None:
    rows = {row["reader"]: row for row in table(report, "completeness")}
    assert (rows["R7"]["done"], rows["R7"]["planned"], rows["R7"]["sessions_done"]) == ("20", "46", "0")
    assert {row["done"] for reader, row in rows.items() if reader != "R7"} == {"46"}
    missing = table(report, "missing")
    assert len(missing) == 26
    assert {row["reader"] for row in missing} == {"R7"}
    page = (report / "report.html").read_text()
    assert LEFT in page
    assert "26 cases were not handed in, by R7 (26)" in page
    assert "The answers were given by a program" in page


def test_the_primary_endpoint_comes_first_and_all_that_was_not_declared_is_called_exploratory(report: Path) -> None:
    page = (report / "report.html").read_text()
    marks = re.findall(r'<h2 id="s\d+">(?:<span class="mark (\w+)">)?', page)
    assert marks[:4] == ["", "primary", "secondary", "secondary"]
    assert set(marks[4:-1]) == {"exploratory"}
    assert marks[-1] == ""
    roles = {(row["role"], row["question"]) for row in table(report, "tests")}
    assert ("primary", "realism") in roles
    assert ("secondary", "origin") in roles
    assert ("exploratory", "artifacts") in roles
    assert page.index("<figure>") < page.index("Tests of ")


def test_the_report_says_what_was_frozen_with_what_it_was_made_and_from_which_seed(
    report: Path, real_pairs_study: Path
) -> None:
    told = json.loads((report / "results.json").read_text())
    frozen = json.loads((real_pairs_study / "reading" / "answers" / "frozen.json").read_text())
    assert told["frozen_manifest_sha256"] == told["manifest_sha256"] == frozen["manifest_sha256"]
    assert told["resampling"]["seed"] == told["study_seed"] == 5
    assert told["resampling"]["draws"] == 300
    page = (report / "report.html").read_text()
    for text in (told["definition_sha256"], told["manifest_sha256"], told["versions"]["scipy"], "300 draws, seed 5"):
        assert text in page
    assert "NaN" not in (report / "results.json").read_text()


def test_an_unfinished_reading_keeps_the_key_sealed_and_says_why(real_pairs_study: Path, tmp_path: Path) -> None:
    code, said = run("study", "analyze", real_pairs_study, "-o", tmp_path / "report")
    assert code != 0
    assert "R7 20 of 46" in said
    assert "no p-value means what it says" in said
    assert not (tmp_path / "report").exists()
    code, said = run("study", "analyze", real_pairs_study, "-o", tmp_path / "r", "--interim", "--closed", "x")
    assert code != 0
    assert "not both" in said


def test_the_planted_difference_of_areas_is_in_the_intervals_of_every_design(lesion_report: Path) -> None:
    rows = [row for row in table(lesion_report, "mrmc") if not row["design"].startswith("reader")]
    assert {(r["design"], r["covariance"]) for r in rows} == {
        (design, covariance) for design in ("RRRC", "FRRC", "RRFC") for covariance in ("jackknife", "delong")
    }
    for row in rows:
        assert (row["first"], row["second"]) == ("Revised model", "Standard model")
        if row["design"] != "RRFC":  # with fixed cases the interval is about these cases only
            assert holds(row, AREAS["revised"] - AREAS["standard"]), row
    [test] = table(lesion_report, "tests")[:1]
    assert test["role"] == "primary"
    assert float(test["holm_p"]) < 0.05


def test_each_reader_alone_is_compared_by_delongs_test(lesion_report: Path, lesion_study: Path) -> None:
    study = load_study(lesion_study)
    truth = np.array([bool(case.truth) for case in study.cases])
    place = {case.id: n for n, case in enumerate(study.cases)}
    ratings = np.zeros((2, len(truth)))
    for row in table(lesion_report, "answers"):
        if row["reader"] == "R3":
            ratings[0 if row["arm"] == "revised" else 1, place[row["case"]]] = float(row["value"])
    expected = delong_test(ratings, truth)
    [row] = [r for r in table(lesion_report, "mrmc") if (r["design"], r["covariance"]) == ("reader R3", "delong")]
    assert float(row["estimate"]) == pytest.approx(expected.difference)
    assert float(row["p"]) == pytest.approx(expected.p)
    assert "DeLong&#x27;s test for each reader" in (lesion_report / "report.html").read_text()


def test_the_next_study_is_planned_from_the_components(lesion_report: Path) -> None:
    rows = table(lesion_report, "next_study")
    power = {(int(row["readers"]), int(row["cases"])): float(row["power"]) for row in rows}
    assert power[15, 400] > power[3, 50]
    assert all(0 < value <= 1 for value in power.values())
    assert "The next study: power to find a difference of 0.05" in (lesion_report / "report.html").read_text()


def test_a_finished_reading_needs_no_excuse_and_an_old_report_is_not_overwritten(
    lesion_report: Path, lesion_study: Path
) -> None:
    page = (lesion_report / "report.html").read_text()
    assert "Final analysis: every reader has finished." in page
    assert "INTERIM" not in page
    code, said = run("study", "analyze", lesion_study, "-o", lesion_report)
    assert code != 0
    assert "there already" in said


def test_the_same_seed_gives_the_same_report(lesion_report: Path, lesion_study: Path, tmp_path: Path) -> None:
    run("study", "analyze", lesion_study, "-o", tmp_path / "again", "--draws", 300)
    for name in ("estimates", "tests", "mrmc"):
        assert table(tmp_path / "again", name) == table(lesion_report, name)


def test_a_broken_chain_stands_at_the_head_and_what_is_behind_it_does_not_count(
    lesion_study: Path, tmp_path: Path
) -> None:
    study = Path(shutil.copytree(lesion_study, tmp_path / "study"))
    journal = study / "reading" / "answers" / "R2.jsonl"
    lines = journal.read_bytes().split(b"\n")
    lines[101] = lines[101].replace(b'"kind":"', b'"kind":"x')
    journal.write_bytes(b"\n".join(lines))
    code, said = run("study", "analyze", study, "-o", tmp_path / "report", "--interim", "--draws", 100)
    assert code == 0
    assert "R2.jsonl, line 102" in said
    page = (tmp_path / "report" / "report.html").read_text()
    head = page[: page.index("<nav>")]
    assert "R2.jsonl, line 102 was changed" in head
    assert "INTERIM" in head
    done = {row["reader"]: int(row["done"]) for row in table(tmp_path / "report", "completeness")}
    assert done["R1"] == 120
    assert done["R2"] < 40
    assert "Left out because they did not rate every case in every arm: R2" in page


def test_a_torn_line_is_reported_and_the_rest_counts(lesion_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(lesion_study, tmp_path / "study"))
    journal = study / "reading" / "answers" / "R1.jsonl"
    journal.write_bytes(journal.read_bytes()[:-40])
    code, said = run("study", "analyze", study, "-o", tmp_path / "report", "--draws", 100)
    assert code == 0
    assert "cut off" in said
    assert {row["done"] for row in table(tmp_path / "report", "completeness")} == {"120"}


def test_the_key_of_another_study_opens_nothing(lesion_study: Path, real_pairs_study: Path, tmp_path: Path) -> None:
    code, said = run("study", "analyze", lesion_study, "-o", tmp_path / "r", "--key", real_pairs_study / "key")
    assert code != 0
    assert "belongs to another reading set" in said
    shutil.copytree(lesion_study, tmp_path / "study", ignore=shutil.ignore_patterns("key"))
    code, said = run("study", "analyze", tmp_path / "study", "-o", tmp_path / "r")
    assert code != 0
    assert "--key" in said


def test_answers_that_were_frozen_to_another_reading_set_are_not_analysed(lesion_study: Path, tmp_path: Path) -> None:
    study = Path(shutil.copytree(lesion_study, tmp_path / "study"))
    frozen = study / "reading" / "answers" / "frozen.json"
    told = json.loads(frozen.read_text())
    frozen.write_text(json.dumps({**told, "manifest_sha256": "0" * 64}))
    code, said = run("study", "analyze", study, "-o", tmp_path / "report")
    assert code != 0
    assert "was changed after the first answer" in said


@pytest.mark.soak
def test_the_shipped_models_images_of_the_real_pairs_go_the_same_way(
    prostate_pairs: Path, tmp_path: Path, a_quick_disk: None
) -> None:
    model = load_package("us2mri-pix2pix-small")

    def synthetic(source: Path, _: Path) -> Volume:
        return translate(read_volume(source), model, device="cpu")

    study = new_study(tmp_path, prostate_pairs, synthetic, "us2mri-pix2pix-small")
    read_study(study, PLANTED, seed=2)
    code, said = run("study", "analyze", study, "-o", tmp_path / "report", "--closed", LEFT)
    assert code == 0, said
    [arm] = [r for r in table(tmp_path / "report", "models") if (r["question"], r["effect"][:4]) == ("realism", "arm ")]
    assert holds(arm, PLANTED.bias)


@pytest.mark.soak
def test_the_intervals_hold_the_planted_area_difference_about_as_often_as_they_say(
    lesion_study: Path, tmp_path: Path, a_quick_disk: None
) -> None:
    """40 seeds at 95%: fewer than 33 hits would come once in a thousand times."""
    hits = 0
    for seed in range(40):
        study = Path(shutil.copytree(lesion_study, tmp_path / f"study{seed}", ignore=shutil.ignore_patterns("answers")))
        read_study(study, Planted(areas=AREAS), seed=100 + seed)
        run("study", "analyze", study, "-o", tmp_path / f"report{seed}", "--draws", 100)
        rows = table(tmp_path / f"report{seed}", "mrmc")
        [row] = [r for r in rows if r["design"] == "RRRC" and r["covariance"] == "jackknife"]
        hits += holds(row, AREAS["revised"] - AREAS["standard"])
    assert hits >= 33
