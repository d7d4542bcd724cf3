"""The process that compares: same values as here, cancelled, killed, fed broken files, gone with its parent."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from imagetranslation.browser.comparing import ComparingProcess
from imagetranslation.errors import Cancelled, InputError, RunFailed
from imagetranslation.radiomics.comparison import compare
from imagetranslation.radiomics.comparisonview import csv_text
from imagetranslation.radiomics.engine import make_engine
from imagetranslation.radiomics.regionfiles import write_regions
from imagetranslation.radiomics.roi import Grid, Roi
from imagetranslation.radiomics.settings import Settings

from .conftest import a_loaded_case, a_lopsided_volume

pytest.importorskip("radiomics", reason="PyRadiomics is not installed")


@pytest.fixture(scope="module")
def images() -> dict:
    noise = np.random.default_rng(0).normal(0, 4, (20, 30, 40)).astype(np.float32)
    case = a_loaded_case(a_lopsided_volume().with_array(a_lopsided_volume().array + noise))
    return {"source": case.source, "synthetic": case.synthetic, "reference": case.reference}


@pytest.fixture(scope="module")
def a_roi(images) -> Roi:
    return Roi(np.ones((8, 9, 10), bool), (4, 5, 6), Grid.of(images["source"]), 1, "box")


@pytest.fixture(scope="module")
def a_process() -> Iterator[ComparingProcess]:
    process = ComparingProcess()
    yield process
    process.close()


def test_the_comparison_is_the_librarys_to_the_bit_and_tells_how_far_it_is(a_process, images, a_roi):
    told: list[tuple[int, int]] = []
    found = a_process.ask(
        "compare", a_roi, "pyradiomics", Settings(), None, images=images, progress=lambda *step: told.append(step)
    )
    here = compare(images, a_roi, Settings(), make_engine("pyradiomics"))
    assert csv_text(found, found.rows) == csv_text(here, here.rows)
    assert told == sorted(told)
    assert told[-1] == (300, 300)


def test_normalised_images_share_one_tissue_of_the_source(a_process, images, a_roi):
    found = a_process.ask("compare", a_roi, "pyradiomics", Settings(normalisation="z-score"), None, images=images)
    assert "Otsu" in " ".join(found.results["synthetic"].warnings)
    assert found.results["source"].settings["normalisation"] == "z-score"


def test_engines_are_named_with_the_reason_where_they_are_missing(a_process):
    engines = a_process.ask("engines")
    assert engines["pyradiomics"] == ""
    assert set(engines) == {"pyradiomics", "paper186", "ibsi"}


def test_a_cancel_ends_it_and_the_next_question_is_answered(a_process, images, a_roi):
    pytest.importorskip("mirp", reason="MIRP is not installed")
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        a_process.ask("compare", a_roi, "ibsi", Settings(), None, images=images, cancelled=stop)
    assert stop.is_set()
    # All of IBSI takes tens of seconds; a generous bound, because the machine may be busy.
    assert time.monotonic() - begun < 30
    assert len(a_process.ask("compare", a_roi, "pyradiomics", Settings(), None, images=images).rows) == 107


def test_what_was_cancelled_before_it_began_is_not_begun(a_process, images, a_roi):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        a_process.ask("compare", a_roi, "pyradiomics", Settings(), None, images=images, cancelled=stop)


def test_a_process_killed_at_rest_is_started_again(images, a_roi):
    process = ComparingProcess()
    try:
        process.ask("engines")
        process._process.kill()
        process._process.join()
        assert len(process.ask("compare", a_roi, "pyradiomics", Settings(), None, images=images).rows) == 107
    finally:
        process.close()


def test_a_process_killed_at_work_is_told_in_a_sentence(images, a_roi):
    process = ComparingProcess()

    def ask_on() -> None:
        while True:
            process.ask("compare", a_roi, "pyradiomics", Settings(), None, images=images)

    try:
        process.ask("engines")
        threading.Timer(0.5, process._process.kill).start()
        with pytest.raises(RunFailed, match="ended; try again"):
            ask_on()
    finally:
        process.close()


def test_regions_of_a_file_come_back_and_broken_files_are_refused(a_process, images, a_roi, tmp_path):
    path = write_regions(tmp_path / "drawn.seg.nrrd", [a_roi], ["#112233"])
    (read,) = a_process.ask("read", str(path), images=images)
    assert (read.sha256, read.name) == (a_roi.sha256, "box")
    for name, content in (
        ("cut.seg.nrrd", path.read_bytes()[:-30]), ("noise.nii.gz", b"\x1f\x8b" + bytes(range(200))),
        ("text.nrrd", b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 9 9 999999999\nencoding: raw\n\n"),
        ("empty.nii", b""), ("words.mha", b"hello"), ("file", b"MZ" * 100),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as refused:
            a_process.ask("read", str(tmp_path / name), images=images)
        assert str(tmp_path) not in str(refused.value), name


def test_every_volume_of_a_four_dimensional_labelmap_is_a_region(a_process, prostate_pairs):
    from imagetranslation.volume import read_volume

    source = read_volume(prostate_pairs / "us" / "case16.nii.gz")
    labels = prostate_pairs / "us_labels" / "case16.nii.gz"
    rois = a_process.ask("read", str(labels), images={"source": source})
    assert [roi.name.split(" label")[0] for roi in rois] == [f"volume {n}" for n in range(1, len(rois) + 1)]
    assert max(roi.voxels for roi in rois) > 10000


def test_a_cohort_is_read_and_a_wrong_one_refused(a_process, images, tmp_path):
    (tmp_path / "features.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError):
        a_process.ask("cohort", str(tmp_path / "features.csv"), images=images)


def test_closing_it_ends_mirps_own_process_as_well(images, a_roi):
    pytest.importorskip("mirp", reason="MIRP is not installed")
    process = ComparingProcess()
    process.ask("engines")
    said: list[Exception] = []

    def ask() -> None:
        try:
            process.ask("compare", a_roi, "ibsi", Settings(), None, images=images)
        except RunFailed as error:
            said.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    worker = psutil.Process(process._process.pid)
    deadline = time.monotonic() + 60
    while not (children := worker.children(recursive=True)) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.close()
    asking.join(60)
    _, alive = psutil.wait_procs(children, timeout=60)
    assert children
    assert alive == []
    assert "try again" in str(said[0])


ORPHAN = """
from imagetranslation.browser.comparing import ComparingProcess
if __name__ == "__main__":
    process = ComparingProcess()
    process.ask("engines")
    print(process._process.pid, flush=True)
    import time
    time.sleep(600)
"""


def test_it_ends_when_the_viewer_is_killed(tmp_path, repository: Path):
    script = tmp_path / "viewer.py"
    script.write_text(ORPHAN)
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, cwd=repository, env=_with(repository)
    )
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait(30)
        _, alive = psutil.wait_procs([child], timeout=60)
        assert alive == []
    finally:
        parent.kill()
        parent.wait()


def _with(repository: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(repository)}
