"""Nothing of a tested patient reaches a model unnoticed: by encoder, validation, held-out cases or drawn folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imagetranslation.errors import InputError
from imagetranslation.models import load_package
from imagetranslation.volume import read_volume, write_volume
from training_tools import calibration, console, crossval, evaluate, export, leaks, splits, train
from training_tools import encoder as encoders
from training_tools.config import Config
from training_tools.dataset import load_cases
from training_tools.exporting.evaluated import read_evaluation

from .training_runs import prepared_pairs, tiny_config

CASES = [f"case{number}" for number in range(5)]
ALIKE = ["--alike", "1"]  # ellipsoids are more alike than patients


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("pairs"), cases=len(CASES))


def an_encoder(folder: Path, seen: list[str] | None) -> Path:
    torch.manual_seed(0)
    encoders.save(encoders.Encoder((4, 4)), folder, {} if seen is None else {"cases": seen})
    return folder


def perceptual(folder: Path, **changes: Any) -> Config:
    objective = {"encoder": str(folder)}
    return tiny_config("perceptual-pix2pix", objective=objective, **{"steps": 1, "held_out": (), **changes})


def plain(**changes: Any) -> Config:
    return tiny_config("regression", **{"steps": 1, "held_out": (), **changes})


def kept(config: Config, folder: Path) -> list[str]:
    """The options of a command that name the configuration."""
    (folder / "config.json").write_text(config.model_dump_json(exclude={"card"}))
    return ["--config", str(folder / "config.json")]


@pytest.fixture(scope="module")
def package(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose best weights were chosen on case3."""
    place = tmp_path_factory.mktemp("validated")
    config = plain(validation={"every": 1, "cases": ["case3"]})
    train.train(config, data, place / "run", CASES[:4])
    return export.export(place / "run", data, place / "package").path


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients of whom two and two have nearly one image."""
    data = prepared_pairs(tmp_path_factory.mktemp("copied"), cases=4)
    for first, second in (("case0", "case1"), ("case2", "case3")):
        image = read_volume(data / "source" / f"{first}.nrrd")
        noise = np.random.default_rng(0).normal(0, 1, image.array.shape)
        write_volume(image.with_array((image.array + noise).astype(np.float32)), data / "source" / f"{second}.nrrd")
    return data


class TestEncoder:
    @pytest.mark.parametrize(("seen", "said"), [(CASES[:4], "among them case3"), (None, "does not say on which cases")])
    def test_a_loss_whose_encoder_saw_other_cases_is_refused_and_leaves_no_run(
        self, data: Path, tmp_path: Path, seen: list[str] | None, said: str
    ) -> None:
        config = perceptual(an_encoder(tmp_path / "encoder", seen))
        with pytest.raises(InputError, match=said):
            train.train(config, data, tmp_path / "run", CASES[:3])
        assert not (tmp_path / "run").exists()

    def test_run_package_and_card_say_on_whom_the_encoder_was_trained(self, data: Path, tmp_path: Path) -> None:
        place = an_encoder(tmp_path / "encoder", CASES[:2])
        train.train(perceptual(place), data, tmp_path / "run", CASES[:3])
        package = export.export(tmp_path / "run", data, tmp_path / "package")
        found = package.metadata["training"]["encoder"]
        assert found == json.loads((tmp_path / "run" / "config.json").read_text())["encoder"]
        assert found == {"sha256": json.loads((place / "encoder.json").read_text())["sha256"], "cases": CASES[:2]}
        assert "encoder of features in the loss was trained on 2 cases: case0, case1" in package.card()
        assert package.metadata["training"]["config"]["objective"]["encoder"] == place.name
        assert str(tmp_path) not in (package.path / "model.json").read_text(), "a package names no one's folders"
        other = an_encoder(tmp_path / "other", CASES[:1])
        for name in (encoders.NAME, encoders.WEIGHTS):
            (place / name).write_bytes((other / name).read_bytes())
        with pytest.raises(InputError, match="another encoder of features"):
            train.train(perceptual(place), data, tmp_path / "run", CASES[:3])

    def test_a_package_whose_encoder_saw_a_tested_case_is_not_scored(self, data: Path, tmp_path: Path) -> None:
        config = perceptual(an_encoder(tmp_path / "encoder", CASES[:3]))
        train.train(config, data, tmp_path / "run", CASES[:3])
        export.export(tmp_path / "run", data, tmp_path / "package")
        evaluate.package_method(tmp_path / "package", CASES[:3], config)
        model = tmp_path / "package" / "model.json"
        told = json.loads(model.read_text())
        told["training"].update(cases=CASES[1:3])
        model.write_text(json.dumps(told))
        with pytest.raises(InputError, match="among them case0"):
            evaluate.package_method(tmp_path / "package", CASES[1:3], config)
        del told["training"]["encoder"]
        model.write_text(json.dumps(told))
        with pytest.raises(InputError, match="does not say on which cases that was trained"):
            evaluate.package_method(tmp_path / "package", CASES[:3], config)

    def test_without_a_split_it_is_not_trained_on_held_out_cases(self, data: Path, tmp_path: Path) -> None:
        given = [*kept(plain(held_out=CASES[3:]), tmp_path), "--data", str(data), "--steps", "1"]
        assert encoders.main([*given, *ALIKE, "-o", str(tmp_path / "encoder")]) == 0
        assert json.loads((tmp_path / "encoder" / "encoder.json").read_text())["cases"] == CASES[:3]


class TestValidated:
    def test_the_package_and_its_card_name_them(self, package: Path) -> None:
        found = load_package(package)
        assert found.metadata["training"]["cases"] == CASES[:3]
        assert found.metadata["training"]["validated"] == ["case3"]
        assert "The best weights were chosen on 1 cases: case3." in found.card()

    def test_a_model_is_not_tested_on_the_patients_that_chose_it(
        self, package: Path, data: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(InputError, match="not in the training set, among them case3"):
            evaluate.package_method(package, CASES[:3], plain())
        evaluate.package_method(package, CASES[:4], plain())
        found = load_package(package)
        (case,) = load_cases(data, plain(), ["case3"])
        with pytest.raises(InputError, match="was trained on case3, or chosen by it"):
            calibration.residuals(found, case, "mirror", 2)
        record = {
            "settings": {
                "weights": {"ours": found.weights_sha256}, "tested": ["case3"],
                "config": plain().model_dump(mode="json"), "methods": {"ours": ""},
            },
            "tables": [], "measures": {},
        }  # fmt: skip
        (tmp_path / "evaluation.json").write_text(json.dumps(record))
        with pytest.raises(InputError, match=r"tests 1 cases that .* was trained on or chosen by, among them case3"):
            read_evaluation(tmp_path / "evaluation.json", found)


class TestHeldOut:
    def test_a_split_that_trains_on_held_out_cases_is_refused(self, data: Path, tmp_path: Path) -> None:
        split = splits.make_split(data, folds=2, alike=1)
        splits.write_split(split, tmp_path / "splits.json")
        given = [*kept(plain(held_out=split.folds[1][:1]), tmp_path), "--data", str(data), "-o", str(tmp_path / "run")]
        with pytest.raises(InputError, match=f"trains on {split.folds[1][0]}, which .* holds out"):
            train.main([*given, "--split", str(tmp_path / "splits.json"), "--fold", "0"])
        assert not (tmp_path / "run").exists()

    def test_a_run_that_was_trained_on_a_held_out_case_is_a_sentence_at_export(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
    ) -> None:
        train.train(plain(held_out=("case1",)), data, tmp_path / "run", CASES[:3])
        given = [str(tmp_path / "run"), "--data", str(data), "-o", str(tmp_path / "package")]
        assert console.run(lambda: export.main(given)) == 2
        assert "case1 is held out by the configuration" in capsys.readouterr().err
        assert not (tmp_path / "package").exists()

    def test_a_folds_card_does_not_claim_what_its_training_broke(self, data: Path, tmp_path: Path) -> None:
        config = plain(held_out=("case1",), folds=2)
        crossval.run_fold(config, data, tmp_path, 0, [["case0", "case2", "case4"], ["case1", "case3"]])
        package = load_package(tmp_path / "fold-0" / "package")
        assert package.metadata["training"]["held_out"] == []
        assert "Held out of this package's training: none." in package.card()


class TestDrawnSides:
    @pytest.mark.parametrize("tool", ["crossval", "held out", "validation", "encoder"])
    def test_what_draws_its_own_sides_checks_them(self, copied: Path, tmp_path: Path, tool: str) -> None:
        changes: dict[str, Any] = {"held_out": ("case1", "case2")} if tool in ("held out", "encoder") else {}
        if tool == "validation":
            changes = {"validation": {"every": 1, "cases": ["case1", "case2"]}}
        given = [*kept(plain(folds=2, **changes), tmp_path), "--data", str(copied), "-o", str(tmp_path / "out")]
        main = {"crossval": crossval.main, "encoder": encoders.main}.get(tool, train.main)
        more = ["--steps", "1"] if tool == "encoder" else []
        with pytest.raises(InputError, match="are nearly the same"):
            main([*given, *more])
        assert not (tmp_path / "out").exists()

    def test_a_patient_on_two_drawn_sides_and_unknown_cases_are_named(self, data: Path) -> None:
        leaks.check_sides(data, {"training": CASES, "held out": []})
        with pytest.raises(InputError, match="case0 has cases on two sides"):
            leaks.check_sides(data, {"training": CASES, "held out": ["case0"]})
        with pytest.raises(InputError, match="no case called nobody"):
            leaks.check_sides(data, {"training": ["nobody"]})


class TestEvaluate:
    @pytest.mark.parametrize("change", ["range", "normalisation", "view"])
    def test_a_package_of_another_frame_is_not_scored_beside_the_others(
        self, data: Path, tmp_path: Path, change: str
    ) -> None:
        changes: dict[str, Any] = {
            "range": {"target": {"value_range": (0, 1)}},
            "normalisation": {"target": {"normalisation": {"name": "minmax"}}},
            "view": {"source": {"spatial_dims": 2, "patch_size": [16, 16], "field_of_view": "whole"}},
        }
        train.train(plain(), data, tmp_path / "run", CASES[:3])
        export.export(tmp_path / "run", data, tmp_path / "package")
        evaluate.package_method(tmp_path / "package", CASES[:3], plain())
        with pytest.raises(InputError, match="another normalisation, value range or field of view"):
            evaluate.package_method(tmp_path / "package", CASES[:3], plain(**changes[change]))

    def test_a_name_given_twice_is_refused(self, data: Path, tmp_path: Path) -> None:
        splits.write_split(splits.make_split(data, folds=2, alike=1), tmp_path / "splits.json")
        given = [*kept(plain(), tmp_path), "--data", str(data), "--split", str(tmp_path / "splits.json"), "--fold", "0"]
        twice = ["--method", f"ours={data / 'source'}", "--method", f"ours={data / 'target'}"]
        with pytest.raises(InputError, match="gives the name 'ours' twice"):
            evaluate.main([*given, *twice, "-o", str(tmp_path / "out")])

    def test_images_of_cases_with_dots_in_their_names_are_found(self, data: Path, tmp_path: Path) -> None:
        (case,) = load_cases(data, plain(), ["case0"])
        dotted = type(case)(**{**vars(case), "name": "1.2.840.7"})
        write_volume(case.source, tmp_path / "1.2.840.7.nrrd")
        write_volume(case.source, tmp_path / "1.2.nrrd")
        (tmp_path / "1.2.840.7.nrrd.json").write_text("{}")
        method = evaluate.folder_method(tmp_path)
        assert method(dotted).shape == case.source.array.shape
        with pytest.raises(InputError, match="holds no image called case0"):
            method(case)
        write_volume(case.source, tmp_path / "1.2.840.7.nii.gz")
        with pytest.raises(InputError, match="twice"):
            evaluate.folder_method(tmp_path)
