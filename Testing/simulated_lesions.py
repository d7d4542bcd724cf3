"""A reader study with truth on made images: noise with or without a bright lesion. SIMULATED, and named so."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from imagetranslation.readerstudy.building import build
from imagetranslation.readerstudy.definition import save_study
from imagetranslation.volume import Volume, write_volume

SUSPICION = {
    "id": "suspicion",
    "type": "vas",
    "text": "How sure are you that there is a lesion?",
    "ends": ["No lesion", "Certainly a lesion"],
}
WHERE = {
    "id": "where",
    "type": "place",
    "text": "Mark the lesion",
    "show_if": {"question": "suspicion", "at_least": 50},
}
ARMS = ("standard", "revised")
SHAPE = (2, 18, 20)
TITLE = "Simulated lesions in two synthetic images (simulated images, simulated readers)"
# Of the images that are marked: slices, rows, columns; mm along columns, rows, slices; radius of a lesion.
LARGER, SPACING, RADIUS_MM = (3, 60, 72), (0.5, 0.5, 2.0), 3.0


def lesion_document(positives: int, negatives: int, readers: int, **more: Any) -> dict[str, Any]:
    """A study.json: two models, one rating of suspicion, an mrmc primary endpoint."""
    cases = [
        {
            "id": f"phantom{n:03d}",
            "images": {arm: f"images/phantom{n:03d}-{arm}.nii" for arm in ARMS},
            "truth": int(n < positives),
        }
        for n in range(positives + negatives)
    ]
    document = {
        "format_version": 1,
        "id": "simulated-lesions",
        "version": 1,
        "title": TITLE,
        "seed": 11,
        "display": {"kind": "single"},
        "arms": [
            {"id": "standard", "kind": "synthetic", "label": "Standard model"},
            {"id": "revised", "kind": "synthetic", "label": "Revised model"},
        ],
        "cases": cases,
        "readers": [f"R{n + 1}" for n in range(readers)],
        "questions": [SUSPICION],
        "schedule": {"repeat_fraction": 0, "repeat_minimum": 0},
        "primary": {
            "question": "suspicion",
            "analysis": "mrmc",
            "hypothesis": "Lesions are found equally well in the images of both models.",
        },
    }
    return {**document, **more}


def a_lesion_study(folder: Path, positives: int = 30, negatives: int = 30, readers: int = 5, **more: Any) -> Path:
    """The study in `folder`, with images, key and reading set."""
    document = lesion_document(positives, negatives, readers, **more)
    (folder / "images").mkdir(parents=True)
    generator = np.random.default_rng(document["seed"])
    for case in document["cases"]:
        for path in case["images"].values():
            voxels = generator.normal(100, 10, SHAPE)
            if case["truth"]:
                voxels[:, 8:11, 9:12] += 40
            write_volume(Volume(voxels.astype(np.float32), (0.5, 0.5, 2.0), (0.0, 0.0, 0.0)), folder / path)
    save_study(document, folder)
    build(folder)
    return folder


def lesion_places(cases: Iterable[str]) -> dict[str, tuple[float, float, float]]:
    """Where the lesion of a case is: LPS mm from the middle of its image, in the middle slice."""
    made = {}
    for case in cases:
        x, y = np.random.default_rng([7, *case.encode()]).uniform(-9, 9, 2)
        made[case] = (float(x), float(y), 0.0)
    return made


def write_lesion_cases(folder: Path, positives: int, negatives: int) -> None:
    """What a coordinator has before `study new`: template.json, cases.csv with the truth, and images."""
    (folder / "images").mkdir(parents=True)
    template = {
        "format_version": 1,
        "title": TITLE,
        "display": {"kind": "single"},
        "questions": [SUSPICION, WHERE],
        "schedule": {"repeat_fraction": 0, "repeat_minimum": 0},
        "primary": lesion_document(1, 1, 1)["primary"],
    }
    (folder / "template.json").write_text(json.dumps(template))
    names = [f"phantom{n:03d}" for n in range(positives + negatives)]
    generator = np.random.default_rng(11)
    lines = ["case,truth," + ",".join(ARMS)]
    for number, (case, place) in enumerate(lesion_places(names).items()):
        files = [folder / "images" / f"{case}-{arm}.nii" for arm in ARMS]
        for file in files:
            voxels = generator.normal(100, 10, LARGER)
            if number < positives:
                voxels[_ball(place)] += 60
            write_volume(Volume(voxels.astype(np.float32), SPACING, (0.0, 0.0, 0.0)), file)
        lines.append(",".join(map(str, [case, int(number < positives), *files])))
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")


def _ball(place: tuple[float, float, float]) -> np.ndarray:
    """Bool (slice, row, column): within RADIUS_MM of a place, given in mm from the middle."""
    grids = np.indices(LARGER)[::-1]
    far = [(g - (n - 1) / 2) * mm - at for g, n, mm, at in zip(grids, LARGER[::-1], SPACING, place)]
    return np.asarray(sum(part**2 for part in far) < RADIUS_MM**2)
