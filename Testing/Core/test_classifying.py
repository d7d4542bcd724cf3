"""Classification without its pitfalls: strict tables, nested folds, the leakage canary, scores with known answers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.statistics.bootstrap import Resampling
from training_tools.classifying import crossfit, crossvalidation, models, scores, tables
from training_tools.classifying.crossvalidation import Folds, Prediction, fixed, predict
from training_tools.classifying.models import Model

FEW = Resampling(draws=200)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two workers of a test run with two threads each wait for one another: small fits take ten times as long."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def selecting(seed: int) -> Any:
    from sklearn.feature_selection import SelectKBest
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    return Pipeline([("select", SelectKBest(k=10)), ("classifier", LogisticRegression())])


SELECTING = Model("ten best features, then a line", selecting, {}, "for tests")


def noise(seed: int, patients: int = 100, features: int = 186) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(patients, features)), np.arange(patients) % 2


def mean_area(model: Model, table: np.ndarray, labels: np.ndarray, folds: Folds) -> float:
    made = predict(model, fixed(table), labels, folds)
    return float(np.mean([scores.area(p.probability, labels[p.tested]) for p in made]))


class TestLeakageCanary:
    def test_noise_teaches_the_honest_pipeline_nothing_and_a_leaky_one_a_lot(self) -> None:
        from sklearn.feature_selection import SelectKBest

        honest, leaky = [], []
        for seed in range(40):
            table, labels = noise(seed)
            honest.append(mean_area(SELECTING, table, labels, Folds(5, seed=seed)))
            chosen_on_all = SelectKBest(k=10).fit_transform(table, labels)
            leaky.append(mean_area(SELECTING, chosen_on_all, labels, Folds(5, seed=seed)))
        error = np.std(honest, ddof=1) / math.sqrt(len(honest))
        assert abs(np.mean(honest) - 0.5) <= 3 * error
        assert np.mean(leaky) >= 0.7

    @pytest.mark.soak
    @pytest.mark.parametrize("name", models.of_kind(models.FEATURES))
    def test_noise_teaches_no_classifier_anything(self, name: str) -> None:
        found = []
        for seed in range(40):
            table, labels = noise(seed, 60, 186)
            found.append(mean_area(models.find(name), table, labels, Folds(5, seed=seed)))
        assert abs(np.mean(found) - 0.5) <= 3 * np.std(found, ddof=1) / math.sqrt(len(found))


class TestPrediction:
    def test_every_patient_is_tested_once_a_repeat_by_a_model_that_did_not_see_it(self) -> None:
        table, labels = noise(0, 40, 4)
        seen: list[set[int]] = []
        table[:, 0] = np.arange(40)

        class Watching:
            def __init__(self) -> None:
                self.best_params_: dict[str, Any] = {}

            def predict_proba(self, features: np.ndarray) -> np.ndarray:
                assert not seen[-1] & set(features[:, 0].astype(int))
                return np.full((len(features), 2), 0.5)

        def fit(model: Model, features: np.ndarray, truth: np.ndarray, seed: int) -> Watching:
            seen.append(set(features[:, 0].astype(int)))
            return Watching()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(crossvalidation, "fit", fit)
            made = predict(SELECTING, fixed(table), labels, Folds(4, repeats=2))
        assert sorted(int(n) for p in made[:4] for n in p.tested) == list(range(40))
        assert sorted(int(n) for p in made[4:] for n in p.tested) == list(range(40))
        assert [set(p.tested) for p in made[:4]] != [set(p.tested) for p in made[4:]]
        assert all(labels[p.tested].mean() == 0.5 for p in made)

    def test_another_kind_of_image_can_be_tested_than_was_trained_on(self) -> None:
        table, labels = noise(1, 60, 12)
        table[:, 3] += 3 * labels
        turned = table.copy()
        turned[:, 3] = -turned[:, 3]
        own = predict(SELECTING, fixed(table), labels, Folds(3))
        other = predict(SELECTING, fixed(table, turned), labels, Folds(3))
        assert scores.score(own, labels, FEW).auc > 0.9
        assert scores.score(other, labels, FEW).auc < 0.2

    @pytest.mark.parametrize("name", models.of_kind(models.FEATURES))
    def test_a_known_separation_is_found_and_repeats_itself(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(models, "TREES", 15)
        random = np.random.default_rng(2)
        labels = np.arange(80) % 2
        table = random.normal(size=(80, 6)) + 1.5 * labels[:, None] * (np.arange(6) < 3)
        made = [predict(models.find(name), fixed(table), labels, Folds(2, seed=1)) for _ in range(2)]
        assert all((a.probability == b.probability).all() for a, b in zip(*made))
        # Three independent features 1.5 SD apart: the best possible area is Phi(1.5 sqrt(3) / sqrt(2)) = 0.967.
        assert 0.86 < np.mean([scores.area(p.probability, labels[p.tested]) for p in made[0]]) <= 1.0

    @pytest.mark.parametrize("name", models.of_kind(models.FEATURES))
    def test_probabilities_refer_to_the_prevalence(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(models, "TREES", 15)
        table, _ = noise(3, 200, 3)
        labels = (np.arange(200) % 10 == 0).astype(int)
        table[:, 0] += labels
        made = predict(models.find(name), fixed(table), labels, Folds(2))
        assert np.mean(np.concatenate([p.probability for p in made])) == pytest.approx(0.1, abs=0.04)

    def test_too_few_patients_of_a_class_are_refused(self) -> None:
        table, labels = noise(0, 12, 3)
        with pytest.raises(InputError, match="the smaller class has 6"):
            predict(SELECTING, fixed(table), labels, Folds(7))
        with pytest.raises(InputError, match="Unknown classifier"):
            models.find("oracle")


class TestScores:
    def test_areas_are_averaged_over_folds_and_never_pooled(self) -> None:
        labels = np.array([0, 0, 1, 1, 0, 0, 1, 1])
        # Each fold ranks perfectly, on scales of its own.
        made = [
            Prediction(0, 0, np.arange(4), np.array([0.1, 0.2, 0.3, 0.4]), {}),
            Prediction(0, 1, np.arange(4, 8), np.array([0.6, 0.7, 0.8, 0.9]), {}),
        ]
        found = scores.score(made, labels, FEW)
        assert found.auc == 1.0
        assert scores.area(np.concatenate([p.probability for p in made]), labels) == 0.75
        assert (found.accuracy, found.balanced_accuracy) == (0.5, 0.5)

    def test_the_area_is_that_of_scikit_learn_ties_included(self) -> None:
        from sklearn.metrics import roc_auc_score

        random = np.random.default_rng(0)
        truth, probability = random.integers(0, 2, 200), np.round(random.random(200), 1)
        assert scores.area(probability, truth) == pytest.approx(roc_auc_score(truth, probability))
        weight = random.integers(0, 3, 200).astype(float)
        expected = roc_auc_score(truth, probability, sample_weight=weight)
        assert scores.area(probability, truth, weight) == pytest.approx(expected)

    def test_calibration_is_one_for_honest_probabilities_and_a_half_for_exaggerated_ones(self) -> None:
        random = np.random.default_rng(0)
        logit = random.normal(0, 1.5, 40_000)
        truth = (random.random(40_000) < 1 / (1 + np.exp(-logit))).astype(int)
        slope, intercept = scores.calibration(1 / (1 + np.exp(-logit)), truth)
        assert (slope, intercept) == (pytest.approx(1, abs=0.04), pytest.approx(0, abs=0.04))
        assert scores.calibration(1 / (1 + np.exp(-2 * logit)), truth)[0] == pytest.approx(0.5, abs=0.02)
        assert math.isnan(scores.calibration(truth * 0.8 + 0.1, truth)[0])

    def test_sensitivity_is_told_at_a_fixed_specificity(self) -> None:
        probability = np.concatenate([np.arange(10) / 10, [0.85, 0.95, 0.2, 0.99]])
        truth = np.array([0] * 10 + [1] * 4)
        # Nine of ten negative patients lie at 0.8 or below.
        assert scores.sensitivity(probability, truth, 0.9) == 0.75
        assert scores.sensitivity(probability, truth, 0.5) == 0.75
        assert scores.sensitivity(probability, truth, 0.91) == 0.5

    @pytest.mark.parametrize(("negatives", "specificity"), [(3, 1), (9, 1), (10, 0.9), (15, 14 / 15), (30, 0.9)])
    def test_the_specificity_is_no_higher_than_it_must_be(self, negatives: int, specificity: float) -> None:
        probability = np.concatenate([np.arange(negatives), np.arange(negatives) + 0.5]) / 100
        truth = np.repeat([0, 1], negatives)
        # A positive patient lies just above each negative one; so many are above the threshold as negatives, and one.
        expected = (1 - specificity) + 1 / negatives
        assert scores.sensitivity(probability, truth) == pytest.approx(expected)

    def test_a_paired_difference_has_a_narrower_interval_than_its_parts(self) -> None:
        random = np.random.default_rng(0)
        labels = np.arange(120) % 2
        skill = random.normal(size=120) + labels
        arms = []
        for shift in (0.3, 0.0):
            rating = skill + shift * labels + random.normal(0, 0.05, 120)
            order = [np.arange(120)[k::4] for k in (0, 1, 2, 3)]
            folds = [np.concatenate([order[0], order[1]]), np.concatenate([order[2], order[3]])]
            arms.append([Prediction(0, n, rows, 1 / (1 + np.exp(-rating[rows])), {}) for n, rows in enumerate(folds)])
        paired = scores.interval(arms, labels, Resampling(draws=400))
        alone = scores.interval(arms[:1], labels, Resampling(draws=400))
        assert 0 < paired.low < paired.high
        assert paired.high - paired.low < 0.5 * (alone.high - alone.low)

    def test_folds_are_compared_with_the_correction_for_their_overlap(self) -> None:
        labels = np.arange(50) % 2
        blank = scores.interval([[]], labels)
        first, second = (
            scores.Scores(0.0, areas, blank, 0, 0, 0, 0, 0, 0)
            for areas in ((0.8, 0.9, 0.7, 0.85, 0.75), (0.7, 0.7, 0.7, 0.7, 0.7))
        )
        found = scores.corrected_test(first, second, labels, Folds(5))
        gaps = np.array([0.1, 0.2, 0.0, 0.15, 0.05])
        assert found.t == pytest.approx(gaps.mean() / math.sqrt((1 / 5 + 10 / 40) * gaps.var(ddof=1)))
        assert "different results" in scores.corrected_test(second, second, labels, Folds(5))


class TestTables:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        labels = [f"p{n},{'high' if n % 2 else 'low'}" for n in range(14)]
        (tmp_path / "labels.csv").write_text("\n".join(["patient,label", *labels]))
        rows = [f"p{n},{n},{n % 3}" for n in range(14)]
        (tmp_path / "us.csv").write_text("\n".join(["patient,mean,energy", *rows, "p0,10,0"]))
        (tmp_path / "mr.csv").write_text("\n".join(["patient,mean,energy", *rows[:-1]]))
        return tmp_path

    def test_patients_are_joined_by_name_and_lesions_averaged(self, folder: Path) -> None:
        labels, positive = tables.read_labels(folder / "labels.csv", "high")
        arms = {name: tables.read_features(folder / f"{name}.csv") for name in ("us", "mr")}
        made = tables.join(labels, positive, arms)
        assert made.patients == tuple(sorted(f"p{n}" for n in range(13)))
        assert made.excluded == ("p13 lacks features in mr",)
        row = made.patients.index("p0")
        assert made.arms["us"][row].tolist() == [5.0, 0.0]
        assert made.labels[made.patients.index("p3")] == 1

    def test_a_feature_that_is_undefined_for_someone_is_left_out_and_told(self, folder: Path) -> None:
        text = (folder / "us.csv").read_text().replace("p3,3,0", "p3,nan,0")
        (folder / "us.csv").write_text(text)
        labels, positive = tables.read_labels(folder / "labels.csv")
        made = tables.join(labels, positive, {"us": tables.read_features(folder / "us.csv")})
        assert made.names["us"] == ("energy",)
        (said,) = made.excluded
        assert said == "1 features of us are undefined for some patient and left out, among them mean of p3"

    @pytest.mark.parametrize("value", ["inf", "1e39", "-1e300"])
    def test_a_number_that_no_forest_can_hold_is_left_out_with_its_patient(self, folder: Path, value: str) -> None:
        (folder / "us.csv").write_text((folder / "us.csv").read_text().replace("p3,3,0", f"p3,{value},0"))
        labels, positive = tables.read_labels(folder / "labels.csv")
        made = tables.join(labels, positive, {"us": tables.read_features(folder / "us.csv")})
        assert made.names["us"] == ("energy",)
        assert f"mean of p3 ({float(value):g})" in made.excluded[0]

    @pytest.mark.parametrize("values", [(0, 1), (7.5, -2)])
    def test_a_feature_that_is_the_label_is_refused(self, folder: Path, values: tuple[float, float]) -> None:
        rows = [f"p{n},{n % 3},{values[n % 2]}" for n in range(14)]
        (folder / "us.csv").write_text("\n".join(["patient,mean,grade", *rows]))
        labels, positive = tables.read_labels(folder / "labels.csv")
        with pytest.raises(InputError, match="grade of us has one value for each label"):
            tables.join(labels, positive, {"us": tables.read_features(folder / "us.csv")})

    def test_a_feature_that_tells_the_labels_apart_perfectly_is_named(self, folder: Path) -> None:
        rows = [f"p{n},{n % 3},{n / 100 + n % 2}" for n in range(14)]
        (folder / "us.csv").write_text("\n".join(["patient,mean,psa", *rows]))
        labels, positive = tables.read_labels(folder / "labels.csv")
        made = tables.join(labels, positive, {"us": tables.read_features(folder / "us.csv")})
        assert len(made.odd) == 1
        assert "psa of us tells the labels apart" in made.odd[0]

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("labels.csv", "patient,label\np0,low\np1,low", "1 kinds of labels"),
            ("labels.csv", "patient,label\np0,a\np1,b\np2,c", "3 kinds of labels"),
            ("labels.csv", "patient,label\np0,low\np0,high", "two labels"),
            ("labels.csv", "patient,label\np0,\np1,high", "line 2: patient or label is missing"),
            ("labels.csv", "patient,grade\np0,low", "no column label"),
            ("labels.csv", "", "holds no row"),
            ("us.csv", "patient,mean\np0,large", "'large', which is no number"),
            ("us.csv", "patient\np0", "no column of features"),
            ("us.csv", "patient,label,mean\np0,0,1", "column label, which is no feature"),
            ("us.csv", "patient,mean,Lesion \np0,0,1", "column Lesion , which is no feature"),
            ("us.csv", "patient,mean,mean\np0,0,1", "several columns mean"),
            ("labels.csv", "patient;label\np0;low", "separated by semicolons"),
            ("us.csv", "patient,mean\nstranger,1", "no label, among them stranger"),
            ("us.csv", "patient,mean\np0,1\np1,1", "Only 1 patients are"),
            ("us.csv", "patient,mean\np0,1,2", "another number of cells"),
        ],
    )
    def test_odd_tables_are_refused_by_one_sentence(self, folder: Path, name: str, text: str, said: str) -> None:
        (folder / name).write_text(text)

        def read() -> None:
            labels, positive = tables.read_labels(folder / "labels.csv")
            tables.join(labels, positive, {"us": tables.read_features(folder / "us.csv")})

        with pytest.raises(InputError, match=said):
            read()


class TestSettings:
    @pytest.mark.parametrize("positive", [2, 3])
    def test_they_are_chosen_also_where_a_label_has_few_training_patients(self, positive: int) -> None:
        random, labels = np.random.default_rng(1), (np.arange(20) < positive).astype(int)
        table = random.normal(size=(20, 3)) + 3 * labels[:, None]
        fitted = crossvalidation.fit(models.find("elastic-net"), table, labels, 0)
        assert np.isfinite(fitted.cv_results_["mean_test_score"]).all()
        assert fitted.cv.n_splits == positive

    def test_a_single_training_patient_of_a_label_leaves_nothing_to_choose_by(self) -> None:
        random, labels = np.random.default_rng(1), (np.arange(12) < 1).astype(int)
        fitted = crossvalidation.fit(models.find("elastic-net"), random.normal(size=(12, 3)), labels, 0)
        assert not hasattr(fitted, "best_params_")
        assert fitted.predict_proba(np.zeros((1, 3))).shape == (1, 2)

    def test_the_elastic_net_is_one_in_every_version_that_is_allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import sklearn

        random, labels = np.random.default_rng(0), np.arange(60) % 2
        table = random.normal(size=(60, 20)) + np.eye(20)[0] * 2 * labels[:, None]
        fitted = models.find("elastic-net").build(0).set_params(classifier__C=0.1).fit(table, labels)
        weights = fitted.named_steps["classifier"].coef_[0]
        assert weights[0] > 0.1
        assert (weights == 0).sum() > 5  # ridge leaves none at zero
        monkeypatch.setattr(sklearn, "__version__", "1.7.2")
        assert models.find("elastic-net").build(0).named_steps["classifier"].penalty == "elasticnet"


class TestCrossFit:
    @pytest.fixture
    def simple(self) -> crossfit.CrossFit:
        trained = {"aaa": frozenset({"p3", "p4"}), "bbb": frozenset({"p1", "p2"})}
        return crossfit.CrossFit(trained, {"all": {"p1": "aaa", "p2": "aaa", "p3": "bbb", "p4": "bbb"}})

    def test_a_record_is_read_as_it_was_written(self, simple: crossfit.CrossFit, tmp_path: Path) -> None:
        crossfit.write(simple, tmp_path / "crossfit.json")
        assert crossfit.read(tmp_path / "crossfit.json") == simple
        assert simple.kind == "simple"
        simple.check(["p1", "p2", "p3", "p4"])

    def test_an_image_of_a_translator_that_saw_the_patient_is_refused(self, simple: crossfit.CrossFit) -> None:
        wrong = crossfit.CrossFit(simple.trained_on, {"all": {**simple.images["all"], "p2": "bbb"}})
        with pytest.raises(InputError, match=r"image of p2 .* trained on p2"):
            wrong.check(["p1", "p2"])

    @pytest.mark.parametrize("name", ["P1", " p1 ", "P1 "])
    def test_a_patient_of_the_record_who_is_written_in_another_way_is_refused(self, simple: Any, name: str) -> None:
        trained = {**simple.trained_on, "aaa": frozenset({name, "p3"})}
        with pytest.raises(InputError, match="write the same name for the same patient"):
            crossfit.CrossFit(trained, simple.images).check(["p1", "p2", "p3", "p4"])

    def test_blanks_around_a_name_of_the_record_do_not_hide_a_patient(self, simple: Any, tmp_path: Path) -> None:
        crossfit.write(simple, tmp_path / "record.json")
        text = (tmp_path / "record.json").read_text().replace('"p3"\n', '"p3 "\n').replace('"p3",', '"p3 ",')
        text = text.replace('"p2"\n', '" p2"\n')
        (tmp_path / "record.json").write_text(text)
        assert '"p3 "' in text
        assert crossfit.read(tmp_path / "record.json").trained_on == simple.trained_on

    def test_how_many_of_the_trained_names_are_patients_is_told(self, simple: Any) -> None:
        assert crossfit.unknown_names(simple, ["p1", "p2", "p3", "p4"]) == []
        strange = crossfit.CrossFit({**simple.trained_on, "aaa": frozenset({"case 7", "case 8"})}, simple.images)
        (said,) = crossfit.unknown_names(strange, ["p1", "p2", "p3", "p4"])
        assert "2 of the 4 names" in said

    @pytest.mark.parametrize(
        ("translator", "said"), [(None, "No translator is named"), ("ccc", "does not say on whom")]
    )
    def test_what_the_record_does_not_say_is_refused(self, simple: Any, translator: str | None, said: str) -> None:
        images = dict(simple.images["all"])
        images.pop("p1")
        if translator:
            images["p1"] = translator
        with pytest.raises(InputError, match=said):
            crossfit.CrossFit(simple.trained_on, {"all": images}).check(["p1"])

    def test_nested_translators_must_not_have_seen_whom_the_fold_tests(self) -> None:
        trained = {"aaa": frozenset({"p3"}), "bbb": frozenset({"p2", "p4"})}
        found = crossfit.CrossFit(trained, {"0": {"p1": "bbb", "p2": "aaa"}, "1": {"p1": "aaa", "p2": "aaa"}})
        assert found.kind == "nested"
        found.check(["p1", "p2"])
        found.check_fold("1", ["p4"])
        with pytest.raises(InputError, match=r"fold 0 the image of p1 comes from a translator that has seen p4"):
            found.check_fold("0", ["p4"])

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"trained_on": "p1"}, "whom the translator aaa was trained on as a list of names"),
            ({"trained_on": {"p1": True}}, "whom the translator aaa was trained on as a list of names"),
            ({"trained_on": [["p1", "p2"]]}, "whom the translator aaa was trained on as a list of names"),
            ({"trained_on": []}, "names nobody whom the translator aaa was trained on"),
            ({"folds": {"0-0": "p1"}}, "whom the fold 0-0 tests as a list of names"),
            ({"test": "p1"}, "who is tested last as a list of names"),
        ],
    )
    def test_names_that_are_no_list_and_translators_of_nobody_are_refused(
        self, simple: Any, tmp_path: Path, change: dict[str, Any], said: str
    ) -> None:
        path = tmp_path / "record.json"
        crossfit.write(simple, path)
        record = json.loads(path.read_text())
        (record["translators"]["aaa"] if "trained_on" in change else record).update(change)
        path.write_text(json.dumps(record))
        with pytest.raises(InputError, match=said):
            crossfit.read(path)

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"translators": {}, "images": {}}', '{"translators": 1, "images": 2}']
    )
    def test_another_file_is_refused(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "record.json").write_text(text)
        with pytest.raises(InputError):
            crossfit.read(tmp_path / "record.json")
