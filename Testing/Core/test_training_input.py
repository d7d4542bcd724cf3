"""What is wrong with prepared data is said in one sentence before anything is trained on it, and leaves nothing."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.volume import read_volume, write_volume
from training_tools import checkpoint, leaks, splits
from training_tools.dataset import case_names, manifest
from training_tools.train import train

from .training_runs import prepared_pairs, tiny_config


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture
def data(pairs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pairs, tmp_path / "data"))


def change(data: Path, **parts: Any) -> None:
    """Of `cases.json`."""
    (data / "cases.json").write_text(json.dumps({**manifest(data), **parts}))


@pytest.mark.parametrize(
    ("cases", "told"),
    [(3, "damaged"), ([{"case": "../../etc"}], "damaged"), (["case0"], "damaged"), ("twice", "names case1 twice")],
)
def test_a_damaged_list_of_cases_is_refused(data: Path, cases: Any, told: str) -> None:
    listed = manifest(data)["cases"]
    change(data, cases=[*listed, listed[1]] if cases == "twice" else cases)
    with pytest.raises(InputError, match=told):
        case_names(data)


def test_an_empty_mask_is_named_with_its_case_and_leaves_no_run(data: Path, tmp_path: Path) -> None:
    valid = read_volume(data / "valid" / "case1.nrrd")
    write_volume(valid.with_array(np.zeros_like(valid.array)), data / "valid" / "case1.nrrd")
    with pytest.raises(InputError, match="case1: no voxel of its field of view is covered by the target"):
        train(tiny_config(held_out=()), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    write_volume(valid, data / "valid" / "case1.nrrd")
    assert train(tiny_config(held_out=(), steps=1), data, tmp_path / "run").exists()


@pytest.mark.parametrize("part", ["source", "target"])
def test_equal_images_of_two_patients_are_refused_whatever_counts_as_alike(data: Path, part: str) -> None:
    split = splits.make_split(data, folds=2, alike=1)
    leaks.check(data, split)
    first, second = split.folds[0][0], split.folds[1][0]
    image = read_volume(data / part / f"{first}.nrrd")
    write_volume(read_volume(data / part / f"{second}.nrrd").with_array(image.array), data / part / f"{second}.nrrd")
    with pytest.raises(InputError, match="are the same, voxel by voxel"):
        leaks.check(data, splits.make_split(data, folds=2, alike=1))


def test_folds_without_a_class_are_told(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--data", str(data), "--folds", "2", "--stratify", "label", "--alike", "1"]
    for labels, told in (
        ("0000", "every case has the label 0"),
        ("1000", "no case with the label 1: nothing about it"),
    ):
        listed = manifest(data)["cases"]
        change(data, cases=[{**record, "facts": {"label": label}} for record, label in zip(listed, labels)])
        assert splits.main([*given, "-o", str(tmp_path / "splits.json")]) == 0
        assert told in capsys.readouterr().err


def test_a_disk_that_is_full_at_a_checkpoint_leaves_the_one_before_and_the_run_goes_on_from_it(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(held_out=())
    train(config, pairs, tmp_path / "whole")
    write, calls = checkpoint._write, []

    def full(path: Path, tensors: Any) -> None:
        calls.append(path)
        if "step-000004" in str(path) and "state" in path.name:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, tensors)

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(RunFailed, match="disk is full"):
        train(config, pairs, tmp_path / "run")
    left = {path.name for path in (tmp_path / "run" / "checkpoint").iterdir()}
    assert left == {"latest.json", "step-000002"}
    monkeypatch.undo()
    train(config, pairs, tmp_path / "run")
    whole, resumed = ((tmp_path / run / "generator.safetensors").read_bytes() for run in ("whole", "run"))
    assert whole == resumed
