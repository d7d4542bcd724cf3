"""Options of a study in one command: what is impossible is refused at once, and which label is looked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from imagetranslation.errors import InputError
from training_tools import reproduce
from training_tools.classifying.models import MODELS
from training_tools.reproducing import data, growth, helping, plan, possible, running, working
from training_tools.reproducing.choices import Choices
from training_tools.reproducing.sizes import sizes_for

from .reproductions import pairs


def chosen(task: str, *options: str) -> Choices:
    return reproduce.chosen(reproduce.parser().parse_args([task, "-o", "x", *options]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rhos", "1.5"], "between 0 and 1"),
        (["--rhos", "0.301", "0.304"], "must differ in their first two decimals"),
        (["--rhos", "0.5", "0.5"], "must differ in their first two decimals"),
        (["--seconds", "-1"], "--seconds must be a number above 0"),
        (["--seconds", "0"], "--seconds must be a number above 0"),
        (["--seconds", "nan"], "--seconds must be a number above 0"),
        (["--translator-seconds", "0"], "--translator-seconds must be a number above 0"),
        (["--folds", "1"], "--folds must be 2 or more"),
        (["--folds", "0"], "--folds must be 2 or more"),
        (["--folds", "19"], "19 folds need 38 simulated patients"),
        (["--patients", "0"], "--patients must be 1 or more"),
        (["--patients", "1"], "3 folds need 6 simulated patients"),
        (["--sweep-patients", "0"], "--sweep-patients must be 4 or more"),
        (["--read", "0"], "--read must be 1 or more"),
        (["--readers", "0"], "--readers must be 1 or more"),
        (["--threads", "0"], "--threads must be 1 or more"),
        (["--workers", "0"], "1 or more"),
        (["--positive", "high"], "--positive is for the classification of us2mri"),
        (["--alike", "0.97"], "--alike is for scans of your own"),
        (["--data", "scans", "--alike", "1.5"], "--alike is for scans of your own, and lies between 0 and 1"),
        (["--classifiers", "resnet10"], "--classifiers is for the classification of us2mri"),
        (["--prepare", "--method none"], "--prepare is for your own data"),
        (["--data", "scans", "--prepare", "'"], "No closing quotation"),
        (["--data", "scans", "--patients", "5"], "--patients is for simulated patients; scans has its own"),
        (["--data", "scans", "--rhos", "0.5"], "--rhos is for simulated patients"),
    ],
)
def test_impossible_options_are_refused(options: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        chosen("pool2delayed", "--quick", *options)


def test_classifiers_can_be_chosen_and_are_all_by_default() -> None:
    assert chosen("us2mri", "--classifiers", "elastic-net", "random-forest").sizes.classifiers == (
        "elastic-net",
        "random-forest",
    )
    assert set(chosen("us2mri").sizes.classifiers) == set(MODELS)


def test_how_alike_scans_may_be_reaches_networks_and_translators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = chosen("us2mri", "--data", "scans", "--alike", "0.97")
    assert working._alike(made) == 0.97
    given: list[list[str]] = []
    monkeypatch.setattr(working.command, "main", lambda arguments: given.append(arguments) or 0)
    monkeypatch.setattr(Choices, "cases", lambda self: tmp_path)
    working.benchmark(made, tmp_path)
    assert given[0][given[0].index("--alike") + 1] == "0.97"


def test_options_of_the_sweep_are_refused_where_there_is_none() -> None:
    with pytest.raises(InputError, match="--rhos is for simulated bone scans"):
        chosen("us2mri", "--rhos", "0.5")


@pytest.mark.parametrize("task", ["us2mri", "pool2delayed"])
def test_every_step_of_a_study_is_measured_or_named_as_not_measured(task: str) -> None:
    made = Choices(task, "phantom", Path("x"), True, sizes_for(task, True), 1)
    names = {"prepared": "preparation"}
    steps = {names.get(step.name, step.name) for step in plan.steps(made)}
    assert steps - set(growth.STEPS[task]) <= set(growth.NOT_MEASURED)
    assert set(growth.STEPS[task]) <= steps


class TestLabelLookedFor:
    @pytest.mark.parametrize(
        ("kinds", "wanted"), [({"0", "1"}, "1"), ({"No", "Yes"}, "Yes"), ({"benign", "malignant"}, "malignant")]
    )
    def test_plain_labels_say_it_themselves(self, kinds: set[str], wanted: str) -> None:
        assert possible.looked_for(kinds, "") == (wanted, "")

    def test_it_is_asked_for_where_the_labels_do_not_say_it(self) -> None:
        wanted, reason = possible.looked_for({"high", "low"}, "")
        assert wanted == ""
        assert "--positive high or --positive low" in reason
        assert possible.looked_for({"high", "low"}, "high") == ("high", "")
        with pytest.raises(InputError, match="no patient has that label; there are high and low"):
            possible.looked_for({"high", "low"}, "hihg")

    def test_it_reaches_the_classification(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        given: list[list[str]] = []
        monkeypatch.setattr(helping.classify, "main", lambda arguments: given.append(arguments) or 0)
        monkeypatch.setattr(helping, "require_no_leak", lambda translators, patients: None)
        cases = labelled(tmp_path, ("low", "high"))
        (tmp_path / helping.TABLE).write_text("\n".join(["patient", *data.labels(cases)]))
        sizes = replace(sizes_for("us2mri", True), folds=2)
        assert "--positive high" in helping.classification(cases, tmp_path, sizes, 1, "", tmp_path / "no")
        assert helping.classification(cases, tmp_path, sizes, 1, "high", tmp_path / "out") == ""
        assert given[0][given[0].index("--positive") + 1] == "high"

    def test_it_may_be_given_to_a_study_that_was_begun_without_it(self, tmp_path: Path) -> None:
        made = Choices("us2mri", data.PHANTOM, tmp_path, True, sizes_for("us2mri", True), 1)
        told = replace(made, positive="high")
        assert made.record() == told.record()
        one, other = (next(s for s in plan.steps(c) if s.name == "classification") for c in (made, told))
        work = [
            replace(s, needs=(), work=lambda folder, why=why: why) for s, why in ((one, "which label?"), (other, ""))
        ]
        assert running.run_steps(work[:1], tmp_path, lambda sentence: None)["classification"].left_out
        found = running.run_steps(work[1:], tmp_path, lambda sentence: None)["classification"]
        assert (found.left_out, found.settings["positive"]) == ("", "high")


def labelled(folder: Path, kinds: tuple[str, str]) -> Path:
    prepared = pairs(folder / "pairs", 10, labels=True)
    about = json.loads((prepared / "cases.json").read_text())
    for case in about["cases"]:
        case["facts"] = {"label": kinds[int(case["facts"]["label"])]}
    (prepared / "cases.json").write_text(json.dumps(about))
    return prepared


def test_a_leak_stops_the_study_and_is_not_left_out(tmp_path: Path) -> None:
    cases = labelled(tmp_path, ("0", "1"))
    names = sorted(data.labels(cases))
    record = {
        "translators": {"a" * 64: {"trained_on": names[:1]}},
        "images": {"all": {who: {"translator": "a" * 64} for who in names}},
    }
    (tmp_path / helping.RECORD).write_text(json.dumps(record))
    sizes = replace(sizes_for("us2mri", True), folds=2)
    with pytest.raises(InputError, match="comes from a translator that was trained on case0"):
        helping.classification(cases, tmp_path, sizes, 1, "", tmp_path / "out")
    made = Choices("us2mri", str(cases), tmp_path / "study", True, sizes, 1)
    data.make("us2mri", str(cases), (), sizes, 1, made.place("prepared"))
    (made.place("translators") / "crossfit").mkdir(parents=True)
    (tmp_path / helping.RECORD).rename(made.place("translators") / "crossfit" / helping.RECORD)
    with pytest.raises(InputError, match="comes from a translator that was trained on case0"):
        working.lesions(made, made.place("lesions"))
