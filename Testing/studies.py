"""Small reader studies for tests: real files, written as the product writes them; voxels are seeded noise."""

from __future__ import annotations

import copy
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.readerstudy.building import build
from imagetranslation.readerstudy.timing import Clock
from imagetranslation.volume import Volume, write_volume

REALISM = {
    "id": "realism",
    "type": "likert",
    "text": "How realistic?",
    "anchors": ["Not", "Hardly", "Undecided", "Mostly", "Entirely"],
}
ARTIFACTS = {"id": "artifacts", "type": "yes_no", "text": "Artifacts?"}
SEVERITY = {
    "id": "severity",
    "type": "likert",
    "text": "How severe?",
    "anchors": ["Mild", "Strong"],
    "show_if": {"question": "artifacts", "equals": True},
}
COMMENT = {"id": "comment", "type": "text", "text": "Comment?", "required": False}


def a_document(
    cases: int = 4, readers: int = 2, arms: int = 2, kind: str = "single", training: int = 0, **more: Any
) -> dict[str, Any]:
    """A sound study.json with its images in `images/`: arms "scanner" (real) and "model1", "model2", ..."""
    names = ["scanner", *(f"model{n}" for n in range(1, arms))]

    def case(name: str) -> dict[str, Any]:
        return {
            "id": name,
            "source": f"images/{name}-source.nii",
            "images": {arm: f"images/{name}-{arm}.nii" for arm in names},
        }

    document = {
        "format_version": 1,
        "id": "small",
        "version": 1,
        "title": "A small study for tests",
        "seed": 5,
        "display": {"kind": kind},
        "arms": [{"id": n, "kind": "real" if n == "scanner" else "synthetic"} for n in names],
        "cases": [case(f"patient{n}") for n in range(cases)],
        "training": [case(f"practice{n}") for n in range(training)],
        "readers": [f"R{n + 1}" for n in range(readers)],
        "questions": [REALISM, ARTIFACTS, SEVERITY, COMMENT],
        "schedule": {"repeat_fraction": 0, "repeat_minimum": 0},
        "primary": {"question": "realism", "analysis": "difference", "hypothesis": "The arms differ."},
    }
    return {**copy.deepcopy(document), **more}


def write_images(folder: Path, document: dict[str, Any], shape: tuple[int, int, int] = (2, 18, 20)) -> None:
    """Every image that the document names: smooth noise, another one for each file."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    paths = [
        path
        for case in [*document["cases"], *document["training"]]
        for path in [case["source"], *case["images"].values()]
    ]
    for seed, path in enumerate(paths):
        noise = np.random.default_rng(seed).random(shape)
        write_volume(Volume((noise * 200).astype(np.float32), (0.5, 0.5, 2.0), (7.0, 8.0, 9.0)), folder / path)


def a_study(folder: Path, document: dict[str, Any] | None = None) -> Path:
    """A study with images, key and reading set in `folder`."""
    made = document or a_document()
    write_images(folder, made)
    (folder / "study.json").write_text(json.dumps(made))
    build(folder)
    return folder


class FakeClock(Clock):
    """A clock that a test moves: `pass_time` seconds, or `set_to` a date."""

    def __init__(self, start: str = "2026-03-01T09:00:00") -> None:
        self.now = datetime.datetime.fromisoformat(start).replace(tzinfo=datetime.timezone.utc)
        self.seconds = 100.0
        super().__init__(lambda: self.now, lambda: self.seconds)

    def pass_time(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.now += datetime.timedelta(seconds=seconds)
        self.seconds += seconds

    def set_to(self, text: str) -> None:
        """Set the system's date; the monotonic clock does not notice."""
        self.now = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)


def read_everything(session: Any, value: int = 3) -> int:
    """Answer every trial up to the end of the session; returns how many."""
    count = 0
    while session.trial is not None:
        for item in session.form:
            if item.question.id == "realism":
                session.answer(item.key, value)
            if item.question.id == "artifacts":
                session.answer(item.key, False)
        session.next()
        count += 1
    return count
