"""The preservation command from a table of pairs to its report: strict joins, floors and ceiling, refusals."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from imagetranslation import cli
from imagetranslation.errors import InputError, RunFailed
from imagetranslation.radiomics.preservation.cohort import analyse
from imagetranslation.radiomics.preservation.definitions import Thresholds
from imagetranslation.radiomics.preservation.extracting import extract_pairs, onto_grid
from imagetranslation.radiomics.preservation.longtable import LongTable
from imagetranslation.radiomics.preservation.page import page
from imagetranslation.radiomics.preservation.pairs import Pair, read_pairs, write_pairs
from imagetranslation.radiomics.preservation.perturbation import Perturbation, noise_of, perturbed
from imagetranslation.radiomics.roi import from_labelmap
from imagetranslation.radiomics.settings import read_settings
from imagetranslation.volume import Volume, write_volume

pytest.importorskip("radiomics")
pytest.importorskip("matplotlib")
from imagetranslation.radiomics.pyradiomics_engine import PyRadiomicsEngine

PATIENTS = 6
SHAPE = (6, 14, 14)
FEW = Thresholds(draws=100)
HEADER = "patient,roi,relation,side,feature,value\n"


@pytest.fixture
def run(monkeypatch, capsys):
    def command(*arguments: object) -> tuple[int, str, str]:
        line = ["imagetranslation", "radiomics", "preservation", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Simulated sources, targets and synthetic images of six patients, one mask each, and the table of pairs."""
    folder = tmp_path_factory.mktemp("cohort")
    generator, pairs = np.random.default_rng(0), []
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:5, 3:11, 3:11] = 1
    for number in range(PATIENTS):
        target = generator.normal(100 + 20 * number, 10 + number, SHAPE)
        images = {"target": target, "synthetic": target + generator.normal(0, 3, SHAPE),
                  "source": 500 - target + generator.normal(0, 5, SHAPE), "mask": mask}  # fmt: skip
        paths = {name: write_volume(Volume(array.astype(np.float32) if name != "mask" else array, name=name),
                                    folder / f"{number}_{name}.nrrd") for name, array in images.items()}  # fmt: skip
        one = (str(paths[name]) for name in ("synthetic", "target", "mask"))
        two = (str(paths[name]) for name in ("source", "synthetic", "mask"))
        pairs += [
            Pair(f"p{number}", "box", *one, "synthetic-target"),
            Pair(f"p{number}", "box", *two, "source-synthetic"),
        ]
    write_pairs(pairs, folder / "pairs.csv")
    quick = {"setting": {"binCount": 32}, "featureClass": {"firstorder": None}}
    (folder / "quick.yaml").write_text(json.dumps(quick))
    return folder


def changed(folder: Path, tmp_path: Path, change) -> Path:
    with open(folder / "pairs.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows = change(rows)
    with open(tmp_path / "pairs.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path / "pairs.csv"


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_one_command_makes_both_tables_the_floor_the_ceiling_and_the_page(run, folder, tmp_path):
    code, out, err = run(
        folder / "pairs.csv", "-o", tmp_path / "out", "--draws", 100, "--settings", folder / "quick.yaml"
    )
    assert code == 0, err
    assert "No headline: 6 patients are fewer than the 20" in out
    assert "features preserved in rank" not in out
    report = json.loads((tmp_path / "out" / "preservation.json").read_text())
    assert [table["relation"] for table in report["tables"]] == [
        "synthetic-target", "source-synthetic", "source-reference", "reference-perturbed",
    ]  # fmt: skip
    assert {table["counts"] for table in report["tables"]} == {None}
    assert report["perturbation"] == {"noise": 1.0, "shift": 0.5, "seed": 1}
    assert report["engine"]["name"] == "pyradiomics"
    headline = {row["feature"]: row for row in rows_of(tmp_path / "out" / "synthetic-target.csv")}
    assert len(headline) == 18
    mean = headline["original_firstorder_Mean"]
    assert (mean["rho"], mean["n"], mean["patients"], mean["rank"]) == ("1.0", "6", "6", "preserved")
    assert float(mean["icc_a_1"]) > 0.99
    across = {row["feature"]: row for row in rows_of(tmp_path / "out" / "source-synthetic.csv")}
    assert "icc_a_1" not in across["original_firstorder_Mean"]
    assert across["original_firstorder_Mean"]["agreement"] == "refused"
    assert float(across["original_firstorder_Mean"]["rho"]) == -1
    floor = {row["feature"]: row for row in rows_of(tmp_path / "out" / "source-reference.csv")}
    assert float(floor["original_firstorder_Mean"]["icc_a_1"]) < 0.2


def test_images_that_stand_as_synthetic_without_saying_so_are_told_in_one_sentence(folder):
    quick = read_settings(folder / "quick.yaml")
    found = extract_pairs(read_pairs(folder / "pairs.csv")[:4], quick, PyRadiomicsEngine())
    assert found.warnings == ("2 images stand as synthetic and do not say that they are, among them 0_synthetic.nrrd.",)


def test_a_report_can_be_made_again_from_its_own_values(run, folder, tmp_path):
    options = ("--draws", 100, "--no-perturbation", "--settings", folder / "quick.yaml")
    assert run(folder / "pairs.csv", "-o", tmp_path / "one", *options, "--cache", tmp_path / "cache")[0] == 0
    assert run("--table", tmp_path / "one" / "features.csv", "-o", tmp_path / "two", *options)[0] == 0
    for name in ("synthetic-target.csv", "source-synthetic.csv", "source-reference.csv", "features.csv"):
        assert (tmp_path / "two" / name).read_text() == (tmp_path / "one" / name).read_text()


def test_what_could_not_be_used_is_listed_and_never_dropped(run, folder, tmp_path):
    small = np.zeros(SHAPE, np.uint8)
    small[2, 2, 2:6] = 1
    write_volume(Volume(small, name="small"), tmp_path / "small.nrrd")

    def change(rows):
        rows[0]["b_image"] = ""
        rows[2]["mask"] = str(tmp_path / "small.nrrd")
        return rows

    (tmp_path / "settings.yaml").write_text("minimum_voxels: 64\n")
    options = ("--draws", 100, "--no-perturbation", "--settings", tmp_path / "settings.yaml")
    code, _, err = run(changed(folder, tmp_path, change), "-o", tmp_path / "out", *options)
    assert code == 0, err
    out = rows_of(tmp_path / "out" / "excluded.csv")
    mine = [(row["patient"], row["side"], row["reason"]) for row in out if row["relation"] == "synthetic-target"]
    assert ("p0", "b", "no image was named") in mine
    assert {reason[:20] for patient, _, reason in mine if patient == "p1"} == {"small label 1 has 4 "}
    assert {row["n"] for row in rows_of(tmp_path / "out" / "synthetic-target.csv")} == {"4"}
    assert "no image was named" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [{**row, "relation": "like"} for row in rows], "row 2: the relation is 'like'"),
        (lambda rows: [{**row, "mask": "absent.nrrd"} for row in rows], r"absent.nrrd (mask) is not there"),
        (lambda rows: [*rows, rows[0]], "row 14: patient p0, roi box as synthetic-target stands in row 2 already"),
        (lambda rows: [{**row, "patient": ""} for row in rows], "row 2: the patient is empty"),
        (
            lambda rows: [{**row, "a_image": row["b_image"]} for row in rows],
            "row 2: a_image and b_image are the same file",
        ),
        (lambda rows: [{k: v for k, v in row.items() if k != "mask"} for row in rows], "lacks the column mask"),
    ],
)
def test_a_wrong_table_of_pairs_is_refused_in_a_sentence(run, folder, tmp_path, change, said):
    code, out, err = run(changed(folder, tmp_path, change), "-o", tmp_path / "out")
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patient,roi,relation,side,feature\n", "lacks the column value"),
        (HEADER, "holds no values"),
        (HEADER + "p,r,test-retest,a,f,high\n", "row 2: the value 'high' is not a number"),
        (HEADER + "p,r,test-retest,c,f,1\n", "row 2: the side is 'c'"),
        (HEADER + ",r,test-retest,a,f,1\n", "row 2: the patient is empty"),
        (
            HEADER + "p,r,test-retest,a,f,1\np,r,test-retest,a,f,1\n",
            "row 3: f of patient p, region r stands there twice",
        ),
    ],
)  # fmt: skip
def test_a_wrong_table_of_features_is_refused_in_a_sentence(run, tmp_path, text, said):
    (tmp_path / "table.csv").write_text(text)
    code, _, err = run("--table", tmp_path / "table.csv", "-o", tmp_path / "out")
    assert code == 2
    assert said in err


def test_values_made_with_different_settings_are_never_compared(run, tmp_path):
    head = HEADER.strip() + ",engine,settings_sha256\n"
    rows = [f"p1,r,synthetic-target,{side},contrast,{n},pyradiomics,{made}\n" for n, (side, made) in
            enumerate([("a", "one"), ("b", "two")])]  # fmt: skip
    (tmp_path / "mixed.csv").write_text(head + "".join(rows))
    status, _, said = run("--table", tmp_path / "mixed.csv", "-o", tmp_path / "out")
    assert status == 2
    assert "row 3: contrast was made by another engine or with other settings" in said


def test_an_earlier_report_is_never_overwritten(run, folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("earlier")
    code, _, err = run(folder / "pairs.csv", "-o", tmp_path / "out")
    assert (code, (tmp_path / "out" / "report.html").read_text()) == (2, "earlier")
    assert "exists already" in err


def test_images_on_another_grid_are_resampled_only_when_asked_for(run, folder, tmp_path):
    coarse = Volume(np.random.default_rng(1).normal(size=(3, 7, 7)), (2.0, 2.0, 2.0), (0.5, 0.5, 0.5), name="coarse")
    write_volume(coarse, tmp_path / "coarse.nrrd")

    def change(rows):
        return [{**row, "a_image": str(tmp_path / "coarse.nrrd"), "relation": "source-reference", "roi": str(number)}
                for number, row in enumerate(rows) if row["relation"] == "synthetic-target"]  # fmt: skip

    pairs = changed(folder, tmp_path, change)
    code, _, err = run(pairs, "-o", tmp_path / "strict")
    assert code == 2
    assert "nothing can be compared" in err
    assert "is on another grid than" in err
    (tmp_path / "settings.yaml").write_text("spacing: [1, 1, 1]\n")
    code, _, err = run(pairs, "-o", tmp_path / "twice", "--resample", "--settings", tmp_path / "settings.yaml")
    assert code == 2
    assert "resampled once" in err
    assert run(pairs, "-o", tmp_path / "asked", "--resample")[0] == 0
    assert {row["n"] for row in rows_of(tmp_path / "asked" / "source-reference.csv")} == {str(PATIENTS)}


def test_resampling_keeps_a_linear_image_and_knows_where_it_ends():
    k, j, i = np.mgrid[:5, :6, :7].astype(float)
    image = Volume(3 * i - 2 * j + k, name="ramp")
    like = Volume(np.zeros((4, 4, 12)), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), name="like")
    moved = onto_grid(image, like, "linear")
    k, j, i = np.mgrid[:4, :4, :12] * 0.5 + 1
    inside = np.isfinite(moved.array)
    assert inside[:, :, :11].all()
    assert moved.array[inside] == pytest.approx((3 * i - 2 * j + k)[inside])
    assert not np.isfinite(onto_grid(image, replace(like, origin=(90.0, 0.0, 0.0)), "linear").array).any()


def test_a_perturbation_adds_the_images_own_noise_and_is_the_same_for_the_same_seed():
    array = np.random.default_rng(0).normal(50, 4, (8, 30, 30))
    image = Volume(array + np.arange(30), name="scan")
    (roi,) = from_labelmap(Volume(np.ones(array.shape, np.uint8), name="mask"))
    assert noise_of(image.array, roi) == pytest.approx(4, rel=0.05)
    still = perturbed(image, roi, Perturbation(1, 0, 1)).array - image.array
    assert still.std() == pytest.approx(4, rel=0.05)
    assert abs(still.mean()) < 0.2
    first, again, other = (perturbed(image, roi, Perturbation(seed=seed)).array for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.allclose(perturbed(image, roi, Perturbation(0, 0, 1)).array, image.array)


def simulated_cohort(patients: int) -> LongTable:
    """A simulated cohort: ten features kept, ten lost, as synthetic-target."""
    table, generator = LongTable(), np.random.default_rng(1)
    table.features = {f"f{n}": (f"f<{n}>", "", "kept" if n < 10 else "noise", "", "") for n in range(20)}
    for patient in range(patients):
        real = generator.normal(size=20)
        made = np.where(np.arange(20) < 10, real + generator.normal(0, 0.02, 20), generator.normal(size=20))
        for side, values in (("a", made), ("b", real)):
            case, named = (f"p{patient}", "r"), dict(zip(table.features, values.tolist()))
            table.put("synthetic-target", side, case, named, ("", "", "", "", ""))
    return table


def test_with_patients_enough_the_planted_features_make_the_headline():
    report = analyse(simulated_cohort(25), FEW, {"missing": ["one"]})
    (table,) = report.tables
    assert table.rank == ("preserved",) * 10 + ("lost",) * 10
    assert table.agreement == table.rank
    assert table.headline == (
        "10 of 20 features (1 more of the set are not made by this engine) preserved in rank, 10 of 20 in agreement; "
        "counting twins once, 10 of 20 clusters in rank and 10 of 20 in agreement; 25 patients."
    )
    table_of_values = simulated_cohort(25)
    for values in table_of_values.values[("synthetic-target", "a")].values():
        values["f0"] += 3
    moved = analyse(table_of_values, FEW, {}).tables[0]
    assert moved.column("bias")[0] == pytest.approx(3, abs=0.05)  # synthetic minus target
    assert (moved.rank[0], moved.agreement[0]) == ("preserved", "lost")
    fewer = analyse(simulated_cohort(19), FEW, {}).tables[0]
    assert fewer.headline.startswith("No headline: 19 patients")


def test_a_feature_known_of_few_patients_is_not_counted_in_the_headline_of_many():
    table = simulated_cohort(25)
    for patient in range(6, 25):
        table.values[("synthetic-target", "a")][(f"p{patient}", "r")]["f0"] = float("nan")
    few = analyse(table, Thresholds(draws=100, rho=0.7, icc=0.5), {}).tables[0]
    assert few.column("rho")[0] > 0.7
    assert (few.rank[0], few.agreement[0]) == ("undefined", "undefined")
    assert few.found.reasons[0] == "values of 6 patients; 20 are needed"
    assert few.headline.startswith("9 of 20 features preserved in rank, 9 of 20 in agreement")


def test_one_image_under_two_names_is_told():
    table = simulated_cohort(25)
    assert not any("several names" in note for note in analyse(table, FEW, {}).tables[0].notes)
    real = table.values[("synthetic-target", "b")]
    real[("p7", "r")] = real[("p3", "r")]
    assert [note[:22] for note in analyse(table, FEW, {}).tables[0].notes if "several names" in note] == [
        "WARNING: p3, p7 have t"
    ]


def test_a_region_without_partner_is_listed():
    table = simulated_cohort(6)
    del table.values[("synthetic-target", "a")][("p2", "r")]
    report = analyse(table, FEW, {})
    assert [(one.patient, one.side, one.reason) for one in report.excluded] == [
        ("p2", "b", "there is no side a of this patient and region")
    ]
    assert len(report.tables[0].joined.cases) == 5


def test_the_page_is_whole_and_needs_nothing_from_outside():
    text = page(analyse(simulated_cohort(25), FEW, {}))

    class Checker(HTMLParser):
        open_: list[str] = []
        links: list[str] = []

        def handle_starttag(self, tag, attributes):
            self.links += [value for name, value in attributes if name in ("src", "href") and not value.startswith("#")]
            if tag not in ("meta", "br", "path", "use"):
                self.open_.append(tag)

        def handle_startendtag(self, tag, attributes):
            pass

        def handle_endtag(self, tag):
            if tag not in ("path", "use"):
                assert self.open_.pop() == tag

    checker = Checker()
    checker.feed(text)
    assert checker.open_ == []
    assert [link for link in checker.links if not link.startswith("data:")] == []
    assert text.count("<svg") == 4
    assert "f&lt;3&gt;" in text
    assert "f<3>" not in text


@pytest.mark.soak
def test_the_sarcoma_pairs_run_from_one_command(run, data_dir, tmp_path):
    pairs = []
    for patient in sorted((data_dir / "sarcoma_ct_pet_mr").glob("STS_*")):
        files = (str(patient / f"{name}.nii.gz") for name in ("CT_image", "MR_T1_image", "CT_mask"))
        pairs.append(Pair(patient.name, "tumour", *files, "source-reference"))
    write_pairs(pairs, tmp_path / "pairs.csv")
    code, _, err = run(tmp_path / "pairs.csv", "-o", tmp_path / "out", "--resample")
    assert code == 0, err
    assert {row["n"] for row in rows_of(tmp_path / "out" / "source-reference.csv")} == {"4"}


def test_prepared_cases_and_their_translations_become_a_table_of_pairs(tmp_path, capsys):
    from training_tools import preservation_pairs

    prepared, synthetic = tmp_path / "prepared", tmp_path / "synthetic"
    cases = [{"case": name, **{part: f"{part}/{name}.nrrd" for part in ("source", "target", "source_label")}}
             for name in ("a", "b")]  # fmt: skip
    for case in cases:
        for part in ("source", "target", "source_label"):
            (prepared / part).mkdir(parents=True, exist_ok=True)
            (prepared / case[part]).touch()
    (prepared / "cases.json").write_text(json.dumps({"cases": cases}))
    synthetic.mkdir()
    (synthetic / "a_synthetic-mr.nrrd").touch()
    (synthetic / "a_synthetic-mr_uncertainty.nrrd").touch()
    with pytest.raises(InputError, match="0 synthetic images of b"):
        preservation_pairs.make_pairs(prepared, synthetic)
    (synthetic / "b_synthetic-mr.nrrd").touch()
    assert preservation_pairs.main([str(prepared), "--synthetic", str(synthetic), "-o", str(tmp_path / "p.csv")]) == 0
    rows = read_pairs(tmp_path / "p.csv")
    assert [(row.patient, row.relation) for row in rows] == [
        ("a", "synthetic-target"), ("a", "source-synthetic"), ("b", "synthetic-target"), ("b", "source-synthetic"),
    ]  # fmt: skip
    assert rows[0].a_image == rows[1].b_image == str(synthetic / "a_synthetic-mr.nrrd")
    assert {row.mask for row in rows[:2]} == {str(prepared / "source_label" / "a.nrrd")}
    with pytest.raises(InputError, match=r"no readable cases\.json"):
        preservation_pairs.make_pairs(tmp_path, synthetic)


def test_an_engine_that_fails_on_one_image_costs_that_image_only(folder):
    class Fragile(PyRadiomicsEngine):
        def extract(self, image, *arguments, **options):
            if image.name.startswith("3_target"):
                raise RunFailed("The engine ended without an answer.")
            return super().extract(image, *arguments, **options)

    settings = read_settings(folder / "quick.yaml")
    found = extract_pairs(read_pairs(folder / "pairs.csv"), settings, Fragile())
    assert [(one.patient, one.side, one.reason) for one in found.table.excluded] == [
        ("p3", "b", "The engine ended without an answer.")
    ]
    assert len(found.table.side("synthetic-target", "b")) == PATIENTS - 1
