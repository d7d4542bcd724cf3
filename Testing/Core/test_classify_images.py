"""Classification on images: the network among the classifiers, features of images, the last test, what is refused."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.provenance import Provenance
from imagetranslation.readerstudy.statistics import roc
from imagetranslation.readerstudy.statistics.comparisons import holm
from imagetranslation.readerstudy.statistics.estimates import Interval
from imagetranslation.volume import Volume, write_volume
from training_tools import classify
from training_tools.classifying import arms, crossfit, images, inputs, models, page, resnet, scores, untouched
from training_tools.classifying.crossvalidation import Folds, Prediction, fixed, predict
from training_tools.classifying.resnet import ResNetClassifier, held_back

SHAPE = (12, 12, 12)
PATIENTS = [f"p{n:02d}" for n in range(32)]
TEST = PATIENTS[24:]
LABELS = np.arange(32) % 2
SHA = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("first", "second", "whole")}


def made_by(name: str) -> Provenance:
    return Provenance("tiny", "1.0.0", SHA[name], "us2mri", "MR", "source", "", "2026-01-01T00:00:00+00:00", "tests")


def smooth(random: np.random.Generator, count: int) -> np.ndarray:
    from scipy import ndimage

    noise = ndimage.gaussian_filter(random.normal(size=(count, *SHAPE)), (0, 1, 1, 1))
    return (noise / noise.std()).astype(np.float32)


def make_study(folder: Path) -> Path:
    """A lesion that is bright in the real image of one label, absent from the source; synthetic images are noise.

    A simple record: halves of the first 24 patients translate each other, everybody else is kept to the last.
    """
    random = np.random.default_rng(0)
    lesion = np.zeros(SHAPE, np.float32)
    lesion[3:9, 3:9, 3:9] = 4
    real = smooth(random, 32) + LABELS[:, None, None, None] * lesion
    rows, made = [], {}
    region = np.zeros(SHAPE, np.uint8)
    region[1:11, 1:11, 1:11] = 1
    write_volume(Volume(region), folder / "region.nrrd")
    for n, patient in enumerate(PATIENTS):
        name = "whole" if patient in TEST else "second" if n < 12 else "first"
        made[patient] = SHA[name]
        volumes = {
            "source": Volume(smooth(random, 1)[0] * 20 + 100),
            "real target": Volume(real[n] * 20 + 100),
            "synthetic": replace(Volume(smooth(random, 1)[0] * 20 + 100), provenance=made_by(name)),
        }
        for arm, volume in volumes.items():
            path = write_volume(volume, folder / f"{patient}-{arm.split()[0]}.nrrd")
            rows.append({"patient": patient, "arm": arm, "fold": "", "image": path.name, "region": "region.nrrd"})
    with (folder / "images.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    trained = {SHA["first"]: PATIENTS[:12], SHA["second"]: PATIENTS[12:24], SHA["whole"]: PATIENTS[:24]}
    found = crossfit.CrossFit({sha: frozenset(who) for sha, who in trained.items()}, {"all": made})
    crossfit.write(found, folder / "crossfit.json")
    lines = [f"{patient},{'high' if label else 'low'}" for patient, label in zip(PATIENTS, LABELS)]
    (folder / "labels.csv").write_text("\n".join(["patient,label", *lines]))
    (folder / "test.csv").write_text("\n".join(["patient", *TEST]))
    return folder


def command(folder: Path, *more: str) -> list[str]:
    given = [("--labels", "labels.csv"), ("--images", "images.csv"), ("--cross-fit", "crossfit.json"), ("-o", "out")]
    paths = [text for option, name in given for text in (option, str(folder / name))]
    return [*paths, "--folds", "2", *more]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "GRID", SHAPE)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("template"))


@pytest.fixture
def study(template: Path, tmp_path: Path) -> Path:
    """A study of its own, to change."""
    return Path(shutil.copytree(template, tmp_path / "study"))


@pytest.fixture(scope="module")
def finished(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the network and a last test."""
    folder = Path(shutil.copytree(template, tmp_path_factory.mktemp("finished") / "study"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "GRID", SHAPE)
        patch.setattr(resnet, "EPOCHS", 10)
        more = ["--models", "resnet10", "--test-patients", str(folder / "test.csv")]
        assert classify.main(command(folder, *more)) == 0
    return folder / "out"


def test_the_network_finds_the_lesion_where_it_is_and_nothing_in_noise(finished: Path) -> None:
    report = json.loads((finished / "classification.json").read_text())
    assert report["patients"] == 24
    assert report["test"] == {"patients": 8, "positive": 4}
    areas = {row["arm"]: row["auc"] for row in report["results"]}
    assert set(areas) == {
        arms.SOURCE, arms.SYNTHETIC, arms.BOTH, arms.REAL, arms.TO_REAL, arms.TO_SYNTHETIC, arms.CONTROL,
    }  # fmt: skip
    assert areas[arms.REAL] > 0.9
    # 6 against 6 patients in two folds of noise: the standard error of such a mean area is about 0.12.
    assert all(0.1 < area < 0.9 for arm, area in areas.items() if arm != arms.REAL)
    assert next(row["features"] for row in report["results"] if row["arm"] == arms.BOTH) == 2


def test_patients_kept_to_the_last_are_tested_once_and_by_delong(finished: Path) -> None:
    report = json.loads((finished / "classification.json").read_text())
    with (finished / "predictions.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["arm"] in (arms.REAL, arms.SOURCE)]
    for arm in (arms.REAL, arms.SOURCE):
        own = [row for row in rows if row["arm"] == arm]
        assert sorted(row["patient"] for row in own if row["fold"] == "test") == TEST
        assert sorted(row["patient"] for row in own if row["fold"] != "test") == PATIENTS[:24]
    chance = {
        arm: {row["patient"]: float(row["probability"]) for row in rows if row["arm"] == arm and row["fold"] == "test"}
        for arm in (arms.REAL, arms.SOURCE)
    }
    ratings = np.array([[chance[arm][who] for who in TEST] for arm in (arms.REAL, arms.SOURCE)])
    expected = roc.delong_test(ratings, LABELS[24:] == 1)
    told = {row["arm"]: row for row in report["last_test"]}
    assert told[arms.REAL]["delong_p"] == pytest.approx(expected.p)
    assert told[arms.REAL]["auc"] > 0.9
    family = [row for arm, row in told.items() if arm not in (arms.SOURCE, arms.CONTROL)]
    assert [row["holm_p"] for row in family] == pytest.approx(holm([row["delong_p"] for row in family]))
    assert told[arms.SOURCE]["delong_p"] is None
    assert "no translator and no choice of settings had seen" in (finished / "index.html").read_text()


@pytest.mark.usefixtures("small")
def test_features_are_extracted_from_the_images_and_say_from_which(study: Path) -> None:
    lines = (study / "images.csv").read_text().splitlines()
    kept = [line for line in lines[1:] if line[:3] in PATIENTS[:12] and "real" not in line]
    (study / "images.csv").write_text("\n".join([lines[0], *kept]))
    assert classify.main(command(study, "--models", "elastic-net")) == 0
    table = study / "out" / "features" / "synthetic.csv"
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["patient"] for row in rows] == PATIENTS[:12]
    own = hashlib.sha256((study / "p00-synthetic.nrrd").read_bytes()).hexdigest()
    assert rows[0]["image_sha256"] == own
    assert not any("shape" in name for name in rows[0])
    report = json.loads((study / "out" / "classification.json").read_text())
    assert {row["arm"] for row in report["results"]} == {arms.SOURCE, arms.SYNTHETIC, arms.BOTH, arms.CONTROL}
    assert "no seal" in report["trusted"][0]


class TestSeveralImagesOfAPatient:
    def rows(self, folder: Path, cases: bool) -> list[images.Row]:
        """Two visits of p1, the later one first, and one of p2; the value of every image tells which it is."""
        made = []
        for number, (patient, case) in enumerate([("p1", "p1-2"), ("p1", "p1-1"), ("p2", "p2-1")]):
            for arm in (images.SOURCE, images.SYNTHETIC):
                # Names of files alone would put the visits of the synthetic arm the other way round.
                path = folder / f"{'ab'[number % 2 if arm == images.SYNTHETIC else 0]}-{case}-{arm}.nrrd"
                ramp = np.zeros((24, 24, 24), np.float32)
                ramp[number:] = 1
                write_volume(Volume(ramp), path)
                made.append(images.Row(patient, arm, crossfit.ALL, path, None, "", case=case if cases else ""))
        return made

    def test_the_network_is_given_the_first_visit_by_name_in_every_arm_and_that_is_said(self, tmp_path: Path) -> None:
        made = inputs.arms_of_images(self.rows(tmp_path, cases=True))
        for table, _ in (made.source, made.synthetic[crossfit.ALL]):
            assert {who: int((image[0, :, 0, 0] < 0).sum()) for who, image in table.items()} == {"p1": 1, "p2": 2}
        (told,) = made.left
        assert "first by name" in told
        assert told.endswith("all: p1.")

    def test_without_cases_the_first_is_that_of_the_first_file(self, tmp_path: Path) -> None:
        made = inputs.arms_of_images(self.rows(tmp_path, cases=False))
        assert int((made.source[0]["p1"][0, :, 0, 0] < 0).sum()) == 1

    def test_the_sentence_is_among_what_the_page_says_was_left_out(self, study: Path) -> None:
        rows = images.read_images(study / "images.csv")
        read = inputs.arms_of_images([*rows, *(row for row in rows if row.patient == "p05")])
        record, labels = crossfit.read(study / "crossfit.json"), dict(zip(PATIENTS, map(int, LABELS)))
        found = inputs.study(labels, "1", inputs.same_patients([read])[0], record, Folds(2), ())
        assert read.left[0] in found.whole.excluded


@pytest.mark.parametrize(("kind", "said"), [("nested", True), ("simple", False)])
def test_a_nested_study_says_that_its_images_come_from_unlike_translators(kind: str, said: bool) -> None:
    about = {
        "patients": 10, "positive": 5, "label": "1", "folds": {"count": 2, "repeats": 1, "seed": 0, "given": True},
        "sealed": True, "cross_fit": kind, "probabilities": "", "models": {},
    }  # fmt: skip
    assert ("images of two kinds" in page._protocol(about)) is said


class TestRefusals:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("p00,synthetic,", "p00,synthesised,", "the arm is 'synthesised'"),
            ("p00-synthetic.nrrd", "p99.nrrd", "p99.nrrd is not there"),
            ("p00,source,", ",source,", "line 2: patient or image is missing"),
            ("patient,arm", "patient,kind", "no column arm"),
            ("p00-source.nrrd", "p00-synthetic.nrrd", "was made by tiny; it cannot be the source of p00"),
            ("p00-synthetic.nrrd", "p20-synthetic.nrrd", "another run or another version of the model"),
            ("p00-synthetic.nrrd", "p00-source.nrrd", "does not say who made it"),
            ("p00,source,,", "p00,source,0-0,", "arm source is the same in every fold, but has the fold '0-0'"),
            ("p00,real target,,", "p00,real target,1,", "arm real target is the same in every fold"),
            ("p00,synthetic,,", "p00,synthetic,0-0,", "names no translator for the image of p00 in fold 0-0"),
        ],
    )
    def test_odd_tables_of_images_are_refused_by_one_sentence(
        self, study: Path, old: str, new: str, said: str
    ) -> None:  # fmt: skip
        text = (study / "images.csv").read_text()
        assert old in text
        (study / "images.csv").write_text(text.replace(old, new))
        with pytest.raises(InputError, match=said):
            classify.main(command(study, "--models", "resnet10"))
        assert not (study / "out").exists()

    @pytest.mark.parametrize(
        ("shape", "value", "said"), [((12, 12, 11), 1, "not on the grid"), (SHAPE, 0, "of p00 is empty")]
    )
    def test_a_region_that_does_not_fit_is_refused(self, study: Path, shape: Any, value: int, said: str) -> None:
        write_volume(Volume(np.full(shape, value, np.uint8)), study / "region.nrrd")
        with pytest.raises(InputError, match=said):
            classify.main(command(study, "--models", "resnet10"))

    def test_a_region_that_was_drawn_anew_since_the_table_was_written_is_refused(self, study: Path) -> None:
        was = hashlib.sha256((study / "region.nrrd").read_bytes()).hexdigest()
        first, *rows = (study / "images.csv").read_text().splitlines()
        (study / "images.csv").write_text("\n".join([f"{first},region_sha256", *(f"{row},{was}" for row in rows)]))
        images.check(images.read_images(study / "images.csv"), crossfit.read(study / "crossfit.json"))
        write_volume(Volume(np.ones(SHAPE, np.uint8)), study / "region.nrrd")
        with pytest.raises(InputError, match=r"region\.nrrd of p00 has changed since the table"):
            classify.main(command(study, "--models", "resnet10"))

    def test_test_patients_whom_a_translator_saw_are_refused(self, study: Path) -> None:
        (study / "test.csv").write_text("\n".join(["patient", *PATIENTS[:4]]))
        with pytest.raises(InputError, match="has seen p00, who is tested"):
            classify.main(
                command(study, "--models", "resnet10", "--test-patients", str(study / "test.csv"))
            )  # fmt: skip

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            (["stranger"], "stranger is to be tested last"),
            (TEST[::2], "Of the 4 test patients 0 are low"),
            ([], "holds no row"),
        ],
    )
    def test_test_patients_who_cannot_be_tested_are_refused(self, study: Path, names: list[str], said: str) -> None:
        (study / "test.csv").write_text("\n".join(["patient", *names]))
        more = ["--models", "resnet10", "--test-patients", str(study / "test.csv"), "--positive", "low"]
        with pytest.raises(InputError, match=said.replace("0 are low", "4 are low")):
            classify.main(command(study, *more))

    def test_labels_of_patients_without_images_are_listed(self, study: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr(images, "GRID", SHAPE)
        monkeypatch.setattr(resnet, "EPOCHS", 1)
        with (study / "labels.csv").open("a") as stream:
            stream.write("\nstranger,high")
        assert classify.main(command(study, "--models", "resnet10")) == 0
        report = json.loads((study / "out" / "classification.json").read_text())
        assert report["excluded"] == ["stranger lacks features in source and synthetic and real target"]
        assert "stranger lacks features" in (study / "out" / "index.html").read_text()

    @pytest.mark.parametrize(
        ("lines", "folds", "said"),
        [
            ([f"{who},low" for who in PATIENTS], "2", "1 kinds of labels"),
            ([f"{who},{label}" for who, label in zip(PATIENTS, LABELS)], "17", "17 folds need 17 patients"),
            ([f"{who},{label}" for who, label in zip(PATIENTS[1:], LABELS[1:])], "2", "have no label, among them p00"),
        ],
    )
    def test_labels_that_cannot_be_learnt_from_are_refused(
        self, study: Path, lines: list[str], folds: str, said: str
    ) -> None:
        (study / "labels.csv").write_text("\n".join(["patient,label", *lines]))
        with pytest.raises(InputError, match=said):
            classify.main([*command(study, "--models", "resnet10"), "--folds", folds])

    def test_features_of_another_image_than_the_recorded_one_are_refused(self, study: Path) -> None:
        found = crossfit.read(study / "crossfit.json")
        files = {"all": {who: {f"{who}-synthetic.nrrd": "0" * 64} for who in PATIENTS}}
        crossfit.write(replace(found, files=files), study / "crossfit.json")
        with pytest.raises(InputError, match="is not the image that was recorded"):
            classify.main(command(study, "--models", "elastic-net"))
        table = study / "table.csv"
        table.write_text(
            "\n".join(["patient,image_sha256,mean", *(f"{who},{'1' * 64},{n}" for n, who in enumerate(PATIENTS))])
        )
        from training_tools.classifying import inputs

        with pytest.raises(InputError, match="taken from another image than the recorded one"):
            inputs.from_tables(str(table), str(table), "", crossfit.read(study / "crossfit.json"))


class TestNetwork:
    def test_the_same_seed_gives_the_same_probabilities_and_another_others(self) -> None:
        random = np.random.default_rng(0)
        table, labels = random.normal(size=(16, 1, 8, 8)).astype(np.float32), np.arange(16) % 2
        made = [
            ResNetClassifier(seed, epochs=2, device="cpu").fit(table, labels).predict_proba(table) for seed in (0, 0, 1)
        ]
        assert (made[0] == made[1]).all()
        assert (made[0] != made[2]).any()
        assert np.allclose(made[0].sum(axis=1), 1)

    def test_probabilities_refer_to_the_prevalence_although_the_loss_weighs_both_classes_alike(self) -> None:
        table = np.random.default_rng(0).normal(size=(40, 1, 8, 8)).astype(np.float32)
        labels = (np.arange(40) % 5 == 0).astype(int)
        made = ResNetClassifier(0, epochs=2, device="cpu").fit(table, labels).predict_proba(table)
        assert made[:, 1].mean() == pytest.approx(0.2, abs=0.08)

    @pytest.mark.parametrize("dimensions", [2, 3])
    def test_it_has_as_many_dimensions_as_the_images(self, dimensions: int) -> None:
        import torch

        made = resnet.network(dimensions, 2)
        assert made(torch.zeros(2, 2, *(16,) * dimensions)).shape == (2, 1)

    def test_patients_that_stop_the_training_are_not_learnt_from(self) -> None:
        labels = np.array([0] * 10 + [1] * 5)
        learnt, watched = held_back(labels, np.random.default_rng(0))
        assert not set(learnt) & set(watched)
        assert sorted([*learnt, *watched]) == list(range(15))
        assert (labels[watched].tolist().count(0), labels[watched].tolist().count(1)) == (2, 1)

    def test_both_classes_weigh_alike(self) -> None:
        import torch

        labels = np.array([0] * 9 + [1])
        weights = len(labels) / (2 * np.bincount(labels))
        parts = [
            float(resnet._loss(torch.zeros(count), torch.full((count,), float(kind)), weights)) * count
            for kind, count in ((0, 9), (1, 1))
        ]
        assert parts[0] == pytest.approx(parts[1])

    @pytest.mark.soak
    def test_noise_teaches_it_nothing(self) -> None:
        found = []
        for seed in range(40):
            random = np.random.default_rng(seed)
            table, labels = random.normal(size=(40, 1, *SHAPE)).astype(np.float32), np.arange(40) % 2
            made = predict(models.find("resnet10"), fixed(table), labels, Folds(3, seed=seed))
            found.append(np.mean([scores.area(p.probability, labels[p.tested]) for p in made]))
        assert abs(np.mean(found) - 0.5) <= 3 * np.std(found, ddof=1) / np.sqrt(len(found))


class TestArrays:
    def test_an_image_is_cut_to_its_region_and_normalised_by_itself(self) -> None:
        random = np.random.default_rng(0)
        array = random.normal(size=(48, 60, 60)).astype(np.float32)
        region = np.zeros(array.shape, bool)
        region[10:34, 20:44, 5:29] = True
        made = images.tensor(Volume(array), region)
        assert made.shape == images.GRID
        other = array.copy()
        other[40:], other[:, 50:] = 900, 900
        assert (images.tensor(Volume(other), region) == made).all()
        assert images.tensor(Volume(3 * array + 7), region) == pytest.approx(made, abs=1e-4)
        assert abs(float(made.mean())) < 1e-3
        assert float(made.std()) == pytest.approx(1, abs=1e-2)

    def test_one_slice_becomes_a_picture_and_a_constant_image_zeros(self) -> None:
        assert images.tensor(Volume(np.ones((1, 100, 90), np.float32)), None).shape == images.PLANAR_GRID
        assert not images.tensor(Volume(np.ones((5, 9, 9), np.float32)), None).any()


class TestLastTest:
    def last(self, arm: str, probability: np.ndarray, truth: np.ndarray) -> untouched.Last:
        made = Prediction(0, 0, np.arange(len(truth)), probability, {})
        blank = Interval("none")
        told = scores.Scores(scores.area(probability, truth), (), blank, 0, 0, 0, 0, 0, 0)
        return untouched.Last(arm, "model", made, told, blank)

    def test_an_area_has_delongs_interval_by_the_definition(self) -> None:
        """Against the sums over all pairs of DeLong et al. 1988, which takes the square of the patients."""
        random = np.random.default_rng(0)
        truth = np.arange(60) % 3 == 0
        probability = np.round(random.normal(size=60) + truth, 1)
        above, below = probability[truth], probability[~truth]
        kernel = (above[:, None] > below) + 0.5 * (above[:, None] == below)
        variance = kernel.mean(axis=1).var(ddof=1) / 20 + kernel.mean(axis=0).var(ddof=1) / 40
        found = untouched.area_interval(probability, truth.astype(int))
        assert (found.low, found.high) == pytest.approx(
            (kernel.mean() - 1.959964 * variance**0.5, min(1, kernel.mean() + 1.959964 * variance**0.5)), abs=1e-6
        )

    def test_a_known_difference_is_covered_and_noise_is_not_called_one(self) -> None:
        """Areas 0.921 and 0.760 (2 and 1 SD apart) are told apart; two readings of the same skill rarely are."""
        random = np.random.default_rng(1)
        truth = np.arange(200) % 2
        calls, covered = 0, 0
        for _ in range(60):
            strong, weak, other = (random.normal(size=200) + shift * truth for shift in (2, 1, 1))
            found = untouched.compared(
                [self.last(arms.SOURCE, weak, truth), self.last(arms.REAL, strong, truth),
                 self.last(arms.SYNTHETIC, other, truth)], truth
            )  # fmt: skip
            covered += found[1].low < 0.9214 - 0.7602 < found[1].high
            calls += found[2].p < 0.05
        assert covered >= 53  # 57 of 60 expected; fewer than 53 has a chance of 2 in 100
        assert calls <= 7

    def test_a_test_that_cannot_be_made_is_told_and_counts_in_the_correction(self) -> None:
        random = np.random.default_rng(0)
        truth = np.arange(20) % 2
        source = random.normal(size=20)
        found = untouched.compared(
            [self.last(arms.SOURCE, source, truth), self.last(arms.SYNTHETIC, source, truth),
             self.last(arms.REAL, source + truth, truth)], truth
        )  # fmt: skip
        assert found[1].p is None
        assert "do not differ" in found[1].refused
        assert found[2].holm_p == pytest.approx(min(1, 2 * found[2].p))
