"""Comparing methods: every measure, lesions, tests, groups, Fréchet's distance, and the command."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imagetranslation.errors import InputError
from imagetranslation.files import make_folder
from imagetranslation.readerstudy.statistics.estimates import Undefined
from imagetranslation.volume import write_volume
from training_tools import dataset, evaluate, evaluation, splits
from training_tools import encoder as encoders
from training_tools.config import Config
from training_tools.dataset import LazyCases, load_cases
from training_tools.evaluating import comparing, frechet, lesions, writing
from training_tools.evaluating.measures import MEASURES, measure_image
from training_tools.export import describe

from .training_runs import prepared_pairs, tiny_config


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_pairs(tmp_path_factory.mktemp("pairs"), cases=7)


@pytest.fixture(scope="module")
def config() -> Config:
    return tiny_config(held_out=())


@pytest.fixture(scope="module")
def an_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "encoder"
    torch.manual_seed(0)
    encoders.save(encoders.Encoder((4, 4)), folder, {"cases": ["case0"]})
    return folder


@pytest.fixture(scope="module")
def settings(data: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("settings")
    (folder / "config.json").write_text(config.model_dump_json())
    splits.write_split(splits.make_split(data, folds=2, seed=1, alike=0.99), folder / "splits.json")
    made = make_folder(folder / "perfect")
    for case in load_cases(data, config):
        write_volume(case.source.with_array(case.reference, field_of_view=None), made / f"{case.name}.nrrd")
    return {"config": folder / "config.json", "split": folder / "splits.json", "perfect": made}


class TestMeasures:
    def test_the_target_itself_is_perfect(self, data: Path, config: Config, an_encoder: Path) -> None:
        (case,) = load_cases(data, config, ["case0"])
        found = measure_image(case.reference, case, config, encoders.load(an_encoder))
        assert set(found) == set(MEASURES)
        worst = {"mae", "mse", "gradient_mae", "perceptual", "lesion_contrast_error", "lesion_cnr_error"}
        assert all(found[name] == 0 for name in worst)
        one = {"ssim", "ssim_masked", "ssim_uniform7", "ssim_synthrad", "gradient_correlation", "lesion_ssim"}
        assert {name: found[name] for name in one} == pytest.approx(dict.fromkeys(one, 1.0))

    def test_what_lies_outside_the_mask_does_not_count(self, data: Path, config: Config) -> None:
        (case,) = load_cases(data, config, ["case1"])
        other = np.where(case.valid, case.reference, 255)
        assert measure_image(other, case, config) == measure_image(case.reference, case, config)

    def test_worse_is_worse_in_every_measure(self, data: Path, config: Config, an_encoder: Path) -> None:
        (case,) = load_cases(data, config, ["case2"])
        random, encoder = np.random.default_rng(0), encoders.load(an_encoder)
        near, far = (case.reference + random.normal(0, sd, case.reference.shape) for sd in (4, 60))
        near[case.lesion], far[case.lesion] = near[case.lesion] + 2, far[case.lesion] + 40
        good, bad = (measure_image(image, case, config, encoder) for image in (near, far))
        for name, about in MEASURES.items():
            if np.isfinite(good[name]):
                assert (good[name] > bad[name]) == (about.better == "higher"), name

    def test_a_case_without_lesion_has_no_lesion_measures(self, data: Path, config: Config) -> None:
        (case,) = load_cases(data, config, ["case0"])
        bare = type(case)(**{**vars(case), "lesion": None})
        assert not any(name.startswith("lesion") for name in measure_image(case.reference, bare, config))


class TestLesions:
    @pytest.fixture
    def two(self) -> tuple[np.ndarray, np.ndarray]:
        image, lesion = np.full((1, 40, 60), 100.0), np.zeros((1, 40, 60), bool)
        lesion[0, 18:22, 10:14] = lesion[0, 18:22, 40:44] = True
        image[0, 18:22, 10:14], image[0, 18:22, 40:44] = 160, 80
        return image, lesion

    def test_contrast_is_that_of_each_lesion_against_its_own_surroundings(self, two: Any) -> None:
        image, lesion = two
        found = list(lesions.places(lesion, np.ones_like(lesion), (1, 1, 1)))
        assert [lesions.contrast(image, place) for place in found] == [60, -20]
        assert np.isnan(lesions.contrast_to_noise(image, found[0]))

    def test_surroundings_are_5_mm_whatever_the_spacing(self, two: Any) -> None:
        _, lesion = two
        fine = next(lesions.places(lesion, np.ones_like(lesion), (1, 1, 1))).around
        coarse = next(lesions.places(lesion, np.ones_like(lesion), (1, 2.5, 1))).around
        assert (np.ptp(np.nonzero(fine)[1]), np.ptp(np.nonzero(coarse)[1])) == (13, 7)
        assert np.ptp(np.nonzero(coarse)[2]) == 13

    def test_a_vanished_and_an_invented_lesion_cost_their_contrast(self, two: Any) -> None:
        image, lesion = two
        noisy = image + np.random.default_rng(0).normal(0, 2, image.shape)
        flat = np.where(lesion, 100.0, noisy)
        valid = np.ones_like(lesion)
        found = lesions.lesion_measures(flat, noisy, lesion, valid, (1, 1, 1), 255)
        assert found["lesion_contrast_error"] == pytest.approx(40, abs=1.5)
        assert found["lesion_cnr_error"] == pytest.approx(20, rel=0.15)
        assert found["lesion_ssim"] < 0.9

    def test_other_lesions_nearby_are_no_background(self) -> None:
        image, lesion = np.full((1, 20, 20), 10.0), np.zeros((1, 20, 20), bool)
        lesion[0, 5:9, 5:9] = lesion[0, 5:9, 11:15] = True
        image[lesion] = 50
        assert [lesions.contrast(image, p) for p in lesions.places(lesion, np.ones_like(lesion), (1, 1, 1))] == [40, 40]

    def test_a_lesion_of_two_voxels_is_left_out(self) -> None:
        lesion = np.zeros((1, 9, 9), bool)
        lesion[0, 4, 4:6] = True
        assert lesions.lesion_measures(lesion * 1.0, lesion * 1.0, lesion, np.ones_like(lesion), (1, 1, 1), 1) == {}


class TestComparing:
    PATIENTS = {f"c{n}": f"p{n}" for n in range(12)}

    def scores(self, **means: float) -> dict[str, dict[str, dict[str, float]]]:
        """Methods that differ little from each other, and patients that differ much."""
        base = np.random.default_rng(0).normal(0, 5, 12)
        own = {name: np.random.default_rng(len(name)).normal(0, 0.2, 12) for name in means}
        return {
            name: {case: {"mae": mean + base[n] + own[name][n]} for n, case in enumerate(self.PATIENTS)}
            for name, mean in means.items()
        }

    def test_paired_differences_count_and_not_the_spread_of_patients(self) -> None:
        (table,) = comparing.compare(self.scores(a=30, bb=31, ccc=31.05), self.PATIENTS)
        assert [(s.method, s.rank, s.group) for s in table.summaries] == [
            ("a", 1, "a"),
            ("bb", 2, "b"),
            ("ccc", 3, "b"),
        ]
        first = table.summaries[0]
        assert first.sd == pytest.approx(5, rel=0.5)
        assert first.interval.low < first.mean < first.interval.high
        assert {t.label: t.holm_p <= 0.05 for t in table.tests} == {"a - bb": True, "a - ccc": True, "bb - ccc": False}

    def test_a_name_that_holds_a_dash_keeps_its_significance(self) -> None:
        (table,) = comparing.compare(self.scores(**{"a - v2": 30, "bb": 31}), self.PATIENTS)
        assert [(s.method, s.group) for s in table.summaries] == [("a - v2", "a"), ("bb", "b")]

    def test_floors_and_ceilings_do_not_compete(self) -> None:
        (table,) = comparing.compare(self.scores(a=30, bb=31, floor=20), self.PATIENTS, competing=["a", "bb"])
        assert [(s.method, s.rank, s.group) for s in table.summaries] == [
            ("a", 1, "a"),
            ("bb", 2, "b"),
            ("floor", None, ""),
        ]
        assert len(table.tests) == 1

    def test_a_measure_for_which_higher_is_better_is_ranked_so(self) -> None:
        scores = {"x": {c: {"ssim": 0.9} for c in self.PATIENTS}, "y": {c: {"ssim": 0.8} for c in self.PATIENTS}}
        (table,) = comparing.compare(scores, self.PATIENTS)
        assert [s.rank for s in table.summaries] == [1, 2]

    def test_a_method_without_a_value_does_not_take_the_measure_from_others(self) -> None:
        scores = self.scores(a=30, bb=31)
        scores["perfect"] = {case: {"ssim": 1.0} for case in self.PATIENTS}
        table, other = comparing.compare(scores, self.PATIENTS, competing=["a", "bb"])
        assert [(s.method, s.n) for s in table.summaries] == [("a", 12), ("bb", 12)]
        assert [s.method for s in other.summaries] == ["perfect"]

    def test_several_cases_of_a_patient_are_one(self) -> None:
        scores = {"x": {c: {"mae": float(n)} for n, c in enumerate(self.PATIENTS)}}
        (table,) = comparing.compare(scores, {c: f"p{n // 2}" for n, c in enumerate(self.PATIENTS)})
        assert table.summaries[0].n == 6
        assert table.summaries[0].mean == 5.5

    def test_too_few_patients_are_refused_a_test(self) -> None:
        scores = self.scores(a=30, bb=31)
        few = {name: {case: cases[case] for case in list(cases)[:4]} for name, cases in scores.items()}
        (table,) = comparing.compare(few, self.PATIENTS)
        assert "cannot reach 0.05" in table.tests[0].refused
        assert table.summaries[0].group == table.summaries[1].group == "a"

    def test_cases_that_one_method_lacks_are_left_out_for_all_and_told(self) -> None:
        scores = self.scores(a=30, bb=31)
        del scores["bb"]["c3"]
        (table,) = comparing.compare(scores, self.PATIENTS)
        assert [s.n for s in table.summaries] == [11, 11]
        assert table.notes == ("bb lacks 1 cases that others have; they are left out for all.",)
        with pytest.raises(InputError, match="No case was scored for all"):
            comparing.compare({"a": {"c1": {"mae": 1.0}}, "b": {"c2": {"mae": 1.0}}}, self.PATIENTS)

    @pytest.mark.parametrize(
        ("different", "expected"),
        [
            ([], "a a a a"),
            (["wx", "wy", "wz", "xy", "xz", "yz"], "a b c d"),
            (["wz"], "a ab ab b"),
            (["wy", "wz", "xz"], "a ab bc c"),
        ],
    )
    def test_letters_are_shared_exactly_by_those_that_do_not_differ(self, different: list[str], expected: str) -> None:
        found = comparing.letters("wxyz", {frozenset(pair) for pair in different})
        assert " ".join(found[method] for method in "wxyz") == expected
        for first in "wxyz":
            for second in "wxyz":
                apart = first + second in different or second + first in different
                assert bool(set(found[first]) & set(found[second])) != apart


class TestFrechet:
    def test_the_distance_of_known_normal_distributions_is_found(self) -> None:
        random = np.random.default_rng(0)
        first = random.normal(size=(200_000, 3)) * [1, 2, 3]
        second = random.normal(size=(200_000, 3)) * [2, 2, 1] + [1, 0, 0]
        # |m|^2 + sum (s1 - s2)^2 for commuting covariances
        assert frechet.frechet_distance(first, second) == pytest.approx(1 + 1 + 0 + 4, rel=0.02)
        assert frechet.frechet_distance(first, first) == pytest.approx(0, abs=1e-9)

    def test_correlated_features_are_compared_as_scipy_does(self) -> None:
        from scipy.linalg import sqrtm

        random = np.random.default_rng(1)
        a, b = (random.normal(size=(100, 4)) @ random.normal(size=(4, 4)) for _ in range(2))
        cov = [np.cov(x, rowvar=False) for x in (a, b)]
        gap = a.mean(axis=0) - b.mean(axis=0)
        expected = gap @ gap + np.trace(cov[0] + cov[1] - 2 * sqrtm(cov[0] @ cov[1]).real)
        assert frechet.frechet_distance(a, b) == pytest.approx(expected)

    def test_too_few_slices_are_refused(self) -> None:
        with pytest.raises(Undefined, match="needs 20 slices"):
            frechet.frechet_distance(np.zeros((19, 10)), np.zeros((40, 10)))


class TestCommand:
    def command(self, data: Path, settings: dict[str, Path], output: Path, *more: str) -> list[str]:
        parts = ["--config", settings["config"], "--data", data, "--split", settings["split"], "--fold", "0"]
        return [*map(str, parts), "-o", str(output), *more]

    def test_a_folder_of_images_is_scored_beside_floors_and_ceilings(
        self, data: Path, settings: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
    ) -> None:
        assert (
            evaluate.main(self.command(data, settings, tmp_path / "out", "--method", f"theirs={settings['perfect']}"))
            == 0
        )
        assert "theirs" in capsys.readouterr().out
        scores, patients = writing.read_scores(tmp_path / "out" / "scores.csv")
        assert set(scores) == {"theirs", *evaluate.REFERENCES}
        assert len(patients) == 4
        assert all(values["mae"] == 0 for values in scores["theirs"].values())
        assert all(0 < values["mae"] < 10 for values in scores[evaluate.RETEST].values())
        with (tmp_path / "out" / "summary.csv").open() as stream:
            rows = {(row["measure"], row["method"]): row for row in csv.DictReader(stream)}
        assert rows["mae", "theirs"]["rank"] == "1"
        assert rows["mae", evaluate.TARGET]["rank"] == ""
        assert ("psnr", "identity") in rows
        assert ("psnr", "theirs") not in rows
        record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
        assert "gaussian window, sigma 1.5" in record["measures"]["ssim"]["parameters"]
        assert record["settings"]["fold"] == 0

    @pytest.mark.parametrize(
        ("method", "said"),
        [
            ("theirs", "give a name and a folder"),
            ("theirs=nowhere", "give a name and a folder"),
            ("identity={perfect}", "is taken"),
            ("theirs={data}", "holds no volume"),
        ],
    )
    def test_a_method_that_cannot_be_scored_is_refused(
        self, data: Path, settings: dict[str, Path], tmp_path: Path, method: str, said: str
    ) -> None:
        text = method.format(perfect=settings["perfect"], data=data)
        with pytest.raises(InputError, match=said):
            evaluate.main(self.command(data, settings, tmp_path / "out", "--method", text))

    def test_an_encoder_that_saw_a_tested_case_is_refused(
        self, data: Path, settings: dict[str, Path], tmp_path: Path, an_encoder: Path
    ) -> None:
        tested = splits.read_split(settings["split"], data).train_and_test(0)[2]
        torch.manual_seed(0)
        encoders.save(encoders.Encoder((4, 4)), tmp_path / "seen", {"cases": tested[:1]})
        more = ("--method", f"theirs={settings['perfect']}", "--encoder", str(tmp_path / "seen"))
        with pytest.raises(InputError, match=f"not in the training set, among them {tested[0]}"):
            evaluate.main(self.command(data, settings, tmp_path / "out", *more))

    def test_an_encoder_is_trained_on_a_folds_training_cases(
        self, data: Path, settings: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
    ) -> None:
        parts = ["--config", settings["config"], "--data", data, "--split", settings["split"], "--fold", "1"]
        assert encoders.main([*map(str, parts), "--steps", "2", "-o", str(tmp_path / "encoder")]) == 0
        train = splits.read_split(settings["split"], data).train_and_test(1)[0]
        assert json.loads((tmp_path / "encoder" / "encoder.json").read_text())["cases"] == train
        encoders.load(tmp_path / "encoder", trained=train)

    def test_a_patient_on_both_sides_is_refused(self, data: Path, config: Config) -> None:
        with pytest.raises(InputError, match="both trained and tested"):
            evaluate.evaluate(data, config, {}, ["case0"], ["case1"], {"case0": "p", "case1": "p"})


def test_a_package_is_described_and_floors_are_fitted_in_one_reading_of_each_case(
    data: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["case0", "case1", "case2"]
    kept = load_cases(data, config, names)
    read: list[str] = []
    load = dataset.load_case

    def counted(folder: Path, config: Config, name: str) -> dataset.Case:
        read.append(name)
        return load(folder, config, name)

    monkeypatch.setattr(dataset, "load_case", counted)
    found = describe(config, LazyCases(data, config, names))
    assert read == names
    read.clear()
    assert found == describe(config, kept)
    assert not read
    evaluation.Floors(LazyCases(data, config, names), config)
    assert read == names


def test_floors_fitted_one_case_at_a_time_are_those_of_all_at_once(data: Path, config: Config) -> None:
    names = ["case0", "case1", "case2"]
    cases = load_cases(data, config, names)
    sources = np.concatenate([evaluation.identity(case, config)[case.valid] for case in cases]).astype(float)
    references = np.concatenate([case.reference[case.valid] for case in cases]).astype(float)
    gain, offset = np.polyfit(sources, references, 1)
    lazy, kept = (evaluation.Floors(train, config) for train in (LazyCases(data, config, names), cases))
    (case,) = load_cases(data, config, ["case3"])
    line = gain * evaluation.identity(case, config) + offset
    np.testing.assert_allclose(lazy.images(case)[evaluation.LINE], line, rtol=1e-5, atol=1e-3)
    for name, image in lazy.images(case).items():
        np.testing.assert_array_equal(image, kept.images(case)[name])
