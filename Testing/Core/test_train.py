"""Training, evaluation, cross-validation and export on tiny simulated pairs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.files import sha256_of
from imagetranslation.inference import translate
from imagetranslation.models import load_package, verify
from imagetranslation.volume import read_volume
from training_tools import crossval, evaluation, losses, splits
from training_tools.augmentation import augment, mix
from training_tools.card import render
from training_tools.config import Augmentation, Config, read_config
from training_tools.dataset import Case, case_names, load_cases
from training_tools.export import export
from training_tools.train import train
from training_tools.training.cache import TARGET, fingerprints, open_cases
from training_tools.training.loop import Loop
from training_tools.training.precision import make_fabric
from training_tools.training.reporting import Log
from training_tools.training.sampling import Sampler
from training_tools.training.state import State

from .training_runs import positioned_config, prepared_pairs, tiny_config


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(params=["slices", "volumes"])
def a_config(request: pytest.FixtureRequest) -> Config:
    """pix2pix on single slices or on positioned ones."""
    return positioned_config() if request.param == "volumes" else tiny_config()


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Final weights of a run."""
    return load_file(run / "generator.safetensors")


def test_stopping_and_resuming_ends_where_an_unbroken_run_does(
    a_config: Config, tiny_data: Path, tmp_path: Path
) -> None:
    train(a_config, tiny_data, tmp_path / "whole")
    train(a_config, tiny_data, tmp_path / "pieces", stop_after=3)
    assert not (tmp_path / "pieces" / "generator.safetensors").exists()
    torch.rand(5)  # whatever else the process drew must not matter
    train(a_config, tiny_data, tmp_path / "pieces")
    whole, pieces = weights(tmp_path / "whole"), weights(tmp_path / "pieces")
    assert whole.keys() == pieces.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, pieces[name]), name
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "pieces" / "log.csv").read_text()


def test_a_run_killed_between_checkpoints_repeats_its_lost_steps_once(
    a_config: Config, tiny_data: Path, tmp_path: Path
) -> None:
    train(a_config, tiny_data, tmp_path / "run", stop_after=3)
    with (tmp_path / "run" / "log.csv").open("a") as stream:
        stream.write("4,9,9,9,9,9\n")
    train(a_config, tiny_data, tmp_path / "run")
    with (tmp_path / "run" / "log.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[3]["l1"] != "9"


def test_the_run_folder_tells_what_was_run(a_config: Config, tiny_data: Path, tmp_path: Path) -> None:
    train(a_config, tiny_data, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert Config.model_validate(record["config"]) == a_config
    assert record["cases"] == ["case0", "case1", "case2"]
    assert not list((tmp_path / "run").rglob("*.pkl"))
    with pytest.raises(InputError, match="another configuration"):
        train(a_config.model_copy(update={"seed": 4}), tiny_data, tmp_path / "run")


def test_a_misspelt_held_out_case_is_not_trained_on(a_config: Config, tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Case3"):
        train(a_config.model_copy(update={"held_out": ("Case3",)}), tiny_data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def a_loop(config: Config, data: Path, names: list[str]) -> Loop:
    """The steps of a run, without its folder."""
    fabric = make_fabric(config.precision)
    cases = open_cases(data, config, fingerprints(data, names))
    return Loop(State(config, fabric, cases), Sampler(cases, config))


def rows_of(loop: Loop, steps: int) -> list[dict[str, float]]:
    return [row for rows in loop.rows(steps) for row in rows]


def test_training_lowers_the_error(a_config: Config, tiny_data: Path) -> None:
    config = a_config.model_copy(update={"steps": 40, "augmentation": Augmentation(mirror=None)})
    rows = rows_of(a_loop(config, tiny_data, ["case0"]), 40)
    assert np.mean([row["l1"] for row in rows[-5:]]) < 0.8 * np.mean([row["l1"] for row in rows[:3]])


def test_the_discriminator_learns_too(a_config: Config, tiny_data: Path) -> None:
    loop = a_loop(a_config, tiny_data, ["case0"])
    judge = loop.state.networks["discriminator"]
    before = {name: tensor.clone() for name, tensor in judge.state_dict().items()}
    rows = rows_of(loop, 2)
    assert any(not torch.equal(before[name], tensor) for name, tensor in judge.state_dict().items())
    assert all(row["discriminator"] > 0 for row in rows)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(a_config: Config, tiny_data: Path) -> None:
    loop = a_loop(a_config, tiny_data, ["case0"])
    spoilt = np.array(loop.sampler.cases[0].arrays)
    spoilt[TARGET] = np.nan
    loop.sampler.cases[0] = replace(loop.sampler.cases[0], arrays=spoilt)
    with pytest.raises(RunFailed, match="step 1: discriminator is nan"):
        rows_of(loop, 3)


def test_a_weight_that_is_no_number_stops_the_run_though_the_losses_are(a_config: Config, tiny_data: Path) -> None:
    loop = a_loop(a_config, tiny_data, ["case0"])
    rows_of(loop, 1)
    with torch.no_grad():
        next(loop.state.networks["discriminator"].buffers()).fill_(float("nan"))
    with pytest.raises(RunFailed, match="step 2: a weight is"):
        rows_of(loop, 3)


def test_a_damaged_checkpoint_is_refused_with_a_sentence(a_config: Config, tiny_data: Path, tmp_path: Path) -> None:
    train(a_config, tiny_data, tmp_path, stop_after=2)
    (next((tmp_path / "checkpoint").glob("step-*")) / "state.json").write_bytes(b"no")
    with pytest.raises(RunFailed, match="cannot be resumed"):
        train(a_config, tiny_data, tmp_path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"wings": 2}, "wings"),
        ({"steps": 0}, "steps"),
        ({"objective": {"name": "pix2pix", "charm": 2}}, "charm"),
        ({"objective": {"name": "alchemy"}}, "alchemy"),
        ({"source": {"orientation": "foo"}}, "foo"),
        ({"source": {"orientation": "LLS"}}, "LLS"),
        ({"source": {"context_slices": 1}}, "in_channels"),
        ({"network": {"name": "pix2pix-small", "arguments": {"members": 17}}}, "17 members"),
        ({"origins": {"optimiser.speed": "our choice"}}, "speed"),
        ({"origins": {"steps": "hearsay"}}, "hearsay|must begin"),
        ({"sampling": {"unpaired": True}}, "pairs"),
        ({"optimiser": {"accumulate": 5}}, "accumulate"),
        ({"validation": {"every": 5}}, "patients"),
        ({"target": {"normalisation": {"name": "sorcery"}}}, "sorcery"),
        ({"source": {"patch_size": [8, 8, 8]}}, "patch_size"),
        ({"source": {"patch_size": [0, 8]}}, "patch_size"),
        ({"source": {"resampling": {"mode": "spacing", "spacing": [0, 1, 1]}}}, "spacing"),
        ({"target": {"value_range": [255, 0]}}, "value_range"),
        ({"target": {"value_range": [0, float("nan")]}}, "value_range"),
        ({"optimiser": {"betas": [2, 3]}}, "betas"),
        ({"optimiser": {"rate": float("inf")}}, "rate"),
        ({"seed": 2**32}, "seed"),
    ],
)
def test_a_configuration_with_a_fault_is_refused_by_the_key(tmp_path: Path, change: dict, word: str) -> None:
    content = {"id": "x", "title": "x", "task": "x", "network": {"name": "pix2pix"}, "steps": 1}
    content = {**content, "objective": {"name": "pix2pix"}, **change}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=word):
        read_config(tmp_path / "config.json")


def test_every_committed_configuration_is_valid(repository: Path) -> None:
    paths = sorted((repository / "training_tools" / "configs").glob("*.json"))
    assert paths
    for path in paths:
        assert read_config(path).held_out


def test_an_exported_package_runs_and_its_card_tells_the_scores(
    a_config: Config, tiny_data: Path, tmp_path: Path
) -> None:
    train(a_config, tiny_data, tmp_path / "run")
    package = export(tmp_path / "run", tiny_data, tmp_path / "package")
    assert verify(load_package(package.path))["id"] == "tiny"
    source = read_volume(tiny_data / "source" / "case3.nrrd")
    assert translate(source, package).same_grid(source)
    held_out = package.metadata["scores"]["held_out"]
    assert [row["case"] for row in held_out["cases"]] == ["case3"]
    card = package.card()
    assert f"{held_out['methods']['model']['mae']['mean']:.4g}" in card
    assert "Not for clinical use" in card
    assert "54.4 M" in card
    ranges = package.metadata["training"]["ranges"]
    assert len(ranges["raw"]["mean"]) == len(ranges["normalised"]["sd"]) == 21
    assert ranges["normalised"]["min"][0] >= -1


def test_cross_validation_takes_the_folds_of_a_split(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(held_out=(), steps=1)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    count = config.folds
    split = splits.make_split(tiny_data, folds=count, seed=5, alike=1)
    wanted = [sorted(cases) for cases in split.folds]
    assert wanted != crossval.folds(case_names(tiny_data), count)
    command = ["--config", str(tmp_path / "config.json"), "--data", str(tiny_data), "-o", str(tmp_path / "cv")]
    for number, name in ((count, "splits.json"), (count + 1, "other.json")):
        splits.write_split(splits.make_split(tiny_data, folds=number, seed=5, alike=1), tmp_path / name)
    crossval.main([*command, "--split", str(tmp_path / "splits.json")])
    scores = json.loads((tmp_path / "cv" / "scores.json").read_text())
    tested: dict[int, list[str]] = {}
    for row in scores["cases"]:
        tested.setdefault(row["fold"], []).append(row["case"])
    assert [sorted(tested[number]) for number in range(count)] == wanted
    assert scores["split_sha256"] == sha256_of(tmp_path / "splits.json")
    with pytest.raises(InputError, match="holds a run of another configuration or other cases"):
        crossval.main([*command, "--alike", "1"])
    with pytest.raises(InputError, match=f"has {count + 1} folds and the configuration asks for {count}"):
        crossval.main([*command, "--split", str(tmp_path / "other.json")])


def test_cross_validation_scores_every_case_once_by_a_network_that_never_saw_it(
    a_config: Config, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(a_config.model_dump_json())
    command = ["--config", str(path), "--data", str(tiny_data), "--alike", "1", "-o", str(tmp_path / "cv")]
    crossval.main([*command, "--only", "1"])
    assert not (tmp_path / "cv" / "scores.json").exists()
    crossval.main(command)
    scores = json.loads((tmp_path / "cv" / "scores.json").read_text())
    assert [row["case"] for row in scores["cases"]] == ["case0", "case1", "case2", "case3"]
    for row in scores["cases"]:
        seen = json.loads((tmp_path / "cv" / f"fold-{row['fold']}" / "config.json").read_text())["cases"]
        assert row["case"] not in seen
    capsys.readouterr()


@pytest.fixture
def four_cases(tiny_data: Path, a_config: Config) -> list[Case]:
    return load_cases(tiny_data, a_config)


def test_the_mean_image_is_made_of_training_cases_only(four_cases: list[Case], a_config: Config) -> None:
    mean = evaluation.mean_image(four_cases[:2])
    both = four_cases[0].valid & four_cases[1].valid
    expected = (four_cases[0].reference[both] + four_cases[1].reference[both]) / 2
    np.testing.assert_allclose(mean[both], expected, rtol=1e-5)
    with pytest.raises(InputError, match="both trained and tested"):
        evaluation.floors(four_cases, a_config, four_cases[:1])


def test_a_perfect_image_scores_perfectly_and_the_outside_does_not_matter(
    four_cases: list[Case], a_config: Config
) -> None:
    case = four_cases[0]
    ruined = np.where(case.valid, case.reference, 99)
    scores = evaluation.score(ruined, case, a_config)
    assert scores["mae"] == 0
    assert scores["ssim"] == pytest.approx(1)


def test_an_interval_is_students_and_decides_whether_a_floor_is_beaten() -> None:
    gains = [3.0, 4.0, 5.0, 6.0]
    rows = [row_with(10 - gain, 10) for gain in gains]
    found = evaluation.summarise(rows)["differences"]["mean image"]["mae"]
    # mean -4.5, SD 1.29099, t(3) = 3.18245: half-width 2.05426
    assert (found["low"], found["high"]) == (pytest.approx(-6.55426, abs=1e-4), pytest.approx(-2.44574, abs=1e-4))
    assert found["beaten"]
    assert found["better_in"] == 4
    unsure = evaluation.summarise([row_with(9, 10), row_with(11, 10), row_with(9, 10)])
    assert not unsure["differences"]["mean image"]["mae"]["beaten"]


def row_with(model: float, floor: float) -> dict:
    """One patient's row with these MAEs."""
    scores = {"psnr": 20.0, "ssim": 0.5, "ssim_uniform7": 0.5}
    row = {name: {"mae": floor, **scores} for name in evaluation.FLOORS}
    return {"case": "x", **row, evaluation.MODEL: {"mae": model, **scores}}


def test_the_card_says_which_floor_is_not_beaten(a_config: Config, tiny_data: Path, tmp_path: Path) -> None:
    rows = [row_with(10.5, 10), row_with(9, 10), row_with(10, 10)]
    train(a_config, tiny_data, tmp_path / "run", stop_after=6)
    metadata = dict(export(tmp_path / "run", tiny_data, tmp_path / "package").metadata)
    metadata["scores"] = {"cross_validation": {"folds": 2, "cases": rows, **evaluation.summarise(rows)}}
    assert "Not beaten with the interval excluding zero: identity on MAE" in render(a_config, metadata)


def test_augmentation_moves_source_target_and_weight_together() -> None:
    pattern = torch.zeros(8, 1, 24, 24)
    pattern[:, :, 8:16, 10:18] = 1
    batch = torch.cat([pattern * 2 - 1, pattern * 2 - 1, torch.ones_like(pattern)], dim=1)
    settings = Augmentation(rotation=20, shift=0.1, scale=0.2, elastic=0.05, gamma=0, gain=0, mirror="rows")
    moved = augment(batch, settings, torch.Generator().manual_seed(0))
    torch.testing.assert_close(moved[:, 0], moved[:, 1])
    assert (moved[:, 0] != batch[:, 0]).any()
    assert set(moved[:, 2].unique().tolist()) <= {0.0, 1.0}
    assert moved[:, :2].min() >= -1
    assert moved[:, :2].max() <= 1


def test_no_augmentation_changes_nothing_and_gamma_changes_the_source_alone() -> None:
    batch = torch.rand(4, 3, 16, 16) * 2 - 1
    batch[:, 2] = 1
    still = Augmentation(rotation=0, shift=0, scale=0, gamma=0, gain=0)
    torch.testing.assert_close(augment(batch, still, torch.Generator()), batch, atol=1e-5, rtol=0)
    brighter = augment(batch, still.model_copy(update={"gamma": 0.5}), torch.Generator().manual_seed(1))
    torch.testing.assert_close(brighter[:, 1], batch[:, 1], atol=1e-5, rtol=0)
    assert (brighter[:, 0] - batch[:, 0]).abs().max() > 0.05


def test_mixup_blends_images_and_keeps_only_common_weight() -> None:
    first, second = torch.ones(16, 3, 2, 2), -torch.ones(16, 3, 2, 2)
    first[:, 2], second[:, 2] = 1, 0
    mixed = mix(first, second, 0.5, torch.Generator().manual_seed(0))
    untouched = mixed[:, 2].mean(dim=(1, 2)) == 1
    assert 0 < untouched.sum() < 16
    torch.testing.assert_close(mixed[untouched], first[untouched])
    assert (mixed[~untouched][:, 0] < 1).all()


def test_losses_look_inside_the_weight_only_and_ssim_agrees_with_the_metric() -> None:
    from imagetranslation import similarity

    torch.manual_seed(0)
    made, wanted = torch.rand(1, 1, 20, 24) * 2 - 1, torch.rand(1, 1, 20, 24) * 2 - 1
    weight = torch.ones_like(made)
    expected = similarity.ssim_map(
        ((made + 1) / 2)[0, 0].double().numpy(), ((wanted + 1) / 2)[0, 0].double().numpy(), data_range=1
    )
    inner = torch.zeros_like(weight)
    inner[..., 5:-5, 5:-5] = 1
    padded = 1 - losses.structural(made, wanted, weight)
    assert float(padded) == pytest.approx(expected.mean(), abs=0.02)
    made[..., 0, 0] = 50
    assert losses.weighted_l1(made, wanted, inner) == losses.weighted_l1(made.clamp(-1, 1), wanted, inner)


def test_weights_of_another_network_do_not_resume(a_config: Config, tiny_data: Path, tmp_path: Path) -> None:
    train(a_config, tiny_data, tmp_path, stop_after=2)
    file = next((tmp_path / "checkpoint").glob("step-*")) / "generator.safetensors"
    save_file({"stray": torch.zeros(1)}, file)
    with pytest.raises(RunFailed, match="cannot be resumed"):
        train(a_config, tiny_data, tmp_path)


def test_a_row_that_a_kill_cut_short_is_not_taken_for_an_earlier_step(
    a_config: Config, tiny_data: Path, tmp_path: Path
) -> None:
    train(a_config, tiny_data, tmp_path, stop_after=2)
    with (tmp_path / "log.csv").open("a") as stream:
        stream.write("3,9,9,9,9,9\r\n1")
    train(a_config, tiny_data, tmp_path)
    with (tmp_path / "log.csv").open(newline="") as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["1", "2", "3", "4", "5", "6"]


def test_steps_beyond_a_million_are_logged_whole_and_resumed(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for first, steps in ((0, (999_999, 1_000_000, 1_234_567)), (1_000_000, (1_000_001,))):
        with Log(path, first) as log:
            for step in steps:
                log.write({"step": float(step), "loss": 0.123456789})
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["999999", "1000000", "1000001"]
    assert rows[0]["loss"] == "0.123457"
    path.write_text("step,loss\n1e+06,0.5\n1.5e+06,0.5\n")  # as earlier versions wrote it
    with Log(path, 1_200_000):
        assert path.read_text().split() == ["step,loss", "1e+06,0.5"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_full_disk_under_the_weights_is_one_sentence(
    a_config: Config, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        with Path("/dev/full").open("wb", buffering=0) as stream:
            return stream.write(data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunFailed, match="disk is full"):
        train(a_config, tiny_data, tmp_path)
    assert not (tmp_path / "checkpoint" / "latest.json").exists()
    monkeypatch.undo()
    train(a_config, tiny_data, tmp_path)


def test_a_finished_fold_of_another_configuration_is_not_reused(
    a_config: Config, tiny_data: Path, tmp_path: Path
) -> None:
    crossval.run_fold(a_config, tiny_data, tmp_path, 0)
    other = a_config.model_copy(update={"seed": 4})
    with pytest.raises(InputError, match="another configuration"):
        crossval.run_fold(other, tiny_data, tmp_path, 0)


def test_a_fold_that_is_not_there_is_refused(a_config: Config, tiny_data: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(a_config.model_dump_json())
    for number in ("2", "-1"):
        with pytest.raises(InputError, match="no fold"):
            crossval.main(
                ["--config", f"{tmp_path}/config.json", "--data", str(tiny_data), "-o", str(tmp_path), "--only", number]
            )
