"""`training_tools.crossfit`: who is trained on whom, going on after a stop, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from imagetranslation.errors import InputError
from imagetranslation.volume import read_volume
from training_tools import crossfit
from training_tools.classifying import crossfit as records
from training_tools.classifying.images import check, read_images
from training_tools.crossfitting import making
from training_tools.crossfitting.plan import Scheme, draw

from .training_runs import prepared_pairs, tiny_config

LONGEST_WAIT_S = 240
PATIENTS = [f"case{n}" for n in range(6)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("pairs"), cases=6)


def write_config(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    config = tiny_config("regression", **{"held_out": ("case3",), "steps": 2, **changes})
    path.write_text(config.model_dump_json(exclude={"card"}))
    return path


def command(config: Path, data: Path, output: Path, *more: str) -> list[str]:
    paths = ["--config", str(config), "--data", str(data), "-o", str(output)]
    return [*paths, "--alike", "1", *(more or ("--scheme", "simple", "--folds", "2"))]


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A nested cross-fit of four patients, with two kept for one last test."""
    folder = tmp_path_factory.mktemp("nested")
    (folder / "test.csv").write_text("patient\ncase4\ncase5\n")
    more = ["--scheme", "nested", "--folds", "2", "--inner", "2", "--test-patients", str(folder / "test.csv")]
    assert crossfit.main(command(write_config(folder), data, folder / "out", *more)) == 0
    return folder / "out"


@pytest.fixture
def a_copy(finished: Path, tmp_path: Path) -> Path:
    """Of the finished one, to change."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


class TestPlan:
    labels = {f"p{n:02d}": n % 2 for n in range(24)}

    @pytest.mark.parametrize("kind", ["simple", "nested"])
    def test_nobody_is_translated_by_a_translator_that_saw_them(self, kind: str) -> None:
        scheme = Scheme(kind, 3, 2, test=("p00", "p01"))
        tested, translators, _ = draw(list(self.labels), self.labels, scheme)
        assert len(translators) == (3 + 1 if kind == "simple" else 3 * 3 + 3)
        for translator in translators:
            assert not set(translator.trained_on) & {*translator.makes, "p00", "p01"}
            assert not set(translator.trained_on) & set(tested.get(translator.fold, ()))
        for fold in {t.fold for t in translators}:
            made = sorted(who for t in translators if t.fold == fold for who in t.makes)
            last = {"all": 24, "test": 24}.get(fold, 22)
            assert len(made) == len(set(made)) == last

    def test_folds_are_those_that_classification_would_draw(self) -> None:
        import numpy as np

        from training_tools.classifying.crossvalidation import Folds

        order = sorted(self.labels)
        drawn = {
            f"{repeat}-{fold}": tuple(order[n] for n in places)
            for repeat, fold, _, places in Folds(4, 2, 5).divide(np.array([self.labels[who] for who in order]))
        }
        tested, _, _ = draw(order, self.labels, Scheme("nested", 4, 2, repeats=2, seed=5))
        assert tested == drawn

    def test_who_has_no_label_teaches_and_who_has_no_image_is_named(self) -> None:
        labels = {**{who: label for who, label in self.labels.items() if who != "p07"}, "stranger": 1}
        _, translators, notes = draw(list(self.labels), labels, Scheme("nested", 3, 2))
        assert all("p07" in t.trained_on and "p07" not in t.makes for t in translators)
        assert "stranger" in notes[0]
        assert "p07" in notes[1]

    @pytest.mark.parametrize("kind", ["simple", "nested"])
    def test_who_has_no_label_may_get_images_like_all_others(self, kind: Any) -> None:
        names = [*self.labels, *(f"q{n}" for n in range(7))]
        scheme = Scheme(kind, 3, test=())
        labels = {**dict.fromkeys(names), **self.labels}
        tested, translators, notes = draw(names, labels, scheme)
        for fold in {t.fold for t in translators}:
            own = [t for t in translators if t.fold == fold]
            assert sorted(who for t in own for who in t.makes) == sorted(names)
            assert all(not set(t.makes) & set(t.trained_on) for t in own)
            assert {sum(who.startswith("q") for who in t.makes) for t in own if len(own) == 3} <= {1, 2, 3}
        assert "7 patients have no label: they are spread over the folds" in notes[0]
        alone, _, _ = draw(list(self.labels), self.labels, scheme)
        kept = {fold: tuple(who for who in part if who in self.labels) for fold, part in tested.items()}
        assert kept == alone, "the folds of those who have a label are the classification's"
        with pytest.raises(InputError, match="q0 is to be tested last, but has no label"):
            draw(names, labels, Scheme(kind, 3, test=("q0",)))

    @pytest.mark.parametrize(
        ("scheme", "labels", "said"),
        [
            ({"folds": 13}, labels, "13 folds need 13 patients of each class; the smaller class has 12"),
            ({"folds": 25}, None, "25 folds need at least 25 patients; there are 24"),
            ({"folds": 1}, labels, "2 folds"),
            ({"test": ("nobody",)}, labels, "nobody is to be tested last"),
            ({"kind": "nestled"}, labels, "Unknown scheme"),
        ],
    )
    def test_divisions_that_cannot_be_are_refused(self, scheme: Any, labels: Any, said: str) -> None:
        with pytest.raises(InputError, match=said):
            draw(list(self.labels), labels, Scheme(**scheme))


def test_the_record_and_the_images_are_what_classification_checks(finished: Path, data: Path) -> None:
    found = records.read(finished / "crossfit.json")
    assert found.sealed
    assert found.kind == "nested"
    assert found.test == ("case4", "case5")
    assert records.verify(found, finished) == []
    found.check(PATIENTS)
    for fold, tested in found.folds.items():
        found.check_fold(fold, tested)
    found.check_fold("test", found.test)
    rows = read_images(finished / "images.csv")
    check(rows, found)
    assert len(rows) == 6 * 2 + 2 * 4 + 6
    one = next(row for row in rows if row.arm == "synthetic")
    made = read_volume(one.image)
    assert made.provenance is not None
    assert made.same_grid(read_volume(data / "source" / "case0.nrrd"))


def test_a_held_out_case_of_the_configuration_is_divided_like_all_others(finished: Path) -> None:
    package = json.loads((finished / "translators" / "0-0-whole" / "package" / "model.json").read_text())
    assert package["training"]["held_out"] == []
    assert "case3" in records.read(finished / "crossfit.json").images["0-0"]


def test_the_same_command_again_changes_nothing(finished: Path, data: Path, capsys: Any) -> None:
    before = (finished / "crossfit.json").read_bytes()
    more = ["--scheme", "nested", "--folds", "2", "--inner", "2", "--test-patients", str(finished.parent / "test.csv")]
    assert crossfit.main(command(finished.parent / "config.json", data, finished, *more)) == 0
    assert (finished / "crossfit.json").read_bytes() == before
    assert "0 of 9 translators are to be trained" in capsys.readouterr().err


class TestTampering:
    def test_a_record_that_was_changed_is_refused(self, a_copy: Path) -> None:
        path = a_copy / "crossfit.json"
        path.write_text(path.read_text().replace('"case0"', '"case1"', 1))
        with pytest.raises(InputError, match="its seal does not hold"):
            records.read(path)

    def test_a_record_sealed_anew_is_held_against_the_packages(self, a_copy: Path) -> None:
        found = records.read(a_copy / "crossfit.json")
        sha = next(iter(found.about))
        about = {**found.about, sha: {**found.about[sha], "cases": ["case5"]}}
        records.write(
            records.CrossFit(found.trained_on, found.images, found.folds, found.test, found.files, about, True),
            a_copy / "crossfit.json",
        )
        with pytest.raises(InputError, match="its weights or its training cases differ"):
            records.verify(records.read(a_copy / "crossfit.json"), a_copy)

    def test_an_image_that_was_replaced_is_refused(self, a_copy: Path) -> None:
        first, second = (a_copy / "images" / fold / "case0_synthetic-mr.nrrd" for fold in ("0-0", "0-1"))
        shutil.copyfile(second, first)
        with pytest.raises(InputError, match="is not the image that was recorded"):
            records.verify(records.read(a_copy / "crossfit.json"), a_copy)

    def test_an_image_of_another_version_of_the_model_is_refused(self, a_copy: Path) -> None:
        found = records.read(a_copy / "crossfit.json")
        (a_copy / "other.csv").write_text(
            "patient,arm,fold,image\ncase0,synthetic,0-0,images/0-1/case0_synthetic-mr.nrrd\n"
        )
        with pytest.raises(InputError, match="another run or another version of the model"):
            check(read_images(a_copy / "other.csv"), found)

    def test_a_package_that_is_gone_is_told(self, a_copy: Path) -> None:
        shutil.rmtree(a_copy / "translators" / "0-0-0" / "package")
        (note,) = records.verify(records.read(a_copy / "crossfit.json"), a_copy)
        assert "taken on trust" in note

    def test_translators_of_two_configurations_are_refused(self, a_copy: Path) -> None:
        found = records.read(a_copy / "crossfit.json")
        sha = next(iter(found.about))
        about = {**found.about, sha: {**found.about[sha], "config_sha256": "other"}}
        mixed = records.CrossFit(found.trained_on, found.images, about=about)
        with pytest.raises(InputError, match="2 configurations"):
            records.verify(mixed, a_copy)


class TestGoingOn:
    def nested(self) -> list[str]:
        return ["--scheme", "nested", "--folds", "2", "--inner", "2"]

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"version": "1.0.1"}, "another configuration or version of the model"),
            ({"steps": 3}, "a cross-fit of 2 steps a training, not 3 steps"),
            ({"seed": 4}, "another configuration or version of the model"),
        ],
    )
    def test_another_model_is_refused(
        self, finished: Path, data: Path, tmp_path: Path, changes: Any, said: str
    ) -> None:
        with pytest.raises(InputError, match=said):
            crossfit.main(command(write_config(tmp_path, **changes), data, finished, *self.nested()))

    def test_another_budget_of_time_and_another_likeness_are_refused(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(crossfit.costs, "seconds_a_step", lambda *given, **more: (0.1, 0.0))
        config, scheme, out = tiny_config("regression"), Scheme("simple", 2), tmp_path / "out"
        assert crossfit.begin(config, data, out, scheme, seconds=30, alike=1).plan.steps == 300
        assert crossfit.begin(config, data, out, scheme, seconds=30, alike=1).plan.steps == 300
        with pytest.raises(InputError, match="a cross-fit of 30 seconds a training, not 900 seconds"):
            crossfit.begin(config, data, out, scheme, seconds=900, alike=1)
        with pytest.raises(InputError, match="30 seconds a training, not 8 steps"):
            crossfit.begin(config.model_copy(update={"steps": 8}), data, out, scheme, alike=1)
        with pytest.raises(InputError, match="begun with --alike 1, not with no --alike"):
            crossfit.begin(config, data, out, scheme, seconds=30)

    def test_other_data_are_refused(self, finished: Path, data: Path, tmp_path: Path) -> None:
        other = Path(shutil.copytree(data, tmp_path / "prepared"))
        shutil.copyfile(other / "target" / "case1.nrrd", other / "target" / "case2.nrrd")
        with pytest.raises(InputError, match="among them case2"):
            crossfit.main(command(finished.parent / "config.json", other, finished, *self.nested()))

    def test_another_scheme_is_refused(self, finished: Path, data: Path) -> None:
        with pytest.raises(InputError, match="another scheme"):
            crossfit.main(command(finished.parent / "config.json", data, finished))

    def test_translators_can_be_made_one_by_one_and_a_lost_image_is_made_again(
        self, data: Path, tmp_path: Path, capsys: Any
    ) -> None:
        config, output = write_config(tmp_path), tmp_path / "out"
        whole = command(config, data, output)
        assert crossfit.main([*whole, "--list"]) == 0
        assert capsys.readouterr().out.split() == ["0:", "all-0", "1:", "all-1"]
        assert crossfit.main([*whole, "--only", "1"]) == 0
        assert not (output / "crossfit.json").exists()
        assert crossfit.main([*whole, "--only", "0"]) == 0
        first = (output / "crossfit.json").read_bytes()
        next((output / "images").rglob("case2*.nrrd")).unlink()
        assert crossfit.main(whole) == 0
        assert (output / "crossfit.json").read_bytes() == first
        with pytest.raises(InputError, match="There is no translator 2"):
            crossfit.main([*whole, "--only", "2"])

    def test_a_killed_run_goes_on_and_ends_with_the_same_weights(self, data: Path, tmp_path: Path) -> None:
        config = write_config(tmp_path, steps=30, checkpoint_every=3)
        output = tmp_path / "killed"
        process = subprocess.Popen(
            [sys.executable, "-m", "training_tools.crossfit", *command(config, data, output)],
            cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        latest = output / "translators" / "all-1" / "run" / "checkpoint" / "latest.json"
        until = time.monotonic() + LONGEST_WAIT_S
        while not latest.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert latest.exists()
        kept = json.loads((output / "translators" / "all-0" / making.RECORD).read_text())
        assert crossfit.main(command(config, data, output)) == 0
        assert json.loads((output / "translators" / "all-0" / making.RECORD).read_text()) == kept
        assert crossfit.main(command(config, data, tmp_path / "whole")) == 0
        ends = [set(records.read(tmp_path / name / "crossfit.json").trained_on) for name in ("killed", "whole")]
        assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"validation": {"cases": ["case1"], "every": 1}}, "set validation.share instead"),
        ({"name": "perceptual-pix2pix"}, "which would leak"),
    ],
)
def test_what_would_leak_by_the_configuration_is_refused(data: Path, tmp_path: Path, changes: Any, said: str) -> None:
    config = tiny_config(changes.pop("name", "regression"), **changes)
    with pytest.raises(InputError, match=said):
        crossfit.begin(config, data, tmp_path / "out", Scheme("simple", 2))


def test_a_case_without_a_partner_is_refused_before_anything_is_trained(data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(data, tmp_path / "prepared"))
    about = json.loads((other / "cases.json").read_text())
    about["cases"][2]["side"] = "target"
    (other / "cases.json").write_text(json.dumps(about))
    for part in ("target", "valid"):
        (other / f"unpaired_{part}").mkdir()
        (other / part / "case2.nrrd").rename(other / f"unpaired_{part}" / "case2.nrrd")
    with pytest.raises(InputError, match=r"A cross-fit needs pairs, but 1 cases .* among them case2"):
        crossfit.begin(tiny_config("regression"), other, tmp_path / "out", Scheme("simple", 2))
    assert not (tmp_path / "out").exists()


def test_one_patient_under_two_names_is_refused(data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(data, tmp_path / "prepared"))
    for part in ("source", "target", "valid"):
        shutil.copyfile(other / part / "case0.nrrd", other / part / "case1.nrrd")
    with pytest.raises(InputError, match="are the same, voxel by voxel"):
        crossfit.begin(tiny_config("regression"), other, tmp_path / "out", Scheme("simple", 2))
