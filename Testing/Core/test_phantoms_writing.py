"""Simulated prostates as files: what stands in the folder, going on after a stop, and that `prepare` reads it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from imagetranslation.errors import Cancelled, InputError
from imagetranslation.files import sha256_of
from imagetranslation.volume import axis_codes, read_volume
from training_tools import commands
from training_tools.pairs import list_pairs, read_label
from training_tools.phantoms.prostate import Settings
from training_tools.phantoms.prostate_writing import FOLDERS, read_truth, write_cases
from training_tools.prepare import prepare

SMALL = Settings(
    us_size=(40, 40, 24),
    us_spacing=(2.2, 2.0, 3.0),
    mr_size=(40, 40, 24),
    mr_spacing=(2.4, 2.4, 3.6),
    step=2.0,
    samples=(24, 60, 90),
    least=1,
    volume_ml=50.0,
)


@pytest.fixture(scope="module")
def a_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "cases"
    write_cases(folder, range(3, 6), SMALL)
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_case_has_its_images_labels_and_truth(a_folder: Path) -> None:
    names = ["case00003", "case00004", "case00005"]
    for folder in FOLDERS.values():
        assert sorted(path.stem for path in (a_folder / folder).iterdir()) == names
    cases, lesions = table(a_folder / "cases.csv"), table(a_folder / "lesions.csv")
    assert [row["case"] for row in cases] == names
    for row in cases:
        own = [lesion for lesion in lesions if lesion["case"] == row["case"]]
        assert len(own) == int(row["lesions"]) >= 1
        assert int(row["label"]) == int(any(lesion["grade"] == "high" for lesion in own))
        marks = read_volume(a_folder / "mr_lesions" / f"{row['case']}.nrrd").array
        assert set(np.unique(marks)) == set(range(len(own) + 1))
    assert json.loads((a_folder / "simulation.json").read_text())["settings"]["volume_ml"] == 50.0


def test_the_contact_sheet_shows_something_of_every_case(a_folder: Path) -> None:
    from PIL import Image

    with Image.open(a_folder / "sheet.png") as image:
        pixels = np.asarray(image.convert("L"), float)
    assert min(pixels.shape) > 400
    rows = np.array_split(pixels[40:], 3)
    assert all(row.std() > 30 for row in rows)


def test_the_same_seeds_give_the_same_bytes_also_by_several_processes(a_folder: Path, tmp_path: Path) -> None:
    write_cases(tmp_path / "again", range(3, 6), SMALL, workers=2)
    assert hashes(tmp_path / "again") == hashes(a_folder)


def test_a_stopped_run_goes_on_and_ends_as_if_never_stopped(a_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    write_cases(folder, [3, 4], SMALL)
    # As a kill leaves it: a case without its truth, another without an image.
    (folder / "truth" / "case00004.json").unlink()
    (folder / "us" / "case00003.nrrd").unlink()
    kept = (folder / "mr" / "case00003.nrrd").stat().st_mtime_ns
    seen: list[tuple[int, int]] = []
    write_cases(folder, range(3, 6), SMALL, progress=lambda done, total: seen.append((done, total)))
    assert hashes(folder) == hashes(a_folder)
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert (folder / "mr" / "case00003.nrrd").stat().st_mtime_ns != kept
    seen.clear()
    write_cases(folder, range(3, 6), SMALL, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 3)]


def test_ctrl_c_keeps_the_finished_cases_and_says_how_to_go_on(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(Cancelled, match="1 of 3 cases"):
        write_cases(tmp_path / "cases", range(3, 6), SMALL, progress=interrupt)
    assert [case["case"] for case in read_truth(tmp_path / "cases")] == ["case00003"]
    assert not list((tmp_path / "cases").rglob(".*"))


def test_other_settings_or_other_data_in_the_folder_are_refused(a_folder: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    before = hashes(a_folder)
    with pytest.raises(InputError, match="other settings"):
        write_cases(a_folder, [3], replace(SMALL, volume_ml=40.0))
    assert hashes(a_folder) == before
    (tmp_path / "hurt" / "truth").mkdir(parents=True)
    (tmp_path / "hurt" / "truth" / "case00001.json").write_bytes(b"\xff{")
    with pytest.raises(InputError, match="remove it"):
        read_truth(tmp_path / "hurt")
    (tmp_path / "mine" / "us").mkdir(parents=True)
    with pytest.raises(InputError, match="other data"):
        write_cases(tmp_path / "mine", [3], SMALL)
    (tmp_path / "mine" / "us").rmdir()
    (tmp_path / "mine" / "simulation.json").write_text("{")
    with pytest.raises(InputError, match="not readable"):
        write_cases(tmp_path / "mine", [3], SMALL)


def test_prepare_reads_the_folder_as_it_is(a_folder: Path, tmp_path: Path) -> None:
    pairs = list_pairs(*(a_folder / name for name in ("us", "mr", "us_labels", "mr_labels")))
    assert [pair.case for pair in pairs] == [case["case"] for case in read_truth(a_folder)]
    rows = prepare(pairs[:1], tmp_path / "prepared", method="centroid")
    assert rows[0].dice_before is not None
    assert rows[0].dice_before > 0.9  # one physical frame: nothing had to be moved
    label = read_label(pairs[0].source_label, read_volume(pairs[0].source))  # type: ignore[arg-type]
    assert label.array.sum() * np.prod(label.spacing) / 1000 == pytest.approx(50, rel=0.08)


def test_the_command_writes_cases_and_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    commands.register(app)
    app.command("other")(lambda: None)
    monkeypatch.setattr("training_tools.phantoms.prostate.Settings.__post_init__", lambda self: _shrink(self))
    options = ["-n", "2", "--seed", "9", "--probe", "end-fire", "--axes", "RAS", "--lesions", "1", "1", "--aligned"]
    result = CliRunner().invoke(app, ["phantom", "us2mri", *options, "-o", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["cases"] == 2
    image, target = (read_volume(tmp_path / "new" / side / "case00010.nrrd") for side in ("us", "mr"))
    assert axis_codes(image) == "RAS"
    assert target.same_grid(image)
    assert {row["probe"] for row in table(tmp_path / "new" / "cases.csv")} == {"end-fire"}


def test_the_command_refuses_what_makes_no_patient(tmp_path: Path) -> None:
    app = typer.Typer()
    commands.register(app)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["phantom", "us2mri", "--gland-ml", "400", "-o", str(tmp_path / "new")])
    assert isinstance(result.exception, InputError)
    assert not (tmp_path / "new").exists()


def _shrink(settings: Settings) -> None:
    for name in ("us_size", "us_spacing", "mr_size", "mr_spacing", "step", "samples"):
        object.__setattr__(settings, name, getattr(SMALL, name))
