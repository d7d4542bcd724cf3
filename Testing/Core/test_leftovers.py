"""What a process killed while it wrote leaves behind goes with the next write; nothing else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.files import atomic_folder, remove_leftovers, temporary_beside, write_text
from imagetranslation.volume import Volume, read_volume, write_volume

# Writes zeros over an image and kills itself at the rename of that number.
KILLED = """
import os, signal, sys
import numpy as np
from imagetranslation.volume import Volume, write_volume
genuine, calls = os.replace, []
def replace(source, target):
    calls.append(target)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    genuine(source, target)
os.replace = replace
write_volume(Volume(np.zeros((4, 5, 6), np.int16)), sys.argv[1])
"""


@pytest.fixture
def scan() -> Volume:
    """120 different values."""
    return Volume(np.arange(120, dtype=np.int16).reshape(4, 5, 6), name="scan")


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def of_process(target: Path, process: int, kind: str = "partial") -> Path:
    """The temporary name another process of this machine would choose."""
    mine = temporary_beside(target, kind)
    return mine.with_name(mine.name.replace(f"-{os.getpid()}.", f"-{process}."))


def aged(path: Path, hours: float) -> Path:
    then = time.time() - hours * 3600
    os.utime(path, (then, then))
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize(("name", "rename"), [("x.nrrd", 1), ("x.mhd", 1), ("x.mhd", 2), ("x.mhd", 3)])
def test_what_a_killed_write_leaves_is_gone_after_the_next_write(name, rename, scan, tmp_path, repository):
    write_volume(scan, tmp_path / name)
    whole = {file.name for file in tmp_path.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / name), str(rename)], cwd=repository, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL
    assert {file.name for file in tmp_path.iterdir()} > whole
    write_volume(scan, tmp_path / "other.nii")
    assert {file.name for file in tmp_path.iterdir()} == whole | {"other.nii"}
    write_volume(scan, tmp_path / name)
    np.testing.assert_array_equal(read_volume(tmp_path / name).array, scan.array)


def test_leftovers_of_a_process_that_is_gone_are_removed_by_any_write(gone, tmp_path):
    file = of_process(tmp_path / "x.nrrd", gone)
    file.write_bytes(b"half")
    of_process(tmp_path / "x.zraw", gone, "previous").write_bytes(b"old")
    folder = of_process(tmp_path / "series", gone)
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "1.dcm").write_bytes(b"half")
    write_text(tmp_path / "report.csv", "a,b\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.csv"]


@pytest.mark.parametrize("process", [2**22 + 7, 9_999_999_999])
@pytest.mark.parametrize("psutil_is_there", [True, False])
def test_a_process_that_cannot_be_is_gone(process, psutil_is_there, tmp_path, monkeypatch):
    if not psutil_is_there:
        monkeypatch.setitem(sys.modules, "psutil", None)
    left, ours = of_process(tmp_path / "x.nrrd", process), temporary_beside(tmp_path / "x.nrrd")
    for path in (left, ours):
        path.touch()
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [ours]


def test_a_written_folder_removes_leftovers_beside_it(gone, tmp_path):
    of_process(tmp_path / "x.nrrd", gone).touch()
    with atomic_folder(tmp_path / "series") as folder:
        (folder / "1.dcm").write_bytes(b"whole")
    assert [entry.name for entry in tmp_path.iterdir()] == ["series"]


def test_leftovers_of_another_machine_are_removed_after_a_day(tmp_path):
    old, young = (tmp_path / f".{n * 8}-00000000-1.partial.x.nrrd" for n in "ab")
    for path, hours in ((old, 25), (young, 23)):
        path.touch()
        aged(path, hours)
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [young]


def test_what_a_running_process_writes_is_left_alone(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        theirs, ours = of_process(tmp_path / "x.nrrd", other.pid), temporary_beside(tmp_path / "x.nrrd")
        for path in (theirs, ours):
            path.write_bytes(b"half")
        write_text(tmp_path / "y.txt", "y")
        assert {path.name for path in tmp_path.iterdir()} == {theirs.name, ours.name, "y.txt"}
        other.communicate(b"\n")
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {ours.name, "y.txt"}


@pytest.mark.parametrize(
    "name",
    [".x.nrrd.previous", ".0123abcd.partial.x.nrrd", "x.partial.nrrd", ".abc-def-1.partial.x", "movie.mkv.partial",
     "0123abcd-0123abcd-1.partial.x.nrrd", ".0123abcd-0123abcd-1.partial.", ".0123abcd-0123abcd-x.partial.x"],
)  # fmt: skip
def test_nothing_that_merely_looks_alike_is_removed(name, tmp_path):
    aged_one = tmp_path / name
    aged_one.touch()
    aged(aged_one, 1000)
    write_text(tmp_path / "y.txt", "y")
    assert aged_one.exists()


def test_a_link_under_such_a_name_and_its_target_are_left_alone(gone, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    link = of_process(tmp_path / "x", gone)
    link.symlink_to(precious)
    remove_leftovers(tmp_path)
    assert link.is_symlink()
    assert (precious / "thesis.txt").exists()


def test_a_leftover_that_cannot_be_removed_does_not_fail_the_write(gone, tmp_path, monkeypatch):
    stuck = of_process(tmp_path / "x.nrrd", gone)
    stuck.touch()

    def refuse(path, *arguments, **keywords):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        write_text(tmp_path / "y.txt", "y")
    assert (tmp_path / "y.txt").read_text() == "y"
    assert stuck.exists()


@pytest.mark.parametrize("name", ["ü" * 120 + ".nii.gz", "n" * 248 + ".nii.gz"])
def test_a_name_that_just_fits_the_disk_can_be_written(name, tmp_path, scan):
    assert read_volume(write_volume(scan, tmp_path / name)).array.shape == scan.array.shape


def test_the_temporary_name_keeps_the_suffixes(tmp_path):
    assert temporary_beside(tmp_path / "case 1.nii.gz").name.endswith(".partial.case 1.nii.gz")
