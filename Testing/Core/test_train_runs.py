"""A run as a whole: number formats, averages, early stopping, reports, interruptions and what goes wrong."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imagetranslation.errors import Cancelled, InputError, RunFailed
from imagetranslation.volume import read_volume, write_volume
from training_tools import checkpoint
from training_tools.config import Config
from training_tools.crossval import folds
from training_tools.train import Run, divide, train
from training_tools.training import loop as loops
from training_tools.training import validation
from training_tools.training.average import Average
from training_tools.training.cache import SOURCE, TARGET, WEIGHT, fingerprints, open_cases
from training_tools.training.fitting import require_fit
from training_tools.training.precision import Hardware, InFormat, make_fabric, settled
from training_tools.training.reporting import spoken
from training_tools.training.sampling import Sampler
from training_tools.training.schedule import factor
from training_tools.training.settings import Optimiser
from training_tools.training.state import State

from .training_runs import prepared_pairs, tiny_config


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("tiny-runs"))


@pytest.fixture
def own_data(tiny_data: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(tiny_data, tmp_path / "data"))


def a_loop(config: Config, data: Path) -> loops.Loop:
    cases = open_cases(data, config, fingerprints(data, ["case0", "case1"]))
    return loops.Loop(State(config, make_fabric(config.precision), cases), Sampler(cases, config))


def rows_of(loop: loops.Loop, steps: int) -> list[dict[str, float]]:
    return [row for rows in loop.rows(steps) for row in rows]


def equal(first: Path, second: Path) -> bool:
    one, two = load_file(first), load_file(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("settings", [{"compute": "bf16-mixed"}, {"channels_last": False}])
@pytest.mark.parametrize("dims", [2, 3])
def test_number_format_and_memory_layout_change_the_last_digits_only(
    dims: int, settings: dict, tiny_data: Path
) -> None:
    usual = rows_of(a_loop(tiny_config("regression", dims), tiny_data), 3)
    other = rows_of(a_loop(tiny_config("regression", dims, precision=settings), tiny_data), 3)
    for name in ("l1", "mse"):
        found, expected = [row[name] for row in other], [row[name] for row in usual]
        np.testing.assert_allclose(found, expected, rtol=0.03 if "compute" in settings else 1e-4)


def test_networks_give_float32_whatever_they_compute_in() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 4))
    network.inner = lambda x: [network(x), {"a": network(x)}]
    wrapped = InFormat(network, lambda: torch.autocast("cpu", torch.bfloat16))
    image = torch.rand(2, 4)
    assert wrapped(image).dtype == torch.float32
    first, second = wrapped.inner(image)
    assert first.dtype == second["a"].dtype == torch.float32
    assert not torch.equal(first, network(image))
    assert len(list(wrapped.parameters())) == 2


def test_float16_on_a_cpu_is_refused(tiny_data: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    with pytest.raises(InputError, match="needs a GPU"):
        train(tiny_config(precision={"compute": "16-mixed"}), tiny_data, tmp_path)


def test_a_batch_in_parts_gives_the_gradients_of_the_whole(tiny_data: Path) -> None:
    network = {"name": "unet", "arguments": {"spatial_dims": 2, "channels": [4, 8], "units": 1, "norm": "instance"}}
    settings = {"network": network, "objective": {"ssim": 0, "lesion": 0}}
    loop = a_loop(tiny_config("regression", optimiser={"accumulate": 2}, **settings), tiny_data)
    parts = [loop.sampler.batch(0, part) for part in range(2)]
    losses = [next(iter(loop.state.objective.updates(part, loop.state.networks, torch.Generator()))) for part in parts]
    parameters = loop.state.moved["generator"]
    expected = torch.autograd.grad(sum(update.loss for update in losses) / 2, parameters)
    before = torch.random.get_rng_state()
    row = loop._in_parts(iter(parts), 2, torch.Generator())
    torch.random.set_rng_state(before)
    for parameter, gradient in zip(parameters, expected):
        torch.testing.assert_close(parameter.grad, gradient)
    assert float(row["l1"]) == pytest.approx(np.mean([float(update.logged["l1"]) for update in losses]))


def test_an_objective_of_repeated_steps_is_not_computed_in_parts(tiny_data: Path) -> None:
    with pytest.raises(InputError, match=r"accumulate to 1"):
        rows_of(a_loop(tiny_config("dualgan", optimiser={"accumulate": 2}), tiny_data), 1)


def test_gradients_are_clipped_to_the_norm(tiny_data: Path) -> None:
    loop = a_loop(tiny_config("regression", optimiser={"clip": 1e-3}), tiny_data)
    rows_of(loop, 1)
    gradients = [p.grad for p in loop.state.moved["generator"]]
    assert float(torch.stack([g.norm() for g in gradients]).norm()) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_every_optimiser_moves_weights_and_resumes(name: str, tiny_data: Path, tmp_path: Path) -> None:
    config = tiny_config("regression", optimiser={"name": name}, steps=4)
    train(config, tiny_data, tmp_path / "whole")
    train(config, tiny_data, tmp_path / "pieces", stop_after=1)
    train(config, tiny_data, tmp_path / "pieces")
    assert equal(tmp_path / "whole" / "generator.safetensors", tmp_path / "pieces" / "generator.safetensors")


def test_rates_rise_and_fall_as_their_schedule_says() -> None:
    def rates(**settings: object) -> list[float]:
        return [round(factor(Optimiser(**settings), step, 10), 4) for step in range(10)]  # type: ignore[arg-type]

    assert rates(schedule="constant", warmup=2) == [0.5] + [1.0] * 9
    assert rates(schedule="linear", warmup=0, decay_from=0.5) == [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert rates(schedule="cosine", warmup=0)[::5] == [1.0, 0.5]
    assert rates(schedule="linear", warmup=0, decay_from=1.0) == [1.0] * 10


def test_the_average_follows_the_network_and_without_decay_is_the_network() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    average, latest = Average(network, 0.9), Average(network, 0.0)
    start = network[0].weight.detach().clone()
    with torch.no_grad():
        network[0].weight += 1
        network[1].num_batches_tracked += 3
    for step in (1000, 1001):
        average.move(step)
    torch.testing.assert_close(average.module()[0].weight, start + 1 - 0.9**2)
    assert average.module()[1].num_batches_tracked == 3
    assert not average.module().training
    assert torch.equal(latest.module()[0].weight, network[0].weight)
    assert latest.part() == {}


def test_validation_keeps_the_best_and_ends_a_run_that_gets_no_better(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([5.0, 3.0, 4.0, 3.5, 9.0])
    monkeypatch.setattr(validation, "validate", lambda *arguments: {"mae": next(found), "ssim": 0.5})
    watch = {"cases": ["case2"], "every": 1, "metric": "mae", "patience": 2}
    path = train(tiny_config("regression", validation=watch), tiny_data, tmp_path)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["steps"] == 4
    assert result["ended_early"]
    assert result["best"] == {"best": 3.0, "best_step": 2}
    assert equal(path, tmp_path / "best.safetensors")
    assert not equal(path, tmp_path / "checkpoint" / "step-000004" / "average.safetensors")
    with (tmp_path / "validation.csv").open(newline="") as stream:
        assert [row["mae"] for row in csv.DictReader(stream)] == ["5", "3", "4", "3.5"]
    assert json.loads((tmp_path / "config.json").read_text())["validated"] == ["case2"]
    train(tiny_config("regression", validation=watch), tiny_data, tmp_path)
    assert json.loads((tmp_path / "result.json").read_text()) == result


def test_early_stopping_resumes_where_it_was(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config("regression", validation={"share": 0.34, "every": 2, "metric": "mae", "patience": 5})
    found = iter([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    monkeypatch.setattr(validation, "validate", lambda *arguments: {"mae": next(found), "ssim": 0.5})
    train(config, tiny_data, tmp_path / "whole")
    train(config, tiny_data, tmp_path / "pieces", stop_after=3)
    train(config, tiny_data, tmp_path / "pieces")
    assert equal(tmp_path / "whole" / "generator.safetensors", tmp_path / "pieces" / "generator.safetensors")
    whole, pieces = (tmp_path / name for name in ("whole", "pieces"))
    assert (whole / "validation.csv").read_text() == (pieces / "validation.csv").read_text()
    assert json.loads((pieces / "result.json").read_text())["best"] == {"best": 1.0, "best_step": 2}


@pytest.mark.parametrize("objective", ["pix2pix", "regression"])
def test_volumes_resume_bit_for_bit_too(objective: str, tiny_data: Path, tmp_path: Path) -> None:
    config = tiny_config(objective, 3, steps=3, optimiser={"accumulate": 2, "clip": 1.0})
    train(config, tiny_data, tmp_path / "whole")
    train(config, tiny_data, tmp_path / "pieces", stop_after=2)
    train(config, tiny_data, tmp_path / "pieces")
    assert equal(tmp_path / "whole" / "generator.safetensors", tmp_path / "pieces" / "generator.safetensors")


def test_validation_scores_are_those_of_the_metrics_inside_the_mask(tiny_data: Path) -> None:
    config = tiny_config()
    (case,) = open_cases(tiny_data, config, fingerprints(tiny_data, ["case0"]))
    made = np.where(case.arrays[WEIGHT] > 0.99, case.arrays[TARGET] + 0.5, 77.0).astype(np.float32)
    assert validation.score(case, made, config)["mae"] == pytest.approx(0.5 * 127.5, rel=1e-5)
    assert validation.score(case, np.array(case.arrays[TARGET]), config)["ssim"] == pytest.approx(1)
    network = torch.nn.Identity()
    np.testing.assert_allclose(
        validation.translate_case(case, network, config, torch.device("cpu")), case.arrays[SOURCE], atol=1e-6
    )


def test_patients_of_the_validation_are_not_trained_on() -> None:
    names = [f"case{n}" for n in range(10)]
    learnt, watched = divide(names, tiny_config(validation={"share": 0.3, "every": 5}))
    assert len(watched) == 3
    assert sorted(learnt + watched) == names
    other = divide(names, tiny_config(validation={"share": 0.3, "every": 5}, seed=4))[1]
    assert other != watched
    with pytest.raises(InputError, match="case77"):
        divide(names, tiny_config(validation={"cases": ["case77"], "every": 5}))
    with pytest.raises(InputError, match="No case is left"):
        divide(names[:1], tiny_config(validation={"cases": ["case0"], "every": 5}))


def test_all_cases_of_a_patient_are_on_one_side() -> None:
    owners = {f"case{n}": f"patient{n // 2}" for n in range(10)}
    config = tiny_config(validation={"share": 0.4, "every": 5})
    learnt, watched = divide(list(owners), config, patients=owners)
    assert len(watched) == 4
    assert not {owners[name] for name in learnt} & {owners[name] for name in watched}
    with pytest.raises(InputError, match="patient1 has cases to train on and cases to validate on"):
        divide(list(owners), tiny_config(validation={"cases": ["case2"], "every": 5}), patients=owners)
    assert all(len({owners[name] for name in fold}) == 1 for fold in folds(list(owners), 5, owners))
    with pytest.raises(InputError, match="6 folds need at least 6 patients; there are 5"):
        folds(list(owners), 6, owners)


def test_a_run_leaves_the_processors_smallest_numbers_to_others(tiny_data: Path, tmp_path: Path) -> None:
    smallest = torch.tensor([1e-40])
    train(tiny_config("regression"), tiny_data, tmp_path / "run", stop_after=1)
    assert float(smallest * 1.0) > 0
    with settled(torch.device("cpu"), 1):
        assert float(smallest * 1.0) == 0


def test_a_patient_is_not_held_out_by_half(own_data: Path, tmp_path: Path) -> None:
    record = json.loads((own_data / "cases.json").read_text())
    for case in record["cases"][2:]:
        case["patient"] = "P"
    (own_data / "cases.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="Some cases of P are held out"):
        train(tiny_config("regression"), own_data, tmp_path / "run")


def test_sample_sheets_and_tensorboard_are_written(tiny_data: Path, tmp_path: Path) -> None:
    from PIL import Image

    config = tiny_config("regression", reporting={"sheet_every": 3, "sheet_cases": 2, "tensorboard": True})
    train(config, tiny_data, tmp_path)
    sheets = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert sheets == ["step-000003.png", "step-000006.png"]
    with Image.open(tmp_path / "sheets" / sheets[0]) as image:
        shown = np.asarray(image.convert("L"))
    assert shown.shape[1] > 500
    assert shown.std() > 20
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_images_that_changed_under_the_same_names_do_not_resume(own_data: Path, tmp_path: Path) -> None:
    train(tiny_config("regression"), own_data, tmp_path / "run", stop_after=2)
    path = own_data / "target" / "case1.nrrd"
    volume = read_volume(path)
    write_volume(volume.with_array(volume.array + 1), path)
    with pytest.raises(InputError, match="images of case1 have changed"):
        train(tiny_config("regression"), own_data, tmp_path / "run")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_an_interrupted_run_keeps_its_last_step_and_ends_as_an_unbroken_one(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("regression", steps=400, checkpoint_every=1000)
    real = loops.Loop._step

    def interrupted(self: loops.Loop, parts: list) -> dict:
        # In the step itself: a signal from outside that comes too late would end the run of the tests.
        if self.state.step == 6:
            signal.raise_signal(signal.SIGINT)
        return real(self, parts)

    with monkeypatch.context() as patch:
        patch.setattr(loops.Loop, "_step", interrupted)
        with pytest.raises(Cancelled, match="checkpoint is kept"):
            train(config, tiny_data, tmp_path / "run")
    latest = json.loads((tmp_path / "run" / "checkpoint" / "latest.json").read_text())
    assert latest["step"] == 7
    train(config, tiny_data, tmp_path / "run", stop_after=latest["step"] + 3)
    train(config, tiny_data, tmp_path / "whole", stop_after=latest["step"] + 3)
    name = f"checkpoint/step-{latest['step'] + 3:06d}/generator.safetensors"
    assert equal(tmp_path / "run" / name, tmp_path / "whole" / name)


def test_a_step_that_fails_leaves_the_last_checkpoint(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config("regression", checkpoint_every=2)
    real = loops.Loop._step

    def spoilt(self: loops.Loop, parts: list) -> dict:
        if self.state.step == 4:
            with torch.no_grad():
                self.state.moved["generator"][0].fill_(float("nan"))
        return real(self, parts)

    monkeypatch.setattr(loops.Loop, "_step", spoilt)
    with pytest.raises(RunFailed, match=r"step 5: .*last checkpoint is kept"):
        train(config, tiny_data, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "checkpoint" / "latest.json").read_text())["step"] == 4
    monkeypatch.undo()
    train(config, tiny_data, tmp_path / "run")
    train(config, tiny_data, tmp_path / "whole")
    assert equal(tmp_path / "run" / "generator.safetensors", tmp_path / "whole" / "generator.safetensors")


def test_memory_that_runs_out_says_which_settings_to_lower(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(State, "backward", exhausted)
    with pytest.raises(RunFailed, match=r"step 1: lower batch_size \(now 4\).*accumulate"):
        train(tiny_config("regression"), tiny_data, tmp_path)


def test_memory_that_runs_out_in_a_validation_is_a_sentence_with_other_settings(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(validation, "translate_case", exhausted)
    config = tiny_config("regression", validation={"every": 2, "share": 0.3})
    with pytest.raises(RunFailed, match=r"after step 2; the last checkpoint is kept\. Lower source\.patch_size"):
        train(config, tiny_data, tmp_path)


@pytest.mark.parametrize("first", [True, False])
def test_what_fails_in_the_first_process_ends_those_that_wait_for_it(
    first: bool, tiny_data: Path, tmp_path: Path
) -> None:
    sent: list[Any] = []

    class TwoProcesses:
        def broadcast(self, told: Any) -> Any:
            sent.append(told)
            return told if first else ({}, "The first process failed: The scan is gone.")

    def gone() -> dict[str, float]:
        raise InputError("The scan is gone.")

    task = Run(tiny_config("regression"), tmp_path, TwoProcesses(), [], [])  # type: ignore[arg-type]
    task._first = first
    loop = a_loop(tiny_config("regression"), tiny_data)
    with pytest.raises(InputError if first else RunFailed, match=r"The scan is gone\."):
        task._of_first(loop, gone)
    assert sent == [({}, "The first process failed: The scan is gone." if first else "")]


def test_number_formats_and_compilation_that_an_objective_cannot_have_are_refused() -> None:
    several = {"precision": {"compute": "16-mixed"}, "optimiser": {"accumulate": 2}}
    with pytest.raises(InputError, match=r"for the 2 optimisers of 'pix2pix'; set optimiser\.accumulate to 1"):
        require_fit(tiny_config("pix2pix", **several))
    require_fit(tiny_config("regression", **several))
    require_fit(tiny_config("pix2pix", precision={"compute": "16-mixed"}))
    with pytest.raises(InputError, match=r"precision\.compile would do nothing for the objective 'bridge'"):
        require_fit(tiny_config("bridge", precision={"compile": True}))
    require_fit(tiny_config("pix2pix", precision={"compile": True}))


def test_a_validation_counts_patients_and_not_cases(tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    cases = open_cases(tiny_data, config, fingerprints(tiny_data, ["case0", "case1", "case2"]))
    errors = {"case0": 1.0, "case1": 3.0, "case2": 8.0}
    monkeypatch.setattr(validation, "translate_case", lambda *_: None)
    monkeypatch.setattr(validation, "score", lambda case, *_: {"mae": errors[case.name], "ssim": 0.5})
    cases[:2] = [replace(case, patient="one of two views") for case in cases[:2]]
    assert validation.validate(cases, torch.nn.Identity(), config, torch.device("cpu")) == {"mae": 5.0, "ssim": 0.5}


def test_a_missing_compiler_is_a_sentence(tiny_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor.exc import InvalidCxxCompiler

    def without(*arguments: object) -> None:
        raise InvalidCxxCompiler

    monkeypatch.setattr(loops.Loop, "_step", without)
    with pytest.raises(RunFailed, match=r"set precision\.compile to false"):
        rows_of(a_loop(tiny_config("regression", precision={"compile": True}), tiny_data), 1)


def test_a_disk_that_fills_while_a_checkpoint_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = {"generator": torch.nn.Linear(2, 2), "judge": torch.nn.Linear(2, 2)}
    checkpoint.save(tmp_path, 1, networks, {"rate": 0.5, "moments": {0: {"step": torch.tensor(3.0)}}})
    before = networks["generator"].weight.detach().clone()
    with torch.no_grad():
        networks["generator"].weight += 1
    real, written = Path.write_bytes, []

    def filling(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", filling)
    with pytest.raises(RunFailed, match="disk is full"):
        checkpoint.save(tmp_path, 2, networks, {})
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.json", "step-000001"]
    step, state = checkpoint.load(tmp_path, networks) or (0, {})
    assert (step, state["rate"], float(state["moments"][0]["step"])) == (1, 0.5, 3.0)
    assert torch.equal(networks["generator"].weight, before)


def test_settings_and_network_that_do_not_go_together_are_one_sentence(tiny_data: Path, tmp_path: Path) -> None:
    unet = {"name": "unet", "arguments": {"spatial_dims": 2, "channels": [4, 8, 16]}}
    for config, words in (
        (
            tiny_config(network=unet, source={"patch_size": [18, 16]}),
            "cannot translate patches of 1 channel of 18 x 16",
        ),
        (tiny_config(network={"name": "perceptron"}), "Unknown network 'perceptron'"),
        (tiny_config(network={"name": "unet", "arguments": {"spatial_dims": 2, "wings": 2}}), "wings"),
        (tiny_config(network={"name": "pix2pix-small", "arguments": {"base": 4, "out_channels": 2}}), "2 channels of"),
    ):
        with pytest.raises(InputError, match=words):
            train(config, tiny_data, tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_two_processes_end_with_the_same_weights_and_resume_exactly(tiny_data: Path, tmp_path: Path) -> None:
    config = tiny_config(steps=4, network={"name": "unet", "arguments": {"spatial_dims": 2, "channels": [4, 8]}})
    (tmp_path / "config.json").write_text(config.model_dump_json())

    code = (
        "import sys; from pathlib import Path; from training_tools.config import read_config; "
        "from training_tools.train import train; from training_tools.training.precision import Hardware; "
        "config, data, folder = read_config(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]); "
        "[train(config, data, folder / name, stop_after=steps, hardware=Hardware('cpu')) "
        "for name, steps in (('whole', 4), ('pieces', 3), ('pieces', 4))]"
    )
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "--no-python"]
    paths = [str(tmp_path / "config.json"), str(tiny_data), str(tmp_path)]
    command = [sys.executable, *launcher, sys.executable, "-c", code, *paths]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert equal(tmp_path / "whole" / "generator.safetensors", tmp_path / "pieces" / "generator.safetensors")
    assert json.loads((tmp_path / "whole" / "result.json").read_text())["processes"] == 2
    with (tmp_path / "whole" / "log.csv").open(newline="") as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["1", "2", "3", "4"]
    with pytest.raises(RunFailed, match="2 processes"):
        train(config.model_copy(), tiny_data, tmp_path / "pieces")


def test_torchrun_and_slurm_say_how_many_devices_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_NNODES"):
        monkeypatch.delenv(name, raising=False)
    assert Hardware("cpu", 3).found() == Hardware("cpu", 3)
    for name, value in (("SLURM_PROCID", "5"), ("SLURM_NTASKS", "8"), ("SLURM_NNODES", "2")):
        monkeypatch.setenv(name, value)
    assert Hardware("cuda").found() == Hardware("cuda", 4, 2)
    monkeypatch.setenv("WORLD_SIZE", "6")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert Hardware("cuda").found() == Hardware("cuda", 2, 3)


def test_durations_are_said_as_people_say_them() -> None:
    assert [spoken(s) for s in (40, 600, 12000, 200000)] == ["40 s", "10 min", "3 h 20 min", "2 d 7 h"]
