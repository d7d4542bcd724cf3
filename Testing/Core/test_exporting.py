"""Packages as ONNX files and MONAI bundles, which make the images that we make; evaluations in packages and cards."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation import inference
from imagetranslation.engines import exporting as engine_exports
from imagetranslation.errors import InputError, ModelRefused, RunFailed
from imagetranslation.files import make_folder
from imagetranslation.models import ModelPackage, load_package
from imagetranslation.volume import read_volume, write_volume
from Testing.packages import an_ultrasound, make_package, metadata
from training_tools import evaluate, export, splits, train
from training_tools.exporting.__main__ import main
from training_tools.exporting.bundle import write_bundle
from training_tools.exporting.evaluated import read_evaluation
from training_tools.exporting.onnxfile import write_onnx

from .training_runs import prepared_pairs, tiny_config

# Of the output's value range, 0 to 255: what a bundle may differ from our own inference. On one machine it is 0.
TOLERANCE = 0.01
KINDS: dict[str, dict[str, Any]] = {
    "2D": {},
    "2.5D": {
        "network": {"arguments": {"base": 4, "levels": 3, "in_channels": 3}},
        "num_channels": 3,
        "inference": {"context_slices": 1},
    },
    "3D": {
        "network": {"name": "residual-encoder-unet", "arguments": {"channels": [4, 8, 8], "blocks": [1, 2, 1]}},
        "spatial_dims": 3,
        "patch_size": [8, 8, 12],
        "resampling": {"mode": "none"},
    },
}
# What MONAI's specification of bundles and its schema of 2024-07-25 require of metadata.json and of a tensor in it.
REQUIRED = (
    "schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task",
    "description", "authors", "copyright", "network_data_format",
)  # fmt: skip
TENSOR = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")
TYPES = {"num_channels": int, "spatial_shape": list, "value_range": list, "is_patch_data": bool, "channel_def": dict}


@pytest.fixture(scope="module", params=KINDS)
def a_package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return make_package(tmp_path_factory.mktemp("package") / "tiny", made=metadata(**KINDS[request.param]))


@pytest.fixture
def a_flat_package(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "tiny")


class TestOnnx:
    def test_the_file_computes_what_torch_computes(self, a_package: ModelPackage, tmp_path: Path) -> None:
        onnxruntime = pytest.importorskip("onnxruntime")
        import torch

        told = write_onnx(a_package, tmp_path / "model.onnx")
        assert told["sha256"] == hashlib.sha256((tmp_path / "model.onnx").read_bytes()).hexdigest()
        shape = (3, a_package.inputs["num_channels"], *a_package.inputs["patch_size"])
        windows = np.random.default_rng(5).uniform(-1, 1, shape).astype(np.float32)
        (made,) = onnxruntime.InferenceSession(str(tmp_path / "model.onnx")).run(None, {"windows": windows})
        with torch.no_grad():
            wanted = a_package.network()(torch.from_numpy(windows)).numpy()
        np.testing.assert_allclose(made, wanted, atol=1e-5)

    def test_the_file_says_what_it_is(self, a_flat_package: ModelPackage, tmp_path: Path) -> None:
        onnx = pytest.importorskip("onnx")
        assert main(["onnx", str(a_flat_package.path), "-o", str(tmp_path / "model.onnx")]) == 0
        model = onnx.load(tmp_path / "model.onnx")
        told = {entry.key.removeprefix("imagetranslation."): entry.value for entry in model.metadata_props}
        assert told["notice"].startswith("SYNTHETIC")
        assert "SYNTHETIC" in model.doc_string
        assert (told["id"], told["version"], told["licence"]) == ("tiny", "1.2.3", "Apache-2.0")
        assert told["weights_sha256"] == a_flat_package.weights_sha256
        inputs = a_flat_package.inputs
        for key in ("patch_size", "normalisation", "resampling"):
            assert json.loads(told[key]) == inputs[key]
        assert json.loads(told["value_range"]) == [0, 255]
        assert "Not for clinical use" in told["intended_use"]

    def test_a_file_that_computes_something_else_is_not_written(
        self, a_flat_package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = engine_exports.export(make_package(tmp_path / "other", seed=1))
        monkeypatch.setattr(engine_exports, "export", lambda _: other)
        with pytest.raises(RunFailed, match=r"they differ by up to .* No file was written"):
            write_onnx(a_flat_package, tmp_path / "model.onnx")
        assert not (tmp_path / "model.onnx").exists()


class TestBundle:
    def test_it_makes_the_image_that_our_own_inference_makes(self, a_package: ModelPackage, tmp_path: Path) -> None:
        """The bundle is run through MONAI, in this process: `python -m monai.bundle run` calls the same function."""
        bundle = pytest.importorskip("monai.bundle")
        write_bundle(a_package, tmp_path / "Tiny")
        scan = write_volume(an_ultrasound(spacing=(0.5, 0.7, 1.5), origin=(3, -4, 5)), tmp_path / "scan.nii.gz")
        given = {"bundle_root": str(tmp_path / "Tiny"), "image": str(scan), "output": str(tmp_path / "made.nrrd")}
        bundle.run(config_file=str(tmp_path / "Tiny" / "configs" / "inference.json"), device="cpu", **given)
        made = read_volume(tmp_path / "made.nrrd")
        ours = inference.translate(read_volume(scan), a_package, device="cpu")
        assert made.same_grid(ours)
        np.testing.assert_allclose(made.array, ours.array, atol=TOLERANCE)
        assert np.ptp(made.array) > 1
        assert made.provenance is not None
        assert made.provenance.weights_sha256 == a_package.weights_sha256

    def test_its_network_takes_and_gives_what_its_metadata_say(self, a_package: ModelPackage, tmp_path: Path) -> None:
        bundle = pytest.importorskip("monai.bundle")
        write_bundle(a_package, tmp_path / "Tiny")
        configs = tmp_path / "Tiny" / "configs"
        given = {"bundle_root": str(tmp_path / "Tiny"), "device": "cpu"}
        files = {"meta_file": str(configs / "metadata.json"), "config_file": str(configs / "inference.json")}
        bundle.verify_net_in_out("network_def", **files, **given)
        about = json.loads((configs / "metadata.json").read_text())["network_data_format"]
        about["outputs"]["pred"]["num_channels"] = 2
        (configs / "metadata.json").write_text(json.dumps({"network_data_format": about}))
        with pytest.raises(ValueError, match="doesn't match"):
            bundle.verify_net_in_out("network_def", **files, **given)

    def test_its_metadata_have_every_field_that_monai_asks_for(self, a_package: ModelPackage, tmp_path: Path) -> None:
        write_bundle(a_package, tmp_path / "Tiny")
        found = json.loads((tmp_path / "Tiny" / "configs" / "metadata.json").read_text())
        assert not set(REQUIRED) - set(found)
        objects = {"changelog", "required_packages_version", "eval_metrics", "network_data_format", "weights"}
        assert all(isinstance(found[key], dict if key in objects else str) for key in {*REQUIRED, *objects})
        formats = found["network_data_format"]
        tensors = [formats["inputs"]["image"], formats["outputs"]["pred"], formats["post_processed_outputs"]["pred"]]
        for tensor in tensors:
            assert not set(TENSOR) - set(tensor)
            assert all(isinstance(tensor[key], TYPES.get(key, str)) for key in tensor)
            assert len(tensor["channel_def"]) == tensor["num_channels"]
        assert tensors[0]["spatial_shape"] == a_package.inputs["patch_size"]
        assert "SYNTHETIC" in found["description"]

    def test_it_holds_no_pickle_and_no_program(self, a_flat_package: ModelPackage, tmp_path: Path) -> None:
        assert main(["bundle", str(a_flat_package.path), "-o", str(tmp_path / "Tiny")]) == 0
        files = {path.relative_to(tmp_path / "Tiny").as_posix() for path in (tmp_path / "Tiny").rglob("*.*")}
        models = {"models/model.json", "models/weights.safetensors", "models/MODEL_CARD.md"}
        assert files == {*models, "configs/metadata.json", "configs/inference.json", "docs/README.md"}
        assert "Apache-2.0" in (tmp_path / "Tiny" / "LICENSE").read_text()
        assert load_package(tmp_path / "Tiny" / "models").weights() == a_flat_package.weights()

    def test_changed_weights_are_refused_when_it_is_run(self, a_flat_package: ModelPackage, tmp_path: Path) -> None:
        bundle = pytest.importorskip("monai.bundle")
        write_bundle(a_flat_package, tmp_path / "Tiny")
        weights = tmp_path / "Tiny" / "models" / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
        configs, root = tmp_path / "Tiny" / "configs", str(tmp_path / "Tiny")
        parser = bundle.ConfigParser(bundle.ConfigParser.load_config_file(configs / "inference.json"))
        parser["bundle_root"] = root
        with pytest.raises(RuntimeError) as raised:
            parser.get_parsed_content("network_def")
        assert isinstance(raised.value.__cause__, ModelRefused)
        assert "is damaged or was changed" in str(raised.value.__cause__)

    def test_a_folder_that_holds_something_is_left_as_it_is(self, a_flat_package: ModelPackage, tmp_path: Path) -> None:
        (tmp_path / "kept.txt").write_text("kept")
        with pytest.raises(InputError, match="is there already"):
            write_bundle(a_flat_package, tmp_path)
        assert (tmp_path / "kept.txt").read_text() == "kept"


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run on one fold, its package, and what `evaluate` said about that package, all by the commands."""
    place = tmp_path_factory.mktemp("study")
    paths = {name: place / name for name in ("config.json", "splits.json", "run", "package", "evaluation")}
    paths["data"] = prepared_pairs(place, cases=5)
    config = tiny_config("regression", held_out=(), steps=2)
    paths["config.json"].write_text(config.model_dump_json())
    frame = ["--config", str(paths["config.json"]), "--data", str(paths["data"])]
    side = ["--split", str(paths["splits.json"]), "--fold", "0"]
    splits.main(["--data", frame[3], "--folds", "2", "--alike", "1", "-o", side[1]])
    train.main([*frame, *side, "-o", str(paths["run"])])
    export.main([str(paths["run"]), "--data", frame[3], "-o", str(paths["package"])])
    evaluate.main([*frame, *side, "--method", f"ours={paths['package']}", "-o", str(paths["evaluation"])])
    return paths


class TestEvaluation:
    def exported(self, studied: dict[str, Path], record: dict[str, Any], output: Path) -> ModelPackage:
        file = make_folder(output.parent / "given") / "evaluation.json"
        file.write_text(json.dumps(record))
        return export.export(studied["run"], studied["data"], output, evaluation_file=file)

    @pytest.fixture
    def record(self, studied: dict[str, Path]) -> dict[str, Any]:
        return dict(json.loads((studied["evaluation"] / "evaluation.json").read_text()))

    def test_a_run_on_a_split_is_trained_on_its_training_cases_alone(self, studied: dict[str, Path]) -> None:
        split = splits.read_split(studied["splits.json"], studied["data"])
        learnt = json.loads((studied["run"] / "config.json").read_text())["cases"]
        assert (sorted(learnt), len(learnt)) == (sorted(split.folds[1]), 2)

    def test_package_and_card_carry_the_numbers_of_the_evaluation(
        self, studied: dict[str, Path], record: dict[str, Any], tmp_path: Path
    ) -> None:
        package = self.exported(studied, record, tmp_path / "package")
        found = package.metadata["scores"]["evaluation"]
        table = next(table for table in record["tables"] if table["measure"] == "ssim")
        ours = next(s for s in table["summaries"] if s["method"] == "ours")
        ssim = found["measures"]["ssim"]["methods"]
        assert (ssim["model"]["mean"], ssim["model"]["sd"], ssim["model"]["n"]) == (ours["mean"], ours["sd"], 3)
        assert {"identity", "identity, best line", "mean image", "real target"} <= set(ssim)
        assert (found["data_range"], found["fold"], found["n"]) == (255, 0, 3)
        assert found["split"] == studied["splits.json"].name, "a package names no one's folders"
        card = package.card()
        assert "training: the 3 cases that it is evaluated on below." in card
        assert "Student t" not in card, "the frame of cross-validated scores, which there are none of"
        assert "### Evaluation, n = 3 patients that were not trained on: this package" in card
        row = next(line for line in card.splitlines() if line.startswith("| SSIM (higher is better) |"))
        assert row.split("|")[2].strip().startswith(f"{ours['mean']:.4g} ± {ours['sd']:.2g}")
        assert "Data range 255" in card
        assert "sigma 1.5" in card

    def test_the_package_keeps_the_numbers_of_every_case_that_the_means_are_of(
        self, studied: dict[str, Path], record: dict[str, Any], tmp_path: Path
    ) -> None:
        file = studied["evaluation"] / "evaluation.json"
        found = read_evaluation(file, load_package(studied["package"]))
        assert [row["case"] for row in found["cases"]] == record["settings"]["tested"]
        for measure in ("mae", "ssim"):
            mean = np.mean([row[measure] for row in found["cases"]])
            assert mean == pytest.approx(found["measures"][measure]["methods"]["model"]["mean"])
        for name in ("evaluation.json", "scores.csv"):
            (tmp_path / name).write_bytes((studied["evaluation"] / name).read_bytes())
        kept = (tmp_path / "scores.csv").read_text().splitlines()
        left = [line for line in kept if not line.startswith(f"{record['settings']['tested'][0]},")]
        (tmp_path / "scores.csv").write_text("\n".join(left))
        with pytest.raises(InputError, match="has other cases than the evaluation beside it"):
            read_evaluation(tmp_path / "evaluation.json", load_package(studied["package"]))

    def test_numbers_of_another_model_frame_or_side_are_refused_and_nothing_is_written(
        self, studied: dict[str, Path], record: dict[str, Any], tmp_path: Path
    ) -> None:
        def changed(**settings: Any) -> dict[str, Any]:
            return {**record, "settings": {**record["settings"], **settings}}

        config = record["settings"]["config"]
        another_range = {**config, "target": {**config["target"], "value_range": [0, 1]}}
        learnt = json.loads((studied["run"] / "config.json").read_text())["cases"]
        for given, words in (
            (changed(weights={"ours": 64 * "0"}), "does not have the weights of tiny"),
            (changed(weights={}), "evaluate this package"),
            (changed(config=another_range), "another normalisation, value range"),
            (changed(tested=learnt), "tests 2 cases that tiny was trained on"),
            ({"tables": []}, "is no evaluation.json"),
        ):
            with pytest.raises(InputError, match=words):
                self.exported(studied, given, tmp_path / "package")
        assert not (tmp_path / "package").exists()

    def test_one_package_under_two_names_has_to_be_chosen(
        self, studied: dict[str, Path], record: dict[str, Any]
    ) -> None:
        package = load_package(studied["package"])
        twice = dict.fromkeys(("ours", "again"), package.weights_sha256)
        file = studied["evaluation"] / "twice.json"
        file.write_text(json.dumps({**record, "settings": {**record["settings"], "weights": twice}}))
        with pytest.raises(InputError, match="under the names ours and again"):
            read_evaluation(file, package)
        assert read_evaluation(file, package, "ours")["method"] == "ours"
