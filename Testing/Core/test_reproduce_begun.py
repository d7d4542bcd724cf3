"""What a study was begun with: other options, other data and changed files are refused, a copy of the data is not."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from imagetranslation.errors import InputError
from training_tools.reproducing import data, plan, stamps, working
from training_tools.reproducing.choices import Choices, begin
from training_tools.reproducing.sizes import sizes_for

from .reproductions import pairs


def made(study: Path) -> None:
    """Something that a step made."""
    (study / "prepared" / "cases").mkdir(parents=True, exist_ok=True)
    (study / "prepared" / "cases" / "cases.json").write_text("{}")


def write_data(prepared: Path, place: Path) -> None:
    """What the first step writes of prepared cases."""
    place.mkdir(parents=True, exist_ok=True)
    (place / data.ABOUT).write_text(json.dumps(data.describe(prepared, place)))


class TestBegun:
    @staticmethod
    def choices(output: Path, given: str = data.PHANTOM, **changes: object) -> Choices:
        sizes = replace(sizes_for("us2mri", True), **changes)  # type: ignore[arg-type]
        return Choices("us2mri", given, output, True, sizes, 1)

    def test_other_options_are_refused_by_name(self, tmp_path: Path) -> None:
        begin(self.choices(tmp_path))
        made(tmp_path)
        begin(self.choices(tmp_path))
        with pytest.raises(InputError, match="was begun with folds 3, not 4"):
            begin(self.choices(tmp_path, folds=4))
        with pytest.raises(InputError, match="was begun with task us2mri, not pool2delayed"):
            begin(replace(self.choices(tmp_path), task="pool2delayed"))

    def test_changed_data_are_refused(self, tmp_path: Path) -> None:
        scans = tmp_path / "scans"
        (scans / "us").mkdir(parents=True)
        (scans / "us" / "a.nrrd").write_text("one")
        (scans / "mr").mkdir()
        begin(self.choices(tmp_path / "out", str(scans)))
        made(tmp_path / "out")
        (scans / "us" / "a.nrrd").write_text("another")
        with pytest.raises(InputError, match="have changed since"):
            begin(self.choices(tmp_path / "out", str(scans)))

    def test_prepared_arrays_that_training_keeps_beside_the_data_are_no_change(self, tmp_path: Path) -> None:
        scans = tmp_path / "scans"
        (scans / "source").mkdir(parents=True)
        (scans / "target").mkdir()
        begin(self.choices(tmp_path / "out", str(scans)))
        made(tmp_path / "out")
        (scans / "cache").mkdir()
        (scans / "cache" / "a.npy").write_text("x")
        begin(self.choices(tmp_path / "out", str(scans)))

    def test_a_study_that_lies_in_its_own_data_is_no_change(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "us").mkdir()
        (tmp_path / "mr").mkdir()
        begin(self.choices(tmp_path / "out", str(tmp_path)))
        made(tmp_path / "out")
        (tmp_path / "out" / "grown").write_text("x")
        monkeypatch.chdir(tmp_path)
        begin(self.choices(Path("out"), "."))

    def test_a_folder_with_other_files_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.doc").write_text("x")
        with pytest.raises(InputError, match=r"holds other files \(thesis\.doc\)"):
            begin(self.choices(tmp_path))

    def test_options_can_be_corrected_as_long_as_nothing_was_made(self, tmp_path: Path) -> None:
        begin(self.choices(tmp_path))
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "prepared.txt").write_text("refused")
        (tmp_path / "prepared").mkdir()
        begin(self.choices(tmp_path, folds=4))
        made(tmp_path)
        with pytest.raises(InputError, match="was begun with folds 4, not 5"):
            begin(self.choices(tmp_path, folds=5))

    @pytest.mark.parametrize(
        ("given", "changes", "said"),
        [
            ("/nonexistent", {}, "is no folder"),
            (data.PHANTOM, {"only": ("NoSuchNet",)}, "--only NoSuchNet: no network that us2mri can run"),
            (data.PHANTOM, {"preset": "foo"}, "Unknown preset 'foo'"),
        ],
    )
    def test_what_is_impossible_is_refused_before_anything_is_written(
        self, tmp_path: Path, given: str, changes: dict[str, object], said: str
    ) -> None:
        with pytest.raises(InputError, match=said):
            begin(self.choices(tmp_path / "out", given, **changes))
        assert not (tmp_path / "out").exists()

    def test_prepared_cases_may_be_copied_without_their_times_but_not_changed(self, tmp_path: Path) -> None:
        prepared = pairs(tmp_path / "pairs", 3, labels=True)
        begin(self.choices(tmp_path / "out", str(prepared)))
        made(tmp_path / "out")
        for path in prepared.rglob("*"):
            os.utime(path, (1, 1))
        begin(self.choices(tmp_path / "out", str(prepared)))
        text = (prepared / "cases.json").read_text()
        (prepared / "cases.json").write_text(text.replace('"label": "0"', '"label": "1"'))
        with pytest.raises(InputError, match="have changed since"):
            begin(self.choices(tmp_path / "out", str(prepared)))

    @pytest.mark.parametrize(
        "changed", ["lesion", "hyperaemia", "source_label", "target_label", "valid", "lesions.csv", "zones"]
    )
    def test_every_file_that_a_step_may_read_is_known_by_its_content(self, tmp_path: Path, changed: str) -> None:
        prepared = pairs(tmp_path / "pairs", 3, labels=True)
        path = prepared / changed if changed.endswith("csv") else prepared / changed / "case1.nrrd"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"first")
        (prepared / "cache").mkdir(exist_ok=True)
        (prepared / "others").mkdir()
        begin(self.choices(tmp_path / "out", str(prepared)))
        write_data(prepared, tmp_path / "out" / "prepared")
        (prepared / "cache" / "case1.npy").write_bytes(b"of a training")
        (prepared / "others" / "notes.nrrd").write_bytes(b"of no case")
        begin(self.choices(tmp_path / "out", str(prepared)))
        data.require_unchanged(tmp_path / "out" / "prepared", str(prepared))
        path.write_bytes(b"corrected")
        with pytest.raises(InputError, match="have changed since"):
            begin(self.choices(tmp_path / "out", str(prepared)))
        with pytest.raises(InputError, match="have changed since"):
            data.require_unchanged(tmp_path / "out" / "prepared", str(prepared))

    def test_what_was_prepared_here_is_known_by_the_same_files(self, tmp_path: Path) -> None:
        made = Choices("us2mri", data.PHANTOM, tmp_path, True, sizes_for("us2mri", True), 1)
        there = ["cases/cases.json", "cases/lesions.csv", "simulated/lesions.csv", "simulated/us_zones/case1.nrrd"]
        there += [f"cases/{part}/case1.nrrd" for part in ("source", "target", "valid", "lesion", "hyperaemia")]
        there += [f"cases/{part}_label/case1.nrrd" for part in ("source", "target")]
        for name in (*there, "cases/cache/case1.npy"):
            (tmp_path / "prepared" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "prepared" / name).write_text(name)
        found = stamps.files_of(tmp_path / "prepared", plan.steps(made)[0].keeps)
        assert sorted(found) == sorted(there)

    def test_the_machine_changes_nothing_of_what_a_study_was_begun_with(self, tmp_path: Path) -> None:
        one, many = (replace(self.choices(tmp_path), workers=workers) for workers in (1, 16))
        assert one.record() == many.record()
        assert one.record()["sizes"]["threads"] == 2
        given: list[list[str]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(working.command, "main", lambda arguments: given.append(arguments) or 0)
            patch.setattr(working, "_alike", lambda choices: None)
            patch.setattr(Choices, "cases", lambda self: Path("cases"))
            for own in (one, many):
                working.benchmark(own, tmp_path / "benchmark")
        assert given[0] == given[1]
        assert given[0][given[0].index("--threads") + 1] == "2"
