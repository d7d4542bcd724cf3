"""From runs of 2-D, 2.5-D and 3-D networks to packages that translate as the run's own validation does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imagetranslation import networks
from imagetranslation.errors import InputError
from imagetranslation.inference import translate
from imagetranslation.models import load_package, verify
from imagetranslation.volume import read_volume, write_volume
from training_tools import crossval, export
from training_tools.config import Card, Config, read_config
from training_tools.train import train
from training_tools.training.cache import fingerprints, open_cases
from training_tools.training.fitting import require_fit, whole_image_settings
from training_tools.training.settings import Sampling
from training_tools.training.validation import translate_case

from .training_runs import prepared_pairs, tiny_config

UNET3 = {"name": "unet", "arguments": {"spatial_dims": 3, "channels": [4, 8], "units": 1, "bounded": True}}
RESAMPLED_NOT = {"mode": "none"}


def flat() -> Config:
    return tiny_config("regression")


def with_neighbours() -> Config:
    network = {"name": "pix2pix-small", "arguments": {"base": 4, "levels": 3, "in_channels": 3}}
    return tiny_config("regression", network=network, source={"patch_size": [16, 16], "context_slices": 1})


def voluminous() -> Config:
    source = {"spatial_dims": 3, "patch_size": [8, 16, 16], "resampling": RESAMPLED_NOT}
    return tiny_config("regression", 3, source=source)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("tiny-export"))


@pytest.mark.parametrize("make", [flat, with_neighbours, voluminous])
def test_a_package_translates_as_the_trained_network_does(make: Any, tiny_data: Path, tmp_path: Path) -> None:
    config = make()
    weights = train(config, tiny_data, tmp_path / "run")
    package = export.export(tmp_path / "run", tiny_data, tmp_path / "package")
    assert verify(load_package(package.path))["id"] == "tiny"
    source = read_volume(tiny_data / "source" / "case3.nrrd")
    made = translate(source, package, device="cpu")
    assert made.same_grid(source)
    (case,) = open_cases(tiny_data, config, fingerprints(tiny_data, ["case3"]))
    network = networks.build(config.network.name, **config.network.arguments).eval()
    network.load_state_dict(load_file(weights))
    on_grid = translate_case(case, network, config, torch.device("cpu"))
    if config.source.resampling.mode == "none":
        seen = made.array > 0
        # The package may see the volume whole, where training saw it in windows, and keeps weights in 16 bits.
        assert np.abs(made.array / 127.5 - 1 - on_grid)[seen].mean() < 0.03
    assert np.isfinite(made.array).all()
    told = package.metadata["training"]["config"]
    assert told["objective"]["name"] == "regression"
    assert package.metadata["scores"]["held_out"]["n"] == 1


def test_neighbouring_slices_are_told_to_inference(tiny_data: Path, tmp_path: Path) -> None:
    train(with_neighbours(), tiny_data, tmp_path / "run")
    package = export.export(tmp_path / "run", tiny_data, tmp_path / "package")
    assert package.inputs["num_channels"] == 3
    assert package.metadata["inference"]["context_slices"] == 1


def test_a_network_that_may_see_whole_volumes_says_so_and_how_much_it_needs() -> None:
    found = whole_image_settings(voluminous())
    assert found["whole_volume"]
    assert found["size_multiple"] == 2
    assert 16 < found["activation_bytes"] < 1000
    instance = {"name": "unet", "arguments": {**UNET3["arguments"], "norm": "instance"}}
    source = {"spatial_dims": 3, "patch_size": [8, 16, 16], "resampling": RESAMPLED_NOT}
    assert whole_image_settings(tiny_config("regression", 3, network=instance, source=source)) == {}
    small = {**source, "patch_size": [4, 16, 16]}
    assert whole_image_settings(tiny_config("regression", 3, source=small)) == {}
    assert whole_image_settings(tiny_config("regression", 3)) == {}, "its patch is the whole volume already"
    assert whole_image_settings(flat()) == {}, "this network takes any size and says no multiple"


def test_scores_of_another_configuration_or_of_no_cross_validation_are_refused(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config("regression", steps=1)
    paths = {}
    for name, made in (("own", config), ("other", config.model_copy(update={"seed": 9}))):
        (tmp_path / f"{name}.json").write_text(made.model_dump_json())
        given = ["--config", f"{tmp_path}/{name}.json", "--data", str(tiny_data), "-o", f"{tmp_path}/{name}"]
        crossval.main([*given, "--alike", "1"])  # ellipsoids are more alike than patients
        paths[name] = tmp_path / name / "scores.json"
    train(config, tiny_data, tmp_path / "run")
    command = [str(tmp_path / "run"), "--data", str(tiny_data), "-o", str(tmp_path / "package"), "--scores"]
    with pytest.raises(InputError, match="another configuration"):
        export.main([*command, str(paths["other"])])
    with pytest.raises(InputError, match="not a scores"):
        export.main([*command, str(tmp_path / "own.json")])
    scores = json.loads(paths["own"].read_text())
    (tmp_path / "short.json").write_text(json.dumps({**scores, "cases": scores["cases"][2:]}))
    with pytest.raises(InputError, match="leave out cases"):
        export.main([*command, str(tmp_path / "short.json")])
    assert not (tmp_path / "package").exists()
    assert export.main([*command, str(paths["own"])]) == 0
    assert load_package(tmp_path / "package").metadata["scores"]["cross_validation"]["n"] == 4
    capsys.readouterr()


def test_the_words_of_another_training_are_not_put_on_a_run(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config("regression", steps=1)
    words = dict.fromkeys(("description", "authors", "licence", "data", "data_licence", "intended_use", "tuning"), "w")
    card = Card(**words, id="another-name", title="Another title")
    for name, steps in (("own", 1), ("other", 2)):
        told = config.model_copy(update={"card": card, "steps": steps, "title": "Reworded", "held_out": ()})
        (tmp_path / f"{name}.json").write_text(told.model_dump_json())
    train(config, tiny_data, tmp_path / "run")
    command = [str(tmp_path / "run"), "--data", str(tiny_data), "-o", str(tmp_path / "package"), "--config"]
    with pytest.raises(InputError, match=r"words are of another training than .*: their steps differ"):
        export.main([*command, str(tmp_path / "other.json")])
    assert not (tmp_path / "package").exists()
    assert export.main([*command, str(tmp_path / "own.json")]) == 0
    made = load_package(tmp_path / "package").metadata
    assert (made["id"], made["title"]) == ("another-name", "Another title")
    capsys.readouterr()


def test_a_run_is_not_exported_with_other_images_than_it_was_trained_on(tiny_data: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(tiny_data, tmp_path / "data"))
    train(tiny_config("regression", steps=1), data, tmp_path / "run")
    path = data / "source" / "case0.nrrd"
    volume = read_volume(path)
    write_volume(volume.with_array(volume.array + 1), path)
    with pytest.raises(InputError, match="images of case0 have changed"):
        export.export(tmp_path / "run", data, tmp_path / "package")


@pytest.fixture(scope="session")
def committed(repository: Path) -> dict[str, tuple[dict[str, Any], Config]]:
    """By path: what is written in each configuration, and what it says."""
    folder = repository / "training_tools" / "configs"
    written = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*.json"))}
    read = {name: json.loads(path.read_text()) for name, path in written.items()}
    return {name: (given, read_config(written[name])) for name, given in read.items() if "network" in given}


def test_every_committed_configuration_says_where_its_settings_come_from(committed: dict) -> None:
    groups = {"network", "objective", "source", "target", "augmentation", "optimiser", "steps", "batch_size"}
    assert len(committed) > 1
    for name, (given, config) in committed.items():
        chosen = groups | ({"sampling"} if config.sampling != Sampling() else set())
        told = {key.split(".")[0] for key in config.origins}
        assert sorted(chosen & given.keys() - told) == [], name


def test_the_network_of_every_committed_configuration_translates_its_patch(committed: dict) -> None:
    for _, config in committed.values():
        require_fit(config)
