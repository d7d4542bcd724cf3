"""The trial: figures are measured once and kept, the choice follows from them and stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.engines import gate, kinds, machine, make_predictor, trial, workload
from imagetranslation.engines.table import table
from imagetranslation.engines.trial import Row, Trial
from imagetranslation.errors import RunFailed
from imagetranslation.models import ModelPackage, load_package
from imagetranslation.predictors import OutOfMemory
from Testing.packages import make_package, metadata


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path / "home"))
    # Tiny models count as large here, and only torch is tried: the choice is the subject, not the engines.
    monkeypatch.setattr(workload, "SMALL", 0.0)
    monkeypatch.setattr(kinds, "KINDS", tuple(kind for kind in kinds.KINDS if kind.name == "torch"))
    monkeypatch.setattr(machine, "has_bfloat16", lambda device: True)
    return tmp_path / "home"


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "tiny")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every measurement that is made."""
    made: list[tuple[str, str]] = []
    real = Trial._measured

    def noted(self: Trial, kind: kinds.Kind, precision: str) -> Row:
        made.append((kind.name, precision))
        return real(self, kind, precision)

    monkeypatch.setattr(Trial, "_measured", noted)
    return made


def outcome(passed: bool = True) -> gate.Outcome:
    failed = () if passed else ("error_maximum",)
    return gate.Outcome(0.0, 0.0 if passed else 0.5, 1.0, 0.0, 4, "generated phantoms", failed, gate.DEFAULT)


def a_row(engine: str, start_s: float, ms: float, precision: str = "float32", passed: bool = True) -> Row:
    return Row(engine, precision, start_s, ms, 8, outcome(passed))


def test_the_choice_is_what_starts_and_runs_the_volume_quickest() -> None:
    plain, quick, slow_start = a_row("torch", 0.1, 400), a_row("openvino", 1.0, 200), a_row("onnx", 30.0, 100)
    assert trial.choose([plain, quick, slow_start], 128) == quick  # 6.5 s, 4.2 s, 31.6 s
    assert trial.choose([plain, quick, slow_start], 8) == plain  # 0.5 s, 1.2 s, 30.1 s
    assert trial.choose([plain, quick, slow_start], 80_000) == slow_start


def test_torch_stays_unless_another_saves_a_tenth() -> None:
    plain = a_row("torch", 0.0, 100)
    assert trial.choose([plain, a_row("onnx", 0.0, 91)], 128) == plain
    assert trial.choose([plain, a_row("onnx", 0.0, 89)], 128).engine == "onnx"


def test_what_failed_or_did_not_pass_is_never_chosen() -> None:
    broken = Row("openvino", "float32", failed="it is not installed")
    wrong = a_row("onnx", 0.0, 1, passed=False)
    assert trial.choose([broken, wrong], 128) is None
    assert trial.choose([broken, wrong, a_row("torch", 1, 1000)], 128).engine == "torch"


def test_a_trial_is_made_once_and_its_choice_stays(package: ModelPackage, measured: list) -> None:
    first = make_predictor(package, device="cpu")
    assert measured == [("torch", "float32"), ("torch", "bfloat16")]
    again = make_predictor(package, device="cpu")
    assert len(measured) == 2
    assert (again.engine, again.precision, again.notes) == (first.engine, first.precision, first.notes)


def test_a_choice_stays_when_more_is_measured_later(package: ModelPackage, measured: list, home: Path) -> None:
    chosen = Trial(package, "cpu").settle("auto", "float32")
    assert chosen == Trial(package, "cpu").rows["torch", "float32"]
    (file,) = (home / "engines").glob("trial-*.json")
    record = json.loads(file.read_text())
    faster = a_row("onnx", 0.0, 0.0001).to_dict()
    file.write_text(json.dumps({**record, "rows": [*record["rows"], faster]}))
    assert Trial(package, "cpu").settle("auto", "float32") == chosen


def test_what_there_was_no_time_for_is_not_tried_later(
    package: ModelPackage, measured: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trial._measured
    monkeypatch.setattr(Trial, "_measured", lambda *found: time.sleep(0.3) or real(*found))
    chosen = Trial(package, "cpu").settle("auto", "auto", budget=0.3)
    assert measured == [("torch", "float32")]
    assert Trial(package, "cpu").settle("auto", "auto") == chosen
    assert measured == [("torch", "float32")]


def test_what_another_process_noted_first_stands(package: ModelPackage) -> None:
    mine, theirs = Trial(package, "cpu"), Trial(package, "cpu")
    noted = theirs.settle("auto", "float32")
    assert mine.settle("auto", "float32") == noted


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rows": 3}', '{"rows": [{"engine": "torch"}, 7, null]}',
                                  '{"rows": [], "choices": {"auto/auto": ["torch"], "x": 5}}'])  # fmt: skip
def test_a_damaged_record_is_made_anew(text: str, package: ModelPackage, measured: list, home: Path) -> None:
    make_predictor(package, device="cpu")
    (file,) = (home / "engines").glob("trial-*.json")
    file.write_text(text)
    make_predictor(package, device="cpu")
    assert len(measured) == 4
    assert json.loads(file.read_text())["choices"]["auto/auto"][0] == "torch"


def test_where_nothing_can_be_kept_the_trial_still_chooses(package: ModelPackage, home: Path) -> None:
    home.write_text("a file where the folder should be")
    assert make_predictor(package, device="cpu").engine == "torch"


def test_other_threads_versions_and_packages_have_figures_of_their_own(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [trial._key(package, "cpu"), trial._key(make_package(tmp_path / "other", seed=2), "cpu")]
    monkeypatch.setattr(machine, "threads", lambda: 61)
    keys.append(trial._key(package, "cpu"))
    monkeypatch.setattr(machine, "versions", lambda: {"torch": "9.9"})
    keys.append(trial._key(package, "cpu"))
    monkeypatch.setattr(machine, "processor", lambda: ("another", frozenset()))
    keys.append(trial._key(package, "cpu"))
    assert len(set(keys)) == len(keys)


def test_nothing_more_is_started_once_the_time_is_up(package: ModelPackage, measured: list) -> None:
    assert Trial(package, "cpu").settle("auto", "auto", budget=0.0) is None
    assert measured == []


def test_an_engine_that_cannot_start_leaves_the_others(package: ModelPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RunFailed("it broke")

    odd = kinds.Kind("odd", "torch", fail, lambda device: None, {"cpu": ("float32",)})
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, odd))
    assert make_predictor(package, device="cpu", precision="float32").engine == "torch"
    assert Trial(package, "cpu").rows["odd", "float32"].failed == "it broke"


def test_running_out_of_memory_is_not_held_against_an_engine(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise OutOfMemory("full")

    odd = kinds.Kind("odd", "torch", fail, lambda device: None, {"cpu": ("float32",)})
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, odd))
    assert make_predictor(package, device="cpu", precision="float32").engine == "torch"
    assert ("odd", "float32") not in Trial(package, "cpu").rows


def test_an_engine_that_computes_something_else_is_not_taken(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong:
        notes = ()

        def __init__(self, *_: Any) -> None:
            pass

        def predict(self, batch: np.ndarray) -> np.ndarray:
            return np.zeros_like(batch)

    odd = kinds.Kind("odd", "torch", Wrong, lambda device: None, {"cpu": ("float32",)})
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, odd))
    assert make_predictor(package, device="cpu", precision="float32").engine == "torch"
    assert not Trial(package, "cpu").rows["odd", "float32"].usable


def test_the_table_shows_what_was_measured_and_what_is_chosen(package: ModelPackage, measured: list) -> None:
    before = table(package, "cpu")
    assert measured == []
    assert {line["gate"] for line in before["engines"]} == {"not measured"}
    assert "Nothing is chosen yet" in before["rule"]
    told: list[str] = []
    after = table(package, "cpu", measure=True, say=told.append)
    assert told == ["torch in float32", "torch in bfloat16"]
    assert [line["chosen"] for line in after["engines"]].count(True) == 1
    assert all(line["ms_per_batch"] > 0 and line["batch"] == 8 for line in after["engines"])
    assert json.loads(json.dumps(after)) == after


def test_the_table_says_why_a_small_model_needs_no_trial(
    package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workload, "SMALL", 50e9)
    found = table(package, "cpu")
    assert "less than the 50 from which starting another engine can pay" in found["rule"]
    assert [line["precision"] for line in found["engines"] if line["chosen"]] == ["float32"]


def test_work_is_counted_as_the_network_does_it(tmp_path: Path) -> None:
    made = metadata(network={"name": "pix2pix", "arguments": {"base": 2, "levels": 2}}, patch_size=[16, 16])
    # 4x4 convolutions: 1 to 2 at 8x8, 2 to 4 at 4x4, 4 to 2 at 4x4 (transposed), 4 to 1 at 8x8 (transposed).
    expected = 16 * (64 * 2 + 16 * 8 + 16 * 8 + 64 * 4)
    assert workload.multiply_adds(make_package(tmp_path / "tiny", made=made)) == expected


@pytest.mark.parametrize(
    ("image", "inference", "windows"),
    [
        ({"patch_size": [64, 64]}, {}, 128),
        ({"patch_size": [256, 256], "resampling": {"mode": "none", "spacing": None}}, {"overlap": 0.0}, 128),
        ({"patch_size": [128, 128], "resampling": {"mode": "none", "spacing": None}}, {"overlap": 0.5}, 128 * 16),
    ],
)
def test_the_nominal_volume_is_cut_as_the_package_says(
    image: dict, inference: dict, windows: int, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "tiny", made=metadata(inference=inference, **image))
    assert workload.nominal_windows(package) == windows


def test_the_shipped_model_is_small_which_is_known_without_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    package = load_package("us2mri-pix2pix-small")
    with monkeypatch.context() as patch:
        patch.setattr(workload, "SMALL", 50e9)
        patch.setattr(workload, "multiply_adds", lambda _: pytest.fail("it was counted"))
        assert workload.is_small(package)
    assert workload.nominal_windows(package) * workload.multiply_adds(package) < 5e9


def test_the_command_prints_the_table(tmp_path: Path, package: ModelPackage) -> None:
    environment = {**os.environ, "IMAGETRANSLATION_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "imagetranslation", "engines", "--model", str(package.path), "--device", "cpu"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    header, *lines = ran.stdout.splitlines()
    assert header.split()[:5] == ["engine", "version", "device", "precision", "gate"]
    assert [line.split()[0] for line in lines if line.endswith("chosen")] == ["torch"]
    assert "multiply-adds" in ran.stdout
    as_json = subprocess.run([*command, "--json"], capture_output=True, text=True, env=environment, check=False)
    assert {line["engine"] for line in json.loads(as_json.stdout)["engines"]} == set(kinds.NAMES)
