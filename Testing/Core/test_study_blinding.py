"""Blinding: real and synthetic images of a case are alike in all but the picture, and the audit finds every leak."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.errors import InputError
from imagetranslation.readerstudy.audit import Audit, audit
from imagetranslation.readerstudy.blinding import LEVELS, prepared
from imagetranslation.readerstudy.building import build
from imagetranslation.readerstudy.burnedin import text_like
from imagetranslation.readerstudy.definition import load_study
from imagetranslation.readerstudy.key import load_key
from imagetranslation.readerstudy.readingset import (
    STUDY_READING,
    ReadingSet,
    load_reading_set,
    reading_image,
    reading_images,
)
from imagetranslation.volume import Volume, read_volume
from Testing.studies import a_document, a_study, write_images


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    document = a_document(cases=6, readers=2, arms=2, kind="source_synthetic", schedule={"repeat_minimum": 3})
    return a_study(tmp_path_factory.mktemp("study"), document)


@pytest.fixture
def study(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "study"))


def audited(folder: Path) -> Audit:
    return audit(load_study(folder), load_reading_set(folder), load_key(folder), folder / "key" / "key.json")


def rewrite_manifest(folder: Path, change: Any) -> None:
    file = folder / "reading" / "manifest.json"
    made = json.loads(file.read_text())
    change(made)
    file.write_text(json.dumps(made))


def an_image(reading: ReadingSet, folder: Path, content: str = "model1") -> Path:
    key = load_key(folder)
    return reading.image_file(next(name for name, facts in key.images.items() if facts["content"] == content))


def test_a_trial_shows_its_images_under_neutral_names(study: Path) -> None:
    reading = load_reading_set(study)
    trial = reading.trials("R1")[0]
    shown = reading_images(reading, trial)
    assert list(shown) == ["source", "A"]
    assert [volume.name for volume in shown.values()] == ["Source", "Image A"]
    for volume in shown.values():
        assert volume.attributes == {"window": [0.0, 4095.0], "corner_text": STUDY_READING}
        assert volume.provenance is None
        assert volume.modality == ""
        assert volume.notes == ()
        assert (volume.array.min(), volume.array.max()) == (0, LEVELS - 1)
        assert volume.array.dtype == np.uint16
    assert shown["source"].same_grid(shown["A"])


def test_the_readers_folder_holds_no_name_of_the_study(study: Path) -> None:
    everything = b"\n".join(path.read_bytes() for path in (study / "reading").rglob("*") if path.is_file())
    names = "\n".join(path.name for path in (study / "reading").rglob("*"))
    for secret in ("patient0", "scanner", "model1", "-source"):
        assert secret.encode() not in everything
        assert secret not in names


def test_files_of_a_case_have_one_size_one_date_and_one_header(study: Path) -> None:
    key, reading = load_key(study), load_reading_set(study)
    by_case: dict[str, set[tuple[int, int, bytes]]] = {}
    for name, facts in key.images.items():
        file = reading.image_file(name)
        status = file.stat()
        by_case.setdefault(str(facts["case"]), set()).add(
            (status.st_size, int(status.st_mtime), file.read_bytes()[:352])
        )
    assert {len(seen) for seen in by_case.values()} == {1}


def test_a_fresh_reading_set_passes_the_audit_which_lists_everything(study: Path) -> None:
    found = audited(study)
    assert found.leaks == []
    listed = {row["name"] for row in found.listed}
    files = {p.relative_to(study / "reading").as_posix() for p in (study / "reading").rglob("*") if p.is_file()}
    assert files <= listed


def leak_named_file(folder: Path) -> None:
    (folder / "reading" / "images" / "patient0-scanner.nii").write_bytes(b"x")


def leak_original(folder: Path) -> None:
    shutil.copy(folder / "study.json", folder / "reading" / "study.json")


def leak_link(folder: Path) -> None:
    (folder / "reading" / "images" / ("0" * 32 + ".nii")).symlink_to(folder / "images" / "patient0-scanner.nii")


def leak_key(folder: Path) -> None:
    shutil.copytree(folder / "key", folder / "reading" / "key")


def leak_date(folder: Path) -> None:
    os.utime(an_image(load_reading_set(folder), folder))


def leak_header(folder: Path) -> None:
    file = an_image(load_reading_set(folder), folder)
    content = file.read_bytes()
    file.write_bytes(content[:148] + b"made by a model".ljust(80, b"\0") + content[228:])


def leak_size(folder: Path) -> None:
    file = an_image(load_reading_set(folder), folder)
    file.write_bytes(file.read_bytes() + b"\0\0")


def leak_range(folder: Path) -> None:
    file = an_image(load_reading_set(folder), folder)
    content = file.read_bytes()
    half = (np.frombuffer(content[352:], "<u2") // 2).astype("<u2")
    file.write_bytes(content[:352] + half.tobytes())


def leak_manifest(folder: Path) -> None:
    rewrite_manifest(folder, lambda made: made.update(source_label="scanner of patient0"))


def leak_key_rights(folder: Path) -> None:
    (folder / "key" / "key.json").chmod(0o644)


def leak_burned_text(folder: Path) -> None:
    file = an_image(load_reading_set(folder), folder)
    content = file.read_bytes()
    shape = tuple(int(n) for n in np.frombuffer(content[40:56], "<i2")[1:4][::-1])
    array = np.frombuffer(content[352:], "<u2").reshape(shape).copy()
    array[:] = 0
    write_letters(array, 4095)
    file.write_bytes(content[:352] + array.tobytes())


def leak_study_file(folder: Path) -> None:
    (folder / "study.json").chmod(0o644)


LEAKS = [
    leak_named_file, leak_original, leak_link, leak_key, leak_date, leak_header, leak_size, leak_range, leak_manifest,
    leak_key_rights, leak_study_file, leak_burned_text,
]  # fmt: skip


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_the_audit_fails_on_each_leak(study: Path, leak: Any) -> None:
    assert audited(study).passed
    leak(study)
    found = audited(study)
    assert not found.passed, found.notes


def test_the_audit_notes_a_case_that_an_option_names(tmp_path: Path) -> None:
    document = a_document()
    name = document["cases"][0]["id"]
    document["questions"][0]["anchors"][0] = f"Worse than {name}"
    assert any(f"cases or patients: {name}." in note for note in audited(a_study(tmp_path, document)).notes)


@pytest.mark.parametrize(
    ("sessions", "repeats", "said"),
    [(1, 0, "several arms within one session"), (2, 2, ""), (2, 0, "")],
)
def test_arms_of_a_case_that_meet_within_a_session_are_noted(
    tmp_path: Path, sessions: int, repeats: int, said: str
) -> None:
    schedule = {"repeat_fraction": 0, "repeat_minimum": repeats}
    document = a_document(cases=4, arms=2, sessions={"count": sessions, "washout_days": 28}, schedule=schedule)
    notes = [note for note in audited(a_study(tmp_path, document)).notes if "arms within" in note]
    assert [said in note for note in notes] == ([True] if said else [])


def write_letters(array: np.ndarray, value: int) -> None:
    """Five letters of 5 x 3 pixels in a row at the top of every slice, as a burned-in label has them."""
    glyph = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 0, 1], [1, 0, 1]])
    for n in range(4):
        part = array[:, 0:5, 1 + 4 * n : 4 + 4 * n]
        part[:] = np.where(glyph, value, part)


def test_burned_in_text_is_noticed_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    plain = (rng.random((3, 64, 64)) * 1500).astype(np.uint16)
    assert text_like(plain) == ""
    write_letters(plain, 4095)
    assert "text burned into" in text_like(plain)


def test_a_real_prostate_is_not_taken_for_text(prostate_pairs: Path) -> None:
    found = [
        path.name for path in sorted((prostate_pairs / "mr").glob("*.nii.gz")) if text_like(read_volume(path).array)
    ]
    assert found == []


def volume(seed: int, shape: tuple[int, int, int] = (6, 24, 26), **geometry: Any) -> Volume:
    smooth = np.random.default_rng(seed).random(shape).cumsum(axis=1).astype(np.float32)
    return Volume(smooth, **{"spacing": (1.0, 1.0, 3.0), "name": f"v{seed}", **geometry})


def test_arms_on_one_lattice_are_cut_and_not_interpolated() -> None:
    real = volume(1, (8, 30, 28), origin=(-2.0, -3.0, -3.0))
    made = prepared(volume(0), {"real": real, "model": volume(2)}, (0, 100), "whole", "c")
    assert {p.volume.array.shape for p in made.values()} == {(6, 24, 26)}
    assert not any(p.facts["interpolated"] for p in made.values())
    cut = real.array[1:7, 3:27, 2:28]
    fraction = made["real"].volume.array / (LEVELS - 1)
    wanted = (cut - cut.min()) / (cut.max() - cut.min())
    assert np.abs(fraction - wanted).max() < 1 / (made["real"].facts["steps"] - 1)


def test_arms_on_different_grids_are_all_interpolated_onto_the_coarsest_spacing() -> None:
    real = volume(1, (5, 20, 20), spacing=(1.4, 1.4, 4.0), origin=(0.3, 0.4, 0.5))
    made = prepared(volume(0), {"real": real, "model": volume(2)}, (0.5, 99.5), "whole", "c")
    grids = [p.volume for p in made.values()]
    assert all(grids[0].same_grid(other) for other in grids[1:])
    assert grids[0].spacing == pytest.approx((1.4, 1.4, 4.0))
    assert all(p.facts["interpolated"] for p in made.values())


def test_an_oblique_reference_lands_on_the_same_grid_too() -> None:
    angle = np.deg2rad(20)
    turned = (np.cos(angle), -np.sin(angle), 0.0, np.sin(angle), np.cos(angle), 0.0, 0.0, 0.0, 1.0)
    real = volume(1, (6, 30, 30), direction=turned, origin=(2.0, -4.0, 0.0))
    made = prepared(None, {"model": volume(2), "real": real}, (0.5, 99.5), "whole", "c")
    assert made["model"].volume.same_grid(made["real"].volume)
    zero = {name: image.volume.array == 0 for name, image in made.items()}
    # Outside the turned image both are black, and only there.
    assert (zero["real"] & zero["model"]).mean() > 0.03
    assert (zero["real"] ^ zero["model"]).mean() < 0.02


def test_the_ultrasound_fan_bounds_every_image_of_the_case() -> None:
    from Testing.packages import an_ultrasound

    source = an_ultrasound((6, 24, 26))
    arms = {"real": volume(1, spacing=(1.0,) * 3), "model": volume(2, spacing=(1.0,) * 3)}
    made = prepared(source, arms, (0.5, 99.5), "auto", "c")
    assert {p.volume.array.shape for p in made.values()} == {(4, 16, 18)}


def test_the_place_in_the_scanner_is_gone_and_kept_in_the_facts() -> None:
    place = (100.0, 50.0, -20.0)
    arms = {"a": volume(1, origin=place), "b": volume(2, origin=place)}
    made = prepared(None, arms, (0, 100), "whole", "c")
    corners = made["a"].volume
    assert np.allclose(corners.origin, (-12.5, -11.5, -7.5))
    assert made["a"].facts["centre_lps"] == [112.5, 61.5, -12.5]


def test_arms_have_as_many_grey_steps_as_the_one_with_the_fewest() -> None:
    real = volume(1)
    coarse = real.with_array(np.round(real.array * 40 / real.array.max()).astype(np.uint8))
    made = prepared(None, {"real": coarse, "model": volume(2)}, (0, 100), "whole", "c")
    counts = {name: len(np.unique(image.volume.array)) for name, image in made.items()}
    assert counts["model"] <= made["real"].facts["steps"] <= 41
    assert abs(counts["model"] - counts["real"]) <= 2


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        ({"a": volume(1), "b": volume(2, origin=(500.0, 0.0, 0.0))}, "do not overlap"),
        ({"a": volume(1), "b": volume(2).with_array(np.full((6, 24, 26), 3, np.uint8))}, "constant"),
    ],
)
def test_a_case_that_cannot_be_blinded_is_named(arms: dict[str, Volume], says: str) -> None:
    with pytest.raises(InputError, match=says):
        prepared(None, arms, (0.5, 99.5), "whole", "case9")


def test_the_key_is_sealed_and_refuses_the_readers_folder(study: Path) -> None:
    assert stat.S_IMODE((study / "key" / "key.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((study / "key").stat().st_mode) == 0o700
    (study / "link").symlink_to(study / "reading")
    for inside in (study / "reading", study / "reading" / "key", study / "link" / "hidden"):
        with pytest.raises(InputError, match="may not lie in"):
            build(study, inside)


def test_a_case_whose_image_is_gone_or_changed_is_named_by_number_only(study: Path) -> None:
    reading = load_reading_set(study)
    trial = reading.trials("R1")[2]
    file = reading.image_file(trial.images["A"])
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"\7")
    with pytest.raises(InputError, match="Image A of case 3 was changed"):
        reading_image(reading, trial, "A")
    file.unlink()
    with pytest.raises(InputError) as caught:
        reading_image(reading, trial, "A")
    assert "Image A of case 3 is missing" in str(caught.value)
    assert "patient" not in str(caught.value)
    assert str(study) not in str(caught.value)


def test_a_missing_original_is_named_before_anything_is_made(tmp_path: Path) -> None:
    document = a_document()
    write_images(tmp_path, document)
    (tmp_path / "images" / "patient2-model1.nii").unlink()
    (tmp_path / "study.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"patient2, model1: .*does not exist"):
        build(tmp_path)
    assert not (tmp_path / "reading").exists()
    assert not (tmp_path / "key").exists()


def test_a_changed_study_file_is_refused_and_can_be_prepared_again(study: Path) -> None:
    file = study / "study.json"
    file.write_text(file.read_text().replace("How realistic?", "How real?"))
    with pytest.raises(InputError, match="changed after its reading set was made"):
        load_reading_set(study)
    build(study)
    assert load_reading_set(study).questions[0].text == "How real?"
