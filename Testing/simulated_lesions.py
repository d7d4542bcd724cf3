"""A reader study with truth on made images: noise with or without a bright lesion. SIMULATED, and named so."""

from __future__ import annotations

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
ARMS = ("standard", "revised")
SHAPE = (2, 18, 20)


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
        "title": "Simulated lesions in two synthetic images (simulated images, simulated readers)",
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
