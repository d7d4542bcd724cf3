"""`training_tools.classify`: it finds what was put in, gains nothing from noise, and refuses images that leak."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import Cancelled, InputError, RunFailed
from training_tools import classify, console
from training_tools.classifying import arms, crossfit, page, scores, tables
from training_tools.classifying.crossvalidation import Folds, Prediction

PATIENTS = [f"p{n:02d}" for n in range(60)]
FEATURES = [f"feature {n}" for n in range(8)]


def write_table(path: Path, values: np.ndarray) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient", *FEATURES])
        writer.writerows([patient, *row] for patient, row in zip(PATIENTS, values))


def write_record(path: Path, **changes: Any) -> None:
    halves = PATIENTS[:30], PATIENTS[30:]
    record = {
        "translators": {"aaa": {"trained_on": halves[0]}, "bbb": {"trained_on": halves[1]}},
        "images": {"all": {p: {"translator": "bbb" if p in halves[0] else "aaa"} for p in PATIENTS}},
    }
    record["images"]["all"].update(changes)
    path.write_text(json.dumps(record))


def make_study(tmp_path: Path) -> Path:
    """The real image tells the label well, the source a little, the synthetic image is the source with noise."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    (tmp_path / "labels.csv").write_text(
        "\n".join(["patient,label", *(f"{p},{'high' if label else 'low'}" for p, label in zip(PATIENTS, labels))])
    )
    informative = labels[:, None] * (np.arange(8) < 3)
    source = random.normal(size=(60, 8)) + 0.4 * informative
    write_table(tmp_path / "source.csv", source)
    write_table(tmp_path / "synthetic.csv", source + random.normal(0, 1.5, source.shape))
    write_table(tmp_path / "real.csv", random.normal(size=(60, 8)) + 2.5 * informative)
    write_record(tmp_path / "record.json")
    return tmp_path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return make_study(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose report is written."""
    folder = make_study(tmp_path_factory.mktemp("study"))
    assert classify.main(command(folder)) == 0
    return folder / "out"


def command(study: Path, *more: str) -> list[str]:
    given = [f"--{name}" for name in ("labels", "source", "synthetic", "real")]
    paths = [str(study / f"{name[2:]}.csv") for name in given]
    pairs = [text for pair in zip(given, paths) for text in pair]
    return [
        *pairs,
        "--cross-fit",
        str(study / "record.json"),
        "--models",
        "elastic-net",
        "-o",
        str(study / "out"),
        *more,
    ]


def test_what_was_put_in_is_found_and_noise_gains_nothing(finished: Path) -> None:
    report = json.loads((finished / "classification.json").read_text())
    assert "is a function of its source" in report["note"]
    found = {row["arm"]: row for row in report["results"]}
    # Three features 2.5 SD apart: the best possible area is 0.999; 0.4 SD apart: 0.69.
    assert found[arms.REAL]["auc"] > 0.97
    assert 0.5 < found[arms.SOURCE]["auc"] < 0.8
    assert found[arms.SYNTHETIC]["auc"] < found[arms.SOURCE]["auc"] + 0.05
    control = found[arms.CONTROL]
    assert len(set(control["draws"])) == arms.PERMUTATIONS
    assert control["auc"] == pytest.approx(np.mean(control["draws"]))
    low, high = control["expected_by_chance"]
    assert low < control["auc"] < high
    assert f"draws lie from {low:.3f} to {high:.3f}" in control["interval"]["refused"]
    assert f"draws lie from {low:.3f} to {high:.3f}" in (finished / "index.html").read_text()
    assert found[arms.BOTH]["features"] == 16
    gains = {row["arm"]: row for row in report["differences"]}
    assert gains[arms.REAL]["low"] > 0
    assert 0 < gains[arms.REAL]["p"] < 0.1
    assert gains[arms.REAL]["holm_p"] >= gains[arms.REAL]["p"]
    assert gains[arms.SYNTHETIC]["low"] < 0
    assert arms.CONTROL not in gains
    with (finished / "predictions.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["arm"] == arms.REAL]
    assert sorted(row["patient"] for row in rows) == PATIENTS


def test_the_page_needs_nothing_else_and_says_what_kind_of_test_it_was(finished: Path) -> None:
    text = (finished / "index.html").read_text()
    assert "simple cross-fitting" in text
    assert "As the record has it, which bears no seal: No synthetic image comes from" in text
    assert "<svg" in text
    assert "src='http" not in text
    assert 'href="http' not in text.replace('xlink:href="http', "")


def test_the_controls_labels_keep_each_folds_share() -> None:
    labels, folds = (np.arange(30) % 6 == 0).astype(int), Folds(5, repeats=2)
    drawn = [arms.drawn_anew(labels, folds, number) for number in (0, 0, 1)]
    for repeat in (0, 1):
        assert (drawn[0][repeat][0] == drawn[1][repeat][0]).all()
        assert (drawn[0][repeat][0] != drawn[2][repeat][0]).any()
    assert (drawn[0][0][0] != drawn[0][1][0]).any()
    for repeat, _, _, tested in folds.divide(labels):
        assert [own[repeat][0][tested].sum() for own in drawn] == [1, 1, 1]
    again = [(r, f, tested.tolist()) for _, own in drawn[0] for r, f, _, tested in own.divide(labels)]
    assert again == [(r, f, tested.tolist()) for r, f, _, tested in folds.divide(labels)]


def test_the_record_is_json_also_with_repeats_and_few_of_a_kind(study: Path) -> None:
    rows = [f"{patient},{'high' if n % 4 == 0 else 'low'}" for n, patient in enumerate(PATIENTS[:20])]
    (study / "labels.csv").write_text("\n".join(["patient,label", *rows]))
    for name in ("source", "synthetic", "real"):
        lines = (study / f"{name}.csv").read_text().splitlines()
        (study / f"{name}.csv").write_text("\n".join(lines[:21]))
    classify.main(command(study, "--folds", "5", "--repeats", "2"))

    def refused(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    told = json.loads((study / "out" / "classification.json").read_text(), parse_constant=refused)
    control = next(row for row in told["results"] if row["arm"] == arms.CONTROL)
    assert len(control["auc_of_folds"]) == 2 * 5 * arms.PERMUTATIONS
    assert None not in control["auc_of_folds"]


def test_an_area_that_is_undefined_is_null_in_the_record() -> None:
    made = [Prediction(0, fold, np.array([2 * fold, 2 * fold + 1]), np.array([0.4, 0.6]), {}) for fold in (0, 1)]
    told = scores.score(made, np.array([0, 1, 1, 1])).as_dict()
    assert told["auc_of_folds"] == [1.0, None]
    json.dumps(told, allow_nan=False)


def test_the_range_of_the_control_by_chance_is_that_of_a_model_that_learns_noise() -> None:
    random, labels, areas = np.random.default_rng(0), np.arange(40) % 4 // 3, []
    folds = list(Folds(5).divide(labels))
    for _ in range(1000):
        table, drawn = random.normal(size=(40, 10)), labels.copy()
        made = []
        for _, _, _, tested in folds:
            drawn[tested] = random.permutation(labels[tested])
        for _, fold, train, tested in folds:
            own, truth = table[train], drawn[train]
            towards = own[truth == 1].mean(axis=0) - own[truth == 0].mean(axis=0)
            made.append(Prediction(0, fold, tested, table[tested] @ towards, {}))
        areas.append(np.mean([scores.area(p.probability, drawn[p.tested]) for p in made]))
    low, high = arms.by_chance(made, drawn)
    assert 0.93 < np.mean([low < area < high for area in areas]) < 0.98


def test_names_that_are_no_patients_and_features_that_are_too_good_are_told(study: Path) -> None:
    write_record(study / "record.json")
    record = json.loads((study / "record.json").read_text())
    record["translators"]["bbb"]["trained_on"] = ["case 1", "case 2"]
    (study / "record.json").write_text(json.dumps(record))
    lines = (study / "source.csv").read_text().splitlines()
    rows = [f"{line},{n + 1000 * (n % 2)}" for n, line in enumerate(lines[1:])]
    (study / "source.csv").write_text("\n".join([f"{lines[0]},psa", *rows]))
    classify.main(command(study, "--folds", "2"))
    report = json.loads((study / "out" / "classification.json").read_text())
    assert any("30 of the 32 names" in text for text in report["trusted"])
    (said,) = report["suspicious"]
    assert "psa of source tells the labels apart without a single error" in said
    text = (study / "out" / "index.html").read_text()
    assert said in text
    assert "30 of the 32 names" in text


def test_an_image_of_a_translator_that_saw_its_patient_is_refused(study: Path) -> None:
    write_record(study / "record.json", p03={"translator": "aaa"})
    with pytest.raises(InputError, match="trained on p03"):
        classify.main(command(study))
    assert not (study / "out").exists()


class TestNested:
    @pytest.fixture
    def planned(self, study: Path) -> dict[str, list[str]]:
        plan = study / "folds.json"
        classify.main(["--labels", str(study / "labels.csv"), "--folds", "3", "--plan", "-o", str(plan)])
        folds: dict[str, list[str]] = json.loads(plan.read_text())["folds"]
        random = np.random.default_rng(1)
        (study / "synthetic.csv").unlink()
        (study / "synthetic").mkdir()
        translators, images = {}, {}
        for fold, tested in folds.items():
            write_table(study / "synthetic" / f"{fold}.csv", random.normal(size=(60, 8)))
            kept = [patient for patient in PATIENTS if patient not in tested]
            # Tested patients' images come from a translator of all others, the others' from one of each half of them.
            parts = {f"{fold}all": kept, f"{fold}first": kept[::2], f"{fold}second": kept[1::2]}
            translators.update({sha: frozenset(seen) for sha, seen in parts.items()})
            images[fold] = dict.fromkeys(tested, f"{fold}all")
            images[fold].update(dict.fromkeys(kept[::2], f"{fold}second") | dict.fromkeys(kept[1::2], f"{fold}first"))
        crossfit.write(crossfit.CrossFit(translators, images), study / "record.json")
        return folds

    def command(self, study: Path) -> list[str]:
        parts = command(study, "--folds", "3")
        return [text.replace("synthetic.csv", "synthetic") for text in parts]

    def test_each_fold_uses_its_own_images(self, study: Path, planned: dict[str, list[str]]) -> None:
        assert classify.main(self.command(study)) == 0
        report = json.loads((study / "out" / "classification.json").read_text())
        assert report["cross_fit"] == "nested"
        found = {row["arm"]: row["auc"] for row in report["results"]}
        assert 0.25 < found[arms.SYNTHETIC] < 0.75
        assert "nested cross-fitting" in (study / "out" / "index.html").read_text()

    def test_a_translator_that_saw_a_tested_patients_target_is_refused(self, study: Path, planned: dict) -> None:
        record = json.loads((study / "record.json").read_text())
        record["translators"]["0-1first"]["trained_on"].append(planned["0-1"][0])
        (study / "record.json").write_text(json.dumps(record))
        with pytest.raises(InputError, match=f"fold 0-1 .* has seen {planned['0-1'][0]}"):
            classify.main(self.command(study))

    def test_a_fold_without_images_is_named(self, study: Path, planned: dict) -> None:
        (study / "synthetic" / "0-2.csv").unlink()
        with pytest.raises(InputError, match="no synthetic images for the fold 0-2"):
            classify.main(self.command(study))


def test_planned_folds_leave_out_the_patients_who_are_kept_to_the_last(study: Path) -> None:
    (study / "test.csv").write_text("patient\n" + "\n".join(PATIENTS[:10]) + "\n")
    plan = study / "folds.json"
    given = ["--labels", str(study / "labels.csv"), "--folds", "3", "--plan", "-o", str(plan)]
    classify.main([*given, "--test-patients", str(study / "test.csv")])
    told = json.loads(plan.read_text())
    assert sorted(patient for tested in told["folds"].values() for patient in tested) == PATIENTS[10:]
    assert told["test"] == PATIENTS[:10]
    (study / "test.csv").write_text("patient\nstranger\n")
    with pytest.raises(InputError, match="stranger is to be tested last, but has no label"):
        classify.main([*given, "--test-patients", str(study / "test.csv")])


def test_the_curves_do_not_depend_on_the_order_of_patients_with_one_probability() -> None:
    from sklearn.metrics import roc_curve

    random = np.random.default_rng(0)
    truth, chance = random.integers(0, 2, 60), np.round(random.random(60), 1)
    hits, alarms = page.called(chance, truth)
    false, true, _ = roc_curve(truth, chance, drop_intermediate=False)
    assert (hits / hits[-1]).tolist() == pytest.approx(true[1:])
    assert (alarms / alarms[-1]).tolist() == pytest.approx(false[1:])
    for order in (np.argsort(truth), np.argsort(-truth)):
        assert [values.tolist() for values in page.called(np.full(60, 0.5), truth[order])] == [
            [truth.sum()], [60 - truth.sum()]
        ]  # fmt: skip


def test_the_page_shows_what_probabilities_refer_to_and_both_numbers_of_calibration(finished: Path) -> None:
    text = (finished / "index.html").read_text()
    assert "no class is weighted" in text
    assert "<th>Calibration slope</th><th>Calibration intercept</th>" in text
    first = json.loads((finished / "classification.json").read_text())["results"][0]
    assert f"<td>{first['calibration_intercept']:.3f}</td></tr>" in text
    assert "<title>" in text
    for curve in ("ROC", "Precision and recall", "Calibration", "Decision curve"):
        assert f"{curve} (folds pooled)" in text


def test_intervals_of_few_patients_bear_a_star_and_the_page_says_what_it_means(finished: Path) -> None:
    from imagetranslation.readerstudy.statistics.bootstrap import Resampling

    made = [Prediction(0, 0, np.arange(8), np.array([0.1, 0.4, 0.3, 0.6, 0.5, 0.2, 0.9, 0.8]), {})]
    labels = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    few = arms.Result(arms.SOURCE, "elastic-net", tuple(made), scores.score(made, labels, Resampling(draws=200)), 3)
    about = json.loads((finished / "classification.json").read_text())
    cohort = tables.Cohort(tuple(PATIENTS[:8]), labels, "high", {}, {})
    text = page.page(cohort, [few], [], about)
    ends = few.scores.interval
    assert f"<td>{ends.low:.3f} to {ends.high:.3f} *</td>" in text
    assert "only 8 patients: take the interval as rough.</p>" in text
    assert "* " not in re.sub(r"<style.*?</style>", "", (finished / "index.html").read_text(), flags=re.DOTALL)


def test_another_study_in_the_same_folder_leaves_nothing_of_the_first(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = study / "out"
    out.mkdir()
    for name in classify.WRITTEN:
        (out / name).write_text("an earlier study")

    def full(*_: object) -> str:
        raise RunFailed("the disk is full")

    monkeypatch.setattr(classify, "page", full)
    with pytest.raises(RunFailed):
        classify.main(command(study, "--folds", "2"))
    assert not (out / "classification.json").exists()
    assert not (out / "test.csv").exists()
    monkeypatch.undo()


def test_seeds_that_cannot_be_are_refused(study: Path) -> None:
    for seed in ("-1", str(2**31)):
        with pytest.raises(InputError, match="--seed is a whole number from 0"):
            classify.main(command(study, "--seed", seed))


def test_the_settings_that_were_chosen_are_kept_for_every_fold(finished: Path) -> None:
    for row in json.loads((finished / "classification.json").read_text())["results"]:
        assert [(one["repeat"], one["fold"]) for one in row["settings_chosen"]] == [(0, fold) for fold in range(5)]
        assert {one["classifier__C"] for one in row["settings_chosen"]} <= {0.01, 0.1, 1.0}


def test_ctrl_c_is_one_sentence_and_the_code_of_what_was_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert console.run(interrupted) == Cancelled.exit_code
    assert capsys.readouterr().err == "error: Cancelled. What was finished is kept; no file is half-written.\n"


def test_net_benefit_is_that_of_the_definition() -> None:
    chance, truth = np.array([0.9, 0.8, 0.3, 0.1]), np.array([1, 0, 1, 0])
    assert page.net_benefit(chance, truth, 0.5) == pytest.approx(0.25 - 0.25 * 1)
    assert page.net_benefit(chance, truth, 0.2) == pytest.approx(0.5 - 0.25 * 0.25)
