"""The worker process: JSON lines and nothing else on stdout, cancelled by SIGTERM, never outliving its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagetranslation.jobs import Job, save_job
from imagetranslation.volume import read_volume, write_volume
from Testing.packages import an_ultrasound, make_package, metadata


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_package(tmp_path_factory.mktemp("models") / "tiny").path)


@pytest.fixture(scope="module")
def a_slow_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The study's 54 M-parameter network on 256 x 256: seconds a slice group on a CPU."""
    made = metadata(
        network={"name": "pix2pix", "arguments": {"spatial_dims": 2, "in_channels": 1, "out_channels": 1}},
        patch_size=[256, 256],
    )
    return str(make_package(tmp_path_factory.mktemp("models") / "slow", made=made).path)


def a_job(folder: Path, model: str, slices: int = 5, **more: object) -> Path:
    source = write_volume(an_ultrasound((slices, 20, 24)), folder / "us.nrrd")
    path = folder / "job.json"
    save_job(Job(str(source), str(folder / "out" / "mr.nrrd"), model, "cpu"), path, **more)
    return path


def start(job: Path, **more: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "imagetranslation", "worker", str(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def events(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_job_ends_in_a_result(tmp_path: Path, tiny: str) -> None:
    out, _ = (process := start(a_job(tmp_path, tiny))).communicate(timeout=120)
    seen = events(out)
    assert process.returncode == 0
    assert [e["event"] for e in seen[:-1]] == ["progress"] * (len(seen) - 1)
    assert seen[-1]["event"] == "result"
    assert seen[-2]["done"] == seen[-2]["total"] == 5
    assert read_volume(seen[-1]["output"]).synthetic


@pytest.mark.parametrize(
    ("change", "code", "exit_code"),
    [
        ({"input": "/nowhere.nrrd"}, "input", 2),
        ({"model": "no-such-model"}, "model", 3),
        ({"unknown": 1}, "input", 2),
        ({"device": "cuda:77"}, "input", 2),
        ({"device": "cuda:²"}, "input", 2),
        ({"device": 5}, "input", 2),
        ({"frames_as_slices": "3"}, "input", 2),
        ({"parent_pid": "me"}, "input", 2),
        ({"input": "us\udcff.nrrd"}, "input", 2),
        ({"output": "mr\x00.nrrd"}, "input", 2),
    ],
)
def test_a_refusal_is_an_error_event(tmp_path: Path, tiny: str, change: dict, code: str, exit_code: int) -> None:
    job = a_job(tmp_path, tiny)
    job.write_text(json.dumps({**json.loads(job.read_text()), **change}))
    out, _ = (process := start(job)).communicate(timeout=120)
    last = events(out)[-1]
    assert (last["event"], last["code"], process.returncode) == ("error", code, exit_code)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff", "[" * 100_000, "1" * 5000])
def test_a_job_that_is_no_job_is_an_error_event(tmp_path: Path, text: str) -> None:
    job = tmp_path / "job.json"
    job.write_text(text, encoding="latin-1")
    out, _ = (process := start(job)).communicate(timeout=120)
    assert events(out)[-1]["code"] == "input"
    assert process.returncode == 2


def test_what_libraries_print_stays_off_stdout(tmp_path: Path, tiny: str) -> None:
    job = a_job(tmp_path, tiny)
    noisy = (
        "import os, sys; from imagetranslation import jobs, worker; run = jobs.run_job\n"
        "def loud(*a, **k):\n    print('from python'); os.write(1, b'from C\\n'); return run(*a, **k)\n"
        "jobs.run_job = loud; sys.exit(worker.main(sys.argv[1]))"
    )
    ran = subprocess.run([sys.executable, "-c", noisy, str(job)], capture_output=True, text=True, timeout=120)
    assert events(ran.stdout)[-1]["event"] == "result"
    assert "from python" in ran.stderr
    assert "from C" in ran.stderr


def wait_for_work(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    while json.loads(process.stdout.readline()).get("done") == 0:
        pass


def test_sigterm_cancels_within_seconds_and_leaves_nothing(tmp_path: Path, a_slow_model: str) -> None:
    process = start(a_job(tmp_path, a_slow_model, slices=400))
    wait_for_work(process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert events(out)[-1]["code"] == "cancelled"
    assert process.returncode == 4
    assert not (tmp_path / "out").exists()


def test_a_worker_does_not_outlive_its_parent(tmp_path: Path, a_slow_model: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    process = start(a_job(tmp_path, a_slow_model, slices=400, parent_pid=parent.pid))
    wait_for_work(process)
    parent.kill()
    parent.wait()
    started = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - started < 30
    assert not (tmp_path / "out").exists()


def test_kill_9_leaves_no_half_output(tmp_path: Path, a_slow_model: str) -> None:
    process = start(a_job(tmp_path, a_slow_model, slices=400))
    wait_for_work(process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (tmp_path / "out").exists()


class TestManyJobs:
    """Jobs as lines on stdin: one process, one loading of the model."""

    @pytest.fixture
    def serving(self) -> Iterator[subprocess.Popen[str]]:
        process = start(Path("-"), stdin=subprocess.PIPE)
        with process:
            yield process
            process.kill()

    @staticmethod
    def ask(process: subprocess.Popen[str], line: str) -> dict:
        """Send a line and read to its answer."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line.replace("\n", " ") + "\n")
        process.stdin.flush()
        while (event := json.loads(process.stdout.readline()))["event"] == "progress":
            pass
        return event

    @staticmethod
    def job_of(folder: Path, model: str, **changes: object) -> str:
        folder.mkdir(exist_ok=True)
        return json.dumps({**json.loads(a_job(folder, model).read_text()), **changes})

    def test_each_is_answered_and_a_failed_one_does_not_end_the_others(
        self, serving: subprocess.Popen[str], tmp_path: Path, tiny: str
    ) -> None:
        first = self.ask(serving, self.job_of(tmp_path / "a", tiny))
        assert first["event"] == "result"
        assert self.ask(serving, self.job_of(tmp_path / "b", tiny, input="/nowhere.nrrd"))["code"] == "input"
        assert self.ask(serving, self.job_of(tmp_path / "c", "no-such-model"))["code"] == "model"
        assert self.ask(serving, "{")["code"] == "input"
        assert self.ask(serving, "[]")["code"] == "input"
        last = self.ask(serving, self.job_of(tmp_path / "d", tiny))
        assert last["event"] == "result"
        # One after the other gives what one alone does.
        alone, _ = start(a_job(tmp_path, tiny)).communicate(timeout=120)
        images = [read_volume(report["output"]).array for report in (first, last, events(alone)[-1])]
        assert (images[0] == images[1]).all()
        assert (images[0] == images[2]).all()
        serving.communicate(timeout=20)
        assert serving.returncode == 0

    def test_a_model_is_loaded_once_for_all_that_name_it(self, tmp_path: Path, tiny: str) -> None:
        other = str(make_package(tmp_path / "other").path)
        lines = [self.job_of(tmp_path / name, model) for name, model in zip("abcd", (tiny, tiny, other, tiny))]
        counting = (
            "import sys; from imagetranslation import jobs, worker; make = jobs.make_runner\n"
            "def counted(job):\n    print('loading', job.model); return make(job)\n"
            "jobs.make_runner = counted; sys.exit(worker.main('-'))"
        )
        ran = subprocess.run(
            [sys.executable, "-c", counting], input="\n".join(lines), capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert [event["event"] for event in events(ran.stdout) if event["event"] != "progress"] == ["result"] * 4
        loaded = [line.removeprefix("loading ") for line in ran.stderr.splitlines() if line.startswith("loading ")]
        assert loaded == [tiny, other, tiny]

    def test_sigterm_ends_one_that_waits(self, serving: subprocess.Popen[str]) -> None:
        assert self.ask(serving, "{}")["code"] == "input"
        time.sleep(0.2)
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(20) == 0

    def test_sigterm_cancels_the_job_under_way_and_those_after_it(
        self, serving: subprocess.Popen[str], tmp_path: Path, a_slow_model: str
    ) -> None:
        assert serving.stdin is not None
        serving.stdin.write(a_job(tmp_path, a_slow_model, slices=400).read_text() + "\n{}\n")
        serving.stdin.flush()
        wait_for_work(serving)
        serving.send_signal(signal.SIGTERM)
        out, _ = serving.communicate(timeout=60)
        answers = [event for event in events(out) if event["event"] != "progress"]
        assert [answer["code"] for answer in answers] == ["cancelled"]
        assert serving.returncode == 4
        assert not (tmp_path / "out").exists()
