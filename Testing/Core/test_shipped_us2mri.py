"""The shipped ultrasound-to-MR package: what it says of itself, and that its held-out scores can be had again."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagetranslation.models import ModelPackage, load_package, verify
from training_tools import evaluation
from training_tools.config import read_config
from training_tools.dataset import load_cases
from training_tools.export import score_cases
from training_tools.pairs import list_pairs
from training_tools.prepare import prepare

HELD_OUT = ["case14", "case15", "case16", "case17"]


@pytest.fixture
def shipped(repository: Path) -> ModelPackage:
    return load_package(repository / "Resources" / "Models" / "us2mri-pix2pix-small")


def test_the_package_is_whole_small_and_named_so(shipped: ModelPackage) -> None:
    assert verify(shipped)["parameters"] <= 3_000_000
    assert (shipped.path / "weights.safetensors").stat().st_size <= 6_000_000
    assert shipped.metadata["network"]["name"] == "located"


def test_the_held_out_cases_are_the_same_as_ever_and_were_not_trained_on(shipped: ModelPackage) -> None:
    training = shipped.metadata["training"]
    assert training["held_out"] == HELD_OUT
    assert training["cases"] == [f"case{number:02d}" for number in range(14)]


def test_it_was_made_by_the_committed_configuration(shipped: ModelPackage, repository: Path) -> None:
    config = read_config(repository / "training_tools" / "configs" / "us2mri_pix2pix_small.json")
    assert shipped.metadata["training"]["config"] == config.model_dump(mode="json", exclude={"card"})
    assert shipped.inputs == config.inputs()


def test_the_cross_validation_covers_every_patient_once_and_its_summary_follows_from_its_rows(
    shipped: ModelPackage,
) -> None:
    scores = shipped.metadata["scores"]["cross_validation"]
    assert [row["case"] for row in scores["cases"]] == [f"case{number:02d}" for number in range(18)]
    again = evaluation.summarise(scores["cases"])
    assert again["methods"] == scores["methods"]
    assert again["differences"] == scores["differences"]


def test_it_beats_the_mean_image_of_its_training_patients(shipped: ModelPackage) -> None:
    scores = shipped.metadata["scores"]
    against = scores["cross_validation"]["differences"][evaluation.MEAN]
    assert all(against[metric]["beaten"] for metric in ("mae", "psnr", "ssim"))
    held_out = scores["held_out"]["methods"]
    assert held_out[evaluation.MODEL]["mae"]["mean"] < held_out[evaluation.MEAN]["mae"]["mean"]


def test_the_card_shows_scores_against_the_floors_and_says_what_it_is_not(shipped: ModelPackage) -> None:
    card = shipped.card()
    scores = shipped.metadata["scores"]
    for part in ("cross_validation", "held_out"):
        for method in (evaluation.MODEL, *evaluation.FLOORS):
            assert f"{scores[part]['methods'][method]['mae']['mean']:.4g}" in card
    for words in ("Not for clinical use", "54.4 M", "blurr", "0.4 mm", "training_tools.train", "Apache-2.0"):
        assert words in card


def test_its_uncertainty_is_calibrated_by_patients_it_never_saw_and_the_card_says_how_well(
    shipped: ModelPackage,
) -> None:
    card, uncertainty = shipped.card(), shipped.metadata["uncertainty"]
    assert uncertainty["default"] == "tta"
    for record in uncertainty["calibration"].values():
        assert record["n_patients"] == 18
        for name, found in (("coverage80", record), ("coverage95", record), ("coverage80", record["held_out"])):
            seen = found[name]
            assert (
                f"{100 * seen['mean']:.1f} % [{100 * seen['low']:.1f}, {100 * seen['high']:.1f}] | {seen['n']} |"
                in card
            )
            assert abs(seen["mean"] - seen["nominal"]) < 0.1
        assert f"(AUSE) {record['sparsification']['ause']['mean']:.2f}" in card
    assert len(shipped.metadata["training"]["distribution"]["distances"]) == 14


def test_the_held_out_scores_can_be_had_again_from_the_scans(
    shipped: ModelPackage, prostate_pairs: Path, repository: Path, tmp_path: Path
) -> None:
    pairs = list_pairs(*(prostate_pairs / part for part in ("us", "mr", "us_labels", "mr_labels")))
    prepare(pairs, tmp_path)
    config = read_config(repository / "training_tools" / "configs" / "us2mri_pix2pix_small.json")
    train = load_cases(tmp_path, config, shipped.metadata["training"]["cases"])
    rows = score_cases(shipped, config, train, load_cases(tmp_path, config, HELD_OUT))
    for row, stored in zip(rows, shipped.metadata["scores"]["held_out"]["cases"], strict=True):
        for method in (evaluation.MODEL, *evaluation.FLOORS):
            for metric in ("mae", "ssim"):
                assert row[method][metric] == pytest.approx(stored[method][metric], rel=1e-3, abs=1e-3)
