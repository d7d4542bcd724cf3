"""The command as a person types it: what is written, what is printed, which exit code, and nothing left behind."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from imagetranslation import cli, jobs
from imagetranslation.cohorts import work
from imagetranslation.volume import Volume, read_volume, write_volume
from Testing.packages import an_ultrasound, make_package


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_package(tmp_path_factory.mktemp("models") / "tiny").path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, as `imagetranslation ...` would."""

    def command(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["imagetranslation", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        code = end.value.code
        return Outcome(code if isinstance(code, int) else 0, *capfd.readouterr())

    return command


@pytest.fixture
def an_ultrasound_file(tmp_path: Path) -> Path:
    return write_volume(an_ultrasound(spacing=(0.4, 0.5, 1.5), origin=(1.0, 2.0, 3.0)), tmp_path / "us.nrrd")


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".nii", ".mha", ".mhd", ".nhdr"])
def test_translate_writes_the_grid_of_its_input(run: Run, tiny: str, an_ultrasound_file: Path, suffix: str) -> None:
    target = an_ultrasound_file.parent / "new" / f"mr{suffix}"
    outcome = run("translate", an_ultrasound_file, "-o", target, "-m", tiny)
    assert outcome.code == 0, outcome.err
    assert "SYNTHETIC by tiny 1.2.3" in outcome.out
    made = read_volume(target)
    assert made.synthetic
    assert made.same_grid(read_volume(an_ultrasound_file))
    assert json.loads((target.parent / "mr.json").read_text())["weights_sha256"]


def test_json_output_is_one_object(run: Run, tiny: str, an_ultrasound_file: Path, tmp_path: Path) -> None:
    outcome = run("translate", an_ultrasound_file, "-o", tmp_path / "mr.nrrd", "-m", tiny, "--json")
    report = json.loads(outcome.out)
    assert report["model"] == "tiny"
    assert report["output"] == str(tmp_path / "mr.nrrd")
    assert report["seconds_to_translate"] > 0
    outcome = run("translate", tmp_path / "none.nrrd", "-o", tmp_path / "x.nrrd", "-m", tiny, "--json")
    assert outcome.code == 2
    assert json.loads(outcome.out)["error"]["code"] == "input"


def test_several_scans_do_not_go_into_a_folder_that_is_called_like_a_file(
    run: Run, tiny: str, an_ultrasound_file: Path, tmp_path: Path
) -> None:
    outcome = run("translate", an_ultrasound_file.parent, "-o", tmp_path / "out" / "mr.nrrd", "-m", tiny)
    assert outcome.code == 2
    assert "is the name of one file" in outcome.err
    assert not (tmp_path / "out").exists()


def test_samples_without_a_map_to_make_of_them_are_refused(run: Run, tiny: str, an_ultrasound_file: Path) -> None:
    outcome = run("translate", an_ultrasound_file, "-o", "mr.nrrd", "-m", tiny, "--samples", 5)
    assert outcome.code == 2
    assert "add --uncertainty auto" in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [("translate",), ("translate", "us.nrrd"), ("models", "show"), ("view",), ("no-such-command",), ()],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_wrong_usage_is_one_json_object_for_machines(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments, "--json")
    assert outcome.code == 2
    assert json.loads(outcome.out)["error"]["code"] == "usage"
    assert outcome.err == ""


def test_json_is_plain_ascii_whatever_the_terminal(run: Run, tiny: str, tmp_path: Path) -> None:
    outcome = run("translate", tmp_path / "Prüfung\udcff.nrrd", "-o", tmp_path / "mr.nrrd", "-m", tiny, "--json")
    assert outcome.code == 2
    assert outcome.out.isascii()
    assert "Prüfung" in json.loads(outcome.out)["error"]["message"]


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_an_interrupt_is_exit_code_4_and_clears_up(tiny: str, tmp_path: Path, twice: bool) -> None:
    source = write_volume(an_ultrasound(), tmp_path / "us.nrrd")
    code = (
        "import signal; from imagetranslation import cli, writing; real = writing._write_image\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # whoever runs the tests may have it ignored (nohup)
        "def interrupted(*a):\n"
        "    real(*a)\n"
        f"    for _ in range({1 + twice}): signal.raise_signal(signal.SIGHUP)\n"
        "writing._write_image = interrupted; cli.main()"
    )
    target = tmp_path / "out" / "mr.nrrd"
    ran = subprocess.run(
        [sys.executable, "-c", code, "translate", str(source), "-o", str(target), "-m", tiny, "--json"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == (4 if twice else 0), ran.stderr
    assert ("error" in json.loads(ran.stdout)) == twice
    assert sorted(f.name for f in target.parent.iterdir()) == ([] if twice else ["mr.json", "mr.nrrd"])


def test_a_sheet_never_replaces_a_scan(run: Run, tiny: str, an_ultrasound_file: Path, tmp_path: Path) -> None:
    assert run("translate", an_ultrasound_file, "-o", tmp_path / "mr.nrrd", "-m", tiny).code == 0
    before = an_ultrasound_file.read_bytes()
    outcome = run("view", an_ultrasound_file, tmp_path / "mr.nrrd", "--png", an_ultrasound_file)
    assert outcome.code == 2
    assert an_ultrasound_file.read_bytes() == before


def test_an_output_folder_gets_a_name_that_says_synthetic(run: Run, tiny: str, an_ultrasound_file: Path) -> None:
    folder = an_ultrasound_file.parent / "out"
    assert run("translate", an_ultrasound_file, "-o", folder, "-m", tiny).code == 0
    assert (folder / "us_synthetic-mr.nrrd").is_file()


def test_a_batch_goes_on_past_failures_and_says_what_happened(run: Run, tiny: str, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    (scans / "more").mkdir(parents=True)
    write_volume(an_ultrasound(seed=1), scans / "a.nrrd")
    write_volume(an_ultrasound(seed=2), scans / "a.nii.gz")
    write_volume(an_ultrasound(seed=3), scans / "more" / "a.nrrd")
    (scans / "broken.nrrd").write_text("NRRD0004\nnonsense")
    (scans / "notes.txt").write_text("not an image")
    outcome = run("translate", scans, "-o", scans / "results", "-m", tiny)
    assert outcome.code == 4
    assert "1 of 4 cases failed" in outcome.err
    rows = list(csv.DictReader((scans / "results" / "translations.csv").open()))
    assert [(Path(r["input"]).name, r["status"]) for r in rows] == [
        ("a.nii.gz", "done"),
        ("a.nrrd", "done"),
        ("broken.nrrd", "failed"),
        ("a.nrrd", "done"),
    ]
    assert "broken.nrrd" in rows[2]["message"]
    outputs = [Path(r["output"]) for r in rows if r["output"]]
    assert len({o.with_suffix("").stem for o in outputs[:2]}) == 2, "sidecars of equal stems would overwrite each other"
    assert all(read_volume(o).synthetic for o in outputs)
    again = run("translate", scans, "-o", scans / "results", "-m", tiny, "--json")
    assert json.loads(again.out)["done"] == 3, "what lies in the output folder is no input of a second run"


def test_a_batch_goes_on_past_names_and_files_that_cannot_be_read(
    run: Run, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    good = write_volume(an_ultrasound(), scans / "z.nrrd")
    for name in (b"M\xfcller.nrrd", b"M\xfcller.nii.gz"):  # Latin-1, as old archives hold it
        shutil.copy(good, os.fsencode(scans) + b"/" + name)
    (scans / "sealed").write_text("may not be opened")
    opened = Path.open

    def refusing(path: Path, *args: object, **kwargs: object):
        if path.name == "sealed":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refusing)
    outcome = run("translate", scans, "-o", tmp_path / "out", "-m", tiny, "--json")
    assert outcome.code == 4
    report = json.loads(outcome.out)
    assert (report["done"], report["failed"]) == (1, 2)
    assert all("UTF-8" in case["message"] for case in report["cases"] if case["status"] == "failed")
    assert "M\\udcfcller" in (tmp_path / "out" / "translations.csv").read_text()


def test_a_bug_met_in_one_case_does_not_end_the_batch(
    run: Run, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scans").mkdir()
    for name in ("a.nrrd", "b.nrrd"):
        write_volume(an_ultrasound(), tmp_path / "scans" / name)
    real = work.run_job

    def faulty(job: jobs.Job, *rest: object) -> dict:
        if job.input.endswith("a.nrrd"):
            raise ValueError("nobody thought of this")
        return real(job, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "run_job", faulty)
    report = json.loads(run("translate", tmp_path / "scans", "-o", tmp_path / "out", "-m", tiny, "--json").out)
    assert [case["status"] for case in report["cases"]] == ["failed", "done"]
    assert "nobody thought of this" in report["cases"][0]["message"]


def test_a_batch_into_the_folder_of_its_scans_is_refused_and_one_below_it_is_left_out(
    run: Run, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scans").mkdir()
    write_volume(an_ultrasound(), tmp_path / "scans" / "a.nrrd")
    monkeypatch.chdir(tmp_path)
    refused = run("translate", "scans", "-o", tmp_path / "scans", "-m", tiny)
    assert refused.code == 2
    assert "folder of the scans themselves" in refused.err
    for _ in range(2):
        outcome = run("translate", "scans", "-o", tmp_path / "scans" / "out", "-m", tiny, "--json")
        assert json.loads(outcome.out)["done"] == 1
        assert outcome.code == 0


@pytest.mark.parametrize(
    ("source", "target", "code"),
    [("us.nrrd", "o\udcff.nrrd", 2), ("us.nrrd", "n" * 300 + ".nrrd", 4), ("n" * 300 + ".nrrd", "mr.nrrd", 2)],
    ids=["not UTF-8", "output too long", "input too long"],
)
def test_names_the_disk_or_itk_cannot_take_are_one_sentence(
    run: Run, tiny: str, an_ultrasound_file: Path, source: str, target: str, code: int
) -> None:
    folder = an_ultrasound_file.parent
    outcome = run("translate", folder / source, "-o", folder / target, "-m", tiny)
    assert outcome.code == code
    assert outcome.err.strip().count("\n") == 0
    assert "Unexpected" not in outcome.err
    assert [f.name for f in folder.iterdir()] == ["us.nrrd"]


def test_the_folder_one_is_in_gives_its_name_to_the_result() -> None:
    assert jobs.default_name(".", "MR") == f"{Path.cwd().name}_synthetic-mr.nrrd"


def test_a_glob_is_a_batch(run: Run, tiny: str, tmp_path: Path) -> None:
    for name in ("p1_us.nrrd", "p2_us.nrrd", "p3_mr.nrrd"):
        write_volume(an_ultrasound(), tmp_path / name)
    outcome = run("translate", str(tmp_path / "*_us.nrrd"), "-o", tmp_path / "out", "-m", tiny, "--json")
    assert (outcome.code, json.loads(outcome.out)["done"]) == (0, 2)
    assert run("translate", str(tmp_path / "*.xyz"), "-o", tmp_path / "out", "-m", tiny).code == 2


def bad_inputs(folder: Path) -> dict[str, Path]:
    made = {name: folder / name for name in ("empty folder", "text.nrrd", "truncated.nrrd", "zero bytes.nii.gz")}
    made["empty folder"].mkdir()
    made["text.nrrd"].write_text("hello")
    made["zero bytes.nii.gz"].write_bytes(b"")
    whole = write_volume(an_ultrasound(), folder / "whole.nrrd").read_bytes()
    made["truncated.nrrd"].write_bytes(whole[: len(whole) // 2])
    noise = np.random.default_rng(0).random((3, 9, 9)).astype(np.float32)
    noise[1, 2, 3] = np.nan
    made["nan"] = write_volume(Volume(noise), folder / "nan.nrrd")
    made["constant"] = write_volume(Volume(np.full((3, 9, 9), 5, np.int16)), folder / "constant.mha")
    made["missing"] = folder / "missing.nrrd"
    return made


KINDS = ["empty folder", "text.nrrd", "truncated.nrrd", "zero bytes.nii.gz", "nan", "constant", "missing"]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_one_sentence_exit_code_2_and_no_output(run: Run, tiny: str, tmp_path: Path, kind: str) -> None:
    source = bad_inputs(tmp_path)[kind]
    outcome = run("translate", source, "-o", tmp_path / "out" / "mr.nrrd", "-m", tiny)
    assert outcome.code == 2
    assert outcome.err.startswith("Error: ")
    assert outcome.err.strip().count("\n") == 0
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()


def test_verbose_shows_the_traceback(run: Run, tiny: str, tmp_path: Path) -> None:
    outcome = run("translate", tmp_path / "missing.nrrd", "-o", tmp_path / "mr.nrrd", "-m", tiny, "--verbose")
    assert outcome.code == 2
    assert "Traceback" in outcome.err


def test_wrong_usage_is_exit_code_2(run: Run, tiny: str, an_ultrasound_file: Path, tmp_path: Path) -> None:
    assert run("translate", an_ultrasound_file).code == 2
    assert run("translate", an_ultrasound_file, "-o", tmp_path / "mr.jpg", "-m", tiny).code == 2
    assert not (tmp_path / "mr.jpg").exists()
    assert run("translate", an_ultrasound_file, "-o", tmp_path / "x.nrrd", "--device", "abacus", "-m", tiny).code == 2
    assert run("no-such-command").code == 2


def test_a_refused_model_is_exit_code_3(run: Run, tiny: str, an_ultrasound_file: Path, tmp_path: Path) -> None:
    assert run("translate", an_ultrasound_file, "-o", tmp_path / "m.nrrd", "-m", "no-such-model").code == 3
    damaged = shutil.copytree(tiny, tmp_path / "damaged")
    with (damaged / "weights.safetensors").open("ab") as stream:
        stream.write(b"x")
    outcome = run("translate", an_ultrasound_file, "-o", tmp_path / "m.nrrd", "-m", damaged)
    assert outcome.code == 3
    assert "SHA-256" in outcome.err
    assert not (tmp_path / "m.nrrd").exists()


def test_existing_files_are_kept_unless_they_are_synthetic(
    run: Run, tiny: str, an_ultrasound_file: Path, tmp_path: Path
) -> None:
    real = write_volume(an_ultrasound(seed=9), tmp_path / "real.nrrd")
    before = real.read_bytes()
    for target in (real, an_ultrasound_file):
        assert run("translate", an_ultrasound_file, "-o", target, "-m", tiny).code == 2
    assert real.read_bytes() == before
    assert run("translate", an_ultrasound_file, "-o", real, "-m", tiny, "--overwrite").code == 0
    assert run("translate", an_ultrasound_file, "-o", real, "-m", tiny).code == 0, "a synthetic one may be replaced"


def test_a_synthetic_image_is_refused_as_input(run: Run, tiny: str, an_ultrasound_file: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "mr.nii.gz", tmp_path / "again.nrrd"
    assert run("translate", an_ultrasound_file, "-o", first, "-m", tiny).code == 0
    outcome = run("translate", first, "-o", second, "-m", tiny)
    assert outcome.code == 2
    assert "made by a model" in outcome.err
    assert run("translate", first, "-o", second, "-m", tiny, "--allow-synthetic").code == 0


def test_a_folder_that_cannot_be_written_is_exit_code_4(
    run: Run, tiny: str, an_ultrasound_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = run("translate", an_ultrasound_file, "-o", tmp_path / "file" / "mr.nrrd", "-m", tiny)
    assert outcome.code == 4
    assert outcome.err.strip().count("\n") == 0


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tiny: str, tmp_path: Path) -> None:
    """A file size limit stands in for the full disk: the system refuses the bytes in the same place."""
    source = write_volume(an_ultrasound((40, 64, 64)), tmp_path / "us.nrrd")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "from imagetranslation.cli import main; main()"
    )
    target = tmp_path / "out" / "mr.nrrd"
    ran = subprocess.run(
        [sys.executable, "-c", code, "translate", str(source), "-o", str(target), "-m", tiny],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 4, ran.stderr
    assert "disk is full" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(target.parent.iterdir()) == []


def test_models_are_listed_shown_and_verified(run: Run, tiny: str) -> None:
    assert run("models", "list").code == 0
    assert "# tiny" in run("models", "show", tiny).out
    assert json.loads(run("models", "show", tiny, "--json").out)["id"] == "tiny"
    checked = json.loads(run("models", "verify", tiny, "--json").out)
    assert checked["schema"] == "valid"


def test_help_teaches(run: Run) -> None:
    assert "Exit codes" in run("--help").out
    text = run("translate", "--help").out
    for word in ("INPUT", "batch", "DICOM", "--device", "--frames-as-slices"):
        assert word in text


def test_commands_are_laid_out_once_however_often_the_program_is_called(run: Run) -> None:
    run("--version")
    before = len(cli.app.registered_groups), len(cli.app.registered_commands)
    run("--version")
    assert (len(cli.app.registered_groups), len(cli.app.registered_commands)) == before


def test_the_training_tools_say_what_to_install_where_they_are_absent(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda group: [])
    others = [c for c in cli.app.registered_commands if "phantom" not in (c.name, getattr(c.callback, "__name__", ""))]
    groups = [group for group in cli.app.registered_groups if group.name != "phantom"]
    monkeypatch.setattr(cli.app, "registered_commands", others)
    monkeypatch.setattr(cli.app, "registered_groups", groups)
    outcome = run("phantom", "--seed", "1")
    assert outcome.code == 2
    assert "training" in outcome.err


def test_importing_the_command_line_does_not_load_torch() -> None:
    code = "import sys, imagetranslation.cli; print('torch' in sys.modules, 'SimpleITK' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert ran.stdout.split() == ["False", "False"]
