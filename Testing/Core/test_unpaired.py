"""Images without a partner: prepared, split by patient on each side, learnt from without pairs, refused elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, read_volume, write_volume
from training_tools import benchmark, crossval, evaluate, leaks, prepare, splits
from training_tools import encoder as encoders
from training_tools.console import run
from training_tools.dataset import load_any, load_case, sides
from training_tools.export import export
from training_tools.train import train
from training_tools.training.cache import fingerprints, open_cases
from training_tools.training.sampling import Sampler

from .training_runs import prepared_pairs, tiny_config

SOURCES, TARGETS = 5, 3
SHAPE = (8, 20, 18)


def write_images(folder: Path, part: str, names: list[str], seed: int) -> Path:
    (folder / part).mkdir(parents=True)
    for number, name in enumerate(names):
        random = np.random.default_rng(seed + number)
        array = random.uniform(20, 200, SHAPE).astype(np.float32)
        write_volume(Volume(array, (1.0, 1.0, 2.0 if part == "mr" else 1.5)), folder / part / f"{name}.nrrd")
    return folder / part


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of `prepare` for two folders of different length; one patient is in both."""
    place = tmp_path_factory.mktemp("scans")
    sources = write_images(place, "us", [f"a{n}" for n in range(SOURCES - 1)] + ["shared"], 0)
    targets = write_images(place, "mr", [f"b{n}" for n in range(TARGETS - 1)] + ["shared"], 100)
    return ["--unpaired-source", str(sources), "--unpaired-target", str(targets), "--source-modality", "XX"]


@pytest.fixture(scope="module")
def data(folders: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("prepared") / "data"
    assert prepare.main([*folders, "-o", str(place)]) == 0
    return place


def config(name: str = "cyclegan", **more: Any) -> Any:
    settings = {"source": {"spatial_dims": 2, "patch_size": [16, 16], "field_of_view": "whole"}, "held_out": ()}
    return tiny_config(name, **{**settings, **more})


def unpaired(name: str = "cyclegan", **more: Any) -> Any:
    return config(name, sampling={"unpaired": True}, augmentation={"mixup": 0.0}, **more)


def test_folders_of_different_length_are_prepared_without_a_pair(data: Path, folders: list[str]) -> None:
    found = list(sides(data).values())
    assert (found.count("source"), found.count("target"), len(found)) == (SOURCES, TARGETS, SOURCES + TARGETS)
    made = read_volume(data / "unpaired_target" / "b0-target.nrrd")
    assert made.same_grid(read_volume(Path(folders[3]) / "b0.nrrd"))
    case = load_any(data, unpaired(), "b0-target")
    assert (case.normalised == -1).all()
    assert np.ptp(case.wanted[case.valid]) > 1


def test_a_second_preparation_does_nothing_again_and_a_common_grid_is_made(data: Path, folders: list[str]) -> None:
    path = data / "unpaired_source" / "a0-source.nrrd"
    before = path.stat().st_mtime_ns
    assert prepare.main([*folders, "-o", str(data)]) == 0
    assert path.stat().st_mtime_ns == before
    other = data.parent / "common"
    assert prepare.main([*folders, "--spacing", "2", "2", "2", "-o", str(other)]) == 0
    assert read_volume(other / "unpaired_target" / "b0-target.nrrd").spacing == (2, 2, 2)


def test_a_split_keeps_patients_together_and_both_sides_everywhere(data: Path) -> None:
    split = splits.make_split(data, folds=3, alike=1)
    leaks.check(data, split)
    has = sides(data)
    for cases in split.folds:
        assert "target" in {has[case] for case in cases}
        assert "source" in {has[case] for case in cases}
    (together,) = [cases for cases in split.folds if "shared-source" in cases]
    assert "shared-target" in together


def test_sources_and_targets_are_drawn_each_for_itself(data: Path) -> None:
    settings = unpaired(batch_size=64)
    stored = open_cases(data, settings, fingerprints(data, sorted(sides(data))))
    drawn = Sampler(stored, settings)._drawn(__import__("torch").Generator().manual_seed(1))
    names = [case.name for case in stored]
    sources, targets = ({names[n] for n in found.tolist()} for found in (drawn.cases, drawn.others))
    assert sources == {name for name in names if name.endswith("source")}
    assert targets == {name for name in names if name.endswith("target")}
    batch = Sampler(stored, settings).batch(0)
    assert batch.target_weight is not None
    assert batch.source.std() > 0.1
    assert batch.target.std() > 0.1


@pytest.mark.parametrize("name", ["cyclegan", "discogan", "dualgan", "gcgan", "travelgan", "cut"])
def test_every_objective_that_needs_no_pairs_learns_from_them(data: Path, tmp_path: Path, name: str) -> None:
    weights = train(unpaired(name, steps=2), data, tmp_path / "run")
    assert weights.exists()


@pytest.mark.parametrize("name", ["pix2pix", "regression", "cyclegan"])
def test_an_objective_that_learns_from_pairs_says_so_and_leaves_nothing(data: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="learns from pairs here, but 8 cases to train on have an image of one side"):
        train(config(name), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="No target image is left"):
        train(unpaired(), data, tmp_path / "run", [name for name in sides(data) if name.endswith("source")])


def test_what_needs_pairs_refuses_them(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.json"
    path.write_text(unpaired().model_dump_json(exclude={"card"}))
    given = ["--data", str(data), "-o", str(tmp_path / "out")]
    assert run(lambda: benchmark.main(["--task", "us2mri", *given])) == 2
    assert run(lambda: crossval.main(["--config", str(path), *given])) == 2
    assert capsys.readouterr().err.count("needs pairs, but 8 cases") == 2
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="unpaired: it has no target"):
        load_case(data, unpaired(), "a0-source")


def test_without_a_pair_only_distributions_are_compared(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = unpaired(steps=1)
    (tmp_path / "config.json").write_text(settings.model_dump_json(exclude={"card"}))
    split = splits.make_split(data, folds=3, alike=1)
    splits.write_split(split, tmp_path / "splits.json")
    seen, _ = evaluate.sides(split, 0)
    train(settings, data, tmp_path / "run", seen)
    package = export(tmp_path / "run", data, tmp_path / "package")
    assert package.metadata["training"]["cases"] == seen
    given = ["--config", str(tmp_path / "config.json"), "--data", str(data), "--split", str(tmp_path / "splits.json")]
    given += ["--fold", "0", "--method", f"ours={tmp_path / 'package'}", "-o", str(tmp_path / "scores")]
    assert run(lambda: evaluate.main(given)) == 2
    assert "No tested case is a pair" in capsys.readouterr().err
    assert not (tmp_path / "scores").exists()
    encoders.fit_on(data, settings, seen, tmp_path / "encoder", steps=1)
    assert run(lambda: evaluate.main([*given, "--encoder", str(tmp_path / "encoder")])) == 0
    found = json.loads((tmp_path / "scores" / "evaluation.json").read_text())
    assert found["tables"] == []
    assert set(found["frechet"]) == {"ours", "identity"}


def test_beside_pairs_they_are_learnt_from_and_the_pairs_alone_are_scored(folders: list[str], tmp_path: Path) -> None:
    pairs = prepared_pairs(tmp_path / "pairs", cases=2).parent
    given = ["--source", str(pairs / "us"), "--target", str(pairs / "mr"), "--method", "none"]
    assert prepare.main([*given, *folders, "-o", str(tmp_path / "data")]) == 0
    data, settings = tmp_path / "data", unpaired(steps=1)
    names = sorted(sides(data))
    assert len(names) == 2 + SOURCES + TARGETS
    drawn = Sampler(open_cases(data, settings, fingerprints(data, names)), settings)
    assert [drawn._sources.count, drawn._targets.count] == [2 + SOURCES, 2 + TARGETS]
    train(settings, data, tmp_path / "run", [name for name in names if name != "case1"])
    owners = {name: name for name in names}
    tested = ["case1", "a0-source"]
    learnt = [name for name in names if name not in tested]
    found = evaluate.evaluate(data, settings, {"itself": lambda case: case.reference}, learnt, tested, owners)
    assert {method: list(cases) for method, cases in found.scores.items()}["mean image"] == ["case1"]


@pytest.mark.parametrize(
    ("change", "told"),
    [("copy", "have the same source file"), ("turned", "2 orientations"), ("one side", "both sides")],
)
def test_what_is_wrong_with_the_folders_is_said(
    folders: list[str], tmp_path: Path, change: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = tmp_path / "us"
    sources.mkdir()
    for path in Path(folders[1]).iterdir():
        (sources / path.name).write_bytes(path.read_bytes())
    given = ["--unpaired-source", str(sources), *folders[2:]]
    if change == "copy":
        (sources / "again.nrrd").write_bytes((sources / "a0.nrrd").read_bytes())
    elif change == "turned":
        volume = read_volume(sources / "a0.nrrd")
        write_volume(Volume(volume.array, volume.spacing, direction=(0, 1, 0, 1, 0, 0, 0, 0, -1)), sources / "a0.nrrd")
    else:
        given = given[:2]
    assert run(lambda: prepare.main([*given, "-o", str(tmp_path / "out")])) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out" / "cases.json").exists()
