"""The parts between the panel and the worker, without widgets: events, folders, volumes in and out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from imagetranslation.errors import Cancelled, InputError, RunFailed  # noqa: E402
from imagetranslation.mrml.volumes import add_volume  # noqa: E402
from imagetranslation.panels import transfer  # noqa: E402
from imagetranslation.panels.events import Event, EventParser, LogLine  # noqa: E402
from imagetranslation.panels.jobserver import JobServer  # noqa: E402
from imagetranslation.panels.remaining import RemainingTime, words  # noqa: E402
from imagetranslation.panels.signal import Signal  # noqa: E402
from imagetranslation.panels.translation import FileRequest, Request, Translation, file_name  # noqa: E402
from imagetranslation.panels.workfolder import WorkFolder, sweep  # noqa: E402
from imagetranslation.volume import Volume, read_volume, write_volume  # noqa: E402

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture
def a_scene():
    return slicer.vtkMRMLScene()


@pytest.fixture
def a_node(a_scene):
    voxels = np.random.default_rng(0).integers(0, 255, (5, 6, 7)).astype(np.uint8)
    return add_volume(a_scene, Volume(voxels, (0.7, 0.8, 2.5), (11.1, -22.2, 33.3), OBLIQUE, "scan", "US"))


def _refuse(*_arguments, **_options):
    raise PermissionError(13, "The process cannot access the file because it is being used by another process")


def _open_files():
    return [path for path in Path("/proc/self/fd").iterdir() if "imagetranslation-" in os.path.realpath(path)]


def _run_to_end(steps):
    return list(steps)[-1]


class TestEvents:
    def test_lines_may_arrive_in_any_pieces(self):
        stream = '{"event": "progress", "done": 1, "total": 2}\nWärme\n{"event": "result", "x": "ü"}\n'.encode()
        for size in (1, 3, 1000):
            parser = EventParser()
            found = [item for n in range(0, len(stream), size) for item in parser.feed(stream[n : n + size])]
            assert found == [
                Event("progress", {"done": 1, "total": 2}),
                LogLine("Wärme"),
                Event("result", {"x": "ü"}),
            ]

    @pytest.mark.parametrize("line", [b"", b"   ", b"\xff\xfe\x00", b"[1, 2]", b'{"no": "event"}', b"[" * 100000])
    def test_garbage_is_never_an_event(self, line):
        assert not [item for item in EventParser().feed(line + b"\n") if isinstance(item, Event)]

    def test_a_last_line_without_its_end_is_not_lost(self):
        parser = EventParser()
        assert parser.feed(b'{"event": "error", "message": "x"}') == []
        assert parser.finish() == [Event("error", {"message": "x"})]

    def test_an_endless_line_does_not_fill_the_memory(self):
        parser = EventParser()
        parser.feed(b"x" * (1 << 21))
        assert parser._rest == b""


class TestWorkFolder:
    def test_only_folders_of_dead_applications_are_swept(self, tmp_path):
        mine = WorkFolder(tmp_path)
        dead = tmp_path / "imagetranslation-4194303-abc"
        foreign = tmp_path / "imagetranslation-notes"
        for folder in (dead, foreign):
            folder.mkdir()
        (dead / "input.nrrd").write_text("x")
        assert sweep(tmp_path) == [dead]
        assert sorted(tmp_path.iterdir()) == sorted([mine.path, foreign])
        mine.remove()
        assert not mine.path.exists()

    def test_a_file_that_is_still_open_is_tried_again_with_the_next_folder(self, tmp_path, monkeypatch, caplog):
        """As on Windows, where a dying worker holds its files for a moment."""
        first, second = WorkFolder(tmp_path), WorkFolder(tmp_path)
        (first.path / "scan.nrrd").write_text("x")
        with monkeypatch.context() as windows:
            windows.setattr(os, "unlink", _refuse)
            first.remove()
        assert first.path.exists()
        assert "scan.nrrd could not be deleted" in caplog.text
        second.remove()
        assert list(tmp_path.iterdir()) == []


class TestTransfer:
    @pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
    def test_a_volume_arrives_at_the_worker_exactly(self, a_scene, tmp_path, kind):
        voxels = np.random.default_rng(1).integers(0, 100, (5, 6, 7)).astype(kind)
        sent = Volume(voxels, (0.7, 0.8, 2.5), (11.1, -22.2, 33.3), OBLIQUE, "scan", "US")
        node = add_volume(a_scene, sent)
        _run_to_end(transfer.send_volume(node, tmp_path / "scan.nrrd"))
        got = read_volume(tmp_path / "scan.nrrd")
        assert got.array.dtype == voxels.dtype
        assert np.array_equal(got.array, voxels)
        assert got.same_grid(sent, 1e-9)
        assert (got.name, got.modality) == ("scan", "US")

    def test_a_parent_transform_does_not_change_what_is_sent(self, a_scene, a_node, tmp_path):
        transform = a_scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
        _run_to_end(transfer.send_volume(a_node, tmp_path / "without.nrrd"))
        a_node.SetAndObserveTransformNodeID(transform.GetID())
        _run_to_end(transfer.send_volume(a_node, tmp_path / "with.nrrd"))
        assert (tmp_path / "with.nrrd").read_bytes() == (tmp_path / "without.nrrd").read_bytes()

    def test_large_volumes_go_in_small_steps(self, a_scene, tmp_path, monkeypatch):
        monkeypatch.setattr(transfer, "CHUNK_BYTES", 100)
        node = add_volume(a_scene, Volume(np.zeros((9, 10, 10), np.uint8)))
        assert len(list(transfer.send_volume(node, tmp_path / "a.nrrd"))) == 9

    def test_a_result_comes_back_exactly_with_its_record(self, tmp_path):
        from imagetranslation.provenance import Provenance

        voxels = np.random.default_rng(2).random((5, 6, 7), dtype=np.float32)
        record = Provenance.from_dict({"model": "m", "version": "1.0.0", "modality": "MR", "notes": ["look"]})
        write_volume(Volume(voxels, provenance=record), tmp_path / "result.nii")
        got = _run_to_end(transfer.receive_volume(tmp_path / "result.nii", (5, 6, 7)))
        assert np.array_equal(got, voxels)
        assert transfer.receive_record(tmp_path / "result.nii") == record

    def test_a_result_on_another_grid_or_cut_short_is_refused(self, tmp_path):
        write_volume(Volume(np.zeros((5, 6, 7), np.float32)), tmp_path / "result.nii")
        with pytest.raises(RunFailed, match="grid"):
            _run_to_end(transfer.receive_volume(tmp_path / "result.nii", (5, 7, 6)))
        data = (tmp_path / "result.nii").read_bytes()
        (tmp_path / "result.nii").write_bytes(data[:-4])
        with pytest.raises(RunFailed):
            _run_to_end(transfer.receive_volume(tmp_path / "result.nii", (5, 6, 7)))

    def test_a_result_that_does_not_say_how_it_was_made_is_refused(self, tmp_path):
        with pytest.raises(RunFailed, match="how it was made"):
            transfer.receive_record(tmp_path / "result.nii")

    def test_vectors_that_are_no_colours_are_refused(self, a_scene, tmp_path):
        node = a_scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "field")
        slicer.util.updateVolumeFromArray(node, np.zeros((2, 3, 4, 2), np.float32))
        with pytest.raises(InputError, match="2 values a voxel"):
            _run_to_end(transfer.send_volume(node, tmp_path / "a.nrrd"))


class FakeTicker:
    """Takes the steps when told to."""

    def __init__(self):
        self.step = None

    def start(self, step):
        self.step = step

    def stop(self):
        self.step = None

    def run(self):
        while self.step is not None:
            self.step()


class FakeProcess:
    """A worker that says what the test tells it to."""

    def __init__(self):
        self.output, self.errors, self.ended = Signal(), Signal(), Signal()
        self.arguments, self.stopped, self.written = None, False, b""
        self.dies_at_once = True

    def start(self, arguments):
        self.arguments = arguments

    def write(self, data):
        self.written += data

    def stop(self):
        self.stopped = True
        if self.dies_at_once:
            self.ended(9, True)

    def wait(self):
        pass


class TestJobServer:
    """Many jobs through one process."""

    @pytest.fixture
    def processes(self):
        return []

    @pytest.fixture
    def server(self, processes):
        def new_process():
            processes.append(FakeProcess())
            return processes[-1]

        return JobServer(new_process)

    @pytest.fixture
    def start(self, server, tmp_path):
        """Start a job of that number; gives its process and the list of how it ended."""

        def start(number):
            (tmp_path / f"{number}.json").write_text(f'{{"input":\n {number}}}')
            job, ends = server.new_job(), []
            job.ended.connect(lambda code, crashed: ends.append((code, crashed)))
            job.start(["-m", "imagetranslation.worker", str(tmp_path / f"{number}.json")])
            return job, ends

        return start

    def test_one_process_is_sent_job_after_job_each_on_a_line(self, start, processes):
        first, ends = start(1)
        heard = []
        first.output.connect(heard.append)
        processes[0].output(b'{"event": "progress", "done": 1, "total": 2}\n{"event": "res')
        assert ends == []
        processes[0].output(b'ult"}\n')
        assert ends == [(0, False)]
        assert b"".join(heard).endswith(b'{"event": "result"}\n')
        _, ends = start(2)
        processes[0].output(b'{"event": "error", "code": "input"}\n')
        assert ends == [(1, False)]
        (process,) = processes
        assert process.arguments == ["-m", "imagetranslation.worker", "-"]
        assert process.written == b'{"input":  1}\n{"input":  2}\n'

    def test_after_a_crash_the_next_job_gets_a_new_process(self, start, processes):
        _, ends = start(1)
        processes[0].ended(9, True)
        assert ends == [(9, True)]
        start(2)
        assert len(processes) == 2
        assert processes[1].written == b'{"input":  2}\n'

    def test_stopping_a_job_ends_the_process_and_what_it_still_says_is_not_the_next_ones(self, start, processes):
        first, ends = start(1)
        processes[0].dies_at_once = False
        first.stop()
        assert processes[0].stopped
        assert ends == [], "the process is still there, and holds its files"
        _, next_ends = start(2)
        processes[0].output(b'{"event": "result"}\n')
        processes[0].ended(9, True)
        assert (ends, next_ends) == ([(9, True)], [])
        assert len(processes) == 2

    def test_a_job_that_is_over_stops_nothing(self, start, processes):
        job, _ = start(1)
        processes[0].output(b'{"event": "result"}\n')
        job.stop()
        assert not processes[0].stopped

    def test_closing_ends_the_process(self, start, server, processes):
        start(1)
        processes[0].output(b'{"event": "result"}\n')
        server.close()
        assert processes[0].stopped
        server.close()

    def test_a_job_file_that_is_gone_is_the_jobs_end(self, server, processes, tmp_path):
        job, ends = server.new_job(), []
        job.ended.connect(lambda code, crashed: ends.append(code))
        job.start(["-m", "imagetranslation.worker", str(tmp_path / "none.json")])
        assert ends == [-1]
        assert processes == []


class Heard:
    """What a translation said."""

    def __init__(self, translation):
        self.progress, self.log, self.results, self.errors = [], [], [], []
        translation.progressed.connect(lambda done, total: self.progress.append((done, total)))
        translation.logged.connect(self.log.append)
        translation.finished.connect(lambda node, report: self.results.append(node))
        translation.failed.connect(self.errors.append)


@pytest.fixture
def process():
    return FakeProcess()


@pytest.fixture
def ticker():
    return FakeTicker()


@pytest.fixture
def translation(process, ticker, tmp_path):
    return Translation(lambda: process, ticker, tmp_path)


@pytest.fixture
def heard(translation):
    return Heard(translation)


@pytest.fixture
def started(translation, a_node, ticker, heard):
    translation.start(Request(a_node, "some-model"))
    ticker.run()
    return translation


class TestTranslation:
    def test_the_job_names_the_volume_the_model_and_the_parent(self, started, process, tmp_path):
        import json

        job = json.loads(Path(process.arguments[-1]).read_text())
        assert process.arguments[:2] == ["-m", "imagetranslation.worker"]
        assert Path(job["input"]).name == "scan.nrrd"
        assert (job["model"], job["device"], job["parent_pid"]) == ("some-model", "auto", os.getpid())

    def test_progress_and_prints_are_told_apart(self, started, process, heard):
        process.output(b'{"event": "progress", "done": 3, "total": 12}\nhello\n')
        process.errors(b"a warning\n")
        assert heard.progress == [(3, 12)]
        assert heard.log == ["hello", "a warning"]

    @pytest.mark.parametrize(
        ("code", "kind"), [("input", InputError), ("run", RunFailed), ("bug", RunFailed), ("never heard", RunFailed)]
    )
    def test_the_workers_error_is_passed_on(self, started, process, heard, code, kind, tmp_path):
        process.output(f'{{"event": "error", "code": "{code}", "message": "It is so."}}\n'.encode())
        process.ended(2, False)
        (error,) = heard.errors
        assert type(error) is kind
        assert str(error) == "It is so."
        assert list(tmp_path.iterdir()) == []
        assert not started.busy

    @pytest.mark.parametrize(
        ("code", "crashed", "word"), [(9, True, "crashed"), (1, False, "code 1"), (-1, True, "start")]
    )
    def test_an_end_without_a_word_is_a_sentence(self, started, process, heard, code, crashed, word):
        process.ended(code, crashed)
        assert word in str(heard.errors[0])

    def test_cancel_ends_the_process_and_removes_the_folder(self, started, process, heard, tmp_path):
        started.cancel()
        assert process.stopped
        assert isinstance(heard.errors[0], Cancelled)
        assert list(tmp_path.iterdir()) == []
        process.output(b'{"event": "progress", "done": 3, "total": 12}\n')
        assert heard.progress == []

    def test_cancelling_while_voxels_are_sent_starts_no_process(self, translation, a_node, heard, process, tmp_path):
        translation.start(Request(a_node, "some-model"))
        translation.cancel()
        assert process.arguments is None
        assert len(heard.errors) == 1
        assert list(tmp_path.iterdir()) == []

    def test_cancelling_half_way_closes_the_file_before_it_is_deleted(
        self, translation, a_node, ticker, heard, monkeypatch, tmp_path
    ):
        monkeypatch.setattr(transfer, "CHUNK_BYTES", 10)
        translation.start(Request(a_node, "some-model"))
        ticker.step()
        assert len(_open_files()) == 1
        open_at_deletion = []
        monkeypatch.setattr(WorkFolder, "remove", lambda folder: open_at_deletion.extend(_open_files()))
        translation.cancel()
        assert open_at_deletion == []

    def test_a_result_without_a_file_is_an_error_and_adds_no_node(self, started, process, ticker, heard, a_scene):
        before = a_scene.GetNumberOfNodes()
        process.output(b'{"event": "result", "device": "cpu"}\n')
        process.ended(0, False)
        ticker.run()
        assert isinstance(heard.errors[0], RunFailed)
        assert a_scene.GetNumberOfNodes() == before

    def test_a_source_removed_meanwhile_adds_no_node(self, started, process, ticker, heard, a_scene, a_node, tmp_path):
        from imagetranslation.provenance import Provenance

        folder = next(tmp_path.iterdir())
        record = Provenance.from_dict({"model": "m", "version": "1"})
        write_volume(Volume(np.zeros((5, 6, 7), np.float32), provenance=record), folder / "result.nii")
        a_scene.RemoveNode(a_node)
        process.output(b'{"event": "result", "device": "cpu"}\n')
        process.ended(0, False)
        ticker.run()
        assert "removed from the scene" in str(heard.errors[0])
        assert a_scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0

    def test_only_one_runs_at_a_time(self, started, a_node):
        with pytest.raises(RuntimeError):
            started.start(Request(a_node, "some-model"))

    def test_nothing_chosen_is_a_sentence(self, translation):
        with pytest.raises(InputError, match="Choose the volume"):
            translation.start(Request(None, "some-model"))

    def test_the_next_one_may_be_started_by_whoever_hears_of_the_end(self, started, process, ticker, a_node, tmp_path):
        from imagetranslation.provenance import Provenance

        folder = next(tmp_path.iterdir())
        record = Provenance.from_dict({"model": "m", "version": "1"})
        write_volume(Volume(np.zeros((5, 6, 7), np.float32), provenance=record), folder / "result.nii")
        started.finished.connect(lambda node, report: started.start(Request(a_node, "some-model")))
        process.output(b'{"event": "result", "device": "cpu"}\n')
        process.ended(0, False)
        process.arguments = None
        ticker.run()
        assert process.arguments is not None, "the second one was sent to a worker"

    def test_files_are_translated_without_touching_the_scene(self, translation, process, ticker, heard, tmp_path):
        translation.start(FileRequest(Path("/in/a.nrrd"), Path("/out/b.nrrd"), "some-model"))
        ticker.run()
        process.output(b'{"event": "result", "device": "cpu"}\n')
        process.ended(0, False)
        assert heard.results == [Path("/out/b.nrrd")]


@pytest.mark.parametrize(
    ("name", "file"),
    [("case 17", "case 17"), ("a/b:c*", "a_b_c_"), ("con", "_con"), ("NUL.x", "_NUL.x"), ("", "volume")],
)
def test_a_volumes_file_has_a_name_that_every_system_takes(name, file):
    assert file_name(name) == f"{file}.nrrd"


def test_remaining_time_is_counted_from_the_first_window():
    now = [100.0]
    remaining = RemainingTime(lambda: now[0])
    assert remaining.seconds(0, 10) is None
    assert remaining.seconds(2, 10) is None
    now[0] = 104.0
    assert remaining.seconds(4, 10) == pytest.approx(12)
    assert (words(None), words(12.2), words(400)) == ("", "about 12 s left", "about 7 min left")
