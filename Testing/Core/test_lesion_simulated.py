"""Lesion reading on the simulator, where the truth is set: a translator that leaves lesions out is found out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imagetranslation.volume import read_volume, write_volume
from training_tools.lesions import main
from training_tools.phantoms.bonescan import Settings, acquire, invent
from training_tools.phantoms.bonescan_disease import Relation
from training_tools.phantoms.bonescan_writing import AUTO, Order, write_cases

SEED = 1
GROUPS = ("osteomyelitis", "recent bone injury")
# Every lesion of one strength, so that none lies at the rule's edge.
CLEAR = Relation(1.2, 0.0, 1.5, 0.0, 0.0)
SETTINGS = Settings(relations=dict.fromkeys(GROUPS, CLEAR), degenerative=0.0)


def without_noise(number: int, group: str, *, lesions: bool) -> np.ndarray:
    """The expected delayed image of the simulator's patient `number`, with or without the lesions: (row, column)."""
    drawn, own = np.random.SeedSequence([SEED, number]).spawn(2)
    region = str(np.random.default_rng(drawn).choice(AUTO[group]))
    patient, random = invent(own, group, region, SETTINGS)
    shown = patient if lesions else replace(patient, lesions=())
    return acquire(shown, "anterior", SETTINGS, random).expected[1]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Six patients' folder and the names of its cases."""
    folder = tmp_path_factory.mktemp("simulated")
    rows = write_cases(Order(6, SEED, groups=GROUPS, settings=SETTINGS), folder)
    return folder, [row["case"] for row in rows]


def translated(folder: Path, cases: list[str], output: Path, missed: set[int]) -> Path:
    """A translator without noise that leaves out the lesions of the patients `missed`."""
    output.mkdir()
    for number, case in enumerate(cases):
        image = without_noise(number, GROUPS[number % 2], lesions=number not in missed)
        real = read_volume(folder / "target" / f"{case}.nrrd")
        write_volume(replace(real, array=image[None].astype(np.float32)), output / f"{case}.nrrd")
    return output


SOAK = pytest.mark.soak


@pytest.mark.parametrize(
    ("missed", "found"),
    [({0, 3}, 4), pytest.param(set(), 6, marks=SOAK), pytest.param(set(range(6)), 0, marks=SOAK)],
)
def test_the_sensitivity_is_the_share_of_patients_whose_lesion_was_left_in(
    simulated: tuple[Path, list[str]], tmp_path: Path, missed: set[int], found: int
) -> None:
    images = translated(*simulated, tmp_path / "images", missed)

    main(["pool2delayed", "--data", str(simulated[0]), "--synthetic", str(images), "--draws", "100",
          "-o", str(tmp_path / "out")])  # fmt: skip
    told = json.loads((tmp_path / "out" / "lesions.json").read_text(encoding="utf-8"))

    own = told["results"]["readers"]["rule"]
    assert (own["sensitivity_hyperaemic"][-1]["k"], own["sensitivity_hyperaemic"][-1]["n"]) == (found, 6)
    assert own["false_positives_per_image"][-1]["total"] == 0
    assert told["simulated"] is True
    assert told["alike"]["the blood pool itself"] == 0
