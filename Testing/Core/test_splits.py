"""Splits by patient, kept in a file, and the check that nothing of a test patient reaches training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagetranslation.errors import InputError
from imagetranslation.volume import Volume, read_volume, write_volume
from training_tools import leaks, splits
from training_tools.splits import Subject

TORN = {"x": Subject("x", "p001", {"site": "s0"})}  # a patient whose other case is of site s1


def known(count: int, sites: int = 1, cases_each: int = 1) -> dict[str, Subject]:
    return {
        f"p{n:03d}-{m}": Subject(f"p{n:03d}-{m}", f"p{n:03d}", {"site": f"s{n % sites}", "grade": str(int(n % 5 == 0))})
        for n in range(count)
        for m in range(cases_each)
    }


def an_image(seed: int, shape: tuple[int, ...] = (12, 20, 18)) -> np.ndarray:
    """Organs that all patients share, and detail of one's own."""
    random = np.random.default_rng(seed)
    points = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    common = 100 * np.exp(-(points**2).sum(axis=0))
    own = sum(12 * np.cos((random.normal(0, 5, 3)[:, None, None, None] * points).sum(axis=0) + n) for n in range(12))
    return np.clip(common + own + 60, 1, 255).astype(np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six prepared cases of five patients from two sites."""
    folder = tmp_path / "prepared"
    records = []
    for number, (case, patient) in enumerate(
        [("a", "A"), ("b1", "B"), ("b2", "B"), ("c", "C"), ("d", "D"), ("e", "E")]
    ):
        for part, array in (
            ("source", an_image(number)),
            ("target", an_image(100 + number)),
            ("valid", np.ones((12, 20, 18), np.uint8)),
        ):
            (folder / part).mkdir(parents=True, exist_ok=True)
            write_volume(Volume(array), folder / part / f"{case}.nrrd")
        records.append({"case": case, "patient": patient, "facts": {"site": "north" if patient in "AB" else "south"}})
    (folder / "cases.json").write_text(json.dumps({"cases": records}))
    return folder


class TestDrawing:
    @settings(deadline=None)
    @given(st.integers(5, 60), st.integers(1, 4), st.integers(1, 3), st.integers(2, 5), st.integers(0, 3))
    def test_folds_cover_all_cases_and_share_no_patient(
        self, patients: int, sites: int, each: int, count: int, seed: int
    ) -> None:
        cases = known(patients, sites, each)
        folds = splits.draw_folds(cases, count, seed=seed, stratify=["site"])
        assert sorted(case for fold in folds for case in fold) == sorted(cases)
        owners = [{cases[case].patient for case in fold} for fold in folds]
        assert sum(map(len, owners)) == patients
        assert max(map(len, folds)) - min(map(len, folds)) <= max(2, sites) * each

    def test_strata_are_spread_evenly(self) -> None:
        cases = known(50, 2)
        for fold in splits.draw_folds(cases, 5, stratify=["site", "grade"]):
            assert Counter(cases[case].facts["grade"] for case in fold)["1"] == 2
            assert Counter(cases[case].facts["site"] for case in fold) == {"s0": 5, "s1": 5}

    def test_a_seed_draws_the_same_folds_and_another_seed_others(self) -> None:
        cases = known(30)
        assert splits.draw_folds(cases, 5, seed=1) == splits.draw_folds(dict(reversed(cases.items())), 5, seed=1)
        assert splits.draw_folds(cases, 5, seed=1) != splits.draw_folds(cases, 5, seed=2)

    def test_whole_sites_can_be_held_out(self) -> None:
        cases = known(20, 4)
        folds = splits.draw_folds(cases, 4, by="site")
        assert all(len({cases[case].facts["site"] for case in fold}) == 1 for fold in folds)

    def test_the_studys_shares_are_met(self) -> None:
        cases = known(794)
        parts = splits.draw_parts(cases)
        assert [len(parts[part]) for part in splits.PARTS] == pytest.approx([595.5, 79.4, 119.1], abs=1)
        assert sorted(case for part in parts.values() for case in part) == sorted(cases)

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda: splits.draw_folds(known(3), 4), "4 folds need at least 4 groups"),
            (lambda: splits.draw_folds(known(3), 1), "2 folds or more"),
            (lambda: splits.draw_folds({}, 2), "no case"),
            (lambda: splits.draw_parts(known(9), (0.5, 0.5, 0.5)), "sum to 1"),
            (lambda: splits.draw_parts(known(2)), "too few"),
            (lambda: splits.draw_folds(known(4, 2) | TORN, 2, by="site"), "in two"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_drawn_is_refused(self, make, said: str) -> None:
        with pytest.raises(InputError, match=said):
            make()


class TestFile:
    def test_it_is_read_as_it_was_written(self, data: Path, tmp_path: Path) -> None:
        made = splits.make_split(data, folds=3, stratify=["site"], seed=4)
        splits.write_split(made, tmp_path / "splits.json")
        assert splits.read_split(tmp_path / "splits.json", data) == made
        train, validation, test = made.train_and_test(1)
        assert sorted(train + test) == ["a", "b1", "b2", "c", "d", "e"]
        assert validation == []
        assert ("b1" in test) == ("b2" in test)
        with pytest.raises(InputError, match="no fold 3"):
            made.train_and_test(3)

    def test_the_command_draws_three_parts(self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
        path = tmp_path / "parts.json"
        command = ["--data", str(data), "--shares", "0.5", "0.25", "0.25", "-o", str(path)]
        assert splits.main(command) == 0
        told = json.loads(capsys.readouterr().out)
        assert sum(told["sides"].values()) == 6
        assert told["closest"]["correlation"] < leaks.NEAR_DUPLICATE
        assert sum(map(len, splits.read_split(path, data).train_and_test())) == 6

    @pytest.mark.parametrize("harm", ["image", "patient", "gone", "new", "both sides", "twice", "junk", "shared"])
    def test_a_split_of_other_data_or_with_a_leak_is_refused(self, data: Path, tmp_path: Path, harm: str) -> None:
        path = tmp_path / "splits.json"
        splits.write_split(splits.make_split(data, folds=3), path)
        record, cases = json.loads(path.read_text()), json.loads((data / "cases.json").read_text())
        said = {"image": "have changed", "patient": "another patient", "gone": "does not hold", "new": "on no side"}
        if harm == "image":
            write_volume(Volume(an_image(50)), data / "target" / "c.nrrd")
        elif harm == "patient":
            cases["cases"][0]["patient"] = "Z"
        elif harm == "gone":
            cases["cases"].pop()
        elif harm == "new":
            cases["cases"].append({"case": "f"})
        elif harm == "both sides":
            record["folds"][0].append(record["folds"][1][0])
        elif harm == "twice":
            record["folds"][0].append(record["folds"][0][0])
        elif harm == "shared":
            first = next(fold for fold in record["folds"] if "b1" in fold)
            other = next(fold for fold in record["folds"] if "b1" not in fold)
            first.remove("b1")
            other.append("b1")
        path.write_text("[]" if harm == "junk" else json.dumps(record))
        (data / "cases.json").write_text(json.dumps(cases))
        said.update({"junk": "is no split", "shared": "patients on two sides", "twice": "exactly one side"})
        with pytest.raises(InputError, match=said.get(harm, "exactly one side")):
            splits.read_split(path, data)

    def test_a_fact_that_some_cases_lack_is_named(self, data: Path) -> None:
        with pytest.raises(InputError, match="do not tell the scanner of a, b1"):
            splits.make_split(data, folds=2, stratify=["scanner"])


class TestLeaks:
    def test_different_patients_pass_and_the_closest_are_told(self, data: Path) -> None:
        report = leaks.check(data, splits.make_split(data, folds=3))
        assert (report.cases, report.patients) == (6, 5)
        assert report.closest is not None
        assert report.closest["correlation"] < leaks.NEAR_DUPLICATE

    @pytest.mark.parametrize("part", ["source", "target"])
    @pytest.mark.parametrize("change", ["none", "noise", "brightness", "margin"])
    def test_a_copy_under_another_name_is_found(self, data: Path, part: str, change: str) -> None:
        array = read_volume(data / part / "a.nrrd").array.astype(np.float32)
        if change == "noise":
            array = array + np.random.default_rng(0).normal(0, 4, array.shape)
        elif change == "brightness":
            array = 40 + 0.6 * array
        elif change == "margin":
            array = np.pad(array, 3)[1:-3]
        write_volume(Volume(array.astype(np.float32)), data / part / "e.nrrd")
        with pytest.raises(InputError, match=rf"{part} images of a \(fold \d\) and e \(fold \d\) are nearly the same"):
            leaks.check(data, splits.make_split(data, folds=5))

    def test_patients_who_look_alike_can_be_declared_different(self, data: Path, tmp_path: Path) -> None:
        array = read_volume(data / "source" / "a.nrrd").array + np.random.default_rng(0).normal(0, 4, (12, 20, 18))
        write_volume(Volume(array.astype(np.float32)), data / "source" / "e.nrrd")
        splits.write_split(splits.make_split(data, folds=5, alike=0.9999), tmp_path / "splits.json")
        assert leaks.check(data, splits.read_split(tmp_path / "splits.json", data)).closest["correlation"] > 0.9
        with pytest.raises(InputError, match="is a correlation"):
            splits.make_split(data, folds=5, alike=2)

    def test_one_patients_alike_images_may_share_a_side(self, data: Path) -> None:
        write_volume(read_volume(data / "source" / "b1.nrrd"), data / "source" / "b2.nrrd")
        leaks.check(data, splits.make_split(data, folds=3))

    def test_planar_images_are_told_apart_too(self, data: Path) -> None:
        for number, case in enumerate(("a", "b1", "b2", "c", "d", "e")):
            for part in ("source", "target"):
                write_volume(Volume(an_image(number, (1, 64, 80))), data / part / f"{case}.nrrd")
        leaks.check(data, splits.make_split(data, folds=3))
        write_volume(Volume(an_image(0, (1, 64, 80))), data / "source" / "d.nrrd")
        with pytest.raises(InputError, match="the same, voxel by voxel"):
            leaks.check(data, splits.make_split(data, folds=5))

    def test_what_was_fitted_on_a_test_case_is_refused(self) -> None:
        leaks.require_within("The scaler", ["a"], ["a", "b"])
        with pytest.raises(
            InputError, match="The scaler was fitted on 1 cases that are not in the training set, among them c"
        ):
            leaks.require_within("The scaler", ["a", "c"], ["a", "b"])


def test_the_public_pairs_are_different_patients(data_dir: Path, tmp_path: Path) -> None:
    cases = sorted(path.name.split(".")[0] for path in (data_dir / "prostate_mr_trus" / "us").iterdir())
    for case in cases:
        for part, kind in (("source", "us"), ("target", "mr"), ("valid", "us")):
            (path,) = (data_dir / "prostate_mr_trus" / kind).glob(f"{case}.*")
            (tmp_path / part).mkdir(exist_ok=True)
            write_volume(read_volume(path), tmp_path / part / f"{case}.nrrd")
    (tmp_path / "cases.json").write_text(json.dumps({"cases": [{"case": case} for case in cases]}))
    report = leaks.check(tmp_path, splits.make_split(tmp_path, folds=6))
    assert report.cases == report.patients == 18
    assert report.closest is not None
    assert 0.4 < report.closest["correlation"] < 0.8
