"""Resources/Tutorials/training.md: its commands, run in their order on tiny data in place of simulated patients."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imagetranslation import cli
from training_tools import benchmark, leaks, splits
from training_tools.benchmarking import entries
from training_tools.phantoms import prostate_writing

from .benchmark_runs import REGRESSION, here, tiny_networks
from .training_runs import prepared_pairs, tiny_config

TUTORIAL = Path("Resources/Tutorials/training.md")
CONFIG = Path("training_tools/configs/us2mri/2D-Pix2Pix.json")


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Every line of the blocks that a person types on one machine, split as a shell would."""
    return [shlex.split(line) for block in blocks(text, "bash") for line in block.splitlines()]


@pytest.fixture(scope="module")
def tutorial(repository: Path) -> str:
    return (repository / TUTORIAL).read_text(encoding="utf-8")


@pytest.fixture
def a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which configurations, presets and simulated patients are tiny."""
    place = tmp_path / "clone"
    prepared_pairs(place / "simulated", cases=6)
    shutil.move(place / "simulated" / "prepared" / "lesion", place / "simulated" / "us_lesions")
    shutil.rmtree(place / "simulated" / "prepared")
    (place / "simulated" / "simulation.json").write_text("{}")  # what the simulator leaves beside its images
    for path in (place / "simulated").glob("*/case*.nrrd"):
        path.rename(path.with_name(path.name.replace("case", "case0000")))
    (place / CONFIG).parent.mkdir(parents=True)
    (place / CONFIG).write_text(tiny_config(held_out=()).model_dump_json(exclude={"card"}))
    monkeypatch.setattr(entries, "CONFIGS", tiny_networks(tmp_path / "networks", (REGRESSION,)))
    monkeypatch.setattr(benchmark, "run_apart", here)
    monkeypatch.setattr(leaks, "NEAR_DUPLICATE", 1.0)  # ellipsoids are more alike than patients
    monkeypatch.setattr(prostate_writing, "write_cases", lambda *_, **__: [])
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    monkeypatch.chdir(place)
    return place


def run(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command of the tutorial in this process; fails with what it printed where it does not end well."""
    if command[0] == "imagetranslation":
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0, command
        return
    assert command[:2] == ["python", "-m"], command
    if command[2] == "monai.bundle":
        given: dict[str, Any] = {key.lstrip("-"): value for key, value in zip(command[4::2], command[5::2])}
        importlib.import_module("monai.bundle").run(device="cpu", **given)
        return
    name = command[2] if command[2] != "training_tools.exporting" else "training_tools.exporting.__main__"
    assert importlib.import_module(name).main(command[3:]) == 0, command


def test_every_command_runs_in_its_order(
    tutorial: str, a_clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in commands(tutorial):
        few = ["--steps", "2"] if "training_tools.encoder" in command else []
        run([*command, *few], monkeypatch)
    assert (a_clone / "runs" / "pix2pix" / "generator.safetensors").exists()
    page = (a_clone / "bench" / "index.html").read_text(encoding="utf-8")
    assert "Prostate ultrasound to MR" in page
    assert "simulated patients: nothing here is comparable" in page
    scores = json.loads((a_clone / "packages" / "pix2pix-1.0" / "model.json").read_text())["scores"]
    assert scores["evaluation"]["method"] == "pix2pix"
    for made in ("synthetic.nrrd", "bundle.nrrd", "pix2pix.onnx", "encoder/encoder.json"):
        assert (a_clone / made).exists(), made

    (array,) = [line for line in batch_lines(tutorial) if "training_tools.benchmark" in line]
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    run(array, monkeypatch)
    assert (a_clone / "bench-full" / REGRESSION / "fold-0" / "cell.json").exists()


@pytest.mark.parametrize("count", [3, pytest.param(12, marks=pytest.mark.soak)])
def test_simulated_patients_are_told_apart_by_the_tutorial_s_own_split(
    tutorial: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they are simulated, at the threshold that the command has: nobody is taken for a copy of another."""
    simulating, preparing, splitting, *_ = commands(tutorial)
    assert simulating[-2:] == ["-n", "12"]
    monkeypatch.chdir(tmp_path)
    for command in ([*simulating[:-1], str(count)], preparing, splitting):
        run(command, monkeypatch)
    report = leaks.check(tmp_path / "prepared", splits.read_split(tmp_path / "splits.json", tmp_path / "prepared"))
    assert report.closest is not None
    assert 0.2 < report.closest["correlation"] < leaks.NEAR_DUPLICATE


def batch_lines(text: str) -> list[list[str]]:
    """What srun starts in the batch files."""
    lines = [line for block in blocks(text, "sbatch") for line in block.splitlines() if line.startswith("srun ")]
    return [shlex.split(line)[1:] for line in lines]


def test_batch_files_are_shell_and_start_what_was_typed_before(tutorial: str) -> None:
    scripts = blocks(tutorial, "sbatch")
    assert len(scripts) == 2
    for script in scripts:
        assert script.startswith("#!/bin/bash\n#SBATCH ")
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    typed = commands(tutorial)
    (training,) = [line for line in batch_lines(tutorial) if "training_tools.train" in line]
    assert training in typed
    lines = [line for block in blocks(tutorial, "sh") for line in block.splitlines()]
    (launched,) = [shlex.split(line) for line in lines if line.startswith("torchrun")]
    assert launched[:3] == ["torchrun", "--nproc_per_node", "4"]
    assert ["python", *launched[3:]] == training


def test_the_array_has_a_job_for_every_cell_of_the_full_benchmark(tutorial: str) -> None:
    networks = sum(path is not None for path in entries.entries("us2mri").values())
    cells = networks * entries.preset("us2mri", "full").folds
    assert f"#SBATCH --array=0-{cells - 1}\n" in tutorial
    assert f"It prints {cells} lines for `us2mri`, numbered 0 to {cells - 1}." in tutorial
    assert [entries.preset("us2mri", name).seconds for name in ("quick", "standard", "full")] == [15, 150, 3600]
    assert "each the same 2.5 minutes" in tutorial


def test_every_setting_that_the_tutorial_names_is_one(tutorial: str) -> None:
    known = tiny_config().model_dump(mode="json")
    for names in re.findall(r"^\| (`.*?) \| ", tutorial, re.MULTILINE):
        group, _, parts = names.partition(" (")
        for name in re.findall(r"`([a-z_.]+)`", group):
            place: Any = known
            for part in name.split("."):
                assert part in place, name
                place = place[part]
            assert set(re.findall(r"`([a-z_]+)`", parts)) <= set(place if parts else ()), names
