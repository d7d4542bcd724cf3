"""The shipped model on all 18 real pairs; what its card says of itself is held by test_shipped_us2mri.

The scores of all 18 cases are left in `real_pairs.json` in the folder IMAGETRANSLATION_REPORTS names (by default a
temporary one), for whoever wants to look.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.fieldofview import field_of_view
from imagetranslation.inference import translate
from imagetranslation.models import ModelPackage, load_package
from imagetranslation.volume import Volume, read_volume
from training_tools.config import read_config
from training_tools.dataset import load_cases
from training_tools.evaluation import floors, score
from training_tools.pairs import list_pairs
from training_tools.prepare import prepare

HELD_OUT = ["case14", "case15", "case16", "case17"]
CASES = [f"case{n:02d}" for n in range(18)]


@pytest.fixture(scope="module")
def the_model() -> ModelPackage:
    return load_package("us2mri-pix2pix-small")


@pytest.fixture(scope="module")
def translated(prostate_pairs: Path, the_model: ModelPackage) -> dict[str, tuple[Volume, Volume]]:
    pairs = {}
    for name in CASES:
        source = read_volume(prostate_pairs / "us" / f"{name}.nii.gz")
        pairs[name] = (source, translate(source, the_model, device="cpu"))
    return pairs


@pytest.fixture(scope="module")
def prepared(prostate_pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all pairs, registered anew."""
    folder = tmp_path_factory.mktemp("prepared")
    labels = (prostate_pairs / "us_labels", prostate_pairs / "mr_labels")
    prepare(list_pairs(prostate_pairs / "us", prostate_pairs / "mr", *labels), folder)
    return folder


@pytest.fixture(scope="module")
def scored(
    prepared: Path,
    the_model: ModelPackage,
    translated: dict[str, tuple[Volume, Volume]],
    repository: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, dict[str, Any]]:
    """Model and floors for all cases, references prepared anew; floors from the training cases as the card says."""
    config = read_config(repository / "training_tools" / "configs" / "us2mri_pix2pix_small.json")
    cases = {case.name: case for case in load_cases(prepared, config)}
    train = [cases[name] for name in the_model.metadata["training"]["cases"]]
    beside = floors(train, config, [cases[name] for name in HELD_OUT])
    rows = {name: {"model": score(translated[name][1].array, cases[name], config)} for name in CASES}
    for name in HELD_OUT:
        rows[name] |= {floor: score(image, cases[name], config) for floor, image in beside[name].items()}
    reports = Path(os.environ.get("IMAGETRANSLATION_REPORTS") or tmp_path_factory.mktemp("reports"))
    reports.mkdir(parents=True, exist_ok=True)
    (reports / "real_pairs.json").write_text(json.dumps(rows, indent=1))
    return rows


def test_the_glands_overlap_as_well_as_the_tools_say(prepared: Path) -> None:
    report = json.loads((prepared / "report.json").read_text())
    assert report["mean_dice_after"] == pytest.approx(0.897, abs=5e-4)
    assert min(case["dice_after"] for case in report["cases"]) > 0.85


def test_every_case_lands_on_its_own_grid(translated: dict[str, tuple[Volume, Volume]]) -> None:
    for name, (source, made) in translated.items():
        assert made.same_grid(source, 0), name
        assert made.array.min() >= 0
        assert made.array.max() <= 255
        assert made.array.std() > 10, f"{name} is nearly constant"
        assert (made.array[~field_of_view(source, "ultrasound-fan")] == 0).all()


def test_the_ultrasound_matters(translated: dict[str, tuple[Volume, Volume]]) -> None:
    """Different patients give different images also where all of them were seen: it is not one stored picture."""
    first, *others = (translated[name] for name in HELD_OUT)
    inside = field_of_view(first[0], "ultrasound-fan")
    for source, made in others:
        both = inside & field_of_view(source, "ultrasound-fan")
        assert np.abs(made.array - first[1].array)[both].mean() > 1


def test_an_ultrasound_raises_no_alarm_and_another_modality_does(
    translated: dict[str, tuple[Volume, Volume]], the_model: ModelPackage, data_dir: Path
) -> None:
    for name, (_, made) in translated.items():
        assert not [note for note in made.notes if "WARNING" in note], name
    ct = read_volume(next((data_dir / "sarcoma_ct_pet_mr").rglob("*[cC][tT]*.nii.gz")))
    middle = ct.array.shape[0] // 2
    few = Volume(ct.array[middle - 2 : middle + 2], spacing=ct.spacing, name="ct")
    assert [note for note in translate(few, the_model, device="cpu").notes if "WARNING" in note]


def test_held_out_cases_beat_the_source_itself(scored: dict[str, dict[str, Any]]) -> None:
    for name in HELD_OUT:
        assert scored[name]["model"]["mae"] < scored[name]["identity"]["mae"]
        assert scored[name]["model"]["ssim"] > scored[name]["identity"]["ssim"]


def test_the_card_names_every_floor_that_is_not_beaten(the_model: ModelPackage) -> None:
    card = the_model.card()
    scores = the_model.metadata["scores"]["cross_validation"]
    assert scores["n"] == 18
    for floor, metrics in scores["differences"].items():
        for metric in ("mae", "ssim"):
            difference = metrics[metric]
            excludes_zero = difference["high"] < 0 if metric == "mae" else difference["low"] > 0
            assert excludes_zero or f"{floor} on {metric.upper()}" in card
    assert "not for clinical use" in card.lower()
