"""From `study new` on real pairs through reading in Chromium to the report, with simulated readers (NOT physicians).

The readers' answers are those of `Testing.simulated_readers`, with planted effects; they are given by clicks, and each
carries the mark "simulated" in its view state. The synthetic images are blurred copies of the real ones: a stand-in.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.readerstudy.definition import load_study
from imagetranslation.readerstudy.key import load_key
from imagetranslation.readerstudy.questions import Item, steps, visible
from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.replay import form
from imagetranslation.volume import Volume, read_volume, write_volume
from Testing.simulated_readers import SIMULATED, Crowd, Planted

from .reading_rooms import Physician, Served, served

pytestmark = pytest.mark.browser
PLANTED = Planted()


def run(*arguments: object) -> str:
    command = [sys.executable, "-m", "imagetranslation", "study", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def new_study(folder: Path, pairs: Path, cases: int, readers: int) -> Path:
    """`study new` with the us2mri template on so many of the real pairs."""
    from scipy.ndimage import gaussian_filter

    lines = ["case,source,real,stand-in-blurred"]
    for n in range(cases):
        case, made = f"case{n:02d}", folder / f"blurred{n:02d}.nii.gz"
        real = read_volume(pairs / "mr" / f"{case}.nii.gz")
        blurred = gaussian_filter(np.asarray(real.array, dtype=np.float32), 1.5)
        write_volume(Volume(blurred, real.spacing, real.origin, real.direction), made)
        lines.append(f"{case},{pairs}/us/{case}.nii.gz,{pairs}/mr/{case}.nii.gz,{made}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    options = ["--template", "us2mri", "--cases", folder / "cases.csv", "--readers", readers, "--seed", 5]
    run("new", folder / "study", *options, "--title", "Simulated reading")
    return folder / "study"


def put(physician: Physician, item: Item, value: Any) -> None:
    """Give an answer the way a hand does."""
    question, box = item.question, physician.question(item.key)
    if question.type == "likert":
        box.locator(".choice").nth(steps(question).index(value)).click()
    elif question.type == "yes_no":
        box.locator(".choice").nth(0 if value else 1).click()
    elif question.type in ("choice", "multi_choice"):
        ids = [option.id for option in item.options]
        for one in [value] if question.type == "choice" else value:
            box.locator(".choice").nth(ids.index(one)).click()
    elif question.type == "vas":
        track = box.locator(".track")
        track.scroll_into_view_if_needed()
        place = track.bounding_box()
        physician.page.mouse.click(place["x"] + place["width"] * value / 100, place["y"] + 10)
    else:
        box.locator("textarea").fill(value)
    physician.is_kept(item.key)


def read(physician: Physician, hosted: Served, name: str, crowd: Crowd) -> dict[tuple[str, str], Any]:
    """All cases of a reader: (trial token, question) to the answer that was meant."""

    def as_simulated(route: Any) -> None:
        body = json.loads(route.request.post_data)
        route.continue_(post_data=json.dumps({**body, "view": {**(body["view"] or {}), **SIMULATED}}))

    physician.page.route("**/answer", as_simulated)
    physician.page.get_by_role("button", name="Begin").click()
    person, meant = crowd.of(name), {}
    for trial in hosted.reading.trials(name):
        physician.sees_case(trial.number)
        planned = crowd.key.trials[trial.token][1]
        answers: dict[str, Any] = {}
        asked: set[str] = set()
        while left := [i for i in visible(form(hosted.reading, trial), answers) if i.key not in asked]:
            asked.add(left[0].key)
            value = person.answer(left[0], planned, crowd.study.case(planned.case).truth)
            if value is not None:
                put(physician, left[0], value)
                answers[left[0].key] = meant[trial.token, left[0].key] = value
        physician.page.click("#next")
    physician.told("Thank you")
    assert physician.faults == []
    return meant


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("cases", "readers"), [(2, 2), pytest.param(18, 7, marks=pytest.mark.soak)])
def test_a_study_of_real_pairs_is_read_in_the_browser_and_reported(
    browser, prostate_pairs: Path, tmp_path: Path, cases: int, readers: int
) -> None:
    folder = new_study(tmp_path, prostate_pairs, cases, readers)
    reading = load_reading_set(folder)
    crowd = Crowd(load_study(folder), load_key(folder), PLANTED, 2)
    meant: dict[tuple[str, str], Any] = {}
    with served(reading) as hosted:
        for name in reading.readers:
            meant.update(read(Physician.at(browser, hosted.link(name)), hosted, name, crowd))
        kept = [entry for name in reading.readers for entry in hosted.answers(name)]
    assert all(entry["view"]["simulated"] for entry in kept)
    stood = {(entry["token"], entry["question"]): entry["new"] for entry in kept}
    assert stood.keys() == meant.keys()
    for place, value in meant.items():
        assert stood[place] == (pytest.approx(value, abs=0.5) if isinstance(value, float) else value)
    assert "unbroken chain" in run("verify", folder)
    run("analyze", folder, "-o", tmp_path / "report", "--draws", 300)
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "imulated" in page
    if cases == 18:
        with open(tmp_path / "report" / "tables" / "models.csv", encoding="utf-8", newline="") as stream:
            rows = [r for r in csv.DictReader(stream) if r["question"] == "realism" and r["effect"].startswith("arm ")]
        assert float(rows[0]["low"]) <= PLANTED.bias <= float(rows[0]["high"])
