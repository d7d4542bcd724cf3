"""Simulated readers (NOT physicians) who read a study in Chromium: what they answer is `Testing.simulated_readers`',
how a hand gives it stands here, and the study is served by the command itself."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from imagetranslation.readerstudy.key import load_key
from imagetranslation.readerstudy.questions import Item, steps, visible
from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.replay import form
from imagetranslation.readerstudy.store import FolderStore
from Testing.simulated_readers import Crowd

from .reading_rooms import Physician, Served


@contextlib.contextmanager
def study_serve(study: Path) -> Iterator[Served]:
    """`study serve` as a coordinator starts it to try a study out, until Ctrl+C."""
    command = [sys.executable, "-u", "-m", "imagetranslation", "study", "serve", str(study), "--simulated"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    reading, key, said = load_reading_set(study), load_key(study), []
    assert server.stdout is not None
    try:
        for line in server.stdout:
            said.append(line)
            if line.startswith("Serving"):
                break
        links = dict(line.split() for line in said if "/#" in line)
        assert links.keys() == set(reading.readers), said
        tokens = {reader: key.reader_token(reader) for reader in reading.readers}
        yield Served(reading, tokens, FolderStore(reading), next(iter(links.values())).partition("/#")[0])
    finally:
        server.terminate()
        server.wait(30)


def put(physician: Physician, item: Item, value: Any, size_mm: Mapping[str, tuple[float, float]]) -> None:
    """Give an answer the way a hand does. size_mm: width and height of the picture in each slot."""
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
    elif question.type == "place":
        box.locator(".start").click()
        for mark in value:
            click_place(physician, mark["point"], size_mm[mark["image"]])
        box.locator(".start").click()
    else:
        box.locator("textarea").fill(value)
    physician.is_kept(item.key)


def click_place(physician: Physician, point: list[float], size_mm: tuple[float, float]) -> None:
    """Click a place of an axial slice of the one picture; point: LPS mm from its middle."""
    box = physician.page.locator(".pane").first.bounding_box()
    scale = min(box["width"] / size_mm[0], box["height"] / size_mm[1])
    physician.page.mouse.click(
        box["x"] + box["width"] / 2 + scale * point[0], box["y"] + box["height"] / 2 + scale * point[1]
    )


def read(
    physician: Physician,
    hosted: Served,
    name: str,
    crowd: Crowd,
    size_mm: Mapping[str, tuple[float, float]],
) -> dict[tuple[str, str], Any]:
    """All cases of a reader, or as many as are planted before they leave: (trial token, question) to what was meant."""
    if hosted.reading.instructions:
        physician.page.get_by_role("button", name="Begin").click()
    person, meant = crowd.of(name), {}
    leaves = crowd.planted.dropout.get(name)
    for trial in hosted.reading.trials(name)[:leaves]:
        physician.sees_case(trial.number)
        planned = crowd.key.trials[trial.token][1]
        answers: dict[str, Any] = {}
        asked: set[str] = set()
        while left := [i for i in visible(form(hosted.reading, trial), answers) if i.key not in asked]:
            item = left[0]
            asked.add(item.key)
            value = person.answer(item, planned, crowd.study.case(planned.case).truth)
            if value is not None:
                put(physician, item, value, size_mm)
                meant[trial.token, item.key] = value
                # A line is as fine as its pixels, and what is asked next may hang on where it was clicked.
                answers[item.key] = hosted.answers(name)[-1]["new"] if item.question.type == "vas" else value
        physician.page.click("#next")
    if leaves is None:
        physician.told("Thank you")
    else:
        physician.sees_case(leaves + 1)
        physician.page.close()
    assert physician.faults == []
    return meant
