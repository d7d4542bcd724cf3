"""A batch's names and table: nothing overwrites anything, names stay what they were, and a full disk costs no row."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from imagetranslation import batch
from imagetranslation.batch import Table, find_inputs, named_outputs
from imagetranslation.errors import InputError, RunFailed


def names(*inputs: str, kept: dict[str, str] | None = None) -> list[str]:
    return [path.as_posix() for path in named_outputs([Path(name) for name in inputs], "MR", kept)]


@pytest.mark.parametrize("pattern", ["scans", "scans/**/*.nii.gz", "scan*/**/*.nii.gz", "**/*.nii.gz"])
def test_what_a_run_has_made_is_no_input_of_the_next(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scans = [Path("scans/a/us.nii.gz"), Path("scans/b/us.nii.gz")]
    for path in (*scans, Path("scans/made/a/us_synthetic-mr.nii.gz")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert find_inputs(pattern, Path("scans/made")) == scans
    with pytest.raises(InputError, match="lies in scans/made"):
        find_inputs("scans/m*/**/*.nii.gz", Path("scans/made"))


def test_results_may_go_into_a_folder_that_holds_the_scans_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    for name in ("a.nrrd", "b.nrrd"):
        Path("scans", name).touch()
    for pattern in ("scans", "scans/*.nrrd"):
        assert find_inputs(pattern, Path()) == [Path("scans/a.nrrd"), Path("scans/b.nrrd")]


def test_outputs_keep_the_folders_of_their_inputs() -> None:
    assert names("/s/a/us.nrrd", "/s/b/us.nrrd") == ["a/us_synthetic-mr.nrrd", "b/us_synthetic-mr.nrrd"]


def test_equal_stems_do_not_share_a_record_beside_them() -> None:
    made = names("/s/us.nii.gz", "/s/us.nrrd", "/s/us.mha")
    stems = {name.split(".")[0] for name in made}
    assert len(stems) == 3, made


def test_a_name_once_given_stays_whatever_comes_to_lie_beside_the_input() -> None:
    before = names("/s/us.nrrd")
    assert names("/s/us.nii.gz", "/s/us.nrrd", kept={"/s/us.nrrd": before[0]})[1] == before[0]
    assert names("/s/us.nii.gz", "/s/us.nrrd", kept={"/s/us.nrrd": before[0]})[0] != "us_synthetic-mr.nii.gz", (
        "its record would have replaced the earlier one's"
    )


def test_rows_stand_in_the_order_of_the_inputs_and_not_of_their_ends(tmp_path: Path) -> None:
    table = Table(tmp_path)
    for number in (2, 0, 1):
        table.add(number, {"input": str(number), "status": "done", "unknown": 1})
    table.write()
    with (tmp_path / "translations.csv").open(newline="") as stream:
        read = csv.DictReader(stream)
        assert [row["input"] for row in read] == ["0", "1", "2"]
        assert read.fieldnames == list(batch.COLUMNS)


def test_a_table_that_cannot_be_written_for_a_while_loses_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(tmp_path)

    def full(path: Path, text: str) -> None:
        raise RunFailed("The disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(batch, "write_text", full)
        table.add(0, {"input": "a"})
        with pytest.raises(RunFailed):
            table.write()
    table.write()
    assert "a" in (tmp_path / "translations.csv").read_text()


def test_a_table_of_thousands_is_not_written_anew_for_every_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 100000, 1))
    monkeypatch.setattr(batch.time, "monotonic", lambda: float(next(clock)))
    written = []
    monkeypatch.setattr(batch, "write_text", lambda path, text: written.append(path))
    table = Table(tmp_path)
    for number in range(100):
        table.add(number, {"input": str(number)})
    assert 1 < len(written) < 20
