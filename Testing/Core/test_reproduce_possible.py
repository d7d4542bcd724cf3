"""What a study knows of its cases before anything is trained: folds that can be divided, patients to be classified."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagetranslation.errors import InputError
from training_tools import leaks
from training_tools.classifying import tables
from training_tools.crossfitting.plan import Scheme, draw
from training_tools.reproducing import data, helping, possible, working
from training_tools.reproducing.choices import Choices, begin
from training_tools.reproducing.sizes import Sizes, sizes_for

from .reproductions import pairs


def sizes(**changes: Any) -> Sizes:
    return replace(sizes_for("us2mri", True), **{"folds": 2, **changes})


def told(prepared: Path, facts: dict[str, tuple[str, str]]) -> Path:
    """Cases with other patients and labels: case to (patient, label)."""
    about = json.loads((prepared / "cases.json").read_text())
    for case in about["cases"]:
        if case["case"] in facts:
            case["patient"], label = facts[case["case"]]
            case["facts"] = {"label": label} if label else {}
    (prepared / "cases.json").write_text(json.dumps(about))
    return prepared


class TestFolds:
    @pytest.mark.parametrize("scheme", ["simple", "nested"])
    @pytest.mark.parametrize("folds", [2, 3, 5])
    def test_the_fewest_patients_are_those_that_can_be_divided(self, scheme: Any, folds: int) -> None:
        least = possible.least_to_divide(sizes(folds=folds, scheme=scheme))
        names = [f"p{n:02d}" for n in range(least)]
        assert draw(names, None, Scheme(scheme, folds))[1]
        with pytest.raises(InputError, match="folds need"):
            draw(names[1:], None, Scheme(scheme, folds))
        labels = {f"{kind}{n:02d}": kind for n in range(least) for kind in "ab"}
        assert draw(list(labels), labels, Scheme(scheme, folds))[1], "the same of each kind of label"

    def test_too_few_prepared_patients_are_refused_before_anything_is_written(self, tmp_path: Path) -> None:
        prepared = pairs(tmp_path / "pairs", 3, labels=True)
        made = Choices("us2mri", str(prepared), tmp_path / "out", True, sizes(folds=50), 1)
        with pytest.raises(InputError, match=r"holds 3 patients; 50 folds \(simple\) need 50 or more"):
            begin(made)
        assert not (tmp_path / "out").exists()

    def test_what_preparation_finds_is_looked_at_before_the_next_step(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(leaks, "NEAR_DUPLICATE", 1.0)
        prepared = told(pairs(tmp_path / "pairs", 10, labels=True), {"case9": ("case9", "")})
        made = Choices("us2mri", str(prepared), tmp_path / "out", True, sizes(), 1)
        working.prepare(made, tmp_path / "out" / "prepared")
        said = capsys.readouterr().err
        assert "Classification will be left out: two kinds of labels with 5 patients each are needed" in said
        assert "1 patients have no label and are not classified: case9." in said
        for changes, wanted in (({"sizes": sizes(folds=11)}, "need 11 or more"), ({"positive": "7"}, "--positive 7")):
            if "positive" in changes:
                told(prepared, {"case9": ("case9", "1")})
            with pytest.raises(InputError, match=wanted):
                working.prepare(replace(made, **changes), tmp_path / "out" / "prepared")

    def test_one_patient_under_two_names_is_refused_before_the_networks_are_compared(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(leaks, "NEAR_DUPLICATE", 1.0)
        prepared = pairs(tmp_path / "pairs", 4, labels=False)
        for part in ("source", "target", "valid"):
            (prepared / part / "case1.nrrd").write_bytes((prepared / part / "case0.nrrd").read_bytes())
        made = Choices("us2mri", str(prepared), tmp_path / "out", True, sizes(), 1)
        with pytest.raises(InputError, match="are the same, voxel by voxel"):
            working.prepare(made, tmp_path / "out" / "prepared")


class TestLabels:
    def test_visits_without_a_label_or_with_different_ones_are_told_by_name(self, tmp_path: Path) -> None:
        facts = {"case0": ("p0", "1"), "case1": ("p0", ""), "case2": ("p2", "0"), "case3": ("p2", "1"),
                 "case4": ("p4", "")}  # fmt: skip
        prepared = told(pairs(tmp_path, 6, labels=True), facts)
        assert data.labels(prepared) == {"p0": "1", "case5": "1"}
        silent, different = data.without_label(prepared)
        assert silent == "1 patients have no label and are not classified: p4."
        assert different == "p2 has different labels at different visits (0, 1) and is not classified."

    def test_nobody_is_called_unlabelled_where_nobody_has_a_label(self, tmp_path: Path) -> None:
        prepared = pairs(tmp_path, 3, labels=False)
        assert data.without_label(prepared) == ()
        assert possible.classifiable(prepared, sizes(), "").reason.startswith("the data name no label")

    def test_labels_and_patients_with_commas_are_read_again(self, tmp_path: Path) -> None:
        known = {"Doe, J.": "low, ISUP 1", 'say "a"': "high", "b": "high"}
        path = data.write_labels(known, tmp_path / "labels.csv")
        assert tables.read_labels(path, "high") == ({"Doe, J.": 0, 'say "a"': 1, "b": 1}, "high")

    def test_without_a_drawn_gland_the_images_alone_are_classified(self, tmp_path: Path) -> None:
        prepared = pairs(tmp_path, 10, labels=True)
        assert possible.classifiable(prepared, sizes(), "").left == ()
        (prepared / "source_label" / "case3.nrrd").unlink()
        found = possible.classifiable(prepared, sizes(classifiers=("random-forest", "resnet10")), "")
        assert (found.models, found.reason) == (("resnet10",), "")
        assert "classifiers of features are left out (random-forest)" in found.left[0]
        assert "drawn gland" in possible.classifiable(prepared, sizes(classifiers=("random-forest",)), "").reason


def test_the_table_of_images_holds_those_who_are_classified_and_finds_its_files(tmp_path: Path) -> None:
    made = tmp_path / "translators" / "crossfit"
    (made / "images").mkdir(parents=True)
    (made / "images" / "p0.nrrd").write_text("x")
    table = made / helping.TABLE
    table.write_text("patient,arm,image,region\np0,source,images/p0.nrrd,\np1,source,images/p0.nrrd,\n")
    (tmp_path / "classification").mkdir()
    found = helping._images_of({"p0": "1"}, table, tmp_path / "classification")
    with found.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (found.parent / row["image"]).read_text() == "x"
    assert (row["patient"], row["region"]) == ("p0", "")
    assert helping._images_of({"p0": "1", "p1": "0"}, table, tmp_path / "classification") == table
