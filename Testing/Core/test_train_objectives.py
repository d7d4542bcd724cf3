"""Every objective in the training loop, on tiny networks: it resumes exactly and moves what it says, no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from imagetranslation.errors import InputError
from training_tools import objectives
from training_tools.config import Config
from training_tools.objectives.protocol import Update
from training_tools.train import train
from training_tools.training.cache import fingerprints, open_cases
from training_tools.training.loop import Loop
from training_tools.training.precision import make_fabric
from training_tools.training.sampling import Sampler
from training_tools.training.state import State, make_objective

from .training_runs import prepared_pairs, tiny_config


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("tiny-objectives"))


@pytest.fixture(params=objectives.names())
def objective(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def a_loop(config: Config, data: Path) -> Loop:
    cases = open_cases(data, config, fingerprints(data, ["case0", "case1"]))
    return Loop(State(config, make_fabric(config.precision), cases), Sampler(cases, config))


def test_stopping_and_resuming_ends_bit_for_bit_where_an_unbroken_run_does(
    objective: str, tiny_data: Path, tmp_path: Path
) -> None:
    config = tiny_config(objective, steps=4, checkpoint_every=2)
    train(config, tiny_data, tmp_path / "whole")
    train(config, tiny_data, tmp_path / "pieces", stop_after=3)
    torch.rand(7)  # whatever else the process drew must not matter
    train(config, tiny_data, tmp_path / "pieces")
    files = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.safetensors")]
    assert len(files) >= 3
    for file in files:
        whole, pieces = load_file(tmp_path / "whole" / file), load_file(tmp_path / "pieces" / file)
        assert whole.keys() == pieces.keys()
        for name, tensor in whole.items():
            assert torch.equal(tensor, pieces[name]), (file, name)
    assert (tmp_path / "whole" / "log.csv").read_text() == (tmp_path / "pieces" / "log.csv").read_text()


def test_every_optimiser_moves_its_own_networks_and_no_others(objective: str, tiny_data: Path) -> None:
    loop = a_loop(tiny_config(objective), tiny_data)
    state, moved = loop.state, {name for parts in loop.state.objective.optimisers.values() for name in parts}
    assert moved <= set(state.networks)
    assert "generator" in moved
    before = {part: [p.detach().clone() for p in network.parameters()] for part, network in state.networks.items()}
    list(loop.rows(2))
    for part, network in state.networks.items():
        changed = any(not torch.equal(a, b) for a, b in zip(before[part], network.parameters()))
        assert changed == (part in moved and bool(before[part])), part


def test_the_log_has_the_same_numbers_in_every_step(objective: str, tiny_data: Path) -> None:
    loop = a_loop(tiny_config(objective), tiny_data)
    rows = [row for rows in loop.rows(3) for row in rows]
    assert len({tuple(row) for row in rows}) == 1
    assert len(rows[0]) > 2


def test_an_update_names_an_optimiser_of_its_objective_and_its_loss_is_a_scalar(
    objective: str, tiny_data: Path
) -> None:
    loop = a_loop(tiny_config(objective), tiny_data)
    batch = loop.sampler.batch(0)
    made = make_objective(loop.state.config).updates(batch, loop.state.networks, torch.Generator().manual_seed(0))
    update = next(iter(made))
    assert isinstance(update, Update)
    assert update.optimiser in loop.state.optimisers
    assert update.loss.shape == ()
    assert update.loss.requires_grad


def test_what_needs_pairs_refuses_unpaired_samples_and_the_others_learn_from_them(
    objective: str, tiny_data: Path
) -> None:
    sampling = {"unpaired": True}
    augmentation = {"mixup": 0}
    if not objectives.find(objective).unpaired:
        with pytest.raises(ValueError, match="learns from pairs"):
            tiny_config(objective, sampling=sampling, augmentation=augmentation)
        return
    loop = a_loop(tiny_config(objective, sampling=sampling, augmentation=augmentation), tiny_data)
    assert not loop.sampler.batch(0).paired
    assert len([row for rows in loop.rows(2) for row in rows]) == 2


def test_an_option_that_the_objective_does_not_have_is_refused(objective: str) -> None:
    with pytest.raises(ValueError, match="philosophy"):
        tiny_config(objective, objective={"philosophy": 1})


def test_the_resolved_configuration_tells_every_option(objective: str) -> None:
    config = tiny_config(objective)
    told = json.loads(config.model_dump_json())["objective"]
    assert told.keys() == {"name", *objectives.find(objective).Options.model_fields}
    assert Config.model_validate(json.loads(config.model_dump_json())) == config


def test_a_name_that_is_no_objective_is_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"alchemy.*pix2pix"):
        objectives.find("alchemy")
