"""Simulated bone scans: sides, the truth about lesions, what one seed gives, and the folders written."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.volume import read_volume
from training_tools.phantoms import bonescan
from training_tools.phantoms.bonescan_anatomy import Body
from training_tools.phantoms.bonescan_camera import IDEAL
from training_tools.phantoms.bonescan_command import changed, pool2delayed
from training_tools.phantoms.bonescan_disease import (
    GROUPS,
    INCREASED,
    Lesion,
    Relation,
    plan,
    profile,
    ratios,
    with_rho,
)
from training_tools.phantoms.bonescan_kinetics import Rates, decay
from training_tools.phantoms.bonescan_shapes import Ball
from training_tools.phantoms.bonescan_writing import AUTO, Order, write_cases

GROUP_NAMES = tuple(GROUPS)


def a_lesion(region: str, place: str, early: float, late: float) -> Lesion:
    """A round lesion of those ratios at a named place of the average body."""
    site = next(s for s in bonescan.REGIONS[region].build(Body()).sites if s.place == place)
    ball = (Ball(site.centre, (30.0, 30.0, 30.0)),)
    return Lesion("osteomyelitis", site, ball, ball, early, late)


def imaged(region: str, view: str, lesion: Lesion, settings: bonescan.Settings | None = None) -> bonescan.Pair:
    settings = settings or bonescan.Settings()
    patient = bonescan.patient_of(Body(), Rates(), region, settings, "osteomyelitis", (lesion,))
    return bonescan.acquire(patient, view, settings, np.random.default_rng(0))


@pytest.mark.parametrize("region", ["whole_body", "knees"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_patients_left_is_at_the_images_right_from_the_front_and_at_its_left_from_behind(
    region: str, side: str
) -> None:
    lesion = a_lesion(region, f"{side} knee", 3.0, 4.0)
    for view in bonescan.VIEWS:
        pair = imaged(region, view, lesion)
        columns = pair.delayed.shape[1]
        at_right = (side == "left") == (view == "anterior")
        rows, seen = np.nonzero(pair.lesions[0].lesion_roi)
        assert (seen.mean() > columns / 2) == at_right
        for counts in (pair.pool[rows.min() : rows.max()], pair.delayed[rows.min() : rows.max()]):
            halves = counts[:, : columns // 2].sum(), counts[:, columns // 2 :].sum()
            assert (halves[1] > 1.02 * halves[0]) if at_right else (halves[0] > 1.02 * halves[1])


def test_organs_lie_on_their_sides_and_kidneys_are_seen_from_behind() -> None:
    patient = bonescan.patient_of(Body(), Rates(), "chest")
    settings = bonescan.Settings()
    front, back = (bonescan.acquire(patient, view, settings, np.random.default_rng(0)) for view in bonescan.VIEWS)
    # Rows and columns of the chest view: 2 mm a pixel, the middle of the body in the middle, d = 400 mm in row 128.
    heart = front.expected[0][120:140, 132:150].mean(), front.expected[0][120:140, 106:124].mean()
    liver = front.expected[0][165:185, 85:110].mean(), front.expected[0][165:185, 146:171].mean()
    assert heart[0] > 1.1 * heart[1]
    assert liver[0] > 1.1 * liver[1]
    kidneys = [pair.expected[0][205:225, 92:105].mean() / pair.expected[0][205:225].mean() for pair in (front, back)]
    assert kidneys[1] > 1.2 * kidneys[0]


@pytest.mark.parametrize(("early", "late"), [(1.5, 2.5), (2.2, 1.0), (1.0, 3.0), (1.3, 0.6)])
def test_an_ideal_camera_sees_exactly_the_ratios_that_were_set(early: float, late: float) -> None:
    settings = bonescan.Settings(camera=IDEAL)
    lesion = a_lesion("knees", "right knee", early, late)
    sick, well = (
        imaged("knees", "posterior", lesion, settings),
        imaged("knees", "posterior", replace(lesion, hyperaemia_ratio=1.0, delayed_ratio=1.0), settings),
    )
    roi = sick.lesions[0].lesion_roi
    away = np.s_[:, : roi.shape[1] // 2 - 10]  # in a posterior view the right knee is at the right
    for phase, ratio in enumerate((early, late)):
        scale = well.expected[phase][away].sum() / sick.expected[phase][away].sum()
        measured = scale * sick.expected[phase][roi].mean() / well.expected[phase][roi].mean()
        assert measured == pytest.approx(ratio, rel=0.01)
    assert sick.lesions[0].hyperaemia_imaged == pytest.approx(early, rel=0.01)
    assert sick.lesions[0].delayed_imaged == pytest.approx(late, rel=0.01)


def test_blur_and_scatter_lower_the_ratio_of_a_small_lesion() -> None:
    lesion = a_lesion("hands", "left index finger MCP", 3.0, 4.0)
    ball = (Ball(lesion.site.centre, (8.0, 8.0, 8.0)),)
    pair = imaged("hands", "anterior", replace(lesion, early=ball, late=ball))
    assert 1.0 < pair.lesions[0].hyperaemia_imaged < 2.8
    assert 1.0 < pair.lesions[0].delayed_imaged < 4.0


def test_the_lesions_of_a_patient_keep_their_ratios_beside_each_other() -> None:
    settings = bonescan.Settings(camera=IDEAL, degenerative=1.0)
    checked = 0
    for seed in range(6):
        _, (pair,) = bonescan.simulate(seed, "inflammatory arthritis", "hands", settings=settings)
        for found in pair.lesions:
            assert found.delayed_imaged == pytest.approx(found.lesion.delayed_ratio, rel=0.02)
            assert found.hyperaemia_imaged == pytest.approx(found.lesion.hyperaemia_ratio, rel=0.02)
            checked += 1
    assert checked > 12


def test_a_lesion_is_as_large_as_its_size_says() -> None:
    for seed in range(30):
        patient, _ = bonescan.invent(seed, "osteomyelitis", "feet", bonescan.Settings(degenerative=0.0))
        lesion = patient.lesions[0]
        if lesion.site.end is None:
            canvas = bonescan.canvas_of("feet", patient.body)
            area = float((profile(lesion.late, canvas) > 0.5).sum()) * canvas.spacing**2
            assert 2 * np.sqrt(area / np.pi) == pytest.approx(lesion.size_mm, rel=0.1)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_correlation_of_hyperaemia_and_late_uptake_is_the_one_that_was_set(rho: float) -> None:
    relation = replace(GROUPS["inflammatory arthritis"], rho=rho)
    random = np.random.default_rng(7)
    drawn = np.log(np.array([ratios(relation, random) for _ in range(4000)]) - 1)
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(rho, abs=0.04)
    assert np.median(np.exp(drawn[:, 0])) == pytest.approx(relation.early, rel=0.06)
    assert drawn[:, 1].std() == pytest.approx(relation.late_spread, rel=0.06)


def test_rho_is_recovered_from_the_lesions_of_many_patients() -> None:
    relations = with_rho(GROUPS, 0.8)
    anatomy, canvas = bonescan.REGIONS["hands"].build(Body()), bonescan.canvas_of("hands", Body())
    lesions = [
        lesion
        for seed in range(250)
        for lesion in plan("inflammatory arthritis", relations, anatomy, canvas, np.random.default_rng(seed), 0.0)
    ]
    excess = np.log([[found.hyperaemia_ratio - 1, found.delayed_ratio - 1] for found in lesions])
    assert len(lesions) > 700
    assert np.corrcoef(excess.T)[0, 1] == pytest.approx(0.8, abs=0.05)


def test_groups_show_their_patterns() -> None:
    settings = bonescan.Settings(degenerative=0.0)
    drawn = {
        group: [
            lesion for seed in range(20) for lesion in bonescan.invent(seed, group, AUTO[group][0], settings)[0].lesions
        ]
        for group in GROUP_NAMES
    }
    assert {lesion.site.kind for lesion in drawn["cellulitis"]} == {"soft"}
    assert {lesion.site.kind for lesion in drawn["CRPS"]} == {"region"}
    assert {lesion.site.kind for lesion in drawn["osteomyelitis"]} == {"bone"}
    assert {lesion.site.kind for lesion in drawn["inflammatory arthritis"]} == {"joint"}
    assert any(lesion.delayed_ratio < 1 for lesion in drawn["CRPS"])
    share = {group: np.mean([lesion.increased for lesion in found]) for group, found in drawn.items()}
    assert share["cellulitis"] < 0.5 < share["osteomyelitis"]
    assert all(lesion.hyperaemic for found in drawn.values() for lesion in found)


def test_degenerative_joints_take_up_late_without_hyperaemia() -> None:
    patient, _ = bonescan.invent(1, "none", "knees", bonescan.Settings(degenerative=1.0))
    assert patient.lesions
    for lesion in patient.lesions:
        assert lesion.group == "degenerative"
        assert not lesion.hyperaemic
        assert lesion.hyperaemia_ratio == 1.0


def test_one_seed_gives_one_image_and_another_seed_another() -> None:
    first, again, other = (bonescan.simulate(seed, "CRPS", "hands")[1][0] for seed in (5, 5, 6))
    assert np.array_equal(first.pool, again.pool)
    assert np.array_equal(first.delayed, again.delayed)
    assert not np.array_equal(first.delayed, other.delayed)


def test_invented_patients_stand_differently_and_their_bones_differ_from_their_like() -> None:
    patient, _ = bonescan.invent(4, "none", "hands", bonescan.Settings(degenerative=0.0))
    usual = bonescan.REGIONS["hands"].build(patient.body).parts
    logs = np.log([part.gain / like.gain for part, like in zip(patient.anatomy.parts, usual)])
    assert logs.std() == pytest.approx(bonescan.UNEVEN, rel=0.25)
    middles = {bonescan.canvas_of("hands", bonescan.invent(seed, "none", "hands")[0].body).left for seed in range(4)}
    assert len(middles) == 4


def test_counts_follow_the_region_and_the_blood_pools_follow_kinetics_and_decay() -> None:
    _, (hands,) = bonescan.simulate(3, "none", "hands")
    assert hands.delayed.sum() == pytest.approx(3e5 * 1.02, rel=0.02)
    twice = bonescan.patient_of(Body(), Rates(), "hands", counts=2.0)
    dosed = bonescan.acquire(twice, "anterior", bonescan.Settings(), np.random.default_rng(0))
    assert dosed.delayed.sum() == pytest.approx(6e5 * 1.02, rel=0.02)
    settings = bonescan.Settings(camera=IDEAL)
    patient = bonescan.patient_of(Body(), Rates(), "whole_body", settings)
    pair = bonescan.acquire(patient, "anterior", settings, np.random.default_rng(0))
    scene = bonescan.project(patient, bonescan.canvas_of("whole_body", Body()), "anterior", IDEAL, 25.0)
    activity = scene.plain.sum(axis=(1, 2))
    expected = activity[0] / activity[1] * decay(10.0) / decay(180.0) / 3
    assert pair.expected[0].sum() / pair.expected[1].sum() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Relation(1, 1, 1, 1, rho=1.5), "from 0 to 1"),
        (lambda: Relation(-1, 1, 1, 1, rho=0.5), "outside 0 to 20"),
        (lambda: Relation(1, 1, 1, 1, rho=0.5, lesions=(3, 1)), "not a range"),
        (lambda: bonescan.Settings(pool_minutes=200.0), "before the delayed"),
        (lambda: Body(height=300.0), "No adult"),
        (lambda: bonescan.simulate(1, "gout", "hands"), "no disease group"),
        (lambda: bonescan.simulate(1, "none", "ear"), "no region"),
        (lambda: bonescan.simulate(1, "none", "hands", ("lateral",)), "no view"),
        (lambda: bonescan.simulate(1, "CRPS", "chest"), "no site"),
        (
            lambda: bonescan.simulate(1, "none", "hands", settings=bonescan.Settings(degenerative=2.0)),
            "between 0 and 1",
        ),
        (lambda: Order(0), "1 to 99999"),
        (lambda: Order(1, groups=("gout",)), "Unknown or repeated"),
        (lambda: Order(1, region="ear"), "no region"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(make: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()  # type: ignore[operator]


@pytest.fixture(scope="module")
def a_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bonescan") / "cases"
    write_cases(Order(6, seed=2, dicom=True), folder)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_holds_every_group_its_pairs_its_regions_and_its_truth(a_folder: Path) -> None:
    from training_tools.dataset import case_names

    diseases, lesions = rows_of(a_folder / "disease.csv"), rows_of(a_folder / "lesions.csv")
    assert [row["group"] for row in diseases] == list(AUTO)
    assert case_names(a_folder) == sorted(row["case"] for row in diseases)
    for row in diseases:
        pool, delayed, lesion, hyperaemia = (
            read_volume(a_folder / part / f"{row['case']}.nrrd")
            for part in ("source", "target", "lesion", "hyperaemia")
        )
        assert pool.array.shape == delayed.array.shape == lesion.array.shape == (1, 256, 256)
        assert pool.same_grid(delayed)
        assert pool.array.sum() == int(row["pool_counts"])
        own = [truth for truth in lesions if truth["case"] == row["case"]]
        assert set(np.unique(lesion.array)) - {0} == {int(truth["lesion"]) for truth in own}
        assert set(np.unique(hyperaemia.array)) - {0} == {int(t["lesion"]) for t in own if t["hyperaemic"] == "1"}
        for truth in own:
            assert (float(truth["delayed_ratio"]) >= INCREASED) == (truth["increased"] == "1")
    assert (a_folder / "sheet.png").stat().st_size > 20000


def test_a_second_run_adds_what_is_missing_and_changes_nothing(a_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cases"
    shutil.copytree(a_folder, folder)
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*.nrrd"))}
    victim = next(iter(sorted((folder / "target").glob("*.nrrd"))))
    victim.unlink()
    write_cases(Order(7, seed=2, dicom=True), folder)
    after = {path: path.read_bytes() for path in sorted(folder.rglob("*.nrrd"))}
    assert len(after) == len(before) + 5
    assert all(after[path] == before[path] for path in before)
    assert len(rows_of(folder / "disease.csv")) == 7
    with pytest.raises(InputError, match="other settings"):
        write_cases(Order(7, seed=3, dicom=True), folder)


def test_fewer_cases_on_a_second_run_take_none_out_of_the_tables(a_folder: Path) -> None:
    assert len(write_cases(Order(2, seed=2, dicom=True), a_folder)) == 6
    assert len(rows_of(a_folder / "disease.csv")) == 6


def test_processes_side_by_side_write_the_same_bytes(a_folder: Path, tmp_path: Path) -> None:
    write_cases(Order(3, seed=2, dicom=True), tmp_path / "cases", workers=2)
    for path in sorted((tmp_path / "cases").rglob("bone*.nrrd")):
        assert path.read_bytes() == (a_folder / path.relative_to(tmp_path / "cases")).read_bytes()


def test_a_group_that_the_region_does_not_show_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no site"):
        write_cases(Order(3, region="chest", groups=("none", "CRPS")), tmp_path / "cases")
    assert not (tmp_path / "cases").exists()


def test_a_folder_of_other_things_and_an_unwritable_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="other files"):
        write_cases(Order(1), tmp_path)
    with pytest.raises(RunFailed):
        write_cases(Order(1), tmp_path / "letter.txt" / "below")


def test_whole_body_patients_are_seen_from_both_sides(tmp_path: Path) -> None:
    rows = write_cases(Order(1, region="whole_body", groups=("osteomyelitis",)), tmp_path / "cases")
    assert [row["view"] for row in rows] == ["anterior", "posterior"]
    assert len({row["patient"] for row in rows}) == 1
    front, back = (read_volume(tmp_path / "cases" / "lesion" / f"{row['case']}.nrrd").array[0] for row in rows)
    assert front.shape == (1024, 256)
    assert np.array_equal(front, back[:, ::-1])


def test_the_dicom_objects_hold_the_same_counts_and_say_that_nobody_was_scanned(a_folder: Path) -> None:
    import pydicom

    case = rows_of(a_folder / "disease.csv")[0]["case"]
    for phase, part in (("pool", "source"), ("delayed", "target")):
        path = a_folder / "dicom" / case / f"{phase}.dcm"
        volume = read_volume(path)
        assert np.array_equal(volume.array, read_volume(a_folder / part / f"{case}.nrrd").array)
        assert volume.spacing[0] == pytest.approx(1.2)
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert header.SyntheticData == "YES"
        assert not volume.synthetic, "no model made it: it can be translated"
        assert "no patient" in header.ImageComments


def test_what_was_derived_from_a_simulated_object_is_no_scan(a_folder: Path, tmp_path: Path) -> None:
    import pydicom

    case = rows_of(a_folder / "disease.csv")[0]["case"]
    for change in (
        {"ImageType": ["DERIVED", "PRIMARY", "STATIC", "EMISSION"]},
        {"DerivationDescription": "translated"},
    ):
        header = pydicom.dcmread(a_folder / "dicom" / case / "pool.dcm")
        for name, value in change.items():
            setattr(header, name, value)
        header.save_as(tmp_path / "derived.dcm")
        assert read_volume(tmp_path / "derived.dcm").synthetic


def test_dciodvfy_finds_nothing_but_the_attribute_it_does_not_know(a_folder: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
    for path in sorted((a_folder / "dicom").rglob("*.dcm"))[:2]:
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        lines = (said.stdout + said.stderr).splitlines()
        assert "NMImage" in lines
        errors = [line for line in lines if line.startswith("Error")]
        assert all(re.search(r"\(0x0008,0x001c\)", line) for line in errors), errors


def test_the_command_writes_cases_with_changed_relations(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(pool2delayed)
    wishes = tmp_path / "wishes.json"
    wishes.write_text('{"CRPS": {"late": 2.0, "lesions": [1, 1]}}')
    arguments = ["-n", "2", "--group", "CRPS", "--region", "hands", "--relations", str(wishes), "--rho", "0.25"]
    outcome = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings["relations"]["CRPS"]["late"] == 2.0
    assert {relation["rho"] for relation in settings["relations"].values()} == {0.25}
    assert len(rows_of(tmp_path / "out" / "disease.csv")) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read as JSON"),
        ("[1]", "must hold an object"),
        ('{"gout": {}}', "names the group"),
        ('{"CRPS": {"loudness": 1}}', "unknown setting"),
        ('{"CRPS": {"late": "much"}}', "wrong kind"),
        ('{"CRPS": {"rho": 3}}', "from 0 to 1"),
    ],
)
def test_relations_that_cannot_be_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "relations.json"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        changed(dict(GROUPS), path)
