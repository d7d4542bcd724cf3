"""How labels, tables and the record of a cross-fit become one study: folds, patients kept to the last, what is said."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.statistics.bootstrap import Resampling
from training_tools.classifying import arms, inputs, models, scores, tables, untouched
from training_tools.classifying.crossfit import CrossFit
from training_tools.classifying.crossvalidation import Folds, fixed, predict
from training_tools.classifying.inputs import Arms, study

PATIENTS = [f"p{n:02d}" for n in range(16)]
LABELS = {patient: n % 2 for n, patient in enumerate(PATIENTS)}
TEST = tuple(PATIENTS[12:])
FOLDS = {"0-0": tuple(PATIENTS[:6]), "0-1": tuple(PATIENTS[6:12])}
NAMES = ("mean", "energy", "odd")


def table(offset: float, patients: list[str] = PATIENTS) -> tables.Table:
    """Features that tell patient and table."""
    rows = {patient: np.array([PATIENTS.index(patient) + offset, offset, 0.0]) for patient in patients}
    return rows, NAMES


@pytest.fixture
def record() -> CrossFit:
    """Nested; every fold's images come from a translator of nobody."""
    images = {fold: dict.fromkeys(PATIENTS[:12], "aaa") for fold in FOLDS}
    images["test"] = dict.fromkeys(PATIENTS, "aaa")
    return CrossFit({"aaa": frozenset()}, images, FOLDS, TEST)


@pytest.fixture
def read() -> Arms:
    synthetic = {"0-0": table(100, PATIENTS[:12]), "0-1": table(200, PATIENTS[:12]), "test": table(300)}
    return Arms(table(0), synthetic, table(50))


def test_each_fold_has_its_own_images_and_the_last_test_another_set(read: Arms, record: CrossFit) -> None:
    found = study(LABELS, "1", read, record, Folds(5), TEST)
    assert found.cohort.patients == tuple(PATIENTS[:12])
    assert found.whole.patients == tuple(PATIENTS)
    assert found.per_fold is not None
    assert found.last is not None
    assert [found.per_fold[fold][3, 1] for fold in FOLDS] == [100, 200]
    assert found.per_fold["0-1"][:, 0].tolist() == [n + 200 for n in range(12)]
    assert found.last["test"][:, 0].tolist() == [n + 300 for n in range(16)]
    divided = [(f"{r}-{f}", tuple(tested)) for r, f, _, tested in found.folds.divide(found.cohort.labels)]
    assert divided == [("0-0", tuple(range(6))), ("0-1", tuple(range(6, 12)))]
    arms.check(found.cohort, found.folds, record, found.per_fold)
    untouched.require_untouched(record, found.whole, found.test)


@pytest.mark.parametrize("value", [math.nan, 1e39])
def test_a_feature_that_is_undefined_in_one_fold_is_left_out_of_all_and_told(
    read: Arms, record: CrossFit, value: float
) -> None:
    read.synthetic["0-1"][0]["p03"][2] = value
    found = study(LABELS, "1", read, record, Folds(5), TEST)
    assert found.per_fold is not None
    assert found.whole.names["synthetic"] == ("mean", "energy")
    assert found.per_fold["0-0"].shape == (12, 2)
    assert "1 synthetic features are undefined in some fold and left out" in found.whole.excluded


def test_a_record_without_folds_is_for_the_patients_who_are_not_kept_to_the_last(read: Arms, record: CrossFit) -> None:
    bare = CrossFit(record.trained_on, record.images, {}, TEST)
    planned = Folds(2)
    found = study(LABELS, "1", read, bare, planned, TEST)
    assert found.folds == planned
    del read.source[0]["p03"]  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="all 12 patients of the plan must be there; p03 lacks features in source"):
        study(LABELS, "1", read, bare, planned, TEST)


def test_a_patient_without_images_is_listed_and_left_out_of_the_folds(read: Arms, record: CrossFit) -> None:
    del read.source[0]["p03"]  # type: ignore[attr-defined]
    found = study(LABELS, "1", read, record, Folds(5), TEST)
    assert "p03 lacks features in source" in found.whole.excluded
    assert [len(tested) for _, _, tested in found.folds.given] == [5, 6]


def test_all_kinds_of_input_see_the_same_patients(read: Arms) -> None:
    other = Arms(table(0, PATIENTS[1:]), dict(read.synthetic), table(50))
    first, second = inputs.same_patients([read, other])
    assert sorted(first.source[0]) == sorted(second.source[0]) == PATIENTS[1:]
    assert sorted(first.synthetic["test"][0]) == PATIENTS


@pytest.mark.parametrize(
    ("folds", "said"),
    [
        ({"0-0": tuple(PATIENTS[:6]), "0-1": tuple(PATIENTS[5:12])}, "every patient exactly once"),
        ({"0-0": tuple(PATIENTS[:12:2]), "0-1": tuple(PATIENTS[1:12:2])}, "patients of one label only"),
        ({"first": tuple(PATIENTS[:12])}, "<repeat>-<fold>"),
    ],
)
def test_folds_that_cannot_be_used_are_refused(read: Arms, record: CrossFit, folds: Any, said: str) -> None:
    def divide() -> None:
        found = study(LABELS, "1", read, CrossFit(record.trained_on, record.images, folds, TEST), Folds(5), TEST)
        list(found.folds.divide(found.cohort.labels))

    with pytest.raises(InputError, match=said):
        divide()


def test_a_fold_that_lacks_an_image_is_refused(read: Arms, record: CrossFit) -> None:
    del read.synthetic["0-1"][0]["p04"]  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="p04 has no synthetic image in fold 0-1"):
        study(LABELS, "1", read, record, Folds(5), TEST)


def test_a_record_without_a_last_test_is_told(read: Arms, record: CrossFit) -> None:
    images = {fold: made for fold, made in record.images.items() if fold != "test"}
    found = study(LABELS, "1", read, record, Folds(5), TEST)
    with pytest.raises(InputError, match="no images for a last test"):
        untouched.require_untouched(CrossFit(record.trained_on, images, FOLDS, TEST), found.whole, TEST)


@pytest.mark.parametrize(("text", "said"), [("{}", "no split with a test part"), ("[]", "no split with a test part")])
def test_a_file_that_names_no_test_patients_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(InputError, match=said):
        tables.read_patients(tmp_path / "split.json")


def test_test_patients_are_those_of_a_splits_test_part(tmp_path: Path) -> None:
    text = '{"cases": {"a": {"patient": "p2"}, "b": {"patient": "p1"}}, "parts": {"test": ["a", "b"], "train": []}}'
    (tmp_path / "split.json").write_text(text)
    assert tables.read_patients(tmp_path / "split.json") == ("p1", "p2")


def test_the_area_of_a_known_separation_is_recovered_and_noise_adds_nothing() -> None:
    """One feature one SD apart: the area is Phi(1 / sqrt(2)) = 0.760; the copy with noise has less."""
    random = np.random.default_rng(3)
    labels = np.arange(400) % 2
    source = random.normal(size=(400, 1)) + labels[:, None]
    noisy = source + random.normal(size=(400, 1))
    model = models.find("elastic-net")
    areas = []
    for features in (source, noisy, np.hstack([source, noisy])):
        made = predict(model, fixed(features), labels, Folds(4, seed=0))
        areas.append(np.mean([scores.area(p.probability, labels[p.tested]) for p in made]))
    assert areas[0] == pytest.approx(0.760, abs=0.045)  # two standard errors
    # With noise of one SD the two kinds lie 1 / sqrt(2) SD apart: Phi(0.5) = 0.691.
    assert areas[1] == pytest.approx(0.691, abs=0.05)
    assert areas[2] < areas[0] + 0.01


def gains(model: str, seeds: int, told: float) -> dict[str, np.ndarray]:
    """Area within folds of two arms less the source's, (seeds,) each, through the study's own arms.

    told: how much of the label (in SD) the translator puts into the synthetic image, which else is the source with
    noise.
    """
    found: dict[str, list[float]] = {arms.SYNTHETIC: [], arms.BOTH: []}
    record = CrossFit({"aaa": frozenset({"others"})}, {"all": {f"p{n:02d}": "aaa" for n in range(60)}})
    for seed in range(seeds):
        random, labels = np.random.default_rng(seed), np.arange(60) % 2
        source = random.normal(size=(60, 4)) + 0.7 * labels[:, None]
        synthetic = source + random.normal(size=source.shape) + told * labels[:, None]
        cohort = tables.Cohort(
            tuple(f"p{n:02d}" for n in range(60)), labels, "high", {"source": source, "synthetic": synthetic},
            {"source": tuple("abcd"), "synthetic": tuple("abcd")},
        )  # fmt: skip
        made = arms.run(cohort, [model], Folds(3, seed=seed), record, resampling=Resampling(draws=100))
        areas = {result.arm: result.scores.auc for result in made}
        for arm, own in found.items():
            own.append(areas[arm] - areas[arms.SOURCE])
    return {arm: np.array(own) for arm, own in found.items()}


def surely_gained(values: np.ndarray) -> bool:
    """Whether the mean lies more than three standard errors above nothing."""
    return bool(values.mean() > 3 * values.std(ddof=1) / len(values) ** 0.5)


@pytest.mark.parametrize(
    ("model", "seeds"),
    [("elastic-net", 5), *(pytest.param(name, 8, marks=pytest.mark.soak) for name in models.of_kind(models.FEATURES))],
)
def test_no_arm_gains_from_images_that_are_the_source_with_noise(
    monkeypatch: pytest.MonkeyPatch, model: str, seeds: int
) -> None:
    monkeypatch.setattr(arms, "PERMUTATIONS", 1)
    noise = gains(model, seeds, 0.0)
    assert not surely_gained(noise[arms.SYNTHETIC])
    assert not surely_gained(noise[arms.BOTH])
    # The same test sees a gain where there is one: a translator that knows the label.
    leaky = gains(model, seeds, 2.0)
    assert surely_gained(leaky[arms.SYNTHETIC])
    assert surely_gained(leaky[arms.BOTH])
